/* FetchKeys, AskKeys, SendKeys: the keys of others, and ours for others, from client to client. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "api_json.h"
#include "asking.h"
#include "call.h"
#include "key_names.h"
#include "key_reply.h"
#include "keyring.h"
#include "text.h"
#include "watching.h"
#include "worker.h"

/* By which way keys were got, or are being asked for; in this order. */
enum way {
	WAY_NODE,
	WAY_DIRECT, /* K12 */
	WAY_THIRD,  /* K13 */
};
static const char *const way_names[] = { "node", "direct", "third" };
#define WAY_COUNT 3

/* What came of a way. */
struct tried {
	int is_tried;
	uint32_t asked, silent; /* clients: asked, and of those without an answer */
	char *said;		/* why it led to nothing, when it is not that nothing is there */
};

/* call->state of FetchKeys and AskKeys. */
struct fetch {
	char *from; /* whose keys are wanted: bare */
	char *to;   /* AskKeys: who is asked, or NULL: from; FetchKeys: the third party, or NULL */
	struct sg_key_names names;
	enum way way;
	int only; /* no other way is tried */
	uint32_t count, refused;
	struct sg_msg_keyinfos keys; /* of the node, until they are kept and judged */
	json_t *last;		     /* reply, until the keys are kept */
	struct tried tried[WAY_COUNT];
	int empty;		   /* the node was read, and nothing is there */
	struct sg_msg_error error; /* why the node could not be read */
};

static void fetch_free(void *state)
{
	struct fetch *fetch = state;

	sg_key_names_clear(&fetch->names);
	free(fetch->from);
	free(fetch->to);
	json_decref(fetch->last);
	sg_msg_clear(SG_MSG_KEYINFOS, &fetch->keys);
	for (int i = 0; i < WAY_COUNT; i++)
		free(fetch->tried[i].said);
	sg_msg_clear(SG_MSG_ERROR, &fetch->error);
	free(fetch);
}

/* ---- what was tried ---- */

/* Notes how the way went that is being tried; keys are what came of clients, or NULL. */
static void note_tried(
    struct fetch *fetch, const struct sg_msg_error *error, const struct sg_msg_keyinfos *keys)
{
	struct tried *tried = &fetch->tried[fetch->way];

	tried->is_tried = 1;
	if (keys != NULL) {
		tried->asked = keys->asked;
		tried->silent = keys->silent;
	}
	/* That none was there to be asked is told by their number. */
	if (error != NULL && sg_msg_error_code(error) != SG_ERR_KEY_ABSENT)
		tried->said = strdup(error->message == NULL && error->condition != NULL
			? error->condition
			: sg_failure_text(error));
}

static json_t *tried_json(const struct fetch *fetch)
{
	json_t *list = json_array();

	for (int i = 0; i < WAY_COUNT; i++) {
		const struct tried *tried = &fetch->tried[i];

		if (tried->is_tried)
			json_array_append_new(list,
			    json_pack("{s:s, s:I, s:I, s:o}", "way", way_names[i], "asked",
				(json_int_t)tried->asked, "silent", (json_int_t)tried->silent,
				"said", sg_json_text(tried->said)));
	}
	return list;
}

/* ---- what was got ---- */

static json_t *fetch_part(struct sg_call *call, json_t *keys, int is_last)
{
	const struct fetch *fetch = call->state;

	return json_pack("{s:o, s:I, s:I, s:s, s:o}", "keys", keys, "count",
	    (json_int_t)fetch->count, "refused", (json_int_t)fetch->refused, "way",
	    way_names[fetch->way], "tried", tried_json(fetch));
}

/* ---- keys of the node: kept before they are judged, for what changes on it meanwhile is kept, too ---- */

/* A node of which some were asked for by name is watched only now: the rest of it shall not arrive while they are being
   judged. */
static void node_judged(struct sg_call *call, int err, json_t *last, struct sg_msg_keyinfos *keys)
{
	const struct fetch *fetch = call->state;

	if (fetch->names.count > 0 && (fetch->count > 0 || fetch->refused > 0))
		sg_watching_add(call->account, fetch->from, 0);
	if (err == 0) {
		sg_call_reply(call, last);
		return;
	}
	json_decref(last);
	sg_call_fail_code(call, err, NULL);
}

