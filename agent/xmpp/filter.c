#include "filter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "gather.h"
#include "log.h"
#include "scram.h"
#include "text.h"

#define IN(ns, name) ns SG_PARSER_SEPARATOR name
#define NS_STREAMS   "http://etherx.jabber.org/streams"
#define NS_SASL	     "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_TLS	     "urn:ietf:params:xml:ns:xmpp-tls"
#define NS_BIND	     "urn:ietf:params:xml:ns:xmpp-bind"
#define NS_ERRORS    "urn:ietf:params:xml:ns:xmpp-streams"

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
	enum sg_filter_login login;
	int secured;
	int online;
	int muted; /* the old stream is over */
	struct sg_filter_report report;

	/* the stanza at hand; the stream's own element is depth 1, a stanza depth 2 */
	enum kind kind;
	unsigned depth;
	unsigned shown; /* the depth that libstrophe knows of, once the stanza is cut */
	int headed;	/* libstrophe is shown its head alone */
	int gathered;	/* ... and who wants the rest has it gathered */
	int doubtful;	/* the element that begins next */
	int is_short;	/* ... because its tag is not whole */
	unsigned children[SG_FILTER_DEPTH_MAX + 2];
	unsigned nodes;
	uint64_t bytes, gap, work, steps;
	size_t run; /* of text */
	int in_mechanisms;
	int bind, element_in_error, element_in_answer, challenges;

	char captured[4096]; /* text of the element that is looked at */
	size_t captured_len;
} filter;

/* ---- what is remembered ---- */

static void stop(int code, const char *why)
{
	if (filter.report.stopped != 0)
		return;
	filter.report.stopped = code;
	filter.report.stopped_why = why;
	sg_parser_stop();
}

/*
 * The stanza at hand is over a limit: that is its sender's doing, and costs this stanza only, unless it
 * can only be the server's. shown: how deep libstrophe is in it.
 */
static void cut(unsigned shown, const char *why)
{
	if (!filter.online || filter.kind != KIND_OTHER) {
		stop(SG_ERR_LIMIT, why);
	} else if (!filter.report.cut && filter.report.stopped == 0) {
		sg_log(SG_LOG_WARN, "refused: %s", why);
		filter.report.cut = 1;
		filter.shown = filter.headed && shown > 2 ? 2 : shown;
		sg_gather_clear();
	}
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

/* An element's name without its namespace. */
static const char *local_name(const char *name)
{
	const char *separator = strchr(name, SG_PARSER_SEPARATOR[0]);

	return separator != NULL ? separator + 1 : name;
}

/* The name of an element that should be a defined condition. */
static void keep_condition(char *out, size_t room, const char *name)
{
	const char *local = local_name(name);

	snprintf(out, room, "%s", sg_condition_is_name(local) ? local : "undefined-condition");
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
static void mechanisms_show(void)
{
	static const char *no_attributes[] = { NULL };
	const char *name = filter.report.mechanism;

	filter.report.mechanisms = 1;
	if (name == NULL)
		return;
	sg_parser_show_start(IN(NS_SASL, "mechanism"), no_attributes);
	sg_parser_show_text(name, strlen(name));
	sg_parser_show_end(IN(NS_SASL, "mechanism"));
}

/*
 * A text that libstrophe would see differently must not be judged: it skips elements, and knows no cut.
 * NULL, or what is wrong.
 */
static const char *answer_why(void)
{
	if (filter.element_in_answer)
		return "an element inside an answer to the login";
	if (filter.captured_len == sizeof(filter.captured) - 1)
		return "an answer to the login that is too long";
	return NULL;
}

static void challenge_seen(void)
{
	const char *why = answer_why();

	if (filter.login != SG_FILTER_SCRAM)
		return;
	if (why == NULL)
		why = filter.challenges++ > 0
		    ? "a second SCRAM challenge"
		    : sg_scram_challenge(filter.report.mechanism, filter.captured);
	if (why != NULL)
		stop(SG_ERR_AUTH, why);
}

/* By SCRAM the server must prove that it knows the password; by certificate, TLS has shown enough. */
static void success_seen(void)
{
	const char *why = answer_why();

	if (why == NULL && filter.login == SG_FILTER_SCRAM)
		why = sg_scram_success(filter.captured);
	if (why != NULL)
		stop(SG_ERR_AUTH, why);
	else
		filter.report.authenticated = filter.report.mechanism != NULL;
}

/* ---- elements ---- */

/*
 * libstrophe takes a stanza for one of a namespace when any child of it is in that, so a stanza with one
 * of these names and another namespace would be acted on unseen: it ends the stream.
 */
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
		{ IN(NS_TLS, "failure"), KIND_OTHER },
	};
	const char *local = local_name(name);
	int is_disguised = 0;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(name, kinds[i].name) == 0)
			return kinds[i].kind;
		is_disguised |= strcmp(local, local_name(kinds[i].name)) == 0;
	}
	if (is_disguised)
		stop(SG_ERR_FORMAT, "a stanza of the login in another namespace");
	return KIND_OTHER;
}

