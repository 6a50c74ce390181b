/* ListKeyring, ShowKeyring, TrustKey, DistrustKey, ForgetKey, AcknowledgeKeys. */
#include "verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "call.h"
#include "fingerprint.h"
#include "keyring.h"
#include "keyring_json.h"
#include "text.h"
#include "verbs_keyring.h"

#define LIST_MAX       50	    /* keys in one reply of ListKeyring */
#define LIST_BYTES_MAX (600u << 10) /* of them, about */
#define KNOWN_MAX      16	    /* keys of a JID that a mismatch names */

static const char no_such_advice[] =
    "`signet keyring list` shows the keys that are known; `signet keyring fetch JID` gets them.";
static const char two_advice[] = "Name one of the candidates by its SHA-256.";

/* The parameter as a bare JID, a new string; NULL when it is absent, or the call has failed. */
static char *take_jid(struct sg_call *call, const char *parameter, int *failed)
{
	const char *text = sg_call_string(call, parameter);
	char *jid = text != NULL ? sg_jid_bare(text) : NULL;

	*failed = text != NULL && jid == NULL;
	if (*failed)
		sg_call_fail_with(call, SG_ERR_ARG, parameter, "\"%s\" is no JID", text);
	return jid;
}

/* ---- finding a key ---- */

struct found {
	struct sg_known_key *keys;
	size_t count;
};

static void found_clear(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		sg_known_key_clear(&found->keys[i]);
	free(found->keys);
	*found = (struct found){ NULL, 0 };
}

static int found_add(void *arg, struct sg_known_key *key)
{
	struct found *found = arg;
	struct sg_known_key *grown =
	    reallocarray(found->keys, found->count + 1, sizeof(*found->keys));

	if (grown == NULL)
		return SG_ERR_NOMEM;
	found->keys = grown;
	grown[found->count++] = *key;
	memset(key, 0, sizeof(*key));
	return 0;
}

static const char *first_jid(const struct sg_known_key *key)
{
	return key->sighting_count > 0 ? key->sightings[0].jid : NULL;
}

static void fail_ambiguous(struct sg_call *call, const char *fingerprint, const struct found *found)
{
	struct sg_msg_error error = { 0 };

	sg_msg_error_set(&error, SG_ERR_KEY_AMBIGUOUS, fingerprint,
	    found->keys[0].keyinfo.kind == SG_KEYINFO_PGP
		? "%zu OpenPGP keys with the name %s differ in what is beside the primary key"
		: "%zu keys have the name %s: somebody has forged one",
	    found->count, fingerprint);
	for (size_t i = 0; i < found->count; i++) {
		const struct sg_candidate candidate = {
			.uri = found->keys[i].sha256,
			.label = found->keys[i].sighting_count > 0 ? found->keys[i].sightings[0].jid
								   : NULL,
		};

		if (candidate.uri != NULL)
			sg_failure_add_candidate(&error, &candidate);
	}
	sg_call_advise(call, SG_ERR_KEY_AMBIGUOUS, two_advice);
	sg_call_fail(call, &error);
	sg_failure_clear(&error);
}

/* Says that it is an own key, if it is; else that it is not known. */
static void fail_unknown(struct sg_call *call, const char *fingerprint)
{
	char *own = NULL;
	int err = sg_store_keyring_own(call->agent->store, fingerprint, &own);

	if (err == 0) {
		sg_call_advise(call, SG_ERR_ARG,
		    "The keyring holds the keys of others; `signet key list` and `signet account "
		    "show` show your own.");
		sg_call_fail_with(call, SG_ERR_ARG, fingerprint,
		    "%s is a key of your own, of the account %s", fingerprint, own);
	} else if (err == SG_ERR_KEY_ABSENT) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT, no_such_advice);
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, fingerprint,
		    "no key with the fingerprint %s is known", fingerprint);
	} else {
		sg_call_fail_code(call, err, NULL);
	}
	free(own);
}

/* The one key with the parameter's fingerprint; 0 when the call has failed. */
static int find_one(
    struct sg_call *call, const char *parameter, unsigned flags, struct found *found)
{
	char *fingerprint = sg_call_take_fingerprint(call, parameter);
	int err, one = 0;

	*found = (struct found){ NULL, 0 };
	if (fingerprint == NULL)
		return 0;
	err = sg_store_keyring_get(call->agent->store, fingerprint, flags, found_add, found);
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else if (found->count == 0)
		fail_unknown(call, fingerprint);
	else if (found->count > 1)
		fail_ambiguous(call, fingerprint, found);
	else
		one = 1;
	if (!one)
		found_clear(found);
	free(fingerprint);
	return one;
}

/* ---- ListKeyring ---- */

struct page {
	json_t *keys;
	size_t bytes;
	int64_t last;
	int more; /* the reply is full, and there are others */
};

