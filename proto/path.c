#include "path.h"

#include <stdlib.h>
#include <string.h>

#include "path_graph.h"

/* Issuers that nothing is known to lead to, of which it is looked whether they are only too far. */
#define FAR_ISSUERS_MAX 8

/* A path that holds or breaks, and what orders it among others; the smaller, the better. */
struct sg_path_chain {
	enum sg_path_verdict class; /* what the key is if it holds; UNKNOWN: it leads nowhere */
	int by_own_key;		    /* begins with an own key, not with the person's word */
	int weak;		    /* one of its signatures has SHA-1 only */
	const char *jid;
	struct sg_path_step steps[SG_PATH_STEPS_MAX];
	size_t count;
};

/* ---- steps ---- */

/* Whether it is known without cost what the key says of itself: to load an OpenPGP key is dear. */
static int is_read(struct sg_path_graph *graph, struct sg_path_node *node)
{
	if (node->key.keyinfo->kind != SG_KEYINFO_PGP)
		sg_path_node_parse(graph, node);
	return node->parsed;
}

static enum sg_path_break key_break(struct sg_path_graph *graph, struct sg_path_node *node)
{
	sg_path_node_parse(graph, node);
	if (node->key.flags & SG_PATH_REFUSED)
		return SG_PATH_BREAKS_REFUSED;
	if (node->key.flags & SG_PATH_REVOKED)
		return SG_PATH_BREAKS_REVOKED;
	if (sg_path_node_is_retracted(graph, node))
		return SG_PATH_BREAKS_RETRACTED;
	if (node->not_after != 0 && graph->now > node->not_after)
		return SG_PATH_BREAKS_EXPIRED;
	if (node->not_before != 0 && graph->now < node->not_before)
		return SG_PATH_BREAKS_NOT_YET_VALID;
	return node->unloaded ? SG_PATH_BREAKS_UNCHECKED : SG_PATH_HOLDS;
}

static enum sg_path_break signature_break(enum sg_signature_verdict verdict)
{
	switch (verdict) {
	case SG_SIG_GOOD:
		return SG_PATH_HOLDS;
	case SG_SIG_BAD:
		return SG_PATH_BREAKS_BAD_SIGNATURE;
	case SG_SIG_UNKNOWN_ISSUER:
		return SG_PATH_BREAKS_ISSUER_MISSING;
	case SG_SIG_UNCHECKED:
		return SG_PATH_BREAKS_UNCHECKED;
	case SG_SIG_REFUSED:
		return SG_PATH_BREAKS_SIGNATURE_REFUSED;
	case SG_SIG_SELF:
	case SG_SIG_UNKNOWN_METHOD:
		break;
	}
	return SG_PATH_BREAKS_UNKNOWN_METHOD;
}

/* How far a break is from holding: a key's own state, then what could not be checked, then what is
 * wrong. */
static int break_distance(enum sg_path_break breaks)
{
	switch (breaks) {
	case SG_PATH_HOLDS:
		return 0;
	case SG_PATH_BREAKS_REFUSED:
	case SG_PATH_BREAKS_REVOKED:
	case SG_PATH_BREAKS_RETRACTED:
	case SG_PATH_BREAKS_EXPIRED:
	case SG_PATH_BREAKS_NOT_YET_VALID:
		return 1;
	case SG_PATH_BREAKS_UNCHECKED:
		return 2;
	case SG_PATH_BREAKS_UNKNOWN_METHOD:
	case SG_PATH_BREAKS_SIGNATURE_REFUSED:
		return 3;
	case SG_PATH_BREAKS_BAD_SIGNATURE:
	case SG_PATH_BREAKS_ISSUER_MISSING:
	case SG_PATH_BREAKS_ISSUER_UNKNOWN:
	case SG_PATH_BREAKS_TOO_FAR:
		break;
	}
	return 4;
}

/* given: what breaks the step otherwise, or SG_PATH_HOLDS. Where it is broken, no key is loaded for it. */
static struct sg_path_step *step_add(struct sg_path_graph *graph, struct sg_path_chain *chain,
    enum sg_path_way way, struct sg_path_node *node, enum sg_path_break given)
{
	struct sg_path_step *step = &chain->steps[chain->count++];

