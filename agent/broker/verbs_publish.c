/* Publish, ShowPublished, Retract: the account's own node. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "ccm2.h"
#include "cert_protocol.h"
#include "api_json.h"
#include "key_names.h"
#include "key_reply.h"
#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "pep_node.h"
#include "public_keys.h"
#include "publishing.h"
#include "reconcile.h"
#include "stored_keys.h"
#include "text.h"
#include "worker.h"

/* call->state of Publish. */
struct publish {
	struct sg_msg_keyinfos keys;  /* what is published */
	struct sg_publishing_row row; /* as it will be */
	struct sg_publishing_lists lists;
	json_t *reply; /* for when the worker knows who is to be answered */
};

static void publish_free(void *state)
{
	struct publish *publish = state;

	sg_msg_clear(SG_MSG_KEYINFOS, &publish->keys);
	sg_publishing_row_clear(&publish->row);
	sg_publishing_lists_clear(&publish->lists);
	json_decref(publish->reply);
	free(publish);
}

/* ---- what it is to be ---- */

static void fail_argument(struct sg_call *call, int err, const char *parameter)
{
	if (err == SG_ERR_NOMEM)
		sg_call_fail_code(call, err, NULL);
	else if (err == SG_ERR_LIMIT && strcmp(parameter, "groups") == 0)
		sg_call_fail_with(call, err, parameter,
		    "groups may hold %d names at most, and %u KiB of them", SG_PEP_GROUPS_MAX,
		    SG_PEP_CONFIG_MAX >> 10);
	else if (err == SG_ERR_LIMIT)
		sg_call_fail_with(
		    call, err, parameter, "%s may hold %d JIDs at most", parameter, SG_MEMBERS_MAX);
	else if (strcmp(parameter, "access") == 0)
		sg_call_fail_with(call, SG_ERR_ARG, parameter,
		    "access is one of open, presence, whitelist, roster, authorize");
	else if (strcmp(parameter, "members") == 0)
		sg_call_fail_with(call, SG_ERR_ARG, parameter,
		    "members are JIDs of other accounts, and belong to access whitelist alone");
	else if (strcmp(parameter, "groups") == 0)
		sg_call_fail_with(call, SG_ERR_ARG, parameter,
		    "groups are names of groups in the roster, each one line of at most %d bytes",
		    SG_PEP_GROUP_MAX);
	else
		sg_call_fail_with(call, SG_ERR_ARG, parameter,
		    "direct is one of contacts, own, nobody, or JIDs with commas between");
}

/* A list of the call, else as it was. */
static int take_list(
    const json_t *list, int (*join)(const json_t *, char **), const char *old, char **joined)
{
	if (json_is_array(list))
		return join(list, joined);
	*joined = sg_text_copy(old);
	return old == NULL || *joined != NULL ? 0 : SG_ERR_NOMEM;
}

/* What is not said stays as it was asked for the last time; at the first time it is presence (K9). Members
 * alone mean a whitelist. 0, or an error, with the parameter that is wrong in *wrong. */
static int take_row(struct sg_call *call, struct sg_publishing_row *row, const char **wrong)
{
	const struct sg_publishing_row *old = &call->account->publishing;
	const json_t *members = json_object_get(call->parameters, "members");
	const char *access = sg_call_string(call, "access");
	const char *direct = sg_call_string(call, "direct");
	int has_members = json_is_array(members), err = 0;

	if (access == NULL)
		access = has_members ? "whitelist" : old->access != NULL ? old->access : "presence";
	*wrong = "access";
	if (!sg_pep_is_access_model(access))
		return SG_ERR_ARG;
	*wrong = "members";
	if (has_members && strcmp(access, "whitelist") != 0)
		return SG_ERR_ARG;
	row->more_open = old->more_open;
	row->access = strdup(access);
	err = take_list(members, sg_members_join, old->members, &row->members);
	if (err != 0)
		return err;
	*wrong = "groups";
	err = take_list(
	    json_object_get(call->parameters, "groups"), sg_groups_join, old->groups, &row->groups);
	if (err != 0)
		return err;
	*wrong = "direct";
	if (direct != NULL)
		err = sg_direct_parse(direct, &row->direct);
	else
		row->direct = sg_text_copy(old->direct);
	if (err == 0 &&
	    (row->access == NULL || (direct == NULL && old->direct != NULL && row->direct == NULL)))
		err = SG_ERR_NOMEM;
	return err;
}

