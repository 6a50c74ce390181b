#include "intermediate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "ca_key.h"
#include "log.h"
#include "x509.h"

#define FILE_MAX (256u << 10)

static char purpose[] = "authority-init";

int sg_intermediate_request(struct sg_signer *signer, const char *name, struct sg_blob *der)
{
	struct sg_msg_csr_make make = {
		.key = strdup(sg_signer_key(signer)),
		.jid = strdup(name),
		.profile = SG_PROFILE_CA,
	};
	struct sg_msg_der *answer;
	struct sg_frame reply;
	int err = make.key != NULL && make.jid != NULL ? 0 : SG_ERR_NOMEM;

	memset(der, 0, sizeof(*der));
	sg_signer_caller(&make.caller, purpose);
	if (err == 0)
		err = sg_signer_call(
		    signer, SG_MSG_CSR_MAKE, &make, SG_MSG_DER, SG_SIGNER_CALL_MS, &reply);
	if (err == 0) {
		answer = reply.msg;
		*der = answer->der;
		memset(&answer->der, 0, sizeof(answer->der));
		sg_frame_clear(&reply);
	}
	free(make.key);
	free(make.jid);
	return err;
}

/* ---- the certificate that comes back */

/* What an OpenSSL that refuses SHA-1 would not take for a link of a chain. */
static int is_signed_soundly(X509 *cert)
{
	int digest;

	return X509_get_signature_info(cert, &digest, NULL, NULL, NULL) && digest != NID_sha1 &&
	    digest != NID_md5 && digest != NID_md5_sha1;
}

const char *sg_intermediate_fault(X509 *cert, time_t now)
{
	const uint32_t usage = X509v3_KU_KEY_CERT_SIGN | X509v3_KU_CRL_SIGN;
	const uint32_t purposes = XKU_SSL_CLIENT | XKU_SSL_SERVER;
	uint32_t flags = X509_get_extension_flags(cert);

	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		return "an extension is malformed, or critical and not known";
	if (!(flags & EXFLAG_CA) || X509_get_version(cert) != X509_VERSION_3)
		return "it is no CA's (basicConstraints must say CA:TRUE)";
	if (!(flags & EXFLAG_KUSAGE) || (X509_get_key_usage(cert) & usage) != usage)
		return "its keyUsage must have keyCertSign and cRLSign";
	if (flags & EXFLAG_XKUSAGE && !(X509_get_extended_key_usage(cert) & XKU_ANYEKU) &&
	    (X509_get_extended_key_usage(cert) & purposes) != purposes)
		return "its extendedKeyUsage, if any, must have clientAuth and serverAuth";
	if (X509_get0_subject_key_id(cert) == NULL)
		return "it has no subjectKeyIdentifier";
	if (X509_NAME_entry_count(X509_get_subject_name(cert)) == 0)
		return "its subject is empty";
	if (!is_signed_soundly(cert))
		return "it is not signed with SHA-256 or better";
	if (X509_cmp_time(X509_get0_notBefore(cert), &now) >= 0)
		return "it is not valid yet";
	if (X509_cmp_time(X509_get0_notAfter(cert), &now) <= 0)
		return "it has expired";
	return NULL;
}

/* The whole file, new. */
static int read_file(const char *path, struct sg_blob *bytes)
{
	FILE *file = fopen(path, "re");
	int err = 0;

	memset(bytes, 0, sizeof(*bytes));
	if (file == NULL) {
		sg_log(SG_LOG_ERROR, "init: %s: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	bytes->data = malloc(FILE_MAX + 1);
	if (bytes->data == NULL)
		err = SG_ERR_NOMEM;
	else
		bytes->len = fread(bytes->data, 1, FILE_MAX + 1, file);
	if (err == 0 && ferror(file))
		err = SG_ERR_IO;
	else if (err == 0 && bytes->len > FILE_MAX)
		err = SG_ERR_LIMIT;
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "init: %s: %s", path, sg_err_text(err));
		sg_blob_clear(bytes);
	}
	fclose(file);
	return err;
}

/* The one for our key; NULL when there is none, and *seen says whether there is any at all. */
static X509 *find_certificate(const struct sg_blob *bytes, const struct sg_blob *spki, int *seen)
{
	BIO *bio = BIO_new_mem_buf(bytes->data, (int)bytes->len);
	X509 *cert = NULL, *found = NULL;

	*seen = 0;
	while (bio != NULL && found == NULL &&
	    (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		*seen = 1;
		if (sg_x509_holds(cert, spki))
			found = cert;
		else
			X509_free(cert);
	}
	BIO_free(bio);
	if (!*seen && sg_x509_cert_parse(bytes, &cert) == 0) {
		*seen = 1;
		if (sg_x509_holds(cert, spki))
			found = cert;
		else
			X509_free(cert);
	}
	ERR_clear_error();
	return found;
}

/*
 * What is stored cannot be taken back, and goes before another that ends sooner: where the issuer's certificate stands
 * beside it, a damaged one is told apart. Several may have the issuer's name.
 */
static const char *signature_fault(const struct sg_blob *bytes, X509 *cert)
{
	BIO *bio = BIO_new_mem_buf(bytes->data, (int)bytes->len);
	int named = 0, verified = 0;
	X509 *other;

	while (bio != NULL && (other = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		if (X509_NAME_cmp(X509_get_subject_name(other), X509_get_issuer_name(cert)) == 0) {
			named = 1;
			verified |= X509_verify(cert, X509_get0_pubkey(other)) == 1;
		}
		X509_free(other);
	}
	BIO_free(bio);
	ERR_clear_error();
	return named && !verified ? "its signature is not by the issuer that stands beside it"
				  : NULL;
}

static void warn_of_limits(const struct sg_authority_config *config, X509 *cert, time_t now)
{
	time_t end = now + (time_t)config->lifetime_hours * 3600;

	if (X509_cmp_time(X509_get0_notAfter(cert), &end) < 0)
		sg_log(SG_LOG_WARN,
		    "init: the certificate ends before those that it issues would: "
		    "they will end with it");
	if (X509_get_pathlen(cert) != 0)
		sg_log(SG_LOG_WARN,
		    "init: the certificate lets this authority make other "
		    "authorities (it has no pathlen:0), which it never does");
}

int sg_intermediate_take(struct sg_signer *signer, const struct sg_authority_config *config,
    const char *path, const struct sg_blob *spki)
{
	struct sg_blob bytes, der = { 0 };
	time_t now = time(NULL);
	const char *fault;
	X509 *cert;
	int seen, err = read_file(path, &bytes);

	if (err != 0)
		return err;
	cert = find_certificate(&bytes, spki, &seen);
	if (cert == NULL) {
		err = seen ? SG_ERR_CERT_MISMATCH : SG_ERR_FORMAT;
		sg_log(SG_LOG_ERROR, "init: %s: %s", path,
		    seen ? "no certificate for the key on the token: have the request certified "
			   "that 'init --request' writes"
			 : "no certificate, in PEM or DER");
		goto out;
	}
	fault = sg_intermediate_fault(cert, now);
	if (fault == NULL)
		fault = signature_fault(&bytes, cert);
	if (fault != NULL) {
		err = SG_ERR_CERT_REFUSED;
		sg_log(SG_LOG_ERROR, "init: %s: not a certificate that can issue: %s", path, fault);
		goto out;
	}
	err = sg_x509_cert_der(cert, &der);
	if (err == 0)
		err = sg_ca_key_store(signer, &der);
	if (err == 0)
		warn_of_limits(config, cert, now);
out:
	X509_free(cert);
	sg_blob_clear(&bytes);
	sg_blob_clear(&der);
	return err;
}
