/*
 * The structs of the messages as the objects of the interface. Each gives a new reference, or NULL
 * without memory. Texts that come from tokens and peers may be anything: what is not UTF-8 is
 * replaced.
 */
#ifndef SG_BROKER_JSON_H
#define SG_BROKER_JSON_H

#include <jansson.h>

#include "api_json.h"
#include "msg.h"

struct sg_account;
struct sg_agent;
struct sg_verdict_index;
struct sg_worker;

/* advice: in place of the general one of the error's code, or NULL. */
json_t *sg_json_error(const struct sg_msg_error *error, const char *advice);
json_t *sg_json_token(
    const struct sg_agent *agent, const struct sg_token_info *token, const char *module);

/* All tokens of the modules that have answered, but for what is not initialised. */
struct sg_module_answer;
json_t *sg_json_tokens(
    const struct sg_agent *agent, const struct sg_module_answer *answers, size_t count);

/* certs: the certificates among which its own are. */
json_t *sg_json_key(const struct sg_key_info *key, const struct sg_msg_objects *certs);

/* The URIs may be NULL. A certificate that does not parse gives null. */
json_t *sg_json_certificate(const struct sg_blob *der, const char *uri);

json_t *sg_json_account(const struct sg_account *account);
json_t *sg_json_issued(const struct sg_ccm2_cert *cert, int own);

/* A PublicKey, judged now with the issuers at hand. */
json_t *sg_json_judged_key(const struct sg_keyinfo *keyinfo, struct sg_verdict_index *issuers);

/* problem: what its module failed with when it was asked, or NULL. */
json_t *sg_json_worker(const struct sg_worker *worker, const struct sg_msg_error *problem);

#endif
