#include "ledger.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ckr.h"
#include "tries.h"

/* 16 MB and some 50 ms for each guess of who has the book, its key and much time. */
#define SCRYPT_N      (1u << 14)
#define SCRYPT_R      8
#define SCRYPT_P      1
#define SCRYPT_MAXMEM (64u << 20)

static int key_is_good(const struct sg_blob *blob)
{
	return blob->len >= SG_LEDGER_KEY_MIN && blob->len <= SG_LEDGER_KEY_MAX;
}

int sg_ledger_mark(const struct sg_pin_ledger *ledger, const struct sg_secret *pin,
    struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	unsigned char stretched[SG_PIN_HASH_SIZE];
	unsigned int len = 0;
	int good;

	memset(mark, 0, sizeof(*mark));
	if (ledger->key.len == 0)
		return 0;
	if (!key_is_good(&ledger->key) || !key_is_good(&ledger->salt)) {
		sg_msg_error_set(
		    error, SG_ERR_ARG, NULL, "the key or the salt of the book of PINs is none");
		return SG_ERR_ARG;
	}
	good = EVP_PBE_scrypt(sg_secret_data(pin), sg_secret_len(pin), ledger->salt.data,
		   ledger->salt.len, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MAXMEM, stretched,
		   sizeof(stretched)) == 1 &&
	    HMAC(EVP_sha256(), ledger->key.data, (int)ledger->key.len, stretched, sizeof(stretched),
		mark->hash, &len) != NULL;
	OPENSSL_cleanse(stretched, sizeof(stretched));
	if (!good)
		return SG_ERR_NOMEM;
	mark->len = len;
	return 0;
}

enum sg_pin_known sg_ledger_known(
    const struct sg_pin_ledger *ledger, const struct sg_pin_mark *mark)
{
	uint32_t i;

	for (i = 0; mark->len > 0 && i < ledger->wrong_count; i++) {
		const struct sg_blob *hash = &ledger->wrong[i].hash;

		if (hash->len == mark->len && CRYPTO_memcmp(hash->data, mark->hash, mark->len) == 0)
			return ledger->wrong[i].unsure ? SG_PIN_IS_UNSURE : SG_PIN_IS_WRONG;
	}
	return SG_PIN_IS_NEW;
}

CK_FLAGS sg_ledger_flags(CK_FLAGS flags, uint32_t by)
{
	static const struct {
		CK_FLAGS so, user;
	} table[] = {
		{ CKF_SO_PIN_COUNT_LOW, CKF_USER_PIN_COUNT_LOW },
		{ CKF_SO_PIN_FINAL_TRY, CKF_USER_PIN_FINAL_TRY },
		{ CKF_SO_PIN_LOCKED, CKF_USER_PIN_LOCKED },
	};
	size_t i;

	for (i = 0; by == SG_PIN_SO && i < sizeof(table) / sizeof(table[0]); i++) {
		flags &= ~table[i].user;
		if (flags & table[i].so)
			flags |= table[i].user;
	}
	return flags;
}

int sg_ledger_is_last(CK_FLAGS flags, uint32_t tries, uint32_t tries_max)
{
	return (flags & CKF_USER_PIN_FINAL_TRY) || (tries_max > 0 && tries >= tries_max - 1);
}

uint32_t sg_ledger_left(CK_FLAGS flags, uint32_t tries, uint32_t tries_max)
{
	if (flags & CKF_USER_PIN_LOCKED)
		return 0;
	if (flags & CKF_USER_PIN_FINAL_TRY)
		return 1;
	if (tries_max == 0)
		return SG_TRIES_UNKNOWN;
	return tries < tries_max ? tries_max - tries : 0;
}

int sg_ledger_try(
    struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	const struct sg_host *host = token->module->host;
	struct sg_pin_mark copy = *mark;
	struct sg_msg_pin_try msg = { .token = token->uri,
		.serial = token->serial,
		.by = by,
		.hash = { copy.hash, copy.len } };
	int err;

	if (mark->len == 0)
		return 0;
	msg.flags = sg_token_flags(token, by);
	err = host != NULL ? host->ask(host->arg, SG_MSG_PIN_TRY, &msg) : SG_ERR_INTERNAL;
	if (err != 0)
		sg_msg_error_set(error, err, token->uri,
		    "that a PIN is about to be tried on token '%s' could not be written down (%s): "
		    "nothing was tried",
		    token->label, sg_err_text(err));
	return err;
}

static uint32_t verdict_of(CK_RV rv)
{
	if (rv == CKR_OK)
		return SG_PIN_TAKEN;
	if (sg_ckr_code(rv) == SG_ERR_PIN_WRONG)
		return SG_PIN_REFUSED;
	return rv == CKR_PIN_LOCKED ? SG_PIN_BLOCKED : SG_PIN_UNSAID;
}

static void outcome_tell(
    struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark, CK_RV rv, uint32_t flags)
{
	const struct sg_host *host = token->module->host;
	struct sg_pin_mark copy = *mark;
	struct sg_msg_pin_outcome msg = { .token = token->uri,
		.serial = token->serial,
		.by = by,
		.hash = { copy.hash, copy.len },
		.verdict = verdict_of(rv),
		.flags = flags };

	if (mark->len > 0 && host != NULL)
		host->tell(host->arg, SG_MSG_PIN_OUTCOME, &msg);
}

void sg_ledger_taken(struct sg_token *token, const struct sg_pin_mark *mark)
{
	outcome_tell(token, SG_PIN_USER, mark, CKR_OK, 0);
}

void sg_ledger_outcome(
    struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark, CK_RV rv)
{
	uint32_t flags = 0;
	CK_TOKEN_INFO info;
	int asked = 0;

	if (mark->len > 0 && sg_tries_ask(token, &info, &asked) == CKR_OK)
		flags = sg_token_flags(token, by) | (asked ? SG_TOKEN_PIN_ASKED : 0);
	outcome_tell(token, by, mark, rv, flags);
}
