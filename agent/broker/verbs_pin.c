/* ChangePin and UnblockPin: a new user PIN, by the old one or by the PUK or SO PIN. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "call.h"
#include "json.h"
#include "ledger.h"
#include "log.h"
#include "pinentry.h"
#include "reaper.h"
#include "remember.h"
#include "rest.h"
#include "store.h"
#include "unlocked.h"

/* What goes on; of the call. */
struct pin_change {
	uint32_t by; /* enum sg_pin_user */
	struct sg_agent *agent;
	struct sg_module *module;
	char *token_uri;
	int paused;	      /* logins wait */
	const char *pin_file; /* of the configuration, or NULL */
};

static void resume(struct pin_change *change)
{
	if (change->paused)
		sg_login_resume(change->agent, change->module, change->token_uri);
	change->paused = 0;
}

static void change_free(void *arg)
{
	struct pin_change *change = arg;

	resume(change);
	free(change->token_uri);
	free(change);
}

static void pinentry_end(struct sg_call *call)
{
	struct sg_pin *pin = &call->pin;

	if (pin->changing > 0)
		sg_reaper_add(call->agent->reaper, pin->changing, SG_PINENTRY_GRACE_MS);
	if (pin->changing_sock >= 0)
		close(pin->changing_sock);
	pin->changing = 0;
	pin->changing_sock = -1;
}

static void change_failed(struct sg_call *call, const struct sg_msg_error *error)
{
	pinentry_end(call);
}

/* ---- afterwards ---- */

static void looked_at_again(struct sg_call *call)
{
	static const char note[] = "The configuration has a pin-source for this token: put the new "
				   "PIN into that file, too.";
	const struct pin_change *change = call->state;

	sg_call_reply(call,
	    json_pack("{s:o, s:o}", "token",
		sg_json_token(
		    call->agent, sg_token_ref_info(&call->token), call->token.module->name),
		"note", change->pin_file != NULL ? json_string(note) : json_null()));
}

static void changed(struct sg_call *call, void *answer)
{
	struct pin_change *change = call->state;
	const struct sg_token_info *token = sg_token_ref_info(&call->token);

	pinentry_end(call);
	call->undo = NULL;
	sg_ledger_renew(call->agent, token, change->by);
	change->pin_file = sg_config_pin_file(&call->agent->config, token->label, token->serial);
	if (change->pin_file != NULL)
		sg_log(SG_LOG_WARN, "%s has a new PIN: its pin-source %s is to get it, too",
		    change->token_uri, change->pin_file);
	sg_unlocked_forget(call->agent, change->module, change->token_uri);
	sg_remember_locked(call->agent, change->module, change->token_uri, "it has a new PIN");
	sg_rest_locked(change->module);
	resume(change);
	sg_call_find_token(call, change->token_uri, looked_at_again);
}

/* ---- the change ---- */

/* The general advice is about unlocking a token, and about data from elsewhere. */
static void advise(struct sg_call *call, int code)
{
	const struct pin_change *change = call->state;

	if (code == SG_ERR_PIN_NEEDED)
		sg_call_advise(call, code,
		    "Give both with --pin-file or --pin-fd, one in each of two lines; or leave "
		    "--batch away, to be asked for them.");
	else if (code == SG_ERR_PIN_LOCKED && change->by == SG_PIN_SO)
		sg_call_advise(call, code,
		    "It is the PUK or SO PIN that is locked: nothing here unlocks it. The token's "
		    "own "
		    "tool can reset it, which loses its keys; a TPM takes it again after a while, "
		    "or "
		    "after `tpm2_dictionarylockout --clear-lockout`.");
	else if (code == SG_ERR_DENIED)
		sg_call_advise(call, code,
		    "Enter it as a person: the same command at a terminal, or where a pinentry can "
		    "be "
		    "shown, without --batch, --pin-file and --pin-fd.");
	else if (code == SG_ERR_FORMAT)
		sg_call_advise(call, code,
		    "Put two lines there: the PIN that is there now (to unblock: the PUK or SO "
		    "PIN), then the new PIN. Nothing was tried.");
}

/* Gives the descriptor for the request, or -1 when the call has failed. */
static int change_pin(struct sg_call *call, struct sg_msg_pin_set *msg)
{
	struct sg_pin *pin = &call->pin;
	int err;

	if (pin->fd >= 0)
		return pin->fd;
	if (!pin->pinentry || pin->abandoned) {
		advise(call, SG_ERR_PIN_NEEDED);
		sg_call_fail_with(call, SG_ERR_PIN_NEEDED, msg->token,
		    "%s and the new PIN are needed: by a descriptor or a pinentry",
		    msg->by == SG_PIN_USER ? "the old PIN" : "the PUK or SO PIN");
		return -1;
	}
	err = sg_pinentry_start(
	    call->agent->config.pinentry, pin->display, &pin->changing, &pin->changing_sock);
	if (err != 0) {
		sg_call_fail_with(call, err, msg->token, "no pinentry could be started: %s",
		    call->agent->config.pinentry);
		return -1;
	}
	msg->source = SG_PIN_PINENTRY;
	msg->options = pin->options;
	msg->option_count = pin->option_count;
	return pin->changing_sock;
}

static void on_changed(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;

	if (error != NULL) {
		advise(call, sg_msg_error_code(error));
		sg_call_fail(call, error);
	} else {
		changed(call, answer);
	}
}

static void change_send(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	struct pin_change *change = call->state;
	struct sg_msg_pin_set msg = {
		.caller = call->caller, .token = change->token_uri, .by = change->by
	};
	int err = sg_ledger_get(call->agent, token, change->by, &msg.ledger);
	int fd;

	if (err != 0) {
		sg_call_fail_with(call, err, change->token_uri,
		    "no PIN is tried without the record of tries: %s",
		    sg_store_failure(call->agent->store, err));
		return;
	}
	fd = change_pin(call, &msg);
	if (fd >= 0) {
		sg_login_pause(call->agent, change->module, change->token_uri);
		change->paused = 1;
		sg_worker_request(change->module->worker, SG_MSG_PIN_SET, &msg, fd,
		    msg.source == SG_PIN_PINENTRY ? SG_PINENTRY_SECONDS : SG_TOKEN_SECONDS,
		    on_changed, call);
	}
	sg_ledger_clear(&msg.ledger);
}

static void token_found(struct sg_call *call)
{
	const struct sg_token_info *token = sg_token_ref_info(&call->token);
	struct pin_change *change = call->state;

	change->module = call->token.module;
	change->token_uri = strdup(token->uri != NULL ? token->uri : "");
	if (change->token_uri == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	} else if (sg_login_is_busy(call->agent, change->module, change->token_uri)) {
		sg_call_fail_with(call, SG_ERR_BUSY, change->token_uri,
		    "the token is being unlocked or locked, or gets a new PIN: try again when that "
		    "is over");
	} else {
		call->undo = change_failed;
		change_send(call);
	}
}

static void begin(struct sg_call *call, uint32_t by)
{
	struct pin_change *change = calloc(1, sizeof(*change));

	if (change == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	change->by = by;
	change->agent = call->agent;
	call->state = change;
	call->state_free = change_free;
	sg_call_find_token(call, sg_call_string(call, "token"), token_found);
}

void sg_verb_change_pin(struct sg_call *call)
{
	begin(call, SG_PIN_USER);
}

void sg_verb_unblock_pin(struct sg_call *call)
{
	begin(call, SG_PIN_SO);
}
