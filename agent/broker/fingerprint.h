/*
 * Fingerprints of keys and certificates, as people write them.
 */
#ifndef SG_BROKER_FINGERPRINT_H
#define SG_BROKER_FINGERPRINT_H

struct sg_call;

/*
 * A fingerprint as people write it (of either case, blanks, colons and hyphens between the digits)
 * as lower-case hex: the 40 digits of a name, or the 64 of a SHA-256. "" when it is neither. A new
 * string; NULL without memory.
 */
char *sg_fingerprint_take(const char *text);

/* The parameter as such a fingerprint, a new string; NULL when the call has failed. */
char *sg_call_take_fingerprint(struct sg_call *call, const char *parameter);

#endif
