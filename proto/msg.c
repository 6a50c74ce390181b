#include "msg.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define ERROR_CODE_MAX 1000 /* no SG_ERR_* is beyond minus this */

/* The order of the fields is the order on the wire: PROTOCOL.internal changes with it. */
#define U32(member)                                                                                \
	{                                                                                          \
		SG_FIELD_U32, offsetof(struct MSG, member), 0, NULL                                \
	}
#define STR(member)                                                                                \
	{                                                                                          \
		SG_FIELD_STR, offsetof(struct MSG, member), 0, NULL                                \
	}
#define BLOB(member)                                                                               \
	{                                                                                          \
		SG_FIELD_BLOB, offsetof(struct MSG, member), 0, NULL                               \
	}
#define STRUCT(member, layout)                                                                     \
	{                                                                                          \
		SG_FIELD_STRUCT, offsetof(struct MSG, member), 0, &(layout)                        \
	}
#define STRS(member, count)                                                                        \
	{                                                                                          \
		SG_FIELD_STRS, offsetof(struct MSG, member), offsetof(struct MSG, count), NULL     \
	}
#define LIST(member, count, layout)                                                                \
	{                                                                                          \
		SG_FIELD_LIST, offsetof(struct MSG, member), offsetof(struct MSG, count),          \
		    &(layout)                                                                      \
	}
#define LAYOUT(fields)                                                                             \
	{                                                                                          \
		sizeof(struct MSG), fields, sizeof(fields) / sizeof((fields)[0])                   \
	}

/* A struct of C cannot be empty; a message can. */
static const struct sg_layout layout_empty = { sizeof(struct sg_msg_empty), NULL, 0 };

#define MSG sg_candidate
static const struct sg_field candidate_fields[] = {
	STR(uri),
	STR(label),
	STR(id),
	STR(serial),
	STR(subject),
};
static const struct sg_layout candidate_layout = LAYOUT(candidate_fields);
#undef MSG

#define MSG sg_msg_error
static const struct sg_field error_fields[] = {
	U32(code),
	STR(message),
	STR(subject),
	STR(condition),
	U32(tries_left),
	LIST(candidates, candidate_count, candidate_layout),
};
const struct sg_layout sg_layout_error = LAYOUT(error_fields);
#undef MSG

#define MSG sg_caller
static const struct sg_field caller_fields[] = { U32(uid), U32(pid), STR(exe), STR(purpose) };
static const struct sg_layout layout_caller = LAYOUT(caller_fields);
#undef MSG

/* ---- tokens ---- */

#define MSG sg_token_info
static const struct sg_field token_info_fields[] = {
	STR(uri),
	STR(label),
	STR(serial),
	STR(manufacturer),
	STR(model),
	STR(slot),
	U32(flags),
	STRS(mechanisms, mechanism_count),
	STR(slot_manufacturer),
	STR(slot_id),
	STR(library_manufacturer),
	STR(library_description),
	STR(library_version),
};
static const struct sg_layout layout_token_info = LAYOUT(token_info_fields);
#undef MSG

#define MSG sg_msg_tokens
static const struct sg_field tokens_fields[] = { LIST(tokens, token_count, layout_token_info) };
const struct sg_layout sg_layout_tokens = LAYOUT(tokens_fields);
#undef MSG

#define MSG sg_msg_token_ref
static const struct sg_field token_ref_fields[] = { STRUCT(caller, layout_caller), STR(token) };
static const struct sg_layout layout_token_ref = LAYOUT(token_ref_fields);
#undef MSG

#define MSG sg_pin_hash
static const struct sg_field pin_hash_fields[] = { BLOB(hash), U32(unsure) };
static const struct sg_layout layout_pin_hash = LAYOUT(pin_hash_fields);
#undef MSG

#define MSG sg_pin_ledger
static const struct sg_field pin_ledger_fields[] = {
	BLOB(key),
	BLOB(salt),
	LIST(wrong, wrong_count, layout_pin_hash),
	U32(tries),
	U32(tries_max),
};
const struct sg_layout sg_layout_pin_ledger = LAYOUT(pin_ledger_fields);
#undef MSG

