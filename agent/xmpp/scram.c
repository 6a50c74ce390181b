#include "scram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <strophe.h>

#include "buf.h"
#include "text.h"

#define CHALLENGE_MAX 3072 /* bytes */

static const char unproven[] = "a <success/> without proof that it knows the password: "
			       "it may not be the account's server";

static struct {
	const char *jid, *password; /* the caller's */
	char nonce[64];
	unsigned char expected[SG_SCRAM_SIGNATURE_MAX];
	size_t expected_len; /* 0: no challenge was answered */
} scram;

/* ---- the client's nonce ---- */

/*
 * In place of libstrophe's, and like that: hexadecimal, to the end of the room. It cannot fail: without
 * random bytes the nonce is empty, and a challenge to an empty nonce is refused.
 */
void xmpp_rand_nonce(xmpp_rand_t *rand, char *output, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[sizeof(scram.nonce)];
	size_t count = 0;

	scram.nonce[0] = '\0';
	if (len == 0)
		return;
	if (len > sizeof(scram.nonce))
		len = sizeof(scram.nonce);
	if (RAND_bytes(bytes, sizeof(bytes)) == 1)
		for (; count < len - 1; count++)
			scram.nonce[count] = hex[bytes[count] & 15];
	scram.nonce[count] = '\0';
	memcpy(output, scram.nonce, count + 1);
}

const char *sg_scram_nonce(void)
{
	return scram.nonce;
}

/* ---- one login ---- */

int sg_scram_takes_user(const char *jid)
{
	return jid[strcspn(jid, "=,@")] == '@';
}

void sg_scram_begin(const char *jid, const char *password)
{
	sg_scram_end();
	scram.nonce[0] = '\0';
	scram.jid = jid;
	scram.password = password;
}

void sg_scram_end(void)
{
	scram.jid = scram.password = NULL;
	OPENSSL_cleanse(scram.expected, sizeof(scram.expected));
	scram.expected_len = 0;
}

/* ---- the signature ---- */

static const EVP_MD *mechanism_md(const char *mechanism)
{
	if (strcmp(mechanism, "SCRAM-SHA-1") == 0)
		return EVP_sha1();
	if (strcmp(mechanism, "SCRAM-SHA-256") == 0)
		return EVP_sha256();
	if (strcmp(mechanism, "SCRAM-SHA-512") == 0)
		return EVP_sha512();
	return NULL;
}

int sg_scram_signature(const char *mechanism, const char *password, const unsigned char *salt,
    size_t salt_len, int iterations, const char *auth_message,
    unsigned char signature[SG_SCRAM_SIGNATURE_MAX], size_t *len)
{
	static const char label[] = "Server Key";
	unsigned char salted[SG_SCRAM_SIGNATURE_MAX], key[SG_SCRAM_SIGNATURE_MAX];
	const EVP_MD *md = mechanism_md(mechanism);
	unsigned made = 0;
	int size, err = SG_ERR_INTERNAL;

	*len = 0;
	if (md == NULL)
		return SG_ERR_ARG;
	size = EVP_MD_get_size(md);
	if (PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)salt_len, iterations, md,
		size, salted) == 1 &&
	    HMAC(md, salted, size, (const unsigned char *)label, sizeof(label) - 1, key, NULL) !=
		NULL &&
	    HMAC(md, key, size, (const unsigned char *)auth_message, strlen(auth_message),
		signature, &made) != NULL) {
		*len = made;
		err = 0;
	}
	OPENSSL_cleanse(salted, sizeof(salted));
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}

/* ---- the challenge ---- */

struct challenge {
	char *text;  /* as it came: a part of the AuthMessage */
	char *parts; /* cut at its commas */
	const char *nonce;
	struct sg_blob salt;
	int iterations;
};

static void challenge_clear(struct challenge *challenge)
{
	free(challenge->text);
	free(challenge->parts);
	sg_blob_clear(&challenge->salt);
}

static int is_nonce_of_ours(const char *nonce)
{
	size_t len = strlen(scram.nonce);

	return len > 0 && strncmp(nonce, scram.nonce, len) == 0 && nonce[len] != '\0';
}

