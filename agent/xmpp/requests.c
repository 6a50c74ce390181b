#include "requests.h"

#include <stdlib.h>
#include <string.h>

#include "disco.h"
#include "log.h"
#include "request.h"

/* ---- ends ---- */

static void request_free(struct sg_request *request)
{
	sg_msg_clear(request->kind->type, request->msg);
	free(request->msg);
	free(request->to);
	if (request->state_free != NULL)
		request->state_free(request->state);
	sg_msg_clear(SG_MSG_ERROR, &request->error);
	free(request);
}

/* Answers a frame with an error, if there still is a broker. */
static void refuse(struct sg_channel *channel, uint32_t id, const struct sg_msg_error *error)
{
	int err = sg_channel_send(channel, id, SG_MSG_ERROR, error, -1);

	if (err != 0 && err != SG_ERR_IO)
		sg_log(SG_LOG_ERROR, "an answer could not be given to the broker");
}

void sg_request_answer(struct sg_request *request, uint16_t type, const void *msg)
{
	struct sg_msg_error error;
	int err = sg_channel_send(request->on->channel, request->id, type, msg, -1);

	if (err != 0) {
		sg_msg_error_set(&error, err, NULL, "the answer is too large");
		refuse(request->on->channel, request->id, &error);
		sg_msg_clear(SG_MSG_ERROR, &error);
	}
	request_free(request);
}

void sg_request_fail(struct sg_request *request, int code, const char *message)
{
	struct sg_msg_error error;

	sg_msg_error_set(&error, code, request->to, message != NULL ? "%s" : NULL, message);
	refuse(request->on->channel, request->id, &error);
	sg_msg_clear(SG_MSG_ERROR, &error);
	request_free(request);
}

void sg_request_refuse(struct sg_request *request, const struct sg_msg_error *error)
{
	refuse(request->on->channel, request->id, error);
	request_free(request);
}

void sg_request_ok(struct sg_request *request)
{
	struct sg_msg_empty empty = { 0 };

	sg_request_answer(request, SG_MSG_OK, &empty);
}

int sg_request_ask(
    struct sg_request *request, const char *type, const char *to, int err, struct sg_xml *payload)
{
	if (err == 0)
		err = sg_iq_ask(request->on->iqs, type, to, payload, request->kind->done, request);
	if (err == 0)
		request->open++;
	return err;
}

/*
 * One of several questions is answered: well (error NULL), or not (the error stays the caller's, but for what is taken
 * out of it by zeroing it). With the last of them the request ends: by a message of this type, its state, when one was
 * answered well; else by the first error.
 */
static void count_answer(struct sg_request *request, struct sg_msg_error *error, uint16_t type)
{
	if (error == NULL) {
		request->answers++;
	} else if (request->error.code == 0) {
		request->error = *error;
		*error = (struct sg_msg_error){ 0 };
	}
	if (--request->open > 0)
		return;
	if (request->answers > 0)
		sg_request_answer(request, type, request->state);
	else
		sg_request_refuse(request, &request->error);
}

void *sg_request_state(struct sg_request *request, size_t size, void (*state_free)(void *state))
{
	request->state = calloc(1, size);
	if (request->state != NULL)
		request->state_free = state_free;
	return request->state;
}

/* ---- features (C1): of the domain and of the own account; either may fail ---- */

static void features_free(void *state)
{
	sg_msg_clear(SG_MSG_XMPP_FEATURE_SET, state);
	free(state);
}

static int features_start(struct sg_request *request)
{
	const char *own = sg_stream_bare_jid(request->on->stream);
	const char *whom[] = { strchr(own, '@') + 1, own };
	struct sg_xml *query;
	int err = 0;

	if (sg_request_state(request, sizeof(struct sg_msg_xmpp_feature_set), features_free) ==
	    NULL)
		return SG_ERR_NOMEM;
	for (int i = 0; i < 2 && err == 0; i++) {
		err = sg_disco_info_encode(NULL, &query);
		err = sg_request_ask(request, "get", whom[i], err, query);
	}
	return request->open > 0 ? 0 : err;
}

static void features_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct sg_msg_error bad = { 0 };
	int err;

	if (error == NULL) {
		err = payload != NULL ? sg_disco_result_decode(payload, request->state)
				      : SG_ERR_FORMAT;
		if (err != 0) {
			sg_msg_error_set(&bad, err, NULL, "a bad answer to disco#info");
			error = &bad;
		}
	}
	if (request->open == 1) /* the last answer: now the set is whole */
		*request->on->protocol = sg_cert_protocol_of(request->state);
	count_answer(request, error, SG_MSG_XMPP_FEATURE_SET);
	sg_msg_clear(SG_MSG_ERROR, &bad);
}

/* ---- dispatch ---- */

static const struct sg_request_kind server_requests[] = {
	{ SG_MSG_XMPP_FEATURES, features_start, features_done },
	{ 0, NULL, NULL },
};

static const struct sg_request_kind *find_kind(uint16_t type)
{
	const struct sg_request_kind *const lists[] = { server_requests, sg_cert_requests,
		sg_pep_requests, sg_fetch_requests, sg_key_requests, NULL };

	for (int i = 0; lists[i] != NULL; i++) {
		for (const struct sg_request_kind *kind = lists[i]; kind->type != 0; kind++) {
			if (kind->type == type)
				return kind;
		}
	}
	return NULL;
}

int sg_request_start(const struct sg_requests *requests, struct sg_frame *frame)
{
	const struct sg_request_kind *kind = find_kind(frame->type);
	struct sg_request *request;
	int err;

	if (kind == NULL)
		return SG_ERR_UNSUPPORTED;
	request = calloc(1, sizeof(*request));
	if (request == NULL)
		return SG_ERR_NOMEM;
	request->on = requests;
	request->kind = kind;
	request->id = frame->id;
	request->msg = frame->msg;
	frame->msg = NULL;
	err = sg_stream_is_online(requests->stream) ? kind->start(request) : SG_ERR_OFFLINE;
	if (err != 0)
		sg_request_fail(
		    request, err, err == SG_ERR_OFFLINE ? "the account is not online" : NULL);
	return 0;
}
