/*
 * The messages between a broker and its workers (proto/PROTOCOL.internal tells the story).
 *
 * A request and its answer carry the same id. An answer has the type named beside the request, or
 * SG_MSG_ERROR. Strings are owned by their struct (malloc); sg_msg_clear() frees them.
 */
#ifndef SG_PROTO_MSG_H
#define SG_PROTO_MSG_H

#include <stdint.h>

#include "layout.h"

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
	SG_MSG_PIN_TRY,	    /* sg_msg_pin_try; ids from 2^31 up -> SG_MSG_OK: it is written down */
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

struct sg_msg_empty {
	uint32_t unused; /* always 0; a C struct cannot be empty */
};

/* One of several tokens or keys that a name fits; NULL what does not apply. */
struct sg_candidate {
	char *uri;
	char *label;
	char *id; /* of a key: CKA_ID in lower-case hex */
	char *serial;
	char *subject; /* of a certificate that holds the key: its name as RFC 4514 has it */
};

struct sg_msg_error {
	uint32_t code; /* minus an SG_ERR_* */
	char *message; /* a sentence about this very case, or NULL */
	char *subject; /* the URI, JID, feature, ... it is about, or NULL */
	/* SG_ERR_STANZA: the defined condition (RFC 6120 8.3.3), or NULL. SG_ERR_KEY_MISMATCH: the
	 * fingerprint that was given. Of a token's failure: what to do about it, a sentence in place
	 * of the code's own advice; NULL: that holds. */
	char *condition;
	uint32_t tries_left;		 /* PIN errors: tries left, or SG_TRIES_UNKNOWN */
	struct sg_candidate *candidates; /* ambiguity: what matches */
	uint32_t candidate_count;
};
#define SG_TRIES_UNKNOWN 0xffffffffu

/* Who asks, and what for: it goes with every request that uses a key, up to the token. */
struct sg_caller {
	uint32_t uid;
	uint32_t pid;
	char *exe;     /* /proc/PID/exe; where that cannot be read /proc/PID/comm, or NULL */
	char *purpose; /* the API method, or "tls-login" and the account */
};

/* ---- tokens ---- */

enum sg_token_flag {
	SG_TOKEN_INITIALIZED = 1,    /* CKF_TOKEN_INITIALIZED */
	SG_TOKEN_LOGIN_REQUIRED = 2, /* CKF_LOGIN_REQUIRED */
	SG_TOKEN_PIN_SET = 4,	     /* CKF_USER_PIN_INITIALIZED */
	SG_TOKEN_PIN_LOW = 8,	     /* CKF_USER_PIN_COUNT_LOW */
	SG_TOKEN_PIN_FINAL = 16,     /* CKF_USER_PIN_FINAL_TRY */
	SG_TOKEN_PIN_LOCKED = 32,    /* CKF_USER_PIN_LOCKED */
	SG_TOKEN_READ_ONLY = 64,     /* CKF_WRITE_PROTECTED */
	SG_TOKEN_PINPAD = 128,	     /* CKF_PROTECTED_AUTHENTICATION_PATH */
	SG_TOKEN_UNLOCKED = 256,     /* our own session is logged in */
	SG_TOKEN_REMOVABLE = 1024,   /* of TOKENS: CKF_REMOVABLE_DEVICE of its slot */
};

struct sg_token_info {
	char *uri; /* RFC 7512: token, serial, manufacturer, model */
	char *label;
	char *serial;
	char *manufacturer;
	char *model;
	char *slot;	   /* description of the slot (the reader) */
	uint32_t flags;	   /* enum sg_token_flag */
	char **mechanisms; /* names ("CKM_RSA_PKCS") or 0x-numbers */
	uint32_t mechanism_count;
	/* What else an RFC 7512 URI can name it by. */
	char *slot_manufacturer;
	char *slot_id;		    /* decimal */
	char *library_manufacturer; /* of the module, C_GetInfo */
	char *library_description;
	char *library_version; /* "2.6" */
};