#define MSG sg_msg_pin_set
static const struct sg_field pin_set_fields[] = {
	STRUCT(caller, layout_caller),
	STR(token),
	U32(by),
	U32(source),
	STRS(options, option_count),
	STRUCT(ledger, sg_layout_pin_ledger),
};
static const struct sg_layout layout_pin_set = LAYOUT(pin_set_fields);
#undef MSG

#define MSG sg_msg_pin_try
static const struct sg_field pin_try_fields[] = {
	STR(token),
	STR(serial),
	U32(by),
	BLOB(hash),
	U32(flags),
	U32(left),
};
static const struct sg_layout layout_pin_try = LAYOUT(pin_try_fields);
#undef MSG

#define MSG sg_msg_pin_outcome
static const struct sg_field pin_outcome_fields[] = {
	STR(token),
	STR(serial),
	U32(by),
	BLOB(hash),
	U32(verdict),
	U32(flags),
};
static const struct sg_layout layout_pin_outcome = LAYOUT(pin_outcome_fields);
#undef MSG

#define MSG sg_msg_token_watch
static const struct sg_field token_watch_fields[] = { U32(on) };
static const struct sg_layout layout_token_watch = LAYOUT(token_watch_fields);
#undef MSG

#define MSG sg_msg_cancel
static const struct sg_field cancel_fields[] = { U32(request) };
static const struct sg_layout layout_cancel = LAYOUT(cancel_fields);
#undef MSG

#define MSG sg_msg_token_event
static const struct sg_field token_event_fields[] = {
	U32(kind),
	STR(token),
	STR(label),
	STR(serial),
	STRUCT(caller, layout_caller),
};
static const struct sg_layout layout_token_event = LAYOUT(token_event_fields);
#undef MSG

#define MSG sg_msg_token_login
static const struct sg_field token_login_fields[] = {
	STRUCT(caller, layout_caller),
	STR(token),
	U32(source),
	STRS(options, option_count),
	STRUCT(ledger, sg_layout_pin_ledger),
	U32(returns),
};
static const struct sg_layout layout_token_login = LAYOUT(token_login_fields);
#undef MSG

#define MSG sg_key_info
static const struct sg_field key_info_fields[] = {
	STR(uri),
	STR(token_uri),
	STR(label),
	BLOB(id),
	STR(algorithm),
	U32(abilities),
	BLOB(spki),
};
const struct sg_layout sg_layout_key_info = LAYOUT(key_info_fields);
#undef MSG

#define MSG sg_cert_info
static const struct sg_field cert_info_fields[] = {
	STR(uri),
	STR(token_uri),
	STR(label),
	BLOB(id),
	BLOB(der),
};
const struct sg_layout sg_layout_cert_info = LAYOUT(cert_info_fields);
#undef MSG

#define MSG sg_msg_objects
static const struct sg_field objects_fields[] = {
	LIST(keys, key_count, sg_layout_key_info),
	LIST(certs, cert_count, sg_layout_cert_info),
};
const struct sg_layout sg_layout_objects = LAYOUT(objects_fields);
#undef MSG

#define MSG sg_msg_object_list
static const struct sg_field object_list_fields[] = {
	STRUCT(caller, layout_caller),
	STR(selector),
};
static const struct sg_layout layout_object_list = LAYOUT(object_list_fields);
#undef MSG

#define MSG sg_msg_key_generate
static const struct sg_field key_generate_fields[] = {
	STRUCT(caller, layout_caller),
	STR(token),
	STR(label),
	BLOB(id),
	STR(algorithm),
};
static const struct sg_layout layout_key_generate = LAYOUT(key_generate_fields);
#undef MSG

#define MSG sg_msg_key_probe
static const struct sg_field key_probe_fields[] = { STRUCT(caller, layout_caller), STR(key) };
static const struct sg_layout layout_key_probe = LAYOUT(key_probe_fields);
#undef MSG

#define MSG sg_msg_key_discard
static const struct sg_field key_discard_fields[] = { STRUCT(caller, layout_caller), STR(key) };
static const struct sg_layout layout_key_discard = LAYOUT(key_discard_fields);
#undef MSG

#define MSG sg_msg_cert_store
static const struct sg_field cert_store_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	STR(label),
	BLOB(der),
	BLOB(spki_sha256),
};
static const struct sg_layout layout_cert_store = LAYOUT(cert_store_fields);
#undef MSG

#define MSG sg_msg_cert_discard
static const struct sg_field cert_discard_fields[] = { STRUCT(caller, layout_caller), STR(key),
	BLOB(der) };
