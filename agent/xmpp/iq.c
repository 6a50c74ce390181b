#include "iq.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "buf.h"
#include "clock.h"
#include "disco.h"
#include "element.h"
#include "log.h"
#include "pep.h"
#include "self.h"
#include "text.h"

#define NS_PING	    "urn:xmpp:ping"
#define NS_TRIAL    "urn:xmpp:signet:nobody" /* that nobody understands */
#define ID_BYTES    12
#define ABSENCE_MAX 4096  /* bytes of a server's error for an absent client */
#define REPLY_MAX   65000 /* bytes of a refusal; why, see PROTOCOL.xmpp 0 */
#define PLAIN_ABSENCE                                                                              \
	"<error type='cancel'><service-unavailable xmlns='" SG_NS_STANZAS "'/></error>"

struct question {
	struct question *next;
	char *id;
	char *to; /* NULL: the own server */
	int64_t deadline_ms;
	sg_iq_fn *fn;
	void *arg;
	int whole; /* fn wants the whole iq, also of an error */
};

/* How the server answers for a client that is not there. */
struct absence {
	char *error; /* its element as text; NULL: the plain one */
	int echoes;  /* the question stands before it */
};

struct sg_iqs {
	struct sg_stream *stream;
	const struct sg_iq_events *events;
	void *arg;
	struct question *first, **end; /* in the order of their deadlines */
	struct absence absence;
};

int sg_iqs_new(
    struct sg_iqs **iqs, struct sg_stream *stream, const struct sg_iq_events *events, void *arg)
{
	*iqs = calloc(1, sizeof(**iqs));
	if (*iqs == NULL)
		return SG_ERR_NOMEM;
	(*iqs)->stream = stream;
	(*iqs)->events = events;
	(*iqs)->arg = arg;
	(*iqs)->end = &(*iqs)->first;
	return 0;
}

static void question_free(struct question *question)
{
	free(question->id);
	free(question->to);
	free(question);
}

void sg_iqs_free(struct sg_iqs *iqs)
{
	if (iqs == NULL)
		return;
	while (iqs->first != NULL) {
		struct question *next = iqs->first->next;

		question_free(iqs->first);
		iqs->first = next;
	}
	free(iqs->absence.error);
	free(iqs);
}

/* Takes the question at *at out of the list; the caller owns it. */
static struct question *question_take(struct sg_iqs *iqs, struct question **at)
{
	struct question *question = *at;

	*at = question->next;
	if (*at == NULL)
		iqs->end = at;
	question->next = NULL;
	return question;
}

/* ---- asking ---- */

static struct question *question_new(const char *to, sg_iq_fn *fn, void *arg)
{
	struct question *question = calloc(1, sizeof(*question));
	unsigned char random[ID_BYTES];

	if (question == NULL)
		return NULL;
	if (RAND_bytes(random, sizeof(random)) == 1)
		question->id = sg_hex_encode(random, sizeof(random));
	question->to = to != NULL ? strdup(to) : NULL;
	question->deadline_ms = sg_clock_ms() + SG_IQ_TIMEOUT_MS;
	question->fn = fn;
	question->arg = arg;
	if (question->id == NULL || (to != NULL && question->to == NULL)) {
		question_free(question);
		return NULL;
	}
	return question;
}

static int ask(struct sg_iqs *iqs, const char *type, const char *to, struct sg_xml *payload,
    sg_iq_fn *fn, void *arg, int whole)
{
	struct question *question = question_new(to, fn, arg);
	struct sg_xml *iq = NULL;
	int err;

	if (question == NULL) {
		sg_xml_free(payload);
		return SG_ERR_NOMEM;
	}
	err = sg_element_iq(
	    &(struct sg_iq_head){ SG_NS_CLIENT, type, question->id, to, NULL }, payload, &iq);
	if (err == 0)
		err = sg_stream_send(iqs->stream, iq);
	sg_xml_free(iq);
	if (err != 0) {
		question_free(question);
		return err;
	}
	question->whole = whole;
	*iqs->end = question;
	iqs->end = &question->next;
	return 0;
}

int sg_iq_ask(struct sg_iqs *iqs, const char *type, const char *to, struct sg_xml *payload,
    sg_iq_fn *fn, void *arg)
{
	return ask(iqs, type, to, payload, fn, arg, 0);
}

