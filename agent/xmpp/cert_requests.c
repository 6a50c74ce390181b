/*
 * The account's certificates: by ccm2 without 'to' (C2), or by XEP-0257, where names stand for
 * certificates and one request of the broker is several questions.
 */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "saslcert.h"
#include "x509.h"

#define NAME_TRIES_MAX 20 /* names that the server says are taken, though its list has them not */

enum step {
	STEP_LIST,
	STEP_APPEND,
	STEP_REVOKE,
};

/* Of a request by XEP-0257. */
struct saslcert_state {
	enum step step;
	struct sg_msg_ccm2_certs certs; /* the server's list */
	unsigned number;		/* of the name that is tried */
	unsigned tries;
	uint32_t next; /* certificate of the list to be looked at */
	int revoked;   /* one was */
};

static void saslcert_free(void *arg)
{
	struct saslcert_state *state = arg;

	sg_msg_clear(SG_MSG_CCM2_CERTS, &state->certs);
	free(state);
}

static int is_saslcert(const struct sg_request *request)
{
	return *request->on->protocol == SG_CERT_PROTOCOL_SASLCERT;
}

static int saslcert_list(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err;

	if (sg_request_state(request, sizeof(struct saslcert_state), saslcert_free) == NULL)
		return SG_ERR_NOMEM;
	err = sg_saslcert_items_request_encode(&payload);
	return sg_request_ask(request, "get", NULL, err, payload);
}

/* The server's list into the state; 0 when the request has ended for it. */
static int saslcert_listed(struct sg_request *request, const struct sg_xml *payload)
{
	struct saslcert_state *state = request->state;
	int err =
	    payload != NULL ? sg_saslcert_items_decode(payload, &state->certs) : SG_ERR_FORMAT;

	if (err == 0)
		return 1;
	sg_request_fail(request, err, "the server's answer is no list of certificates");
	return 0;
}

/* ---- add ---- */

static int add_start(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_ccm2_add_encode(request->msg, &payload);

	return sg_request_ask(request, "set", NULL, err, payload);
}

static void add_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct sg_msg_der der = { 0 };
	int err;

	if (error != NULL) {
		sg_request_refuse(request, error);
		return;
	}
	err = payload != NULL ? sg_ccm2_added_decode(payload, &der.der) : SG_ERR_FORMAT;
	if (err != 0)
		sg_request_fail(request, err, "the server's answer holds no certificate");
	else
		sg_request_answer(request, SG_MSG_DER, &der);
	sg_msg_clear(SG_MSG_DER, &der);
}

/* By the first name that is free from the state's number on. */
static void append_ask(struct sg_request *request)
{
	const struct sg_msg_saslcert_append *append = request->msg;
	struct saslcert_state *state = request->state;
	struct sg_xml *payload = NULL;
	char *name = NULL;
	int err = sg_saslcert_free_name(
	    append->name != NULL ? append->name : "", &state->certs, &state->number, &name);

	state->step = STEP_APPEND;
	if (err == 0)
		err = sg_saslcert_append_encode(name, &append->der, &payload);
	err = sg_request_ask(request, "set", NULL, err, payload);
	free(name);
	if (err != 0)
		sg_request_fail(request, err,
		    err == SG_ERR_LIMIT ? "the name or the certificate is too long" : NULL);
}

/* One that is in the list already was sent before, and its answer was lost. */
static void append_listed(struct sg_request *request)
{
	const struct sg_msg_saslcert_append *append = request->msg;
	struct saslcert_state *state = request->state;

	for (uint32_t i = 0; i < state->certs.cert_count; i++) {
		if (sg_blob_eq(&state->certs.certs[i].der, &append->der)) {
			sg_request_ok(request);
			return;
		}
	}
	state->number = 1;
	append_ask(request);
}

static void append_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct saslcert_state *state = request->state;

	if (error == NULL && state->step == STEP_LIST) {
		if (saslcert_listed(request, payload))
			append_listed(request);
	} else if (error == NULL) {
		sg_request_ok(request);
	} else if (state->step == STEP_APPEND &&
	    sg_msg_error_is(error, SG_ERR_STANZA, "conflict") && ++state->tries < NAME_TRIES_MAX) {
		state->number++;
		append_ask(request);
	} else {
		sg_request_refuse(request, error);
	}
}

