#include "parser.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "prefixes.h"
#include "tags.h"

static struct {
	const struct sg_parser_filter *filter;
	XML_Parser expat; /* libstrophe's; compared, never used after it is freed */
	/* libstrophe's handlers and their argument */
	XML_StartElementHandler start;
	XML_EndElementHandler end;
	XML_CharacterDataHandler text;
	void *userdata;
	struct sg_prefixes *prefixes;
	struct sg_tags tags;
	unsigned depth; /* of what libstrophe was shown since then */
} parser;

/* ---- the real functions ---- */

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort(); /* the program is linked without expat: it cannot have started */
	return function;
}

static XML_Parser real_create(
    const XML_Char *encoding, const XML_Memory_Handling_Suite *memory, const XML_Char *separator)
{
	static XML_Parser (*function)(
	    const XML_Char *, const XML_Memory_Handling_Suite *, const XML_Char *);

	if (function == NULL)
		*(void **)&function = real("XML_ParserCreate_MM");
	return function(encoding, memory, separator);
}

static XML_Bool real_reset(XML_Parser expat, const XML_Char *encoding)
{
	static XML_Bool (*function)(XML_Parser, const XML_Char *);

	if (function == NULL)
		*(void **)&function = real("XML_ParserReset");
	return function(expat, encoding);
}

static enum XML_Status real_parse(XML_Parser expat, const char *data, int len, int is_final)
{
	static enum XML_Status (*function)(XML_Parser, const char *, int, int);

	if (function == NULL)
		*(void **)&function = real("XML_Parse");
	return function(expat, data, len, is_final);
}