/* ---- answers ---- */

/* Whether two JIDs are the same: the bare part normalised, the resource as it stands. */
static int jid_same(const char *one, const char *other)
{
	const char *resource = strchr(one, '/'), *other_resource = strchr(other, '/');
	char *bare, *other_bare;
	int same;

	if ((resource == NULL) != (other_resource == NULL) ||
	    (resource != NULL && strcmp(resource, other_resource) != 0))
		return 0;
	bare = sg_jid_bare(one);
	other_bare = sg_jid_bare(other);
	same = bare != NULL && other_bare != NULL && strcmp(bare, other_bare) == 0;
	free(bare);
	free(other_bare);
	return same;
}

/* Only who was asked may answer; for the own server that is the account itself (RFC 6120 10.3.3). */
static int from_is_right(
    const struct sg_iqs *iqs, const struct question *question, const char *from)
{
	const char *own = sg_stream_bare_jid(iqs->stream);
	int own_account = question->to == NULL || jid_same(question->to, own);

	if (from == NULL)
		return own_account;
	if (question->to != NULL)
		return jid_same(question->to, from);
	return jid_same(from, own) || jid_same(from, sg_stream_full_jid(iqs->stream)) ||
	    jid_same(from, strchr(own, '@') + 1);
}

/* RFC 6120 8.3.2: a defined condition, and perhaps a text. */
static void read_error(const struct sg_xml *element, const char *whom, struct sg_msg_error *error)
{
	const char *condition = "undefined-condition";
	const struct sg_xml *child;
	char *text = NULL;

	for (child = sg_xml_first(element); child != NULL; child = sg_xml_next(child)) {
		if (strcmp(sg_xml_ns(child), SG_NS_STANZAS) != 0)
			continue;
		if (strcmp(sg_xml_name(child), "text") == 0 && text == NULL)
			text = sg_xml_text(child);
		else if (sg_condition_is_name(sg_xml_name(child)))
			condition = sg_xml_name(child);
	}
	if (text != NULL && text[0] != '\0' && sg_utf8_is_text(text, 512))
		sg_msg_error_set(error, SG_ERR_STANZA, whom, "%s answered: %s", whom, text);
	else
		sg_msg_error_set(error, SG_ERR_STANZA, whom, "%s answered: %s", whom, condition);
	error->condition = strdup(condition);
	free(text);
}

