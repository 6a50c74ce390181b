/*
 * The messages (msg.h) to and from signet-pgp.
 */
#ifndef SG_PROTO_MSG_PGP_H
#define SG_PROTO_MSG_PGP_H

#include "msg_part.h"

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

#endif
