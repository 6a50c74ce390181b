/* ReleaseToken. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>

#include "call.h"
#include "reaper.h"
#include "rest.h"

#define PATIENCE_MS 500 /* for what is being done with the token */

/* The modules that are asked, until all have answered and their processes have ended. */
struct release {
	size_t waiting;
	struct sg_msg_error error; /* the first one */
	char *note;		   /* not all that was to end has ended */
};

/* Of one of them. */
struct release_part {
	struct sg_call *call; /* NULL when its answer is too late */
	struct sg_module *module;
	struct event *patience;
};

static void release_free(void *arg)
{
	struct release *release = arg;

	sg_failure_clear(&release->error);
	free(release->note);
	free(release);
}

static void part_is_over(void *arg)
{
	struct sg_call *call = arg;
	struct release *release = call->state;

	if (--release->waiting > 0)
		return;
	if (release->error.code != 0)
		sg_call_fail(call, &release->error);
	else
		sg_call_reply(call, json_pack("{s:s?}", "note", release->note));
}

static void note_why(struct release *release, const struct sg_module *module, int closed, char *why)
{
	if (why != NULL && release->note == NULL &&
	    asprintf(&release->note,
		"%s, but the module %s stays connected: %s. Lock that one, or wait, then release "
		"again.",
		closed ? "All sessions are closed"
		       : "Sessions are closed when the call that works with the token is over",
		module->name, why) < 0)
		abort(); /* the token would be taken for free */
	free(why);
}

/* Sessions are closed, or are not to be waited for any longer. */
static void part_end(struct sg_call *call, struct sg_module *module, int closed)
{
	const struct sg_token_info *token =
	    call->token.module != NULL ? sg_token_ref_info(&call->token) : NULL;
	pid_t pid = sg_worker_pid(module->worker);

	note_why(call->state, module, closed, sg_rest_released(module, token));
	if (!sg_reaper_wait(call->agent->reaper, pid, part_is_over, call))
		part_is_over(call);
}

static void part_free(struct release_part *part)
{
	event_free(part->patience);
	free(part);
}

static void on_released(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct release_part *part = arg;
	struct sg_call *call = part->call;
	struct sg_module *module = part->module;
	struct release *release;

	part_free(part);
	if (call == NULL)
		return;
	release = call->state;
	/* Without its process the module has no session. */
	if (error == NULL || sg_worker_pid(module->worker) == 0) {
		part_end(call, module, 1);
		return;
	}
	if (release->error.code == 0) {
		sg_failure_copy(&release->error, error);
		release->error.code = (uint32_t)-sg_msg_error_code(error);
	}
	part_is_over(call);
}

/* The token works on something else. Its answer to this may come while its process is ended here. */
static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct release_part *part = arg;
	struct sg_call *call = part->call;

	part->call = NULL;
	part_end(call, part->module, 0);
}

static void release_ask(struct sg_call *call, struct sg_module *module, char *token)
{
	static const struct timeval patience = { 0, PATIENCE_MS * 1000L };
	struct release *release = call->state;
	struct release_part *part = malloc(sizeof(*part));
	const struct sg_msg_token_ref msg = { .caller = call->caller, .token = token };

	if (part == NULL)
		abort(); /* the caller would wait for ever */
	*part = (struct release_part){ .call = call, .module = module };
	part->patience = evtimer_new(call->agent->base, on_patience, part);
	if (part->patience == NULL || evtimer_add(part->patience, &patience) != 0)
		abort();
	release->waiting++;
	sg_worker_request(
	    module->worker, SG_MSG_TOKEN_RELEASE, &msg, -1, SG_TOKEN_SECONDS, on_released, part);
}

/* A worker that does not run has no session. */
static void release_found(struct sg_call *call)
{
	struct sg_module *module = call->token.module;
	char *uri = sg_token_ref_info(&call->token)->uri;

	if (uri == NULL)
		sg_call_fail_with(call, SG_ERR_INTERNAL, NULL, "the token has no URI");
	else if (sg_worker_pid(module->worker) > 0)
		release_ask(call, module, uri);
	else
		sg_call_reply(call, json_pack("{s:n}", "note"));
}

static void release_all(struct sg_call *call)
{
	struct sg_tokens *tokens = call->agent->tokens;
	const struct release *release = call->state;
	char all[] = "";

	for (size_t i = 0; i < sg_tokens_module_count(tokens); i++) {
		struct sg_module *module = sg_tokens_module(tokens, i);

		if (sg_worker_pid(module->worker) > 0)
			release_ask(call, module, all);
	}
	if (release->waiting == 0)
		sg_call_reply(call, json_pack("{s:n}", "note"));
}

/* A token that is known is not looked for: its module may hang, and would take the card for that. */
void sg_verb_release_token(struct sg_call *call)
{
	const char *token = sg_call_string(call, "token");

	call->state = calloc(1, sizeof(struct release));
	call->state_free = release_free;
	if (call->state == NULL) {
		call->state_free = NULL;
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	} else if (token == NULL) {
		release_all(call);
	} else if (sg_tokens_find_known(call->agent->tokens, token, &call->token)) {
		release_found(call);
	} else {
		sg_call_find_token(call, token, release_found);
	}
}
