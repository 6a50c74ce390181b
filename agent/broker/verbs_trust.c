/* ExplainKey, Graph. */
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "api_json.h"
#include "call.h"
#include "path_json.h"
#include "store_trust.h"
#include "trust.h"
#include "verbs_keyring.h"

#define PAGE_KEYS     8		   /* of the keyring in one reply of Graph: nobody waits long */
#define PAGE_SHOWN    (256u << 10) /* bytes of a key's keyinfos, more are not read for Graph */
#define EXPLAIN_SHOWN (16u << 20)
#define EDGES_MAX     100 /* signatures of one key that Graph tells */

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

static int explain(struct sg_trust *trust, const char *fingerprint, json_t **object)
{
	struct sg_path path;
	char *name;
	int err = sg_trust_resolve(trust, fingerprint, &name);

	if (err == 0)
		err = sg_trust_add(trust, name, EXPLAIN_SHOWN);
	if (err == 0)
		err = sg_path_judge(sg_trust_graph(trust), name, &path);
	/* which of those that signed are trusted themselves is known of those that count alone */
	if (err == 0 && path.verdict == SG_PATH_IS_UNKNOWN && path.step_count == 1 &&
	    path.steps[0].issuer != NULL && path.steps[0].breaks == SG_PATH_BREAKS_ISSUER_UNKNOWN) {
		err = sg_trust_add(trust, path.steps[0].issuer, PAGE_SHOWN);
		if (err == 0)
			err = sg_path_judge(sg_trust_graph(trust), name, &path);
	}
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

static json_t *next_json(int part, int64_t last)
{
	return json_sprintf("%d.%" PRId64, part, last);
}

struct page {
	struct sg_trust *trust;
	json_t *keys;
	json_t *edges;
	/* Of the keyring; the last one only tells that there are more. It is read part by part. */
	char *names[PAGE_KEYS + 1];
	size_t name_count;
	int part; /* enum sg_web_part: of the last one that is on the page, ... */
	int64_t last;
	int reading; /* ... and the one that is being read */
};

static const char *role_of(const struct sg_path_key *key)
{
	if (key->flags & SG_PATH_OWN_USER)
		return "own_user";
	return key->flags & SG_PATH_OWN_CLIENT ? "own_client" : "other";
}

/* The signatures whose issuer is known. *count: all of them. */
static int edges_put(struct page *page, const char *name, size_t *count)
{
	struct sg_path_graph *graph = sg_trust_graph(page->trust);
	const struct sg_signature *signature;
	enum sg_signature_verdict verdict;
	size_t put = 0;
	int err = 0;

	for (*count = 0; put < EDGES_MAX; (*count)++) {
		if (sg_path_signature(graph, name, *count, &signature, &verdict) != 0)
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

static int key_put(void *arg, const struct sg_path_key *key)
{
	struct page *page = arg;
	const char *name = key->keyinfo->name;
	struct sg_path_graph *graph = sg_trust_graph(page->trust);
	struct sg_path path;
	size_t signatures;
	int err = sg_path_judge(graph, name, &path);

	/* one that the graph has not taken is no key to be judged (K2) */
	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	err = edges_put(page, name, &signatures);
	if (err != 0)
		return err;
	return json_array_append_new(page->keys,
		   json_pack("{s:o, s:s, s:s, s:I, s:o}", "name", sg_json_text_or_empty(name),
		       "kind", sg_key_kind_name(key->keyinfo->kind), "role", role_of(key),
		       "signature_count", (json_int_t)signatures, "path",
		       sg_json_path(graph, name, &path))) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

static int page_take(void *arg, int64_t id, const char *name)
{
	struct page *page = arg;

	if (page->name_count < PAGE_KEYS) {
		page->part = page->reading;
		page->last = id;
	}
	page->names[page->name_count] = name != NULL ? strdup(name) : NULL;
	return page->names[page->name_count++] != NULL ? 0 : SG_ERR_NOMEM;
}

/* The names of the page's keys, from where the last page ended. */
static int page_read(struct sg_store *store, struct page *page, int64_t after)
{
	int err = 0;

	for (page->reading = page->part;
	     err == 0 && page->reading < SG_WEB_PARTS && page->name_count <= PAGE_KEYS;
	     page->reading++) {
		err = sg_store_web(store, (enum sg_web_part)page->reading, after,
		    PAGE_KEYS + 1 - page->name_count, page_take, page);
		after = 0;
	}
	return err;
}

static int is_new(const struct page *page, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (strcmp(page->names[i], page->names[at]) == 0)
			return 0;
	}
	return 1;
}

static int page_fill(struct sg_call *call, struct page *page, int64_t after)
{
	size_t count;
	int err = 0;

	if (after == 0 && page->part == 0)
		err = sg_trust_own(page->trust, key_put, page);
	if (err == 0)
		err = page_read(call->agent->store, page, after);
	count = page->name_count < PAGE_KEYS ? page->name_count : PAGE_KEYS;
	for (size_t i = 0; err == 0 && i < count; i++)
		err = sg_trust_add(page->trust, page->names[i], PAGE_SHOWN);
	for (size_t i = 0; err == 0 && i < count; i++) {
		const struct sg_path_key *key = sg_trust_key(page->trust, page->names[i]);

		if (key != NULL && is_new(page, i))
			err = key_put(page, key);
	}
	return err;
}

void sg_verb_graph(struct sg_call *call)
{
	struct page page = { .keys = json_array(), .edges = json_array() };
	const char *account;
	int64_t after;
	int err;

	if (!take_account(call, &account) || !take_after(call, &page.part, &after))
		goto out;
	err = sg_trust_new(call->agent, account, &page.trust);
	if (err == 0)
		err = page_fill(call, &page, after);
	if (err == 0)
		sg_call_reply(call,
		    json_pack("{s:O, s:O, s:o}", "keys", page.keys, "edges", page.edges, "next",
			page.name_count > PAGE_KEYS ? next_json(page.part, page.last)
						    : json_null()));
	else
		sg_call_fail_code(call, err, NULL);
out:
	for (size_t i = 0; i < page.name_count; i++)
		free(page.names[i]);
	json_decref(page.keys);
	json_decref(page.edges);
	sg_trust_free(page.trust);
}
