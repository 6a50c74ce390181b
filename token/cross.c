#include "cross.h"

#include <stdlib.h>
#include <string.h>

#include <pthread.h>

#include <openssl/x509.h>

#include "key_find.h"
#include "sign.h"
#include "x509.h"

#define PGP_FINGERPRINT_SIZE 20
#define SUBJECTS_MAX	     8		 /* that are remembered */
#define SUBJECT_SEEN_MAX     (16u << 10) /* bytes of one */

struct method {
	const char *name;
	CK_KEY_TYPE type;
	struct sg_sign_how how;
};

static const struct method methods[] = {
	{ "RSA-SHA1", CKK_RSA, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA1 } },
	{ "RSA-SHA256", CKK_RSA, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA256 } },
	{ "ECDSA-SHA256", CKK_EC, { SG_SIGN_ECDSA, SG_HASH_SHA256 } },
};

/* Subjects that are certificates: to parse one takes several times as long as a signature with
 * P-256. */
static struct {
	pthread_mutex_t lock; /* protects all below */
	struct sg_blob ders[SUBJECTS_MAX];
	size_t next;
} seen = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int was_seen(const struct sg_blob *der)
{
	int found = 0;

	pthread_mutex_lock(&seen.lock);
	for (size_t i = 0; i < SUBJECTS_MAX && !found; i++)
		found = der->len > 0 && sg_blob_eq(&seen.ders[i], der);
	pthread_mutex_unlock(&seen.lock);
	return found;
}

static void see(const struct sg_blob *der)
{
	struct sg_blob *place;

	if (der->len > SUBJECT_SEEN_MAX)
		return;
	pthread_mutex_lock(&seen.lock);
	place = &seen.ders[seen.next++ % SUBJECTS_MAX];
	if (sg_blob_set(place, der->data, der->len) != 0)
		sg_blob_clear(place); /* it is parsed again the next time */
	pthread_mutex_unlock(&seen.lock);
}

static int certificate_check(const struct sg_blob *der)
{
	X509 *cert = NULL;
	int err;

	if (was_seen(der))
		return 0;
	err = sg_x509_cert_parse(der, &cert);
	X509_free(cert);
	if (err == 0)
		see(der);
	return err;
}

static int subject_check(const struct sg_msg_cross_sign *request, struct sg_msg_error *error)
{
	int err = SG_ERR_FORMAT;

	if (request->kind == SG_SUBJECT_X509)
		err = certificate_check(&request->subject);
	else if (request->kind == SG_SUBJECT_PGP && request->subject.len == PGP_FINGERPRINT_SIZE)
		err = 0;
	if (err != 0)
		sg_msg_error_set(error, err, NULL,
		    "what is to be signed is neither a certificate nor an OpenPGP fingerprint");
	return err;
}

static int add(struct sg_key *key, const struct method *method, const struct sg_blob *subject,
    struct sg_msg_signatures *answer, struct sg_msg_error *error)
{
	struct sg_signature *signature = &answer->signatures[answer->signature_count];
	int err;

	err = sg_sign(key, &method->how, subject, &signature->value, error);
	if (err != 0)
		return err;
	answer->signature_count++;
	signature->method = strdup(method->name);
	return signature->method != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_cross_sign(struct sg_module *module, const struct sg_msg_cross_sign *request,
    struct sg_msg_signatures *answer, struct sg_msg_error *error)
{
	const size_t method_count = sizeof(methods) / sizeof(methods[0]);
	struct sg_key *key = NULL;
	size_t i;
	int err;

	err = subject_check(request, error);
	if (err == 0)
		err = sg_key_find(module, request->key, &request->spki_sha256, &key, error);
	if (err != 0)
		goto out;
	answer->signatures = calloc(method_count, sizeof(*answer->signatures));
	if (answer->signatures == NULL)
		err = SG_ERR_NOMEM;
	for (i = 0; i < method_count && err == 0; i++) {
		if (methods[i].type == key->type &&
		    (request->sha1 || methods[i].how.hash != SG_HASH_SHA1))
			err = add(key, &methods[i], &request->subject, answer, error);
	}
	if (err == 0 && answer->signature_count == 0) {
		err = SG_ERR_MECHANISM;
		sg_msg_error_set(error, err, key->info.uri,
		    "this type of key signs nothing here (RSA and EC keys do)");
	}
out:
	sg_key_unref(key);
	return err;
}