	if (given == SG_PATH_HOLDS || (node->key.flags & SG_PATH_REFUSED) != 0)
		given = key_break(graph, node);
	else
		(void)is_read(graph, node); /* for its times, where they cost nothing */
	*step = (struct sg_path_step){
		.way = way,
		.subject = node->name,
		.breaks = given,
		.since = way == SG_PATH_BY_PERSON && node->key.decided != 0 ? node->key.decided
									    : node->key.first_seen,
	};
	step->not_before = node->not_before;
	step->not_after = node->not_after;
	return step;
}

static int is_weak(const struct sg_path_node *node, size_t index)
{
	return sg_signature_grade(node->links[index].signature) != SG_GRADE_SHA256;
}

static const char *issuer_jid(
    struct sg_path_graph *graph, const struct sg_path_node *node, size_t index)
{
	struct sg_path_node *issuer = sg_path_node_issuer(graph, node, index);
	const char *jid = issuer != NULL ? sg_path_node_jids(graph, issuer)[0] : NULL;

	return jid != NULL ? jid : node->links[index].signature->issuer_jid;
}

/* The step by a signature on the node; given as in step_add(). */
static void step_add_signature(struct sg_path_graph *graph, struct sg_path_chain *chain,
    struct sg_path_node *node, size_t index, enum sg_path_break given)
{
	const struct sg_signature *signature = node->links[index].signature;
	struct sg_path_step *step = step_add(graph, chain, SG_PATH_BY_SIGNATURE, node, given);

	step->issuer = signature->issuer;
	step->issuer_jid = issuer_jid(graph, node, index);
	step->method = signature->method;
	step->grade = sg_signature_grade(signature);
	chain->weak |= is_weak(node, index);
}

/* ---- order ---- */

static int chain_distance(const struct sg_path_chain *chain)
{
	int distance = 0;

	for (size_t i = 0; i < chain->count; i++) {
		int one = break_distance(chain->steps[i].breaks);

		if (one > distance)
			distance = one;
	}
	return distance;
}

static int compare_text(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a != NULL) - (b != NULL);
	return strcmp(a, b);
}

static int compare_steps(const struct sg_path_chain *a, const struct sg_path_chain *b)
{
	int order = (a->count > b->count) - (a->count < b->count);

	/* by the issuer next to the key first, as candidates are */
	for (size_t i = a->count; order == 0 && i > 0; i--)
		order = compare_text(a->steps[i - 1].issuer, b->steps[i - 1].issuer);
	return order;
}

static int compare_chains(const struct sg_path_chain *a, const struct sg_path_chain *b)
{
	int order = chain_distance(a) - chain_distance(b);

	if (order == 0)
		order = (int)a->class - (int)b->class;
	if (order == 0)
		order = a->by_own_key - b->by_own_key;
	if (order == 0)
		order = a->weak - b->weak;
	return order != 0 ? order : compare_steps(a, b);
}

static int chain_holds(const struct sg_path_chain *chain)
{
	return chain->class != SG_PATH_IS_UNKNOWN && chain_distance(chain) == 0;
}

static int is_better(const struct sg_path_chain *chain, const struct sg_path_chain *best)
{
	return best->count == 0 || compare_chains(chain, best) < 0;
}

/* Whether nothing breaks the path but what breaks every one to this key: its own state. */
static int is_whole(
    struct sg_path_graph *graph, const struct sg_path_chain *best, struct sg_path_node *node)
{
	int distance = chain_distance(best);

	if (best->count == 0 || distance == 0)
		return best->count > 0;
	return is_read(graph, node) && distance <= break_distance(key_break(graph, node));
}

/* ---- candidates ---- */

/* A signature that may be the last step of a path, and what that path is at best. */
struct candidate {
	struct sg_path_node *issuer;
	size_t index;
	unsigned rank, who; /* of who showed or told it */
	int claimed;	    /* whether the issuer counts is to be found out first */
	enum sg_path_verdict class;
	int by_own_key;
	int weak;
	const char *jid;
	size_t number; /* among those of this teller by this issuer, ... */
	size_t turn;   /* ... and among those of all that have his rank */
};

struct candidates {
	struct candidate *list;
	size_t count;
};