struct sg_msg_tokens {
	struct sg_token_info *tokens;
	uint32_t token_count;
};

struct sg_msg_token_ref {
	struct sg_caller caller;
	char *token; /* a token's URI or label */
};

enum sg_pin_source {
	SG_PIN_FD = 0,	     /* the frame's descriptor is read to its end */
	SG_PIN_PINENTRY = 1, /* the frame's descriptor is a socket to a pinentry (Assuan server) */
};

/* Whose PIN it is. */
enum sg_pin_user {
	SG_PIN_USER = 0, /* CKU_USER */
	SG_PIN_SO = 1,	 /* CKU_SO: the SO PIN, or PUK */
};

#define SG_PIN_HASH_SIZE 32 /* bytes of the keyed hash that a PIN is known again by */

struct sg_pin_hash {
	struct sg_blob hash;
	/* 0: it was refused. Else it was tried, and what came of it nobody knows: 1, or
	 * SG_PIN_UNSURE_AT() the tries that the card told right before. */
	uint32_t unsure;
};
#define SG_PIN_UNSURE_AT(left) ((left) + 2)

/*
 * What is remembered of a token's PIN tries, by its serial number and across restarts. A PIN's hash is
 * HMAC-SHA256 with key over scrypt(PIN, salt): the PIN itself is nowhere.
 */
struct sg_pin_ledger {
	struct sg_blob key;
	struct sg_blob salt;	   /* of this token */
	struct sg_pin_hash *wrong; /* PINs that the token has refused, or that nobody knows about */
	uint32_t wrong_count;
	uint32_t tries;	    /* since the last success, as counted here */
	uint32_t tries_max; /* after so many it locks; 0: its flags tell, nothing is counted */
};

/*
 * The PIN is held while the token is unlocked, for keys that want it again and for sessions that were
 * lost. returns: it is also held while the token is away, and serves when the same one (by its serial
 * number) is back. Otherwise it is wiped when the token goes.
 */
struct sg_msg_token_login {
	struct sg_caller caller;
	char *token;
	uint32_t source; /* enum sg_pin_source */
	char **options;	 /* pinentry: "OPTION" arguments, e.g. "ttyname=/dev/pts/1" */
	uint32_t option_count;
	struct sg_pin_ledger ledger;
	uint32_t returns;
};

/*
 * Sets a new user PIN: with the old one (C_SetPIN), or with the SO PIN or PUK (C_InitPIN), whose ledger it
 * is. From a descriptor two lines are read: the PIN that by names, then the new one. The token is locked
 * afterwards.
 */
struct sg_msg_pin_set {
	struct sg_caller caller;
	char *token;
	uint32_t by;	 /* enum sg_pin_user */
	uint32_t source; /* enum sg_pin_source */
	char **options;
	uint32_t option_count;
	struct sg_pin_ledger ledger;
};

/* A PIN is about to be tried: the token waits for it to be written down, its hash as unsure. How it ended, a
 * PIN_OUTCOME tells before anything else is tried or answered; none comes when the module never answered. */
struct sg_msg_pin_try {
	char *token; /* its URI */
	char *serial;
	uint32_t by; /* enum sg_pin_user */
	struct sg_blob hash;
	uint32_t flags; /* enum sg_token_flag, right before the try */
	uint32_t left;	/* tries that the card itself told right before, or SG_TRIES_UNKNOWN */
};

enum sg_pin_verdict {
	SG_PIN_TAKEN = 0,   /* the count of tries starts anew */
	SG_PIN_REFUSED = 1, /* this PIN is wrong */
	SG_PIN_BLOCKED = 2, /* the token takes no PIN any more */
	SG_PIN_UNSAID = 3,  /* the module answered, but said nothing of the PIN */
	SG_PIN_UNTRIED = 4, /* as the module or the card says, no PIN was tried */
};