static void deliver(const struct sg_iqs *iqs, const struct question *question, int is_error,
    const struct sg_xml *iq)
{
	const char *whom =
	    question->to != NULL ? question->to : strchr(sg_stream_bare_jid(iqs->stream), '@') + 1;
	const struct sg_xml *payload =
	    is_error ? sg_xml_child(iq, "error", SG_NS_CLIENT) : sg_xml_first(iq);
	struct sg_msg_error error = { 0 };

	if (is_error && payload != NULL) {
		read_error(payload, whom, &error);
	} else if (is_error) {
		sg_msg_error_set(&error, SG_ERR_STANZA, whom, "%s answered with an error", whom);
		error.condition = strdup("undefined-condition");
	}
	question->fn(question->arg, error.code != 0 ? &error : NULL, payload);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

static void deliver_limit(const struct question *question)
{
	struct sg_msg_error error;

	sg_log(SG_LOG_WARN, "an answer is refused: too large or nested too deeply");
	sg_msg_error_set(&error, SG_ERR_LIMIT, question->to, "the answer is over our limits");
	question->fn(question->arg, &error, NULL);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

static void receive_answer(struct sg_iqs *iqs, const struct sg_arrival *iq, int is_error)
{
	struct question **at = &iqs->first, *question;

	while (*at != NULL && (iq->id == NULL || strcmp((*at)->id, iq->id) != 0))
		at = &(*at)->next;
	if (*at == NULL || !from_is_right(iqs, *at, iq->from)) {
		sg_log(SG_LOG_DEBUG, "an answer to nothing that was asked is ignored");
		return;
	}
	question = question_take(iqs, at);
	if (iq->tree == NULL)
		deliver_limit(question);
	else if (question->whole)
		question->fn(question->arg, NULL, iq->tree);
	else
		deliver(iqs, question, is_error, iq->tree);
	question_free(question);
}

/* ---- questions to us ---- */

/* Bytes that a refusal to whom, with this id, has room for beside its head and the error. Each character of the two may be
 * written as six. Below zero: even those are too long. */
static long room_for_echo(const char *id, const char *whom)
{
	size_t head =
	    6 * ((id != NULL ? strlen(id) : 0) + (whom != NULL ? strlen(whom) : 0)) + ABSENCE_MAX;

	return REPLY_MAX - (long)head;
}

/* What was asked, to be shown again, by way of its text; NULL without memory, or when it is too long for that. */
static struct sg_xml *echo_of(const struct sg_iq_question *question)
{
	char *text = question->payload != NULL ? sg_xml_to_string(question->payload) : NULL;
	struct sg_xml *copy = NULL;
	int err = text == NULL ? SG_ERR_NOMEM : 0;

	if (err == 0 && (long)strlen(text) > room_for_echo(question->id, question->from))
		err = SG_ERR_LIMIT;
	if (err == 0)
		err = sg_xml_parse(text, strlen(text), &copy);
	free(text);
	return err == 0 ? copy : NULL;
}

/* Sends an answer of these two children (taken over; either may be NULL). */
static void answer(struct sg_iqs *iqs, const struct sg_iq_question *question, const char *type,
    struct sg_xml *first, struct sg_xml *second)
{
	const struct sg_iq_head head = { SG_NS_CLIENT, type, question->id, question->from, NULL };
	struct sg_xml *reply = NULL;
	int err = sg_element_iq(&head, first, &reply);

	if (err == 0 && second != NULL) {
		err = sg_xml_add(reply, second);
		second = NULL;
	}
	if (err == 0)
		err = sg_stream_send(iqs->stream, reply);
	if (err != 0)
		sg_log(SG_LOG_DEBUG, "a question is left unanswered");
	sg_xml_free(second);
	sg_xml_free(reply);
}

void sg_iq_reply(struct sg_iqs *iqs, const struct sg_iq_question *question, struct sg_xml *payload)
{
	answer(iqs, question, "result", payload, NULL);
}

void sg_iq_refuse(struct sg_iqs *iqs, const struct sg_iq_question *question, const char *type,
    const char *condition)
{
	struct sg_xml *error = NULL;
	struct sg_xml *echo = echo_of(question);

	if (sg_element_error(type, condition, NULL, &error) != 0)
		sg_xml_free(echo);
	else
		answer(iqs, question, "error", echo != NULL ? echo : error,
		    echo != NULL ? error : NULL);
}

/*
 * The head, what it echoes and the error one after the other, as text: the error is the server's own. Either may
 * be NULL; the head is taken over. room: for the echo.
 */
static void say_absent(struct sg_iqs *iqs, struct sg_xml *head, const char *echo, long room)
{
	const struct absence *absence = &iqs->absence;
	const char *name = head != NULL ? sg_xml_name(head) : "";
	struct sg_buf text = { 0 };

	if (head == NULL)
		text.err = SG_ERR_NOMEM;
	else if (room < 0)
		text.err = SG_ERR_LIMIT;
	else
		sg_xml_write(head, &text);
	if (text.err == 0)
		text.len -= 2; /* of "/>" */
	sg_buf_put_str(&text, ">");
	if (absence->echoes && echo != NULL && (long)strlen(echo) <= room)
		sg_buf_put_str(&text, echo);
	sg_buf_put_str(&text, absence->error != NULL ? absence->error : PLAIN_ABSENCE);
	sg_buf_printf(&text, "</%s>", name);
	sg_buf_put_u8(&text, 0);
	if (text.err != 0 || sg_stream_send_text(iqs->stream, (const char *)text.data) != 0)
		sg_log(SG_LOG_DEBUG, "a stanza is left unanswered");
	sg_buf_clear(&text);
	sg_xml_free(head);
}

void sg_iq_unknown(struct sg_iqs *iqs, const struct sg_iq_question *question)
{
	const struct sg_iq_head head = { SG_NS_CLIENT, "error", question->id, question->from,
		NULL };
	struct sg_xml *iq = NULL;

	if (sg_element_iq(&head, NULL, &iq) != 0)
		iq = NULL;
	say_absent(iqs, iq, question->as_written, room_for_echo(question->id, question->from));
}

static struct sg_xml *message_head(const char *id, const char *to)
{
	struct sg_xml *made = sg_xml_new("message", SG_NS_CLIENT);
	int err = made != NULL ? sg_xml_set_attr(made, "type", "error") : SG_ERR_NOMEM;

	if (err == 0 && id != NULL)
		err = sg_xml_set_attr(made, "id", id);
	if (err == 0)
		err = sg_xml_set_attr(made, "to", to);
	if (err == 0)
		return made;
	sg_xml_free(made);
	return NULL;
}

/* An event of a node comes from an account's bare JID; nobody answers those. One that was not read may be one. */
static int is_event(const struct sg_arrival *message)
{
	if (strchr(message->from, '/') != NULL)
		return 0;
	return message->tree == NULL ||
	    sg_xml_child(message->tree, "event", SG_NS_PUBSUB_EVENT) != NULL;
}

void sg_iq_message(struct sg_iqs *iqs, const struct sg_arrival *message)
{
	const char *type = message->type;

	if (type != NULL && (strcmp(type, "error") == 0 || strcmp(type, "headline") == 0))
		return;
	if (message->from == NULL || message->to == NULL ||
	    !jid_same(message->to, sg_stream_full_jid(iqs->stream)) || is_event(message))
		return;
	say_absent(iqs, message_head(message->id, message->from), message->as_written,
	    room_for_echo(message->id, message->from));
}

/* ---- how the server answers for who is not there ---- */

/* A value that needs no escaping, which is all that a server's own words ever have. */
static void put_value(struct sg_buf *text, const char *name, const char *value)
{
	if (value == NULL)
		return;
	if (strpbrk(value, "&<>'\"") != NULL || !sg_utf8_is_text(value, ABSENCE_MAX))
		text->err = SG_ERR_FORMAT;
	sg_buf_printf(text, " %s='%s'", name, value);
}

static void put_child(struct sg_buf *text, const struct sg_xml *child)
{
	char *inner = sg_xml_text(child);

	if (inner == NULL || strpbrk(inner, "&<>") != NULL ||
	    !sg_condition_is_name(sg_xml_name(child)))
		text->err = SG_ERR_FORMAT;
	sg_buf_printf(text, "<%s", sg_xml_name(child));
	put_value(text, "xml:lang", sg_xml_attr(child, "xml:lang"));
	put_value(text, "xmlns", sg_xml_ns(child));
	if (inner != NULL && inner[0] != '\0')
		sg_buf_printf(text, ">%s</%s>", inner, sg_xml_name(child));
	else
		sg_buf_put_str(text, "/>");
	free(inner);
}

/* The error as the server writes it: of those that pass on what clients write as it stands (ejabberd), the
 * order of attributes is theirs. NULL when it is none that we could say again. */
static char *absence_text(const struct sg_xml *error)
{
	static const char *const names[] = { "code", "type", "by" };
	const struct sg_xml *child;
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<error");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		put_value(&text, names[i], sg_xml_attr(error, names[i]));
	sg_buf_put_str(&text, ">");
	for (child = sg_xml_first(error); child != NULL; child = sg_xml_next(child)) {
		if (sg_xml_first(child) != NULL)
			text.err = SG_ERR_FORMAT;
		put_child(&text, child);
	}
	sg_buf_put_str(&text, "</error>");
	if (text.len >= ABSENCE_MAX)
		text.err = SG_ERR_LIMIT;
	return sg_buf_steal(&text, NULL);
}

static void on_absence(void *arg, struct sg_msg_error *error, const struct sg_xml *iq)
{
	struct sg_iqs *iqs = arg;
	const struct sg_xml *first = iq != NULL ? sg_xml_first(iq) : NULL;
	const struct sg_xml *element = iq != NULL ? sg_xml_child(iq, "error", SG_NS_CLIENT) : NULL;
	char *text = element != NULL ? absence_text(element) : NULL;

	if (error != NULL)
		return;
	if (text == NULL) {
		sg_log(SG_LOG_WARN, "the server does not tell how it answers for absent clients");
		return;
	}
	free(iqs->absence.error);
	iqs->absence.error = text;
	iqs->absence.echoes = first != element && sg_xml_is(first, "query", NS_TRIAL);
}

void sg_iqs_learn(struct sg_iqs *iqs)
{
	unsigned char random[ID_BYTES];
	struct sg_buf to = { 0 };
	struct sg_xml *payload = NULL;
	char *name, *jid = NULL;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return;
	name = sg_hex_encode(random, sizeof(random));
	if (name != NULL) {
		sg_buf_printf(&to, "%s/%s", sg_stream_bare_jid(iqs->stream), name);
		jid = sg_buf_steal(&to, NULL);
		payload = sg_xml_new("query", NS_TRIAL);
	}
	if (jid == NULL || payload == NULL)
		sg_xml_free(payload);
	else if (ask(iqs, "get", jid, payload, on_absence, iqs, 1) != 0)
		sg_log(SG_LOG_DEBUG, "the server cannot be asked for an absent client");
	free(jid);
	free(name);
}

/* ---- what we understand ---- */

/* Only by who may know that we are here. 1 when it is answered. */
static int understand(struct sg_iqs *iqs, const struct sg_iq_question *question)
{
	const struct sg_xml *payload = question->payload;
	struct sg_xml *result = NULL;

	if (question->is_get && payload != NULL && sg_xml_is(payload, "ping", NS_PING)) {
		sg_iq_reply(iqs, question, NULL);
		return 1;
	}
	if (question->is_get && payload != NULL && sg_xml_is(payload, "query", SG_NS_DISCO_INFO)) {
		if (sg_self_disco(sg_xml_attr(payload, "node"), &result) != 0 || result == NULL)
			return 0;
		sg_iq_reply(iqs, question, result);
		return 1;
	}
	return iqs->events->asked(iqs->arg, question);
}

/* Everybody's question is read before it is looked at who asks: it takes all of them as long. */
static void answer_question(struct sg_iqs *iqs, const struct sg_arrival *iq, int is_get)
{
	struct sg_iq_question question = {
		.id = iq->id,
		.from = iq->from,
		.is_get = is_get,
		.payload = iq->tree != NULL ? sg_xml_first(iq->tree) : NULL,
		.as_written = iq->as_written,
	};

	if (question.id == NULL || room_for_echo(question.id, question.from) < 0)
		return;
	if (!iqs->events->is_known(iqs->arg, question.from) || !understand(iqs, &question))
		sg_iq_unknown(iqs, &question);
}

void sg_iq_receive(struct sg_iqs *iqs, const struct sg_arrival *iq)
{
	const char *type = iq->type;

	if (type == NULL)
		return;
	if (strcmp(type, "result") == 0 || strcmp(type, "error") == 0)
		receive_answer(iqs, iq, strcmp(type, "error") == 0);
	else if (strcmp(type, "get") == 0 || strcmp(type, "set") == 0)
		answer_question(iqs, iq, strcmp(type, "get") == 0);
}

/* ---- no answer ---- */

void sg_iqs_fail(struct sg_iqs *iqs, const struct sg_msg_error *why)
{
	struct sg_msg_error error;
	struct question *question;

	free(iqs->absence.error);
	iqs->absence = (struct absence){ NULL, 0 };

	while (iqs->first != NULL) {
		question = question_take(iqs, &iqs->first);
		sg_msg_error_set(&error, -(int)why->code, why->subject,
		    why->message != NULL ? "%s" : NULL, why->message);
		question->fn(question->arg, &error, NULL);
		sg_msg_clear(SG_MSG_ERROR, &error);
		question_free(question);
	}
}

int sg_iqs_timeout(const struct sg_iqs *iqs)
{
	int64_t left;

	if (iqs->first == NULL)
		return -1;
	left = iqs->first->deadline_ms - sg_clock_ms();
	return left > 0 ? (int)left : 0;
}

void sg_iqs_expire(struct sg_iqs *iqs)
{
	struct sg_msg_error error;
	struct question *question;

	while (iqs->first != NULL && iqs->first->deadline_ms <= sg_clock_ms()) {
		question = question_take(iqs, &iqs->first);
		sg_msg_error_set(&error, SG_ERR_TIMEOUT, question->to, "no answer within %d s",
		    SG_IQ_TIMEOUT_MS / 1000);
		question->fn(question->arg, &error, NULL);
		sg_msg_clear(SG_MSG_ERROR, &error);
		question_free(question);
	}
}
