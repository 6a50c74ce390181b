/*
 * The steps of a call that uses a key.
 */
#ifndef SG_BROKER_CALL_KEY_H
#define SG_BROKER_CALL_KEY_H

#include "call.h"

/* Finds the key by a search, without unlocking its token. */
void sg_call_find_key(struct sg_call *call, const char *selector, sg_verb_fn *next);

/*
 * Sees to it that call->key is the key that is meant, on an unlocked token, and takes the step.
 * When the step then asks the key's worker by sg_call_ask_key(), and what was remembered of the key
 * turns out to stand no more, the key is found anew and the step taken a second time, not a third.
 */
void sg_call_use_key(struct sg_call *call, const char *selector, sg_verb_fn *step);

/* The same by a search in any case, and with whatever public key is there now. */
void sg_call_use_key_anew(struct sg_call *call, const char *selector, sg_verb_fn *step);

/* As sg_call_use_key(), with the key that the call has already: its token may have been locked
 * since, or its worker have died. */
void sg_call_use_key_again(struct sg_call *call, sg_verb_fn *step);

/* What call->key is held to in a request; owned by the call. */
struct sg_blob sg_call_key_spki_sha256(struct sg_call *call);

/* Whether call->key is the one that this certificate was made for; 0 when the call has failed for
 * it. */
SG_MUST_USE int sg_call_key_fits(struct sg_call *call, const struct sg_blob *certificate);

/*
 * Stores a certificate beside call->key, as a step of sg_call_use_key(), and takes the next. A PIV card takes
 * certificates from who has its management key alone, and a token may be full or write-protected: that is no
 * failure, for the agent keeps the certificate in any case.
 */
void sg_call_store_cert(struct sg_call *call, const struct sg_blob *der, sg_call_stored_fn *next);

/* As sg_call_ask(), of call->key's worker: see sg_call_use_key(). Once whoever made the call has
 * gone it fails with SG_ERR_PIN_CANCELLED, but for storing a certificate. */
void sg_call_ask_key(
    struct sg_call *call, uint16_t type, const void *msg, int seconds, sg_call_answer_fn *next);

#endif
