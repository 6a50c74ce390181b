#include "filter.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>

#include "text.h"

/* libstrophe separates namespace and name by this. */
#define IN(ns, name) ns "\x1f" name
#define NS_STREAMS   "http://etherx.jabber.org/streams"
#define NS_SASL	     "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_TLS	     "urn:ietf:params:xml:ns:xmpp-tls"
#define NS_BIND	     "urn:ietf:params:xml:ns:xmpp-bind"
#define NS_ERRORS    "urn:ietf:params:xml:ns:xmpp-streams"

#define SCRAM_ITERATIONS_MIN 4096 /* RFC 5802 5.1 */
#define SCRAM_ITERATIONS_MAX 1000000
#define SCRAM_SALT_MAX	     160 /* characters of Base64; libstrophe aborts over 124 bytes */

enum kind {
	KIND_OTHER,
	KIND_FEATURES,
	KIND_STREAM_ERROR,
	KIND_PROCEED,
	KIND_CHALLENGE,
	KIND_SUCCESS,
	KIND_FAILURE,
};

static struct {
	XML_Parser parser; /* libstrophe's; compared, never used after it is freed */
	XML_StartElementHandler start;
	XML_EndElementHandler end;
	XML_CharacterDataHandler text;

	enum sg_filter_login login;
	int secured;
	int muted; /* the old stream is over */
	struct sg_filter_report report;

	/* the stanza at hand; the stream's own element is depth 1, a stanza depth 2 */
	enum kind kind;
	unsigned depth;
	unsigned children[SG_FILTER_DEPTH_MAX + 2];
	unsigned nodes;
	uint64_t bytes, gap, work;
	size_t run; /* of text */
	int in_mechanisms;
	int bind, element_in_error, challenges;

	char captured[4096]; /* text of the element that is looked at */
	size_t captured_len;
} filter;

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

static enum XML_Status real_parse(XML_Parser parser, const char *data, int len, int is_final)
{
	static enum XML_Status (*function)(XML_Parser, const char *, int, int);

	if (function == NULL)
		*(void **)&function = real("XML_Parse");
	return function(parser, data, len, is_final);
}

