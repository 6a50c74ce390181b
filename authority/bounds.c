#include "bounds.h"

static struct {
	unsigned depth;
	unsigned left_out; /* depth of the outermost element that is left out; 0: none */
	unsigned children[SG_BOUNDS_DEPTH_MAX + 1];
} bounds;

/* Whether one more child may be shown; stanzas, the children of the stream, are not counted. */
static int has_room(unsigned depth)
{
	return depth < 2 ||
	    (depth < SG_BOUNDS_DEPTH_MAX && bounds.children[depth]++ < SG_BOUNDS_CHILDREN_MAX);
}

static void on_stream(void)
{
	bounds.depth = 0;
	bounds.left_out = 0;
}

static void on_start(const char *name, const char **attrs)
{
	if (bounds.left_out == 0 && !has_room(bounds.depth))
		bounds.left_out = bounds.depth + 1;
	bounds.depth++;
	if (bounds.left_out != 0)
		return;
	bounds.children[bounds.depth] = 0;
	sg_parser_show_start(name, attrs);
}

static void on_end(const char *name)
{
	unsigned depth = bounds.depth--;

	if (bounds.left_out == 0)
		sg_parser_show_end(name);
	else if (bounds.left_out == depth)
		bounds.left_out = 0;
}

static void on_text(const char *text, size_t len)
{
	if (bounds.left_out == 0)
		sg_parser_show_text(text, len);
}

const struct sg_parser_filter sg_bounds = {
	.stream = on_stream,
	.start = on_start,
	.end = on_end,
	.text = on_text,
};
