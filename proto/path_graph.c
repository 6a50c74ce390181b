#include "path_graph.h"

#include <limits.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>

#include "keyinfo.h"
#include "text.h"
#include "x509.h"

static int compare_nodes(const void *a, const void *b)
{
	const struct sg_path_node *left = a, *right = b;

	return strcmp(left->name, right->name);
}

int sg_path_graph_new(struct sg_path_graph **graph, time_t now, size_t checks_max)
{
	*graph = calloc(1, sizeof(**graph));
	if (*graph == NULL)
		return SG_ERR_NOMEM;
	(*graph)->checks_left = checks_max;
	(*graph)->now = now;
	return 0;
}

static void node_free(void *freed)
{
	struct sg_path_node *node = freed;

	X509_free(node->cert);
	sg_strv_free(node->names);
	free(node->claims);
	free(node->seen);
	free(node->links);
	free(node->root);
	free(node);
}

void sg_path_graph_free(struct sg_path_graph *graph)
{
	if (graph == NULL)
		return;
	tdestroy(graph->tree, node_free);
	free(graph);
}

size_t sg_path_graph_checks(const struct sg_path_graph *graph)
{
	return graph->checks_made;
}

size_t sg_path_graph_signatures(const struct sg_path_graph *graph)
{
	return graph->signature_count;
}

/* ---- keys ---- */

struct sg_path_node *sg_path_node_find(const struct sg_path_graph *graph, const char *name)
{
	const struct sg_path_node wanted = { .name = name };
	struct sg_path_node *const *found;

	if (name == NULL)
		return NULL;
	found = tfind(&wanted, &graph->tree, compare_nodes);
	return found != NULL ? *found : NULL;
}

int sg_path_graph_has(const struct sg_path_graph *graph, const char *name)
{
	return sg_path_node_find(graph, name) != NULL;
}

struct sg_path_node *sg_path_node_issuer(
    const struct sg_path_graph *graph, const struct sg_path_node *node, size_t index)
{
	return sg_path_node_find(graph, node->links[index].signature->issuer);
}

/* K2 */
static int has_its_name(const struct sg_keyinfo *keyinfo)
{
	struct sg_pgp_form form;
	const char *why;
	char *name;
	int has;

	if (keyinfo->name == NULL)
		return 0;
	if (keyinfo->kind == SG_KEYINFO_PGP)
		return sg_pgp_key_check(&keyinfo->data, &form, &why) == 0 &&
		    strcmp(form.name, keyinfo->name) == 0;
	if (keyinfo->kind != SG_KEYINFO_X509)
		return 1;
	name = sg_keyinfo_name_x509(&keyinfo->data);
	has = name != NULL && strcmp(name, keyinfo->name) == 0;
	free(name);
	return has;
}

/* Copies of one OpenPGP key may differ: they are put together when it is loaded. */
static void copies_add(struct sg_path_node *node, const struct sg_keyinfo *keyinfo)
{
	if (keyinfo->kind != SG_KEYINFO_PGP || node->copy_count == SG_PGP_COPIES_MAX)
		return;
	for (size_t i = 0; i < node->copy_count; i++) {
		if (sg_blob_eq(&node->copies[i], &keyinfo->data))
			return;
	}
	node->copies[node->copy_count++] = keyinfo->data;
}

static struct sg_path_link link_of(const struct sg_path_key *key, size_t index)
{
	struct sg_path_link link = {
		.signature = &key->keyinfo->signatures[index],
		.rank = UINT_MAX,
	};

	if (key->flags & SG_PATH_SIGNED) {
		link.rank = 0;
	} else if (key->tellers != NULL) {
		link.rank = 1u + key->tellers[index].rank;
		link.who = key->tellers[index].who;
	}
	return link;
}

/* Room for the signatures of the keyinfo beside those that are there. */
static int links_add(struct sg_path_node *node, const struct sg_path_key *key)
{
	const struct sg_keyinfo *keyinfo = key->keyinfo;
	size_t count = keyinfo->signature_count;
	struct sg_path_link *links;

	if (count == 0)
		return 0;
	links = reallocarray(node->links, node->link_count + count, sizeof(*links));
	if (links == NULL)
		return SG_ERR_NOMEM;
	node->links = links;
	for (size_t i = 0; i < count; i++)
		links[node->link_count++] = link_of(key, i);
	return 0;
}

