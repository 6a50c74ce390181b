#include "cert.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "ckr.h"
#include "key_find.h"
#include "log.h"
#include "object.h"
#include "session.h"
#include "text.h"
#include "x509.h"

/* ---- reading ---- */

struct listing {
	struct sg_cert_info *certs;
	size_t count;
};

void sg_certs_free(struct sg_cert_info *certs, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		sg_layout_clear(&sg_layout_cert_info, &certs[i]);
	free(certs);
}

static int info_fill(const struct sg_token *token, const struct sg_blob *id,
    const struct sg_blob *label, const struct sg_blob *der, struct sg_cert_info *cert)
{
	cert->uri = sg_uri_object(&token->identity, CKO_CERTIFICATE, id, label);
	cert->token_uri = strdup(token->uri);
	cert->label = sg_text_padded(
	    label->data != NULL ? label->data : (const unsigned char *)"", label->len);
	if (cert->uri == NULL || cert->token_uri == NULL || cert->label == NULL ||
	    sg_blob_set(&cert->id, id->data, id->len) != 0 ||
	    sg_blob_set(&cert->der, der->data, der->len) != 0)
		return SG_ERR_NOMEM;
	return 0;
}

static CK_RV read_one(struct sg_token *token, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE handle,
    struct listing *listing)
{
	CK_ATTRIBUTE at[] = { { CKA_ID, NULL, 0 }, { CKA_LABEL, NULL, 0 }, { CKA_VALUE, NULL, 0 },
		{ CKA_TOKEN, NULL, 0 } };
	const size_t count = sizeof(at) / sizeof(at[0]);
	struct sg_blob id, label, der;
	CK_RV rv;

	rv = sg_object_read(token->module, session, handle, at, count);
	id = (struct sg_blob){ at[0].pValue, at[0].ulValueLen };
	label = (struct sg_blob){ at[1].pValue, at[1].ulValueLen };
	der = (struct sg_blob){ at[2].pValue, at[2].ulValueLen };
	/* Without a value it is a reference by URL, which is nothing to us. What is not on the
	 * token is not to be found there, whatever some modules show to a search for what is. */
	if (rv == CKR_OK && der.len > 0 && (at[3].ulValueLen == 0 || sg_attribute_bool(&at[3]))) {
		listing->count++;
		if (info_fill(token, &id, &label, &der, &listing->certs[listing->count - 1]) != 0)
			rv = CKR_HOST_MEMORY;
	}
	sg_attributes_clear(at, count);
	return rv == CKR_OBJECT_HANDLE_INVALID ? CKR_OK : rv;
}

static CK_RV list_handles(struct sg_token *token, CK_SESSION_HANDLE session,
    const CK_OBJECT_HANDLE *handles, size_t count, struct listing *listing)
{
	CK_RV rv = CKR_OK;
	size_t i;

	listing->certs = calloc(count + 1, sizeof(*listing->certs));
	if (listing->certs == NULL)
		return CKR_HOST_MEMORY;
	for (i = 0; i < count && rv == CKR_OK; i++)
		rv = read_one(token, session, handles[i], listing);
	return rv;
}

static CK_RV list_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct listing *listing = arg;
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE;
	/* On the token: the attestation certificates of ykcs11, which share a key's CKA_ID, are
	 * not. */
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) }, { CKA_CERTIFICATE_TYPE, &type, sizeof(type) } };
	CK_OBJECT_HANDLE *handles = NULL;
	size_t count = 0;
	CK_RV rv;

	sg_certs_free(listing->certs, listing->count);
	*listing = (struct listing){ 0 };
	rv = sg_object_find(token->module, session, wanted, 3, &handles, &count);
	if (rv == CKR_OK)
		rv = list_handles(token, session, handles, count, listing);
	free(handles);
	return rv;
}

