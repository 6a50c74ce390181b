/*
 * What libstrophe's XML parser sees of the server's stream.
 *
 * libstrophe parses without limits, walks all siblings for each child it adds, and gives no access to
 * its parser, so this file defines two functions of expat in the program itself: the dynamic linker
 * takes them before the library's.
 *
 *  - Newer expat (and Debian's 2.5) waits with a tag that came in pieces until twice as much is
 *    there: the end of a request could wait for the next one. That is switched off.
 *  - What is below SG_PARSER_DEPTH_MAX in a stanza, and what comes in one element after
 *    SG_PARSER_CHILDREN_MAX others, is left out. Both are far beyond any request that is answered with more than an
 *    error, so an account that sends more costs the others nothing.
 */
#ifndef SG_AUTHORITY_PARSER_H
#define SG_AUTHORITY_PARSER_H

#define SG_PARSER_DEPTH_MAX                                                                        \
	64 /* the stream's element is 1, a stanza 2; more than a tree may have */
#define SG_PARSER_CHILDREN_MAX 256

/* Whether a parser was made through this file; without it the authority must not go online. */
int sg_parser_is_attached(void);

#endif