static int node_new(struct sg_path_graph *graph, const struct sg_path_key *key)
{
	struct sg_path_node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return SG_ERR_NOMEM;
	node->key = *key;
	node->name = key->keyinfo->name;
	copies_add(node, key->keyinfo);
	if (links_add(node, key) != 0 || tsearch(node, &graph->tree, compare_nodes) == NULL) {
		node_free(node);
		return SG_ERR_NOMEM;
	}
	graph->key_count++;
	return 0;
}

static int node_merge(struct sg_path_node *node, const struct sg_path_key *key)
{
	int err = links_add(node, key);

	if (err != 0)
		return err;
	if (node->key.keyinfo->kind == SG_KEYINFO_REFERENCE)
		node->key.keyinfo = key->keyinfo;
	copies_add(node, key->keyinfo);
	if (node->key.trusted_jid == NULL) {
		node->key.trusted_jid = key->trusted_jid;
		node->key.decided = key->decided;
	}
	node->key.flags |= key->flags;
	if (node->key.seen_count == 0) {
		node->key.seen_jids = key->seen_jids;
		node->key.seen_count = key->seen_count;
	}
	if (node->key.retracted_count == 0) {
		node->key.retracted_jids = key->retracted_jids;
		node->key.retracted_count = key->retracted_count;
	}
	if (node->key.first_seen == 0)
		node->key.first_seen = key->first_seen;
	X509_free(node->cert);
	sg_strv_free(node->names);
	free(node->claims);
	free(node->seen);
	node->cert = NULL;
	node->names = NULL;
	node->claims = NULL;
	node->seen = NULL;
	node->parsed = 0;
	return 0;
}

int sg_path_graph_add(struct sg_path_graph *graph, const struct sg_path_key *key)
{
	struct sg_path_node *node;
	int err;

	if (!has_its_name(key->keyinfo))
		return SG_ERR_KEYINFO;
	node = sg_path_node_find(graph, key->keyinfo->name);
	if ((node == NULL && graph->key_count >= SG_PATH_KEYS_MAX) ||
	    key->keyinfo->signature_count > SG_PATH_SIGNATURES_MAX - graph->signature_count)
		return SG_ERR_LIMIT;
	err = node != NULL ? node_merge(node, key) : node_new(graph, key);
	if (err == 0) {
		graph->signature_count += key->keyinfo->signature_count;
		graph->age++;
	}
	return err;
}

/* ---- what is in a key ---- */

/* In normal form, as JIDs are compared; what is no JID names nobody. */
static void names_normalise(char **names)
{
	size_t kept = 0;

	for (size_t i = 0; names[i] != NULL; i++) {
		char *bare = sg_jid_bare(names[i]);

		free(names[i]);
		names[i] = NULL;
		if (bare != NULL)
			names[kept++] = bare;
	}
	names[kept] = NULL;
}

static void parse_cert(struct sg_path_node *node)
{
	if (sg_x509_cert_parse(&node->key.keyinfo->data, &node->cert) != 0)
		node->cert = NULL;
	if (node->cert == NULL)
		return;
	node->not_before = sg_x509_seconds(X509_get0_notBefore(node->cert));
	node->not_after = sg_x509_seconds(X509_get0_notAfter(node->cert));
	if (sg_x509_cert_jids(node->cert, &node->names, NULL) != 0)
		node->names = NULL;
	if (node->names != NULL)
		names_normalise(node->names);
}

static int take_checks(struct sg_path_graph *graph, size_t count)
{
	if (graph->checks_left < count)
		return 0;
	graph->checks_left -= count;
	graph->checks_made += count;
	return 1;
}

/* Of those that can be judged at once, the first; the others are left out. */
static size_t copies_cost(struct sg_path_node *node)
{
	struct sg_pgp_load load = { 0 };
	struct sg_pgp_form form;
	const char *why;
	size_t kept = 0;

	for (size_t i = 0; i < node->copy_count; i++) {
		if (sg_pgp_key_check(&node->copies[i], &form, &why) == 0 &&
		    sg_pgp_load_add(&load, &form) == 0)
			node->copies[kept++] = node->copies[i];
	}
	node->copy_count = kept;
	return kept > 0 ? sg_pgp_load_cost(&load) : 0;
}

