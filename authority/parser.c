#include "parser.h"

#include <dlfcn.h>
#include <stdlib.h>

#include <expat.h>

static struct {
	XML_StartElementHandler start;
	XML_EndElementHandler end;
	XML_CharacterDataHandler text;
	unsigned depth;
	unsigned left_out; /* depth of the outermost element that is left out; 0: none */
	unsigned children[SG_PARSER_DEPTH_MAX + 1];
} parser;

static void *real(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (function == NULL)
		abort(); /* the program is linked without expat: it cannot have started */
	return function;
}

/* Whether one more child may be shown; stanzas, the children of the stream, are not counted. */
static int has_room(unsigned depth)
{
	return depth < 2 ||
	    (depth < SG_PARSER_DEPTH_MAX && parser.children[depth]++ < SG_PARSER_CHILDREN_MAX);
}

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	if (parser.left_out == 0 && !has_room(parser.depth))
		parser.left_out = parser.depth + 1;
	parser.depth++;
	if (parser.left_out != 0)
		return;
	parser.children[parser.depth] = 0;
	parser.start(userdata, name, attrs);
}

static void on_end(void *userdata, const XML_Char *name)
{
	unsigned depth = parser.depth--;

	if (parser.left_out == 0)
		parser.end(userdata, name);
	else if (parser.left_out == depth)
		parser.left_out = 0;
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	if (parser.left_out == 0)
		parser.text(userdata, text, len);
}

/* Not every version has it. */
static void parse_at_once(XML_Parser expat)
{
	XML_Bool (*function)(XML_Parser, XML_Bool);

	*(void **)&function = dlsym(RTLD_NEXT, "XML_SetReparseDeferralEnabled");
	if (function != NULL)
		(void)function(expat, XML_FALSE);
}

/* ---- the functions of expat that libstrophe calls, after it made or reset its parser ---- */

void XML_SetElementHandler(
    XML_Parser expat, XML_StartElementHandler start, XML_EndElementHandler end)
{
	static void (*function)(XML_Parser, XML_StartElementHandler, XML_EndElementHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetElementHandler");
	parser.start = start;
	parser.end = end;
	parser.depth = 0;
	parser.left_out = 0;
	function(expat, on_start, on_end);
	parse_at_once(expat);
}

void XML_SetCharacterDataHandler(XML_Parser expat, XML_CharacterDataHandler text)
{
	static void (*function)(XML_Parser, XML_CharacterDataHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetCharacterDataHandler");
	parser.text = text;
	function(expat, on_text);
}

int sg_parser_is_attached(void)
{
	return parser.start != NULL;
}