/* By access roster nobody reads who is in no group that is named, and groups let in nobody else. 0 when the call has
 * failed for it. */
static int groups_fit(struct sg_call *call, const struct publish *publish)
{
	const struct sg_publishing_row *row = &publish->row;
	struct sg_xml *payload = NULL;
	int err;

	if (strcmp(row->access, "roster") != 0) {
		if (!json_is_array(json_object_get(call->parameters, "groups")))
			return 1;
		sg_call_advise(
		    call, SG_ERR_ARG, "Say `--access roster` with it, or leave `--group` out.");
		sg_call_fail_with(call, SG_ERR_ARG, "groups",
		    "groups of the roster belong to access roster alone, and the access is %s",
		    row->access);
		return 0;
	}
	if (publish->lists.group_count == 0) {
		sg_call_advise(call, SG_ERR_ARG,
		    "Name the groups of your roster that may read, each with `--group`, or let all "
		    "contacts read by `--access presence`.");
		sg_call_fail_with(call, SG_ERR_ARG, "groups",
		    "access roster lets in who is in a group of the roster that is named, and none "
		    "is: nobody could read the keys");
		return 0;
	}
	err = sg_pep_configure_encode(
	    SG_NS_PUBKEY, row->access, publish->lists.groups, publish->lists.group_count, &payload);
	sg_xml_free(payload);
	if (err != 0)
		fail_argument(call, err, "groups");
	return err == 0;
}

/* The account's own address reads its node anyway, and a server may refuse it as a member. */
static int names_itself(const struct sg_call *call, const struct publish *publish)
{
	for (uint32_t i = 0; i < publish->lists.member_count; i++) {
		if (strcmp(publish->lists.members[i], call->account->row.jid) == 0)
			return 1;
	}
	return 0;
}

/* NULL when the call has failed. */
static struct publish *publish_new(struct sg_call *call)
{
	struct publish *publish = calloc(1, sizeof(*publish));
	const char *wrong = "access";
	int err = SG_ERR_NOMEM;

	if (publish != NULL) {
		call->state = publish;
		call->state_free = publish_free;
		err = take_row(call, &publish->row, &wrong);
	}
	if (err == 0)
		err = sg_publishing_split(&publish->row, &publish->lists);
	if (err == 0 && names_itself(call, publish)) {
		wrong = "members";
		err = SG_ERR_ARG;
	}
	if (err == 0)
		return groups_fit(call, publish) ? publish : NULL;
	fail_argument(call, err, wrong);
	return NULL;
}

/* ---- Publish ---- */

/* What the person has said of direct requests holds when the call ends. */
static void policy_taken(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct publish *publish = call->state;
	json_t *reply = publish->reply;

	sg_publishing_told(call->account, error);
	publish->reply = NULL;
	sg_call_reply(call, reply);
}

static void published(struct sg_call *call, void *answer)
{
	static const struct sg_msg_keyinfos none = { 0 };
	struct publish *publish = call->state;
	const struct sg_msg_pep_node *node = answer;
	int err = sg_publishing_set(call->account, &publish->row);

	if (err != 0) {
		sg_call_fail_code(call, err, call->account->row.jid);
		return;
	}
	/* Nothing has gone to a node that is more open than asked. */
	sg_publishing_note(call->account, node, 1);
	publish->reply = json_pack("{s:o, s:o}", "node", sg_json_node(call->account, node), "keys",
	    sg_public_keys(call->account, node->published > 0 ? &publish->keys : &none));
	if (!sg_publishing_tell(call->account, policy_taken, call))
		policy_taken(call, NULL, NULL);
}

