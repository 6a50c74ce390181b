/* The own node (K9, K10), and what another's tells of itself. */
#include "request.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "contacts.h"
#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "pep_node.h"
#include "text.h"

#define TRIAL_NODE SG_NS_PUBKEY "#trial"

/* What the question is about that has no answer yet. */
enum step {
	STEP_CREATE,
	STEP_CONFIGURE,
	STEP_SHOW,
	STEP_MEMBERS,
	STEP_SUBSCRIBERS,
	STEP_SET_MEMBERS,
	STEP_UNSUBSCRIBE,
	STEP_DELETE,
	STEP_PUBLISH,
	STEP_TRIAL_CLEAN,
	STEP_TRIAL,
};

static const char *const models[] = { "open", "presence", "whitelist", "roster", "authorize" };
#define MODEL_COUNT ((int)(sizeof(models) / sizeof(models[0])))

struct node_state {
	enum step step;
	struct sg_msg_pep_configure asked; /* borrowed; access_model NULL: only to be shown */
	struct sg_msg_pep_node node;
	struct sg_msg_pep_node before; /* one that is made anew, as it was */
	/* What was done already; each is done once, but for a node that is made anew. */
	int configured, set_members, set_outcasts, unsubscribed, made_anew;
	int renew;	  /* to be made anew: somebody may be subscribed whom nobody can list */
	uint32_t next;	  /* keyinfo to be published */
	int model;	  /* that is tried */
	unsigned offered; /* those that the trial was good for, as bits */
};

static void node_state_free(void *arg)
{
	struct node_state *state = arg;

	sg_msg_clear(SG_MSG_PEP_NODE, &state->node);
	sg_msg_clear(SG_MSG_PEP_NODE, &state->before);
	free(state);
}

static sg_iq_fn node_done;

static int node_ask(
    struct sg_request *request, enum step step, const char *type, int err, struct sg_xml *payload)
{
	struct node_state *state = request->state;

	state->step = step;
	return sg_request_ask(request, type, NULL, err, payload);
}

static int node_create(struct sg_request *request)
{
	struct node_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pep_create_encode(SG_NS_PUBKEY, state->asked.access_model, state->asked.groups,
	    state->asked.group_count, &payload);

	return node_ask(request, STEP_CREATE, "set", err, payload);
}

static int node_configure(struct sg_request *request)
{
	struct node_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pep_configure_encode(SG_NS_PUBKEY, state->asked.access_model,
	    state->asked.groups, state->asked.group_count, &payload);

	return node_ask(request, STEP_CONFIGURE, "set", err, payload);
}

static int node_show(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_pep_config_ask_encode(SG_NS_PUBKEY, &payload);

	return node_ask(request, STEP_SHOW, "get", err, payload);
}

static int node_members(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_pep_members_ask_encode(SG_NS_PUBKEY, &payload);

	return node_ask(request, STEP_MEMBERS, "get", err, payload);
}

static int node_subscribers(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_pep_subscribers_ask_encode(SG_NS_PUBKEY, &payload);

	return node_ask(request, STEP_SUBSCRIBERS, "get", err, payload);
}

static int node_unsubscribe(struct sg_request *request)
{
	struct node_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pep_unsubscribe_encode(SG_NS_PUBKEY, &state->node, &payload);

	state->unsubscribed = 1;
	return node_ask(request, STEP_UNSUBSCRIBE, "set", err, payload);
}

/* Affiliations and subscriptions go with a node; whom the owner shut out is shut out of the new one before anything
 * goes to it. So do the items of other clients. */
static int node_delete(struct sg_request *request)
{
	struct node_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pep_delete_encode(SG_NS_PUBKEY, &payload);

	state->made_anew = 1;
	sg_msg_clear(SG_MSG_PEP_NODE, &state->before);
	state->before = state->node;
	state->node = (struct sg_msg_pep_node){ 0 };
	return node_ask(request, STEP_DELETE, "set", err, payload);
}

/* ---- a model that the server refuses ---- */

/*
 * What a server lists in its form it may refuse all the same (Prosody does), and what it has it may not
 * list. So it is tried out, on a node of its own in which nothing ever stands.
 */
