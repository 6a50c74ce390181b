/* ExplainKey, Graph. */
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "api_json.h"
#include "call.h"
#include "fingerprint.h"
#include "path_json.h"
#include "store_trust.h"
#include "trust.h"

#define EDGES_MAX 100 /* signatures of one key that Graph tells */

/* Bytes of an issuer's keyinfos: more are not read of one that does not count. */
#define ISSUER_SHOWN (256u << 10)

/* A page of Graph ends with so many keys of the keyring, or when so much was done: nobody else is
 * answered meanwhile. */
#define PAGE_KEYS	8
#define PAGE_CHECKS	SG_TRUST_CHECKS_MAX
#define PAGE_SIGNATURES 4000

static const char no_such_advice[] =
    "`signet keyring list` shows the keys that are known; `signet keyring fetch JID` gets them.";

/* The parameter "account": of an account that is there, or NULL. 0 when the call has failed. */
static int take_account(struct sg_call *call, const char **account)
{
	*account = NULL;
	if (sg_call_string(call, "account") == NULL)
		return 1;
	if (!sg_call_take_account(call, "account"))
		return 0;
	*account = call->account->row.jid;
	return 1;
}

/* ---- ExplainKey ---- */

/* Each key of the keyring is judged alone, with checks of its own, for ExplainKey and for Graph; the own
 * keys, which need no path, share one number of checks. */
static int judge(struct sg_trust *trust, const char *name, struct sg_path *path)
{
	struct sg_path_graph *graph = sg_trust_graph(trust);
	int err = sg_trust_add(trust, name, SG_TRUST_ALL);

	if (err == 0)
		err = sg_path_judge(graph, name, path);
	/* which of those that signed are trusted themselves is known of those that count alone */
	if (err == 0 && path->verdict == SG_PATH_IS_UNKNOWN && path->step_count == 1 &&
	    path->steps[0].issuer != NULL &&
	    path->steps[0].breaks == SG_PATH_BREAKS_ISSUER_UNKNOWN) {
		err = sg_trust_add(trust, path->steps[0].issuer, ISSUER_SHOWN);
		if (err == 0)
			err = sg_path_judge(graph, name, path);
	}
	return err;
}

static int explain(struct sg_trust *trust, const char *fingerprint, json_t **object)
{
	struct sg_path path;
	char *name;
	int err = sg_trust_resolve(trust, fingerprint, &name);

	if (err == 0)
		err = judge(trust, name, &path);
	if (err == 0) {
		*object = sg_json_path(sg_trust_graph(trust), name, &path);
		err = *object != NULL ? 0 : SG_ERR_NOMEM;
	}
	free(name);
	return err;
}

void sg_verb_explain_key(struct sg_call *call)
{
	char *fingerprint = sg_fingerprint_take(sg_call_string(call, "name"));
	struct sg_trust *trust = NULL;
	json_t *path = NULL;
	const char *account;
	int err = fingerprint != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0 && fingerprint[0] == '\0') {
		sg_call_fail_with(call, SG_ERR_ARG, "name",
		    "a key's name is 40 hex digits, or the 64 of its SHA-256");
		free(fingerprint);
		return;
	}
	if (err == 0 && !take_account(call, &account)) {
		free(fingerprint);
		return;
	}
	if (err == 0)
		err = sg_trust_new(call->agent, account, &trust);
	if (err == 0)
		err = explain(trust, fingerprint, &path);
	sg_trust_free(trust);
	if (err == SG_ERR_KEY_ABSENT)
		sg_call_advise(call, err, no_such_advice);
	if (err == 0)
		sg_call_reply(call, json_pack("{s:o}", "path", path));
	else if (err == SG_ERR_KEY_ABSENT)
		sg_call_fail_with(call, err, fingerprint, "no key %s is known", fingerprint);
	else
		sg_call_fail_code(call, err, NULL);
	free(fingerprint);
}

/* ---- Graph ---- */

/* "PART.ID": the part of the keyring, and the last key of it. 0 when the call has failed. */
static int take_after(struct sg_call *call, int *part, int64_t *after)
{
	const char *text = sg_call_string(call, "after");
	char *end;

	*part = 0;
	*after = 0;
	if (text == NULL)
		return 1;
	if (text[0] >= '0' && text[0] < '0' + SG_WEB_PARTS && text[1] == '.' && text[2] >= '1' &&
	    text[2] <= '9') {
		errno = 0;
		*part = text[0] - '0';
		*after = strtoll(text + 2, &end, 10);
		if (errno == 0 && *end == '\0')
			return 1;
	}
	sg_call_fail_with(call, SG_ERR_ARG, "after", "after is what an earlier reply gave as next");
	return 0;
}

/* A key of the keyring, which is read part by part. */
struct place {
	char *name;
	int part; /* enum sg_web_part */
	int64_t id;
};

struct page {
	struct sg_agent *agent;
	const char *account;
	json_t *keys;
	json_t *edges;
	struct place places[PAGE_KEYS + 1]; /* the last one only tells that there are more */
	size_t place_count;
	size_t done;		   /* so many of them are on the page */
	int part;		   /* that is being read */
	struct sg_trust *trust;	   /* of what is put now */
	size_t checks, signatures; /* of those that were put */
};

static const char *role_of(const struct sg_path_key *key)
{
	if (key->flags & SG_PATH_OWN_USER)
		return "own_user";
	return key->flags & SG_PATH_OWN_CLIENT ? "own_client" : "other";
}

