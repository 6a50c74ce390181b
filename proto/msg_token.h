/*
 * The messages (msg.h) to and from signet-token.
 */
#ifndef SG_PROTO_MSG_TOKEN_H
#define SG_PROTO_MSG_TOKEN_H

#include "msg_part.h"

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

/* A PIN is about to be tried: the token waits for signetd to write it down, its hash as unsure. How it ended, a
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
	char *algorithm;     /* as sg_x509_key_algorithm() names it */
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

#endif
