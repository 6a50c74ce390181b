/*
 * How a key becomes the user key of an account: for NewKey and UseKey.
 */
#ifndef SG_BROKER_USER_KEY_H
#define SG_BROKER_USER_KEY_H

#include <jansson.h>

#include "call.h"

/*
 * The parameters user and account of a call: sets call->account where one is named. Gives 1, or 0
 * when the call has failed for them.
 */
SG_MUST_USE int sg_user_key_take(struct sg_call *call);

/*
 * Makes call->key, which is on an unlocked token, the user key of call->account: its self-signed
 * certificate is made on the token, stored beside it where the token takes certificates, and kept
 * by the agent. Then the step is taken, also where the token takes no certificate, or has no room
 * for one. Else the call fails with what the worker or sg_account_certify() says. Uses call->state.
 */
void sg_user_key_make(struct sg_call *call, sg_verb_fn *done);

/* The certificate that was made, for a reply of the step. */
json_t *sg_user_key_certificate(const struct sg_call *call);

#endif