static int page_add(void *arg, struct sg_known_key *key)
{
	struct page *page = arg;
	json_t *object;
	size_t len;

	if (page->more || json_array_size(page->keys) == LIST_MAX) {
		page->more = 1;
		return 0;
	}
	object = sg_json_known_key(key);
	len = object != NULL ? json_dumpb(object, NULL, 0, JSON_COMPACT) : 0;
	if (len == 0) {
		json_decref(object);
		return SG_ERR_NOMEM;
	}
	if (page->bytes + len > LIST_BYTES_MAX && json_array_size(page->keys) > 0) {
		json_decref(object);
		page->more = 1;
		return 0;
	}
	page->bytes += len;
	page->last = key->id;
	json_array_append_new(page->keys, object);
	return 0;
}

int sg_call_take_after(struct sg_call *call, int64_t *after)
{
	const char *text = sg_call_string(call, "after");
	char *end = NULL;

	*after = 0;
	if (text == NULL)
		return 1;
	errno = 0;
	*after = strtoll(text, &end, 10);
	if (errno == 0 && end != text && *end == '\0' && *after >= 0)
		return 1;
	sg_call_fail_with(call, SG_ERR_ARG, "after", "after is what an earlier reply gave as next");
	return 0;
}

json_t *sg_json_next(int more, int64_t last)
{
	char text[24];

	if (!more)
		return json_null();
	(void)snprintf(text, sizeof(text), "%" PRId64, last);
	return json_string(text);
}

void sg_verb_list_keyring(struct sg_call *call)
{
	struct sg_keyring_query query = { .search = sg_call_string(call, "search"),
		.max = LIST_MAX + 1 };
	struct page page = { .keys = json_array() };
	int failed = 0, err;
	int64_t reached;
	char *jid = NULL;

	if (!sg_call_take_after(call, &query.after))
		goto out;
	jid = take_jid(call, "jid", &failed);
	if (failed)
		goto out;
	if (jid != NULL && query.search != NULL) {
		sg_call_fail_with(call, SG_ERR_ARG, "search",
		    "look for keys of a JID or for a text, not for both");
		goto out;
	}
	query.jid = jid;
	err = sg_store_keyring_search(call->agent->store, &query, 0, page_add, &page, &reached);
	if (!page.more && reached != 0) {
		page.more = 1;
		page.last = reached;
	}
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		sg_call_reply(call,
		    json_pack("{s:O, s:o}", "keys", page.keys, "next",
			sg_json_next(page.more, page.last)));
out:
	json_decref(page.keys);
	free(jid);
}

/* ---- ShowKeyring ---- */

void sg_verb_show_keyring(struct sg_call *call)
{
	struct found found;

	if (!find_one(call, "name", SG_KNOWN_SIGNATURES, &found))
		return;
	sg_call_reply(call, sg_json_judged_known_key(call->agent, &found.keys[0]));
	found_clear(&found);
}

/* ---- TrustKey, DistrustKey, ForgetKey ---- */

/* Only those that are said to be keys of this JID stay. */
static int keep_those_of(struct sg_store *store, const char *jid, struct found *found)
{
	size_t kept = 0;
	int err = 0;

	for (size_t i = 0; i < found->count; i++) {
		int is_of = 0;

		if (err == 0)
			err = sg_store_keyring_is_of(store, found->keys[i].id, jid, &is_of);
		if (!is_of) {
			sg_known_key_clear(&found->keys[i]);
			continue;
		}
		if (kept != i) {
			found->keys[kept] = found->keys[i];
			memset(&found->keys[i], 0, sizeof(found->keys[i]));
		}
		kept++;
	}
	found->count = kept;
	return err;
}

/* The fingerprint of the kind that was given. */
static char *comparable(const struct sg_known_key *key, const char *given)
{
	return strlen(given) == 64 && key->sha256 != NULL ? key->sha256 : key->keyinfo.name;
}

/* What was compared is no key of the JID: both sides are told. */
static void fail_mismatch(struct sg_call *call, const char *jid, const char *given,
    const char *other, const struct found *known)
{
	struct sg_msg_error error = { 0 };
	struct sg_buf text = { 0 };
	char *message;

	sg_buf_printf(&text, "MISMATCH: %s is not a key of %s", given, jid);
	if (other != NULL)
		sg_buf_printf(&text, ", but known as one of %s", other);
	if (known->count == 0)
		sg_buf_printf(&text, "; of %s no key is known", jid);
	else
		sg_buf_printf(&text, "; known is %s%s", comparable(&known->keys[0], given),
		    known->count > 1 ? ", among others" : "");
	message = sg_buf_steal(&text, NULL);
	sg_msg_error_set(&error, SG_ERR_KEY_MISMATCH, jid, "%s",
	    message != NULL ? message : sg_err_text(SG_ERR_KEY_MISMATCH));
	error.condition = strdup(given);
	for (size_t i = 0; i < known->count; i++) {
		const struct sg_candidate candidate = {
			.uri = comparable(&known->keys[i], given),
		};

		sg_failure_add_candidate(&error, &candidate);
	}
	sg_call_fail(call, &error);
	sg_failure_clear(&error);
	free(message);
}

