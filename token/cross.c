#include "cross.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "find.h"
#include "sign.h"
#include "x509.h"

#define PGP_FINGERPRINT_SIZE 20

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

static int subject_check(const struct sg_msg_cross_sign *request, struct sg_msg_error *error)
{
	X509 *cert = NULL;
	int code = SG_ERR_FORMAT;

	if (request->kind == SG_SUBJECT_X509)
		code = sg_x509_cert_parse(&request->subject, &cert);
	else if (request->kind == SG_SUBJECT_PGP && request->subject.len == PGP_FINGERPRINT_SIZE)
		code = 0;
	X509_free(cert);
	if (code < 0)
		sg_msg_error_set(error, code, NULL,
		    "what is to be signed is neither a certificate nor an OpenPGP fingerprint");
	return code;
}

static int add(struct sg_key *key, const struct method *method, const struct sg_blob *subject,
    struct sg_msg_signatures *answer, struct sg_msg_error *error)
{
	struct sg_signature *signature = &answer->signatures[answer->signature_count];
	int code;

	code = sg_sign(key, &method->how, subject, &signature->value, error);
	if (code < 0)
		return code;
	answer->signature_count++;
	signature->method = strdup(method->name);
	return signature->method ? 0 : SG_ERR_NOMEM;
}

int sg_cross_sign(struct sg_module *module, const struct sg_msg_cross_sign *request,
    struct sg_msg_signatures *answer, struct sg_msg_error *error)
{
	const size_t method_count = sizeof(methods) / sizeof(methods[0]);
	struct sg_key *key = NULL;
	size_t i;
	int code;

	code = subject_check(request, error);
	if (code == 0)
		code = sg_key_find(module, request->key, &key, error);
	if (code < 0)
		goto out;
	answer->signatures = calloc(method_count, sizeof(*answer->signatures));
	if (!answer->signatures)
		code = SG_ERR_NOMEM;
	for (i = 0; i < method_count && code == 0; i++) {
		if (methods[i].type == key->type)
			code = add(key, &methods[i], &request->subject, answer, error);
	}
	if (code == 0 && answer->signature_count == 0) {
		code = SG_ERR_MECHANISM;
		sg_msg_error_set(error, code, key->info.uri,
		    "this type of key signs nothing here (RSA and EC keys do)");
	}
out:
	sg_key_unref(key);
	return code;
}
