#include "probe.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "clock.h"
#include "key_find.h"
#include "log.h"
#include "sign.h"
#include "touch.h"
#include "verify.h"

/* No certificate, request, fingerprint or TLS content begins so; and it is never signed but
 * hashed. */
static const char prefix[] = "signet test signature, good for nothing else";

#define NONCE_SIZE   32
#define CONTENT_SIZE (sizeof(prefix) + NONCE_SIZE)

#define SIGNS                                                                                      \
	((uint32_t)(SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PKCS1_SHA1 | SG_KEY_RSA_PKCS1_SHA256 |           \
	    SG_KEY_RSA_PSS | SG_KEY_RSA_PSS_HASHED | SG_KEY_ECDSA | SG_KEY_ECDSA_HASHED))

/* Those of one kind stand together, the one that signing prefers first. */
static const struct trial {
	uint32_t ability;
	struct sg_sign_how how;
} trials[] = {
	{ SG_KEY_RSA_PKCS1, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA256 } },
	{ SG_KEY_RSA_PKCS1_SHA256, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA256 } },
	{ SG_KEY_RSA_PKCS1_SHA1, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA1 } },
	{ SG_KEY_RSA_PSS, { SG_SIGN_RSA_PSS, SG_HASH_SHA256 } },
	{ SG_KEY_RSA_PSS_HASHED, { SG_SIGN_RSA_PSS, SG_HASH_SHA256 } },
	{ SG_KEY_ECDSA, { SG_SIGN_ECDSA, SG_HASH_SHA256 } },
	{ SG_KEY_ECDSA_HASHED, { SG_SIGN_ECDSA, SG_HASH_SHA256 } },
};

struct probe {
	struct sg_key *key;
	uint32_t proven;
	uint32_t wrong; /* made a signature that does not verify */
	int slow;
	struct sg_msg_error refusal; /* why the last one was not made at all */
};

/* ---- trying ---- */

/* Gives 0 also when the way is refused or its signature wrong: another may do. */
static int try_one(struct probe *probe, const struct trial *trial, struct sg_msg_error *error)
{
	unsigned char bytes[CONTENT_SIZE];
	struct sg_blob content = { bytes, sizeof(bytes) }, signature = { 0 };
	int64_t start = sg_clock_ms();
	int err;

	memcpy(bytes, prefix, sizeof(prefix));
	if (RAND_bytes(bytes + sizeof(prefix), NONCE_SIZE) != 1)
		return SG_ERR_INTERNAL;
	err = sg_sign_by(probe->key, trial->ability, &trial->how, &content, &signature, error);
	probe->slow |= sg_clock_ms() - start > SG_TOUCH_MS;
	if (err == 0) {
		if (sg_signature_is_good(probe->key, &trial->how, &content, &signature))
			probe->proven |= trial->ability;
		else
			probe->wrong |= trial->ability;
		sg_blob_clear(&signature);
	}
	if (err == SG_ERR_MECHANISM) {
		sg_layout_clear(&sg_layout_error, &probe->refusal);
		probe->refusal = *error;
		memset(error, 0, sizeof(*error));
		err = 0;
	}
	return err;
}

/* Whether signing has a better way of this kind and hash already. */
static int is_spare(const struct probe *probe, const struct trial *trial)
{
	size_t i;

	for (i = 0; &trials[i] < trial; i++) {
		if (trials[i].how.kind == trial->how.kind && (probe->proven & trials[i].ability) &&
		    (trials[i].how.hash == trial->how.hash ||
			trials[i].ability == SG_KEY_RSA_PKCS1))
			return 1;
	}
	return 0;
}

static int try_all(struct probe *probe, struct sg_msg_error *error)
{
	size_t i;
	int err = 0;

	for (i = 0; i < sizeof(trials) / sizeof(trials[0]) && err == 0; i++) {
		if (!(probe->key->info.abilities & trials[i].ability) ||
		    (probe->slow && is_spare(probe, &trials[i])))
			continue;
		err = try_one(probe, &trials[i], error);
	}
	return err;
}

static int judge(struct probe *probe, struct sg_msg_error *error)
{
	const struct sg_key *key = probe->key;

	if (probe->wrong != 0)
		sg_log(SG_LOG_WARN, "key '%s' on token '%s': signatures by 0x%x do not verify",
		    key->info.label, key->token->label, probe->wrong);
	if (probe->proven != 0)
		return 0;
	if (probe->wrong != 0) {
		sg_msg_error_set(error, SG_ERR_CERT_MISMATCH, key->info.uri,
		    "key '%s' on token '%s' signs, but the public key or certificate beside it is "
		    "another key's: put the right certificate on the token",
		    key->info.label, key->token->label);
		return SG_ERR_CERT_MISMATCH;
	}
	if (probe->refusal.code != 0) {
		*error = probe->refusal;
		memset(&probe->refusal, 0, sizeof(probe->refusal));
		return SG_ERR_MECHANISM;
	}
	sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri,
	    "token '%s' names no mechanism that signs with key '%s'", key->token->label,
	    key->info.label);
	return SG_ERR_MECHANISM;
}

static int key_check(const struct sg_key *key, struct sg_msg_error *error)
{
	static const char *const algorithms[] = { "rsa2048", "rsa3072", "rsa4096", "p256", "p384" };
	size_t i;

	if (key->odd_curve) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, key->info.uri,
		    "key '%s' on token '%s' is on a curve that is not supported: of elliptic "
		    "curves, "
		    "p256 and p384 are",
		    key->info.label, key->token->label);
		return SG_ERR_UNSUPPORTED;
	}
	if (key->public == NULL && (key->type == CKK_RSA || key->type == CKK_EC)) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, key->info.uri,
		    "token '%s' does not show the public half of key '%s', or two that may be it: "
		    "put "
		    "its certificate on the token",
		    key->token->label, key->info.label);
		return SG_ERR_UNSUPPORTED;
	}
	for (i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if (strcmp(key->info.algorithm, algorithms[i]) == 0)
			return 0;
	}
	sg_msg_error_set(error, SG_ERR_UNSUPPORTED, key->info.uri,
	    "key '%s' on token '%s' is none of rsa2048, rsa3072, rsa4096, p256 and p384",
	    key->info.label, key->token->label);
	return SG_ERR_UNSUPPORTED;
}

static int answer_fill(const struct probe *probe, struct sg_msg_objects *answer)
{
	int err;

	answer->keys = calloc(1, sizeof(*answer->keys));
	if (answer->keys == NULL)
		return SG_ERR_NOMEM;
	answer->key_count = 1;
	err = sg_key_info_copy(&probe->key->info, &answer->keys[0]);
	answer->keys[0].abilities = (answer->keys[0].abilities & ~SIGNS) | probe->proven;
	return err;
}

int sg_key_probe(struct sg_module *module, const struct sg_msg_key_probe *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct probe probe = { 0 };
	int err;

	/* The key may have been replaced, which is why it is adopted. */
	sg_key_cache_flush(module);
	err = sg_key_find(module, request->key, NULL, &probe.key, error);
	if (err == 0)
		err = key_check(probe.key, error);
	if (err == 0 && !probe.key->may_sign)
		err = try_one(&probe, &trials[0], error); /* says so */
	if (err == 0)
		err = try_all(&probe, error);
	if (err == 0)
		err = judge(&probe, error);
	if (err == 0)
		err = answer_fill(&probe, answer);
	sg_layout_clear(&sg_layout_error, &probe.refusal);
	sg_key_unref(probe.key);
	return err;
}
