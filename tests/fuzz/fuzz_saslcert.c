/*
 * Any document as a server's answer by XEP-0257: what is read is within the limits, can be named
 * when it is revoked and appended again, and a new name is none of the list's.
 */
#include "saslcert.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	sg_log_init("fuzz", SG_LOG_ERROR);
	return 0;
}

static void check_entry(const struct sg_ccm2_cert *cert)
{
	struct sg_xml *payload;

	if (cert->name == NULL || strlen(cert->name) > SG_CCM2_NAME_MAX || cert->der.len == 0 ||
	    cert->der.len > SG_CCM2_DER_MAX || cert->user_count > SG_CCM2_USERS_MAX)
		abort();
	for (uint32_t i = 0; i < cert->user_count; i++) {
		if (cert->users[i] == NULL || strlen(cert->users[i]) > SG_CCM2_RESOURCE_MAX)
			abort();
	}
	if (sg_saslcert_revoke_encode(cert->name, 0, &payload))
		abort();
	sg_xml_free(payload);
	if (sg_saslcert_append_encode(cert->name, &cert->der, &payload))
		abort();
	sg_xml_free(payload);
}

static void check_name(const struct sg_msg_ccm2_certs *certs)
{
	unsigned number = 1;
	char *name;

	if (certs->cert_count == 0 ||
	    sg_saslcert_free_name(certs->certs[0].name, certs, &number, &name))
		return;
	for (uint32_t i = 0; i < certs->cert_count; i++) {
		if (strcmp(certs->certs[i].name, name) == 0)
			abort();
	}
	free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_msg_ccm2_certs certs;
	struct sg_xml *payload;

	if (sg_xml_parse((const char *)data, size, &payload))
		return 0;
	if (sg_saslcert_items_decode(payload, &certs) == 0) {
		for (uint32_t i = 0; i < certs.cert_count; i++)
			check_entry(&certs.certs[i]);
		check_name(&certs);
		sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	}
	sg_xml_free(payload);
	return 0;
}
