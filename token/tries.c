#include "tries.h"

#include <stdlib.h>
#include <string.h>

#include "piv.h"

/* A card that answers as SP 800-73 says. */
static int is_piv(const struct sg_token *token)
{
	static const char *const makers[] = { "Yubico", "piv_II" };
	size_t i;

	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
		if (memcmp(token->identity.manufacturerID, makers[i], strlen(makers[i])) == 0)
			return 1;
	}
	return 0;
}

/* Its reader's name, to be freed; NULL for what is no PIV card. */
static char *piv_reader(struct sg_token *token)
{
	const CK_SLOT_INFO *info = &token->slot_info;
	char *reader = NULL;

	pthread_mutex_lock(&token->lock);
	if (token->present && (info->flags & CKF_REMOVABLE_DEVICE) && is_piv(token))
		reader = sg_text_padded(info->slotDescription, sizeof(info->slotDescription));
	pthread_mutex_unlock(&token->lock);
	return reader;
}

static CK_FLAGS corrected(CK_FLAGS flags, int tries)
{
	flags &= ~(CK_FLAGS)(CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED);
	if (tries == 0)
		flags |= CKF_USER_PIN_LOCKED;
	if (tries == 1)
		flags |= CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_COUNT_LOW;
	return flags;
}

CK_RV sg_tries_read(struct sg_token *token, CK_TOKEN_INFO *info)
{
	int asked;

	return sg_tries_ask(token, info, &asked);
}

CK_RV sg_tries_ask(struct sg_token *token, CK_TOKEN_INFO *info, int *asked)
{
	CK_RV rv = sg_token_info_read(token, info);
	char *reader;
	int tries, err;

	*asked = 0;
	if (rv != CKR_OK)
		return rv;
	reader = piv_reader(token);
	if (reader == NULL)
		return CKR_OK;
	err = sg_piv_tries(reader, &tries);
	free(reader);
	if (err == SG_ERR_UNSUPPORTED)
		return CKR_OK;
	if (err != 0)
		return CKR_DEVICE_ERROR;
	*asked = 1;
	info->flags = corrected(info->flags, tries);
	pthread_mutex_lock(&token->lock);
	pthread_mutex_lock(&token->held_lock);
	token->info.flags = info->flags;
	pthread_mutex_unlock(&token->held_lock);
	pthread_mutex_unlock(&token->lock);
	return CKR_OK;
}
