#include "requests.h"

#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "disco.h"
#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "text.h"

struct kind;

struct request {
	const struct sg_requests *on;
	const struct kind *kind;
	uint32_t id;
	void *msg; /* of the kind's type, owned */

	unsigned open;	  /* questions without an answer */
	unsigned answers; /* good ones */
	uint32_t next;	  /* keyinfo to be published */
	int configuring;  /* PEP: the node existed, and is being configured */
	char *to;
	struct sg_msg_xmpp_feature_set features;
	struct sg_msg_error error; /* the first that came, while others may yet do */
};

/* start asks, or gives an error; done has the answer, and asks again or ends the request. */
struct kind {
	uint16_t type;
	int (*start)(struct request *request);
	sg_iq_fn *done;
};

/* ---- ends ---- */

static void request_free(struct request *request)
{
	sg_msg_clear(request->kind->type, request->msg);
	free(request->msg);
	free(request->to);
	sg_msg_clear(SG_MSG_XMPP_FEATURE_SET, &request->features);
	sg_msg_clear(SG_MSG_ERROR, &request->error);
	free(request);
}

/* Answers a frame with an error. */
static void refuse(struct sg_channel *channel, uint32_t id, const struct sg_msg_error *error)
{
	if (sg_channel_send(channel, id, SG_MSG_ERROR, error, -1) != 0)
		sg_log(SG_LOG_ERROR, "an answer could not be given to the broker");
}

/* Ends the request with this answer; one that no frame can hold is an error. */
static void request_answer(struct request *request, uint16_t type, const void *msg)
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

static void request_fail(struct request *request, int code, const char *message)
{
	struct sg_msg_error error;

	sg_msg_error_set(&error, code, request->to, message != NULL ? "%s" : NULL, message);
	refuse(request->on->channel, request->id, &error);
	sg_msg_clear(SG_MSG_ERROR, &error);
	request_free(request);
}

static void request_refuse(struct request *request, const struct sg_msg_error *error)
{
	refuse(request->on->channel, request->id, error);
	request_free(request);
}

static void request_ok(struct request *request)
{
	struct sg_msg_empty empty = { 0 };

	request_answer(request, SG_MSG_OK, &empty);
}

/* Asks, when the encoder gave a payload. */
static int ask(
    struct request *request, const char *type, const char *to, int err, struct sg_xml *payload)
{
	if (err == 0)
		err = sg_iq_ask(request->on->iqs, type, to, payload, request->kind->done, request);
	if (err == 0)
		request->open++;
	return err;
}

/* ---- features (C1): of the domain and of the own account; either may fail ---- */

static int features_start(struct request *request)
{
	const char *own = sg_stream_bare_jid(request->on->stream);
	const char *whom[] = { strchr(own, '@') + 1, own };
	struct sg_xml *query;
	int err = 0;

	for (int i = 0; i < 2 && err == 0; i++) {
		err = sg_disco_info_encode(NULL, &query);
		err = ask(request, "get", whom[i], err, query);
	}
	return request->open > 0 ? 0 : err;
}

static void features_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct request *request = arg;
	struct sg_msg_error bad = { 0 };
	int err;

	if (error == NULL) {
		err = payload != NULL ? sg_disco_result_decode(payload, &request->features)
				      : SG_ERR_FORMAT;
		if (err != 0) {
			sg_msg_error_set(&bad, err, NULL, "a bad answer to disco#info");
			error = &bad;
		}
	}
	if (error == NULL) {
		request->answers++;
	} else if (request->error.code == 0) {
		request->error = *error;
		*error = (struct sg_msg_error){ 0 };
	}
	sg_msg_clear(SG_MSG_ERROR, &bad);
	if (--request->open > 0)
		return;
	if (request->answers > 0)
		request_answer(request, SG_MSG_XMPP_FEATURE_SET, &request->features);
	else
		request_refuse(request, &request->error);
}

/* ---- ccm2, without 'to' (C2) ---- */

static int ccm2_add_start(struct request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_ccm2_add_encode(request->msg, &payload);

	return ask(request, "set", NULL, err, payload);
}

static void ccm2_add_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct request *request = arg;
	struct sg_msg_der der = { 0 };
	int err;

	if (error != NULL) {
		request_refuse(request, error);
		return;
	}
	err = payload != NULL ? sg_ccm2_added_decode(payload, &der.der) : SG_ERR_FORMAT;
	if (err != 0)
		request_fail(request, err, "the server's answer holds no certificate");
	else
		request_answer(request, SG_MSG_DER, &der);
	sg_msg_clear(SG_MSG_DER, &der);
}

static int ccm2_list_start(struct request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_ccm2_list_request_encode(&payload);

	return ask(request, "get", NULL, err, payload);
}

static void ccm2_list_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct request *request = arg;
	struct sg_msg_ccm2_certs certs = { 0 };
	int err;

	if (error != NULL) {
		request_refuse(request, error);
		return;
	}
	err = payload != NULL ? sg_ccm2_list_decode(payload, &certs) : SG_ERR_FORMAT;
	if (err != 0)
		request_fail(request, err, "the server's answer is no list of certificates");
	else
		request_answer(request, SG_MSG_CCM2_CERTS, &certs);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
}