static int compare_numbers(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

static int compare_best(const struct candidate *left, const struct candidate *right)
{
	int order = (int)left->class - (int)right->class;

	if (order == 0)
		order = left->by_own_key - right->by_own_key;
	return order != 0 ? order : left->weak - right->weak;
}

/* Those that are alike in this use up the checks of each other. */
static int compare_kinds(const struct candidate *left, const struct candidate *right)
{
	int order = compare_numbers(left->rank, right->rank);

	if (order == 0)
		order = left->claimed - right->claimed;
	return order != 0 ? order : compare_best(left, right);
}

static int compare_pairs(const struct candidate *left, const struct candidate *right)
{
	int order = compare_kinds(left, right);

	return order != 0 ? order : strcmp(left->issuer->name, right->issuer->name);
}

static int compare_tellers(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	int order = compare_pairs(left, right);

	if (order == 0)
		order = compare_numbers(left->who, right->who);
	return order != 0 ? order : compare_numbers(left->index, right->index);
}

static int compare_turns(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	int order = compare_pairs(left, right);

	if (order == 0)
		order = compare_numbers(left->number, right->number);
	return order != 0 ? order : compare_tellers(left, right);
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;
	int order = compare_kinds(left, right);

	if (order == 0)
		order = compare_numbers(left->turn, right->turn);
	return order != 0 ? order : compare_tellers(left, right);
}

static void candidates_sort(struct candidates *all)
{
	struct candidate *list = all->list;

	qsort(list, all->count, sizeof(*list), compare_tellers);
	for (size_t i = 1; i < all->count; i++) {
		if (compare_pairs(&list[i - 1], &list[i]) == 0 && list[i - 1].who == list[i].who)
			list[i].number = list[i - 1].number + 1;
	}
	qsort(list, all->count, sizeof(*list), compare_turns);
	for (size_t i = 1; i < all->count; i++) {
		if (compare_pairs(&list[i - 1], &list[i]) == 0)
			list[i].turn = list[i - 1].turn + 1;
	}
	qsort(list, all->count, sizeof(*list), compare_candidates);
}

/* Whether what this one leads to cannot be better. */
static int is_settled(const struct sg_path_chain *best, const struct candidate *next)
{
	const struct candidate found = {
		.class = best->class,
		.by_own_key = best->by_own_key,
		.weak = best->weak,
	};

	return compare_best(&found, next) <= 0;
}

static int candidates_new(const struct sg_path_node *node, struct candidates *all)
{
	*all = (struct candidates){ .list = calloc(node->link_count + 1, sizeof(*all->list)) };
	return all->list != NULL ? 0 : SG_ERR_NOMEM;
}

/* ---- a key by the person himself ---- */

static const char *sole_jid(struct sg_path_graph *graph, struct sg_path_node *node)
{
	const char *const *jids = sg_path_node_jids(graph, node);

	return jids[0] != NULL && jids[1] == NULL ? jids[0] : NULL;
}

static int has_jid(struct sg_path_graph *graph, struct sg_path_node *node, const char *jid)
{
	const char *const *jids = sg_path_node_jids(graph, node);

	while (*jids != NULL && strcmp(*jids, jid) != 0)
		jids++;
	return *jids != NULL;
}

static int is_own(const struct sg_path_node *node)
{
	return (node->key.flags & (SG_PATH_OWN_USER | SG_PATH_OWN_CLIENT)) != 0;
}

static int is_own_issuer(
    const struct sg_path_graph *graph, const struct sg_path_node *node, size_t index)
{
	const struct sg_path_node *issuer = sg_path_node_issuer(graph, node, index);

	return issuer != NULL && issuer != node && (issuer->key.flags & SG_PATH_OWN_USER);
}

/* Whether a signature on it says that an own user key made it; that is not checked. *kept: whether it is one that
 * the person's account keeps. */
static int says_signed(
    const struct sg_path_graph *graph, const struct sg_path_node *node, int *kept)
{
	int says = 0;

	*kept = 0;
	for (size_t i = 0; i < node->link_count && !*kept; i++) {
		if (!is_own_issuer(graph, node, i))
			continue;
		says = 1;
		*kept = node->links[i].rank == 0;
	}
	return says;
}

static int root_by_signature(
    struct sg_path_graph *graph, struct sg_path_node *node, struct sg_path_chain *best)
{
	struct candidates all;

	if (candidates_new(node, &all) != 0)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < node->link_count; i++) {
		if (is_own_issuer(graph, node, i))
			all.list[all.count++] = (struct candidate){
				.issuer = sg_path_node_issuer(graph, node, i),
				.index = i,
				.rank = node->links[i].rank,
				.who = node->links[i].who,
				.class = SG_PATH_IS_TRUSTED,
				.by_own_key = 1,
				.weak = is_weak(node, i),
			};
	}
	candidates_sort(&all);
	for (size_t i = 0; i < all.count; i++) {
		struct sg_path_chain chain = { .class = SG_PATH_IS_TRUSTED, .by_own_key = 1 };
		enum sg_signature_verdict verdict = SG_SIG_UNCHECKED;

		if (is_whole(graph, best, node) && is_settled(best, &all.list[i]))
			continue;
		if (all.list[i].turn < SG_PATH_PAIR_CHECKS_MAX)
			verdict = sg_path_node_check(graph, node, all.list[i].index);
		if (verdict == SG_SIG_SELF)
			continue;
		chain.jid = sole_jid(graph, node);
		step_add(graph, &chain, SG_PATH_BY_OWN, all.list[i].issuer, SG_PATH_HOLDS);
		step_add_signature(
		    graph, &chain, node, all.list[i].index, signature_break(verdict));
		if (is_better(&chain, best))
			*best = chain;
	}
	free(all.list);
	return 0;
}