/* Somebody may have subscribed who is not to read it any more: by another access, or while it was too
 * open. What the node itself shows is not enough: an earlier call may have got half way. SG_ERR_NOMEM. */
static int needs_renewal(const struct sg_call *call, const struct publish *publish)
{
	const struct sg_publishing_row *old = &call->account->publishing;

	if (old->access != NULL && old->more_open)
		return 1;
	return sg_publishing_is_narrower(&publish->row, old);
}

/* A key that no server takes would end the stream, half way (K9). 0 when the call has failed for it. */
static int fits(struct sg_call *call, const struct sg_keyinfo *key, const char *access)
{
	struct sg_xml *item = NULL, *payload = NULL;
	int err = sg_keyinfo_encode(key, &item);

	if (err == 0)
		err = sg_pep_publish_encode(SG_NS_PUBKEY, key->name, access, item, &payload);
	sg_xml_free(payload);
	if (err == 0)
		return 1;
	if (err != SG_ERR_LIMIT) {
		sg_call_fail_code(call, err, key->name);
		return 0;
	}
	if (key->kind == SG_KEYINFO_PGP)
		sg_call_advise(call, SG_ERR_LIMIT,
		    "Take it out by `signet key pgp remove`, and add it anew without pictures and "
		    "signatures of others: `gpg --export --export-options "
		    "export-minimal,no-export-attributes`.");
	sg_call_fail_with(call, err, key->name,
	    "the key %s with its signatures is longer than the %u KiB that servers take; nothing "
	    "was published",
	    key->name, SG_PEP_PUBLISH_MAX >> 10);
	return 0;
}

static void publish_send(struct sg_call *call)
{
	struct publish *publish = call->state;
	const struct sg_msg_pep_configure asked =
	    sg_publishing_asked(&publish->row, &publish->lists);
	const int renew = needs_renewal(call, publish);
	const struct sg_msg_pep_publish msg = {
		.access_model = asked.access_model,
		.members = asked.members,
		.member_count = asked.member_count,
		.groups = asked.groups,
		.group_count = asked.group_count,
		.renew = renew != 0,
		.keyinfos = publish->keys.keyinfos,
		.keyinfo_count = publish->keys.keyinfo_count,
	};

	for (uint32_t i = 0; i < msg.keyinfo_count; i++) {
		if (!fits(call, &msg.keyinfos[i], msg.access_model))
			return;
	}
	if (renew < 0)
		sg_call_fail_code(call, renew, NULL);
	else
		sg_call_ask_account(call, SG_MSG_PEP_PUBLISH, &msg, published);
}

/* Adds one of the account's certificates; one that was revoked is left out, and told by
 * *revoked. */
static int publish_add(
    struct sg_call *call, struct sg_msg_keyinfos *set, const char *sha256, const char **revoked)
{
	struct sg_cert_row cert;
	int err;

	if (sha256 == NULL)
		return 0;
	err = sg_store_cert_get(call->agent->store, call->account->row.jid, sha256, &cert);
	if (err != 0)
		return err;
	if (cert.revoked)
		*revoked = sha256;
	else
		err = sg_stored_keys_add(set, call->account, sha256);
	sg_cert_row_clear(&cert);
	return err;
}

static void publish_nothing(struct sg_call *call, const char *revoked)
{
	const char *jid = call->account->row.jid;

	sg_call_advise(call, SG_ERR_KEY_ABSENT,
	    "Get a certificate with `signet enrol`, or make a user key with `signet key new "
	    "--user`.");
	if (revoked != NULL)
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, revoked,
		    "%s has no key to publish: its certificate %s is revoked", jid, revoked);
	else
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, jid, "%s has no key to publish", jid);
}

/* The server lists what it has issued and not revoked (C7), by whomever: another key is not
 * published. */
