/*
 * An account goes on with another certificate than the one that it logs in with.
 */
#ifndef SG_BROKER_SWITCHING_H
#define SG_BROKER_SWITCHING_H

#include "accounts.h"

/*
 * The key (URI) and certificate (SHA-256, in the store) become the account's, and it goes online with
 * them by SASL EXTERNAL: the connection that there was has ended then. When that fails it keeps those
 * that it had, and is offline. Fine when they are the account's already. caller and pin must stay valid
 * until fn is called. SG_ERR_BUSY while an enrolment is not finished or another switch goes on, SG_ERR_IO, and
 * as sg_account_go_online().
 */
void sg_account_switch(struct sg_account *account, const struct sg_caller *caller,
    struct sg_pin *pin, const char *key_uri, const char *sha256, sg_done_fn *fn, void *arg);

#endif
