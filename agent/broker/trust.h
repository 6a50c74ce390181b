/*
 * The keys around a key, out of the store, laid out for proto/path.h: no more of them than it takes
 * to judge it.
 */
#ifndef SG_BROKER_TRUST_H
#define SG_BROKER_TRUST_H

#include <stddef.h>
#include <stdint.h>

#include "agent.h"
#include "error.h"
#include "path.h"

#define SG_TRUST_CHECKS_MAX   128 /* of signatures, for one key: nobody else is answered meanwhile */
#define SG_TRUST_ISSUERS_MAX  32  /* of one key, that are looked up beside those that count */
#define SG_TRUST_COUNTING_MAX 100 /* of those that count: trusted, or signed by the person */

struct sg_trust;

/* An empty layout but for the own keys: those of this account, or (NULL) of all. SG_ERR_IO,
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_trust_new(struct sg_agent *agent, const char *account, struct sg_trust **trust);
void sg_trust_free(struct sg_trust *trust); /* NULL is fine */

/*
 * Adds the key of this name with its signatures, and those that made them as far as they are known.
 * Of a key whose shown keyinfos are longer than bytes_max the signatures are left out; SG_TRUST_ALL: those that are
 * worth most are read in any case (SG_KNOWN_SHOWN_BYTES). SG_ERR_KEY_ABSENT when it is not known, SG_ERR_IO,
 * SG_ERR_NOMEM.
 */
#define SG_TRUST_ALL SIZE_MAX
SG_MUST_USE int sg_trust_add(struct sg_trust *trust, const char *name, size_t bytes_max);

/* Calls fn with each own key. fn's first error ends it and is given. */
typedef int sg_trust_fn(void *arg, const struct sg_path_key *key);
SG_MUST_USE int sg_trust_own(const struct sg_trust *trust, sg_trust_fn *fn, void *arg);

/* What was added under this name (own keys, too), or NULL. */
const struct sg_path_key *sg_trust_key(const struct sg_trust *trust, const char *name);

/* The name of the key with this name or SHA-256 (lower-case hex), an own one or of the keyring: a new
 * string. SG_ERR_KEY_ABSENT, SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_trust_resolve(
    const struct sg_trust *trust, const char *fingerprint, char **name);

/* What to judge in. It is the layout's. */
struct sg_path_graph *sg_trust_graph(const struct sg_trust *trust);

#endif
