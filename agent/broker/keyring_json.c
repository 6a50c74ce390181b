#include "keyring_json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509.h>

#include "api_json.h"
#include "keyring.h"
#include "stored_keys.h"
#include "trust.h"
#include "verdict.h"
#include "x509.h"

static json_t *sightings(const struct sg_known_key *key)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < key->sighting_count; i++) {
		const struct sg_sighting *sighting = &key->sightings[i];

		json_array_append_new(array,
		    json_pack("{s:o, s:s, s:o, s:o, s:o, s:o}", "jid",
			sg_json_text_or_empty(sighting->jid), "source",
			sg_sight_name(sighting->source), "told_by", sg_json_text(sighting->told_by),
			"first", sg_json_when(sighting->first), "last",
			sg_json_when(sighting->last), "retracted",
			sg_json_when(sighting->retracted)));
	}
	return array;
}

/* What the key says of itself; its signatures are judged with the index. */
static json_t *judged(const struct sg_keyinfo *keyinfo, struct sg_verdict_index *index)
{
	struct sg_verdict verdict;
	json_t *object = NULL;

	if (sg_verdict_judge(keyinfo, index, time(NULL), &verdict) == 0)
		object = sg_json_public_key(keyinfo, &verdict);
	sg_verdict_clear(&verdict);
	return object;
}

static json_t *known_key(const struct sg_known_key *key, const json_t *judged_key)
{
	static const char *const copied[] = { "name", "kind", "jids", "user_ids", "expired",
		"revoked" };
	json_t *object = json_pack("{s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:o, s:I}", "sha256",
	    sg_json_text(key->sha256), "retracted", key->retracted, "decision",
	    sg_decision_name(key->decision), "decided", sg_json_when(key->decided), "decided_for",
	    sg_json_text(key->decided_for), "first", sg_json_when(key->first), "last",
	    sg_json_when(key->last), "sightings", sightings(key), "sighting_count",
	    (json_int_t)key->sighting_total);

	for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
		json_t *member = json_object_get(judged_key, copied[i]);

		if (member != NULL)
			json_object_set(object, copied[i], member);
	}
	return object;
}

static int is_expired(const X509 *cert)
{
	return X509_cmp_current_time(X509_get0_notBefore(cert)) >= 0 ||
	    X509_cmp_current_time(X509_get0_notAfter(cert)) <= 0;
}

/* The certificate is read once, and nothing of an OpenPGP key: lists are long. */
json_t *sg_json_known_key(const struct sg_known_key *key)
{
	const char *kind = sg_key_kind_name(key->keyinfo.kind);
	int is_pgp = key->keyinfo.kind == SG_KEYINFO_PGP;
	X509 *cert = NULL;
	json_t *of_itself, *object = NULL;

	if (key->keyinfo.kind == SG_KEYINFO_X509 &&
	    sg_x509_cert_parse(&key->keyinfo.data, &cert) != 0)
		cert = NULL;
	of_itself = json_pack("{s:s, s:s, s:o, s:[], s:o, s:o}", "name", key->keyinfo.name, "kind",
	    kind != NULL ? kind : "reference", "jids", sg_json_jids(cert), "user_ids", "expired",
	    is_pgp ? json_null() : json_boolean(cert != NULL && is_expired(cert)), "revoked",
	    is_pgp ? json_null() : json_false());
	if (of_itself != NULL)
		object = known_key(key, of_itself);
	json_decref(of_itself);
	X509_free(cert);
	return object;
}

/* ---- with its signatures ---- */

static int is_verdict(const json_t *signature, enum sg_signature_verdict verdict)
{
	const char *name = json_string_value(json_object_get(signature, "verdict"));

	return name != NULL && strcmp(name, sg_signature_verdict_name(verdict)) == 0;
}

/* The grade without bad signatures that others have shown or told. */
static json_t *grade_of(const struct sg_known_key *key, const json_t *object)
{
	const json_t *all = json_object_get(object, "signatures");
	enum sg_grade grade = SG_GRADE_NONE;

	for (uint32_t i = 0; i < key->keyinfo.signature_count; i++) {
		const json_t *signature = json_array_get(all, i);
		enum sg_grade one = SG_GRADE_NONE;

		if (is_verdict(signature, SG_SIG_GOOD))
			one = sg_signature_grade(&key->keyinfo.signatures[i]);
		else if (is_verdict(signature, SG_SIG_BAD) && i < key->shown_signatures)
			one = SG_GRADE_BAD;
		if (one > grade)
			grade = one;
	}
	return sg_json_text(sg_grade_name(grade));
}

static json_t *keyinfo_or_null(const json_t *object)
{
	json_t *text = json_object_get(object, "keyinfo");

	return json_string_length(text) <= SG_SHOWN_KEYINFO_MAX ? json_incref(text) : json_null();
}

static json_t *judge_with(
    const struct sg_known_key *key, struct sg_verdict_index *index, json_int_t total)
{
	json_t *object = judged(&key->keyinfo, index), *reply;

	if (object == NULL)
		return NULL;
	reply = json_pack("{s:o, s:o, s:o, s:O, s:I}", "key", known_key(key, object), "keyinfo",
	    keyinfo_or_null(object), "grade", grade_of(key, object), "signatures",
	    json_object_get(object, "signatures"), "signature_count", total);
	json_decref(object);
	return reply;
}

json_t *sg_json_judged_known_key(struct sg_agent *agent, struct sg_known_key *key)
{
	struct sg_msg_keyinfos subject = { .keyinfos = &key->keyinfo, .keyinfo_count = 1 };
	struct sg_msg_keyinfos issuers = { 0 };
	struct sg_verdict_index *index = NULL;
	json_int_t total = key->keyinfo.signature_count;
	json_t *reply = NULL;

	while (key->keyinfo.signature_count > SG_SHOWN_SIGNATURES_MAX)
		sg_layout_clear(
		    &sg_layout_signature, &key->keyinfo.signatures[--key->keyinfo.signature_count]);
	if (sg_stored_keys_known_issuers(&issuers, agent->store, NULL, &subject) == 0 &&
	    sg_verdict_index_new(&index, SG_TRUST_CHECKS_MAX) == 0 &&
	    sg_verdict_index_add(index, issuers.keyinfos, issuers.keyinfo_count) == 0)
		reply = judge_with(key, index, total);
	sg_verdict_index_free(index);
	sg_msg_clear(SG_MSG_KEYINFOS, &issuers);
	return reply;
}

/* ---- changes ---- */

static const char *change_name(uint32_t kind)
{
	if (kind == SG_CHANGE_REVOKED)
		return "revoked";
	return kind == SG_CHANGE_RETRACTED ? "retracted" : "new";
}

static int add_change(void *array, const struct sg_key_change *change)
{
	return json_array_append_new(array,
		   json_pack("{s:o, s:o, s:s, s:o}", "jid", sg_json_text_or_empty(change->jid),
		       "name", sg_json_text_or_empty(change->name), "kind",
		       change_name(change->kind), "at", sg_json_when(change->at))) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

json_t *sg_json_key_changes(struct sg_agent *agent, const char *jid)
{
	json_t *array = json_array();

	if (sg_store_key_changes(agent->store, jid, SG_SHOWN_CHANGES_MAX, add_change, array) != 0) {
		json_decref(array);
		return NULL;
	}
	return array;
}

json_t *sg_json_key_changes_count(struct sg_agent *agent)
{
	int64_t count;

	return sg_store_key_changes_count(agent->store, &count) == 0 ? json_integer(count) : NULL;
}
