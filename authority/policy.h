/*
 * What the operator allows: which accounts get certificates, for keys of which kinds, for how long, and how often
 * an account may ask.
 */
#ifndef SG_AUTHORITY_POLICY_H
#define SG_AUTHORITY_POLICY_H

#include <time.h>

#include <openssl/x509.h>

#include "config.h"
#include "error.h"

#define SG_POLICY_ACCOUNTS_MAX 100000 /* in one list */

struct sg_policy;

/*
 * The configuration must outlive it. Reads the files that its lists of accounts name. SG_ERR_CONFIG with one log
 * line that says which file and line, SG_ERR_IO likewise, SG_ERR_NOMEM, SG_ERR_INTERNAL.
 */
SG_MUST_USE int sg_policy_new(const struct sg_authority_config *config, struct sg_policy **policy);
void sg_policy_free(struct sg_policy *policy); /* NULL is fine */

/* Reads those files anew; when it fails, as sg_policy_new() does, what was read before goes on to count. */
SG_MUST_USE int sg_policy_reload(struct sg_policy *policy);

/* NULL when the account (a bare JID) may have certificates; else why not, a sentence for the person (static). */
const char *sg_policy_refusal(const struct sg_policy *policy, const char *account);

/* Counts a request of the account. NULL when it may be looked at; else why not, a sentence (static). */
const char *sg_policy_hold(struct sg_policy *policy, const char *account);

/* The sentence for who asked for a key of another kind than the configured ones, which it names. Borrowed. */
const char *sg_policy_kinds(const struct sg_policy *policy);

/*
 * The end of a certificate that is issued now: as configured, but never after the CA's own (a warning, once).
 * SG_ERR_KEY_ABSENT, logged, when the CA's certificate has expired.
 */
SG_MUST_USE int sg_policy_not_after(
    struct sg_policy *policy, X509 *ca, time_t now, time_t *not_after);

#endif
