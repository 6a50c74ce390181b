/*
 * What libstrophe's XML parser may see of a server. libstrophe parses whatever it gets, without limits,
 * and chooses among the SASL mechanisms it is told of, PLAIN included. The filter, which strophe/parser.h
 * puts in front of it,
 *  - ends a stream with a document type, or with a stanza over the limits below that comes before the
 *    account is online or belongs to the login. Later ones anybody could have sent: libstrophe is shown
 *    no more of such a stanza than fits, and with its end, report.cut tells its handlers that it is not
 *    whole. It may go on for ever, and is read past. A stanza whose own tag is too long for tags.h is shown
 *    to nobody unless it says at its beginning what it is and whose. Only what no stranger can make a sane server send still ends the stream: a stanza nested
 *    deeper than SG_FILTER_CUT_DEPTH_MAX, or a name over SG_FILTER_ONLINE_GAP_MAX;
 *  - once the account is online, shows libstrophe the heads of stanzas alone, for its trees cost the square of
 *    what some stanzas have: what is in an iq or a message is gathered by gather.h, of a presence nothing is;
 *  - shows libstrophe one SASL mechanism at most, only once TLS is up and verified: EXTERNAL with a
 *    certificate, else the strongest SCRAM. So there is no fallback, and no second try;
 *  - shows nothing of what follows <proceed/> or <success/> in the old stream (bytes that came
 *    before TLS must not count after it);
 *  - lets a login by password succeed only when the server proves that it knows the password too, with
 *    scram.h;
 *  - keeps libstrophe from input it would crash on;
 *  - remembers what the server said, for the report of a failed login.
 *
 * There is one connection in a process, and one filter.
 */
#ifndef SG_XMPP_FILTER_H
#define SG_XMPP_FILTER_H

#include <stdint.h>

#include "error.h"
#include "parser.h"
#include "tags.h"
#include "xml.h"

/* Looser than those of struct sg_xml. Of a stanza of which libstrophe sees the head alone: those of bytes and nodes. */
#define SG_FILTER_DEPTH_MAX	 1000
#define SG_FILTER_BYTES_MAX	 (16u << 20)
#define SG_FILTER_NODES_MAX	 (2 * SG_XML_NODES_MAX)
#define SG_FILTER_STEPS_MAX	 (100ull << 20) /* libstrophe walks all siblings for each one it adds */
#define SG_FILTER_ATTRS_MAX	 256
#define SG_FILTER_TEXT_MAX	 (2u << 20)   /* of one run of text */
#define SG_FILTER_ATTR_BYTES_MAX (512u << 10) /* of one element's attributes, unescaped */
#define SG_FILTER_GAP_MAX	 (512u << 10) /* bytes without any event, e.g. a long tag */
#define SG_FILTER_ONLINE_GAP_MAX                                                                   \
	(4 * SG_TAGS_MAX) /* the same once online: a name, for more of a tag never comes */
#define SG_FILTER_HEAD_MAX (16u << 10) /* of each attribute of a stanza that is cut */
/* Of a stanza that is cut. Its elements take expat's memory as long as they are open. */
#define SG_FILTER_CUT_DEPTH_MAX 100000
#define SG_FILTER_WORK_MAX	(1ull << 34) /* libstrophe measures a text again for each piece */

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
	int cut; /* the stanza that libstrophe has in hand was over the limits: not all is there */
	int stopped; /* SG_ERR_LIMIT, SG_ERR_FORMAT or SG_ERR_AUTH: the stream must be ended */
	const char *stopped_why;
};

/* For sg_parser_expect(). */
extern const struct sg_parser_filter sg_filter;

/* Forgets the last connection. */
void sg_filter_begin(enum sg_filter_login login);

/* TLS is up, and the server's certificate is verified. */
void sg_filter_secured(void);

/* The login is over, and a resource bound: what comes now may be a stranger's. */
void sg_filter_online(void);

/* What was seen since sg_filter_begin(); it changes as the stream goes on. */
const struct sg_filter_report *sg_filter_report(void);

#endif
