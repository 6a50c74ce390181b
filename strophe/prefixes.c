#include "prefixes.h"

#include <stdlib.h>
#include <string.h>

#include "parser.h"

#define NS_XML "http://www.w3.org/XML/1998/namespace"

struct declaration {
	unsigned depth; /* of the element that makes it */
	char *prefix;	/* "" for the namespace of names without one */
	/* The namespace and the separator, with room behind them for a local name, so that a long one is not
	 * copied for each element that is in it. */
	char *name;
	size_t ns_len, room;
};

struct sg_prefixes {
	struct declaration open[SG_PREFIXES_MAX];
	size_t count;
	unsigned depth;
	const char **attrs; /* the last element's */
	char *text;	    /* their names */
};

static const char *no_attributes[] = { NULL };

struct sg_prefixes *sg_prefixes_new(void)
{
	return calloc(1, sizeof(struct sg_prefixes));
}

static void attrs_clear(struct sg_prefixes *prefixes)
{
	free(prefixes->attrs);
	free(prefixes->text);
	prefixes->attrs = NULL;
	prefixes->text = NULL;
}

/* The declarations of what is deeper end. */
static void close_to(struct sg_prefixes *prefixes, unsigned depth)
{
	while (prefixes->count > 0 && prefixes->open[prefixes->count - 1].depth > depth) {
		prefixes->count--;
		free(prefixes->open[prefixes->count].prefix);
		free(prefixes->open[prefixes->count].name);
	}
}

void sg_prefixes_clear(struct sg_prefixes *prefixes)
{
	close_to(prefixes, 0);
	attrs_clear(prefixes);
	prefixes->depth = 0;
}

void sg_prefixes_free(struct sg_prefixes *prefixes)
{
	if (prefixes == NULL)
		return;
	sg_prefixes_clear(prefixes);
	free(prefixes);
}

/* ---- declarations ---- */

/* The prefix that an attribute declares; NULL when it is none that does. */
static const char *declared_by(const char *attr)
{
	if (strncmp(attr, "xmlns", 5) != 0 || (attr[5] != '\0' && attr[5] != ':'))
		return NULL;
	return attr[5] == ':' ? attr + 6 : attr + 5;
}

static int declare(struct sg_prefixes *prefixes, const char *prefix, const char *ns)
{
	struct declaration *made = &prefixes->open[prefixes->count];
	size_t len = strlen(ns);

	if (prefixes->count == SG_PREFIXES_MAX)
		return 0;
	made->depth = prefixes->depth;
	made->ns_len = len;
	made->room = len + 64;
	made->prefix = strdup(prefix);
	made->name = malloc(made->room);
	if (made->prefix == NULL || made->name == NULL) {
		free(made->prefix);
		free(made->name);
		return 0;
	}
	memcpy(made->name, ns, len);
	made->name[len] = SG_PARSER_SEPARATOR[0];
	prefixes->count++;
	return 1;
}

static int declare_all(struct sg_prefixes *prefixes, const char **attrs)
{
	int good = 1;

	for (; attrs[0] != NULL; attrs += 2) {
		const char *prefix = declared_by(attrs[0]);

		if (prefix == NULL || strcmp(prefix, "xml") == 0) /* that cannot be another's */
			continue;
		good &= strcmp(attrs[0], "xmlns:") != 0 && declare(prefixes, prefix, attrs[1]);
	}
	return good;
}

/* The innermost declaration; NULL when there is none, or when it takes the prefix back. */
static struct declaration *find(struct sg_prefixes *prefixes, const char *prefix, size_t len)
{
	for (size_t i = prefixes->count; i-- > 0;) {
		struct declaration *open = &prefixes->open[i];

		if (strncmp(open->prefix, prefix, len) == 0 && open->prefix[len] == '\0')
			return open->ns_len > 0 ? open : NULL;
	}
	return NULL;
}

/* Splits a name. NULL for one that is none in a document with namespaces; else its local part, and how long
 * its prefix is. */
static const char *local_of(const char *name, size_t *prefix_len)
{
	const char *colon = strchr(name, ':');

	*prefix_len = colon != NULL ? (size_t)(colon - name) : 0;
	if (colon == NULL)
		return name;
	return colon != name && colon[1] != '\0' && strchr(colon + 1, ':') == NULL ? colon + 1
										   : NULL;
}

/* ---- names ---- */

