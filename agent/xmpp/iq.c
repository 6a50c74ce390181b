#include "iq.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "clock.h"
#include "disco.h"
#include "element.h"
#include "log.h"
#include "stanza.h"
#include "text.h"

#define NS_PING	 "urn:xmpp:ping"
#define ID_BYTES 12

struct question {
	struct question *next;
	char *id;
	char *to; /* NULL: the own server */
	int64_t deadline_ms;
	sg_iq_fn *fn;
	void *arg;
};

struct sg_iqs {
	struct sg_stream *stream;
	struct question *first, **end; /* in the order of their deadlines */
};

int sg_iqs_new(struct sg_iqs **iqs, struct sg_stream *stream)
{
	*iqs = calloc(1, sizeof(**iqs));
	if (*iqs == NULL)
		return SG_ERR_NOMEM;
	(*iqs)->stream = stream;
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

int sg_iq_ask(struct sg_iqs *iqs, const char *type, const char *to, struct sg_xml *payload,
    sg_iq_fn *fn, void *arg)
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
	*iqs->end = question;
	iqs->end = &question->next;
	return 0;
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

/* The first child that is an element, or NULL. */
static xmpp_stanza_t *first_element(xmpp_stanza_t *stanza)
{
	xmpp_stanza_t *child = xmpp_stanza_get_children(stanza);

	while (child != NULL && !xmpp_stanza_is_tag(child))
		child = xmpp_stanza_get_next(child);
	return child;
}

static void deliver(
    const struct sg_iqs *iqs, const struct question *question, int is_error, xmpp_stanza_t *iq)
{
	const char *whom =
	    question->to != NULL ? question->to : strchr(sg_stream_bare_jid(iqs->stream), '@') + 1;
	xmpp_stanza_t *child =
	    is_error ? xmpp_stanza_get_child_by_name(iq, "error") : first_element(iq);
	struct sg_msg_error error = { 0 };
	struct sg_xml *payload = NULL;
	int err = child != NULL ? sg_stanza_to_xml(child, &payload) : 0;

	if (err != 0) {
		sg_log(SG_LOG_WARN, "an answer of %s is refused: too large or nested too deeply",
		    whom);
		sg_msg_error_set(&error, err, whom, "the answer of %s is over our limits", whom);
	} else if (is_error && payload != NULL) {
		read_error(payload, whom, &error);
	} else if (is_error) {
		sg_msg_error_set(&error, SG_ERR_STANZA, whom, "%s answered with an error", whom);
		error.condition = strdup("undefined-condition");
	}
	question->fn(question->arg, error.code != 0 ? &error : NULL, payload);
	sg_xml_free(payload);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

static void receive_answer(struct sg_iqs *iqs, xmpp_stanza_t *iq, int is_error)
{
	const char *id = xmpp_stanza_get_id(iq), *from = xmpp_stanza_get_from(iq);
	struct question **at = &iqs->first, *question;

	while (*at != NULL && (id == NULL || strcmp((*at)->id, id) != 0))
		at = &(*at)->next;
	if (*at == NULL || !from_is_right(iqs, *at, from)) {
		sg_log(SG_LOG_DEBUG, "an answer to nothing that was asked is ignored");
		return;
	}
	question = question_take(iqs, at);
	deliver(iqs, question, is_error, iq);
	question_free(question);
}

/* ---- questions to us ---- */

/* What disco#info says of us: nothing that the person's other clients would be mistaken for. */
static struct sg_xml *disco_answer(xmpp_stanza_t *query)
{
	static const char *const features[] = { SG_NS_DISCO_INFO, NS_PING };
	struct sg_xml *answer;

	if (xmpp_stanza_get_attribute(query, "node") != NULL ||
	    sg_disco_result_encode(NULL, "client", "bot", features, 2, &answer) != 0)
		return NULL;
	return answer;
}

static void answer_question(struct sg_iqs *iqs, xmpp_stanza_t *iq, int is_get)
{
	const char *id = xmpp_stanza_get_id(iq), *from = xmpp_stanza_get_from(iq);
	xmpp_stanza_t *payload = first_element(iq);
	const char *name = payload != NULL ? xmpp_stanza_get_name(payload) : NULL;
	const char *ns = payload != NULL ? xmpp_stanza_get_ns(payload) : NULL;
	struct sg_iq_head head = { SG_NS_CLIENT, "result", id, from, NULL };
	struct sg_xml *answer = NULL, *reply = NULL;
	int is_result = 0, err = 0;

	if (id == NULL)
		return;
	if (is_get && ns != NULL && strcmp(ns, NS_PING) == 0 && strcmp(name, "ping") == 0) {
		is_result = 1;
	} else if (is_get && ns != NULL && strcmp(ns, SG_NS_DISCO_INFO) == 0) {
		answer = disco_answer(payload);
		is_result = answer != NULL;
	}
	if (!is_result) {
		head.type = "error";
		err = sg_element_error("cancel", "service-unavailable", NULL, &answer);
	}
	if (err == 0)
		err = sg_element_iq(&head, answer, &reply);
	if (err == 0)
		err = sg_stream_send(iqs->stream, reply);
	if (err != 0)
		sg_log(SG_LOG_DEBUG, "a question is left unanswered");
	sg_xml_free(reply);
}

void sg_iq_receive(struct sg_iqs *iqs, xmpp_stanza_t *iq)
{
	const char *type = xmpp_stanza_get_type(iq);

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