/* Values of r, s and i. They come in this order, once (section 7); libstrophe would take the last. */
static const char *challenge_parse(struct challenge *challenge)
{
	static const char malformed[] = "a malformed SCRAM challenge";
	const char *values[3] = { NULL };
	char *rest = NULL, *end, *part;
	unsigned count = 0;
	long iterations;

	for (part = strtok_r(challenge->parts, ",", &rest); part != NULL;
	     part = strtok_r(NULL, ",", &rest)) {
		if (count < 3 && part[0] == "rsi"[count] && part[1] == '=')
			values[count++] = part + 2;
		else if (count < 3 || strchr("rsim", part[0]) != NULL)
			return malformed;
	}
	if (count < 3 || sg_base64_decode(values[1], SG_SCRAM_SALT_MAX, &challenge->salt) != 0)
		return malformed;
	iterations = strtol(values[2], &end, 10);
	if (iterations < SG_SCRAM_ITERATIONS_MIN)
		return "SCRAM with too few rounds";
	if (iterations > SG_SCRAM_ITERATIONS_MAX)
		return "SCRAM with too many rounds";
	if (*end != '\0')
		return malformed;
	if (!is_nonce_of_ours(values[0]))
		return "a SCRAM challenge that does not answer ours";
	challenge->nonce = values[0];
	challenge->iterations = (int)iterations;
	return NULL;
}

/* Decodes; the text of a challenge has no NUL. */
static const char *challenge_read(struct challenge *challenge, const char *base64)
{
	static const char malformed[] = "a malformed SCRAM challenge";
	struct sg_blob bytes;

	if (sg_base64_decode(base64, CHALLENGE_MAX, &bytes) != 0)
		return malformed;
	challenge->text = strndup((const char *)bytes.data, bytes.len);
	challenge->parts = strndup((const char *)bytes.data, bytes.len);
	if (challenge->text == NULL || challenge->parts == NULL ||
	    strlen(challenge->text) != bytes.len) {
		sg_blob_clear(&bytes);
		return malformed;
	}
	sg_blob_clear(&bytes);
	return challenge_parse(challenge);
}

const char *sg_scram_challenge(const char *mechanism, const char *base64)
{
	struct challenge challenge = { 0 };
	char *message = NULL;
	const char *why = NULL;

	if (scram.password == NULL || mechanism == NULL || scram.expected_len > 0)
		return "a SCRAM challenge that was not asked for";
	why = challenge_read(&challenge, base64);
	if (why != NULL)
		goto out;
	/* client-first-bare, server-first and client-final-without-proof, as libstrophe writes them */
	if (asprintf(&message, "n=%.*s,r=%s,%s,c=biws,r=%s", (int)strcspn(scram.jid, "@"),
		scram.jid, scram.nonce, challenge.text, challenge.nonce) < 0) {
		message = NULL;
		why = "a SCRAM challenge for which there is no memory";
		goto out;
	}
	if (sg_scram_signature(mechanism, scram.password, challenge.salt.data, challenge.salt.len,
		challenge.iterations, message, scram.expected, &scram.expected_len) != 0)
		why = "a SCRAM challenge that cannot be computed";
out:
	challenge_clear(&challenge);
	free(message);
	return why;
}

const char *sg_scram_success(const char *base64)
{
	struct sg_blob text = { 0 }, signature = { 0 };
	const char *why = unproven;
	char *verifier = NULL;

	if (scram.expected_len == 0 ||
	    sg_base64_decode(base64, 2 + 2 * SG_SCRAM_SIGNATURE_MAX, &text) != 0)
		goto out;
	verifier = strndup((const char *)text.data, text.len);
	if (verifier == NULL || strlen(verifier) != text.len || strncmp(verifier, "v=", 2) != 0 ||
	    sg_base64_decode(verifier + 2, SG_SCRAM_SIGNATURE_MAX, &signature) != 0)
		goto out;
	if (signature.len == scram.expected_len &&
	    CRYPTO_memcmp(signature.data, scram.expected, signature.len) == 0)
		why = NULL;
out:
	sg_blob_clear(&text);
	sg_blob_clear(&signature);
	free(verifier);
	sg_scram_end();
	return why;
}
