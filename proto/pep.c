#include "pep.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keyinfo.h"
#include "log.h"

#define NODE_CONFIG	SG_NS_PUBSUB "#node_config"
#define PUBLISH_OPTIONS SG_NS_PUBSUB "#publish-options"

int sg_pep_is_access_model(const char *text)
{
	static const char *const models[] = { "open", "presence", "roster", "authorize",
		"whitelist" };

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		if (strcmp(text, models[i]) == 0)
			return 1;
	}
	return 0;
}

static int put_field(struct sg_xml *form, const char *var, const char *value)
{
	struct sg_xml *field;
	int err;

	err = sg_xml_put(form, "field", NULL, &field);
	if (err == 0)
		err = sg_xml_set_attr(field, "var", var);
	if (err == 0 && strcmp(var, "FORM_TYPE") == 0)
		err = sg_xml_set_attr(field, "type", "hidden");
	if (err == 0)
		err = sg_xml_put(field, "value", value, NULL);
	return err;
}

/* Of several values. */
static int put_list(struct sg_xml *form, const char *var, char *const *values, uint32_t value_count)
{
	struct sg_xml *field;
	int err;

	err = sg_xml_put(form, "field", NULL, &field);
	if (err == 0)
		err = sg_xml_set_attr(field, "var", var);
	for (uint32_t i = 0; err == 0 && i < value_count; i++)
		err = sg_xml_put(field, "value", values[i], NULL);
	return err;
}