static void real_set_element(
    XML_Parser parser, XML_StartElementHandler start, XML_EndElementHandler end)
{
	static void (*function)(XML_Parser, XML_StartElementHandler, XML_EndElementHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetElementHandler");
	function(parser, start, end);
}

static void real_set_text(XML_Parser parser, XML_CharacterDataHandler text)
{
	static void (*function)(XML_Parser, XML_CharacterDataHandler);

	if (function == NULL)
		*(void **)&function = real("XML_SetCharacterDataHandler");
	function(parser, text);
}

/*
 * Newer expat (and Debian's 2.5) waits with a token that came in pieces until twice as much is there,
 * so that the end of a stanza could wait for the next one. SG_FILTER_GAP_MAX bounds the cost that
 * this is meant against. Not all versions have it.
 */
static void parse_at_once(XML_Parser parser)
{
	XML_Bool (*function)(XML_Parser, XML_Bool);

	*(void **)&function = dlsym(RTLD_NEXT, "XML_SetReparseDeferralEnabled");
	if (function != NULL)
		(void)function(parser, XML_FALSE);
}

/* ---- what is remembered ---- */

static void stop(int code, const char *why)
{
	if (filter.report.stopped != 0)
		return;
	filter.report.stopped = code;
	filter.report.stopped_why = why;
	XML_StopParser(filter.parser, XML_FALSE);
}

static void capture_begin(void)
{
	filter.captured_len = 0;
	filter.captured[0] = '\0';
}

static void capture(const char *text, size_t len)
{
	if (len > sizeof(filter.captured) - 1 - filter.captured_len)
		len = sizeof(filter.captured) - 1 - filter.captured_len;
	memcpy(filter.captured + filter.captured_len, text, len);
	filter.captured_len += len;
	filter.captured[filter.captured_len] = '\0';
}

/* Copies text, cut to the room at a character's end; nothing when it is not a line of text. */
static void keep_text(char *out, size_t room, const char *text)
{
	size_t len = strnlen(text, room - 1);

	while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
		len--;
	memcpy(out, text, len);
	out[len] = '\0';
	if (!sg_utf8_is_text(out, room))
		out[0] = '\0';
}

/* A defined condition is a name of small letters and hyphens; the name comes with its namespace. */
static void keep_condition(char *out, size_t room, const char *name)
{
	const char *local = strchr(name, '\x1f');

	local = local != NULL ? local + 1 : name;
	if (strlen(local) < room && strspn(local, "abcdefghijklmnopqrstuvwxyz-") == strlen(local))
		memcpy(out, local, strlen(local) + 1);
	else
		memcpy(out, "undefined-condition", sizeof("undefined-condition"));
}

/* ---- SASL ---- */

/* SCRAM's strongest first. libstrophe has no channel binding, so no -PLUS. */
static const char *const scrams[] = { "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1" };

static int scram_rank(const char *name)
{
	for (unsigned i = 0; name != NULL && i < sizeof(scrams) / sizeof(*scrams); i++)
		if (strcmp(scrams[i], name) == 0)
			return (int)(sizeof(scrams) / sizeof(*scrams) - i);
	return 0;
}

static void mechanism_seen(const char *name)
{
	struct sg_filter_report *report = &filter.report;
	size_t have = strlen(report->offered), len = strlen(name);
	int rank = scram_rank(name);

	if (len > 0 && len <= 20 && have + len + 2 < sizeof(report->offered) &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == len) {
		if (have > 0)
			report->offered[have++] = ' ';
		memcpy(report->offered + have, name, len + 1);
	}
	if (filter.login == SG_FILTER_EXTERNAL && strcmp(name, "EXTERNAL") == 0)
		report->mechanism = "EXTERNAL";
	if (filter.login == SG_FILTER_SCRAM && rank > scram_rank(report->mechanism))
		report->mechanism = scrams[sizeof(scrams) / sizeof(*scrams) - (unsigned)rank];
}

/* In place of the server's list: the one mechanism, if there is one. */
static void mechanisms_show(void *userdata)
{
	static const XML_Char *no_attributes[] = { NULL };
	const char *name = filter.report.mechanism;

	filter.report.mechanisms = 1;
	if (name == NULL)
		return;
	filter.start(userdata, IN(NS_SASL, "mechanism"), no_attributes);
	filter.text(userdata, name, (int)strlen(name));
	filter.end(userdata, IN(NS_SASL, "mechanism"));
}

/*
 * A first challenge of SCRAM that libstrophe can take: it aborts on a long salt, and computes as
 * many rounds as it is told. NULL, or what is wrong.
 */
static const char *challenge_why(const char *base64)
{
	struct sg_blob text;
	const char *why = "a malformed SCRAM challenge";
	char *copy = NULL, *rest, *part;
	long rounds = 0;
	size_t salt = 0;

	if (sg_base64_decode(base64, sizeof(filter.captured), &text) != 0)
		return why;
	copy = strndup((const char *)text.data, text.len);
	for (part = copy != NULL ? strtok_r(copy, ",", &rest) : NULL; part != NULL;
	     part = strtok_r(NULL, ",", &rest)) {
		if (strncmp(part, "s=", 2) == 0)
			salt = strlen(part + 2);
		if (strncmp(part, "i=", 2) == 0)
			rounds = strtol(part + 2, NULL, 10);
	}
	if (salt > 0 && salt <= SCRAM_SALT_MAX)
		why = rounds < SCRAM_ITERATIONS_MIN ? "SCRAM with too few rounds"
		    : rounds > SCRAM_ITERATIONS_MAX ? "SCRAM with too many rounds"
						    : NULL;
	free(copy);
	sg_blob_clear(&text);
	return why;
}

/* ---- elements ---- */

static enum kind stanza_kind(const char *name)
{
	static const struct {
		const char *name;
		enum kind kind;
	} kinds[] = {
		{ IN(NS_STREAMS, "features"), KIND_FEATURES },
		{ IN(NS_STREAMS, "error"), KIND_STREAM_ERROR },
		{ IN(NS_TLS, "proceed"), KIND_PROCEED },
		{ IN(NS_SASL, "challenge"), KIND_CHALLENGE },
		{ IN(NS_SASL, "success"), KIND_SUCCESS },
		{ IN(NS_SASL, "failure"), KIND_FAILURE },
	};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
	return KIND_OTHER;
}

static void stanza_begin(const char *name)
{
	filter.kind = stanza_kind(name);
	filter.nodes = 0;
	filter.bytes = 0;
	filter.work = 0;
	filter.bind = 0;
	filter.element_in_error = 0;
	capture_begin();
}

/* A node below the open element; siblings of stanzas are not counted. */
static void count_node(unsigned depth, unsigned weight)
{
	filter.nodes += weight;
	if (filter.nodes > SG_FILTER_NODES_MAX)
		stop(SG_ERR_LIMIT, "a stanza of too many parts");
	if (depth < 2 || depth > SG_FILTER_DEPTH_MAX)
		return;
	if (++filter.children[depth] > SG_FILTER_CHILDREN_MAX)
		stop(SG_ERR_LIMIT, "an element of too many parts");
}

static void count_element(const XML_Char **attrs)
{
	size_t count = 0;

	while (attrs != NULL && attrs[2 * count] != NULL)
		count++;
	if (count > SG_FILTER_ATTRS_MAX)
		stop(SG_ERR_LIMIT, "an element of too many attributes");
	if (filter.depth > SG_FILTER_DEPTH_MAX)
		stop(SG_ERR_LIMIT, "a stanza that is nested too deeply");
	else
		filter.children[filter.depth] = 0;
	count_node(filter.depth - 1, 1 + (unsigned)count);
}

/* The children of a stanza that the filter looks at. */
static void child_begin(const char *name)
{
	capture_begin();
	if (filter.kind == KIND_FEATURES) {
		if (!filter.secured && strcmp(name, IN(NS_TLS, "starttls")) == 0)
			filter.report.starttls = 1;
		if (strcmp(name, IN(NS_BIND, "bind")) == 0)
			filter.bind = 1;
		if (strcmp(name, IN(NS_SASL, "mechanisms")) == 0)
			filter.in_mechanisms = 1;
	}
	if (filter.kind == KIND_FAILURE && strcmp(name, IN(NS_SASL, "text")) != 0)
		keep_condition(
		    filter.report.sasl_condition, sizeof(filter.report.sasl_condition), name);
	if (filter.kind == KIND_STREAM_ERROR) {
		filter.element_in_error = 1;
		if (strncmp(name, IN(NS_ERRORS, ""), sizeof(IN(NS_ERRORS, "")) - 1) == 0 &&
		    strcmp(name, IN(NS_ERRORS, "text")) != 0)
			keep_condition(filter.report.stream_condition,
			    sizeof(filter.report.stream_condition), name);
	}
}

static void child_end(const char *name, void *userdata)
{
	if (filter.in_mechanisms) {
		filter.in_mechanisms = 0;
		if (filter.secured && !filter.report.mechanisms)
			mechanisms_show(userdata);
	}
	if (filter.kind == KIND_FAILURE && strcmp(name, IN(NS_SASL, "text")) == 0)
		keep_text(
		    filter.report.sasl_text, sizeof(filter.report.sasl_text), filter.captured);
	if (filter.kind == KIND_STREAM_ERROR && strcmp(name, IN(NS_ERRORS, "text")) == 0)
		keep_text(
		    filter.report.stream_text, sizeof(filter.report.stream_text), filter.captured);
}

/* Just before libstrophe sees the end of a stanza and acts on it. */
static void stanza_end(void *userdata)
{
	static const XML_Char *no_attributes[] = { NULL };
	const char *why;

	switch (filter.kind) {
	case KIND_FEATURES:
		filter.report.features = 1;
		if (filter.secured && !filter.report.authenticated)
			filter.report.mechanisms = 1; /* if none came, then an empty list */
		if (filter.report.authenticated && !filter.bind)
			stop(SG_ERR_AUTH, "the server offers no resource binding");
		break;
	case KIND_STREAM_ERROR: /* libstrophe crashes on one without children */
		if (filter.report.stream_condition[0] == '\0')
			keep_condition(filter.report.stream_condition,
			    sizeof(filter.report.stream_condition), "undefined-condition");
		if (!filter.element_in_error) {
			filter.start(userdata, IN(NS_ERRORS, "undefined-condition"), no_attributes);
			filter.end(userdata, IN(NS_ERRORS, "undefined-condition"));
		}
		break;
	case KIND_CHALLENGE:
		why = filter.challenges++ > 0 ? "a second SCRAM challenge"
					      : challenge_why(filter.captured);
		if (filter.login == SG_FILTER_SCRAM && why != NULL)
			stop(SG_ERR_AUTH, why);
		break;
	case KIND_FAILURE:
		if (filter.report.sasl_condition[0] == '\0')
			keep_condition(filter.report.sasl_condition,
			    sizeof(filter.report.sasl_condition), "undefined-condition");
		break;
	case KIND_SUCCESS:
		filter.report.authenticated = filter.report.mechanism != NULL;
		break;
	case KIND_PROCEED:
	case KIND_OTHER:
		break;
	}
}

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	filter.run = 0;
	filter.depth++;
	if (filter.depth == 2)
		stanza_begin(name);
	if (filter.depth >= 2)
		count_element(attrs);
	if (filter.report.stopped != 0)
		return;
	if (filter.depth == 3)
		child_begin(name);
	if (filter.in_mechanisms && filter.depth > 3) {
		if (filter.depth == 4)
			capture_begin();
		return;
	}
	filter.start(userdata, name, attrs);
}

