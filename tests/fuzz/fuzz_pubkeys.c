/*
 * Any document as what comes from others and is about keys: a request or an answer from client to client,
 * a notification, the form and the affiliations of a node. What is read is bare, sorted and lower-case,
 * and can be written again.
 */
#include "pubkeys.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "pep_node.h"
#include "text.h"

#define OWN "juliet@capulet.lit"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	sg_log_init("fuzz", SG_LOG_ERROR);
	return 0;
}

static void check_name(const char *name)
{
	if (strlen(name) != 40 || strspn(name, "0123456789abcdef") != 40)
		abort();
}

static void check_ask(const struct sg_xml *root)
{
	struct sg_msg_keys_wanted wanted, again;
	struct sg_xml *written;

	if (sg_pubkeys_ask_decode(root, &wanted) != 0)
		return;
	for (uint32_t i = 0; i < wanted.name_count; i++)
		check_name(wanted.names[i]);
	if (sg_pubkeys_ask_encode(wanted.about, wanted.names, wanted.name_count, &written) != 0 ||
	    sg_pubkeys_ask_decode(written, &again) != 0)
		abort();
	if (again.name_count != wanted.name_count ||
	    (again.about == NULL) != (wanted.about == NULL))
		abort();
	sg_xml_free(written);
	sg_msg_clear(SG_MSG_KEYS_WANTED, &again);
	sg_msg_clear(SG_MSG_KEYS_WANTED, &wanted);
}

static void check_keys(const struct sg_xml *root)
{
	struct sg_msg_keyinfos keyinfos;
	struct sg_xml *written;
	char *about;
	int err;

	if (sg_pubkeys_decode(root, &about, &keyinfos) != 0)
		return;
	if (about != NULL && !sg_jid_is_account(about))
		abort();
	err = sg_pubkeys_encode(about, keyinfos.keyinfos, keyinfos.keyinfo_count, &written);
	if (err != 0 && err != SG_ERR_LIMIT)
		abort();
	sg_xml_free(written);
	free(about);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
}

static void check_event(const struct sg_xml *root)
{
	struct sg_msg_keys_seen seen;

	if (sg_pep_event_decode(root, SG_NS_PUBKEY, &seen) != 0)
		return;
	for (uint32_t i = 0; i < seen.retracted_count; i++)
		check_name(seen.retracted[i]);
	sg_msg_clear(SG_MSG_KEYS_SEEN, &seen);
}

static int nobody_may(void *arg, const char *jid)
{
	return 0;
}

static void check_node(const struct sg_xml *root)
{
	static char presence[] = "presence";
	const struct sg_msg_pep_configure asked = { .access_model = presence };
	struct sg_msg_pep_node node = { 0 };
	struct sg_xml *change;

	if (sg_pep_config_decode(root, SG_NS_PUBKEY, &node) == 0)
		(void)sg_pep_is_more_open(&node, &asked);
	sg_msg_clear(SG_MSG_PEP_NODE, &node);
	if (sg_pep_look_decode(root, SG_NS_PUBKEY, &node) == 0 && !node.exists)
		abort();
	sg_msg_clear(SG_MSG_PEP_NODE, &node);
	if (sg_pep_subscribers_decode(root, SG_NS_PUBKEY, nobody_may, NULL, &node) == 0 &&
	    sg_pep_unsubscribe_encode(SG_NS_PUBKEY, &node, &change) == 0)
		sg_xml_free(change);
	sg_msg_clear(SG_MSG_PEP_NODE, &node);
	if (sg_pep_members_decode(root, SG_NS_PUBKEY, OWN, &node) == 0) {
		for (uint32_t i = 0; i < node.member_count; i++) {
			if (strcmp(node.members[i], OWN) == 0 ||
			    (i > 0 && strcmp(node.members[i - 1], node.members[i]) >= 0))
				abort();
		}
		if (sg_pep_members_encode(SG_NS_PUBKEY, OWN, &node, NULL, 0, &change) != 0 ||
		    (change == NULL) != (node.member_count == 0))
			abort();
		sg_xml_free(change);
	}
	sg_msg_clear(SG_MSG_PEP_NODE, &node);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_xml *root;

	if (sg_xml_parse((const char *)data, size, &root))
		return 0;
	check_ask(root);
	check_keys(root);
	check_event(root);
	check_node(root);
	sg_xml_free(root);
	return 0;
}
