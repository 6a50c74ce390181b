#include "pep_node.h"

#include <stdlib.h>
#include <string.h>

#include "disco.h"
#include "pep.h"
#include "text.h"

#define VALUE_MAX 64 /* bytes of a value of the form that is kept */

static int encode_plain(const char *name, const char *node, struct sg_xml **payload)
{
	struct sg_xml *root, *child;
	int err;

	*payload = NULL;
	err = sg_pep_new(SG_NS_PUBSUB_OWNER, name, node, &root, &child);
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_config_ask_encode(const char *node, struct sg_xml **payload)
{
	return encode_plain("configure", node, payload);
}

int sg_pep_members_ask_encode(const char *node, struct sg_xml **payload)
{
	return encode_plain("affiliations", node, payload);
}

int sg_pep_subscribers_ask_encode(const char *node, struct sg_xml **payload)
{
	return encode_plain("subscriptions", node, payload);
}

int sg_pep_delete_encode(const char *node, struct sg_xml **payload)
{
	return encode_plain("delete", node, payload);
}

int sg_pep_retract_encode(const char *node, const char *id, struct sg_xml **payload)
{
	struct sg_xml *root, *retract, *item;
	int err;

	*payload = NULL;
	err = sg_pep_new(SG_NS_PUBSUB, "retract", node, &root, &retract);
	if (err == 0)
		err = sg_xml_set_attr(retract, "notify", "true");
	if (err == 0)
		err = sg_xml_put(retract, "item", NULL, &item);
	if (err == 0)
		err = sg_xml_set_attr(item, "id", id);
	return sg_xml_hand_over(err, root, payload);
}

/* The one child <name node='node'/> of an owner's result, or NULL. */
static const struct sg_xml *only_of_node(
    const struct sg_xml *payload, const char *name, const char *node)
{
	const struct sg_xml *child;
	const char *of;

	if (!sg_xml_is(payload, "pubsub", SG_NS_PUBSUB_OWNER) ||
	    sg_xml_only(payload, name, NULL, &child) != 0 || child == NULL)
		return NULL;
	of = sg_xml_attr(child, "node");
	return of != NULL && strcmp(of, node) == 0 ? child : NULL;
}

/* ---- the configuration ---- */

/* A value's text, when it is a word that a server may mean; *text NULL otherwise. */
static int take_value(const struct sg_xml *parent, char **text)
{
	const struct sg_xml *value = sg_xml_child(parent, "value", NULL);

	*text = NULL;
	if (value == NULL)
		return 0;
	*text = sg_xml_trimmed_text(value);
	if (*text == NULL)
		return SG_ERR_NOMEM;
	if ((*text)[0] == '\0' || !sg_utf8_is_text(*text, VALUE_MAX)) {
		free(*text);
		*text = NULL;
	}
	return 0;
}

/* The access models that the form lets one choose. */
static int take_offered(const struct sg_xml *field, struct sg_msg_pep_node *shown)
{
	const struct sg_xml *option;
	char *text;
	int err;

	free(shown->offered);
	shown->offered = calloc(SG_PEP_OFFERED_MAX, sizeof(*shown->offered));
	if (shown->offered == NULL)
		return SG_ERR_NOMEM;
	for (option = sg_xml_first(field); option != NULL; option = sg_xml_next(option)) {
		if (!sg_xml_is(option, "option", SG_NS_DATA_FORM))
			continue;
		err = take_value(option, &text);
		if (err != 0)
			return err;
		if (text == NULL || !sg_pep_is_access_model(text)) {
			free(text);
			continue;
		}
		if (shown->offered_count == SG_PEP_OFFERED_MAX) {
			free(text);
			return SG_ERR_LIMIT;
		}
		shown->offered[shown->offered_count++] = text;
	}
	return 0;
}

/* As they stand: white space is part of a name. One that cannot be read is not left out, for it lets people in. */
static int take_groups(const struct sg_xml *field, struct sg_msg_pep_node *shown)
{
	const struct sg_xml *value;

	if (shown->groups_told)
		return SG_ERR_FORMAT; /* said twice */
	shown->groups_told = 1;
	shown->groups = calloc(SG_PEP_GROUPS_MAX, sizeof(*shown->groups));
	if (shown->groups == NULL)
		return SG_ERR_NOMEM;
	for (value = sg_xml_first(field); value != NULL; value = sg_xml_next(value)) {
		char *text;

		if (!sg_xml_is(value, "value", SG_NS_DATA_FORM))
			continue;
		if (shown->group_count == SG_PEP_GROUPS_MAX)
			return SG_ERR_LIMIT;
		text = sg_xml_text(value);
		if (text == NULL)
			return SG_ERR_NOMEM;
		if (text[0] == '\0') {
			free(text); /* of no group */
			continue;
		}
		shown->groups[shown->group_count++] = text;
		if (!sg_utf8_is_text(text, SG_PEP_GROUP_MAX))
			return SG_ERR_FORMAT;
	}
	qsort(shown->groups, shown->group_count, sizeof(*shown->groups), sg_text_compare);
	return 0;
}

static int take_text(const struct sg_xml *field, char **slot)
{
	if (*slot != NULL)
		return SG_ERR_FORMAT; /* said twice */
	return take_value(field, slot);
}

static int take_field(const struct sg_xml *field, struct sg_msg_pep_node *shown)
{
	const char *var = sg_xml_attr(field, "var");
	char *text = NULL;
	int err;

	if (var == NULL)
		return 0;
	if (strcmp(var, "pubsub#access_model") == 0) {
		err = take_text(field, &shown->access_model);
		return err == 0 && shown->offered == NULL ? take_offered(field, shown) : err;
	}
	if (strcmp(var, "pubsub#roster_groups_allowed") == 0)
		return take_groups(field, shown);
	if (strcmp(var, "pubsub#max_items") == 0)
		return take_text(field, &shown->max_items);
	if (strcmp(var, "pubsub#publish_model") == 0)
		return take_text(field, &shown->publish_model);
	if (strcmp(var, "pubsub#send_last_published_item") == 0)
		return take_text(field, &shown->send_last);
	if (strcmp(var, "pubsub#persist_items") != 0)
		return 0;
	err = take_value(field, &text);
	shown->persist_items =
	    text != NULL && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
	free(text);
	return err;
}

static int take_form(const struct sg_xml *form, const char *node, struct sg_msg_pep_node *shown)
{
	const struct sg_xml *field;
	int err = 0;

	for (field = form != NULL ? sg_xml_first(form) : NULL; err == 0 && field != NULL;
	     field = sg_xml_next(field)) {
		if (sg_xml_is(field, "field", SG_NS_DATA_FORM))
			err = take_field(field, shown);
	}
	if (err == 0 && (shown->node = strdup(node)) == NULL)
		err = SG_ERR_NOMEM;
	shown->exists = 1;
	if (err != 0)
		sg_msg_clear(SG_MSG_PEP_NODE, shown);
	return err;
}

int sg_pep_config_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_pep_node *shown)
{
	const struct sg_xml *configure = only_of_node(payload, "configure", node);
	const struct sg_xml *form;

	if (configure == NULL || sg_xml_only(configure, "x", SG_NS_DATA_FORM, &form) != 0 ||
	    form == NULL)
		return SG_ERR_FORMAT;
	return take_form(form, node, shown);
}

