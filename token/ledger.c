#include "ledger.h"

#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "ckr.h"
#include "piv.h"
#include "stay.h"
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

/* A card whose PIN is verified tells no number: that it is so now was done since. */
static enum sg_pin_known known_of(const struct sg_pin_hash *hash, uint32_t left)
{
	if (!hash->unsure)
		return SG_PIN_IS_WRONG;
	if (left == SG_TRIES_UNKNOWN || left == SG_PIV_VERIFIED)
		return SG_PIN_IS_UNSURE;
	return hash->unsure == SG_PIN_UNSURE_AT(left) ? SG_PIN_IS_NEW : SG_PIN_IS_UNSURE;
}

enum sg_pin_known sg_ledger_known(
    const struct sg_pin_ledger *ledger, const struct sg_pin_mark *mark, uint32_t left)
{
	uint32_t i;

	for (i = 0; mark->len > 0 && i < ledger->wrong_count; i++) {
		const struct sg_blob *hash = &ledger->wrong[i].hash;

		if (hash->len == mark->len && CRYPTO_memcmp(hash->data, mark->hash, mark->len) == 0)
			return known_of(&ledger->wrong[i], left);
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

/* What a module says before it looks at a PIN (PKCS #11 2.40, 5.6 and 5.1), or of a right one. */
static int is_untried(CK_RV rv)
{
	static const CK_RV before[] = { CKR_ARGUMENTS_BAD, CKR_FUNCTION_NOT_SUPPORTED,
		CKR_PIN_EXPIRED, CKR_SESSION_READ_ONLY, CKR_SESSION_READ_ONLY_EXISTS,
		CKR_TOKEN_WRITE_PROTECTED, CKR_USER_ALREADY_LOGGED_IN,
		CKR_USER_ANOTHER_ALREADY_LOGGED_IN, CKR_USER_PIN_NOT_INITIALIZED,
		CKR_USER_TOO_MANY_TYPES, CKR_USER_TYPE_INVALID };
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		if (rv == before[i])
			return 1;
	}
	return 0;
}

static uint32_t verdict_of(CK_RV rv)
{
	if (rv == CKR_OK)
		return SG_PIN_TAKEN;
	if (sg_ckr_code(rv) == SG_ERR_PIN_WRONG)
		return SG_PIN_REFUSED;
	if (rv == CKR_PIN_LOCKED)
		return SG_PIN_BLOCKED;
	return is_untried(rv) ? SG_PIN_UNTRIED : SG_PIN_UNSAID;
}

static void outcome_tell(struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark,
    uint32_t verdict, uint32_t flags)
{
	const struct sg_host *host = token->module->host;
	struct sg_pin_mark copy = *mark;
	struct sg_msg_pin_outcome msg = { .token = token->uri,
		.serial = token->serial,
		.by = by,
		.hash = { copy.hash, copy.len },
		.verdict = verdict,
		.flags = flags };

	if (mark->len > 0 && host != NULL)
		host->tell(host->arg, SG_MSG_PIN_OUTCOME, &msg);
}

static int write_down(
    struct sg_token *token, uint32_t by, struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	const struct sg_host *host = token->module->host;
	struct sg_msg_pin_try msg = { .token = token->uri,
		.serial = token->serial,
		.by = by,
		.hash = { mark->hash, mark->len } };
	int err;

	mark->left = by == SG_PIN_USER ? sg_tries_left(token) : SG_TRIES_UNKNOWN;
	msg.left = mark->left;
	msg.flags = sg_token_flags(token, by);
	err = host != NULL ? host->ask(host->arg, SG_MSG_PIN_TRY, &msg) : SG_ERR_INTERNAL;
	if (err != 0)
		sg_msg_error_set(error, err, token->uri,
		    "that a PIN is about to be tried on token '%s' could not be written down (%s): "
		    "nothing was tried",
		    token->label, sg_err_text(err));
	return err;
}

int sg_ledger_try(
    struct sg_token *token, uint32_t by, struct sg_pin_mark *mark, struct sg_msg_error *error)
{
	int err = mark->len > 0 ? write_down(token, by, mark, error) : 0;

	if (err != 0 || !sg_stay_is_over(token))
		return err;
	outcome_tell(token, by, mark, SG_PIN_UNTRIED, 0);
	sg_msg_error_set(error, SG_ERR_TOKEN_ABSENT, token->uri,
	    "token '%s' was taken out: nothing was tried, on it or on another in its place",
	    token->label);
	return SG_ERR_TOKEN_ABSENT;
}

void sg_ledger_taken(struct sg_token *token, const struct sg_pin_mark *mark)
{
	outcome_tell(token, SG_PIN_USER, mark, SG_PIN_TAKEN, 0);
}

void sg_ledger_untried(struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark)
{
	outcome_tell(token, by, mark, SG_PIN_UNTRIED, 0);
}

void sg_ledger_outcome(
    struct sg_token *token, uint32_t by, const struct sg_pin_mark *mark, CK_RV rv)
{
	uint32_t verdict = verdict_of(rv), flags = 0, left;
	CK_TOKEN_INFO info;

	if (mark->len > 0 && sg_tries_read(token, &info) == CKR_OK) {
		flags = sg_token_flags(token, by);
		left = by == SG_PIN_USER ? sg_tries_left(token) : SG_TRIES_UNKNOWN;
		/* A card's count is believed in place of flags, which show a failure late, and of
		 * what the module says. */
		if (left != SG_TRIES_UNKNOWN &&
		    (verdict == SG_PIN_UNSAID || verdict == SG_PIN_UNTRIED)) {
			if (left == mark->left || left == SG_PIV_VERIFIED) {
				verdict = SG_PIN_UNTRIED;
			} else {
				verdict = SG_PIN_UNSAID;
				flags |= SG_TOKEN_PIN_LOW;
			}
		}
	}
	outcome_tell(token, by, mark, verdict, flags);
}