static void on_end(void *userdata, const XML_Char *name)
{
	enum kind kind = filter.kind;

	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	filter.run = 0;
	if (filter.depth == 3)
		child_end(name, userdata);
	if (filter.depth == 2)
		stanza_end(userdata);
	if (filter.report.stopped != 0)
		return;
	if (filter.in_mechanisms && filter.depth > 3) {
		if (filter.depth == 4 && filter.secured &&
		    strcmp(name, IN(NS_SASL, "mechanism")) == 0)
			mechanism_seen(filter.captured);
		filter.depth--;
		return;
	}
	if (--filter.depth == 1) /* set first: what follows may reset the parser's state */
		filter.muted = kind == KIND_PROCEED || kind == KIND_SUCCESS;
	filter.end(userdata, name);
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	if (filter.depth < 2) /* white space that keeps the connection alive */
		return;
	if (filter.run == 0)
		count_node(filter.depth, 1);
	filter.run += (size_t)len;
	filter.work += filter.run;
	if (filter.run > SG_FILTER_TEXT_MAX || filter.work > SG_FILTER_WORK_MAX)
		stop(SG_ERR_LIMIT, "a text that is too long");
	if (filter.report.stopped != 0)
		return;
	if (filter.depth <= 4)
		capture(text, (size_t)len);
	if (filter.in_mechanisms && filter.depth > 3)
		return;
	filter.text(userdata, text, len);
}

