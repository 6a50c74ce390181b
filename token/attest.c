#include "attest.h"

#include <stdlib.h>

#include <openssl/x509.h>

#include "ckr.h"
#include "object.h"
#include "session.h"
#include "token_find.h"
#include "x509.h"

/* All certificates that the module shows of the token, on it or not. */
struct seen {
	struct sg_blob *ders;
	unsigned char *off_token; /* of each: it is no object of the token */
	size_t count;
};

static void seen_clear(struct seen *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		sg_blob_clear(&seen->ders[i]);
	free(seen->ders);
	free(seen->off_token);
	*seen = (struct seen){ 0 };
}

static CK_RV see_one(
    struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle, struct seen *seen)
{
	CK_ATTRIBUTE at[] = { { CKA_VALUE, NULL, 0 }, { CKA_TOKEN, NULL, 0 } };
	CK_RV rv = sg_object_read(token->module, session, handle, at, 2);

	if (rv == CKR_OK && at[0].ulValueLen > 0) {
		seen->off_token[seen->count] = at[1].ulValueLen > 0 && !sg_attribute_bool(&at[1]);
		if (sg_blob_set(&seen->ders[seen->count], at[0].pValue, at[0].ulValueLen) == 0)
			seen->count++;
		else
			rv = CKR_HOST_MEMORY;
	}
	sg_attributes_clear(at, 2);
	return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

static CK_RV see_in_session(struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct seen *seen = arg;
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_CERTIFICATE_TYPE, &type, sizeof(type) } };
	CK_OBJECT_HANDLE *handles = NULL;
	size_t count = 0;
	CK_RV rv;

	seen_clear(seen);
	rv = sg_object_find(token->module, session, wanted, 2, &handles, &count);
	if (rv == CKR_OK) {
		seen->ders = calloc(count + 1, sizeof(*seen->ders));
		seen->off_token = calloc(count + 1, 1);
		if (seen->ders == NULL || seen->off_token == NULL)
			rv = CKR_HOST_MEMORY;
	}
	for (size_t i = 0; i < count && rv == CKR_OK; i++)
		rv = see_one(token, session, handles[i], seen);
	free(handles);
	return rv;
}

/* The one that holds the key's public half and was signed by another key; its DER is *der. NULL when there is none. */
static X509 *find_attestation(
    const struct seen *seen, const struct sg_blob *spki, const struct sg_blob **der)
{
	for (size_t i = 0; i < seen->count; i++) {
		X509 *cert = NULL;

		if (!seen->off_token[i] || sg_x509_cert_parse(&seen->ders[i], &cert) != 0)
			continue;
		if (sg_x509_holds(cert, spki) && X509_verify(cert, X509_get0_pubkey(cert)) != 1) {
			*der = &seen->ders[i];
			return cert;
		}
		X509_free(cert);
	}
	return NULL;
}

static const struct sg_blob *find_issuer(const struct seen *seen, X509 *attestation)
{
	const struct sg_blob *found = NULL;

	for (size_t i = 0; i < seen->count && found == NULL; i++) {
		X509 *cert = NULL;

		if (sg_x509_cert_parse(&seen->ders[i], &cert) != 0)
			continue;
		if (X509_get0_pubkey(cert) != NULL &&
		    X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(attestation)) ==
			0 &&
		    X509_verify(attestation, X509_get0_pubkey(cert)) == 1)
			found = &seen->ders[i];
		X509_free(cert);
	}
	return found;
}

static int answer_fill(
    const struct seen *seen, const struct sg_msg_key_attest *request, struct sg_msg_objects *answer)
{
	const struct sg_blob *der = NULL, *issuer;
	X509 *attestation = find_attestation(seen, &request->spki, &der);
	int err = 0;

	if (attestation == NULL || der == NULL)
		return 0;
	issuer = find_issuer(seen, attestation);
	X509_free(attestation);
	answer->certs = calloc(2, sizeof(*answer->certs));
	if (answer->certs == NULL)
		return SG_ERR_NOMEM;
	answer->cert_count = issuer != NULL ? 2 : 1;
	err = sg_blob_set(&answer->certs[0].der, der->data, der->len);
	if (err == 0 && issuer != NULL)
		err = sg_blob_set(&answer->certs[1].der, issuer->data, issuer->len);
	return err;
}

int sg_key_attest(struct sg_module *module, const struct sg_msg_key_attest *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct sg_token *token = NULL;
	struct seen seen = { 0 };
	int err;
	CK_RV rv;

	err = sg_token_find(module, request->token, &token, error);
	if (err != 0)
		return err;
	rv = sg_token_run(token, see_in_session, &seen);
	if (rv != CKR_OK)
		err = sg_ckr_fail(error, rv, "searching certificates", token->label);
	else if (request->spki.len > 0)
		err = answer_fill(&seen, request, answer);
	seen_clear(&seen);
	return err;
}