static const struct sg_layout layout_cert_discard = LAYOUT(cert_discard_fields);
#undef MSG

#define MSG sg_msg_key_attest
static const struct sg_field key_attest_fields[] = {
	STRUCT(caller, layout_caller),
	STR(token),
	BLOB(spki),
};
static const struct sg_layout layout_key_attest = LAYOUT(key_attest_fields);
#undef MSG

#define MSG sg_msg_csr_make
static const struct sg_field csr_make_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	STR(jid),
	U32(profile),
	BLOB(spki_sha256),
	U32(nameless),
};
static const struct sg_layout layout_csr_make = LAYOUT(csr_make_fields);
#undef MSG

#define MSG sg_msg_self_cert_make
static const struct sg_field self_cert_make_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	STR(jid),
	U32(profile),
	U32(days),
	BLOB(spki_sha256),
};
static const struct sg_layout layout_self_cert_make = LAYOUT(self_cert_make_fields);
#undef MSG

#define MSG sg_msg_cross_sign
static const struct sg_field cross_sign_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	U32(kind),
	BLOB(subject),
	U32(sha1),
	BLOB(spki_sha256),
};
static const struct sg_layout layout_cross_sign = LAYOUT(cross_sign_fields);
#undef MSG

#define MSG sg_signature
static const struct sg_field signature_fields[] = {
	STR(issuer),
	STR(issuer_jid),
	STR(method),
	BLOB(value),
};
const struct sg_layout sg_layout_signature = LAYOUT(signature_fields);
#undef MSG

#define MSG sg_msg_signatures
static const struct sg_field signatures_fields[] = {
	LIST(signatures, signature_count, sg_layout_signature),
};
static const struct sg_layout layout_signatures = LAYOUT(signatures_fields);
#undef MSG

#define MSG sg_msg_tls_sign
static const struct sg_field tls_sign_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	U32(scheme),
	BLOB(tbs),
	BLOB(spki_sha256),
};
static const struct sg_layout layout_tls_sign = LAYOUT(tls_sign_fields);
#undef MSG

#define MSG sg_msg_ca_sign
static const struct sg_field ca_sign_fields[] = {
	STRUCT(caller, layout_caller),
	STR(key),
	U32(kind),
	BLOB(tbs),
};
static const struct sg_layout layout_ca_sign = LAYOUT(ca_sign_fields);
#undef MSG

#define MSG sg_msg_der
static const struct sg_field der_fields[] = { BLOB(der) };
static const struct sg_layout layout_der = LAYOUT(der_fields);
#undef MSG

/* ---- XMPP ---- */

#define MSG sg_msg_xmpp_connect
static const struct sg_field xmpp_connect_fields[] = {
	STR(jid),
	STR(host),
	U32(port),
	U32(tls_mode),
	STR(cafile),
	BLOB(certificate),
	U32(key_abilities),
	U32(protocol),
};
static const struct sg_layout layout_xmpp_connect = LAYOUT(xmpp_connect_fields);
#undef MSG

#define MSG sg_msg_xmpp_online
static const struct sg_field xmpp_online_fields[] = {
	STR(jid),
	STR(mechanism),
	STR(tls_version),
	STR(tls_cipher),
};
static const struct sg_layout layout_xmpp_online = LAYOUT(xmpp_online_fields);
#undef MSG

#define MSG sg_msg_xmpp_feature_set
static const struct sg_field xmpp_feature_set_fields[] = { STRS(features, feature_count) };
static const struct sg_layout layout_xmpp_feature_set = LAYOUT(xmpp_feature_set_fields);
#undef MSG

#define MSG sg_msg_ccm2_add
static const struct sg_field ccm2_add_fields[] = { STR(name), BLOB(csr) };
static const struct sg_layout layout_ccm2_add = LAYOUT(ccm2_add_fields);
#undef MSG

#define MSG sg_ccm2_cert
static const struct sg_field ccm2_cert_fields[] = {
	STR(name),
	BLOB(der),
	STR(last_used),
	STRS(users, user_count),
};
const struct sg_layout sg_layout_ccm2_cert = LAYOUT(ccm2_cert_fields);
#undef MSG

