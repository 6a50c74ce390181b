#include "list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cert.h"
#include "ckr.h"
#include "key.h"
#include "log.h"
#include "token_find.h"

#define MECHANISMS_MAX 1024

#define ROW(mechanism)                                                                             \
	{                                                                                          \
		mechanism, #mechanism                                                              \
	}

static const struct {
	CK_MECHANISM_TYPE mechanism;
	const char *name;
} names[] = {
	ROW(CKM_RSA_PKCS_KEY_PAIR_GEN),
	ROW(CKM_RSA_PKCS),
	ROW(CKM_RSA_X_509),
	ROW(CKM_RSA_PKCS_OAEP),
	ROW(CKM_RSA_PKCS_PSS),
	ROW(CKM_SHA1_RSA_PKCS),
	ROW(CKM_SHA256_RSA_PKCS),
	ROW(CKM_SHA384_RSA_PKCS),
	ROW(CKM_SHA512_RSA_PKCS),
	ROW(CKM_SHA1_RSA_PKCS_PSS),
	ROW(CKM_SHA256_RSA_PKCS_PSS),
	ROW(CKM_SHA384_RSA_PKCS_PSS),
	ROW(CKM_SHA512_RSA_PKCS_PSS),
	ROW(CKM_EC_KEY_PAIR_GEN),
	ROW(CKM_ECDSA),
	ROW(CKM_ECDSA_SHA1),
	ROW(CKM_ECDSA_SHA256),
	ROW(CKM_ECDSA_SHA384),
	ROW(CKM_ECDSA_SHA512),
	ROW(CKM_ECDH1_DERIVE),
	ROW(CKM_EDDSA),
	ROW(CKM_SHA_1),
	ROW(CKM_SHA256),
	ROW(CKM_SHA384),
	ROW(CKM_SHA512),
};

static char *mechanism_name(CK_MECHANISM_TYPE mechanism)
{
	char text[32];
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (names[i].mechanism == mechanism)
			return strdup(names[i].name);
	}
	snprintf(text, sizeof(text), "0x%08lx", mechanism);
	return strdup(text);
}

/* A token that goes away meanwhile has no mechanisms: the rest of the list is still worth
 * having. */
static int mechanisms_fill(struct sg_token *token, struct sg_token_info *info)
{
	CK_FUNCTION_LIST *f = token->module->f;
	CK_MECHANISM_TYPE *list = NULL;
	CK_ULONG count = 0, i;
	CK_SLOT_ID slot;
	int err = 0;

	pthread_mutex_lock(&token->lock);
	slot = token->slot;
	pthread_mutex_unlock(&token->lock);
	if (f->C_GetMechanismList(slot, NULL, &count) != CKR_OK || count == 0 ||
	    count > MECHANISMS_MAX)
		return 0;
	list = calloc(count, sizeof(*list));
	info->mechanisms = calloc(count, sizeof(char *));
	if (list == NULL || info->mechanisms == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0 && f->C_GetMechanismList(slot, list, &count) != CKR_OK)
		count = 0;
	for (i = 0; i < count && err == 0; i++) {
		info->mechanisms[i] = mechanism_name(list[i]);
		if (info->mechanisms[i] != NULL)
			info->mechanism_count++;
		else
			err = SG_ERR_NOMEM;
	}
	free(list);
	return err;
}

int sg_token_list(
    struct sg_module *module, struct sg_msg_tokens *answer, struct sg_msg_error *error)
{
	struct sg_token **tokens = NULL;
	size_t i, count = 0;
	int err;

	err = sg_token_scan(module, &tokens, &count, error);
	if (err == 0 && count == 0)
		err = sg_token_taken_check(error);
	if (err != 0) {
		free(tokens);
		return err;
	}
	answer->tokens = calloc(count + 1, sizeof(*answer->tokens));
	if (answer->tokens == NULL)
		err = SG_ERR_NOMEM;
	for (i = 0; i < count && err == 0; i++) {
		answer->token_count++;
		err = sg_token_describe(tokens[i], &answer->tokens[i]);
		if (err == 0)
			err = mechanisms_fill(tokens[i], &answer->tokens[i]);
	}
	free(tokens);
	return err;
}

/* ---- objects ---- */

static int add_keys(struct sg_key *const *keys, size_t count, struct sg_msg_objects *answer)
{
	struct sg_key_info *grown;
	size_t i;
	int err = 0;

	if (count == 0)
		return 0;
	grown = reallocarray(answer->keys, answer->key_count + count, sizeof(*grown));
	if (grown == NULL)
		return SG_ERR_NOMEM;
	answer->keys = grown;
	for (i = 0; i < count && err == 0; i++)
		err = sg_key_info_copy(&keys[i]->info, &answer->keys[answer->key_count++]);
	return err;
}

static int holds_key(const struct sg_cert_info *cert, struct sg_key *const *keys, size_t count)
{
	struct sg_blob spki;
	size_t i;
	int found = 0;

	sg_cert_spki(cert, &spki);
	for (i = 0; i < count && spki.len > 0 && !found; i++)
		found = sg_blob_eq(&spki, &keys[i]->info.spki);
	sg_blob_clear(&spki);
	return found;
}

/* Moves those that hold one of the keys to the answer. */
static int add_certs(struct sg_cert_info *certs, size_t count, struct sg_key *const *keys,
    size_t key_count, struct sg_msg_objects *answer)
{
	struct sg_cert_info *grown;
	size_t i;

	if (count == 0)
		return 0;
	grown = reallocarray(answer->certs, answer->cert_count + count, sizeof(*grown));
	if (grown == NULL)
		return SG_ERR_NOMEM;
	answer->certs = grown;
	for (i = 0; i < count; i++) {
		if (!holds_key(&certs[i], keys, key_count))
			continue;
		answer->certs[answer->cert_count++] = certs[i];
		memset(&certs[i], 0, sizeof(certs[i]));
	}
	return 0;
}

static int list_token(
    struct sg_token *token, const struct sg_selector *selector, struct sg_msg_objects *answer)
{
	struct sg_cert_info *certs = NULL;
	size_t key_count = 0, cert_count = 0;
	struct sg_key **keys = NULL;
	int err = 0;
	CK_RV rv;

	rv = sg_keys_of_token(token, selector, &keys, &key_count);
	if (rv == CKR_OK && key_count > 0)
		rv = sg_certs_of_token(token, &certs, &cert_count);
	if (rv != CKR_OK)
		/* One broken token must not hide what is on the others. */
		sg_log(
		    SG_LOG_WARN, "token '%s' cannot be listed: %s", token->label, sg_ckr_name(rv));
	else
		err = add_keys(keys, key_count, answer);
	if (rv == CKR_OK && err == 0)
		err = add_certs(certs, cert_count, keys, key_count, answer);
	sg_keys_free(keys, key_count);
	sg_certs_free(certs, cert_count);
	return err;
}

int sg_object_list(struct sg_module *module, const struct sg_msg_object_list *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct sg_selector *selector = NULL;
	struct sg_token **tokens = NULL;
	size_t i, count = 0;
	int err;

	err = sg_selector_parse(request->selector, &selector, error);
	if (err == 0)
		err = sg_token_scan(module, &tokens, &count, error);
	if (err == 0 && count == 0)
		err = sg_token_taken_check(error);
	for (i = 0; i < count && err == 0; i++) {
		if (sg_token_match(tokens[i], selector))
			err = list_token(tokens[i], selector, answer);
	}
	sg_selector_free(selector);
	free(tokens);
	return err;
}
