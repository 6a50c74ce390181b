#include "contacts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "text.h"

#define JID_MAX 3071 /* bytes of a full JID, RFC 7622 3.1 */

struct contact {
	char *bare;
	int listed;  /* in the roster */
	int sees_us; /* subscription from or both */
	char **resources;
	size_t resource_count;
};

struct sg_contacts {
	char *own;
	struct contact *list; /* sorted by bare */
	size_t count, room;
};

int sg_contacts_new(struct sg_contacts **contacts)
{
	*contacts = calloc(1, sizeof(**contacts));
	return *contacts != NULL ? 0 : SG_ERR_NOMEM;
}

static void contact_clear(struct contact *contact)
{
	for (size_t i = 0; i < contact->resource_count; i++)
		free(contact->resources[i]);
	free(contact->resources);
	free(contact->bare);
}

void sg_contacts_end(struct sg_contacts *contacts)
{
	for (size_t i = 0; i < contacts->count; i++)
		contact_clear(&contacts->list[i]);
	free(contacts->list);
	free(contacts->own);
	memset(contacts, 0, sizeof(*contacts));
}

void sg_contacts_free(struct sg_contacts *contacts)
{
	if (contacts == NULL)
		return;
	sg_contacts_end(contacts);
	free(contacts);
}

/* Where the bare JID stands, or would. */
static size_t place(const struct sg_contacts *contacts, const char *bare, int *found)
{
	size_t low = 0, high = contacts->count;

	*found = 0;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(bare, contacts->list[middle].bare);

		if (order == 0) {
			*found = 1;
			return middle;
		}
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Takes bare over, also on failure. The contact's memory moves with the next one that is added. */
static int add(struct sg_contacts *contacts, char *bare, struct contact **contact)
{
	int found;
	size_t at = place(contacts, bare, &found);

	*contact = NULL;
	if (found) {
		free(bare);
		*contact = &contacts->list[at];
		return 0;
	}
	if (contacts->count == SG_CONTACTS_MAX) {
		free(bare);
		return SG_ERR_LIMIT;
	}
	if (contacts->count == contacts->room) {
		size_t room = contacts->room > 0 ? 2 * contacts->room : 16;
		struct contact *grown = reallocarray(contacts->list, room, sizeof(*grown));

		if (grown == NULL) {
			free(bare);
			return SG_ERR_NOMEM;
		}
		contacts->list = grown;
		contacts->room = room;
	}
	memmove(&contacts->list[at + 1], &contacts->list[at],
	    (contacts->count - at) * sizeof(*contacts->list));
	contacts->list[at] = (struct contact){ .bare = bare };
	contacts->count++;
	*contact = &contacts->list[at];
	return 0;
}

int sg_contacts_begin(struct sg_contacts *contacts, const char *own)
{
	struct contact *contact;
	char *bare = strdup(own);
	int err = bare != NULL ? 0 : SG_ERR_NOMEM;

	sg_contacts_end(contacts);
	if (err == 0)
		err = add(contacts, bare, &contact);
	if (err != 0)
		return err;
	contact->sees_us = 1;
	contacts->own = strdup(own);
	return contacts->own != NULL ? 0 : SG_ERR_NOMEM;
}

/* ---- the roster ---- */

int sg_contacts_ask_encode(struct sg_xml **payload)
{
	*payload = sg_xml_new("query", SG_NS_ROSTER);
	return *payload != NULL ? 0 : SG_ERR_NOMEM;
}

static void forget(struct sg_contacts *contacts, const char *bare)
{
	int found;
	size_t at = place(contacts, bare, &found);

	if (!found)
		return;
	contact_clear(&contacts->list[at]);
	contacts->count--;
	memmove(&contacts->list[at], &contacts->list[at + 1],
	    (contacts->count - at) * sizeof(*contacts->list));
}

static int take_item(struct sg_contacts *contacts, const struct sg_xml *item)
{
	const char *jid = sg_xml_attr(item, "jid");
	const char *subscription = sg_xml_attr(item, "subscription");
	char *bare = jid != NULL ? sg_jid_bare(jid) : NULL;
	struct contact *contact;
	int err;

	if (bare == NULL || (contacts->own != NULL && strcmp(bare, contacts->own) == 0)) {
		free(bare);
		return 0;
	}
	if (subscription != NULL && strcmp(subscription, "remove") == 0) {
		forget(contacts, bare);
		free(bare);
		return 0;
	}
	err = add(contacts, bare, &contact);
	if (err != 0)
		return err;
	contact->listed = 1;
	contact->sees_us = subscription != NULL &&
	    (strcmp(subscription, "from") == 0 || strcmp(subscription, "both") == 0);
	return 0;
}

int sg_contacts_read(struct sg_contacts *contacts, const struct sg_xml *query)
{
	const struct sg_xml *item;
	int err = 0;

	if (!sg_xml_is(query, "query", SG_NS_ROSTER))
		return SG_ERR_FORMAT;
	for (item = sg_xml_first(query); err == 0 && item != NULL; item = sg_xml_next(item)) {
		if (sg_xml_is(item, "item", SG_NS_ROSTER))
			err = take_item(contacts, item);
	}
	if (err == SG_ERR_LIMIT) {
		sg_log(SG_LOG_WARN, "the roster is cut after %d contacts", SG_CONTACTS_MAX);
		return 0;
	}
	return err;
}

/* ---- presences ---- */

static struct contact *find(const struct sg_contacts *contacts, const char *jid)
{
	char *bare = sg_jid_bare(jid);
	int found = 0;
	size_t at = bare != NULL ? place(contacts, bare, &found) : 0;

	free(bare);
	return found ? &contacts->list[at] : NULL;
}

static void resource_add(struct contact *contact, const char *jid)
{
	char *copy;

	if (contact->resource_count == SG_CONTACT_RESOURCES_MAX)
		return;
	if (contact->resources == NULL)
		contact->resources = calloc(SG_CONTACT_RESOURCES_MAX, sizeof(*contact->resources));
	copy = contact->resources != NULL ? strdup(jid) : NULL;
	if (copy != NULL)
		contact->resources[contact->resource_count++] = copy;
}

void sg_contacts_presence(struct sg_contacts *contacts, const char *from, const char *type)
{
	struct contact *contact =
	    from != NULL && strlen(from) <= JID_MAX && strchr(from, '/') != NULL
	    ? find(contacts, from)
	    : NULL;
	size_t at = 0;

	if (contact == NULL)
		return;
	while (at < contact->resource_count && strcmp(contact->resources[at], from) != 0)
		at++;
	if (type == NULL && at == contact->resource_count) {
		resource_add(contact, from);
	} else if (type != NULL && strcmp(type, "unavailable") == 0 &&
	    at < contact->resource_count) {
		free(contact->resources[at]);
		contact->resources[at] = contact->resources[--contact->resource_count];
	}
}

/* ---- asking ---- */

int sg_contacts_is_own(const struct sg_contacts *contacts, const char *jid)
{
	char *bare = sg_jid_bare(jid);
	int own = bare != NULL && contacts->own != NULL && strcmp(bare, contacts->own) == 0;

	free(bare);
	return own;
}

int sg_contacts_has(const struct sg_contacts *contacts, const char *jid)
{
	const struct contact *contact = find(contacts, jid);

	return contact != NULL && contact->listed;
}

int sg_contacts_sees_us(const struct sg_contacts *contacts, const char *jid)
{
	const struct contact *contact = find(contacts, jid);

	return contact != NULL && contact->sees_us;
}

int sg_contacts_serves_one(const struct sg_contacts *contacts, const char *jid)
{
	if (strchr(jid, '@') != NULL || strchr(jid, '/') != NULL)
		return 0;
	for (size_t i = 0; i < contacts->count; i++) {
		const char *at = strchr(contacts->list[i].bare, '@');

		if (contacts->list[i].sees_us && at != NULL && strcasecmp(at + 1, jid) == 0)
			return 1;
	}
	return 0;
}

char *const *sg_contacts_resources(
    const struct sg_contacts *contacts, const char *bare, size_t *count)
{
	const struct contact *contact = find(contacts, bare);

	*count = contact != NULL ? contact->resource_count : 0;
	return contact != NULL ? contact->resources : NULL;
}