/* ---- list ---- */

static int list_start(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err;

	if (is_saslcert(request))
		return saslcert_list(request);
	err = sg_ccm2_list_request_encode(&payload);
	return sg_request_ask(request, "get", NULL, err, payload);
}

static void list_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct saslcert_state *state = request->state;
	struct sg_msg_ccm2_certs certs = { 0 };
	int err;

	if (error != NULL) {
		sg_request_refuse(request, error);
	} else if (state != NULL) {
		if (saslcert_listed(request, payload))
			sg_request_answer(request, SG_MSG_CCM2_CERTS, &state->certs);
	} else {
		err = payload != NULL ? sg_ccm2_list_decode(payload, &certs) : SG_ERR_FORMAT;
		if (err != 0)
			sg_request_fail(
			    request, err, "the server's answer is no list of certificates");
		else
			sg_request_answer(request, SG_MSG_CCM2_CERTS, &certs);
		sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	}
}

/* ---- revoke ---- */

static int revoke_start(struct sg_request *request)
{
	struct sg_msg_ccm2_revoke *revoke = request->msg;
	struct sg_xml *payload = NULL;
	int err;

	if (revoke->sha256 == NULL)
		return SG_ERR_ARG;
	if (is_saslcert(request))
		return saslcert_list(request);
	if (revoke->only_disable)
		return SG_ERR_UNSUPPORTED;
	err = sg_ccm2_revoke_encode(revoke->sha256, &payload);
	return sg_request_ask(request, "set", NULL, err, payload);
}

static void revoke_absent(struct sg_request *request)
{
	struct sg_msg_error error;

	sg_msg_error_set(&error, SG_ERR_STANZA, NULL,
	    "the server's list has no certificate with this fingerprint");
	error.condition = strdup("item-not-found");
	sg_request_refuse(request, &error);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

static int has_fingerprint(const struct sg_ccm2_cert *cert, const char *sha256)
{
	char *own = sg_x509_fingerprint(&cert->der, "sha256");
	int same = own != NULL && strcmp(own, sha256) == 0;

	free(own);
	return same;
}

/* No (further) name was found: that tells nothing while there are entries that cannot be read. */
static void revoke_none_left(struct sg_request *request)
{
	const struct saslcert_state *state = request->state;

	if (state->revoked)
		sg_request_ok(request);
	else if (state->certs.unread > 0)
		sg_request_fail(request, SG_ERR_FORMAT,
		    "the server's list has no certificate with this fingerprint, but entries that "
		    "cannot be read: it may be one of them, and log in all the same");
	else
		revoke_absent(request);
}

/* The next name under which the server has it: there may be several. */
static void revoke_next(struct sg_request *request)
{
	const struct sg_msg_ccm2_revoke *revoke = request->msg;
	struct saslcert_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err;

	while (state->next < state->certs.cert_count &&
	    !has_fingerprint(&state->certs.certs[state->next], revoke->sha256))
		state->next++;
	if (state->next == state->certs.cert_count) {
		revoke_none_left(request);
		return;
	}
	state->step = STEP_REVOKE;
	err = sg_saslcert_revoke_encode(
	    state->certs.certs[state->next++].name, revoke->only_disable != 0, &payload);
	err = sg_request_ask(request, "set", NULL, err, payload);
	if (err != 0)
		sg_request_fail(request, err, NULL);
}

static void revoke_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct saslcert_state *state = request->state;

	if (error != NULL) {
		sg_request_refuse(request, error);
	} else if (state == NULL) {
		sg_request_ok(request);
	} else if (state->step == STEP_REVOKE) {
		state->revoked = 1;
		revoke_next(request);
	} else if (saslcert_listed(request, payload)) {
		revoke_next(request);
	}
}

const struct sg_request_kind sg_cert_requests[] = {
	{ SG_MSG_CCM2_ADD, add_start, add_done },
	{ SG_MSG_SASLCERT_APPEND, saslcert_list, append_done },
	{ SG_MSG_CCM2_LIST, list_start, list_done },
	{ SG_MSG_CCM2_REVOKE, revoke_start, revoke_done },
	{ 0, NULL, NULL },
};