int sg_pep_look_encode(const char *node, struct sg_xml **payload)
{
	return sg_disco_info_encode(node, payload);
}

int sg_pep_look_decode(
    const struct sg_xml *payload, const char *node, struct sg_msg_pep_node *shown)
{
	const char *of = sg_xml_attr(payload, "node");
	const struct sg_xml *form;

	if (!sg_xml_is(payload, "query", SG_NS_DISCO_INFO) || of == NULL || strcmp(of, node) != 0 ||
	    sg_xml_only(payload, "x", SG_NS_DATA_FORM, &form) != 0)
		return SG_ERR_FORMAT;
	return take_form(form, node, shown);
}

/* ---- affiliations ---- */

/* What lets one read: all but these. */
static int reads(const char *affiliation)
{
	return strcmp(affiliation, "none") != 0 && strcmp(affiliation, "outcast") != 0 &&
	    strcmp(affiliation, "publish-only") != 0;
}

static void members_clear(struct sg_msg_pep_node *shown)
{
	for (uint32_t i = 0; i < shown->member_count; i++)
		free(shown->members[i]);
	free(shown->members);
	shown->members = NULL;
	shown->member_count = 0;
	for (uint32_t i = 0; i < shown->affiliation_count; i++) {
		free(shown->affiliations[i].jid);
		free(shown->affiliations[i].affiliation);
	}
	free(shown->affiliations);
	shown->affiliations = NULL;
	shown->affiliation_count = 0;
}

