/*
 * Namespaces in XML 1.0, resolved beside the parser. A parser that does it itself (expat's) ends for good at
 * a prefix that nobody declared, and a stranger can have a server send one: ejabberd 23.01 takes the
 * declarations off a stanza's own tag and passes on the attributes that need them. Here such an element is
 * only told to be one.
 */
#ifndef SG_STROPHE_PREFIXES_H
#define SG_STROPHE_PREFIXES_H

#include <stddef.h>

#define SG_PREFIXES_MAX	   256 /* declarations that are open at a time */
#define SG_PREFIXES_NS_MAX 256 /* bytes of a namespace that attributes are told by */

struct sg_prefixes;

/* NULL without memory. */
struct sg_prefixes *sg_prefixes_new(void);
void sg_prefixes_free(struct sg_prefixes *prefixes);

/* A document begins. */
void sg_prefixes_clear(struct sg_prefixes *prefixes);

/*
 * An element begins, with its name and attributes as they were written. Both become what expat tells of
 * namespaces: the namespace, SG_PARSER_SEPARATOR and the local name, or the local name alone for what is in
 * none; declarations are no attributes. An attribute of a namespace longer than SG_PREFIXES_NS_MAX is told
 * with an empty one. They are valid until the next call.
 *
 * Gives 0 for an element that has no meaning: a prefix is not declared, a name is none, there are more than
 * SG_PREFIXES_MAX declarations, or there is no memory. What can be told of it is told, an element's name that
 * means nothing as it was written; it must end all the same.
 */
int sg_prefixes_start(struct sg_prefixes *prefixes, const char **name, const char ***attrs);

/* The innermost element ends: its name, as at its start. Valid until the next call. */
const char *sg_prefixes_end(struct sg_prefixes *prefixes, const char *name);

#endif