static void real_set_element(
    XML_Parser expat, XML_StartElementHandler start, XML_EndElementHandler end)
{
	static void (*function)(XML_Parser, XML_StartElementHandler, XML_EndElementHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetElementHandler");
	function(expat, start, end);
}

static void real_set_text(XML_Parser expat, XML_CharacterDataHandler text)
{
	static void (*function)(XML_Parser, XML_CharacterDataHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetCharacterDataHandler");
	function(expat, text);
}

/*
 * Whether a tag that is not whole may wait; without that, expat reads it again from its start with each
 * piece. Not every version of expat can do either.
 */
static void may_wait(XML_Parser expat, int may)
{
	static XML_Bool (*function)(XML_Parser, XML_Bool);
	static int looked;

	if (!looked)
		*(void **)&function = dlsym(RTLD_NEXT, "XML_SetReparseDeferralEnabled");
	looked = 1;
	if (function != NULL)
		(void)function(expat, may ? XML_TRUE : XML_FALSE);
}

/* ---- what expat tells goes to the filter ---- */

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	int good = sg_prefixes_start(parser.prefixes, &name, &attrs);
	int is_short = parser.tags.is_short;

	parser.userdata = userdata;
	if ((!good || is_short) && parser.filter->doubtful == NULL) {
		sg_parser_stop();
		return;
	}
	if (!good || is_short)
		parser.filter->doubtful(is_short);
	parser.filter->start(name, attrs);
}

static void on_end(void *userdata, const XML_Char *name)
{
	parser.userdata = userdata;
	parser.filter->end(sg_prefixes_end(parser.prefixes, name));
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	parser.userdata = userdata;
	parser.filter->text(text, (size_t)len);
}

static void on_doctype(void *userdata, const XML_Char *name, const XML_Char *system_id,
    const XML_Char *public_id, int has_internal_subset)
{
	parser.filter->doctype();
}

/* ---- the functions of expat that libstrophe calls ---- */

XML_Parser XML_ParserCreate_MM(
    const XML_Char *encoding, const XML_Memory_Handling_Suite *memory, const XML_Char *separator)
{
	if (memory == NULL || parser.filter == NULL) /* our own code never brings an allocator */
		return real_create(encoding, memory, separator);
	if (parser.prefixes == NULL)
		parser.prefixes = sg_prefixes_new();
	parser.expat = parser.prefixes != NULL ? real_create(encoding, memory, NULL) : NULL;
	return parser.expat;
}

/*
 * libstrophe (0.12) frees the text that it collects at a reset, but keeps its length: the next stream's
 * first text would be put behind that many bytes that nobody ever wrote. A child's start makes it take the
 * text into its stanza and forget the length. It is an unfinished stanza and goes with the reset, so that
 * no handler sees either; the ends, which would balance it, would have it answered.
 */
XML_Bool XML_ParserReset(XML_Parser expat, const XML_Char *encoding)
{
	static const char *no_attributes[] = { NULL };

	if (expat == parser.expat && parser.depth >= 2)
		sg_parser_show_start("end-of-text", no_attributes);
	return real_reset(expat, encoding);
}

/* libstrophe calls this after it made or reset its parser: a stream begins. */
void XML_SetElementHandler(
    XML_Parser expat, XML_StartElementHandler start, XML_EndElementHandler end)
{
	if (expat != parser.expat) {
		real_set_element(expat, start, end);
		return;
	}
	parser.start = start;
	parser.end = end;
	parser.depth = 0;
	sg_prefixes_clear(parser.prefixes);
	parser.tags = (struct sg_tags){ 0 };
	parser.filter->stream();
	real_set_element(expat, on_start, on_end);
	if (parser.filter->doctype != NULL)
		XML_SetStartDoctypeDeclHandler(expat, on_doctype);
}

void XML_SetCharacterDataHandler(XML_Parser expat, XML_CharacterDataHandler text)
{
	if (expat != parser.expat) {
		real_set_text(expat, text);
		return;
	}
	parser.text = text;
	real_set_text(expat, on_text);
}

enum XML_Status XML_Parse(XML_Parser expat, const char *data, int len, int is_final)
{
	enum XML_Status status;
	const char *piece;
	size_t size, left = (size_t)len;

	if (expat != parser.expat)
		return real_parse(expat, data, len, is_final);
	while ((size = sg_tags_next(&parser.tags, &data, &left, &piece)) > 0) {
		if (parser.filter->bytes != NULL && !parser.filter->bytes(size))
			return XML_STATUS_OK;
		/* no tag ends in this piece */
		may_wait(expat, memchr(piece, '>', size) == NULL);
		status = real_parse(expat, piece, (int)size, is_final && left == 0);
		if (status == XML_STATUS_OK)
			continue;
		if (parser.filter->malformed == NULL)
			return status;
		parser.filter->malformed();
		break;
	}
	return XML_STATUS_OK;
}

/* ---- what programs and their filters call ---- */

void sg_parser_expect(const struct sg_parser_filter *filter)
{
	parser.filter = filter;
	parser.expat = NULL;
	parser.start = NULL;
	parser.end = NULL;
	parser.text = NULL;
	parser.userdata = NULL;
	parser.depth = 0;
}

int sg_parser_is_attached(void)
{
	return parser.expat != NULL && parser.start != NULL && parser.text != NULL;
}

void sg_parser_show_start(const char *name, const char **attrs)
{
	parser.depth++;
	parser.start(parser.userdata, name, attrs);
}

void sg_parser_show_end(const char *name)
{
	parser.depth--;
	parser.end(parser.userdata, name);
}

void sg_parser_show_text(const char *text, size_t len)
{
	parser.text(parser.userdata, text, (int)len);
}

const char *sg_parser_tag(size_t *len)
{
	int offset = 0, size = 0, count = XML_GetCurrentByteCount(parser.expat);
	const char *context = XML_GetInputContext(parser.expat, &offset, &size);

	*len = 0;
	if (context == NULL || count <= 0 || count > size - offset)
		return "";
	*len = (size_t)count;
	return context + offset;
}

int sg_parser_is_whole(const char *text, size_t len)
{
	static const char before[] = "<x xmlns='jabber:client'>", after[] = "</x>";
	XML_Parser expat = XML_ParserCreateNS("UTF-8", SG_PARSER_SEPARATOR[0]);
	int whole;

	if (expat == NULL)
		return 0;
	whole = real_parse(expat, before, sizeof(before) - 1, 0) == XML_STATUS_OK &&
	    (len == 0 || real_parse(expat, text, (int)len, 0) == XML_STATUS_OK) &&
	    real_parse(expat, after, sizeof(after) - 1, 1) == XML_STATUS_OK;
	XML_ParserFree(expat);
	return whole;
}

void sg_parser_stop(void)
{
	XML_StopParser(parser.expat, XML_FALSE);
}