CK_RV sg_certs_of_token(struct sg_token *token, struct sg_cert_info **certs, size_t *count)
{
	struct listing listing = { 0 };
	CK_RV rv;

	*certs = NULL;
	*count = 0;
	rv = sg_token_run(token, list_in_session, &listing);
	if (rv != CKR_OK) {
		sg_certs_free(listing.certs, listing.count);
		return rv;
	}
	*certs = listing.certs;
	*count = listing.count;
	return CKR_OK;
}

void sg_cert_spki(const struct sg_cert_info *cert, struct sg_blob *spki)
{
	X509 *parsed = NULL;

	memset(spki, 0, sizeof(*spki));
	if (sg_x509_cert_parse(&cert->der, &parsed) != 0)
		return;
	if (X509_get0_pubkey(parsed) != NULL && sg_x509_spki(X509_get0_pubkey(parsed), spki) != 0)
		memset(spki, 0, sizeof(*spki));
	X509_free(parsed);
}

/* ---- storing ---- */

struct storing {
	const struct sg_blob *der;
	struct sg_blob label;
	const struct sg_blob *id;
	struct sg_blob subject, issuer, serial; /* DER */
	int begun; /* it was not there before: what is there now is ours */
};

static int parts_fill(X509 *cert, struct storing *storing)
{
	unsigned char *bytes = NULL;
	int err;

	err = sg_x509_take_der(
	    i2d_X509_NAME(X509_get_subject_name(cert), &bytes), &bytes, &storing->subject);
	if (err == 0)
		err = sg_x509_take_der(
		    i2d_X509_NAME(X509_get_issuer_name(cert), &bytes), &bytes, &storing->issuer);
	if (err == 0)
		err = sg_x509_take_der(i2d_ASN1_INTEGER(X509_get0_serialNumber(cert), &bytes),
		    &bytes, &storing->serial);
	return err;
}

/* Removes the very certificate, which was not there before. The objects lock is held. */
static CK_RV sweep(struct sg_token *token, CK_SESSION_HANDLE session, struct storing *s)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_BBOOL yes = CK_TRUE;
	CK_ATTRIBUTE wanted[] = { { CKA_CLASS, &class, sizeof(class) },
		{ CKA_TOKEN, &yes, sizeof(yes) }, { CKA_LABEL, s->label.data, s->label.len } };
	CK_RV rv;

	rv = sg_object_sweep_locked(
	    token->module, session, wanted, s->label.len > 0 ? 3 : 2, s->der);
	s->begun = rv != CKR_OK;
	return rv;
}

static CK_RV create(struct sg_token *token, CK_SESSION_HANDLE session, struct storing *s)
{
	CK_OBJECT_CLASS class = CKO_CERTIFICATE;
	CK_CERTIFICATE_TYPE type = CKC_X_509;
	CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	/* Subject, issuer and serial number stand in the value, too; NSS takes none without
	 * them. */
	CK_ATTRIBUTE template[] = {
		{ CKA_CLASS, &class, sizeof(class) },
		{ CKA_CERTIFICATE_TYPE, &type, sizeof(type) },
		{ CKA_TOKEN, &yes, sizeof(yes) },
		{ CKA_PRIVATE, &no, sizeof(no) },
		{ CKA_SUBJECT, s->subject.data, s->subject.len },
		{ CKA_ISSUER, s->issuer.data, s->issuer.len },
		{ CKA_SERIAL_NUMBER, s->serial.data, s->serial.len },
		{ CKA_VALUE, s->der->data, s->der->len },
		{ CKA_LABEL, s->label.data, s->label.len },
		{ CKA_ID, s->id->data, s->id->len },
	};
	CK_ULONG count = sizeof(template) / sizeof(template[0]);
	CK_OBJECT_HANDLE handle;

	return token->module->f->C_CreateObject(
	    session, template, s->id->len > 0 ? count : count - 1, &handle);
}

