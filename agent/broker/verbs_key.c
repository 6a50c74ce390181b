/* NewKey, ListKeys, ShowKey, MakeCsr, UseKey. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "attestation.h"
#include "call.h"
#include "call_key.h"
#include "json.h"
#include "key_cache.h"
#include "key_known.h"
#include "log.h"
#include "text.h"
#include "user_key.h"

/* The reply of NewKey and UseKey. */
static void key_done(struct sg_call *call)
{
	sg_call_reply(call,
	    json_pack("{s:o, s:o}", "key",
		sg_json_key(sg_key_ref_info(&call->key), &call->key.objects), "certificate",
		sg_call_flag(call, "user") ? sg_user_key_certificate(call) : json_null()));
}

/* ---- NewKey ---- */

/* The call fails, and what is on the token all the same is said with it. */
static void new_key_fail(struct sg_call *call, const struct sg_msg_error *error, const char *left)
{
	struct sg_msg_error whole;
	char *text;

	sg_log(SG_LOG_WARN, "%s", left);
	sg_failure_copy(&whole, error);
	if (whole.message != NULL && asprintf(&text, "%s. %s", whole.message, left) >= 0) {
		free(whole.message);
		whole.message = text;
	}
	sg_call_fail(call, &whole);
	sg_failure_clear(&whole);
}

/* It was made, and is to go with what failed after it. */
struct retreat {
	struct sg_call *call;
	struct sg_msg_error error;
};

static void new_key_stays(struct sg_call *call, const struct sg_msg_error *error)
{
	const char *uri = sg_key_ref_info(&call->key)->uri;
	int is_user = sg_call_flag(call, "user");
	char *left = NULL;

	if (asprintf(&left, "The new key is on the token: go on with `signet key use '%s'%s%s`",
		uri, is_user ? " --user --account " : "",
		is_user ? call->account->row.jid : "") < 0)
		left = NULL;
	new_key_fail(call, error, left != NULL ? left : "The new key is on the token");
	free(left);
}

static void on_discarded(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct retreat *retreat = arg;
	struct sg_call *call = retreat->call;

	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	if (error != NULL)
		new_key_stays(call, &retreat->error);
	else
		sg_call_fail(call, &retreat->error);
	sg_failure_clear(&retreat->error);
	free(retreat);
}

static int is_of_process(const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	return code == SG_ERR_WORKER || code == SG_ERR_TIMEOUT;
}

/* The process that made it takes it back; another one would not. */
static void new_key_retract(struct sg_call *call, const struct sg_msg_error *error)
{
	const struct sg_msg_key_discard msg = { .caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri };
	struct retreat *retreat = is_of_process(error) ? NULL : malloc(sizeof(*retreat));

	if (retreat == NULL) {
		new_key_stays(call, error);
		return;
	}
	retreat->call = call;
	sg_failure_copy(&retreat->error, error);
	sg_worker_request(call->key.module->worker, SG_MSG_KEY_DISCARD, &msg, -1, SG_TOKEN_SECONDS,
	    on_discarded, retreat);
}

/* The process ended while it made one: nobody knows how far that came. */
static void new_key_unsure(struct sg_call *call, const struct sg_msg_error *error)
{
	char *left = NULL;

	if (!is_of_process(error)) {
		sg_call_fail(call, error);
		return;
	}
	if (asprintf(&left,
		"The key '%s', or half of it, may be on the token: look with `signet key list`, "
		"adopt it with `signet key use`, or remove it with the token's own tool",
		sg_call_string(call, "label")) < 0)
		left = NULL;
	new_key_fail(call, error, left != NULL ? left : "The key may be on the token");
	free(left);
}

static void new_key_made(struct sg_call *call, void *answer)
{
	struct sg_msg_objects *made = answer;
	int err;

	call->retract = NULL;
	if (made->key_count != 1 || made->keys[0].uri == NULL) {
		sg_call_fail_with(
		    call, SG_ERR_INTERNAL, NULL, "the token did not say what it made");
		return;
	}
	sg_call_note_stored(call, NULL);
	sg_call_advise(call, SG_ERR_ARG, NULL);
	call->key.module = call->token.module;
	call->key.objects = *made;
	memset(made, 0, sizeof(*made));
	call->retract = new_key_retract;
	err = sg_key_known_put(call->agent, &call->key, 0);
	if (err != 0) {
		sg_call_fail_code(call, err, sg_key_ref_info(&call->key)->uri);
		return;
	}
	if (!sg_call_flag(call, "user")) {
		key_done(call);
		return;
	}
	sg_user_key_make(call, key_done);
}

static void new_key_unlocked(struct sg_call *call)
{
	static char rsa2048[] = "rsa2048";
	char *algorithm = sg_call_text(call, "algorithm");
	const struct sg_msg_key_generate msg = {
		.caller = call->caller,
		.token = sg_token_ref_info(&call->token)->uri,
		.label = sg_call_text(call, "label"),
		.algorithm = algorithm != NULL ? algorithm : rsa2048,
	};

	/* The arguments have been judged: what is left is a label that is taken. */
	sg_call_advise(call, SG_ERR_ARG,
	    "Choose another label; `signet key list` shows those that are taken.");
	call->retract = new_key_unsure;
	sg_call_ask(call, call->token.module->worker, SG_MSG_KEY_GENERATE, &msg,
	    SG_GENERATE_SECONDS, new_key_made);
}

static void new_key_token(struct sg_call *call)
{
	sg_call_unlock_token(call, new_key_unlocked);
}

static int algorithm_is_known(const char *algorithm)
{
	static const char *const known[] = { "rsa2048", "rsa3072", "rsa4096", "p256", "p384" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(known[i], algorithm) == 0)
			return 1;
	}
	return 0;
}

