/*
 * What libstrophe's XML parser may see. libstrophe parses whatever a server sends, without limits,
 * and chooses among the SASL mechanisms it is told of, PLAIN included. It gives no access to its
 * parser, so this file defines three functions of expat in the program itself: the dynamic linker
 * takes them before the library's (tests/regress pins that). A parser that is not libstrophe's
 * passes through unchanged.
 *
 * The filter
 *  - ends a stream with a document type, or with a stanza over the limits below;
 *  - shows libstrophe one SASL mechanism at most, only once TLS is up and verified: EXTERNAL with a
 *    certificate, else the strongest SCRAM. So there is no fallback, and no second try;
 *  - shows nothing of what follows <proceed/> or <success/> in the old stream (bytes that came
 *    before TLS must not count after it);
 *  - keeps libstrophe from input it would crash on, and expat from waiting with what it has;
 *  - remembers what the server said, for the report of a failed login.
 *
 * There is one connection in a process, and one filter.
 */
#ifndef SG_XMPP_FILTER_H
#define SG_XMPP_FILTER_H

#include <stdint.h>

#include "error.h"
#include "xml.h"

/* Looser than those of struct sg_xml, so that a contact's oversized item costs its answer only. */
#define SG_FILTER_DEPTH_MAX    1000
#define SG_FILTER_BYTES_MAX    (16u << 20)
#define SG_FILTER_NODES_MAX    (2 * SG_XML_NODES_MAX)
#define SG_FILTER_CHILDREN_MAX 25000 /* libstrophe walks all siblings for each one it adds */
#define SG_FILTER_ATTRS_MAX    256
#define SG_FILTER_TEXT_MAX     (2u << 20)   /* of one run of text */
#define SG_FILTER_GAP_MAX      (512u << 10) /* bytes without any event, e.g. a long tag */
#define SG_FILTER_WORK_MAX     (1ull << 34) /* libstrophe measures a text again for each piece */

enum sg_filter_login {
	SG_FILTER_SCRAM,
	SG_FILTER_EXTERNAL,
};

struct sg_filter_report {
	uint64_t fed;		 /* bytes of this connection */
	int features;		 /* <stream:features/> came */
	int starttls;		 /* ... with starttls, before TLS */
	int mechanisms;		 /* a list of mechanisms came over TLS */
	const char *mechanism;	 /* what libstrophe was shown of it, or NULL */
	char offered[256];	 /* its names, as far as they fit */
	int authenticated;	 /* <success/> */
	char sasl_condition[64]; /* of <failure/>, or "" */
	char sasl_text[256];
	char stream_condition[64]; /* of <stream:error/>, or "" */
	char stream_text[256];
	int stopped; /* SG_ERR_LIMIT, SG_ERR_FORMAT or SG_ERR_AUTH: the stream must be ended */
	const char *stopped_why;
};

/* Forgets the last connection. */
void sg_filter_begin(enum sg_filter_login login);

/* TLS is up, and the server's certificate is verified. */
void sg_filter_secured(void);

/*
 * Whether libstrophe's parser was made through the filter since sg_filter_detach(): without it no
 * connection is safe. libstrophe gives its allocator, by which its parser is known, to the first
 * context of a process only.
 */
void sg_filter_detach(void);
int sg_filter_is_attached(void);

const struct sg_filter_report *sg_filter_report(void);

#endif