static void on_doctype(void *userdata, const XML_Char *name, const XML_Char *system_id,
    const XML_Char *public_id, int has_internal_subset)
{
	stop(SG_ERR_FORMAT, "a document type declaration");
}

/* ---- the functions of expat that libstrophe calls ---- */

XML_Parser XML_ParserCreate_MM(
    const XML_Char *encoding, const XML_Memory_Handling_Suite *memory, const XML_Char *separator)
{
	XML_Parser parser = real_create(encoding, memory, separator);

	if (memory != NULL) /* our own code never brings an allocator */
		filter.parser = parser;
	return parser;
}

/* libstrophe calls this after it made or reset its parser: a stream begins. */
void XML_SetElementHandler(
    XML_Parser parser, XML_StartElementHandler start, XML_EndElementHandler end)
{
	if (parser != filter.parser) {
		real_set_element(parser, start, end);
		return;
	}
	filter.start = start;
	filter.end = end;
	filter.muted = 0;
	filter.depth = 0;
	filter.in_mechanisms = 0;
	filter.gap = filter.bytes = 0;
	real_set_element(parser, on_start, on_end);
	XML_SetStartDoctypeDeclHandler(parser, on_doctype);
	parse_at_once(parser);
}

void XML_SetCharacterDataHandler(XML_Parser parser, XML_CharacterDataHandler text)
{
	if (parser == filter.parser) {
		filter.text = text;
		text = on_text;
	}
	real_set_text(parser, text);
}

/* A failure is reported by the filter, and the stream ended by its owner: libstrophe would print
 * the buffer, which has no end. */
enum XML_Status XML_Parse(XML_Parser parser, const char *data, int len, int is_final)
{
	if (parser != filter.parser)
		return real_parse(parser, data, len, is_final);
	filter.report.fed += (uint64_t)len;
	if (filter.muted || filter.report.stopped != 0)
		return XML_STATUS_OK;
	filter.bytes += (uint64_t)len;
	filter.gap += (uint64_t)len;
	if (filter.depth >= 2 && filter.bytes > SG_FILTER_BYTES_MAX)
		stop(SG_ERR_LIMIT, "a stanza that is too large");
	else if (filter.gap > SG_FILTER_GAP_MAX)
		stop(SG_ERR_LIMIT, "a tag that is too large");
	else if (real_parse(parser, data, len, is_final) != XML_STATUS_OK)
		stop(SG_ERR_FORMAT, "malformed XML");
	return XML_STATUS_OK;
}

/* ---- what the stream calls ---- */

void sg_filter_begin(enum sg_filter_login login)
{
	filter.login = login;
	filter.secured = 0;
	filter.challenges = 0;
	filter.report = (struct sg_filter_report){ 0 };
}

void sg_filter_secured(void)
{
	filter.secured = 1;
}

void sg_filter_detach(void)
{
	filter.parser = NULL;
	filter.start = NULL;
	filter.end = NULL;
	filter.text = NULL;
}

int sg_filter_is_attached(void)
{
	return filter.parser != NULL && filter.start != NULL && filter.text != NULL;
}

const struct sg_filter_report *sg_filter_report(void)
{
	return &filter.report;
}