void sg_verb_new_key(struct sg_call *call)
{
	const char *algorithm = sg_call_string(call, "algorithm");
	const char *label = sg_call_string(call, "label");

	if (label[0] == '\0' || !sg_utf8_is_text(label, SG_KEY_LABEL_MAX)) {
		sg_call_fail_with(call, SG_ERR_ARG, "label", "a label is a text of 1 to %d bytes",
		    SG_KEY_LABEL_MAX);
		return;
	}
	if (algorithm != NULL && !algorithm_is_known(algorithm)) {
		sg_call_fail_with(call, SG_ERR_ARG, "algorithm",
		    "\"%s\" is none of rsa2048, rsa3072, rsa4096, p256, p384", algorithm);
		return;
	}
	if (!sg_user_key_take(call))
		return;
	sg_call_find_token(call, sg_call_string(call, "token"), new_key_token);
}

/* ---- ListKeys ---- */

static void on_keys(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;
	const struct sg_msg_error *failed = sg_module_answers_failed(answers, count);
	json_t *array;

	if (failed != NULL) {
		sg_call_fail(call, failed);
		return;
	}
	array = json_array();
	for (size_t i = 0; i < count; i++) {
		const struct sg_msg_objects *objects = &answers[i].u.objects;

		for (uint32_t k = 0; answers[i].error.code == 0 && k < objects->key_count; k++)
			json_array_append_new(array, sg_json_key(&objects->keys[k], objects));
	}
	sg_call_reply(call, json_pack("{s:o}", "keys", array));
}

void sg_verb_list_keys(struct sg_call *call)
{
	static char everything[] = "";
	char *selector = sg_call_text(call, "selector");
	const struct sg_msg_object_list msg = {
		.caller = call->caller,
		.selector = selector != NULL ? selector : everything,
	};

	sg_ask_objects(call->agent->tokens, &msg, on_keys, call);
}

/* ---- ShowKey ---- */

static void show_key_reply(struct sg_call *call, int kept)
{
	const struct sg_msg_objects *objects = &call->key.objects;
	json_t *certs = json_array();

	for (uint32_t i = 0; i < objects->cert_count; i++) {
		json_t *cert = sg_json_certificate(&objects->certs[i].der, objects->certs[i].uri);

		if (json_is_object(cert))
			json_array_append_new(certs, cert);
		else
			json_decref(cert);
	}
	sg_call_reply(call,
	    json_pack("{s:o, s:o, s:o}", "key", sg_json_key(sg_key_ref_info(&call->key), objects),
		"certificates", certs, "attestation", sg_json_attestation(call, kept)));
}

static void show_key_attested(struct sg_call *call)
{
	show_key_reply(call, 0);
}

/* What was kept with a request is shown before what the token says now: it is that which counted. */
static void show_key_found(struct sg_call *call)
{
	if (!sg_call_flag(call, "attestation"))
		show_key_reply(call, 0);
	else if (sg_attestation_kept(call))
		show_key_reply(call, 1);
	else
		sg_call_attest(call, show_key_attested);
}

void sg_verb_show_key(struct sg_call *call)
{
	sg_call_find_key(call, sg_call_string(call, "key"), show_key_found);
}

/* ---- MakeCsr ---- */

static void csr_made(struct sg_call *call, void *answer)
{
	const struct sg_msg_der *der = answer;
	char *text = sg_base64_encode(der->der.data, der->der.len);

	sg_call_reply(call, json_pack("{s:o}", "csr", sg_json_text_or_empty(text)));
	free(text);
}

static void csr_key_unlocked(struct sg_call *call)
{
	const struct sg_msg_csr_make msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.jid = call->state,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	sg_call_ask_key(call, SG_MSG_CSR_MAKE, &msg, SG_TOKEN_SECONDS, csr_made);
}

void sg_verb_make_csr(struct sg_call *call)
{
	const char *jid = sg_call_string(call, "jid");

	call->state = sg_jid_bare(jid);
	call->state_free = free;
	if (call->state == NULL || !sg_jid_is_account(call->state))
		sg_call_fail_with(call, SG_ERR_ARG, "jid", "\"%s\" is no JID of an account", jid);
	else
		sg_call_use_key(call, sg_call_string(call, "key"), csr_key_unlocked);
}

/* ---- UseKey ---- */

static void use_key_probed(struct sg_call *call, void *answer)
{
	struct sg_msg_objects *probed = answer;
	struct sg_msg_objects *own = &call->key.objects;
	const char *uri = sg_key_ref_info(&call->key)->uri;
	struct sg_key_info *keys;
	int err;

	if (probed->key_count != 1 || probed->keys[0].uri == NULL ||
	    probed->keys[0].spki.len == 0) {
		sg_call_fail_with(
		    call, SG_ERR_INTERNAL, uri, "the token did not say what it has tried");
		return;
	}
	/* The certificates are those that were found with it. */
	keys = own->keys;
	own->keys = probed->keys;
	probed->keys = keys;
	err = sg_key_known_put(call->agent, &call->key, 1);
	if (err != 0)
		sg_call_fail_code(call, err, sg_key_ref_info(&call->key)->uri);
	else if (sg_call_flag(call, "user"))
		sg_user_key_make(call, key_done);
	else
		key_done(call);
}

static void use_key_unlocked(struct sg_call *call)
{
	const struct sg_msg_key_probe msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
	};

	sg_call_ask_key(call, SG_MSG_KEY_PROBE, &msg, SG_TOKEN_SECONDS, use_key_probed);
}

void sg_verb_use_key(struct sg_call *call)
{
	if (sg_user_key_take(call))
		sg_call_use_key_anew(call, sg_call_string(call, "key"), use_key_unlocked);
}