/* What the key says of itself. signet-pgp keeps it loaded for sg_verdict_check_keys(). */
static void parse_pgp(struct sg_path_graph *graph, struct sg_path_node *node)
{
	const struct sg_pgp_facts *facts;
	struct sg_pgp_key *key = NULL;
	const char *why;

	node->cost = copies_cost(node);
	node->unloaded = 1;
	if (!take_checks(graph, node->cost))
		return;
	node->cost = 0;
	if (sg_pgp_key_load(node->copies, node->copy_count, graph->now, &key, &why) != 0)
		return;
	facts = sg_pgp_key_facts(key);
	/* one without a good signature of its own is no more than bytes */
	node->unloaded = !facts->valid && !facts->expired && !facts->revoked;
	node->names = sg_strv_copy(facts->jids, sg_strv_count(facts->jids));
	node->not_before = facts->created;
	node->not_after = facts->expires;
	if (facts->revoked)
		node->key.flags |= SG_PATH_REVOKED;
	sg_pgp_key_free(key);
}

void sg_path_node_parse(struct sg_path_graph *graph, struct sg_path_node *node)
{
	if (node->parsed)
		return;
	node->parsed = 1;
	ERR_set_mark();
	if (node->key.keyinfo->kind == SG_KEYINFO_X509)
		parse_cert(node);
	else if (node->key.keyinfo->kind == SG_KEYINFO_PGP)
		parse_pgp(graph, node);
	ERR_pop_to_mark();
}

static int is_in(const char *const *list, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i], text) == 0)
			return 1;
	}
	return 0;
}

/* The names (NULL: none), then those that show it themselves; each once. */
static const char **jids_new(char *const *names, const struct sg_path_key *key)
{
	size_t named = 0, count = 0;
	const char **jids;

	while (names != NULL && names[named] != NULL)
		named++;
	jids = calloc(named + key->seen_count + 1, sizeof(*jids));
	if (jids == NULL)
		return NULL;
	for (size_t i = 0; i < named; i++) {
		if (!is_in(jids, count, names[i]))
			jids[count++] = names[i];
	}
	for (size_t i = 0; i < key->seen_count; i++) {
		if (!is_in(jids, count, key->seen_jids[i]))
			jids[count++] = key->seen_jids[i];
	}
	return jids;
}

static int is_cert(const struct sg_path_node *node)
{
	return node->key.keyinfo->kind == SG_KEYINFO_X509;
}

static int is_named(const struct sg_path_node *node)
{
	return node->cert != NULL && node->names != NULL && node->names[0] != NULL;
}

const char *const *sg_path_node_jids(struct sg_path_graph *graph, struct sg_path_node *node)
{
	static const char *const nobody[] = { NULL };

	if (is_cert(node))
		sg_path_node_parse(graph, node);
	if (is_named(node))
		return (const char *const *)node->names;
	if (node->seen == NULL)
		node->seen = jids_new(NULL, &node->key);
	return node->seen != NULL ? node->seen : nobody;
}

int sg_path_node_is_retracted(struct sg_path_graph *graph, struct sg_path_node *node)
{
	const struct sg_path_key *key = &node->key;
	const char *const *jids = sg_path_node_jids(graph, node);

	if (key->retracted_count == 0)
		return 0;
	if (key->trusted_jid != NULL)
		return is_in(key->retracted_jids, key->retracted_count, key->trusted_jid);
	for (; *jids != NULL; jids++) {
		if (is_in(key->retracted_jids, key->retracted_count, *jids))
			return 1;
	}
	return !is_named(node) && node->key.seen_count == 0;
}

const char *const *sg_path_claims(struct sg_path_graph *graph, const char *name)
{
	struct sg_path_node *node = sg_path_node_find(graph, name);

	if (node == NULL)
		return NULL;
	sg_path_node_parse(graph, node);
	if (node->claims == NULL)
		node->claims = jids_new(node->names, &node->key);
	return node->claims;
}