/* What could not be kept is in the log, and comes again. */
static void node_learnt(void *arg, int err, const struct sg_lesson_sum *sum)
{
	struct sg_call *call = arg;
	struct fetch *fetch = call->state;

	if (err == SG_ERR_WORKER) { /* the agent ends */
		sg_call_fail_code(call, err, NULL);
		return;
	}
	if (fetch->names.count == 0 && (fetch->count > 0 || fetch->refused > 0))
		sg_watching_add(call->account, fetch->from, 1);
	sg_key_reply_start(call, &fetch->keys, fetch_part, node_judged);
}

/* Those that were asked for by name and have not come: the node does not show them. NULL without memory. */
static char **names_gone(const struct fetch *fetch, uint32_t *count)
{
	const struct sg_msg_keyinfos *keys = &fetch->keys;
	char **gone = calloc((size_t)fetch->names.count + 1, sizeof(*gone));
	char **came = calloc((size_t)keys->keyinfo_count + 1, sizeof(*came));
	size_t came_count = 0;

	*count = 0;
	for (uint32_t i = 0; came != NULL && i < keys->keyinfo_count; i++) {
		if (keys->keyinfos[i].name != NULL)
			came[came_count++] = keys->keyinfos[i].name;
	}
	if (came != NULL)
		qsort(came, came_count, sizeof(*came), sg_text_compare);
	for (uint32_t i = 0; came != NULL && gone != NULL && i < fetch->names.count; i++) {
		char **name = &fetch->names.list[i];

		if (bsearch(name, came, came_count, sizeof(*came), sg_text_compare) == NULL)
			gone[(*count)++] = *name;
	}
	free(came);
	return gone;
}

/* done: as of sg_keyring_learn(). */
static void node_learn(struct sg_call *call, sg_lesson_fn *done)
{
	struct fetch *fetch = call->state;
	struct sg_lesson lesson = {
		.jid = fetch->from,
		.source = SG_SIGHT_NODE,
		.borrows = 1,
		.whole = fetch->names.count == 0,
	};
	char **gone = names_gone(fetch, &lesson.retracted_count);

	lesson.retracted = gone;
	sg_keyring_learn(call->agent, &lesson, &fetch->keys, done, call);
	free(gone);
}

/* ---- keys of clients ---- */

/* What could not be kept is in the log. */
static void fetch_learnt(void *arg, int err, const struct sg_lesson_sum *sum)
{
	struct sg_call *call = arg;
	struct fetch *fetch = call->state;
	json_t *last = fetch->last;

	fetch->last = NULL;
	sg_call_reply(call, last);
}