static CK_RV store_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	struct storing *s = arg;
	CK_RV rv = CKR_OK;

	pthread_rwlock_wrlock(&token->module->objects);
	/* On the second try: what the first one left. */
	if (s->begun)
		rv = sweep(token, session, s);
	if (rv == CKR_OK) {
		s->begun = 1;
		rv = create(token, session, s);
	}
	pthread_rwlock_unlock(&token->module->objects);
	return rv;
}

static CK_RV sweep_in_session(
    struct sg_token *token, CK_SESSION_HANDLE session, int again, void *arg)
{
	CK_RV rv;

	pthread_rwlock_wrlock(&token->module->objects);
	rv = sweep(token, session, arg);
	pthread_rwlock_unlock(&token->module->objects);
	return rv;
}

/* After a failure: nothing stays that the caller was not told of, or a person is told. */
static void undo(struct sg_token *token, struct storing *storing)
{
	CK_RV rv;

	if (!storing->begun)
		return;
	rv = sg_token_run(token, sweep_in_session, storing);
	if (rv != CKR_OK)
		sg_log(SG_LOG_ERROR,
		    "token '%s': a certificate that was stored could not be removed (%s): remove "
		    "it "
		    "with the token's own tool",
		    token->label, sg_ckr_name(rv));
}

/* Looks for the very certificate, and moves it to the answer. Gives 1 when it is there. */
static int find_stored(struct sg_token *token, const struct sg_blob *der,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct sg_cert_info *certs = NULL;
	size_t i, count = 0;
	int found = 0;
	CK_RV rv;

	rv = sg_certs_of_token(token, &certs, &count);
	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "searching certificates", token->label);
	for (i = 0; i < count && found == 0; i++) {
		if (!sg_blob_eq(&certs[i].der, der))
			continue;
		answer->certs = calloc(1, sizeof(*answer->certs));
		found = answer->certs != NULL ? 1 : SG_ERR_NOMEM;
		if (found < 0)
			break;
		answer->certs[0] = certs[i];
		answer->cert_count = 1;
		memset(&certs[i], 0, sizeof(certs[i]));
	}
	sg_certs_free(certs, count);
	return found;
}

static int belongs(X509 *cert, const struct sg_key *key, struct sg_msg_error *error)
{
	struct sg_blob spki = { 0 };
	EVP_PKEY *public = X509_get0_pubkey(cert);
	int err = 0;

	if (key->info.spki.len == 0) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, key->info.uri,
		    "token '%s' does not show the key's public half, so nothing can be compared",
		    key->token->label);
		return SG_ERR_UNSUPPORTED;
	}
	if (public != NULL)
		err = sg_x509_spki(public, &spki);
	if (err == 0 && (public == NULL || !sg_blob_eq(&spki, &key->info.spki))) {
		sg_msg_error_set(error, SG_ERR_CERT_MISMATCH, key->info.uri,
		    "the certificate holds another public key");
		err = SG_ERR_CERT_MISMATCH;
	}
	sg_blob_clear(&spki);
	return err;
}

/* PIV modules store nothing: ykcs11 wants the management key for it (as CKU_SO), OpenSC has no call
 * at all. */
static int no_user_objects(struct sg_token *token, CK_RV rv, struct sg_msg_error *error)
{
	sg_msg_error_set(error, SG_ERR_UNSUPPORTED, token->uri,
	    "token '%s' takes no certificate from its user (C_CreateObject gave %s): if the token "
	    "is to "
	    "hold it, put it there with the token's own tool",
	    token->label, sg_ckr_name(rv));
	return SG_ERR_UNSUPPORTED;
}

static int store_new(struct sg_token *token, struct storing *storing, struct sg_msg_objects *answer,
    struct sg_msg_error *error)
{
	int found;
	CK_RV rv;

	rv = sg_token_run(token, store_in_session, storing);
	if (rv == CKR_USER_TYPE_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED)
		return no_user_objects(token, rv, error);
	if (rv != CKR_OK)
		return sg_ckr_fail(error, rv, "C_CreateObject", token->label);
	found = find_stored(token, storing->der, answer, error);
	if (found == 0) {
		sg_msg_error_set(error, SG_ERR_TOKEN_FAILED, token->uri,
		    "token '%s' took the certificate but does not show it", token->label);
		found = SG_ERR_TOKEN_FAILED;
	}
	return found < 0 ? found : 0;
}

