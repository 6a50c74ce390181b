/*
 * Keys on a token, with their public halves.
 */
#ifndef SG_TOKEN_KEY_H
#define SG_TOKEN_KEY_H

#include <stdatomic.h>
#include <stddef.h>

#include <openssl/evp.h>

#include "error.h"
#include "module.h"
#include "msg.h"
#include "token.h"
#include "uri.h"

/* Does not change once it was found, but for what is atomic, and may be shared between threads. */
struct sg_key {
	atomic_uint refs;
	atomic_uint refused;	  /* ways to sign that the token has refused: see sign.c */
	atomic_llong checked_ms;  /* when the handle was last seen to mean this key: see sign.c */
	atomic_llong verified_ms; /* when a signature was last verified: see sign.c */
	struct sg_token *token;
	unsigned epoch; /* of the token, when it was found: the handle's time */
	CK_OBJECT_HANDLE
	handle; /* of the private key; CK_INVALID_HANDLE: only the public one shows */
	CK_KEY_TYPE type;
	EVP_PKEY *public;  /* NULL when the token shows it nowhere, or two that may be it */
	size_t order_size; /* EC: bytes of the curve's order */
	int odd_curve;	   /* EC: on one that is not known here */
	int public_rank;   /* 0: from the key itself, else how sure it is: see key.c */
	int public_doubt;
	int may_sign;		       /* CKA_SIGN is not false */
	unsigned char spki_sha256[32]; /* of info.spki, when there is one */
	struct sg_blob label;
	struct sg_key_info info;
};

struct sg_key *sg_key_ref(struct sg_key *key);
void sg_key_unref(struct sg_key *key); /* NULL is fine */

/* All keys of one token that match, as a new array of references (sg_keys_free()). On a token
 * that is locked, public keys stand for the private ones that it hides. */
CK_RV sg_keys_of_token(struct sg_token *token, const struct sg_selector *selector,
    struct sg_key ***keys, size_t *count);
void sg_keys_free(struct sg_key **keys, size_t count);

/*
 * Searches for the private key of this label, identifier and type anew. CKR_KEY_HANDLE_INVALID when
 * there is none, or one of several is meant; CKR_KEY_CHANGED when what is there has another public
 * key.
 */
CK_RV sg_key_handle(const struct sg_key *key, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *handle);

/* Deep copy; SG_ERR_NOMEM leaves what has to be cleared. */
SG_MUST_USE int sg_key_info_copy(const struct sg_key_info *from, struct sg_key_info *to);

#endif
