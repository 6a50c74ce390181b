/*
 * The types of the API, as people read them. The objects are the API's own (org.signet.Agent).
 */
#ifndef SG_CLI_SHOW_H
#define SG_CLI_SHOW_H

#include <jansson.h>

void sg_show_tokens(const json_t *tokens);
void sg_show_token(const json_t *token);
void sg_show_keys(const json_t *keys);
void sg_show_key(const json_t *key);
void sg_show_certificate(const json_t *certificate);
void sg_show_accounts(const json_t *accounts);
/* What the jobs of these accounts wait for, and what to do; nothing where there is none. */
void sg_show_jobs(const json_t *accounts);

void sg_show_account(const json_t *account);
void sg_show_workers(const json_t *workers);

/* The signatures of a PublicKey, or of a reply of ShowKeyring, and what they are worth. */
void sg_show_signatures(const json_t *key);

/* A PublicKey's kind in words. */
const char *sg_key_kind_text(const char *kind);

/* An array of PublicKey: each key with its signatures and what they are worth. */
void sg_show_public_keys(const json_t *keys);

#endif