/* How the last try on this token ended. */
struct sg_msg_pin_outcome {
	char *token;
	char *serial;
	uint32_t by; /* enum sg_pin_user */
	struct sg_blob hash;
	uint32_t verdict; /* enum sg_pin_verdict */
	uint32_t flags;	  /* enum sg_token_flag, right after the try; 0 when they cannot be read */
};

/* While on, tokens that come and go are told by events; it costs a look at the slots each second. */
struct sg_msg_token_watch {
	uint32_t on;
};

/* Nobody wants the answer to that request any more. While it has not begun to sign, it is answered at once, with
 * SG_ERR_PIN_CANCELLED; one that has been answered, or never was, is no error. */
struct sg_msg_cancel {
	uint32_t request; /* its frame's id */
};

enum sg_token_event {
	SG_EVENT_TOKEN_IN = 0,
	SG_EVENT_TOKEN_OUT = 1,
	SG_EVENT_TOUCH_WANTED = 2, /* a signature takes so long that the token waits for somebody */
	SG_EVENT_TOUCH_OVER = 3,   /* that signature is over, one way or the other */
	SG_EVENT_TOKEN_LOCKED = 4, /* not by request: the login is gone, and the PIN is wiped */
};

/* Touch events come without being watched for; caller is whose signature it is. */
struct sg_msg_token_event {
	uint32_t kind; /* enum sg_token_event */
	char *token;   /* URI */
	char *label;
	char *serial;
	struct sg_caller caller;
};

#define SG_KEY_LABEL_MAX 64 /* bytes of the label of a key that is made here */

/* What a key can be used for, found out from its token's mechanism list. */
enum sg_key_ability {
	SG_KEY_RSA_PKCS1 = 1,	     /* CKM_RSA_PKCS: any DigestInfo */
	SG_KEY_RSA_PKCS1_SHA1 = 2,   /* CKM_SHA1_RSA_PKCS */
	SG_KEY_RSA_PKCS1_SHA256 = 4, /* CKM_SHA256_RSA_PKCS */
	SG_KEY_RSA_PSS = 8,	     /* CKM_RSA_PKCS_PSS */
	SG_KEY_ECDSA = 16,	     /* CKM_ECDSA */
	SG_KEY_RSA_PSS_HASHED = 32,  /* CKM_SHA256_RSA_PKCS_PSS: the token hashes */
	SG_KEY_ECDSA_HASHED = 64,    /* CKM_ECDSA_SHA256 */
	SG_KEY_SENSITIVE = 256,	     /* CKA_SENSITIVE */
	SG_KEY_EXTRACTABLE = 512,    /* CKA_EXTRACTABLE */
	SG_KEY_ALWAYS_AUTH = 1024,   /* CKA_ALWAYS_AUTHENTICATE */
	SG_KEY_LOCAL = 2048,	     /* CKA_LOCAL: made on the token */
	/* The private key object was seen. Without it (the token is locked) the four before this one are
	 * not known, and unset. */
	SG_KEY_PRIVATE_SEEN = 4096,
};

struct sg_key_info {
	char *uri; /* token, serial, id, object, type=private */
	char *token_uri;
	char *label;
	struct sg_blob id;
	char *algorithm;     /* "rsa2048", "rsa3072", "rsa4096", "p256", "p384", or "other" */
	uint32_t abilities;  /* enum sg_key_ability */
	struct sg_blob spki; /* DER SubjectPublicKeyInfo; empty when the token does not show it */
};

struct sg_cert_info {
	char *uri; /* token, serial, id, object, type=cert */
	char *token_uri;
	char *label;
	struct sg_blob id;
	struct sg_blob der;
};

struct sg_msg_objects {
	struct sg_key_info *keys;
	uint32_t key_count;
	struct sg_cert_info *certs;
	uint32_t cert_count;
};

