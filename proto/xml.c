#include "xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "text.h"

/* Between namespace and local name, as expat joins them: no XML document can hold it. */
#define NS_SEPARATOR '\x01'

/* Bound to the prefix xml alone: an element of it could not be written with xmlns. */
#define NS_XML "http://www.w3.org/XML/1998/namespace"

struct attr {
	struct attr *next;
	char *name;
	char *value;
};

/* An element, or a run of text (name is NULL). Neighbouring runs are always joined. */
struct sg_xml {
	struct sg_xml *parent;
	struct sg_xml *next;
	struct sg_xml *first;
	struct sg_xml *last;
	char *name;
	char *ns; /* NULL: the parent's */
	struct attr *attrs;
	struct attr *attrs_last;
	size_t attr_count;
	struct sg_buf text;
	size_t nodes;  /* in this subtree, itself included */
	size_t height; /* elements on the longest way down, itself included */
};

static void free_attrs(struct attr *attr)
{
	struct attr *next;

	for (; attr != NULL; attr = next) {
		next = attr->next;
		free(attr->name);
		free(attr->value);
		free(attr);
	}
}

/* Recursion ends at SG_XML_DEPTH_MAX, which link_child() keeps. */
void sg_xml_free(struct sg_xml *element)
{
	struct sg_xml *child, *next;

	if (element == NULL)
		return;
	for (child = element->first; child != NULL; child = next) {
		next = child->next;
		sg_xml_free(child);
	}
	free_attrs(element->attrs);
	sg_buf_clear(&element->text);
	free(element->name);
	free(element->ns);
	free(element);
}

struct sg_xml *sg_xml_new(const char *name, const char *ns)
{
	struct sg_xml *element = calloc(1, sizeof(*element));

	if (element == NULL)
		return NULL;
	element->nodes = 1;
	element->height = 1;
	element->name = strdup(name);
	element->ns = ns != NULL ? strdup(ns) : NULL;
	if (element->name == NULL || (ns != NULL && element->ns == NULL)) {
		sg_xml_free(element);
		return NULL;
	}
	return element;
}

/* The one place where trees grow: keeps both bounds, on the whole tree above the parent. */
static int link_child(struct sg_xml *parent, struct sg_xml *child)
{
	size_t depth = 0, nodes = 0, height = child->height;
	struct sg_xml *at;

	for (at = parent; at != NULL; at = at->parent) {
		depth++;
		nodes = at->nodes;
	}
	if (depth + height > SG_XML_DEPTH_MAX || nodes + child->nodes > SG_XML_NODES_MAX)
		return SG_ERR_LIMIT;
	child->parent = parent;
	if (parent->last != NULL)
		parent->last->next = child;
	else
		parent->first = child;
	parent->last = child;
	for (at = parent; at != NULL; at = at->parent) {
		at->nodes += child->nodes;
		height++;
		if (at->height < height)
			at->height = height;
	}
	return 0;
}

int sg_xml_add(struct sg_xml *parent, struct sg_xml *child)
{
	int err = link_child(parent, child);

	if (err != 0)
		sg_xml_free(child);
	return err;
}

/* The characters of XML 1.0 (2.2, Char). */
static int is_text(const char *text, size_t len)
{
	uint32_t code;
	size_t step;

	for (size_t at = 0; at < len; at += step) {
		step = sg_utf8_char(text + at, len - at, &code);
		if (step == 0 || code == 0xfffe || code == 0xffff)
			return 0;
		if (code < 0x20 && code != '\t' && code != '\n' && code != '\r')
			return 0;
	}
	return 1;
}

static int append_text(struct sg_xml *parent, const char *text, size_t len)
{
	struct sg_xml *run = parent->last;
	int err;

	if (len == 0)
		return 0;
	if (run == NULL || run->name != NULL) {
		run = calloc(1, sizeof(*run));
		if (run == NULL)
			return SG_ERR_NOMEM;
		run->nodes = 1;
		err = sg_xml_add(parent, run);
		if (err != 0)
			return err;
	}
	sg_buf_put(&run->text, text, len);
	return run->text.err;
}

int sg_xml_add_text(struct sg_xml *parent, const char *text, size_t len)
{
	if (!is_text(text, len))
		return SG_ERR_FORMAT;
	return append_text(parent, text, len);
}

static struct attr *find_attr(const struct sg_xml *element, const char *name)
{
	struct attr *attr = element->attrs;

	while (attr != NULL && strcmp(attr->name, name) != 0)
		attr = attr->next;
	return attr;
}