static int ccm2_revoke_start(struct request *request)
{
	struct sg_msg_ccm2_revoke *revoke = request->msg;
	struct sg_xml *payload = NULL;
	int err =
	    revoke->sha256 != NULL ? sg_ccm2_revoke_encode(revoke->sha256, &payload) : SG_ERR_ARG;

	return ask(request, "set", NULL, err, payload);
}

static void ccm2_revoke_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	if (error != NULL)
		request_refuse(arg, error);
	else
		request_ok(arg);
}

/* ---- PEP: publishing (K9, K10) ---- */

static int publish_start(struct request *request)
{
	const struct sg_msg_pep_publish *publish = request->msg;
	struct sg_xml *payload = NULL;
	int err;

	if (publish->access_model == NULL)
		return SG_ERR_ARG;
	err = sg_pep_create_encode(SG_NS_PUBKEY, publish->access_model, &payload);
	return ask(request, "set", NULL, err, payload);
}

static int publish_configure(struct request *request)
{
	const struct sg_msg_pep_publish *publish = request->msg;
	struct sg_xml *payload = NULL;
	int err = sg_pep_configure_encode(SG_NS_PUBKEY, publish->access_model, &payload);

	request->configuring = 1;
	return ask(request, "set", NULL, err, payload);
}

static int publish_next(struct request *request)
{
	const struct sg_msg_pep_publish *publish = request->msg;
	const struct sg_keyinfo *keyinfo = &publish->keyinfos[request->next++];
	struct sg_xml *item = NULL, *payload = NULL;
	int err = sg_keyinfo_encode(keyinfo, &item);

	if (err == 0)
		err = sg_pep_publish_encode(
		    SG_NS_PUBKEY, keyinfo->name, publish->access_model, item, &payload);
	return ask(request, "set", NULL, err, payload);
}

/* One question at a time: the node stands and is as it should be before anything goes to it. */
static void publish_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct request *request = arg;
	const struct sg_msg_pep_publish *publish = request->msg;
	int created = request->next == 0 && !request->configuring;
	int err;

	request->open--;
	if (error != NULL && created && error->condition != NULL &&
	    strcmp(error->condition, "conflict") == 0) {
		err = publish_configure(request);
	} else if (error != NULL) {
		request_refuse(request, error);
		return;
	} else if (request->next < publish->keyinfo_count) {
		err = publish_next(request);
	} else {
		request_ok(request);
		return;
	}
	if (err != 0)
		request_fail(request, err, "the keys could not be published");
}

/* ---- PEP: fetching ---- */

static int fetch_start(struct request *request)
{
	const struct sg_msg_pep_fetch *fetch = request->msg;
	struct sg_xml *payload = NULL;
	int err;

	request->to = fetch->jid != NULL ? sg_jid_bare(fetch->jid) : NULL;
	if (request->to == NULL || !sg_jid_is_account(request->to))
		return SG_ERR_ARG;
	err = sg_pep_items_encode(SG_NS_PUBKEY, fetch->names, fetch->name_count, &payload);
	return ask(request, "get", request->to, err, payload);
}

static void fetch_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct request *request = arg;
	struct sg_msg_keyinfos keyinfos = { 0 };
	int err = 0;

	if (error != NULL &&
	    (error->condition == NULL || strcmp(error->condition, "item-not-found") != 0)) {
		request_refuse(request, error);
		return;
	}
	/* No such node, or no such item: nothing is published, which is an answer. */
	if (error == NULL)
		err = payload != NULL ? sg_pep_items_decode(payload, SG_NS_PUBKEY, &keyinfos)
				      : SG_ERR_FORMAT;
	if (err != 0)
		request_fail(request, err, "the answer is no list of keys");
	else
		request_answer(request, SG_MSG_KEYINFOS, &keyinfos);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
}

/* ---- dispatch ---- */

static const struct kind kinds[] = {
	{ SG_MSG_XMPP_FEATURES, features_start, features_done },
	{ SG_MSG_CCM2_ADD, ccm2_add_start, ccm2_add_done },
	{ SG_MSG_CCM2_LIST, ccm2_list_start, ccm2_list_done },
	{ SG_MSG_CCM2_REVOKE, ccm2_revoke_start, ccm2_revoke_done },
	{ SG_MSG_PEP_PUBLISH, publish_start, publish_done },
	{ SG_MSG_PEP_FETCH, fetch_start, fetch_done },
};

int sg_request_start(const struct sg_requests *requests, struct sg_frame *frame)
{
	const struct kind *kind = NULL;
	struct request *request;
	int err;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && kind == NULL; i++)
		if (kinds[i].type == frame->type)
			kind = &kinds[i];
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
		request_fail(
		    request, err, err == SG_ERR_OFFLINE ? "the account is not online" : NULL);
	return 0;
}