/* Whose children anybody reads: of a presence, nobody does. */
static int is_gathered(const char *name)
{
	return strcmp(name, IN(SG_NS_CLIENT, "iq")) == 0 ||
	    strcmp(name, IN(SG_NS_CLIENT, "message")) == 0;
}

static void stanza_begin(const char *name)
{
	filter.kind = stanza_kind(name);
	filter.headed = filter.online && filter.kind == KIND_OTHER;
	filter.gathered = filter.headed && is_gathered(name);
	sg_gather_clear();
	filter.nodes = 0;
	filter.bytes = 0;
	filter.work = 0;
	filter.steps = 0;
	filter.bind = 0;
	filter.element_in_error = 0;
	filter.element_in_answer = 0;
	filter.report.cut = 0;
	capture_begin();
}

/* A node below the element at depth, which libstrophe knows; siblings of stanzas are not counted. */
static void count_node(unsigned depth, unsigned weight)
{
	filter.nodes += weight;
	if (filter.nodes > SG_FILTER_NODES_MAX)
		cut(depth, "a stanza of too many parts");
	if (filter.headed || depth < 2 || depth > SG_FILTER_DEPTH_MAX)
		return;
	filter.steps += filter.children[depth]++;
	if (filter.steps > SG_FILTER_STEPS_MAX)
		cut(depth, "an element of too many parts");
}

static void count_element(const char **attrs)
{
	size_t count = 0, bytes = 0;

	if (filter.report.cut || filter.headed) {
		if (filter.depth > SG_FILTER_CUT_DEPTH_MAX)
			stop(SG_ERR_LIMIT, "a stanza that is nested far too deeply");
		if (!filter.report.cut)
			count_node(filter.depth - 1, 1);
		return;
	}
	for (; attrs[2 * count] != NULL; count++)
		bytes += strlen(attrs[2 * count]) + strlen(attrs[2 * count + 1]);
	if (count > SG_FILTER_ATTRS_MAX)
		cut(filter.depth - 1, "an element of too many attributes");
	else if (bytes > SG_FILTER_ATTR_BYTES_MAX)
		cut(filter.depth - 1, "an element of attributes that are too large");
	if (filter.depth > SG_FILTER_DEPTH_MAX)
		cut(filter.depth - 1, "a stanza that is nested too deeply");
	else
		filter.children[filter.depth] = 0;
	count_node(filter.depth - 1, 1 + (unsigned)count);
}

/* What anybody needs of a stanza's head. One that is longer than any JID or id would be missed: it is over the
 * limits. Of a head that is not whole nothing is shown unless it has the first three: whatever it may lack, it is no
 * other stanza and nobody else's. */
