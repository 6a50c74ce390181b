/*
 * A program's filter in front of libstrophe's XML parser. libstrophe parses whatever a server sends,
 * without limits, and gives no access to its parser, so this part defines five functions of expat in
 * the program itself: the dynamic linker takes them before the library's (tests/regress pins that). A
 * parser that is not libstrophe's passes through unchanged.
 *
 * Newer expat (and Debian's 2.5) waits with a tag that came in pieces until twice as much is there: the
 * end of a stanza could wait for the next one. So that is switched off for each piece that may hold the end
 * of a tag; for others it stays, for without it a long tag in pieces costs the square of its length.
 *
 * Namespaces are resolved here (prefixes.h), for expat would end the stream at a prefix that is not declared. Very
 * long tags are cut short before expat sees them (tags.h), for it keeps what it has of a tag.
 *
 * A stream that ends within a text would leave libstrophe with that text's length: it is made to forget
 * it when it resets its parser.
 *
 * There is one connection in a process that counts, and one filter.
 */
#ifndef SG_STROPHE_PARSER_H
#define SG_STROPHE_PARSER_H

#include <stddef.h>

/* Between namespace and name, as libstrophe expects them of expat. */
#define SG_PARSER_SEPARATOR "\x1f"

/*
 * What the filter is told. It passes on by sg_parser_show_*() what libstrophe may see, and may show
 * more; starts and ends must stay balanced.
 */
struct sg_parser_filter {
	void (*stream)(void); /* one begins: libstrophe has made or reset its parser */
	void (*start)(const char *name, const char **attrs); /* NULL-terminated pairs */
	/* The element that begins next cannot be understood: it has no meaning (prefixes.h), or its tag is not whole
	 * (is_short, tags.h). NULL: it is no XML. */
	void (*doubtful)(int is_short);
	void (*end)(const char *name);
	void (*text)(const char *text, size_t len); /* not terminated; a piece of a run */
	void (*doctype)(void);			    /* NULL: nothing is done about one */
	/* Whether so many, just read, may be parsed; NULL: always. Of what tags.h skips nothing is told. */
	int (*bytes)(size_t len);
	/*
	 * What was read is no XML, or sg_parser_stop() was called. libstrophe is told of no failure,
	 * for it would print its buffer, which has no end: the filter's owner ends the stream. NULL:
	 * libstrophe is told.
	 */
	void (*malformed)(void);
};

/*
 * To be called before the connection is made: the filter (which stays) is put in front of the parser
 * that libstrophe makes next, and of no other.
 */
void sg_parser_expect(const struct sg_parser_filter *filter);

/*
 * Whether that parser was made: without it no connection is safe. libstrophe gives its allocator, by
 * which its parser is known, to the first context of a process only.
 */
int sg_parser_is_attached(void);

/* For the filter's functions only: what libstrophe sees, and the end of parsing. */
void sg_parser_show_start(const char *name, const char **attrs);
void sg_parser_show_end(const char *name);
void sg_parser_show_text(const char *text, size_t len);

/* What is being told of as it was written: a tag (of <a/>, the end is empty), or a piece of text with its
 * references. For start, end and text of the filter only. */
const char *sg_parser_tag(size_t *len);

/* Whether text that was taken out of a stanza can stand in another one: it is well-formed, in UTF-8, and all its
 * prefixes are its own. Anybody may ask. */
int sg_parser_is_whole(const char *text, size_t len);

void sg_parser_stop(void);

#endif