#define MSG sg_msg_ccm2_certs
static const struct sg_field ccm2_certs_fields[] = { LIST(certs, cert_count, sg_layout_ccm2_cert),
	U32(unread) };
static const struct sg_layout layout_ccm2_certs = LAYOUT(ccm2_certs_fields);
#undef MSG

#define MSG sg_msg_ccm2_revoke
static const struct sg_field ccm2_revoke_fields[] = { STR(sha256), U32(only_disable) };
static const struct sg_layout layout_ccm2_revoke = LAYOUT(ccm2_revoke_fields);
#undef MSG

#define MSG sg_msg_saslcert_append
static const struct sg_field saslcert_append_fields[] = { STR(name), BLOB(der) };
static const struct sg_layout layout_saslcert_append = LAYOUT(saslcert_append_fields);
#undef MSG

#define MSG sg_keyinfo
static const struct sg_field keyinfo_fields[] = {
	STR(name),
	U32(kind),
	BLOB(data),
	LIST(signatures, signature_count, sg_layout_signature),
	STR(xml),
};
const struct sg_layout sg_layout_keyinfo = LAYOUT(keyinfo_fields);
#undef MSG

#define MSG sg_msg_pep_publish
static const struct sg_field pep_publish_fields[] = {
	STR(access_model),
	STRS(members, member_count),
	STRS(groups, group_count),
	U32(renew),
	LIST(keyinfos, keyinfo_count, sg_layout_keyinfo),
};
static const struct sg_layout layout_pep_publish = LAYOUT(pep_publish_fields);
#undef MSG

#define MSG sg_msg_pep_configure
static const struct sg_field pep_configure_fields[] = {
	STR(access_model),
	STRS(members, member_count),
	STRS(groups, group_count),
	U32(renew),
};
static const struct sg_layout layout_pep_configure = LAYOUT(pep_configure_fields);
#undef MSG

#define MSG sg_msg_pep_retract
static const struct sg_field pep_retract_fields[] = { STRS(names, name_count) };
static const struct sg_layout layout_pep_retract = LAYOUT(pep_retract_fields);
#undef MSG

#define MSG sg_affiliation
static const struct sg_field affiliation_fields[] = { STR(jid), STR(affiliation) };
static const struct sg_layout layout_affiliation = LAYOUT(affiliation_fields);
#undef MSG

#define MSG sg_msg_pep_node
static const struct sg_field pep_node_fields[] = {
	U32(exists),
	STR(node),
	STR(access_model),
	U32(persist_items),
	STR(max_items),
	STR(send_last),
	STRS(offered, offered_count),
	U32(groups_told),
	STRS(groups, group_count),
	STR(publish_model),
	STRS(members, member_count),
	LIST(affiliations, affiliation_count, layout_affiliation),
	U32(subscribers_told),
	STRS(subscribers, subscriber_count),
	U32(uncertain),
	U32(made_anew),
	U32(published),
};
static const struct sg_layout layout_pep_node = LAYOUT(pep_node_fields);
#undef MSG

#define MSG sg_msg_pep_fetch
static const struct sg_field pep_fetch_fields[] = { STR(jid), STRS(names, name_count) };
static const struct sg_layout layout_pep_fetch = LAYOUT(pep_fetch_fields);
#undef MSG

#define MSG sg_msg_keyinfos
static const struct sg_field keyinfos_fields[] = {
	LIST(keyinfos, keyinfo_count, sg_layout_keyinfo),
	U32(refused),
	U32(more),
	U32(asked),
	U32(silent),
	LIST(errors, error_count, sg_layout_error),
};
static const struct sg_layout layout_keyinfos = LAYOUT(keyinfos_fields);
#undef MSG

#define MSG sg_msg_keys_ask
static const struct sg_field keys_ask_fields[] = { STR(to), STR(about), STRS(names, name_count) };
static const struct sg_layout layout_keys_ask = LAYOUT(keys_ask_fields);
#undef MSG

#define MSG sg_msg_keys_send
static const struct sg_field keys_send_fields[] = {
	STR(to),
	STR(about),
	LIST(keyinfos, keyinfo_count, sg_layout_keyinfo),
};
static const struct sg_layout layout_keys_send = LAYOUT(keys_send_fields);
#undef MSG

#define MSG sg_msg_keys_sent
static const struct sg_field keys_sent_fields[] = { U32(revealed) };
static const struct sg_layout layout_keys_sent = LAYOUT(keys_sent_fields);
#undef MSG