/* Appends; the name is new to the element. */
static int add_attr(struct sg_xml *element, const char *name, const char *value)
{
	struct attr *attr;

	if (element->attr_count == SG_XML_ATTRS_MAX)
		return SG_ERR_LIMIT;
	attr = calloc(1, sizeof(*attr));
	if (attr == NULL)
		return SG_ERR_NOMEM;
	attr->name = strdup(name);
	attr->value = strdup(value);
	if (attr->name == NULL || attr->value == NULL) {
		free_attrs(attr);
		return SG_ERR_NOMEM;
	}
	if (element->attrs_last != NULL)
		element->attrs_last->next = attr;
	else
		element->attrs = attr;
	element->attrs_last = attr;
	element->attr_count++;
	return 0;
}

int sg_xml_set_attr(struct sg_xml *element, const char *name, const char *value)
{
	struct attr *attr = find_attr(element, name);
	char *copy;

	if (!is_text(value, strlen(value)))
		return SG_ERR_FORMAT;
	if (attr == NULL)
		return add_attr(element, name, value);
	copy = strdup(value);
	if (copy == NULL)
		return SG_ERR_NOMEM;
	free(attr->value);
	attr->value = copy;
	return 0;
}

int sg_xml_put(struct sg_xml *parent, const char *name, const char *text, struct sg_xml **child)
{
	struct sg_xml *made;
	int err = 0;

	if (child != NULL)
		*child = NULL;
	made = sg_xml_new(name, NULL);
	if (made == NULL)
		return SG_ERR_NOMEM;
	if (text != NULL)
		err = sg_xml_add_text(made, text, strlen(text));
	if (err != 0) {
		sg_xml_free(made);
		return err;
	}
	err = sg_xml_add(parent, made);
	if (err == 0 && child != NULL)
		*child = made;
	return err;
}

int sg_xml_put_base64(
    struct sg_xml *parent, const char *name, const struct sg_blob *data, struct sg_xml **child)
{
	char *text = sg_base64_encode(data->data, data->len);
	int err;

	if (child != NULL)
		*child = NULL;
	err = text != NULL ? sg_xml_put(parent, name, text, child) : SG_ERR_NOMEM;
	free(text);
	return err;
}

int sg_xml_hand_over(int err, struct sg_xml *root, struct sg_xml **payload)
{
	*payload = NULL;
	if (err != 0)
		sg_xml_free(root);
	else
		*payload = root;
	return err;
}

const char *sg_xml_name(const struct sg_xml *element)
{
	return element->name;
}

const char *sg_xml_ns(const struct sg_xml *element)
{
	while (element != NULL && element->ns == NULL)
		element = element->parent;
	return element != NULL ? element->ns : "";
}

const char *sg_xml_attr(const struct sg_xml *element, const char *name)
{
	const struct attr *attr = find_attr(element, name);

	return attr != NULL ? attr->value : NULL;
}

int sg_xml_is(const struct sg_xml *element, const char *name, const char *ns)
{
	return strcmp(element->name, name) == 0 && strcmp(sg_xml_ns(element), ns) == 0;
}

static const struct sg_xml *skip_text(const struct sg_xml *node)
{
	while (node != NULL && node->name == NULL)
		node = node->next;
	return node;
}

const struct sg_xml *sg_xml_first(const struct sg_xml *element)
{
	return skip_text(element->first);
}

const struct sg_xml *sg_xml_next(const struct sg_xml *element)
{
	return skip_text(element->next);
}

const struct sg_xml *sg_xml_child(const struct sg_xml *element, const char *name, const char *ns)
{
	const struct sg_xml *child = sg_xml_first(element);

	if (ns == NULL)
		ns = sg_xml_ns(element);
	while (child != NULL && !sg_xml_is(child, name, ns))
		child = sg_xml_next(child);
	return child;
}

int sg_xml_only(
    const struct sg_xml *element, const char *name, const char *ns, const struct sg_xml **child)
{
	const struct sg_xml *at;

	if (ns == NULL)
		ns = sg_xml_ns(element);
	*child = NULL;
	for (at = sg_xml_first(element); at != NULL; at = sg_xml_next(at)) {
		if (!sg_xml_is(at, name, ns))
			continue;
		if (*child != NULL) {
			*child = NULL;
			return SG_ERR_FORMAT;
		}
		*child = at;
	}
	return 0;
}

char *sg_xml_text(const struct sg_xml *element)
{
	struct sg_buf text = { 0 };

	for (const struct sg_xml *node = element->first; node != NULL; node = node->next) {
		if (node->name == NULL)
			sg_buf_put(&text, node->text.data, node->text.len);
	}
	if (text.len == 0 && text.err == 0)
		return strdup("");
	return sg_buf_steal(&text, NULL);
}

