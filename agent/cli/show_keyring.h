/*
 * The keyring, as people read it. The objects are the API's own (org.signet.Agent).
 */
#ifndef SG_CLI_SHOW_KEYRING_H
#define SG_CLI_SHOW_KEYRING_H

#include <jansson.h>

/* An array of KnownKey, a line each; the sentence when there is none. */
void sg_show_known_keys(const json_t *keys, const char *when_empty);

/* A KnownKey: what it is, the person's decision, who showed or told it. */
void sg_show_known_key(const json_t *key);

/* An array of KeyChange. */
void sg_show_key_changes(const json_t *changes, const char *when_empty);

#endif