static void publish_listed(struct sg_call *call, void *answer)
{
	const struct sg_msg_ccm2_certs *certs = answer;
	const struct sg_account_row *row = &call->account->row;
	struct publish *publish = call->state;
	struct sg_msg_keyinfos *set = &publish->keys;
	const char *revoked = NULL;
	int err;

	sg_call_advise(call, SG_ERR_STANZA, NULL);
	if (row->certificate != NULL && sg_reconcile_may_list(certs, row->certificate)) {
		publish_send(call);
		return;
	}
	sg_log(SG_LOG_WARN, "%s: the server does not list the certificate %s any more", row->jid,
	    row->certificate != NULL ? row->certificate : "");
	sg_msg_clear(SG_MSG_KEYINFOS, set);
	err = publish_add(call, set, row->user_certificate, &revoked);
	if (err == 0)
		err = sg_stored_keys_add_pgp(set, call->account);
	if (err != 0)
		sg_call_fail_code(call, err, row->jid);
	else if (set->keyinfo_count == 0)
		publish_nothing(call, row->certificate);
	else
		publish_send(call);
}

static void publish_featured(struct sg_call *call, void *answer)
{
	static const struct sg_msg_empty nothing = { 0 };

	sg_account_note_features(call->account, answer);
	if (sg_cert_protocol_can(answer, SG_NS_CCM2_LIST)) {
		sg_call_advise(call, SG_ERR_STANZA,
		    "The server was asked whether the certificate still stands. When the account "
		    "is logged in by that certificate, it is not asked: `signet account "
		    "disconnect`, then publish again without a password.");
		sg_call_ask_account(call, SG_MSG_CCM2_LIST, &nothing, publish_listed);
	} else {
		publish_send(call);
	}
}

static void publish_online(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };
	const char *current = call->account->row.certificate;

	if (current != NULL && !sg_account_is_logged_in_with(call->account, current))
		sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, publish_featured);
	else
		publish_send(call);
}

void sg_verb_publish(struct sg_call *call)
{
	struct publish *publish;
	const struct sg_account_row *row;
	const char *revoked = NULL;
	int err;

	if (!sg_call_take_account(call, "jid"))
		return;
	publish = publish_new(call);
	if (publish == NULL)
		return;
	row = &call->account->row;
	err = publish_add(call, &publish->keys, row->user_certificate, &revoked);
	if (err == 0)
		err = publish_add(call, &publish->keys, row->certificate, &revoked);
	if (err == 0)
		err = sg_stored_keys_add_pgp(&publish->keys, call->account);
	if (err == 0 && publish->keys.keyinfo_count == 0)
		publish_nothing(call, revoked);
	else if (err != 0)
		sg_call_fail_code(call, err, row->jid);
	else
		sg_call_go_online(call, publish_online);
}

/* ---- ShowPublished ---- */

/* call->state */
struct show {
	json_t *node;
	json_t *others;
	uint32_t count, refused;
};

static void show_free(void *state)
{
	struct show *show = state;

	json_decref(show->node);
	json_decref(show->others);
	free(show);
}

static int is_in(const struct sg_msg_keyinfos *set, const char *name)
{
	for (uint32_t i = 0; i < set->keyinfo_count; i++) {
		if (strcmp(set->keyinfos[i].name, name) == 0)
			return 1;
	}
	return 0;
}

/* The names of what Publish would not put there. NULL on an error. */
static json_t *others(struct sg_call *call, const struct sg_msg_keyinfos *keys)
{
	const struct sg_account_row *row = &call->account->row;
	struct sg_msg_keyinfos own = { 0 };
	const char *revoked = NULL;
	json_t *names = NULL;
	int err = publish_add(call, &own, row->user_certificate, &revoked);

	if (err == 0)
		err = publish_add(call, &own, row->certificate, &revoked);
	if (err == 0)
		err = sg_stored_keys_add_pgp(&own, call->account);
	if (err == 0)
		names = json_array();
	for (uint32_t i = 0; names != NULL && i < keys->keyinfo_count; i++) {
		if (!is_in(&own, keys->keyinfos[i].name))
			json_array_append_new(names, sg_json_text(keys->keyinfos[i].name));
	}
	sg_msg_clear(SG_MSG_KEYINFOS, &own);
	return names;
}

