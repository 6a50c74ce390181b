/*
 * Any document as each payload of ccm2 and as a disco result: what is read can be written again,
 * and reads the same.
 */
#include "ccm2.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "disco.h"
#include "log.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	sg_log_init("fuzz", SG_LOG_ERROR);
	return 0;
}

static void check_add(const struct sg_xml *payload)
{
	struct sg_msg_ccm2_add add, again;
	struct sg_xml *written;

	if (sg_ccm2_add_decode(payload, &add))
		return;
	if (sg_ccm2_add_encode(&add, &written) || sg_ccm2_add_decode(written, &again))
		abort();
	if (strcmp(add.name, again.name) != 0 || !sg_blob_eq(&add.csr, &again.csr))
		abort();
	sg_xml_free(written);
	sg_msg_clear(SG_MSG_CCM2_ADD, &add);
	sg_msg_clear(SG_MSG_CCM2_ADD, &again);
}

static void check_list(const struct sg_xml *payload)
{
	struct sg_msg_ccm2_certs certs, again;
	struct sg_xml *written;

	if (sg_ccm2_list_decode(payload, &certs))
		return;
	if (sg_ccm2_list_encode(&certs, &written) || sg_ccm2_list_decode(written, &again))
		abort();
	if (certs.cert_count != again.cert_count)
		abort();
	for (uint32_t i = 0; i < certs.cert_count; i++) {
		const struct sg_ccm2_cert *a = &certs.certs[i], *b = &again.certs[i];

		if (strcmp(a->name, b->name) != 0 || !sg_blob_eq(&a->der, &b->der) ||
		    a->user_count != b->user_count || !a->last_used != !b->last_used ||
		    (a->last_used && strcmp(a->last_used, b->last_used) != 0))
			abort();
	}
	sg_xml_free(written);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &again);
}

static void check_rest(const struct sg_xml *payload)
{
	struct sg_msg_xmpp_feature_set features = { 0 };
	struct sg_ccm2_fingerprint fingerprint;
	struct sg_blob der;

	if (sg_ccm2_added_decode(payload, &der) == 0)
		sg_blob_clear(&der);
	if (sg_ccm2_revoke_decode(payload, &fingerprint) == 0 &&
	    (!fingerprint.hash || fingerprint.len < 20))
		abort();
	if (sg_disco_result_decode(payload, &features) == 0 &&
	    features.feature_count > SG_DISCO_FEATURES_MAX)
		abort();
	sg_msg_clear(SG_MSG_XMPP_FEATURE_SET, &features);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_xml *payload;

	if (sg_xml_parse((const char *)data, size, &payload))
		return 0;
	check_add(payload);
	check_list(payload);
	check_rest(payload);
	sg_xml_free(payload);
	return 0;
}
