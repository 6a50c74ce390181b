/*
 * Renewing the accounts' certificates by themselves when they are due (renewal.h): the clock that
 * waits for the next one. It is the machine's clock, so that sleep counts and a clock that is set is
 * heard of; while nothing is due, nothing wakes up.
 */
#ifndef SG_BROKER_RENEWING_H
#define SG_BROKER_RENEWING_H

#include "accounts.h"

struct sg_renewing;

/* For the accounts that there are. SG_ERR_NOMEM, SG_ERR_IO (no timer), logged. */
SG_MUST_USE int sg_renewing_new(struct sg_agent *agent, struct sg_renewing **renewing);
void sg_renewing_free(struct sg_renewing *renewing); /* NULL is fine */

/* The account has another certificate than before, or it was revoked, or the account was removed. */
void sg_renewing_note(struct sg_account *account);

/* The same, and a job for its certificate has ended. error: why its renewal came to nothing, or NULL. */
void sg_renewing_ended(struct sg_account *account, const struct sg_msg_error *error);

/* Whether the account's certificate is due to be renewed now; not one that is revoked. */
int sg_renewing_is_due(const struct sg_account *account);

#endif
