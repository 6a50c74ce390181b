#include "authority.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>

#include "ca_key.h"
#include "file.h"
#include "intermediate.h"
#include "log.h"
#include "signer.h"
#include "text.h"
#include "x509.h"

#define CA_DAYS	    3650
#define CA_NAME_MAX 64 /* bytes (X.520 ub-common-name) */

/* A certificate by itself, on the token. */
static int certify(struct sg_signer *signer, const char *name)
{
	char purpose[] = "authority-init";
	char *key = strdup(sg_signer_key(signer)), *cn = strdup(name);
	struct sg_msg_self_cert_make make = {
		.key = key,
		.jid = cn,
		.profile = SG_PROFILE_CA,
		.days = CA_DAYS,
	};
	struct sg_frame made = { .fd = -1 };
	int err = key != NULL && cn != NULL ? 0 : SG_ERR_NOMEM;

	sg_signer_caller(&make.caller, purpose);
	if (err == 0)
		err = sg_signer_call(
		    signer, SG_MSG_SELF_CERT_MAKE, &make, SG_MSG_DER, SG_SIGNER_CALL_MS, &made);
	if (err == 0)
		err = sg_ca_key_store(signer, &((struct sg_msg_der *)made.msg)->der);
	sg_frame_clear(&made);
	free(key);
	free(cn);
	return err;
}

/* As PEM, which everybody may read, under whatever umask. */
static int write_pem(const char *out, const char *what, const struct sg_blob *der)
{
	char *pem = sg_x509_pem(what, der);
	int err;

	if (pem == NULL)
		err = SG_ERR_INTERNAL;
	else if (out != NULL)
		err = sg_file_replace(out, pem, strlen(pem), 0644);
	else
		err = fputs(pem, stdout) >= 0 && fflush(stdout) == 0 ? 0 : SG_ERR_IO;
	free(pem);
	return err;
}

static int write_certificate(struct sg_signer *signer, const char *out)
{
	struct sg_blob der = { 0 };
	const char *fault;
	X509 *ca;
	int err = sg_signer_ca(signer, &ca);

	fault = err == 0 ? sg_intermediate_fault(ca, time(NULL)) : NULL;
	if (fault != NULL)
		sg_log(SG_LOG_WARN,
		    "init: nothing is issued by this certificate: %s. Have the key certified (init "
		    "--request, then init --certificate), or name another key in the configuration",
		    fault);
	if (err == 0)
		err = sg_x509_cert_der(ca, &der);
	if (err == 0)
		err = write_pem(out, PEM_STRING_X509, &der);
	sg_blob_clear(&der);
	return err;
}

static int make_key(struct sg_signer *signer, const struct sg_authority_config *config,
    const struct sg_authority_init *init)
{
	const char *algorithm = init->algorithm != NULL ? init->algorithm : "rsa3072";
	int err = sg_ca_key_make(signer, config, algorithm);

	if (err == 0)
		sg_log(SG_LOG_INFO, "init: made the key %s (%s)", sg_signer_key(signer), algorithm);
	return err;
}

static int init_root(struct sg_signer *signer, const struct sg_authority_config *config,
    const struct sg_authority_init *init, uint32_t keys)
{
	int err = 0;

	if (!keys) {
		err = make_key(signer, config, init);
		if (err == 0)
			err = certify(signer, init->name);
		if (err == 0)
			sg_log(SG_LOG_INFO, "init: made the CA \"%s\"", init->name);
	}
	if (err == 0)
		err = write_certificate(signer, init->out);
	if (err == SG_ERR_KEY_ABSENT && keys) {
		sg_log(SG_LOG_ERROR,
		    "init: the key %s is there without a CA certificate: it is not touched. Have "
		    "it certified (init --request, then init --certificate), or name another key "
		    "in the configuration",
		    sg_signer_key(signer));
		err = SG_ERR_CERT_MISMATCH;
	}
	return err;
}

/* The key may be there: for a certificate that is to follow another, or after a request that was lost. */
static int init_request(struct sg_signer *signer, const struct sg_authority_config *config,
    const struct sg_authority_init *init, uint32_t keys)
{
	struct sg_blob der = { 0 };
	int err = 0;

	if (!keys)
		err = make_key(signer, config, init);
	else
		sg_log(SG_LOG_INFO, "init: the key %s is there: the request is for it",
		    sg_signer_key(signer));
	if (err == 0)
		err = sg_intermediate_request(signer, init->name, &der);
	if (err == 0)
		err = write_pem(init->request, PEM_STRING_X509_REQ, &der);
	sg_blob_clear(&der);
	return err;
}

static int init_certificate(struct sg_signer *signer, const struct sg_authority_config *config,
    const struct sg_authority_init *init, uint32_t keys, const struct sg_blob *spki)
{
	int err;

	if (!keys) {
		sg_log(SG_LOG_ERROR, "init: there is no key %s: begin with --request",
		    sg_signer_key(signer));
		return SG_ERR_KEY_ABSENT;
	}
	err = sg_intermediate_take(signer, config, init->certificate, spki);
	if (err == 0)
		err = write_certificate(signer, init->out);
	return err;
}

/* Looked at before a key is made: that would stay, and stand in the way of the next attempt. */
static int check_name(const struct sg_authority_init *init)
{
	if (init->certificate != NULL || (*init->name && sg_utf8_is_text(init->name, CA_NAME_MAX)))
		return 0;
	sg_log(SG_LOG_ERROR, "init: --name: the authority's name is a text of 1 to %d bytes",
	    CA_NAME_MAX);
	return SG_ERR_ARG;
}

int sg_authority_init(
    const struct sg_authority_config *config, const struct sg_authority_init *init)
{
	struct sg_signer *signer = NULL;
	struct sg_blob spki = { 0 };
	uint32_t keys = 0;
	int err;

	err = check_name(init);
	if (err == 0)
		err = sg_signer_new(config, &signer);
	if (err == 0)
		err = sg_ca_key_look(signer, &keys, &spki);
	if (err == 0 && init->request != NULL)
		err = init_request(signer, config, init, keys);
	else if (err == 0 && init->certificate != NULL)
		err = init_certificate(signer, config, init, keys, &spki);
	else if (err == 0)
		err = init_root(signer, config, init, keys);
	sg_blob_clear(&spki);
	sg_signer_free(signer);
	return err;
}
