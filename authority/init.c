#include "authority.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "file.h"
#include "log.h"
#include "pkcs11_uri.h"
#include "signer.h"
#include "text.h"
#include "x509.h"

#define CA_DAYS 3650

/* How many keys of the configured name the token has. */
static int look(struct sg_signer *signer, uint32_t *keys)
{
	char purpose[] = "authority-init";
	char *key = strdup(sg_signer_key(signer));
	struct sg_msg_object_list list = { .selector = key };
	struct sg_msg_objects *objects;
	struct sg_frame reply;
	int err;

	*keys = 0;
	if (key == NULL)
		return SG_ERR_NOMEM;
	sg_signer_caller(&list.caller, purpose);
	err = sg_signer_call(
	    signer, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, SG_SIGNER_CALL_MS, &reply);
	if (err == 0) {
		objects = reply.msg;
		*keys = objects->key_count;
		sg_frame_clear(&reply);
	}
	free(key);
	return err == SG_ERR_KEY_ABSENT ? 0 : err;
}

/* The object name that the key's URI asks for (RFC 7512: object=), decoded; NULL when it names none. */
static char *object_label(const char *uri)
{
	struct sg_uri_attribute attribute;
	const char *pos = sg_uri_path(uri);

	while (sg_uri_next(&pos, &attribute)) {
		if (attribute.which == SG_URI_OBJECT)
			return attribute.value_len > 0
			    ? sg_percent_decode(attribute.value, attribute.value_len)
			    : NULL;
	}
	return NULL;
}

static int generate(struct sg_signer *signer, const struct sg_authority_config *config,
    const char *algorithm, char *label)
{
	char purpose[] = "authority-init";
	struct sg_msg_key_generate generate = { .token = config->token, .label = label };
	struct sg_frame reply;
	int err;

	generate.algorithm = strdup(algorithm);
	if (generate.algorithm == NULL)
		return SG_ERR_NOMEM;
	sg_signer_caller(&generate.caller, purpose);
	err = sg_signer_call(
	    signer, SG_MSG_KEY_GENERATE, &generate, SG_MSG_OBJECTS, SG_SIGNER_GENERATE_MS, &reply);
	if (err == 0)
		sg_frame_clear(&reply);
	free(generate.algorithm);
	return err;
}

static int certify(struct sg_signer *signer, const char *name, char *label)
{
	char purpose[] = "authority-init";
	char *key = strdup(sg_signer_key(signer)), *cn = strdup(name);
	struct sg_msg_self_cert_make make = {
		.key = key,
		.jid = cn,
		.profile = SG_PROFILE_CA,
		.days = CA_DAYS,
	};
	struct sg_msg_cert_store store = { .key = key, .label = label };
	struct sg_frame made = { .fd = -1 }, stored;
	int err = key != NULL && cn != NULL ? 0 : SG_ERR_NOMEM;

	sg_signer_caller(&make.caller, purpose);
	sg_signer_caller(&store.caller, purpose);
	if (err == 0)
		err = sg_signer_call(
		    signer, SG_MSG_SELF_CERT_MAKE, &make, SG_MSG_DER, SG_SIGNER_CALL_MS, &made);
	if (err == 0) {
		store.der = ((struct sg_msg_der *)made.msg)->der; /* borrowed */
		err = sg_signer_call(
		    signer, SG_MSG_CERT_STORE, &store, SG_MSG_OBJECTS, SG_SIGNER_CALL_MS, &stored);
	}
	if (err == 0)
		sg_frame_clear(&stored);
	sg_frame_clear(&made);
	free(key);
	free(cn);
	return err;
}

/* The certificate is what everybody may read, under whatever umask. */
static int write_certificate(X509 *ca, const char *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long len;
	int err = SG_ERR_INTERNAL;

	if (bio != NULL && PEM_write_bio_X509(bio, ca) && (len = BIO_get_mem_data(bio, &pem)) > 0) {
		if (out != NULL)
			err = sg_file_replace(out, pem, (size_t)len, 0644);
		else
			err = fwrite(pem, 1, (size_t)len, stdout) == (size_t)len &&
				fflush(stdout) == 0
			    ? 0
			    : SG_ERR_IO;
	}
	BIO_free(bio);
	return err;
}

static int make_ca(struct sg_signer *signer, const struct sg_authority_config *config,
    const struct sg_authority_init *init)
{
	char *label = object_label(sg_signer_key(signer));
	int err;

	if (label == NULL) {
		sg_log(
		    SG_LOG_ERROR, "init: the setting key must be a label, or a URI with object=");
		return SG_ERR_CONFIG;
	}
	err = generate(signer, config, init->algorithm, label);
	if (err == 0)
		err = certify(signer, init->name, label);
	if (err == 0)
		sg_log(SG_LOG_INFO, "init: made the CA \"%s\" (%s)", init->name, init->algorithm);
	free(label);
	return err;
}

int sg_authority_init(
    const struct sg_authority_config *config, const struct sg_authority_init *init)
{
	struct sg_signer *signer = NULL;
	uint32_t keys = 0;
	X509 *ca;
	int err;

	err = sg_signer_new(config, &signer);
	if (err == 0)
		err = look(signer, &keys);
	if (err == 0 && keys == 0)
		err = make_ca(signer, config, init);
	if (err == 0)
		err = sg_signer_ca(signer, &ca);
	if (err == SG_ERR_KEY_ABSENT && keys) {
		sg_log(SG_LOG_ERROR,
		    "init: the key %s is there without a CA certificate: it is not touched",
		    sg_signer_key(signer));
		err = SG_ERR_CERT_MISMATCH;
	}
	if (err == 0)
		err = write_certificate(ca, init->out);
	sg_signer_free(signer);
	return err;
}
