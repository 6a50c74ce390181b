/*
 * The messages between a broker and its workers (proto/PROTOCOL.internal tells the story). Their types are here,
 * their structs in msg_token.h (signet-token), msg_xmpp.h (signet-xmpp) and msg_pgp.h (signet-pgp), and what several
 * of them have in msg_part.h.
 *
 * A request and its answer carry the same id. An answer has the type named beside the request, or
 * SG_MSG_ERROR. Strings are owned by their struct (malloc); sg_msg_clear() frees them.
 */
#ifndef SG_PROTO_MSG_H
#define SG_PROTO_MSG_H

#include <stdint.h>

#include "layout.h"
#include "msg_part.h"
#include "msg_pgp.h"
#include "msg_token.h"
#include "msg_xmpp.h"

enum sg_msg_type {
	SG_MSG_OK = 1, /* struct sg_msg_empty */
	SG_MSG_ERROR,  /* struct sg_msg_error */

	/* broker -> signet-token */
	SG_MSG_TOKEN_LIST = 16, /* sg_msg_empty         -> SG_MSG_TOKENS */
	SG_MSG_TOKEN_LOGIN,	/* sg_msg_token_login + descriptor -> SG_MSG_OK */
	SG_MSG_TOKEN_LOGOUT,	/* sg_msg_token_ref     -> SG_MSG_OK */
	SG_MSG_KEY_GENERATE,	/* sg_msg_key_generate  -> SG_MSG_OBJECTS (one key) */
	SG_MSG_OBJECT_LIST,	/* sg_msg_object_list   -> SG_MSG_OBJECTS */
	SG_MSG_CERT_STORE,	/* sg_msg_cert_store    -> SG_MSG_OBJECTS (one certificate) */
	SG_MSG_CSR_MAKE,	/* sg_msg_csr_make      -> SG_MSG_DER */
	SG_MSG_SELF_CERT_MAKE,	/* sg_msg_self_cert_make -> SG_MSG_DER */
	SG_MSG_CROSS_SIGN,	/* sg_msg_cross_sign    -> SG_MSG_SIGNATURES */
	SG_MSG_TLS_SIGN,	/* sg_msg_tls_sign      -> SG_MSG_DER (the signature) */
	SG_MSG_CA_SIGN,		/* sg_msg_ca_sign       -> SG_MSG_DER (the whole signed object) */
	SG_MSG_TOKEN_RELEASE,	/* sg_msg_token_ref     -> SG_MSG_OK; token "": all of the module */
	SG_MSG_PIN_SET,		/* sg_msg_pin_set + descriptor -> SG_MSG_OK */
	SG_MSG_KEY_PROBE,	/* sg_msg_key_probe     -> SG_MSG_OBJECTS (one key) */
	SG_MSG_TOKEN_WATCH,	/* sg_msg_token_watch   -> SG_MSG_OK */
	SG_MSG_CANCEL,		/* sg_msg_cancel; id 0, no answer of its own */
	SG_MSG_KEY_DISCARD,	/* sg_msg_key_discard   -> SG_MSG_OK */
	SG_MSG_CERT_DISCARD,	/* sg_msg_cert_discard  -> SG_MSG_OK */
	SG_MSG_KEY_ATTEST = 40, /* sg_msg_key_attest    -> SG_MSG_OBJECTS (certificates) */

	SG_MSG_TOKENS = 48,
	SG_MSG_OBJECTS,
	SG_MSG_DER,
	SG_MSG_SIGNATURES,

	/* signet-token -> broker, unasked */
	SG_MSG_TOKEN_EVENT, /* sg_msg_token_event; id 0, no answer */
	SG_MSG_PIN_TRY,	    /* sg_msg_pin_try; ids from 2^31 up -> SG_MSG_OK */
	SG_MSG_PIN_OUTCOME, /* sg_msg_pin_outcome; id 0, no answer */