/*
 * selector: an RFC 7512 URI, or a label; "" matches everything. The keys that match, with the
 * certificates that hold the public key of one of them. Keys are looked for on unlocked tokens;
 * on a locked one through its public key objects.
 */
struct sg_msg_object_list {
	struct sg_caller caller;
	char *selector;
};

struct sg_msg_key_generate {
	struct sg_caller caller;
	char *token;
	char *label;
	struct sg_blob id; /* empty: 20 random bytes */
	char *algorithm;
};

/*
 * In the requests below, spki_sha256 pins the key: empty, or the SHA-256 of the SubjectPublicKeyInfo that
 * the key under this name must have, else SG_ERR_KEY_CHANGED.
 *
 * KEY_PROBE makes a test signature with each mechanism that the token and the key say they have, over a
 * content made here, and verifies it with the public key. The key in the answer has the abilities of
 * those that were good.
 */
struct sg_msg_key_probe {
	struct sg_caller caller;
	char *key; /* selector of exactly one key */
};

/* Destroys a pair that this process has made for the same caller's pid and purpose, and that nobody else
 * has signed with since, with the certificates that were stored beside it; SG_ERR_DENIED for any other. */
struct sg_msg_key_discard {
	struct sg_caller caller;
	char *key; /* its URI, as KEY_GENERATE gave it */
};

/* Refused with SG_ERR_CERT_MISMATCH unless the certificate holds the key's public key. Storing the
 * same certificate again is no error and makes no second object. */
struct sg_msg_cert_store {
	struct sg_caller caller;
	char *key; /* selector of exactly one key */
	char *label;
	struct sg_blob der;
	struct sg_blob spki_sha256;
};

/* Removes this very certificate, which must hold the key's public key, from the key's token; fine when it is not
 * there. */
struct sg_msg_cert_discard {
	struct sg_caller caller;
	char *key; /* selector of exactly one key */
	struct sg_blob der;
};

enum sg_cert_profile {
	SG_PROFILE_USER = 0, /* xmppAddr = jid; self-signed: CA:FALSE, digitalSignature */
	SG_PROFILE_CA = 1,   /* CN = jid (any text), CA:TRUE pathlen 0, keyCertSign cRLSign */
	SG_PROFILE_CLIENT =
	    2, /* as a user's, with clientAuth and serverAuth: logs in by XEP-0257 */
};

/*
 * The certificate by which the token attests that it has made the key with this public half, and after
 * it the one that signed that, when the token shows it; none where it attests nothing. Neither has
 * more than its DER. The token may be locked.
 */
struct sg_msg_key_attest {
	struct sg_caller caller;
	char *token; /* its URI */
	struct sg_blob spki;
};

struct sg_msg_csr_make {
	struct sg_caller caller;
	char *key;
	char *jid; /* bare; C12 */
	uint32_t profile;
	struct sg_blob spki_sha256;
	uint32_t nameless; /* 1: the subject is empty, not CN = jid */
};

struct sg_msg_self_cert_make {
	struct sg_caller caller;
	char *key;
	char *jid;
	uint32_t profile;
	uint32_t days;
	struct sg_blob spki_sha256;
};

enum sg_subject_kind {
	SG_SUBJECT_X509 = 0, /* DER certificate (K3) */
	SG_SUBJECT_PGP = 1,  /* 20-byte v4 fingerprint (K4) */
};

struct sg_msg_cross_sign {
	struct sg_caller caller;
	char *key;
	uint32_t kind; /* enum sg_subject_kind */
	struct sg_blob subject;
	uint32_t sha1; /* not 0: an RSA key signs by RSA-SHA1, too (K5, K7) */
	struct sg_blob spki_sha256;
};

struct sg_signature {
	char *issuer;	  /* keyinfo name of the issuer's key; NULL as it comes from the token */
	char *issuer_jid; /* or NULL (K8) */
	char *method;	  /* "RSA-SHA1", "RSA-SHA256", "ECDSA-SHA256"; NULL: OpenPGP packet (K6) */
	struct sg_blob value;
};

