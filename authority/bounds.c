#include "bounds.h"

#include <string.h>

#define IN(ns, name) ns SG_PARSER_SEPARATOR name
#define NS_STREAMS   "http://etherx.jabber.org/streams"
#define NS_ERRORS    "urn:ietf:params:xml:ns:xmpp-streams"

static const char *no_attributes[] = { NULL };

static struct {
	int failed;
	int cut;      /* the stanza at hand */
	int doubtful; /* the element that begins next */
	int is_short; /* ... because its tag is not whole */
	unsigned depth;
	unsigned hidden_from; /* depth of the outermost element that is left out; 0: none */
	unsigned children[SG_BOUNDS_DEPTH_MAX + 1];
	unsigned attributes; /* of the stanza, so far */
	size_t bytes;	     /* ... of names and attributes */
} bounds;

static void fail(void)
{
	bounds.failed = 1;
	sg_parser_stop();
}

/* Whether one more child may be shown; stanzas, the children of the stream, are not counted. */
static int has_room(unsigned depth)
{
	return depth < 2 ||
	    (depth < SG_BOUNDS_DEPTH_MAX && bounds.children[depth]++ < SG_BOUNDS_CHILDREN_MAX);
}

static size_t size_of(const char *name, const char **attrs)
{
	size_t size = strlen(name);

	for (; *attrs != NULL; attrs++)
		size += strlen(*attrs);
	return size;
}

/* The element with as many of its attributes as there is room for. */
static void show_start(const char *name, const char **attrs)
{
	const char *some[2 * SG_BOUNDS_ATTRS_MAX + 1];
	size_t room = SG_BOUNDS_STANZA_ATTRS_MAX - bounds.attributes, count = 0;

	if (room > SG_BOUNDS_ATTRS_MAX)
		room = SG_BOUNDS_ATTRS_MAX;
	for (; attrs[2 * count] != NULL && count < room; count++) {
		some[2 * count] = attrs[2 * count];
		some[2 * count + 1] = attrs[2 * count + 1];
	}
	some[2 * count] = NULL;
	bounds.attributes += (unsigned)count;
	bounds.cut |= attrs[2 * count] != NULL;
	sg_parser_show_start(name, some);
}

static void on_stream(void)
{
	bounds.failed = 0;
	bounds.cut = 0;
	bounds.doubtful = 0;
	bounds.is_short = 0;
	bounds.depth = 0;
	bounds.hidden_from = 0;
	bounds.attributes = 0;
	bounds.bytes = 0;
}

static void on_doubtful(int is_short)
{
	bounds.doubtful = 1;
	bounds.is_short = is_short;
}

/* Whether the element may be shown, below those that are. A stanza whose own tag is not whole may lack its
 * sender: nobody is shown it. */
static int is_in_bounds(const char *name, const char **attrs, int is_short)
{
	if (bounds.depth == 0)
		return 1;
	bounds.bytes += size_of(name, attrs);
	return has_room(bounds.depth) && bounds.bytes <= SG_BOUNDS_BYTES_MAX &&
	    !(is_short && bounds.depth == 1);
}

static void on_start(const char *name, const char **attrs)
{
	int doubtful = bounds.doubtful, is_short = bounds.is_short;

	bounds.doubtful = bounds.is_short = 0;
	if (bounds.failed)
		return;
	if (bounds.depth == 0 && strcmp(name, IN(NS_STREAMS, "stream")) != 0) {
		fail();
		return;
	}
	if (bounds.depth == 1) {
		bounds.cut = 0;
		bounds.attributes = 0;
		bounds.bytes = 0;
	}
	bounds.cut |= doubtful;
	if (bounds.hidden_from == 0 && !is_in_bounds(name, attrs, is_short)) {
		bounds.hidden_from = bounds.depth + 1;
		bounds.cut = 1;
	}
	bounds.depth++;
	if (bounds.hidden_from != 0)
		return;
	bounds.children[bounds.depth] = 0;
	show_start(name, attrs);
}

static void on_end(const char *name)
{
	unsigned depth = bounds.depth;

	if (bounds.failed)
		return;
	bounds.depth--;
	if (bounds.hidden_from == 0) {
		/* libstrophe crashes on a stream error without a child */
		if (depth == 2 && bounds.children[depth] == 0 &&
		    strcmp(name, IN(NS_STREAMS, "error")) == 0) {
			sg_parser_show_start(IN(NS_ERRORS, "undefined-condition"), no_attributes);
			sg_parser_show_end(IN(NS_ERRORS, "undefined-condition"));
		}
		sg_parser_show_end(name);
	} else if (bounds.hidden_from == depth) {
		bounds.hidden_from = 0;
	}
}

static void on_text(const char *text, size_t len)
{
	if (!bounds.failed && bounds.hidden_from == 0)
		sg_parser_show_text(text, len);
}

static int on_bytes(size_t len)
{
	return !bounds.failed;
}

static void on_malformed(void)
{
	bounds.failed = 1;
}

const struct sg_parser_filter sg_bounds = {
	.stream = on_stream,
	.start = on_start,
	.doubtful = on_doubtful,
	.end = on_end,
	.text = on_text,
	.doctype = fail,
	.bytes = on_bytes,
	.malformed = on_malformed,
};

int sg_bounds_failed(void)
{
	return bounds.failed;
}

int sg_bounds_cut(void)
{
	return bounds.cut;
}