#define MSG sg_msg_direct_policy
static const struct sg_field direct_policy_fields[] = {
	U32(mode),
	STRS(jids, jid_count),
	U32(watch),
};
static const struct sg_layout layout_direct_policy = LAYOUT(direct_policy_fields);
#undef MSG

#define MSG sg_msg_keys_seen
static const struct sg_field keys_seen_fields[] = {
	STR(from),
	STR(about),
	U32(source),
	LIST(keyinfos, keyinfo_count, sg_layout_keyinfo),
	U32(refused),
	STRS(retracted, retracted_count),
};
static const struct sg_layout layout_keys_seen = LAYOUT(keys_seen_fields);
#undef MSG

#define MSG sg_msg_keys_wanted
static const struct sg_field keys_wanted_fields[] = {
	STR(from),
	STR(about),
	STRS(names, name_count),
};
static const struct sg_layout layout_keys_wanted = LAYOUT(keys_wanted_fields);
#undef MSG

#define MSG sg_pgp_copy
static const struct sg_field pgp_copy_fields[] = {
	BLOB(data),
};
static const struct sg_layout layout_pgp_copy = LAYOUT(pgp_copy_fields);
#undef MSG

#define MSG sg_msg_pgp_key
static const struct sg_field pgp_key_fields[] = {
	U32(at),
	LIST(copies, copy_count, layout_pgp_copy),
};
static const struct sg_layout layout_pgp_key = LAYOUT(pgp_key_fields);
#undef MSG

#define MSG sg_msg_pgp_facts
static const struct sg_field pgp_facts_fields[] = {
	STR(name),
	U32(valid),
	U32(expired),
	U32(revoked),
	U32(created),
	U32(expires),
	STRS(user_ids, user_id_count),
	U32(subkeys),
};
static const struct sg_layout layout_pgp_facts = LAYOUT(pgp_facts_fields);
#undef MSG

#define MSG sg_msg_pgp_verify
static const struct sg_field pgp_verify_fields[] = {
	STRUCT(key, layout_pgp_key),
	BLOB(subject),
	BLOB(value),
};
static const struct sg_layout layout_pgp_verify = LAYOUT(pgp_verify_fields);
#undef MSG

#define MSG sg_msg_pgp_verdict
static const struct sg_field pgp_verdict_fields[] = {
	U32(verdict),
	U32(reason),
};
static const struct sg_layout layout_pgp_verdict = LAYOUT(pgp_verdict_fields);
#undef MSG