struct sg_msg_signatures {
	struct sg_signature *signatures;
	uint32_t signature_count;
};

/* tbs is refused unless it is what a TLS client signs: the content of RFC 8446 4.4.3 (client), or
 * the handshake messages of RFC 5246 7.4.8, which begin with a ClientHello. */
struct sg_msg_tls_sign {
	struct sg_caller caller;
	char *key;
	uint32_t scheme; /* TLS SignatureScheme, RFC 8446 4.2.3 */
	struct sg_blob tbs;
	struct sg_blob spki_sha256; /* empty as it comes from signet-xmpp */
};

enum sg_ca_object {
	SG_CA_CERT = 0, /* TBSCertificate, CA:FALSE with an xmppAddr, or refused */
	SG_CA_CRL = 1,	/* TBSCertList */
};

/* Only a signet-token started for an authority does this. tbs names the algorithm: its
 * AlgorithmIdentifier must be SHA-256 with the key's type. */
struct sg_msg_ca_sign {
	struct sg_caller caller;
	char *key;
	uint32_t kind; /* enum sg_ca_object */
	struct sg_blob tbs;
};

struct sg_msg_der {
	struct sg_blob der;
};

/* ---- XMPP ---- */

enum sg_tls_mode {
	SG_TLS_STARTTLS = 0,
	SG_TLS_DIRECT = 1,
};

/* With a certificate: SASL EXTERNAL, and the handshake's signature is asked back by
 * SG_MSG_XMPP_TLS_SIGN. Without one: SCRAM with the password read from the frame's descriptor. */
struct sg_msg_xmpp_connect {
	char *jid;
	char *host;    /* or NULL: as the domain's DNS says */
	uint32_t port; /* 0: as the DNS says, or the default of the mode */
	uint32_t tls_mode;
	char *cafile; /* PEM, or NULL for the system's roots */
	struct sg_blob certificate;
	uint32_t key_abilities; /* enum sg_key_ability */
	uint32_t protocol;	/* enum sg_cert_protocol, as its features told the last time */
};

struct sg_msg_xmpp_online {
	char *jid;	   /* the full JID that was bound */
	char *mechanism;   /* SASL mechanism */
	char *tls_version; /* "TLSv1.3" */
	char *tls_cipher;
};

/* The union of what the domain and the own bare JID announce (C1). It decides from
 * now on by which protocol CCM2_LIST and CCM2_REVOKE go (cert_protocol.h). */
struct sg_msg_xmpp_feature_set {
	char **features;
	uint32_t feature_count;
};

struct sg_msg_ccm2_add {
	char *name;
	struct sg_blob csr;
};

struct sg_ccm2_cert {
	char *name;
	struct sg_blob der;
	char *last_used; /* NULL: never; "": at an unknown time; else XEP-0082 DateTime (C8) */
	char **users;	 /* resources that use it now */
	uint32_t user_count;
};

struct sg_msg_ccm2_certs {
	struct sg_ccm2_cert *certs;
	uint32_t cert_count;
};

struct sg_msg_ccm2_revoke {
	char *sha256; /* lower-case hex of the fingerprint */
	uint32_t
	    only_disable; /* XEP-0257: not 0: who is logged in with it stays so; else SG_ERR_UNSUPPORTED */
};

/* XEP-0257: a certificate made here may log in, under this name or one made of it that is free. One
 * that may already is left as it is. */
struct sg_msg_saslcert_append {
	char *name;
	struct sg_blob der;
};

enum sg_key_kind {
	SG_KEYINFO_REFERENCE = 0, /* no key data (K2) */
	SG_KEYINFO_X509 = 1,
	SG_KEYINFO_PGP = 2,
};

struct sg_keyinfo {
	char *name; /* lower-case hex, 40 characters */
	uint32_t kind;
	struct sg_blob data;
	struct sg_signature *signatures; /* each with an issuer */
	uint32_t signature_count;
	char *xml; /* decoded ones: the element as it came, written out again; else NULL */
};

