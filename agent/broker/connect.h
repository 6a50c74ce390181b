/*
 * The connection of an account: its signet-xmpp, how it comes and how it goes, and the signatures for
 * TLS, which the token makes with the account's own key and only while the account is connecting.
 */
#ifndef SG_BROKER_CONNECT_H
#define SG_BROKER_CONNECT_H

#include "accounts.h"

/* Handshakes that one connection may need a signature for: libstrophe may try more than one address. */
#define SG_CONNECT_SIGNATURES_MAX 8

/* Makes account->worker; its process starts with the first connection. SG_ERR_NOMEM. */
SG_MUST_USE int sg_connect_worker_new(struct sg_account *account);

#endif
