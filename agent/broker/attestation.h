/*
 * What a token attests of a key: that it was made on it, by a certificate that the token's own key
 * has signed. What can be judged here is that it is about this key, and whose signature it bears:
 * whether that signer is the maker whom a person trusts is for who has the maker's root.
 */
#ifndef SG_BROKER_ATTESTATION_H
#define SG_BROKER_ATTESTATION_H

#include "call.h"

/* Asks the token of call->key into call->attestation, which stays empty when the token attests
 * nothing, or cannot be asked: no call fails for it. */
void sg_call_attest(struct sg_call *call, sg_verb_fn *next);

/* Keeps call->attestation, unless it is empty, with the account that has call->key certified. A
 * failure is logged. */
void sg_attestation_keep(const struct sg_call *call);

/* The one that an account keeps of call->key, into call->attestation; 0 when none does. */
int sg_attestation_kept(struct sg_call *call);

/* An Attestation of the interface; null when call->attestation is empty. */
json_t *sg_json_attestation(const struct sg_call *call, int kept);

#endif