/* The submitted form below the parent. As a guard it holds only what every server takes (K9). */
static int put_form(struct sg_xml *parent, const char *form_type, const char *access_model,
    char *const *groups, uint32_t group_count)
{
	struct sg_xml *form = sg_xml_new("x", SG_NS_DATA_FORM);
	int err;

	if (form == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_add(parent, form);
	if (err == 0)
		err = sg_xml_set_attr(form, "type", "submit");
	if (err == 0)
		err = put_field(form, "FORM_TYPE", form_type);
	if (err == 0)
		err = put_field(form, "pubsub#access_model", access_model);
	if (err == 0)
		err = put_field(form, "pubsub#persist_items", "1");
	if (err != 0 || strcmp(form_type, NODE_CONFIG) != 0)
		return err;
	err = put_field(form, "pubsub#send_last_published_item", "never");
	if (err == 0)
		err = put_field(form, "pubsub#max_items", "max");
	if (err == 0)
		err = put_field(form, "pubsub#publish_model", "publishers");
	if (err == 0 && strcmp(access_model, "roster") == 0)
		err = put_list(form, "pubsub#roster_groups_allowed", groups, group_count);
	return err;
}

int sg_pep_new(
    const char *ns, const char *name, const char *node, struct sg_xml **root, struct sg_xml **child)
{
	int err;

	*root = sg_xml_new("pubsub", ns);
	if (*root == NULL)
		return SG_ERR_NOMEM;
	err = sg_xml_put(*root, name, NULL, child);
	if (err == 0)
		err = sg_xml_set_attr(*child, "node", node);
	return err;
}

int sg_pep_create_encode(const char *node, const char *access_model, char *const *groups,
    uint32_t group_count, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	if (!sg_pep_is_access_model(access_model))
		return SG_ERR_ARG;
	err = sg_pep_new(SG_NS_PUBSUB, "create", node, &root, &child);
	if (err == 0)
		err = sg_xml_put(root, "configure", NULL, &child);
	if (err == 0)
		err = put_form(child, NODE_CONFIG, access_model, groups, group_count);
	if (err == 0)
		err = sg_xml_check_length(root, SG_PEP_CONFIG_MAX);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_configure_encode(const char *node, const char *access_model, char *const *groups,
    uint32_t group_count, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	if (!sg_pep_is_access_model(access_model))
		return SG_ERR_ARG;
	err = sg_pep_new(SG_NS_PUBSUB_OWNER, "configure", node, &root, &child);
	if (err == 0)
		err = put_form(child, NODE_CONFIG, access_model, groups, group_count);
	if (err == 0)
		err = sg_xml_check_length(root, SG_PEP_CONFIG_MAX);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_publish_encode(const char *node, const char *id, const char *access_model,
    struct sg_xml *item, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	if (!sg_pep_is_access_model(access_model)) {
		sg_xml_free(item);
		return SG_ERR_ARG;
	}
	err = sg_pep_new(SG_NS_PUBSUB, "publish", node, &root, &child);
	if (err == 0)
		err = sg_xml_put(child, "item", NULL, &child);
	if (err == 0)
		err = sg_xml_set_attr(child, "id", id);
	if (err != 0)
		sg_xml_free(item);
	else
		err = sg_xml_add(child, item);
	if (err == 0)
		err = sg_xml_put(root, "publish-options", NULL, &child);
	if (err == 0)
		err = put_form(child, PUBLISH_OPTIONS, access_model, NULL, 0);
	if (err == 0)
		err = sg_xml_check_length(root, SG_PEP_PUBLISH_MAX);
	return sg_xml_hand_over(err, root, payload);
}

static int put_wanted(struct sg_xml *items, const char *id)
{
	struct sg_xml *item;
	int err = sg_xml_put(items, "item", NULL, &item);

	return err == 0 ? sg_xml_set_attr(item, "id", id) : err;
}

/* The name as an id, and in capitals (K2): to a server these are two. */
static int put_name(struct sg_xml *items, const char *name)
{
	char *upper = strdup(name);
	int err = upper != NULL ? put_wanted(items, name) : SG_ERR_NOMEM;

	for (char *at = upper; at != NULL && *at != '\0'; at++)
		*at = (char)toupper((unsigned char)*at);
	if (err == 0 && strcmp(upper, name) != 0)
		err = put_wanted(items, upper);
	free(upper);
	return err;
}

int sg_pep_items_encode(
    const char *node, char *const *names, size_t name_count, struct sg_xml **payload)
{
	struct sg_xml *root, *items;
	int err;

	*payload = NULL;
	if (name_count > SG_PEP_ITEMS_MAX)
		return SG_ERR_LIMIT;
	err = sg_pep_new(SG_NS_PUBSUB, "items", node, &root, &items);
	for (size_t i = 0; err == 0 && i < name_count; i++)
		err = put_name(items, names[i]);
	return sg_xml_hand_over(err, root, payload);
}

/* The only child element of an item, or NULL. */
static const struct sg_xml *item_payload(const struct sg_xml *item)
{
	const struct sg_xml *payload = sg_xml_first(item);

	return payload != NULL && sg_xml_next(payload) == NULL ? payload : NULL;
}

/* One item; the reason of a refusal in *why. */
static int decode_item(const struct sg_xml *item, struct sg_keyinfo *keyinfo, const char **why)
{
	const char *id = sg_xml_attr(item, "id");
	const struct sg_xml *payload = item_payload(item);
	int err;

	*why = "not exactly one payload";
	if (payload == NULL)
		return SG_ERR_KEYINFO;
	err = sg_keyinfo_decode(payload, keyinfo, why);
	if (err != 0)
		return err;
	/* K10; of either case, as the name itself (K2) */
	if (id == NULL || strcasecmp(id, keyinfo->name) != 0) {
		*why = "the item's id is not the key's name";
		sg_layout_clear(&sg_layout_keyinfo, keyinfo);
		return SG_ERR_KEYINFO;
	}
	return 0;
}

/* The items in this namespace. */
static int decode_items(
    const struct sg_xml *items, const char *ns, struct sg_msg_keyinfos *keyinfos)
{
	const struct sg_xml *item;
	const char *id, *why;
	int err;

	for (item = sg_xml_first(items); item != NULL; item = sg_xml_next(item)) {
		if (!sg_xml_is(item, "item", ns))
			continue;
		err = decode_item(item, &keyinfos->keyinfos[keyinfos->keyinfo_count], &why);
		if (err == SG_ERR_NOMEM)
			return err;
		if (err == 0) {
			keyinfos->keyinfo_count++;
			continue;
		}
		id = sg_xml_attr(item, "id");
		sg_log(SG_LOG_WARN, "item '%.64s' refused: %s", id != NULL ? id : "", why);
		keyinfos->refused++;
	}
	return 0;
}

static size_t count_of(const struct sg_xml *items, const char *name)
{
	const struct sg_xml *item;
	size_t count = 0;

	for (item = sg_xml_first(items); item != NULL; item = sg_xml_next(item))
		count += (size_t)sg_xml_is(item, name, sg_xml_ns(items));
	return count;
}

/* All items of an <items/>, in its own namespace. */
static int take_items(const struct sg_xml *items, struct sg_msg_keyinfos *keyinfos)
{
	size_t count = count_of(items, "item");
	int err;

	if (count == 0)
		return 0;
	if (count > SG_PEP_ITEMS_MAX)
		return SG_ERR_LIMIT;
	keyinfos->keyinfos = calloc(count, sizeof(*keyinfos->keyinfos));
	if (keyinfos->keyinfos == NULL)
		return SG_ERR_NOMEM;
	err = decode_items(items, sg_xml_ns(items), keyinfos);
	if (err != 0)
		sg_msg_clear(SG_MSG_KEYINFOS, keyinfos);
	return err;
}

int sg_pep_items_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_keyinfos *keyinfos)
{
	const struct sg_xml *items;
	const char *from;

	*keyinfos = (struct sg_msg_keyinfos){ 0 };
	if (!sg_xml_is(payload, "pubsub", SG_NS_PUBSUB) ||
	    sg_xml_only(payload, "items", NULL, &items) != 0)
		return SG_ERR_FORMAT;
	from = items != NULL ? sg_xml_attr(items, "node") : NULL;
	if (from == NULL || strcmp(from, node) != 0)
		return SG_ERR_FORMAT;
	return take_items(items, keyinfos);
}

/* ---- events ---- */

/* The names of what was taken off the node; an id that is no name is left out. */
static int take_retracted(const struct sg_xml *items, struct sg_msg_keys_seen *seen)
{
	const struct sg_xml *child;
	size_t count = count_of(items, "retract");

	if (count == 0)
		return 0;
	if (count > SG_PEP_ITEMS_MAX)
		return SG_ERR_LIMIT;
	seen->retracted = calloc(count, sizeof(*seen->retracted));
	if (seen->retracted == NULL)
		return SG_ERR_NOMEM;
	for (child = sg_xml_first(items); child != NULL; child = sg_xml_next(child)) {
		const char *id = sg_xml_attr(child, "id");
		char *name;

		if (!sg_xml_is(child, "retract", SG_NS_PUBSUB_EVENT) || id == NULL)
			continue;
		if (sg_keyinfo_name_take(id, &name) != 0) {
			seen->refused++;
			continue;
		}
		seen->retracted[seen->retracted_count++] = name;
	}
	return 0;
}

int sg_pep_event_decode(const struct sg_xml *event, const char *node, struct sg_msg_keys_seen *seen)
{
	static const char *const kinds[] = { "items", "purge", "delete" };
	struct sg_msg_keyinfos keyinfos = { 0 };
	const struct sg_xml *child = sg_xml_first(event);
	const char *of;
	int err, known = 0;

	*seen = (struct sg_msg_keys_seen){ .source = SG_SEEN_EVENT };
	if (!sg_xml_is(event, "event", SG_NS_PUBSUB_EVENT) || child == NULL ||
	    sg_xml_next(child) != NULL)
		return SG_ERR_FORMAT;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known |= sg_xml_is(child, kinds[i], SG_NS_PUBSUB_EVENT);
	of = sg_xml_attr(child, "node");
	if (!known || of == NULL || strcmp(of, node) != 0)
		return SG_ERR_FORMAT;
	if (!sg_xml_is(child, "items", SG_NS_PUBSUB_EVENT))
		return 0;
	err = take_items(child, &keyinfos);
	seen->keyinfos = keyinfos.keyinfos;
	seen->keyinfo_count = keyinfos.keyinfo_count;
	seen->refused = keyinfos.refused;
	if (err == 0)
		err = take_retracted(child, seen);
	if (err != 0)
		sg_msg_clear(SG_MSG_KEYS_SEEN, seen);
	return err;
}