/* The signatures whose issuer is known. */
static int edges_put(struct page *page, const char *name)
{
	struct sg_path_graph *graph = sg_trust_graph(page->trust);
	const struct sg_signature *signature;
	enum sg_signature_verdict verdict;
	size_t put = 0;
	int err = 0;

	for (size_t i = 0; put < EDGES_MAX; i++) {
		if (sg_path_signature(graph, name, i, &signature, &verdict) != 0)
			return 0;
		if (verdict == SG_SIG_UNKNOWN_ISSUER || verdict == SG_SIG_SELF)
			continue;
		put++;
		err = json_array_append_new(page->edges,
		    json_pack("{s:o, s:s, s:o, s:s, s:s}", "issuer",
			sg_json_text_or_empty(signature->issuer), "subject", name, "method",
			sg_json_text(signature->method), "grade",
			sg_grade_name(sg_signature_grade(signature)), "verdict",
			sg_signature_verdict_name(verdict)));
		if (err != 0)
			return SG_ERR_NOMEM;
	}
	return 0;
}

static int key_put(struct page *page, const struct sg_path_key *key, const struct sg_path *path)
{
	const char *name = key->keyinfo->name;
	/* what a key says of itself goes before its edges, for which checks are left or not */
	json_t *shown = sg_json_path(sg_trust_graph(page->trust), name, path);
	size_t signatures = sg_path_signature_count(sg_trust_graph(page->trust), name);
	int err = shown != NULL ? edges_put(page, name) : SG_ERR_NOMEM;

	if (err != 0) {
		json_decref(shown);
		return err;
	}
	return json_array_append_new(page->keys,
		   json_pack("{s:o, s:s, s:s, s:I, s:o}", "name", sg_json_text_or_empty(name),
		       "kind", sg_key_kind_name(key->keyinfo->kind), "role", role_of(key),
		       "signature_count", (json_int_t)signatures, "path", shown)) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

static int own_put(void *arg, const struct sg_path_key *key)
{
	struct page *page = arg;
	struct sg_path path;
	int err = sg_path_judge(sg_trust_graph(page->trust), key->keyinfo->name, &path);

	if (err == 0)
		err = key_put(page, key, &path);
	return err == SG_ERR_KEY_ABSENT ? 0 : err; /* one that is no key to be judged (K2) */
}

static int page_take(void *arg, int64_t id, const char *name)
{
	struct page *page = arg;
	struct place *place = &page->places[page->place_count++];

	*place = (struct place){ name != NULL ? strdup(name) : NULL, page->part, id };
	return place->name != NULL ? 0 : SG_ERR_NOMEM;
}

/* The page's keys, from where the last page ended. */
static int page_read(struct page *page, int64_t after)
{
	int err = 0;

	for (; err == 0 && page->part < SG_WEB_PARTS && page->place_count <= PAGE_KEYS;
	     page->part++) {
		err = sg_store_web(page->agent->store, (enum sg_web_part)page->part, after,
		    PAGE_KEYS + 1 - page->place_count, page_take, page);
		after = 0;
	}
	return err;
}

static int is_new(const struct page *page, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(page->places[i].name, page->places[at].name) == 0)
			return 0;
	}
	return 1;
}

static void page_end_trust(struct page *page)
{
	page->checks += sg_path_graph_checks(sg_trust_graph(page->trust));
	page->signatures += sg_path_graph_signatures(sg_trust_graph(page->trust));
	sg_trust_free(page->trust);
	page->trust = NULL;
}

/* A key of the keyring. */
static int place_put(struct page *page, const char *name)
{
	struct sg_path path;
	int err = sg_trust_new(page->agent, page->account, &page->trust);

	if (err != 0)
		return err;
	err = judge(page->trust, name, &path);
	if (err == 0)
		err = key_put(page, sg_trust_key(page->trust, name), &path);
	page_end_trust(page);
	return err == SG_ERR_KEY_ABSENT ? 0 : err; /* as above */
}

static int own_put_all(struct page *page)
{
	int err = sg_trust_new(page->agent, page->account, &page->trust);

	if (err != 0)
		return err;
	err = sg_trust_own(page->trust, own_put, page);
	page_end_trust(page);
	return err;
}

static int is_full(const struct page *page)
{
	return page->done == PAGE_KEYS || page->checks >= PAGE_CHECKS ||
	    page->signatures >= PAGE_SIGNATURES;
}

static int page_fill(struct page *page, int64_t after)
{
	int err = 0;

	if (after == 0 && page->part == 0)
		err = own_put_all(page);
	page->checks = page->signatures = 0;
	if (err == 0)
		err = page_read(page, after);
	while (err == 0 && page->done < page->place_count && !is_full(page)) {
		if (is_new(page, page->done))
			err = place_put(page, page->places[page->done].name);
		page->done++;
	}
	return err;
}

/* From where the next page goes on, or null. */
static json_t *next_json(const struct page *page)
{
	const struct place *last;

	if (page->done == page->place_count)
		return json_null();
	last =
	    &page->places[page->done - 1]; /* there is one, for no page is full at its beginning */
	return json_sprintf("%d.%" PRId64, last->part, last->id);
}

void sg_verb_graph(struct sg_call *call)
{
	struct page page = {
		.agent = call->agent,
		.keys = json_array(),
		.edges = json_array(),
	};
	int64_t after;
	int err;

	if (!take_account(call, &page.account) || !take_after(call, &page.part, &after))
		goto out;
	err = page_fill(&page, after);
	if (err == 0)
		sg_call_reply(call,
		    json_pack("{s:O, s:O, s:o}", "keys", page.keys, "edges", page.edges, "next",
			next_json(&page)));
	else
		sg_call_fail_code(call, err, NULL);
out:
	for (size_t i = 0; i < page.place_count; i++)
		free(page.places[i].name);
	json_decref(page.keys);
	json_decref(page.edges);
}
