#include "key_known.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "events.h"
#include "key_cache.h"
#include "log.h"
#include "store.h"
#include "text.h"
#include "x509.h"

/* The abilities that a probe finds out; the others are attributes. */
#define PROBED                                                                                     \
	((uint32_t)(SG_KEY_RSA_PKCS1 | SG_KEY_RSA_PKCS1_SHA1 | SG_KEY_RSA_PKCS1_SHA256 |           \
	    SG_KEY_RSA_PSS | SG_KEY_ECDSA | SG_KEY_RSA_PSS_HASHED | SG_KEY_ECDSA_HASHED))

_Static_assert(SG_SPKI_SHA256_SIZE == SHA256_DIGEST_LENGTH, "it is one");

static void hash_spki(struct sg_key_ref *key)
{
	const struct sg_blob *spki = &sg_key_ref_info(key)->spki;

	key->spki_sha256_len = 0;
	if (spki->len == 0)
		return; /* the token does not show it */
	SHA256(spki->data, spki->len, key->spki_sha256);
	key->spki_sha256_len = SG_SPKI_SHA256_SIZE;
}

/* Gives 0 when a note is no SHA-256. */
static int hash_of_note(const char *hex, unsigned char hash[SG_SPKI_SHA256_SIZE])
{
	struct sg_blob bytes = { NULL, 0 };
	int good = sg_hex_decode(hex, SG_SPKI_SHA256_SIZE, &bytes) == 0 &&
	    bytes.len == SG_SPKI_SHA256_SIZE;

	if (good)
		memcpy(hash, bytes.data, SG_SPKI_SHA256_SIZE);
	sg_blob_clear(&bytes);
	return good;
}

static int note(struct sg_agent *agent, const struct sg_key_ref *key, int adopted)
{
	const struct sg_key_info *info = sg_key_ref_info(key);
	struct sg_key_use use = {
		.uri = info->uri,
		.spki_sha256 = sg_hex_encode(key->spki_sha256, key->spki_sha256_len),
		.abilities = info->abilities,
		.adopted = adopted ? 1 : 0,
	};
	int err = use.spki_sha256 != NULL ? sg_store_key_use_put(agent->store, &use) : SG_ERR_NOMEM;

	free(use.spki_sha256);
	return err;
}

void sg_key_known_set_changed(
    struct sg_agent *agent, const struct sg_key_ref *key, struct sg_msg_error *error)
{
	const struct sg_key_info *info = sg_key_ref_info(key);

	sg_log(SG_LOG_WARN, "the key %s is not the one that it was: not used", info->uri);
	sg_events_tell(agent, SG_NEWS_KEY_CHANGED, info->token_uri, info->label, NULL,
	    "another key than before stands under this name; it is not used");
	sg_msg_error_set(error, SG_ERR_KEY_CHANGED, info->uri,
	    "the key \"%s\" is not the one that it was at its first use: its public key is "
	    "another, and nothing was done with it",
	    info->label != NULL ? info->label : info->uri);
}

/* The key against the note: 1 it is the one. Where the token does not show the public key, its
 * worker is to look. */
static int is_noted(struct sg_key_ref *key, const struct sg_key_use *use)
{
	unsigned char noted[SG_SPKI_SHA256_SIZE];

	if (!hash_of_note(use->spki_sha256, noted))
		return 0;
	if (key->spki_sha256_len == 0) {
		memcpy(key->spki_sha256, noted, sizeof(noted));
		key->spki_sha256_len = sizeof(noted);
	}
	return memcmp(key->spki_sha256, noted, sizeof(noted)) == 0;
}

int sg_key_known_check(struct sg_agent *agent, struct sg_key_ref *key, struct sg_msg_error *error)
{
	struct sg_key_info *info = &key->objects.keys[0];
	struct sg_key_use use = { .uri = NULL };
	int err;

	hash_spki(key);
	if (info->uri == NULL)
		return 0;
	err = sg_store_key_use_get(agent->store, info->uri, &use);
	if (err == SG_ERR_KEY_ABSENT) {
		err = key->spki_sha256_len > 0 ? note(agent, key, 0) : 0;
	} else if (err == 0 && !is_noted(key, &use)) {
		sg_key_known_set_changed(agent, key, error);
		sg_key_use_clear(&use);
		return SG_ERR_KEY_CHANGED;
	} else if (err == 0 && use.adopted) {
		info->abilities = (info->abilities & ~PROBED) | (use.abilities & PROBED);
	}
	sg_key_use_clear(&use);
	if (err != 0)
		sg_msg_error_set(error, err, info->uri, "%s", sg_store_failure(agent->store, err));
	return err;
}

int sg_key_known_put(struct sg_agent *agent, struct sg_key_ref *key, int adopted)
{
	hash_spki(key);
	sg_key_cache_flush(agent->key_cache, NULL);
	return key->spki_sha256_len > 0 ? note(agent, key, adopted) : 0;
}

int sg_key_known_fits(const struct sg_key_ref *key, const struct sg_blob *certificate)
{
	const struct sg_blob *spki = &sg_key_ref_info(key)->spki;
	X509 *cert = NULL;
	int fits;

	if (spki->len == 0)
		return 1;
	/* What came with the key holds it, and needs no look. */
	for (uint32_t i = 0; i < key->objects.cert_count; i++) {
		if (sg_blob_eq(&key->objects.certs[i].der, certificate))
			return 1;
	}
	fits = sg_x509_cert_parse(certificate, &cert) == 0 && sg_x509_holds(cert, spki);
	X509_free(cert);
	return fits;
}
