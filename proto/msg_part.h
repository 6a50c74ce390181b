/*
 * What several messages (msg.h) are made of.
 */
#ifndef SG_PROTO_MSG_PART_H
#define SG_PROTO_MSG_PART_H

#include <stdint.h>

#include "buf.h"

struct sg_msg_empty {
	uint32_t unused; /* always 0; a C struct cannot be empty */
};

struct sg_msg_der {
	struct sg_blob der;
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

struct sg_signature {
	char *issuer;	  /* keyinfo name of the issuer's key; NULL as it comes from the token */
	char *issuer_jid; /* or NULL (K8) */
	char *method;	  /* "RSA-SHA1", "RSA-SHA256", "ECDSA-SHA256"; NULL: OpenPGP packet (K6) */
	struct sg_blob value;
};

#endif