static void show_head(const char *name, const char **attrs, int is_short)
{
	static const char *const wanted[] = { "type", "id", "from", "to" };
	enum { COUNT = sizeof(wanted) / sizeof(*wanted), NEEDED = 1 | 2 | 4 /* type, id, from */ };
	const char *some[2 * COUNT + 1];
	size_t have = 0;
	unsigned found = 0;

	for (; attrs[0] != NULL; attrs += 2)
		for (unsigned i = 0; i < COUNT; i++)
			if (strcmp(attrs[0], wanted[i]) == 0) {
				if (strlen(attrs[1]) > SG_FILTER_HEAD_MAX) {
					cut(1, "a stanza's head that is too large");
					continue;
				}
				found |= 1u << i;
				some[have++] = attrs[0];
				some[have++] = attrs[1];
			}
	if (is_short && (found & NEEDED) != NEEDED)
		return;
	some[have] = NULL;
	sg_parser_show_start(name, some);
	filter.shown = 2;
}

/* The end of a stanza that is cut: libstrophe sees the ends of all that it knows, and report.cut. */
static void cut_end(const char *name)
{
	for (; filter.shown > 1; filter.shown--)
		sg_parser_show_end(name);
	filter.report.cut = 0;
}

/* The children of a stanza that the filter looks at. */
static void child_begin(const char *name)
{
	capture_begin();
	if (filter.kind == KIND_CHALLENGE || filter.kind == KIND_SUCCESS)
		filter.element_in_answer = 1;
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

static void child_end(const char *name)
{
	if (filter.in_mechanisms) {
		filter.in_mechanisms = 0;
		if (filter.secured && !filter.report.mechanisms)
			mechanisms_show();
	}
	if (filter.kind == KIND_FAILURE && strcmp(name, IN(NS_SASL, "text")) == 0)
		keep_text(
		    filter.report.sasl_text, sizeof(filter.report.sasl_text), filter.captured);
	if (filter.kind == KIND_STREAM_ERROR && strcmp(name, IN(NS_ERRORS, "text")) == 0)
		keep_text(
		    filter.report.stream_text, sizeof(filter.report.stream_text), filter.captured);
}

/* Just before libstrophe sees the end of a stanza and acts on it. */
static void stanza_end(void)
{
	static const char *no_attributes[] = { NULL };

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
			sg_parser_show_start(IN(NS_ERRORS, "undefined-condition"), no_attributes);
			sg_parser_show_end(IN(NS_ERRORS, "undefined-condition"));
		}
		break;
	case KIND_CHALLENGE:
		challenge_seen();
		break;
	case KIND_FAILURE:
		if (filter.report.sasl_condition[0] == '\0')
			keep_condition(filter.report.sasl_condition,
			    sizeof(filter.report.sasl_condition), "undefined-condition");
		break;
	case KIND_SUCCESS:
		success_seen();
		break;
	case KIND_PROCEED:
	case KIND_OTHER:
		break;
	}
}

static void on_doubtful(int is_short)
{
	filter.doubtful = 1;
	filter.is_short = is_short;
}

static void gather_start(const char *name, const char **attrs, int doubtful)
{
	size_t len;
	const char *tag = sg_parser_tag(&len);

	sg_gather_start(name, attrs, tag, len);
	if (doubtful)
		sg_gather_refuse();
}

static void on_start(const char *name, const char **attrs)
{
	int doubtful = filter.doubtful, is_short = filter.is_short;

	filter.doubtful = filter.is_short = 0;
	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	filter.run = 0;
	filter.depth++;
	if (filter.depth == 2)
		stanza_begin(name);
	/* Once online anybody can have a server send one: it costs its stanza only. */
	if (doubtful && !is_short && !filter.headed)
		stop(SG_ERR_FORMAT, "a prefix that is not declared");
	if (filter.depth >= 2)
		count_element(attrs);
	if (is_short)
		cut(filter.depth - 1, "a tag that is too long");
	if (filter.report.stopped != 0)
		return;
	if (filter.depth == 2 && (filter.headed || filter.report.cut))
		show_head(name, attrs, is_short);
	if (filter.gathered && !filter.report.cut)
		gather_start(name, attrs, doubtful);
	if (filter.headed || filter.report.cut)
		return;
	if (filter.depth == 3)
		child_begin(name);
	if (filter.in_mechanisms && filter.depth > 3) {
		if (filter.depth == 4)
			capture_begin();
		return;
	}
	sg_parser_show_start(name, attrs);
}

