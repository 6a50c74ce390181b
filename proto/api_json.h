/*
 * What the agent and the command line both do with the JSON of the API: its depth is checked, and
 * objects of the interface (proto/org.signet.Agent.varlink) are made. Each function that makes one
 * gives a new reference, or NULL without memory.
 */
#ifndef SG_PROTO_API_JSON_H
#define SG_PROTO_API_JSON_H

#include <jansson.h>

#include <openssl/x509.h>

#include "msg.h"
#include "verdict.h"

/* Whether arrays and objects nest within SG_API_DEPTH_MAX; what is no JSON is left to the parser. */
int sg_json_depth_is_good(const char *text, size_t len);

/* The text may be anything, as it comes from tokens and peers: what is not UTF-8 is replaced. */
json_t *sg_json_text(const char *text);		 /* null for NULL */
json_t *sg_json_text_or_empty(const char *text); /* "" for NULL */

/* The xmppAddrs of the certificate; none for NULL, and where they cannot be read. */
json_t *sg_json_jids(X509 *cert);

/* Seconds since 1970 as a time of the API; null for 0, and for what is none. */
json_t *sg_json_when(int64_t when);

/* A PublicKey: the keyinfo and what sg_verdict_judge() said of it. NULL also for a kind that is
 * none. */
json_t *sg_json_public_key(const struct sg_keyinfo *keyinfo, const struct sg_verdict *verdict);

#endif
