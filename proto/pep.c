#include "pep.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "keyinfo.h"
#include "log.h"

#define NS_DATA_FORM	"jabber:x:data"
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

/* The submitted form below the parent. As a guard it holds only what every server takes (K9). */
static int put_form(struct sg_xml *parent, const char *form_type, const char *access_model)
{
	struct sg_xml *form = sg_xml_new("x", NS_DATA_FORM);
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
	return err;
}

/* <pubsub><name node='node'/></pubsub>; the child stays the root's. */
static int new_pubsub(
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

int sg_pep_create_encode(const char *node, const char *access_model, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	if (!sg_pep_is_access_model(access_model))
		return SG_ERR_ARG;
	err = new_pubsub(SG_NS_PUBSUB, "create", node, &root, &child);
	if (err == 0)
		err = sg_xml_put(root, "configure", NULL, &child);
	if (err == 0)
		err = put_form(child, NODE_CONFIG, access_model);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_configure_encode(const char *node, const char *access_model, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	if (!sg_pep_is_access_model(access_model))
		return SG_ERR_ARG;
	err = new_pubsub(SG_NS_PUBSUB_OWNER, "configure", node, &root, &child);
	if (err == 0)
		err = put_form(child, NODE_CONFIG, access_model);
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
	err = new_pubsub(SG_NS_PUBSUB, "publish", node, &root, &child);
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
		err = put_form(child, PUBLISH_OPTIONS, access_model);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_items_encode(
    const char *node, char *const *ids, size_t id_count, struct sg_xml **payload)
{
	struct sg_xml *root, *items, *item;
	int err;

	*payload = NULL;
	if (id_count > SG_PEP_ITEMS_MAX)
		return SG_ERR_LIMIT;
	err = new_pubsub(SG_NS_PUBSUB, "items", node, &root, &items);
	for (size_t i = 0; err == 0 && i < id_count; i++) {
		err = sg_xml_put(items, "item", NULL, &item);
		if (err == 0)
			err = sg_xml_set_attr(item, "id", ids[i]);
	}
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

static int decode_items(const struct sg_xml *items, struct sg_msg_keyinfos *keyinfos)
{
	const struct sg_xml *item;
	const char *id, *why;
	int err;

	for (item = sg_xml_first(items); item != NULL; item = sg_xml_next(item)) {
		if (!sg_xml_is(item, "item", SG_NS_PUBSUB))
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

int sg_pep_items_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_keyinfos *keyinfos)
{
	const struct sg_xml *items, *item;
	const char *from;
	size_t count = 0;
	int err;

	*keyinfos = (struct sg_msg_keyinfos){ 0 };
	if (!sg_xml_is(payload, "pubsub", SG_NS_PUBSUB) ||
	    sg_xml_only(payload, "items", NULL, &items) != 0)
		return SG_ERR_FORMAT;
	from = items != NULL ? sg_xml_attr(items, "node") : NULL;
	if (from == NULL || strcmp(from, node) != 0)
		return SG_ERR_FORMAT;
	for (item = sg_xml_first(items); item != NULL; item = sg_xml_next(item))
		count += (size_t)sg_xml_is(item, "item", SG_NS_PUBSUB);
	if (count == 0)
		return 0;
	if (count > SG_PEP_ITEMS_MAX)
		return SG_ERR_LIMIT;
	keyinfos->keyinfos = calloc(count, sizeof(*keyinfos->keyinfos));
	if (keyinfos->keyinfos == NULL)
		return SG_ERR_NOMEM;
	err = decode_items(items, keyinfos);
	if (err != 0)
		sg_msg_clear(SG_MSG_KEYINFOS, keyinfos);
	return err;
}