static void fetch_judged(struct sg_call *call, int err, json_t *last, struct sg_msg_keyinfos *keys)
{
	struct fetch *fetch = call->state;
	char *third = fetch->way == WAY_THIRD ? sg_jid_bare(fetch->to) : NULL;
	struct sg_lesson lesson = {
		.jid = fetch->from,
		.source = fetch->way == WAY_THIRD ? SG_SIGHT_THIRD : SG_SIGHT_DIRECT,
		.told_by = third,
	};

	/* Without a last reply the call fails, but what was fetched is kept. */
	if (err != 0)
		json_decref(last);
	else
		fetch->last = last;
	if (fetch->way == WAY_THIRD && third == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_keyring_learn(call->agent, &lesson, keys, fetch_learnt, call);
	free(third);
}

/* The end of the call, with these keys. */
static void fetch_reply(struct sg_call *call, struct sg_msg_keyinfos *keys)
{
	struct fetch *fetch = call->state;

	fetch->refused = keys->refused;
	fetch->count = keys->keyinfo_count;
	if (fetch->way != WAY_NODE) {
		sg_key_reply_start(call, keys, fetch_part, fetch_judged);
		return;
	}
	fetch->keys = *keys;
	*keys = (struct sg_msg_keyinfos){ 0 };
	node_learn(call, node_learnt);
}

/* The node's error, with what came of its clients behind it. */
static void node_fail(struct sg_call *call)
{
	struct fetch *fetch = call->state;
	const struct tried *tried = &fetch->tried[WAY_DIRECT];
	char *text = NULL;

	if (tried->asked > 0 && fetch->error.message != NULL &&
	    asprintf(&text, "%s; clients of it that were asked: %u, without an answer: %u",
		fetch->error.message, (unsigned)tried->asked, (unsigned)tried->silent) >= 0) {
		free(fetch->error.message);
		fetch->error.message = text;
	}
	sg_call_fail(call, &fetch->error);
}

/* No way has led to keys: the node's own answer is what counts. */
static void fetch_fail(struct sg_call *call, const struct sg_msg_error *last)
{
	struct fetch *fetch = call->state;
	struct sg_msg_keyinfos none = { 0 };

	if (fetch->empty) {
		fetch->way = WAY_NODE;
		fetch_reply(call, &none);
	} else if (fetch->error.code != 0) {
		node_fail(call);
	} else {
		sg_call_fail(call, last);
	}
}

/* ---- asking, one way after the other ---- */

static void ask_client(struct sg_call *call);

/* The next way, or the end. */
static void next_way(struct sg_call *call, const struct sg_msg_error *error)
{
	struct fetch *fetch = call->state;

	if (fetch->only || fetch->way == WAY_THIRD ||
	    (fetch->way == WAY_DIRECT && fetch->to == NULL) ||
	    call->account->state != SG_ACCOUNT_ONLINE) {
		fetch_fail(call, error);
		return;
	}
	fetch->way++;
	ask_client(call);
}

static void on_client(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_msg_keyinfos *keys = answer;
	struct fetch *fetch = call->state;

	if (error == NULL && keys->error_count > 0)
		error = &keys->errors[0]; /* of none of them came a good answer */
	note_tried(fetch, error, keys);
	if (error == NULL && (keys->keyinfo_count > 0 || fetch->only))
		fetch_reply(call, keys);
	else
		next_way(call, error);
}

/* A client of the JID itself, or of the third party. */
static void ask_client(struct sg_call *call)
{
	const struct fetch *fetch = call->state;
	const struct sg_msg_keys_ask ask = {
		.to = fetch->to != NULL && (fetch->only || fetch->way == WAY_THIRD) ? fetch->to
										    : fetch->from,
		.about = fetch->way == WAY_THIRD ? fetch->from : NULL,
		.names = fetch->names.list,
		.name_count = fetch->names.count,
	};

	sg_worker_request(
	    call->account->worker, SG_MSG_KEYS_ASK, &ask, -1, SG_XMPP_SECONDS, on_client, call);
}

static void on_node(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_msg_keyinfos *keys = answer;
	struct fetch *fetch = call->state;

	note_tried(fetch, error, NULL);
	if (error == NULL && (keys->keyinfo_count > 0 || keys->refused > 0)) {
		fetch_reply(call, keys);
		return;
	}
	if (error == NULL) {
		fetch->empty = 1;
		node_learn(call, NULL); /* whatever its clients say */
	} else {
		sg_msg_error_set(&fetch->error, sg_msg_error_code(error), error->subject,
		    error->message != NULL ? "%s" : NULL, error->message);
		fetch->error.condition = sg_text_copy(error->condition);
	}
	/* The own clients that are there hold no key which the own node lacks, and hear of nobody. */
	if (strcmp(fetch->from, call->account->row.jid) == 0 ||
	    (error != NULL && sg_msg_error_code(error) != SG_ERR_STANZA))
		fetch_fail(call, error);
	else
		next_way(call, error);
}

static void fetch_online(struct sg_call *call)
{
	const struct fetch *fetch = call->state;
	const struct sg_msg_pep_fetch msg = {
		.jid = fetch->from,
		.names = fetch->names.list,
		.name_count = fetch->names.count,
	};

	if (sg_call_is_online(call))
		sg_worker_request(call->account->worker, SG_MSG_PEP_FETCH, &msg, -1,
		    SG_XMPP_SECONDS, on_node, call);
}

static void ask_online(struct sg_call *call)
{
	if (sg_call_is_online(call))
		ask_client(call);
}

/* ---- their parameters ---- */

/* A JID of an account, bare or full, in *jid as it stands; 0 when the call has failed. */
static int take_jid(struct sg_call *call, const char *parameter, int is_bare, char **jid)
{
	const char *text = sg_call_string(call, parameter);
	char *bare = text != NULL ? sg_jid_bare(text) : NULL;

	*jid = NULL;
	if (text == NULL)
		return 1;
	if (bare == NULL || !sg_jid_is_account(bare)) {
		free(bare);
		sg_call_fail_with(
		    call, SG_ERR_ARG, parameter, "\"%s\" is no JID of an account", text);
		return 0;
	}
	*jid = is_bare ? bare : strdup(text);
	if (!is_bare)
		free(bare);
	if (*jid == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	return *jid != NULL;
}

/* 0 when the call has failed. */
static int take_fetch(struct sg_call *call, const char *from, const char *to, struct fetch **made)
{
	struct fetch *fetch = *made = calloc(1, sizeof(*fetch));
	int err;

	if (fetch == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return 0;
	}
	call->state = fetch;
	call->state_free = fetch_free;
	if (!take_jid(call, from, 1, &fetch->from) || !take_jid(call, to, 0, &fetch->to))
		return 0;
	err = sg_key_names_read(call, &fetch->names);
	if (err != 0)
		sg_key_names_fail(call, err);
	return err == 0 && sg_call_take_account(call, "jid");
}

void sg_verb_fetch_keys(struct sg_call *call)
{
	struct fetch *fetch;

	if (take_fetch(call, "from", "ask", &fetch))
		sg_call_go_online(call, fetch_online);
}

/* Without about, they are the keys of who is asked. */
void sg_verb_ask_keys(struct sg_call *call)
{
	struct fetch *fetch;

	if (!take_fetch(call, "about", "to", &fetch))
		return;
	fetch->only = 1;
	fetch->way = fetch->from != NULL ? WAY_THIRD : WAY_DIRECT;
	if (fetch->from == NULL && (fetch->from = sg_jid_bare(fetch->to)) == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_call_go_online(call, ask_online);
}

/* ---- SendKeys ---- */

/* call->state */
struct send {
	char *to, *about;
	struct sg_key_names names;
	struct sg_msg_keyinfos keys;
};

static void send_free(void *state)
{
	struct send *send = state;

	sg_key_names_clear(&send->names);
	sg_msg_clear(SG_MSG_KEYINFOS, &send->keys);
	free(send->to);
	free(send->about);
	free(send);
}

static void sent(struct sg_call *call, void *answer)
{
	const struct sg_msg_keys_sent *done = answer;
	const struct send *send = call->state;

	sg_call_reply(call,
	    json_pack("{s:I, s:b}", "sent", (json_int_t)send->keys.keyinfo_count, "revealed",
		done->revealed != 0 || call->agent->config.no_watch));
}

static void send_online(struct sg_call *call)
{
	const struct send *send = call->state;
	const struct sg_msg_keys_send msg = {
		.to = send->to,
		.about = send->about,
		.keyinfos = send->keys.keyinfos,
		.keyinfo_count = send->keys.keyinfo_count,
	};

	sg_call_ask_account(call, SG_MSG_KEYS_SEND, &msg, sent);
}

/* Own keys, or what is known as another's: which of those go to whom, the person says. */
static int send_collect(struct sg_call *call, struct send *send)
{
	if (send->about == NULL)
		return sg_asking_own_keys(
		    &send->keys, call->account, send->names.list, send->names.count);
	return sg_asking_known_keys(
	    &send->keys, call->agent->store, send->about, 0, send->names.list, send->names.count);
}

void sg_verb_send_keys(struct sg_call *call)
{
	struct send *send = calloc(1, sizeof(*send));
	int err;

	if (send == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->state = send;
	call->state_free = send_free;
	if (!take_jid(call, "to", 0, &send->to) || !take_jid(call, "about", 1, &send->about))
		return;
	err = sg_key_names_read(call, &send->names);
	if (err != 0) {
		sg_key_names_fail(call, err);
		return;
	}
	if (!sg_call_take_account(call, "jid"))
		return;
	err = send_collect(call, send);
	if (err == SG_ERR_LIMIT)
		sg_call_fail_with(call, err, send->about,
		    "there are more keys than a message may hold; send some by name");
	else if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	else if (send->keys.keyinfo_count == 0)
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT,
		    send->about != NULL ? send->about : call->account->row.jid,
		    "there is no such key of %s to send",
		    send->about != NULL ? send->about : call->account->row.jid);
	else
		sg_call_go_online(call, send_online);
}