/* What the key is by the person's own deeds alone; class UNKNOWN when he did nothing. The chain is the
 * node's. */
static int find_root(
    struct sg_path_graph *graph, struct sg_path_node *node, const struct sg_path_chain **found)
{
	struct sg_path_chain *chain = node->root;

	*found = chain;
	if (chain != NULL && node->root_age == graph->age)
		return 0;
	free(chain);
	node->root_age = graph->age;
	node->root = chain = calloc(1, sizeof(*chain));
	*found = chain;
	if (chain == NULL)
		return SG_ERR_NOMEM;
	chain->class = SG_PATH_IS_UNKNOWN;
	if (is_own(node)) {
		chain->class = SG_PATH_IS_OWN;
		chain->by_own_key = 1;
		chain->jid = sole_jid(graph, node);
		step_add(graph, chain, SG_PATH_BY_OWN, node, SG_PATH_HOLDS);
	} else if (node->key.flags & SG_PATH_TRUSTED) {
		chain->class = SG_PATH_IS_TRUSTED;
		chain->jid =
		    node->key.trusted_jid != NULL ? node->key.trusted_jid : sole_jid(graph, node);
		step_add(graph, chain, SG_PATH_BY_PERSON, node, SG_PATH_HOLDS);
	} else {
		return root_by_signature(graph, node, chain);
	}
	return 0;
}

/* ---- a key by a key that the person trusts ---- */

/* For whom the issuer speaks, if the person trusts it: the JID of his decision, else the only one
 * that the key is of. */
static const char *speaks_for(struct sg_path_graph *graph, struct sg_path_node *issuer)
{
	if ((issuer->key.flags & SG_PATH_TRUSTED) && issuer->key.trusted_jid != NULL)
		return issuer->key.trusted_jid;
	return sole_jid(graph, issuer);
}

static int friends_find(
    struct sg_path_graph *graph, struct sg_path_node *node, struct candidates *all)
{
	if (candidates_new(node, all) != 0)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < node->link_count; i++) {
		struct sg_path_node *issuer = sg_path_node_issuer(graph, node, i);
		const char *jid;
		int is_told, kept;

		if (issuer == NULL || issuer == node || is_own(issuer))
			continue;
		is_told = (issuer->key.flags & SG_PATH_TRUSTED) != 0;
		if (!says_signed(graph, issuer, &kept) && !is_told)
			continue;
		jid = speaks_for(graph, issuer);
		if (jid != NULL && !has_jid(graph, node, jid))
			jid = NULL;
		all->list[all->count++] = (struct candidate){
			.issuer = issuer,
			.index = i,
			.rank = node->links[i].rank,
			.who = node->links[i].who,
			.claimed = !is_told && !kept,
			.class = jid != NULL ? SG_PATH_IS_FRIEND : SG_PATH_IS_VOUCHED,
			.by_own_key = !is_told,
			.weak = is_weak(node, i),
			.jid = jid,
		};
	}
	candidates_sort(all);
	return 0;
}

