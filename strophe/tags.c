#include "tags.h"

#include <string.h>

static void enter(struct sg_tags *tags, enum sg_tags_state state)
{
	tags->state = state;
	tags->last = '\0';
}

static void enter_aside(struct sg_tags *tags, char closer, unsigned needed)
{
	enter(tags, SG_TAGS_ASIDE);
	tags->closer = closer;
	tags->closers = 0;
	tags->needed = needed;
}

/* After '<'. */
static void opened(struct sg_tags *tags, char c)
{
	switch (c) {
	case '/':
		enter(tags, SG_TAGS_END);
		break;
	case '!':
		enter(tags, SG_TAGS_MARKED);
		break;
	case '?':
		enter_aside(tags, '?', 1);
		break;
	default:
		enter(tags, SG_TAGS_TAG);
	}
}

/* After '<!'. */
static void marked(struct sg_tags *tags, char c)
{
	if (c == '-' || c == '[')
		enter_aside(tags, c == '-' ? '-' : ']', 2);
	else
		enter(tags, SG_TAGS_END);
}

static void in_aside(struct sg_tags *tags, char c)
{
	if (c == '>' && tags->closers >= tags->needed)
		enter(tags, SG_TAGS_TEXT);
	else
		tags->closers = c == tags->closer ? tags->closers + 1 : 0;
}

static void in_tag(struct sg_tags *tags, char c)
{
	if (c == '>') {
		tags->state = SG_TAGS_TEXT; /* the last one stays: '/' for <a/> */
		return;
	}
	tags->last = c;
	if (c == '"' || c == '\'') {
		tags->state = SG_TAGS_VALUE;
		tags->quote = c;
		tags->in_reference = 0;
	}
}

static void in_value(struct sg_tags *tags, char c)
{
	if (c == tags->quote) {
		tags->state = SG_TAGS_TAG;
		tags->is_skipping |= tags->len > SG_TAGS_MAX;
	} else if (c == '&') {
		tags->in_reference = 1;
	} else if (c == ';') {
		tags->in_reference = 0;
	}
}

static void step(struct sg_tags *tags, char c)
{
	tags->len++;
	switch (tags->state) {
	case SG_TAGS_TEXT:
		if (c != '<')
			break;
		enter(tags, SG_TAGS_OPENED);
		tags->len = 1;
		break;
	case SG_TAGS_OPENED:
		opened(tags, c);
		break;
	case SG_TAGS_MARKED:
		marked(tags, c);
		break;
	case SG_TAGS_TAG:
		in_tag(tags, c);
		break;
	case SG_TAGS_VALUE:
		in_value(tags, c);
		break;
	case SG_TAGS_END:
		if (c == '>')
			enter(tags, SG_TAGS_TEXT);
		break;
	case SG_TAGS_ASIDE:
		in_aside(tags, c);
	}
}

/* Whether the value, which is far too long, may end before this character: in no reference, and between two
 * characters of UTF-8. */
static int may_end(const struct sg_tags *tags, char c)
{
	return tags->state == SG_TAGS_VALUE && tags->len > 2 * SG_TAGS_MAX && !tags->in_reference &&
	    ((unsigned char)c & 0xc0) != 0x80;
}

/* The characters that are passed on as they are. */
static size_t pass(struct sg_tags *tags, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && !tags->is_skipping && !may_end(tags, data[at])) {
		const char *next =
		    tags->state == SG_TAGS_TEXT ? memchr(data + at, '<', len - at) : data + at;

		if (next == NULL)
			return len;
		at = (size_t)(next - data);
		step(tags, data[at++]);
	}
	return at;
}

/* Up to the end of the tag, of which '>' or '/>' is given alone. */
static size_t skip(struct sg_tags *tags, const char *data, size_t len)
{
	size_t at = 0;

	while (at < len && tags->state != SG_TAGS_TEXT)
		step(tags, data[at++]);
	if (tags->state != SG_TAGS_TEXT)
		return at;
	tags->is_skipping = 0;
	tags->is_short = 1;
	memcpy(tags->ending, tags->last == '/' ? "/>" : ">\0", 3);
	return at;
}

size_t sg_tags_next(struct sg_tags *tags, const char **data, size_t *len, const char **piece)
{
	size_t done;

	tags->is_short = 0;
	tags->ending[0] = '\0';
	*piece = *data;
	if (*len == 0)
		return 0;
	if (!tags->is_skipping) {
		done = pass(tags, *data, *len);
		*data += done;
		*len -= done;
		if (done > 0)
			return done;
		/* in a value that is far too long */
		tags->ending[0] = tags->quote;
		tags->ending[1] = '\0';
		tags->is_skipping = 1;
		*piece = tags->ending;
		return 1;
	}
	done = skip(tags, *data, *len);
	*data += done;
	*len -= done;
	*piece = tags->ending;
	return strlen(tags->ending);
}