static int trial_clean(struct sg_request *request)
{
	struct sg_xml *payload = NULL;
	int err = sg_pep_delete_encode(TRIAL_NODE, &payload);

	return node_ask(request, STEP_TRIAL_CLEAN, "set", err, payload);
}

static int trial_begin(struct sg_request *request, struct sg_msg_error *error)
{
	request->error = *error;
	*error = (struct sg_msg_error){ 0 };
	return trial_clean(request);
}

static void trial_end(struct sg_request *request)
{
	const struct node_state *state = request->state;
	const char *asked = state->asked.access_model;
	struct sg_msg_error error;
	struct sg_buf list = { 0 };
	char *text;
	int is_asked = 0;

	for (int i = 0; i < MODEL_COUNT; i++) {
		if ((state->offered & 1u << i) == 0)
			continue;
		is_asked |= strcmp(models[i], asked) == 0;
		sg_buf_printf(&list, "%s%s", list.len > 0 ? ", " : "", models[i]);
	}
	text = sg_buf_steal(&list, NULL);
	/* It was refused for another reason, of which nothing is known. */
	if (text == NULL || text[0] == '\0' || is_asked) {
		sg_request_refuse(request, &request->error);
	} else {
		sg_msg_error_set(&error, SG_ERR_FEATURE, asked,
		    "the server has no access model '%s' for keys; it has %s", asked, text);
		sg_request_refuse(request, &error);
		sg_msg_clear(SG_MSG_ERROR, &error);
	}
	free(text);
}

/* Cleaned up: the next model, if there is one left. Gives 0 also when the request has ended. */
static int trial_next(struct sg_request *request)
{
	struct node_state *state = request->state;
	struct sg_xml *payload = NULL;
	int err;

	if (state->model == MODEL_COUNT) {
		trial_end(request);
		return 0;
	}
	err = sg_pep_create_encode(TRIAL_NODE, models[state->model++], state->asked.groups,
	    state->asked.group_count, &payload);
	return node_ask(request, STEP_TRIAL, "set", err, payload);
}

static int is_refusal(const struct sg_msg_error *error)
{
	return sg_msg_error_is(error, SG_ERR_STANZA, "not-acceptable") ||
	    sg_msg_error_is(error, SG_ERR_STANZA, "feature-not-implemented") ||
	    sg_msg_error_is(error, SG_ERR_STANZA, "bad-request");
}

/* ---- what comes after each step: the next question, or the end ---- */

/* The node is as the server will have it. Nothing goes to one that is more open than asked. */
static int node_stands(struct sg_request *request)
{
	struct node_state *state = request->state;
	const struct sg_msg_pep_publish *publish = request->msg;
	const struct sg_keyinfo *keyinfo;
	struct sg_xml *item = NULL, *payload = NULL;
	int err;

	if (request->kind->type != SG_MSG_PEP_PUBLISH || state->next == publish->keyinfo_count ||
	    sg_pep_is_more_open(&state->node, &state->asked)) {
		state->node.published = state->next;
		sg_request_answer(request, SG_MSG_PEP_NODE, &state->node);
		return 0;
	}
	keyinfo = &publish->keyinfos[state->next++];
	err = sg_keyinfo_encode(keyinfo, &item);
	if (err == 0)
		err = sg_pep_publish_encode(
		    SG_NS_PUBKEY, keyinfo->name, publish->access_model, item, &payload);
	return node_ask(request, STEP_PUBLISH, "set", err, payload);
}

static int node_shown(struct sg_request *request, const struct sg_xml *payload)
{
	struct node_state *state = request->state;
	int err;

	sg_msg_clear(SG_MSG_PEP_NODE, &state->node);
	err = payload != NULL ? sg_pep_config_decode(payload, SG_NS_PUBKEY, &state->node)
			      : SG_ERR_FORMAT;
	return err == 0 ? node_members(request) : err;
}

static int members_shown(struct sg_request *request, const struct sg_xml *payload)
{
	struct node_state *state = request->state;
	const char *own = sg_stream_bare_jid(request->on->stream);
	int err = payload != NULL ? sg_pep_members_decode(payload, SG_NS_PUBKEY, own, &state->node)
				  : SG_ERR_FORMAT;

	return err == 0 ? node_subscribers(request) : err;
}