/* The path by one candidate, where it may be better than the best one. */
static int friend_try(struct sg_path_graph *graph, struct sg_path_node *node,
    const struct candidate *candidate, struct sg_path_chain *best)
{
	enum sg_signature_verdict verdict = SG_SIG_UNCHECKED;
	const struct sg_path_chain *root;
	struct sg_path_chain chain;
	int err = find_root(graph, candidate->issuer, &root);

	if (err != 0)
		return err;
	/* none of its own deeds, or no better a break than one that is known */
	if (root->count == 0 ||
	    (chain_distance(root) > 0 && best->count > 0 &&
		chain_distance(root) >= chain_distance(best)))
		return 0;
	/* what leads nowhere is not worth that a key is loaded */
	if (candidate->turn < SG_PATH_PAIR_CHECKS_MAX &&
	    (chain_distance(root) == 0 || is_read(graph, candidate->issuer)))
		verdict = sg_path_node_check(graph, node, candidate->index);
	if (verdict == SG_SIG_SELF)
		return 0;
	chain = *root;
	chain.class = candidate->class;
	chain.jid = candidate->jid;
	step_add_signature(graph, &chain, node, candidate->index, signature_break(verdict));
	if (is_better(&chain, best))
		*best = chain;
	return 0;
}

static int find_friend(
    struct sg_path_graph *graph, struct sg_path_node *node, struct sg_path_chain *best)
{
	struct candidates all;
	int err = friends_find(graph, node, &all);

	for (size_t i = 0; err == 0 && i < all.count; i++) {
		if (is_whole(graph, best, node) && is_settled(best, &all.list[i]))
			continue;
		err = friend_try(graph, node, &all.list[i], best);
	}
	free(all.list);
	return err;
}

/* The best path to the key, or the nearest that breaks; count 0 when none leads there. */
static int find_chain(
    struct sg_path_graph *graph, struct sg_path_node *node, struct sg_path_chain *best)
{
	const struct sg_path_chain *root;
	int err = find_root(graph, node, &root);

	*best = (struct sg_path_chain){ .class = SG_PATH_IS_UNKNOWN };
	if (err != 0)
		return err;
	*best = *root;
	return is_whole(graph, best, node) || is_own(node) ? 0 : find_friend(graph, node, best);
}

/* ---- a key that no path leads to ---- */

/* The nearest that could have been: the signature of a key that a path leads to, though it makes no
 * other trusted; of one that none leads to; of one that is not at hand. */
static int find_nearest(
    struct sg_path_graph *graph, struct sg_path_node *node, struct sg_path_chain *best)
{
	struct candidates all;
	enum sg_path_break given = SG_PATH_BREAKS_ISSUER_MISSING;
	size_t looked = 0, nearest = SIZE_MAX;
	int err = candidates_new(node, &all);

	if (err != 0)
		return err;
	for (size_t i = 0; i < node->link_count; i++) {
		struct sg_path_node *issuer = sg_path_node_issuer(graph, node, i);

		if (issuer != NULL && issuer != node)
			all.list[all.count++] = (struct candidate){ .issuer = issuer, .index = i };
		else if (issuer == NULL &&
		    (nearest == SIZE_MAX ||
			strcmp(node->links[i].signature->issuer,
			    node->links[nearest].signature->issuer) < 0))
			nearest = i;
	}
	candidates_sort(&all);
	for (size_t i = 0; err == 0 && i < all.count && looked < FAR_ISSUERS_MAX; i++) {
		struct sg_path_chain far;

		if ((i > 0 && all.list[i].issuer == all.list[i - 1].issuer) ||
		    sg_path_node_is_twin(graph, all.list[i].issuer, node))
			continue;
		looked++;
		err = find_chain(graph, all.list[i].issuer, &far);
		if (given == SG_PATH_BREAKS_ISSUER_MISSING) {
			nearest = all.list[i].index;
			given = SG_PATH_BREAKS_ISSUER_UNKNOWN;
		}
		if (err != 0 || !chain_holds(&far) || far.count >= SG_PATH_STEPS_MAX)
			continue;
		nearest = all.list[i].index;
		given = SG_PATH_BREAKS_TOO_FAR;
		*best = far;
		break;
	}
	best->class = SG_PATH_IS_UNKNOWN;
	if (err == 0 && nearest != SIZE_MAX)
		step_add_signature(graph, best, node, nearest, given);
	free(all.list);
	return err;
}

