/* Keys from client to client, as we ask for them and send them (K12, K13, K14). */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "pubkeys.h"
#include "text.h"

/* ---- asking ---- */

static void sum_free(void *state)
{
	sg_msg_clear(SG_MSG_KEYINFOS, state);
	free(state);
}

/* Asks one; the payload is made anew for each. */
static int ask_one(struct sg_request *request, const char *to)
{
	const struct sg_msg_keys_ask *asked = request->msg;
	struct sg_msg_keyinfos *sum = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pubkeys_ask_encode(asked->about, asked->names, asked->name_count, &payload);

	err = sg_request_ask(request, "get", to, err, payload);
	if (err == 0)
		sum->asked++;
	return err;
}

static int ask_start(struct sg_request *request)
{
	const struct sg_msg_keys_ask *asked = request->msg;
	const char *own = sg_stream_full_jid(request->on->stream);
	char *const *resources;
	size_t count;
	int err = 0;

	if (sg_request_state(request, sizeof(struct sg_msg_keyinfos), sum_free) == NULL)
		return SG_ERR_NOMEM;
	request->to = asked->to != NULL ? sg_jid_bare(asked->to) : NULL;
	if (request->to == NULL || !sg_jid_is_account(request->to) ||
	    (asked->about != NULL && !sg_jid_is_account(asked->about)))
		return SG_ERR_ARG;
	if (strchr(asked->to, '/') != NULL)
		return ask_one(request, asked->to);
	resources = sg_contacts_resources(request->on->contacts, request->to, &count);
	for (size_t i = 0; err == 0 && i < count; i++) {
		if (strcmp(resources[i], own) != 0)
			err = ask_one(request, resources[i]);
	}
	if (request->open > 0)
		return 0; /* those that were asked end the request */
	return err != 0 ? err : SG_ERR_KEY_ABSENT;
}

static int has_name(const struct sg_msg_keyinfos *sum, const char *name)
{
	for (uint32_t i = 0; i < sum->keyinfo_count; i++) {
		if (strcmp(sum->keyinfos[i].name, name) == 0)
			return 1;
	}
	return 0;
}

/* Whether it is among those that were asked for; what nobody asked for is not taken. */
static int is_wanted(const struct sg_msg_keys_ask *asked, const char *name)
{
	for (uint32_t i = 0; i < asked->name_count; i++) {
		if (strcmp(asked->names[i], name) == 0)
			return 1;
	}
	return asked->name_count == 0;
}

/* Moves what is new into the sum: each resource has keys of its own. */
static int sum_add(
    const struct sg_msg_keys_ask *asked, struct sg_msg_keyinfos *sum, struct sg_msg_keyinfos *more)
{
	struct sg_keyinfo *grown = reallocarray(
	    sum->keyinfos, (size_t)sum->keyinfo_count + more->keyinfo_count + 1, sizeof(*grown));

	if (grown == NULL)
		return SG_ERR_NOMEM;
	sum->keyinfos = grown;
	for (uint32_t i = 0; i < more->keyinfo_count; i++) {
		struct sg_keyinfo *one = &more->keyinfos[i];

		if (has_name(sum, one->name))
			continue;
		if (!is_wanted(asked, one->name)) {
			sum->refused++;
			continue;
		}
		grown[sum->keyinfo_count++] = *one;
		*one = (struct sg_keyinfo){ 0 };
	}
	sum->refused += more->refused;
	return 0;
}

static int answer_take(struct sg_request *request, const struct sg_xml *payload)
{
	const struct sg_msg_keys_ask *asked = request->msg;
	struct sg_msg_keyinfos keyinfos;
	char *about;
	int err = payload != NULL ? sg_pubkeys_decode(payload, &about, &keyinfos) : SG_ERR_FORMAT;

	if (err != 0)
		return err;
	/* An answer about somebody else than was asked for is none. */
	if (asked->about != NULL ? about == NULL || strcmp(about, asked->about) != 0
				 : about != NULL && strcmp(about, request->to) != 0)
		err = SG_ERR_FORMAT;
	else
		err = sum_add(asked, request->state, &keyinfos);
	free(about);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	return err;
}