/* Nothing fits: why, as far as it is known. */
static void fail_trust(
    struct sg_call *call, const char *jid, const char *fingerprint, const char *other)
{
	const struct sg_keyring_query query = { .jid = jid, .max = KNOWN_MAX };
	struct found known = { NULL, 0 };
	char *own = NULL;
	int err = sg_store_keyring_own(call->agent->store, fingerprint, &own);

	if (err == 0) {
		fail_unknown(call, fingerprint);
	} else {
		err = sg_store_keyring_list(call->agent->store, &query, 0, found_add, &known);
		if (err != 0)
			sg_call_fail_code(call, err, NULL);
		else if (known.count > 0 || other != NULL)
			fail_mismatch(call, jid, fingerprint, other, &known);
		else {
			sg_call_advise(call, SG_ERR_KEY_ABSENT,
			    "Get them with `signet keyring fetch`, then compare again.");
			sg_call_fail_with(
			    call, SG_ERR_KEY_ABSENT, jid, "no key of %s is known", jid);
		}
	}
	found_clear(&known);
	free(own);
}

/* Decides; what waits to be looked at of this key has been. */
static void decide(struct sg_call *call, const struct sg_known_key *key, enum sg_decision decision,
    const char *jid)
{
	struct sg_store *store = call->agent->store;
	struct found found = { NULL, 0 };
	int64_t dropped;
	int err = sg_store_keyring_decide(store, key->id, decision, jid, time(NULL));

	if (err == 0)
		err = sg_store_key_changes_drop(store, NULL, key->keyinfo.name, &dropped);
	if (err == 0)
		err = sg_store_keyring_get(store,
		    key->sha256 != NULL ? key->sha256 : key->keyinfo.name, 0, found_add, &found);
	if (err != 0 || found.count == 0)
		sg_call_fail_code(call, err != 0 ? err : SG_ERR_INTERNAL, NULL);
	else
		sg_call_reply(call, json_pack("{s:o}", "key", sg_json_known_key(&found.keys[0])));
	found_clear(&found);
}

static void trust(struct sg_call *call, const char *jid, const char *fingerprint)
{
	struct found found = { NULL, 0 };
	char *other = NULL;
	int err = sg_store_keyring_get(call->agent->store, fingerprint, 0, found_add, &found);

	if (err == 0 && found.count > 0)
		other = sg_text_copy(first_jid(&found.keys[0]));
	if (err == 0)
		err = keep_those_of(call->agent->store, jid, &found);
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else if (found.count == 0)
		fail_trust(call, jid, fingerprint, other);
	else if (found.count > 1)
		fail_ambiguous(call, fingerprint, &found);
	else if (found.keys[0].sha256 == NULL) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT,
		    "Get it with `signet keyring fetch`, then compare again.");
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, fingerprint,
		    "of the key %s of %s only the name is known", fingerprint, jid);
	} else
		decide(call, &found.keys[0], SG_DECISION_TRUSTED, jid);
	found_clear(&found);
	free(other);
}

void sg_verb_trust_key(struct sg_call *call)
{
	char *fingerprint = sg_call_take_fingerprint(call, "fingerprint");
	char *jid = NULL;
	int failed = 0;

	if (fingerprint == NULL)
		return;
	jid = take_jid(call, "jid", &failed);
	if (!failed)
		trust(call, jid, fingerprint);
	free(jid);
	free(fingerprint);
}

void sg_verb_distrust_key(struct sg_call *call)
{
	struct found found;

	if (!find_one(call, "fingerprint", 0, &found))
		return;
	decide(call, &found.keys[0], SG_DECISION_DISTRUSTED, NULL);
	found_clear(&found);
}

void sg_verb_forget_key(struct sg_call *call)
{
	struct found found;
	int64_t dropped;
	int err;

	if (!find_one(call, "fingerprint", 0, &found))
		return;
	err = sg_store_keyring_forget(call->agent->store, found.keys[0].id);
	if (err == 0)
		err = sg_store_key_changes_drop(
		    call->agent->store, NULL, found.keys[0].keyinfo.name, &dropped);
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		sg_call_reply(call, json_object());
	found_clear(&found);
}

/* ---- AcknowledgeKeys ---- */

void sg_verb_acknowledge_keys(struct sg_call *call)
{
	int64_t dropped;
	int failed = 0, err;
	char *jid = take_jid(call, "jid", &failed);
	json_t *changes;

	if (failed)
		return;
	changes = sg_json_key_changes(call->agent, jid);
	err = changes != NULL ? sg_store_key_changes_drop(call->agent->store, jid, NULL, &dropped)
			      : SG_ERR_IO;
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		sg_call_reply(call,
		    json_pack("{s:O, s:I}", "changes", changes, "count", (json_int_t)dropped));
	json_decref(changes);
	free(jid);
}
