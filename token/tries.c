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
	reader = is_piv(token) ? sg_token_reader(token) : NULL;
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