char *sg_xml_trimmed_text(const struct sg_xml *element)
{
	static const char space[] = " \t\r\n"; /* XML 1.0 2.3 */
	char *text = sg_xml_text(element);
	size_t from, len;

	if (text == NULL)
		return NULL;
	from = strspn(text, space);
	len = strlen(text + from);
	while (len > 0 && strchr(space, text[from + len - 1]) != NULL)
		len--;
	memmove(text, text + from, len);
	text[len] = '\0';
	return text;
}

int sg_xml_base64(const struct sg_xml *element, size_t max, struct sg_blob *data)
{
	char *text = sg_xml_text(element);
	int err;

	*data = (struct sg_blob){ 0 };
	if (text == NULL)
		return SG_ERR_NOMEM;
	err = sg_base64_decode(text, max, data);
	free(text);
	return err;
}

/* ---- writing ---- */

/* What stands for the character; NULL: itself. White space that a parser would change is kept by
 * a reference (XML 1.0, 2.11 and 3.3.3). */
static const char *escape(char c, int in_attr)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&apos;";
	case '\r':
		return "&#13;";
	case '\n':
		return in_attr ? "&#10;" : NULL;
	case '\t':
		return in_attr ? "&#9;" : NULL;
	default:
		return NULL;
	}
}

/* Those that escape() may have something for: a table, for nobody can guess the next character of Base64. */
static const unsigned char is_special[256] = {
	['&'] = 1,
	['<'] = 1,
	['>'] = 1,
	['"'] = 1,
	['\''] = 1,
	['\r'] = 1,
	['\n'] = 1,
	['\t'] = 1,
};

static void write_escaped(const char *text, size_t len, int in_attr, struct sg_buf *out)
{
	const char *as;
	size_t from = 0;

	for (size_t at = 0; at < len; at++) {
		if (!is_special[(unsigned char)text[at]])
			continue;
		as = escape(text[at], in_attr);
		if (as == NULL)
			continue;
		sg_buf_put(out, text + from, at - from);
		sg_buf_put_str(out, as);
		from = at + 1;
	}
	sg_buf_put(out, text + from, len - from);
}

static void write_attr(const char *name, const char *value, struct sg_buf *out)
{
	sg_buf_put_str(out, " ");
	sg_buf_put_str(out, name);
	sg_buf_put_str(out, "='");
	write_escaped(value, strlen(value), 1, out);
	sg_buf_put_str(out, "'");
}

static void write_element(
    const struct sg_xml *element, const char *ns, const char *outer_ns, struct sg_buf *out)
{
	sg_buf_put_str(out, "<");
	sg_buf_put_str(out, element->name);
	if (strcmp(ns, outer_ns) != 0)
		write_attr("xmlns", ns, out);
	for (const struct attr *attr = element->attrs; attr != NULL; attr = attr->next)
		write_attr(attr->name, attr->value, out);
	if (element->first == NULL) {
		sg_buf_put_str(out, "/>");
		return;
	}
	sg_buf_put_str(out, ">");
	for (const struct sg_xml *node = element->first; node != NULL; node = node->next) {
		if (node->name != NULL)
			write_element(node, node->ns != NULL ? node->ns : ns, ns, out);
		else
			write_escaped((const char *)node->text.data, node->text.len, 0, out);
	}
	sg_buf_put_str(out, "</");
	sg_buf_put_str(out, element->name);
	sg_buf_put_str(out, ">");
}

/* What is written stands alone, also when the element stands below a parent here. */
void sg_xml_write(const struct sg_xml *element, struct sg_buf *out)
{
	write_element(element, sg_xml_ns(element), "", out);
}

char *sg_xml_to_string(const struct sg_xml *element)
{
	struct sg_buf out = { 0 };

	sg_xml_write(element, &out);
	return sg_buf_steal(&out, NULL);
}

int sg_xml_check_length(const struct sg_xml *element, size_t max)
{
	struct sg_buf text = { 0 };
	int err;

	sg_xml_write(element, &text);
	err = text.err != 0 ? text.err : text.len > max ? SG_ERR_LIMIT : 0;
	sg_buf_clear(&text);
	return err;
}

/* ---- parsing ---- */

struct parse {
	XML_Parser expat;
	struct sg_xml *root;
	struct sg_xml *at; /* the open element */
	int err;
};

static void stop(struct parse *parse, int err)
{
	if (parse->err == 0)
		parse->err = err;
	XML_StopParser(parse->expat, XML_FALSE);
}