static int store(struct sg_key *key, struct storing *storing, struct sg_msg_objects *answer,
    struct sg_msg_error *error)
{
	int err, found;

	found = find_stored(key->token, storing->der, answer, error);
	if (found != 0)
		return found < 0 ? found : 0;
	err = store_new(key->token, storing, answer, error);
	if (err != 0)
		undo(key->token, storing);
	return err;
}

static int label_set(const struct sg_msg_cert_store *request, const struct sg_key *key,
    struct storing *storing, struct sg_msg_error *error)
{
	const char *label = request->label;

	if (label == NULL || !*label)
		return sg_blob_set(&storing->label, key->label.data, key->label.len);
	if (!sg_utf8_is_text(label, SG_CERT_LABEL_MAX)) {
		sg_msg_error_set(error, SG_ERR_ARG, NULL,
		    "a certificate's label is a text of at most %d bytes", SG_CERT_LABEL_MAX);
		return SG_ERR_ARG;
	}
	return sg_blob_set(&storing->label, label, strlen(label));
}

int sg_cert_store(struct sg_module *module, const struct sg_msg_cert_store *request,
    struct sg_msg_objects *answer, struct sg_msg_error *error)
{
	struct storing storing = { .der = &request->der };
	struct sg_key *key = NULL;
	X509 *cert = NULL;
	int err;

	err = sg_x509_cert_parse(&request->der, &cert);
	if (err != 0) {
		sg_msg_error_set(error, err, NULL, "this is no certificate: %s", sg_err_text(err));
		goto out;
	}
	err = sg_key_find(module, request->key, &request->spki_sha256, &key, error);
	if (err == 0)
		err = belongs(cert, key, error);
	if (err == 0)
		err = label_set(request, key, &storing, error);
	if (err == 0)
		err = parts_fill(cert, &storing);
	if (err != 0)
		goto out;
	storing.id = &key->info.id;
	err = store(key, &storing, answer, error);
out:
	sg_blob_clear(&storing.label);
	sg_blob_clear(&storing.subject);
	sg_blob_clear(&storing.issuer);
	sg_blob_clear(&storing.serial);
	sg_key_unref(key);
	X509_free(cert);
	return err;
}

/* ---- removing ---- */

static int discard(struct sg_key *key, const struct sg_blob *der, struct sg_msg_error *error)
{
	struct storing storing = { .der = der };
	CK_RV rv = sg_token_run(key->token, sweep_in_session, &storing);

	if (rv == CKR_USER_TYPE_INVALID || rv == CKR_FUNCTION_NOT_SUPPORTED ||
	    rv == CKR_ACTION_PROHIBITED) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, key->token->uri,
		    "token '%s' lets its user remove no certificate (C_DestroyObject gave %s): "
		    "remove it with the token's own tool",
		    key->token->label, sg_ckr_name(rv));
		return SG_ERR_UNSUPPORTED;
	}
	return rv == CKR_OK ? 0 : sg_ckr_fail(error, rv, "C_DestroyObject", key->token->label);
}

int sg_cert_discard(
    struct sg_module *module, const struct sg_msg_cert_discard *request, struct sg_msg_error *error)
{
	struct sg_key *key = NULL;
	X509 *cert = NULL;
	int err = sg_x509_cert_parse(&request->der, &cert);

	if (err != 0) {
		sg_msg_error_set(error, err, NULL, "this is no certificate: %s", sg_err_text(err));
		goto out;
	}
	err = sg_key_find(module, request->key, NULL, &key, error);
	if (err == 0)
		err = belongs(cert, key, error);
	if (err == 0)
		err = discard(key, &request->der, error);
out:
	sg_key_unref(key);
	X509_free(cert);
	return err;
}