static int is_one_of(const char *jid, char *const *members, uint32_t count)
{
	char *bare = sg_jid_bare(jid);
	int is = 0;

	for (uint32_t i = 0; bare != NULL && !is && i < count; i++)
		is = strcmp(members[i], bare) == 0;
	free(bare);
	return is;
}

/*
 * Whether this subscriber may read, as far as one can tell here: by what is asked, or by the node as it is
 * when it is only shown. Of authorize, a subscription is the leave itself.
 */
static int may_read(void *arg, const char *jid)
{
	const struct sg_request *request = arg;
	const struct node_state *state = request->state;
	const struct sg_msg_pep_configure *asked = &state->asked;
	const char *model = asked->access_model;

	if (model == NULL)
		model = state->node.access_model;
	if (model == NULL || strcmp(model, "open") == 0 || strcmp(model, "authorize") == 0 ||
	    sg_contacts_is_own(request->on->contacts, jid))
		return 1;
	if (strcmp(model, "presence") == 0 && sg_contacts_sees_us(request->on->contacts, jid))
		return 1;
	if (strcmp(model, "roster") == 0 && sg_contacts_has(request->on->contacts, jid))
		return 1;
	return asked->access_model != NULL
	    ? is_one_of(jid, asked->members, asked->member_count)
	    : is_one_of(jid, state->node.members, state->node.member_count);
}

/*
 * A node that was there. Where subscriptions are not listed, who could read it once may be subscribed
 * still, and gets what is published (ejabberd sends it to them): it is made anew when fewer are to
 * read it. First it is configured all the same: a model that is refused costs no node.
 */
static int node_mend(struct sg_request *request)
{
	struct node_state *state = request->state;
	const struct sg_msg_pep_configure *asked = &state->asked;

	state->configured = 1;
	if (!state->node.subscribers_told && strcmp(asked->access_model, "open") != 0)
		state->renew = asked->renew || sg_pep_has_others(&state->node, asked) ||
		    sg_pep_has_other_groups(&state->node, asked) ||
		    sg_pep_lets_in_others(state->node.access_model, asked->access_model);
	return node_configure(request);
}

/* Its whole state has been read: what is wrong is set right, and then it is read again. */
static int node_judge(struct sg_request *request)
{
	struct node_state *state = request->state;
	const char *own = sg_stream_bare_jid(request->on->stream);
	struct sg_xml *change = NULL;
	int err;

	if (request->kind->type == SG_MSG_PEP_SHOW) {
		sg_request_answer(request, SG_MSG_PEP_NODE, &state->node);
		return 0;
	}
	state->node.made_anew = (uint32_t)state->made_anew;
	if (!state->configured)
		return node_mend(request);
	/* Before the affiliations: Prosody refuses to take one from who is subscribed. */
	if (state->node.subscriber_count > 0 && !state->unsubscribed)
		return node_unsubscribe(request);
	err = sg_pep_members_encode(SG_NS_PUBKEY, own, &state->node, state->asked.members,
	    state->asked.member_count, &change);
	if (err != 0)
		return err;
	if (change != NULL && !state->set_members) {
		state->set_members = 1;
		return node_ask(request, STEP_SET_MEMBERS, "set", 0, change);
	}
	sg_xml_free(change);
	if (state->made_anew && !state->set_outcasts) {
		state->set_outcasts = 1;
		err = sg_pep_outcasts_encode(SG_NS_PUBKEY, &state->before, &state->node,
		    state->asked.members, state->asked.member_count, &change);
		if (err != 0 || change != NULL)
			return node_ask(request, STEP_SET_MEMBERS, "set", err, change);
	}
	if (!state->made_anew && sg_pep_is_more_open(&state->node, &state->asked))
		return node_delete(request);
	return node_stands(request);
}

static int subscribers_shown(struct sg_request *request, const struct sg_xml *payload)
{
	struct node_state *state = request->state;
	int err = payload != NULL
	    ? sg_pep_subscribers_decode(payload, SG_NS_PUBKEY, may_read, request, &state->node)
	    : SG_ERR_FORMAT;

	return err == 0 ? node_judge(request) : err;
}