/* The end of an element of which libstrophe is shown none but the stanza itself; the handlers see what was
 * gathered, and then it is gone. */
static void headed_end(const char *name)
{
	size_t tag_len;
	const char *tag = sg_parser_tag(&tag_len);

	if (filter.gathered)
		sg_gather_end(tag, tag_len);
	if (--filter.depth > 1)
		return;
	sg_parser_show_end(name);
	sg_gather_clear();
}

static void on_end(const char *name)
{
	enum kind kind = filter.kind;

	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	filter.run = 0;
	if (filter.report.cut) {
		if (--filter.depth == 1)
			cut_end(name);
		return;
	}
	if (filter.headed && filter.depth >= 2) {
		headed_end(name);
		return;
	}
	if (filter.depth == 3)
		child_end(name);
	if (filter.depth == 2)
		stanza_end();
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
	sg_parser_show_end(name);
}

static void headed_text(const char *text, size_t len)
{
	size_t written_len;
	const char *written = sg_parser_tag(&written_len);

	if (!filter.gathered || filter.report.cut)
		return;
	if (filter.run > SG_FILTER_TEXT_MAX)
		sg_gather_refuse();
	sg_gather_text(text, len, written, written_len);
}

static void on_text(const char *text, size_t len)
{
	if (filter.muted || filter.report.stopped != 0)
		return;
	filter.gap = 0;
	if (filter.depth < 2 || filter.report.cut) /* white space that keeps the connection alive */
		return;
	if (filter.run == 0)
		count_node(filter.depth, 1);
	filter.run += len;
	if (filter.headed) {
		headed_text(text, len);
		return;
	}
	filter.work += filter.run;
	if (filter.run > SG_FILTER_TEXT_MAX || filter.work > SG_FILTER_WORK_MAX)
		cut(filter.depth, "a text that is too long");
	if (filter.report.stopped != 0 || filter.report.cut)
		return;
	if (filter.depth <= 4)
		capture(text, len);
	if (filter.in_mechanisms && filter.depth > 3)
		return;
	sg_parser_show_text(text, len);
}

static void on_doctype(void)
{
	stop(SG_ERR_FORMAT, "a document type declaration");
}

static void on_malformed(void)
{
	stop(SG_ERR_FORMAT, "malformed XML");
}

/* ---- streams ---- */

static void on_stream(void)
{
	filter.muted = 0;
	filter.depth = 0;
	filter.in_mechanisms = 0;
	filter.report.cut = 0;
	filter.gap = filter.bytes = 0;
	filter.headed = filter.gathered = filter.doubtful = filter.is_short = 0;
	sg_gather_clear();
}

static int on_bytes(size_t len)
{
	filter.report.fed += len;
	if (filter.muted || filter.report.stopped != 0)
		return 0;
	filter.bytes += len;
	filter.gap += len;
	if (filter.depth >= 2 && filter.bytes > SG_FILTER_BYTES_MAX)
		cut(filter.depth, "a stanza that is too large");
	if (filter.gap > (filter.online ? SG_FILTER_ONLINE_GAP_MAX : SG_FILTER_GAP_MAX))
		stop(SG_ERR_LIMIT, "a tag that is too large");
	return filter.report.stopped == 0;
}

const struct sg_parser_filter sg_filter = {
	.stream = on_stream,
	.start = on_start,
	.doubtful = on_doubtful,
	.end = on_end,
	.text = on_text,
	.doctype = on_doctype,
	.bytes = on_bytes,
	.malformed = on_malformed,
};

/* ---- what the stream calls ---- */

void sg_filter_begin(enum sg_filter_login login)
{
	filter.login = login;
	filter.secured = 0;
	filter.online = 0;
	filter.challenges = 0;
	filter.headed = filter.gathered = 0;
	sg_gather_clear();
	filter.report = (struct sg_filter_report){ 0 };
}

void sg_filter_secured(void)
{
	filter.secured = 1;
}

void sg_filter_online(void)
{
	filter.online = 1;
}

const struct sg_filter_report *sg_filter_report(void)
{
	return &filter.report;
}