/* NULL for one without meaning. */
static const char *element_name(struct sg_prefixes *prefixes, const char *name)
{
	size_t prefix_len, len;
	const char *local = local_of(name, &prefix_len);
	struct declaration *in;
	char *grown;

	if (local == NULL)
		return NULL;
	if (prefix_len == 3 && memcmp(name, "xml", 3) == 0)
		return NULL; /* XML has attributes of its own, and no elements */
	in = find(prefixes, name, prefix_len);
	if (in == NULL)
		return prefix_len == 0 ? local : NULL;
	len = strlen(local);
	if (in->ns_len + 1 + len + 1 > in->room) {
		grown = realloc(in->name, in->ns_len + 1 + len + 1);
		if (grown == NULL)
			return NULL;
		in->name = grown;
		in->room = in->ns_len + 1 + len + 1;
	}
	memcpy(in->name + in->ns_len + 1, local, len + 1);
	return in->name;
}

/* An attribute's namespace and local name; 0 when it has no meaning. Without a prefix it is in none: NULL. */
static int attr_parts(struct sg_prefixes *prefixes, const char *name, const char **ns,
    size_t *ns_len, const char **local)
{
	size_t prefix_len;
	const struct declaration *in;

	*ns = NULL;
	*ns_len = 0;
	*local = local_of(name, &prefix_len);
	if (*local == NULL || prefix_len == 0)
		return *local != NULL;
	if (prefix_len == 3 && memcmp(name, "xml", 3) == 0) {
		*ns = NS_XML;
		*ns_len = sizeof(NS_XML) - 1;
		return 1;
	}
	in = find(prefixes, name, prefix_len);
	if (in == NULL)
		return 0;
	*ns = in->name;
	*ns_len = in->ns_len <= SG_PREFIXES_NS_MAX ? in->ns_len : 0;
	return 1;
}

/* How many have a meaning besides declarations, and the room for their names; 0 when others have none. */
static int attrs_measure(
    struct sg_prefixes *prefixes, const char **attrs, size_t *count, size_t *room)
{
	const char *ns, *local;
	size_t ns_len;
	int good = 1;

	for (*count = *room = 0; attrs[0] != NULL; attrs += 2) {
		if (declared_by(attrs[0]) != NULL)
			continue;
		if (!attr_parts(prefixes, attrs[0], &ns, &ns_len, &local)) {
			good = 0;
			continue;
		}
		++*count;
		if (ns != NULL)
			*room += ns_len + 1 + strlen(local) + 1;
	}
	return good;
}

static void attrs_fill(struct sg_prefixes *prefixes, const char **attrs)
{
	const char **told = prefixes->attrs, *ns, *local;
	char *text = prefixes->text;
	size_t ns_len;

	for (; attrs[0] != NULL; attrs += 2) {
		if (declared_by(attrs[0]) != NULL ||
		    !attr_parts(prefixes, attrs[0], &ns, &ns_len, &local))
			continue;
		told[0] = local;
		if (ns != NULL) {
			told[0] = text;
			memcpy(text, ns, ns_len);
			text[ns_len] = SG_PARSER_SEPARATOR[0];
			memcpy(text + ns_len + 1, local, strlen(local) + 1);
			text += ns_len + 1 + strlen(local) + 1;
		}
		told[1] = attrs[1];
		told += 2;
	}
	*told = NULL;
}

static int attrs_tell(struct sg_prefixes *prefixes, const char **attrs)
{
	size_t count, room;
	int good = attrs_measure(prefixes, attrs, &count, &room);

	prefixes->attrs = malloc((2 * count + 1) * sizeof(*prefixes->attrs));
	prefixes->text = malloc(room + 1);
	if (prefixes->attrs == NULL || prefixes->text == NULL) {
		attrs_clear(prefixes);
		return 0;
	}
	attrs_fill(prefixes, attrs);
	return good;
}

int sg_prefixes_start(struct sg_prefixes *prefixes, const char **name, const char ***attrs)
{
	const char *joined;
	int good;

	attrs_clear(prefixes);
	close_to(prefixes, prefixes->depth);
	prefixes->depth++;
	good = declare_all(prefixes, *attrs);
	good &= attrs_tell(prefixes, *attrs);
	joined = element_name(prefixes, *name);
	if (joined != NULL)
		*name = joined;
	*attrs = prefixes->attrs != NULL ? prefixes->attrs : no_attributes;
	return good && joined != NULL;
}

const char *sg_prefixes_end(struct sg_prefixes *prefixes, const char *name)
{
	const char *joined;

	close_to(prefixes, prefixes->depth);
	joined = element_name(prefixes, name);
	prefixes
	    ->depth--; /* the name stands in a declaration's memory: those end with the next call */
	return joined != NULL ? joined : name;
}