/* Gives 0 also when the request has ended. */
static int node_goes_on(struct sg_request *request, const struct sg_xml *payload)
{
	struct node_state *state = request->state;

	switch (state->step) {
	case STEP_CREATE:
		state->configured = 1;
		return node_show(request);
	case STEP_CONFIGURE:
		return state->renew ? node_delete(request) : node_show(request);
	case STEP_SHOW:
		return node_shown(request, payload);
	case STEP_MEMBERS:
		return members_shown(request, payload);
	case STEP_SUBSCRIBERS:
		return subscribers_shown(request, payload);
	case STEP_SET_MEMBERS:
	case STEP_UNSUBSCRIBE:
		return node_show(request);
	case STEP_DELETE:
		state->set_members = state->unsubscribed = 0;
		return node_create(request);
	case STEP_PUBLISH:
		return node_stands(request);
	case STEP_TRIAL:
		state->offered |= 1u << (state->model - 1);
		return trial_clean(request);
	case STEP_TRIAL_CLEAN:
		return trial_next(request);
	}
	return SG_ERR_INTERNAL;
}

/* The node cannot be removed, and nobody knows who gets what is published: nothing is. */
static void node_is_uncertain(struct sg_request *request, const struct sg_msg_error *error)
{
	struct node_state *state = request->state;

	sg_log(SG_LOG_ERROR, "the node with the keys cannot be made anew: %s", error->condition);
	state->node = state->before; /* it stands as it was */
	state->before = (struct sg_msg_pep_node){ 0 };
	state->node.made_anew = 0;
	state->node.uncertain = 1;
	sg_request_answer(request, SG_MSG_PEP_NODE, &state->node);
}

/* An error that is an answer all the same: 1 when the request goes on by it, or has ended; *err. */
static int node_takes_error(struct sg_request *request, struct sg_msg_error *error, int *err)
{
	struct node_state *state = request->state;
	const int is_absent = sg_msg_error_is(error, SG_ERR_STANZA, "item-not-found");

	*err = 0;
	if (state->step == STEP_CREATE && !state->made_anew &&
	    sg_msg_error_is(error, SG_ERR_STANZA, "conflict")) {
		*err = node_show(request);
	} else if ((state->step == STEP_CREATE || state->step == STEP_CONFIGURE) &&
	    is_refusal(error)) {
		*err = trial_begin(request, error);
	} else if (state->step == STEP_SHOW && request->kind->type == SG_MSG_PEP_SHOW &&
	    is_absent) {
		sg_request_answer(request, SG_MSG_PEP_NODE, &state->node);
	} else if (state->step == STEP_SUBSCRIBERS) {
		*err = node_judge(request); /* it does not list them */
	} else if ((state->step == STEP_SET_MEMBERS || state->step == STEP_UNSUBSCRIBE) &&
	    !state->made_anew) {
		*err = node_delete(request);
	} else if (state->step == STEP_DELETE && is_absent) {
		*err = node_goes_on(request, NULL);
	} else if (state->step == STEP_DELETE) {
		node_is_uncertain(request, error);
	} else if (state->step == STEP_TRIAL || state->step == STEP_TRIAL_CLEAN) {
		*err = trial_next(request);
	} else {
		return 0;
	}
	return 1;
}

static const char *what_failed(const struct sg_request *request)
{
	switch (request->kind->type) {
	case SG_MSG_PEP_SHOW:
		return "the node could not be read";
	case SG_MSG_PEP_CONFIGURE:
		return "the node could not be configured";
	default:
		return "the keys could not be published";
	}
}

/* One question at a time: the node stands and is as it should be before anything goes to it. */
static void node_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	int lost = error != NULL && error->condition == NULL;
	int err = 0;

	request->open--;
	if (error != NULL && (lost || !node_takes_error(request, error, &err))) {
		sg_request_refuse(request, error);
		return;
	}
	if (error == NULL)
		err = node_goes_on(request, payload);
	if (err == SG_ERR_FORMAT)
		sg_request_fail(request, err, "the server does not tell how its node is");
	else if (err != 0)
		sg_request_fail(request, err, what_failed(request));
}

