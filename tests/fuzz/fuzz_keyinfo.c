/*
 * Any document as a keyinfo and as the items of a node: what is read can be written again and
 * judged, and its name is that of its key.
 */
#include "keyinfo.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "pep.h"
#include "verdict.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	sg_log_init("fuzz", SG_LOG_ERROR);
	return 0;
}

static void check_keyinfo(const struct sg_keyinfo *keyinfo)
{
	struct sg_verdict_index *index;
	struct sg_verdict verdict;
	struct sg_keyinfo again;
	struct sg_xml *written;
	const char *why;

	if (sg_keyinfo_encode(keyinfo, &written) || sg_keyinfo_decode(written, &again, &why))
		abort();
	if (strcmp(keyinfo->name, again.name) != 0 || keyinfo->kind != again.kind ||
	    !sg_blob_eq(&keyinfo->data, &again.data) ||
	    keyinfo->signature_count != again.signature_count)
		abort();
	if (sg_verdict_index_new(&index, SG_VERDICT_CHECKS_MAX) ||
	    sg_verdict_index_add(index, &again, 1) ||
	    sg_verdict_judge(keyinfo, index, 1700000000, &verdict))
		abort();
	/* the only issuer at hand is the key itself */
	if (verdict.grade != SG_GRADE_NONE)
		abort();
	sg_verdict_clear(&verdict);
	sg_verdict_index_free(index);
	sg_xml_free(written);
	sg_layout_clear(&sg_layout_keyinfo, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_msg_keyinfos keyinfos;
	struct sg_keyinfo keyinfo;
	struct sg_xml *root;
	const char *why;

	if (sg_xml_parse((const char *)data, size, &root))
		return 0;
	if (sg_keyinfo_decode(root, &keyinfo, &why) == 0)
		check_keyinfo(&keyinfo);
	else if (!why)
		abort();
	sg_layout_clear(&sg_layout_keyinfo, &keyinfo);
	if (sg_pep_items_decode(root, SG_NS_PUBKEY, &keyinfos) == 0) {
		for (uint32_t i = 0; i < keyinfos.keyinfo_count; i++)
			check_keyinfo(&keyinfos.keyinfos[i]);
		sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	}
	sg_xml_free(root);
	return 0;
}
