/*
 * What the judging of keys asks the store beside keyring_store.h: the own certificates, and which
 * of a key's issuers matter. Nothing here reads more than it is asked for.
 */
#ifndef SG_BROKER_STORE_TRUST_H
#define SG_BROKER_STORE_TRUST_H

#include <stddef.h>
#include <stdint.h>

#include "store.h"

/* Calls fn for each certificate of the account; the row is cleared after each, what fn takes over it
 * zeroes. fn's first error ends it and is given; SG_ERR_IO. fn may not call this again. */
typedef int sg_cert_row_fn(void *arg, struct sg_cert_row *row);
SG_MUST_USE int sg_store_certs(
    struct sg_store *store, const char *jid, sg_cert_row_fn *fn, void *arg);

/*
 * The names of those that are said to have signed the key of this name, by whomever it was told, and that
 * the person trusts or has signed with one of our user keys; in their order, at most max. SG_ERR_IO.
 */
typedef int sg_name_fn(void *arg, const char *name);
SG_MUST_USE int sg_store_trusted_issuers(
    struct sg_store *store, const char *name, size_t max, sg_name_fn *fn, void *arg);

/*
 * How many bytes the keyinfos have in which the key of this name was shown, or came in a file; only those with a
 * signature by the issuer, when one is given. 0: there is none. SG_ERR_IO.
 */
SG_MUST_USE int sg_store_shown_size(
    struct sg_store *store, const char *name, const char *issuer, int64_t *size);

/* The keyring from near to far, so that many strangers hide nobody. */
enum sg_web_part {
	SG_WEB_NEAR,   /* what the person decided on, or signed */
	SG_WEB_SIGNED, /* what says that those have signed it, or an own key */
	SG_WEB_FAR,    /* the rest */
	SG_WEB_PARTS,
};

/* The keys of this part in the order in which they became known, those after this id, at most max.
 * fn's first error ends it; SG_ERR_IO. */
typedef int sg_web_fn(void *arg, int64_t id, const char *name);
SG_MUST_USE int sg_store_web(struct sg_store *store, enum sg_web_part part, int64_t after,
    size_t max, sg_web_fn *fn, void *arg);

#endif