/* The end, with what was got; how many were asked is told also when that was nothing. */
static void ask_end(struct sg_request *request)
{
	struct sg_msg_keyinfos *sum = request->state;

	if (request->answers == 0) {
		sum->errors = calloc(1, sizeof(*sum->errors));
		if (sum->errors == NULL) {
			sg_request_fail(request, SG_ERR_NOMEM, NULL);
			return;
		}
		sum->errors[0] = request->error;
		sum->error_count = 1;
		request->error = (struct sg_msg_error){ 0 };
	}
	sg_request_answer(request, SG_MSG_KEYINFOS, sum);
}

static void ask_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct sg_msg_keyinfos *sum = request->state;
	struct sg_msg_error bad = { 0 };
	int err = error == NULL ? answer_take(request, payload) : 0;

	if (err != 0) {
		sg_msg_error_set(&bad, err, request->to, "the answer is no list of keys");
		error = &bad;
	}
	if (error == NULL) {
		request->answers++;
	} else {
		sum->silent += sg_msg_error_code(error) == SG_ERR_TIMEOUT;
		if (request->error.code == 0) {
			request->error = *error;
			*error = (struct sg_msg_error){ 0 };
		}
	}
	if (--request->open == 0)
		ask_end(request);
	sg_msg_clear(SG_MSG_ERROR, &bad);
}

/* ---- sending ---- */

static int send_one(struct sg_request *request, const char *to)
{
	const struct sg_msg_keys_send *send = request->msg;
	struct sg_xml *message = sg_xml_new("message", SG_NS_CLIENT);
	struct sg_xml *payload = NULL;
	int err = message != NULL ? sg_xml_set_attr(message, "to", to) : SG_ERR_NOMEM;

	if (err == 0)
		err = sg_pubkeys_encode(send->about, send->keyinfos, send->keyinfo_count, &payload);
	if (err == 0)
		err = sg_xml_add(message, payload);
	if (err == 0)
		err = sg_stream_send(request->on->stream, message);
	sg_xml_free(message);
	return err;
}

/*
 * To a bare JID it goes to each resource that is there, for a message to the bare JID itself reaches
 * only those of the highest priority, and an agent's is below all; when none is known, the server
 * decides. Servers put our full JID on it, whatever we say (RFC 6120 8.1.2.1): to whom our presence does not go
 * it tells where we are, and that is told to the person.
 */
static int send_start(struct sg_request *request)
{
	const struct sg_msg_keys_send *send = request->msg;
	struct sg_msg_keys_sent sent = { 0 };
	char *const *resources;
	size_t count = 0;
	int err = 0;

	request->to = send->to != NULL ? sg_jid_bare(send->to) : NULL;
	if (request->to == NULL || !sg_jid_is_account(request->to) || send->keyinfo_count == 0 ||
	    (send->about != NULL && !sg_jid_is_account(send->about)))
		return SG_ERR_ARG;
	resources = sg_contacts_resources(request->on->contacts, request->to, &count);
	if (strchr(send->to, '/') != NULL || count == 0)
		err = send_one(request, send->to);
	else
		for (size_t i = 0; err == 0 && i < count; i++)
			err = send_one(request, resources[i]);
	if (err == 0) {
		sent.revealed = !sg_contacts_is_own(request->on->contacts, request->to) &&
		    !sg_contacts_sees_us(request->on->contacts, request->to);
		sg_request_answer(request, SG_MSG_KEYS_SENT, &sent);
	}
	return err;
}

/* Nothing is asked, so nobody answers. */
static void send_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
}

const struct sg_request_kind sg_key_requests[] = {
	{ SG_MSG_KEYS_ASK, ask_start, ask_done },
	{ SG_MSG_KEYS_SEND, send_start, send_done },
	{ 0, NULL, NULL },
};
