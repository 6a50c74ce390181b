/*
 * How an account goes online and offline: the connection that its signet-xmpp makes, and the
 * signatures for TLS, which the token makes with the account's own key and only while the account
 * is connecting.
 */
#ifndef SG_BROKER_ONLINE_H
#define SG_BROKER_ONLINE_H

#include "accounts.h"

/* Handshakes that one connection may need a signature for: libstrophe may try more than one
 * address. */
#define SG_CONNECT_SIGNATURES_MAX 8

/* Makes account->worker; its process starts with the first connection. SG_ERR_NOMEM. */
SG_MUST_USE int sg_online_worker_new(struct sg_account *account);

/*
 * Sees to it that the account is online: it is already, or a connection is being made that is
 * waited for, or one is made: with the password (a descriptor, or -1), else by SASL EXTERNAL with
 * the account's certificate. A call that waited for another's login, and brought a password or PIN
 * that the failed one did not have, makes its own. A caller that is no job's keeps jobs from taking
 * the account offline as it was (is_wanted). caller, pin and password_fd must stay valid until fn is
 * called. SG_ERR_PASSWORD_NEEDED, errors of the token, SG_ERR_CONNECT, SG_ERR_TLS,
 * SG_ERR_AUTH, ...
 */
void sg_account_go_online(struct sg_account *account, const struct sg_caller *caller,
    int password_fd, struct sg_pin *pin, sg_done_fn *fn, void *arg);

/* Ends the connection in good order; fine when there is none: fn is called at once then, and gets no error in any case.
 * One that is being made fails with SG_ERR_OFFLINE, perhaps after that. */
void sg_account_go_offline(struct sg_account *account, sg_done_fn *fn, void *arg);

#endif