	/* broker -> signet-xmpp */
	SG_MSG_XMPP_CONNECT =
	    64, /* sg_msg_xmpp_connect (+ password descriptor) -> SG_MSG_XMPP_ONLINE */
	SG_MSG_XMPP_DISCONNECT, /* sg_msg_empty     -> SG_MSG_OK */
	SG_MSG_XMPP_FEATURES,	/* sg_msg_empty     -> SG_MSG_XMPP_FEATURE_SET */
	SG_MSG_CCM2_ADD,	/* sg_msg_ccm2_add  -> SG_MSG_DER */
	SG_MSG_CCM2_LIST,	/* sg_msg_empty     -> SG_MSG_CCM2_CERTS */
	SG_MSG_CCM2_REVOKE,	/* sg_msg_ccm2_revoke -> SG_MSG_OK */
	SG_MSG_PEP_PUBLISH,	/* sg_msg_pep_publish -> SG_MSG_PEP_NODE */
	SG_MSG_PEP_FETCH,	/* sg_msg_pep_fetch -> SG_MSG_KEYINFOS */
	SG_MSG_PEP_CONFIGURE,	/* sg_msg_pep_configure -> SG_MSG_PEP_NODE */
	SG_MSG_PEP_SHOW,	/* sg_msg_empty     -> SG_MSG_PEP_NODE */
	SG_MSG_PEP_RETRACT,	/* sg_msg_pep_retract -> SG_MSG_OK */
	SG_MSG_KEYS_ASK,	/* sg_msg_keys_ask  -> SG_MSG_KEYINFOS */
	SG_MSG_KEYS_SEND,	/* sg_msg_keys_send -> SG_MSG_KEYS_SENT */
	SG_MSG_DIRECT_POLICY,	/* sg_msg_direct_policy -> SG_MSG_OK */
	SG_MSG_PEP_LOOK,	/* sg_msg_pep_fetch -> SG_MSG_PEP_NODE */
	SG_MSG_SASLCERT_APPEND, /* sg_msg_saslcert_append -> SG_MSG_OK */

	SG_MSG_XMPP_ONLINE = 96,
	SG_MSG_XMPP_FEATURE_SET,
	SG_MSG_CCM2_CERTS,
	SG_MSG_KEYINFOS,
	SG_MSG_PEP_NODE,
	SG_MSG_KEYS_SENT,

	/* signet-xmpp -> broker, unasked */
	SG_MSG_XMPP_OFFLINE = 112, /* sg_msg_error: the stream ended, and why; id 0, no answer */
	SG_MSG_XMPP_TLS_SIGN, /* sg_msg_tls_sign, key and caller empty; ids from 2^31 up -> SG_MSG_DER */
	SG_MSG_KEYS_SEEN,   /* sg_msg_keys_seen; id 0, no answer */
	SG_MSG_KEYS_WANTED, /* sg_msg_keys_wanted; ids from 2^31 up -> SG_MSG_KEYINFOS */

	/* signetd, signet -> signet-pgp */
	SG_MSG_PGP_KEY = 128, /* sg_msg_pgp_key    -> SG_MSG_PGP_FACTS */
	SG_MSG_PGP_VERIFY,    /* sg_msg_pgp_verify -> SG_MSG_PGP_VERDICT */

	SG_MSG_PGP_FACTS = 136,
	SG_MSG_PGP_VERDICT,
};

/* The layout of a type's struct; NULL for an unknown type. */
const struct sg_layout *sg_msg_layout(uint16_t type);

/* Layouts of parts that are useful alone. */
extern const struct sg_layout sg_layout_error, sg_layout_keyinfo, sg_layout_signature,
    sg_layout_objects, sg_layout_tokens, sg_layout_key_info, sg_layout_cert_info,
    sg_layout_pin_ledger, sg_layout_ccm2_cert;

/* Frees what a message of this type owns and zeroes it. */
void sg_msg_clear(uint16_t type, void *msg);

/* The SG_ERR_* of an error message of a worker, whose number may be anything: what can be no
 * code is SG_ERR_INTERNAL. */
int sg_msg_error_code(const struct sg_msg_error *error);

/* Whether it has this code and this condition. */
int sg_msg_error_is(const struct sg_msg_error *error, int code, const char *condition);

/* Fills an error message from a code and a printf text (may be NULL); *error must be zero or
 * cleared. */
void sg_msg_error_set(struct sg_msg_error *error, int code, const char *subject, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

#endif