static const struct sg_layout *const layouts[] = {
	[SG_MSG_OK] = &layout_empty,
	[SG_MSG_ERROR] = &sg_layout_error,
	[SG_MSG_TOKEN_LIST] = &layout_empty,
	[SG_MSG_TOKEN_LOGIN] = &layout_token_login,
	[SG_MSG_TOKEN_LOGOUT] = &layout_token_ref,
	[SG_MSG_KEY_GENERATE] = &layout_key_generate,
	[SG_MSG_OBJECT_LIST] = &layout_object_list,
	[SG_MSG_CERT_STORE] = &layout_cert_store,
	[SG_MSG_CSR_MAKE] = &layout_csr_make,
	[SG_MSG_SELF_CERT_MAKE] = &layout_self_cert_make,
	[SG_MSG_CROSS_SIGN] = &layout_cross_sign,
	[SG_MSG_TLS_SIGN] = &layout_tls_sign,
	[SG_MSG_CA_SIGN] = &layout_ca_sign,
	[SG_MSG_TOKEN_RELEASE] = &layout_token_ref,
	[SG_MSG_PIN_SET] = &layout_pin_set,
	[SG_MSG_KEY_PROBE] = &layout_key_probe,
	[SG_MSG_TOKEN_WATCH] = &layout_token_watch,
	[SG_MSG_CANCEL] = &layout_cancel,
	[SG_MSG_KEY_DISCARD] = &layout_key_discard,
	[SG_MSG_CERT_DISCARD] = &layout_cert_discard,
	[SG_MSG_KEY_ATTEST] = &layout_key_attest,
	[SG_MSG_TOKENS] = &sg_layout_tokens,
	[SG_MSG_OBJECTS] = &sg_layout_objects,
	[SG_MSG_DER] = &layout_der,
	[SG_MSG_SIGNATURES] = &layout_signatures,
	[SG_MSG_TOKEN_EVENT] = &layout_token_event,
	[SG_MSG_PIN_TRY] = &layout_pin_try,
	[SG_MSG_PIN_OUTCOME] = &layout_pin_outcome,
	[SG_MSG_XMPP_CONNECT] = &layout_xmpp_connect,
	[SG_MSG_XMPP_DISCONNECT] = &layout_empty,
	[SG_MSG_XMPP_FEATURES] = &layout_empty,
	[SG_MSG_CCM2_ADD] = &layout_ccm2_add,
	[SG_MSG_CCM2_LIST] = &layout_empty,
	[SG_MSG_CCM2_REVOKE] = &layout_ccm2_revoke,
	[SG_MSG_PEP_PUBLISH] = &layout_pep_publish,
	[SG_MSG_PEP_FETCH] = &layout_pep_fetch,
	[SG_MSG_PEP_CONFIGURE] = &layout_pep_configure,
	[SG_MSG_PEP_SHOW] = &layout_empty,
	[SG_MSG_PEP_RETRACT] = &layout_pep_retract,
	[SG_MSG_KEYS_ASK] = &layout_keys_ask,
	[SG_MSG_KEYS_SEND] = &layout_keys_send,
	[SG_MSG_DIRECT_POLICY] = &layout_direct_policy,
	[SG_MSG_PEP_LOOK] = &layout_pep_fetch,
	[SG_MSG_SASLCERT_APPEND] = &layout_saslcert_append,
	[SG_MSG_XMPP_ONLINE] = &layout_xmpp_online,
	[SG_MSG_XMPP_FEATURE_SET] = &layout_xmpp_feature_set,
	[SG_MSG_CCM2_CERTS] = &layout_ccm2_certs,
	[SG_MSG_KEYINFOS] = &layout_keyinfos,
	[SG_MSG_PEP_NODE] = &layout_pep_node,
	[SG_MSG_KEYS_SENT] = &layout_keys_sent,
	[SG_MSG_XMPP_OFFLINE] = &sg_layout_error,
	[SG_MSG_XMPP_TLS_SIGN] = &layout_tls_sign,
	[SG_MSG_KEYS_SEEN] = &layout_keys_seen,
	[SG_MSG_KEYS_WANTED] = &layout_keys_wanted,
	[SG_MSG_PGP_KEY] = &layout_pgp_key,
	[SG_MSG_PGP_VERIFY] = &layout_pgp_verify,
	[SG_MSG_PGP_FACTS] = &layout_pgp_facts,
	[SG_MSG_PGP_VERDICT] = &layout_pgp_verdict,
};

const struct sg_layout *sg_msg_layout(uint16_t type)
{
	return type < sizeof(layouts) / sizeof(layouts[0]) ? layouts[type] : NULL;
}

void sg_msg_clear(uint16_t type, void *msg)
{
	const struct sg_layout *layout = sg_msg_layout(type);

	if (layout != NULL && msg != NULL)
		sg_layout_clear(layout, msg);
}

int sg_msg_error_code(const struct sg_msg_error *error)
{
	if (error->code == 0 || error->code > ERROR_CODE_MAX)
		return SG_ERR_INTERNAL;
	return -(int)error->code;
}

int sg_msg_error_is(const struct sg_msg_error *error, int code, const char *condition)
{
	return sg_msg_error_code(error) == code && error->condition != NULL &&
	    strcmp(error->condition, condition) == 0;
}

void sg_msg_error_set(
    struct sg_msg_error *error, int code, const char *subject, const char *format, ...)
{
	va_list args;

	*error = (struct sg_msg_error){ 0 };
	error->code = (uint32_t)-code;
	error->tries_left = SG_TRIES_UNKNOWN;
	if (format != NULL) {
		va_start(args, format);
		if (vasprintf(&error->message, format, args) < 0)
			error->message = NULL;
		va_end(args);
	}
	if (subject != NULL)
		error->subject = strdup(subject);
	/* Both may quote a peer or a token, whose bytes must not make the message itself malformed. */
	if (error->message != NULL)
		sg_utf8_clean(error->message);
	if (error->subject != NULL)
		sg_utf8_clean(error->subject);
}