/* ---- their beginnings ---- */

static int publish_start(struct sg_request *request)
{
	const struct sg_msg_pep_publish *publish = request->msg;
	struct node_state *state = sg_request_state(request, sizeof(*state), node_state_free);

	if (state == NULL)
		return SG_ERR_NOMEM;
	if (publish->access_model == NULL)
		return SG_ERR_ARG;
	state->asked = (struct sg_msg_pep_configure){ publish->access_model, publish->members,
		publish->member_count, publish->groups, publish->group_count, publish->renew };
	return node_create(request);
}

static int configure_start(struct sg_request *request)
{
	const struct sg_msg_pep_configure *configure = request->msg;
	struct node_state *state = sg_request_state(request, sizeof(*state), node_state_free);

	if (state == NULL)
		return SG_ERR_NOMEM;
	if (configure->access_model == NULL)
		return SG_ERR_ARG;
	state->asked = *configure;
	return node_create(request);
}

static int show_start(struct sg_request *request)
{
	if (sg_request_state(request, sizeof(struct node_state), node_state_free) == NULL)
		return SG_ERR_NOMEM;
	return node_show(request);
}

/* ---- retracting: one item a question, all asked at once ---- */

static int retract_start(struct sg_request *request)
{
	const struct sg_msg_pep_retract *retract = request->msg;
	struct sg_xml *payload;
	int err = 0;

	if (retract->name_count == 0)
		return SG_ERR_ARG;
	for (uint32_t i = 0; err == 0 && i < retract->name_count; i++) {
		payload = NULL;
		err = sg_pep_retract_encode(SG_NS_PUBKEY, retract->names[i], &payload);
		err = sg_request_ask(request, "set", NULL, err, payload);
	}
	/* Those that were asked end the request. */
	if (request->open > 0 && err != 0)
		sg_msg_error_set(&request->error, err, NULL, NULL);
	return request->open > 0 ? 0 : err;
}

static void retract_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;

	/* What is not there need not be taken away. */
	if (error != NULL && !sg_msg_error_is(error, SG_ERR_STANZA, "item-not-found") &&
	    request->error.code == 0) {
		request->error = *error;
		*error = (struct sg_msg_error){ 0 };
	}
	if (--request->open > 0)
		return;
	if (request->error.code != 0)
		sg_request_refuse(request, &request->error);
	else
		sg_request_ok(request);
}

/* ---- what another's node tells everybody ---- */

static int look_start(struct sg_request *request)
{
	const struct sg_msg_pep_fetch *look = request->msg;
	struct sg_xml *payload = NULL;
	int err;

	request->to = look->jid != NULL ? sg_jid_bare(look->jid) : NULL;
	if (request->to == NULL || !sg_jid_is_account(request->to))
		return SG_ERR_ARG;
	err = sg_pep_look_encode(SG_NS_PUBKEY, &payload);
	return sg_request_ask(request, "get", request->to, err, payload);
}

static void look_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	struct sg_request *request = arg;
	struct sg_msg_pep_node node = { 0 };
	int err = 0;

	if (error != NULL && !sg_msg_error_is(error, SG_ERR_STANZA, "item-not-found")) {
		sg_request_refuse(request, error);
		return;
	}
	if (error == NULL)
		err = payload != NULL ? sg_pep_look_decode(payload, SG_NS_PUBKEY, &node)
				      : SG_ERR_FORMAT;
	if (err != 0)
		sg_request_fail(request, err, "the answer tells nothing of a node");
	else
		sg_request_answer(request, SG_MSG_PEP_NODE, &node);
	sg_msg_clear(SG_MSG_PEP_NODE, &node);
}

const struct sg_request_kind sg_pep_requests[] = {
	{ SG_MSG_PEP_PUBLISH, publish_start, node_done },
	{ SG_MSG_PEP_CONFIGURE, configure_start, node_done },
	{ SG_MSG_PEP_SHOW, show_start, node_done },
	{ SG_MSG_PEP_RETRACT, retract_start, retract_done },
	{ SG_MSG_PEP_LOOK, look_start, look_done },
	{ 0, NULL, NULL },
};
