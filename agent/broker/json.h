/*
 * The structs of the messages as the objects of the interface. Each gives a new reference, or NULL
 * without memory. Texts that come from tokens and peers may be anything: what is not UTF-8 is replaced.
 */
#ifndef SG_BROKER_JSON_H
#define SG_BROKER_JSON_H

#include <jansson.h>

#include "msg.h"

struct sg_account;
struct sg_worker;

json_t *sg_json_text(const char *text);		 /* null for NULL */
json_t *sg_json_text_or_empty(const char *text); /* "" for NULL */

json_t *sg_json_error(const struct sg_msg_error *error);
json_t *sg_json_token(const struct sg_token_info *token, const char *module);

/* certs: the certificates among which its own are. */
json_t *sg_json_key(const struct sg_key_info *key, const struct sg_msg_objects *certs);

/* The URIs may be NULL. A certificate that does not parse gives null. */
json_t *sg_json_certificate(const struct sg_blob *der, const char *uri);

json_t *sg_json_account(const struct sg_account *account);
json_t *sg_json_issued(const struct sg_ccm2_cert *cert, int own);

/* Judges the key with the issuers at hand (X.509 ones). */
json_t *sg_json_public_key(
    const struct sg_keyinfo *keyinfo, const struct sg_keyinfo *issuers, size_t issuer_count);

json_t *sg_json_worker(const struct sg_worker *worker);

#endif