/* The names are in the last of several replies. */
static json_t *show_part(struct sg_call *call, json_t *keys, int is_last)
{
	const struct show *show = call->state;

	return json_pack("{s:O, s:o, s:I, s:o, s:I, s:o, s:n}", "node", show->node, "keys", keys,
	    "count", (json_int_t)show->count, "others",
	    is_last ? json_incref(show->others) : json_array(), "refused",
	    (json_int_t)show->refused, "direct", sg_json_direct(call->account), "unread");
}

/* The node is as it is, also where its owner may not read what is on it (ejabberd, by access roster). */
static void show_unread(struct sg_call *call, const struct sg_msg_error *error)
{
	const struct show *show = call->state;
	const char *words = error->message != NULL ? error->message : error->condition;

	sg_call_reply(call,
	    json_pack("{s:O, s:n, s:i, s:n, s:i, s:o, s:o}", "node", show->node, "keys", "count", 0,
		"others", "refused", 0, "direct", sg_json_direct(call->account), "unread",
		sg_json_text(words != NULL ? words : "no reason was given")));
}

static void show_judged(struct sg_call *call, int err, json_t *last, struct sg_msg_keyinfos *keys)
{
	if (err == 0) {
		sg_call_reply(call, last);
		return;
	}
	json_decref(last);
	sg_call_fail_code(call, err, call->account->row.jid);
}

/* Whether the server lets nobody read, not even the owner (ejabberd, by roster). */
static int is_refused(const struct sg_msg_error *error)
{
	return sg_msg_error_is(error, SG_ERR_STANZA, "not-authorized") ||
	    sg_msg_error_is(error, SG_ERR_STANZA, "forbidden");
}

static void show_fetched(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	struct sg_msg_keyinfos *keys = answer;
	struct show *show = call->state;

	if (error != NULL) {
		if (is_refused(error))
			show_unread(call, error);
		else
			sg_call_fail(call, error);
		return;
	}
	show->count = keys->keyinfo_count;
	show->refused = keys->refused;
	show->others = others(call, keys);
	sg_key_reply_start(call, keys, show_part, show_judged);
}

static void shown(struct sg_call *call, void *answer)
{
	struct sg_msg_pep_fetch fetch = { .jid = call->account->row.jid };
	struct show *show = calloc(1, sizeof(*show));

	sg_publishing_note(call->account, answer, 0);
	if (show != NULL) {
		call->state = show;
		call->state_free = show_free;
		show->node = sg_json_node(call->account, answer);
	}
	if (show == NULL || show->node == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else if (sg_call_is_online(call))
		sg_worker_request(call->account->worker, SG_MSG_PEP_FETCH, &fetch, -1,
		    SG_XMPP_SECONDS, show_fetched, call);
}

static void show_online(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };

	sg_call_ask_account(call, SG_MSG_PEP_SHOW, &nothing, shown);
}

void sg_verb_show_published(struct sg_call *call)
{
	if (sg_call_take_account(call, "jid"))
		sg_call_go_online(call, show_online);
}

/* ---- Retract ---- */

static void retracted(struct sg_call *call, void *answer)
{
	sg_call_reply(call, json_object());
}

static void retract_online(struct sg_call *call)
{
	const struct sg_key_names *names = call->state;
	const struct sg_msg_pep_retract msg = { names->list, names->count };

	sg_call_ask_account(call, SG_MSG_PEP_RETRACT, &msg, retracted);
}

void sg_verb_retract(struct sg_call *call)
{
	if (sg_call_take_account(call, "jid") && sg_call_take_key_names(call, 1))
		sg_call_go_online(call, retract_online);
}
