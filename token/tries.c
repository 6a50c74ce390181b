#include "tries.h"

#include <stdlib.h>
#include <string.h>

#include "piv.h"

/* A card that answers as SP 800-73 says. */
static int is_piv(const struct sg_token *token)
{
	static const char maker[] = "piv_II"; /* OpenSC's */

	return sg_token_is_of_ykcs11(&token->identity) ||
	    memcmp(token->identity.manufacturerID, maker, sizeof(maker) - 1) == 0;
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

static void note(struct sg_token *token, const CK_FLAGS *flags, uint32_t left)
{
	pthread_mutex_lock(&token->lock);
	pthread_mutex_lock(&token->held_lock);
	if (flags != NULL)
		token->info.flags = *flags;
	token->pin_left = left;
	pthread_mutex_unlock(&token->held_lock);
	pthread_mutex_unlock(&token->lock);
}

CK_RV sg_tries_read(struct sg_token *token, CK_TOKEN_INFO *info)
{
	CK_RV rv = sg_token_info_read(token, info);
	char *reader;
	int tries, err;

	note(token, NULL, SG_TRIES_UNKNOWN);
	if (rv != CKR_OK)
		return rv;
	reader = is_piv(token) ? sg_token_reader(token) : NULL;
	if (reader == NULL)
		return CKR_OK;
	err = sg_piv_tries(reader, &tries);
	free(reader);
	if (err == SG_ERR_UNSUPPORTED)
		return CKR_OK;
	if (err != 0)
		return CKR_DEVICE_ERROR;
	info->flags = corrected(info->flags, tries);
	note(token, &info->flags, (uint32_t)tries);
	return CKR_OK;
}

uint32_t sg_tries_left(struct sg_token *token)
{
	uint32_t left;

	pthread_mutex_lock(&token->held_lock);
	left = token->pin_left;
	pthread_mutex_unlock(&token->held_lock);
	return left;
}