/* Takes "namespace SEPARATOR name" apart, as a new element. */
static struct sg_xml *new_element(const struct parse *parse, const char *joined)
{
	const char *separator = strchr(joined, NS_SEPARATOR);
	const char *outer = parse->at != NULL ? sg_xml_ns(parse->at) : "";
	struct sg_xml *element;
	char *ns;

	ns = separator != NULL ? strndup(joined, (size_t)(separator - joined)) : strdup("");
	if (ns == NULL)
		return NULL;
	element =
	    sg_xml_new(separator != NULL ? separator + 1 : joined, strcmp(ns, outer) ? ns : NULL);
	free(ns);
	return element;
}

static void on_start(void *data, const XML_Char *name, const XML_Char **attrs)
{
	struct parse *parse = data;
	struct sg_xml *element = new_element(parse, name);
	int err = element != NULL ? 0 : SG_ERR_NOMEM;

	if (element != NULL && element->ns != NULL && strcmp(element->ns, NS_XML) == 0)
		err = SG_ERR_FORMAT;
	/* expat has refused an attribute that stands twice */
	for (; err == 0 && attrs[0] != NULL; attrs += 2) {
		if (strchr(attrs[0], NS_SEPARATOR) == NULL)
			err = add_attr(element, attrs[0], attrs[1]);
	}
	if (err != 0) {
		sg_xml_free(element);
		stop(parse, err);
		return;
	}
	if (parse->at != NULL)
		err = sg_xml_add(parse->at, element);
	else
		parse->root = element;
	if (err != 0)
		stop(parse, err);
	else
		parse->at = element;
}

static void on_end(void *data, const XML_Char *name)
{
	struct parse *parse = data;

	/* An empty element's end still comes after its start stopped the parser. */
	if (parse->err == 0)
		parse->at = parse->at->parent;
}

static void on_text(void *data, const XML_Char *text, int len)
{
	struct parse *parse = data;
	int err = append_text(parse->at, text, (size_t)len);

	if (err != 0)
		stop(parse, err);
}

static void on_namespace(void *data, const XML_Char *prefix, const XML_Char *uri)
{
	if (uri != NULL && strlen(uri) > SG_XML_NS_MAX)
		stop(data, SG_ERR_LIMIT);
}

/* RFC 6120 11.1 forbids both; entities of a DTD are how small documents become large ones. */
static void on_doctype(
    void *data, const XML_Char *name, const XML_Char *system, const XML_Char *public, int internal)
{
	stop(data, SG_ERR_FORMAT);
}

static void on_instruction(void *data, const XML_Char *target, const XML_Char *text)
{
	stop(data, SG_ERR_FORMAT);
}

/* Expat takes UTF-16 by its byte order mark, whatever encoding it was made with; its NUL bytes tell it
 * without one. */
static int is_utf16(const char *text, size_t len)
{
	if (len >= 2 && (memcmp(text, "\xfe\xff", 2) == 0 || memcmp(text, "\xff\xfe", 2) == 0))
		return 1;
	return len > 0 && memchr(text, '\0', len) != NULL;
}

int sg_xml_parse(const char *text, size_t len, struct sg_xml **root)
{
	struct parse parse = { 0 };

	*root = NULL;
	if (len > SG_XML_BYTES_MAX)
		return SG_ERR_LIMIT;
	if (is_utf16(text, len))
		return SG_ERR_FORMAT;
	parse.expat = XML_ParserCreateNS("UTF-8", NS_SEPARATOR);
	if (parse.expat == NULL)
		return SG_ERR_NOMEM;
	XML_SetUserData(parse.expat, &parse);
	XML_SetElementHandler(parse.expat, on_start, on_end);
	XML_SetCharacterDataHandler(parse.expat, on_text);
	XML_SetStartNamespaceDeclHandler(parse.expat, on_namespace);
	XML_SetStartDoctypeDeclHandler(parse.expat, on_doctype);
	XML_SetProcessingInstructionHandler(parse.expat, on_instruction);
	if (XML_Parse(parse.expat, text, (int)len, XML_TRUE) != XML_STATUS_OK && parse.err == 0)
		parse.err = XML_GetErrorCode(parse.expat) == XML_ERROR_NO_MEMORY ? SG_ERR_NOMEM
										 : SG_ERR_FORMAT;
	XML_ParserFree(parse.expat);
	if (parse.err != 0) {
		sg_xml_free(parse.root);
		return parse.err;
	}
	*root = parse.root;
	return 0;
}