/* ---- the verdict ---- */

static enum sg_grade chain_grade(const struct sg_path_chain *chain)
{
	if (chain->count < 2)
		return SG_GRADE_NONE;
	return chain->weak ? SG_GRADE_SHA1 : SG_GRADE_SHA256;
}

int sg_path_judge(struct sg_path_graph *graph, const char *name, struct sg_path *path)
{
	struct sg_path_node *node = sg_path_node_find(graph, name);
	struct sg_path_chain best;
	int err;

	*path = (struct sg_path){ .verdict = SG_PATH_IS_UNKNOWN };
	if (node == NULL)
		return SG_ERR_KEY_ABSENT;
	err = find_chain(graph, node, &best);
	if (err == 0 && best.count == 0 && (node->key.flags & SG_PATH_REFUSED))
		step_add(graph, &best, SG_PATH_BY_PERSON, node, SG_PATH_HOLDS);
	else if (err == 0 && best.count == 0)
		err = find_nearest(graph, node, &best);
	if (err != 0)
		return err;
	if (node->key.flags & SG_PATH_REFUSED)
		path->verdict = SG_PATH_IS_REFUSED;
	else if (best.class == SG_PATH_IS_UNKNOWN || chain_holds(&best))
		path->verdict = best.class;
	else
		path->verdict = SG_PATH_IS_BROKEN;
	if (chain_holds(&best)) {
		path->jid = best.jid;
		path->grade = chain_grade(&best);
	}
	memcpy(path->steps, best.steps, sizeof(path->steps));
	path->step_count = best.count;
	return 0;
}

/* ---- the words of the API ---- */

static const char *const verdict_names[] = {
	[SG_PATH_IS_OWN] = "own",
	[SG_PATH_IS_TRUSTED] = "trusted",
	[SG_PATH_IS_FRIEND] = "friend",
	[SG_PATH_IS_VOUCHED] = "vouched",
	[SG_PATH_IS_BROKEN] = "broken",
	[SG_PATH_IS_REFUSED] = "refused",
	[SG_PATH_IS_UNKNOWN] = "unknown",
};

static const char *const way_names[] = {
	[SG_PATH_BY_OWN] = "own",
	[SG_PATH_BY_PERSON] = "person",
	[SG_PATH_BY_SIGNATURE] = "signature",
};

static const char *const break_names[] = {
	[SG_PATH_HOLDS] = NULL,
	[SG_PATH_BREAKS_REFUSED] = "refused",
	[SG_PATH_BREAKS_REVOKED] = "revoked",
	[SG_PATH_BREAKS_RETRACTED] = "retracted",
	[SG_PATH_BREAKS_EXPIRED] = "expired",
	[SG_PATH_BREAKS_NOT_YET_VALID] = "not_yet_valid",
	[SG_PATH_BREAKS_BAD_SIGNATURE] = "bad_signature",
	[SG_PATH_BREAKS_UNKNOWN_METHOD] = "unknown_method",
	[SG_PATH_BREAKS_SIGNATURE_REFUSED] = "signature_refused",
	[SG_PATH_BREAKS_UNCHECKED] = "unchecked",
	[SG_PATH_BREAKS_ISSUER_MISSING] = "issuer_missing",
	[SG_PATH_BREAKS_ISSUER_UNKNOWN] = "issuer_unknown",
	[SG_PATH_BREAKS_TOO_FAR] = "too_far",
};

const char *sg_path_verdict_name(enum sg_path_verdict verdict)
{
	return verdict_names[verdict];
}

const char *sg_path_way_name(enum sg_path_way way)
{
	return way_names[way];
}

const char *sg_path_break_name(enum sg_path_break breaks)
{
	return break_names[breaks];
}
