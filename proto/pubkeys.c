#include "pubkeys.h"

#include <stdlib.h>
#include <string.h>

#include "keyinfo.h"
#include "log.h"
#include "text.h"

static int new_pubkeys(const char *about, struct sg_xml **root)
{
	*root = sg_xml_new("pubkeys", SG_NS_PUBKEY);
	if (*root == NULL)
		return SG_ERR_NOMEM;
	return about != NULL ? sg_xml_set_attr(*root, "jid", about) : 0;
}

int sg_pubkeys_ask_encode(
    const char *about, char *const *names, uint32_t name_count, struct sg_xml **payload)
{
	struct sg_xml *root;
	int err;

	*payload = NULL;
	if (name_count > SG_PUBKEYS_NAMES_MAX)
		return SG_ERR_LIMIT;
	err = new_pubkeys(about, &root);
	for (uint32_t i = 0; err == 0 && i < name_count; i++)
		err = sg_xml_put(root, "fprint", names[i], NULL);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pubkeys_encode(const char *about, const struct sg_keyinfo *keyinfos, uint32_t keyinfo_count,
    struct sg_xml **payload)
{
	struct sg_xml *root, *element;
	int err;

	*payload = NULL;
	if (keyinfo_count > SG_PUBKEYS_KEYS_MAX)
		return SG_ERR_LIMIT;
	err = new_pubkeys(about, &root);
	for (uint32_t i = 0; err == 0 && i < keyinfo_count; i++) {
		err = sg_keyinfo_encode(&keyinfos[i], &element);
		if (err == 0)
			err = sg_xml_add(root, element);
	}
	if (err == 0)
		err = sg_xml_check_length(root, SG_PUBKEYS_BYTES_MAX);
	return sg_xml_hand_over(err, root, payload);
}

/* The jid of the element, bare; NULL when it has none. */
static int take_about(const struct sg_xml *element, char **about)
{
	const char *jid = sg_xml_attr(element, "jid");

	*about = NULL;
	if (!sg_xml_is(element, "pubkeys", SG_NS_PUBKEY))
		return SG_ERR_FORMAT;
	if (jid == NULL)
		return 0;
	*about = sg_jid_bare(jid);
	if (*about != NULL && sg_jid_is_account(*about))
		return 0;
	free(*about);
	*about = NULL;
	return SG_ERR_FORMAT;
}

/* How many children of this name; SG_ERR_LIMIT over max. */
static int count_children(
    const struct sg_xml *element, const char *name, uint32_t max, uint32_t *count)
{
	const struct sg_xml *child;

	*count = 0;
	for (child = sg_xml_first(element); child != NULL; child = sg_xml_next(child)) {
		if (!sg_xml_is(child, name, SG_NS_PUBKEY))
			continue;
		if (*count == max)
			return SG_ERR_LIMIT;
		(*count)++;
	}
	return 0;
}

/* ---- a request ---- */

static int is_wanted(const struct sg_msg_keys_wanted *wanted, const char *name)
{
	for (uint32_t i = 0; i < wanted->name_count; i++) {
		if (wanted->names[i] != NULL && strcmp(wanted->names[i], name) == 0)
			return 1;
	}
	return 0;
}

static int take_name(const struct sg_xml *element, struct sg_msg_keys_wanted *wanted)
{
	char *text = sg_xml_trimmed_text(element);
	char *name = NULL;
	int err = text != NULL ? sg_keyinfo_name_take(text, &name) : SG_ERR_NOMEM;

	free(text);
	if (err != 0)
		return err;
	if (is_wanted(wanted, name))
		free(name);
	else
		wanted->names[wanted->name_count++] = name;
	return 0;
}

int sg_pubkeys_ask_decode(const struct sg_xml *element, struct sg_msg_keys_wanted *wanted)
{
	const struct sg_xml *child;
	uint32_t count = 0, keys = 0;
	int err;

	*wanted = (struct sg_msg_keys_wanted){ 0 };
	err = take_about(element, &wanted->about);
	if (err == 0)
		err = count_children(element, "fprint", SG_PUBKEYS_NAMES_MAX, &count);
	if (err == 0 && (count_children(element, "keyinfo", 1, &keys) != 0 || keys > 0))
		err = SG_ERR_FORMAT;
	if (err == 0 && (wanted->names = calloc(count + 1u, sizeof(*wanted->names))) == NULL)
		err = SG_ERR_NOMEM;
	for (child = sg_xml_first(element); err == 0 && child != NULL; child = sg_xml_next(child)) {
		if (sg_xml_is(child, "fprint", SG_NS_PUBKEY))
			err = take_name(child, wanted);
	}
	if (err != 0)
		sg_msg_clear(SG_MSG_KEYS_WANTED, wanted);
	return err;
}

/* ---- keys ---- */

static int has_name(const struct sg_msg_keyinfos *keyinfos, const char *name)
{
	for (uint32_t i = 0; i < keyinfos->keyinfo_count; i++) {
		if (strcmp(keyinfos->keyinfos[i].name, name) == 0)
			return 1;
	}
	return 0;
}

static int take_keyinfo(const struct sg_xml *element, struct sg_msg_keyinfos *keyinfos)
{
	struct sg_keyinfo *slot = &keyinfos->keyinfos[keyinfos->keyinfo_count];
	const char *why;
	int err = sg_keyinfo_decode(element, slot, &why);

	if (err == 0 && has_name(keyinfos, slot->name)) {
		sg_layout_clear(&sg_layout_keyinfo, slot);
		why = "its name has come before";
		err = SG_ERR_KEYINFO;
	}
	if (err == SG_ERR_NOMEM)
		return err;
	if (err == 0) {
		keyinfos->keyinfo_count++;
	} else if (keyinfos->refused++ == 0) { /* anybody may send a thousand */
		sg_log(SG_LOG_WARN, "keyinfos are refused, the first because: %s", why);
	}
	return 0;
}

int sg_pubkeys_decode(const struct sg_xml *element, char **about, struct sg_msg_keyinfos *keyinfos)
{
	const struct sg_xml *child;
	uint32_t count = 0;
	int err;

	*keyinfos = (struct sg_msg_keyinfos){ 0 };
	err = take_about(element, about);
	if (err == 0)
		err = count_children(element, "keyinfo", SG_PUBKEYS_KEYS_MAX, &count);
	if (err == 0 && count > 0 &&
	    (keyinfos->keyinfos = calloc(count, sizeof(*keyinfos->keyinfos))) == NULL)
		err = SG_ERR_NOMEM;
	for (child = sg_xml_first(element); err == 0 && child != NULL; child = sg_xml_next(child)) {
		if (sg_xml_is(child, "keyinfo", SG_NS_PUBKEY))
			err = take_keyinfo(child, keyinfos);
	}
	if (err == 0)
		return 0;
	free(*about);
	*about = NULL;
	sg_msg_clear(SG_MSG_KEYINFOS, keyinfos);
	return err;
}
