#include "ca_key.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pkcs11_uri.h"
#include "text.h"

static char purpose[] = "authority-init";

int sg_ca_key_look(struct sg_signer *signer, uint32_t *count, struct sg_blob *spki)
{
	char *key = strdup(sg_signer_key(signer));
	struct sg_msg_object_list list = { .selector = key };
	struct sg_msg_objects *objects;
	struct sg_frame reply;
	int err;

	*count = 0;
	memset(spki, 0, sizeof(*spki));
	if (key == NULL)
		return SG_ERR_NOMEM;
	sg_signer_caller(&list.caller, purpose);
	err = sg_signer_call(
	    signer, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, SG_SIGNER_CALL_MS, &reply);
	if (err == 0) {
		objects = reply.msg;
		*count = objects->key_count;
		if (objects->key_count == 1)
			err = sg_blob_set(
			    spki, objects->keys[0].spki.data, objects->keys[0].spki.len);
		sg_frame_clear(&reply);
	}
	free(key);
	return err == SG_ERR_KEY_ABSENT ? 0 : err;
}

/* The object name that the key's URI asks for (RFC 7512: object=), decoded. SG_ERR_CONFIG when it has none. */
static int object_label(struct sg_signer *signer, char **label)
{
	struct sg_uri_attribute attribute;
	const char *pos = sg_uri_path(sg_signer_key(signer));

	*label = NULL;
	while (sg_uri_next(&pos, &attribute)) {
		if (attribute.which != SG_URI_OBJECT || attribute.value_len == 0)
			continue;
		*label = sg_percent_decode(attribute.value, attribute.value_len);
		if (*label != NULL)
			return 0;
	}
	sg_log(SG_LOG_ERROR, "init: the setting key must be a label, or a URI with object=");
	return SG_ERR_CONFIG;
}

int sg_ca_key_make(
    struct sg_signer *signer, const struct sg_authority_config *config, const char *algorithm)
{
	struct sg_msg_key_generate generate = { .token = config->token };
	struct sg_frame reply;
	int err = object_label(signer, &generate.label);

	if (err == 0 && (generate.algorithm = strdup(algorithm)) == NULL)
		err = SG_ERR_NOMEM;
	sg_signer_caller(&generate.caller, purpose);
	if (err == 0)
		err = sg_signer_call(signer, SG_MSG_KEY_GENERATE, &generate, SG_MSG_OBJECTS,
		    SG_SIGNER_GENERATE_MS, &reply);
	if (err == 0)
		sg_frame_clear(&reply);
	free(generate.label);
	free(generate.algorithm);
	return err;
}

int sg_ca_key_store(struct sg_signer *signer, const struct sg_blob *der)
{
	struct sg_msg_cert_store store = { .der = *der }; /* borrowed */
	struct sg_frame reply;
	int err = object_label(signer, &store.label);

	if (err == 0 && (store.key = strdup(sg_signer_key(signer))) == NULL)
		err = SG_ERR_NOMEM;
	sg_signer_caller(&store.caller, purpose);
	if (err == 0)
		err = sg_signer_call(
		    signer, SG_MSG_CERT_STORE, &store, SG_MSG_OBJECTS, SG_SIGNER_CALL_MS, &reply);
	if (err == 0)
		sg_frame_clear(&reply);
	free(store.label);
	free(store.key);
	return err;
}