/*
 * Creates and configures the node (K9), then publishes each keyinfo under its name (K10), but none
 * of them to a node that is more open than asked.
 */
struct sg_msg_pep_publish {
	char *access_model;
	char **members; /* bare JIDs: all who are to have an affiliation, beside the owner */
	uint32_t member_count;
	char **groups; /* of the roster: who is in one of them reads by access model roster */
	uint32_t group_count;
	uint32_t
	    renew; /* where the server does not tell its subscribers, a node that is there is made anew */
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
};

/* The same without keys. */
struct sg_msg_pep_configure {
	char *access_model;
	char **members;
	uint32_t member_count;
	char **groups;
	uint32_t group_count;
	uint32_t renew;
};

struct sg_msg_pep_retract {
	char **names;
	uint32_t name_count;
};

struct sg_affiliation {
	char *jid; /* bare */
	char *affiliation;
};

/* The own node as the server has it, not as we asked for it. NULL or empty is what it does not tell. */
struct sg_msg_pep_node {
	uint32_t exists; /* 0: there is none, and nothing else is set */
	char *node;
	char *access_model;
	uint32_t persist_items;
	char *max_items; /* a number, or "max" */
	char *send_last; /* "never", "on_sub", "on_sub_and_presence" */
	char **offered;	 /* the access models that the server has */
	uint32_t offered_count;
	uint32_t groups_told; /* 0: the form does not say which groups of the roster may read */
	char **groups;	      /* sorted; they let nobody in by another access model than roster */
	uint32_t group_count;
	char *publish_model; /* "publishers", or others may write */
	char **members; /* who may read by affiliation, the owner left out: bare JIDs, sorted */
	uint32_t member_count;
	struct sg_affiliation *affiliations; /* all but none, the owner left out, sorted */
	uint32_t affiliation_count;
	uint32_t subscribers_told; /* 0: the server does not list the subscriptions */
	char *
	    *subscribers; /* whom the access model does not let read: JIDs as the server has them */
	uint32_t subscriber_count;
	uint32_t
	    uncertain; /* subscribers that nobody can list, and the node could not be made anew */
	uint32_t made_anew; /* it was removed, with all that stood in it */
	uint32_t published; /* of PEP_PUBLISH: how many keyinfos went to the node */
};

struct sg_msg_pep_fetch {
	char *jid;
	char **names; /* none: all */
	uint32_t name_count;
};

struct sg_msg_keyinfos {
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
	uint32_t
	    refused; /* items that were not a good keyinfo (K1, K2); each has a line in the log */
	/* 1: others of the same answer follow, in a frame of the same id. Only in answers to PEP_FETCH. */
	uint32_t more;
	/* Only in answers to KEYS_ASK: how many clients were asked, and how many of them did not answer in time; the
	 * first error (at most one), when none of them answered well. */
	uint32_t asked, silent;
	struct sg_msg_error *errors;
	uint32_t error_count;
};

/* ---- keys that go from client to client (K12, K13, K14) ---- */

/*
 * to: a full JID, or a bare one: then each resource of which we have a presence is asked, and what
 * they answer is put together. SG_ERR_KEY_ABSENT when no resource is known.
 */
struct sg_msg_keys_ask {
	char *to;
	char *about;  /* NULL: the own keys of to (K12); else what to knows of this JID (K13) */
	char **names; /* none: all */
	uint32_t name_count;
};

/* In a message (K14). about NULL: they are the sender's. */
struct sg_msg_keys_send {
	char *to;
	char *about;
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
};

/* revealed: to one who does not get our presence, and so learns from it which resource we are. */
struct sg_msg_keys_sent {
	uint32_t revealed;
};