/* ---- checks ---- */

static EVP_PKEY *key_of(struct sg_path_graph *graph, struct sg_path_node *node)
{
	if (is_cert(node))
		sg_path_node_parse(graph, node);
	return node->cert != NULL ? X509_get0_pubkey(node->cert) : NULL;
}

int sg_path_node_is_twin(
    struct sg_path_graph *graph, struct sg_path_node *a, struct sg_path_node *b)
{
	EVP_PKEY *one = key_of(graph, a), *other = key_of(graph, b);

	return one != NULL && other != NULL && EVP_PKEY_eq(one, other) == 1;
}

/* Whether it is known without a check what the signature is; *verdict is that then. */
static int is_clear(struct sg_path_graph *graph, struct sg_path_node *issuer,
    struct sg_path_node *node, const struct sg_signature *signature,
    enum sg_signature_verdict *verdict)
{
	EVP_PKEY *by = key_of(graph, issuer), *on = key_of(graph, node);

	*verdict = SG_SIG_REFUSED;
	if (!sg_signature_counts(signature, NULL))
		return 1;
	*verdict = SG_SIG_UNKNOWN_METHOD;
	if (issuer->key.keyinfo->kind == SG_KEYINFO_REFERENCE ||
	    node->key.keyinfo->kind == SG_KEYINFO_REFERENCE)
		return 1;
	if (sg_path_node_is_twin(graph, issuer, node)) {
		*verdict = SG_SIG_SELF;
		return 1;
	}
	if (issuer->key.keyinfo->kind == SG_KEYINFO_X509 &&
	    (by == NULL || sg_method_grade(signature->method) == SG_GRADE_NONE))
		return 1;
	if (issuer->key.keyinfo->kind == SG_KEYINFO_PGP && signature->method != NULL) /* K6 */
		return 1;
	return node->key.keyinfo->kind == SG_KEYINFO_X509 && on == NULL;
}

static enum sg_signature_verdict check(struct sg_path_graph *graph, struct sg_path_node *issuer,
    struct sg_path_node *node, const struct sg_signature *signature)
{
	const struct sg_keyinfo *by = issuer->key.keyinfo, *on = node->key.keyinfo;

	if (by->kind == SG_KEYINFO_X509 && on->kind == SG_KEYINFO_X509)
		return sg_verdict_check(
		    key_of(graph, issuer), signature->method, &on->data, &signature->value);
	return sg_verdict_check_keys(by, on, signature, graph->now, NULL);
}

enum sg_signature_verdict sg_path_node_check(
    struct sg_path_graph *graph, struct sg_path_node *node, size_t index)
{
	struct sg_path_link *link = &node->links[index];
	struct sg_path_node *issuer;
	enum sg_signature_verdict verdict;

	if (link->known)
		return link->verdict;
	issuer = sg_path_node_issuer(graph, node, index);
	if (issuer == NULL)
		return SG_SIG_UNKNOWN_ISSUER;
	if (issuer == node)
		return SG_SIG_SELF;
	if (is_clear(graph, issuer, node, link->signature, &verdict))
		return verdict;
	sg_path_node_parse(graph, issuer);
	if (!take_checks(graph, 1 + issuer->cost))
		return SG_SIG_UNCHECKED;
	verdict = check(graph, issuer, node, link->signature);
	link->known = 1;
	link->verdict = (uint8_t)verdict;
	return verdict;
}

size_t sg_path_signature_count(const struct sg_path_graph *graph, const char *name)
{
	const struct sg_path_node *node = sg_path_node_find(graph, name);

	return node != NULL ? node->link_count : 0;
}

int sg_path_signature(struct sg_path_graph *graph, const char *name, size_t index,
    const struct sg_signature **signature, enum sg_signature_verdict *verdict)
{
	struct sg_path_node *node = sg_path_node_find(graph, name);

	*signature = NULL;
	*verdict = SG_SIG_UNCHECKED;
	if (node == NULL || index >= node->link_count)
		return SG_ERR_KEY_ABSENT;
	*signature = node->links[index].signature;
	*verdict = sg_path_node_check(graph, node, index);
	return 0;
}