static int compare_affiliations(const void *a, const void *b)
{
	const struct sg_affiliation *left = a, *right = b;
	int order = strcmp(left->jid, right->jid);

	return order != 0 ? order : strcmp(left->affiliation, right->affiliation);
}

/* Sorts, and drops what is there twice. */
static void members_tidy(struct sg_msg_pep_node *shown)
{
	uint32_t kept = 0;

	qsort(shown->members, shown->member_count, sizeof(*shown->members), sg_text_compare);
	for (uint32_t i = 0; i < shown->member_count; i++) {
		if (kept > 0 && strcmp(shown->members[kept - 1], shown->members[i]) == 0)
			free(shown->members[i]);
		else
			shown->members[kept++] = shown->members[i];
	}
	shown->member_count = kept;
	qsort(shown->affiliations, shown->affiliation_count, sizeof(*shown->affiliations),
	    compare_affiliations);
}

static int take_member(
    const struct sg_xml *element, const char *owner, struct sg_msg_pep_node *shown)
{
	const char *jid = sg_xml_attr(element, "jid");
	const char *affiliation = sg_xml_attr(element, "affiliation");
	char *bare = jid != NULL ? sg_jid_bare(jid) : NULL;
	struct sg_affiliation *kept;

	/* One that cannot be read is not left out: it may stand for somebody who reads. */
	if (bare == NULL || affiliation == NULL) {
		free(bare);
		return SG_ERR_FORMAT;
	}
	if (strcmp(affiliation, "none") == 0 || strcmp(bare, owner) == 0) {
		free(bare);
		return 0;
	}
	if (!sg_utf8_is_text(affiliation, VALUE_MAX)) {
		free(bare);
		return SG_ERR_FORMAT;
	}
	kept = &shown->affiliations[shown->affiliation_count++];
	kept->jid = bare;
	kept->affiliation = strdup(affiliation);
	if (kept->affiliation == NULL)
		return SG_ERR_NOMEM;
	if (!reads(affiliation))
		return 0;
	shown->members[shown->member_count] = strdup(bare);
	return shown->members[shown->member_count++] != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_pep_members_decode(const struct sg_xml *payload, const char *node, const char *owner,
    struct sg_msg_pep_node *shown)
{
	const struct sg_xml *list = only_of_node(payload, "affiliations", node);
	const struct sg_xml *element;
	size_t count = 0;
	int err = 0;

	members_clear(shown);
	if (list == NULL)
		return SG_ERR_FORMAT;
	for (element = sg_xml_first(list); element != NULL; element = sg_xml_next(element))
		count += (size_t)sg_xml_is(element, "affiliation", SG_NS_PUBSUB_OWNER);
	if (count > SG_PEP_MEMBERS_MAX)
		return SG_ERR_LIMIT;
	shown->members = calloc(count + 1, sizeof(*shown->members));
	shown->affiliations = calloc(count + 1, sizeof(*shown->affiliations));
	if (shown->members == NULL || shown->affiliations == NULL)
		err = SG_ERR_NOMEM;
	for (element = sg_xml_first(list); err == 0 && element != NULL;
	     element = sg_xml_next(element)) {
		if (sg_xml_is(element, "affiliation", SG_NS_PUBSUB_OWNER))
			err = take_member(element, owner, shown);
	}
	if (err != 0)
		members_clear(shown);
	else
		members_tidy(shown);
	return err;
}

static int has(char *const *list, uint32_t count, const char *text)
{
	for (uint32_t i = 0; i < count; i++) {
		if (strcmp(list[i], text) == 0)
			return 1;
	}
	return 0;
}

/* Whether it may stay: it harms nobody, or it or another in its place is asked for. */
static int is_asked(
    const struct sg_affiliation *affiliation, char *const *members, uint32_t member_count)
{
	return strcmp(affiliation->affiliation, "outcast") == 0 ||
	    has(members, member_count, affiliation->jid);
}

static int is_affiliated(
    const struct sg_msg_pep_node *shown, const char *jid, const char *affiliation)
{
	for (uint32_t i = 0; i < shown->affiliation_count; i++) {
		if (strcmp(shown->affiliations[i].jid, jid) == 0)
			return strcmp(shown->affiliations[i].affiliation, affiliation) == 0;
	}
	return 0;
}

static int put_affiliation(struct sg_xml *list, const char *jid, const char *affiliation)
{
	struct sg_xml *element;
	int err = sg_xml_put(list, "affiliation", NULL, &element);

	if (err == 0)
		err = sg_xml_set_attr(element, "jid", jid);
	if (err == 0)
		err = sg_xml_set_attr(element, "affiliation", affiliation);
	return err;
}

int sg_pep_members_encode(const char *node, const char *owner, const struct sg_msg_pep_node *shown,
    char *const *members, uint32_t member_count, struct sg_xml **payload)
{
	struct sg_xml *root, *list;
	uint32_t changes = 0;
	int err;

	*payload = NULL;
	if (member_count > SG_PEP_MEMBERS_MAX)
		return SG_ERR_LIMIT;
	for (uint32_t i = 0; i < member_count; i++) {
		if (!sg_jid_is_account(members[i]) || strcmp(members[i], owner) == 0)
			return SG_ERR_ARG;
	}
	err = sg_pep_new(SG_NS_PUBSUB_OWNER, "affiliations", node, &root, &list);
	for (uint32_t i = 0; err == 0 && i < shown->affiliation_count; i++) {
		if (is_asked(&shown->affiliations[i], members, member_count))
			continue;
		changes++;
		err = put_affiliation(list, shown->affiliations[i].jid, "none");
	}
	for (uint32_t i = 0; err == 0 && i < member_count; i++) {
		if (is_affiliated(shown, members[i], "member"))
			continue;
		changes++;
		err = put_affiliation(list, members[i], "member");
	}
	if (err == 0 && changes == 0) {
		sg_xml_free(root);
		return 0;
	}
	return sg_xml_hand_over(err, root, payload);
}

int sg_pep_outcasts_encode(const char *node, const struct sg_msg_pep_node *before,
    const struct sg_msg_pep_node *shown, char *const *members, uint32_t member_count,
    struct sg_xml **payload)
{
	struct sg_xml *root, *list;
	uint32_t changes = 0;
	int err = sg_pep_new(SG_NS_PUBSUB_OWNER, "affiliations", node, &root, &list);

	*payload = NULL;
	for (uint32_t i = 0; err == 0 && i < before->affiliation_count; i++) {
		const struct sg_affiliation *one = &before->affiliations[i];

		if (strcmp(one->affiliation, "outcast") != 0 ||
		    has(members, member_count, one->jid) ||
		    is_affiliated(shown, one->jid, "outcast"))
			continue;
		changes++;
		err = put_affiliation(list, one->jid, "outcast");
	}
	if (err == 0 && changes == 0) {
		sg_xml_free(root);
		return 0;
	}
	return sg_xml_hand_over(err, root, payload);
}

/* ---- subscriptions ---- */

static void subscribers_clear(struct sg_msg_pep_node *shown)
{
	for (uint32_t i = 0; i < shown->subscriber_count; i++)
		free(shown->subscribers[i]);
	free(shown->subscribers);
	shown->subscribers = NULL;
	shown->subscriber_count = 0;
	shown->subscribers_told = 0;
}

/* Of an owner's result; servers say the node of the list, or of each entry, or both. */
static int is_of_node(const struct sg_xml *element, const char *node)
{
	const char *of = sg_xml_attr(element, "node");

	return of == NULL || strcmp(of, node) == 0;
}

static int take_subscriber(const struct sg_xml *element, const char *node,
    sg_pep_may_read_fn *may_read, void *arg, struct sg_msg_pep_node *shown)
{
	const char *jid = sg_xml_attr(element, "jid");
	const char *state = sg_xml_attr(element, "subscription");
	char *bare = jid != NULL ? sg_jid_bare(jid) : NULL;
	int is_jid = bare != NULL;

	free(bare);
	if (!is_jid || !is_of_node(element, node))
		return SG_ERR_FORMAT;
	/* One who waits for leave gets nothing yet. */
	if (state != NULL && (strcmp(state, "none") == 0 || strcmp(state, "pending") == 0))
		return 0;
	if (may_read(arg, jid))
		return 0;
	shown->subscribers[shown->subscriber_count] = strdup(jid);
	return shown->subscribers[shown->subscriber_count++] != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_pep_subscribers_decode(const struct sg_xml *payload, const char *node,
    sg_pep_may_read_fn *may_read, void *arg, struct sg_msg_pep_node *shown)
{
	const struct sg_xml *list, *element;
	size_t count = 0;
	int err = 0;

	subscribers_clear(shown);
	if (!sg_xml_is(payload, "pubsub", SG_NS_PUBSUB_OWNER) ||
	    sg_xml_only(payload, "subscriptions", NULL, &list) != 0 || list == NULL ||
	    !is_of_node(list, node))
		return SG_ERR_FORMAT;
	for (element = sg_xml_first(list); element != NULL; element = sg_xml_next(element))
		count += (size_t)sg_xml_is(element, "subscription", SG_NS_PUBSUB_OWNER);
	if (count > SG_PEP_MEMBERS_MAX)
		return SG_ERR_LIMIT;
	shown->subscribers = calloc(count + 1, sizeof(*shown->subscribers));
	if (shown->subscribers == NULL)
		return SG_ERR_NOMEM;
	for (element = sg_xml_first(list); err == 0 && element != NULL;
	     element = sg_xml_next(element)) {
		if (sg_xml_is(element, "subscription", SG_NS_PUBSUB_OWNER))
			err = take_subscriber(element, node, may_read, arg, shown);
	}
	if (err != 0)
		subscribers_clear(shown);
	else
		shown->subscribers_told = 1;
	return err;
}

int sg_pep_unsubscribe_encode(
    const char *node, const struct sg_msg_pep_node *shown, struct sg_xml **payload)
{
	struct sg_xml *root, *list, *element;
	int err;

	*payload = NULL;
	err = sg_pep_new(SG_NS_PUBSUB_OWNER, "subscriptions", node, &root, &list);
	for (uint32_t i = 0; err == 0 && i < shown->subscriber_count; i++) {
		err = sg_xml_put(list, "subscription", NULL, &element);
		if (err == 0)
			err = sg_xml_set_attr(element, "jid", shown->subscribers[i]);
		if (err == 0)
			err = sg_xml_set_attr(element, "subscription", "none");
	}
	return sg_xml_hand_over(err, root, payload);
}

/* ---- judging ---- */

/* How many can read by it, as an order; of a model that nobody knows, everybody. */
static int openness(const char *model)
{
	static const char *const models[] = { "whitelist", "authorize", "roster", "presence",
		"open" };

	for (int i = 0; i < 5; i++) {
		if (model != NULL && strcmp(model, models[i]) == 0)
			return i;
	}
	return 5;
}

int sg_pep_lets_in_others(const char *model, const char *than)
{
	if (strcmp(than, "open") == 0)
		return 0;
	return model == NULL || (strcmp(model, "whitelist") != 0 && strcmp(model, than) != 0);
}

int sg_pep_has_others(const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked)
{
	for (uint32_t i = 0; i < shown->affiliation_count; i++) {
		const struct sg_affiliation *one = &shown->affiliations[i];

		if (!is_asked(one, asked->members, asked->member_count))
			return 1;
		/* Who may only read may not write, nor let others in. */
		if (strcmp(one->affiliation, "member") != 0 &&
		    strcmp(one->affiliation, "outcast") != 0)
			return 1;
	}
	return 0;
}

int sg_pep_has_other_groups(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked)
{
	if (shown->access_model == NULL || strcmp(shown->access_model, "roster") != 0)
		return 0;
	for (uint32_t i = 0; i < shown->group_count; i++) {
		if (!has(asked->groups, asked->group_count, shown->groups[i]))
			return 1;
	}
	return !shown->groups_told;
}

int sg_pep_is_more_open(
    const struct sg_msg_pep_node *shown, const struct sg_msg_pep_configure *asked)
{
	if (!shown->exists)
		return 0;
	if (strcmp(asked->access_model, "open") != 0 &&
	    (openness(shown->access_model) > openness(asked->access_model) ||
		sg_pep_has_other_groups(shown, asked)))
		return 1;
	if (shown->publish_model != NULL && strcmp(shown->publish_model, "publishers") != 0)
		return 1;
	return shown->uncertain || shown->subscriber_count > 0 || sg_pep_has_others(shown, asked);
}