/* Who is answered; the own resources are, too, but by NOBODY. */
enum sg_direct_mode {
	SG_DIRECT_OWN = 0,
	SG_DIRECT_CONTACTS = 1, /* and who is subscribed to our presence */
	SG_DIRECT_LIST = 2,	/* these JIDs */
	SG_DIRECT_NOBODY = 3,	/* not even the own resources */
};

/*
 * After each login. Before it, nobody is answered, and no presence is sent. watch: presence is sent,
 * with a negative priority, and events are asked for by it (K11).
 */
struct sg_msg_direct_policy {
	uint32_t mode; /* enum sg_direct_mode */
	char **jids;   /* SG_DIRECT_LIST: bare JIDs */
	uint32_t jid_count;
	uint32_t watch;
};

enum sg_seen_source {
	SG_SEEN_EVENT = 0, /* a notification of the node of from (K11) */
	SG_SEEN_PUSH = 1,  /* a message of from (K14) */
};

struct sg_msg_keys_seen {
	char *from;	 /* bare */
	char *about;	 /* a push about another JID, bare; else NULL */
	uint32_t source; /* enum sg_seen_source */
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
	uint32_t refused; /* as of sg_msg_keyinfos */
	char **retracted; /* an event: names that are no longer on the node */
	uint32_t retracted_count;
};

/*
 * Somebody who may ask wants keys: the own ones, or (about) what is known openly of another. SG_MSG_ERROR
 * with SG_ERR_KEY_ABSENT: nothing is known of them; with any other code: as if nobody were there.
 */
struct sg_msg_keys_wanted {
	char *from;   /* full */
	char *about;  /* bare, or NULL */
	char **names; /* lower-case hex; none: all */
	uint32_t name_count;
};

/* Copies of one binary OpenPGP public key, to be put together and judged as of a time. */
struct sg_pgp_copy {
	struct sg_blob data;
};

struct sg_msg_pgp_key {
	uint32_t at; /* seconds since 1970, as OpenPGP counts them */
	struct sg_pgp_copy *copies;
	uint32_t copy_count;
};

struct sg_msg_pgp_facts {
	char *name;	  /* the fingerprint, as K2 has it */
	uint32_t valid;	  /* a good signature of its own; neither expired nor revoked */
	uint32_t expired; /* or not valid yet */
	uint32_t revoked; /* enum sg_pgp_revoked */
	uint32_t created;
	uint32_t expires; /* 0: never; 2^32 - 1 also when it is later */
	char **user_ids;  /* that it has signed and not revoked, clean */
	uint32_t user_id_count;
	uint32_t subkeys; /* that are valid */
};

/* Whether the value is a signature packet over the subject by this key. */
struct sg_msg_pgp_verify {
	struct sg_msg_pgp_key key;
	struct sg_blob subject;
	struct sg_blob value;
};

struct sg_msg_pgp_verdict {
	uint32_t verdict; /* enum sg_signature_verdict */
	uint32_t reason;  /* enum sg_pgp_reason */
};

/* The layout of a type's struct; NULL for an unknown type. */
const struct sg_layout *sg_msg_layout(uint16_t type);

/* Layouts of parts that are useful alone. */
extern const struct sg_layout sg_layout_error, sg_layout_keyinfo, sg_layout_signature,
    sg_layout_objects, sg_layout_tokens, sg_layout_key_info, sg_layout_cert_info,
    sg_layout_pin_ledger, sg_layout_candidate, sg_layout_ccm2_cert;

/* Frees what a message of this type owns and zeroes it. */
void sg_msg_clear(uint16_t type, void *msg);

/* The SG_ERR_* of an error message of a worker, whose number may be anything: what can be no
 * code is SG_ERR_INTERNAL. */
int sg_msg_error_code(const struct sg_msg_error *error);

/* Fills an error message from a code and a printf text (may be NULL); *error must be zero or
 * cleared. */
void sg_msg_error_set(struct sg_msg_error *error, int code, const char *subject, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

#endif
