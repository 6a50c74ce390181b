#include "tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "text.h"
#include "unlocked.h"
#include "uri.h"

#define TOKEN_WINDOW 4	  /* as many as signet-token has threads for */
#define ALIKE_MAX    1000 /* candidates that are compared with each other */

/* Arguments of a worker, with their NULL; the strings belong to the configuration or are static. */
struct argv {
	char *words[8];
};

struct sg_tokens {
	struct sg_agent *agent;
	struct sg_module *modules;
	struct argv *argvs; /* one for each module */
	size_t module_count;
};

/* ---- the workers ---- */

static char *text(const char *constant)
{
	union {
		const char *in;
		char *out;
	} u = { .in = constant }; /* execv(3) promises not to write */

	return u.out;
}

static struct argv module_argv(
    const struct sg_config *config, const struct sg_config_module *module)
{
	struct argv argv = { { text("signet-token"), text("--role"), text("agent"),
	    text("--module"), module->path != NULL ? module->path : text("system") } };

	if (config->module_dirs != NULL) {
		argv.words[5] = text("--module-dirs");
		argv.words[6] = config->module_dirs;
	}
	return argv;
}

int sg_tokens_new(struct sg_agent *agent, struct sg_tokens **tokens)
{
	const struct sg_config *config = &agent->config;
	struct sg_tokens *made = calloc(1, sizeof(*made));
	int err = SG_ERR_NOMEM;

	*tokens = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	made->modules = calloc(config->module_count, sizeof(*made->modules));
	made->argvs = calloc(config->module_count, sizeof(*made->argvs));
	if (made->modules == NULL || made->argvs == NULL)
		goto fail;
	for (size_t i = 0; i < config->module_count; i++) {
		const struct sg_worker_spec spec = {
			.program = "signet-token",
			.kind = "token",
			.subject = config->modules[i].name,
			.argv = made->argvs[i].words,
			.window = TOKEN_WINDOW,
			.resends = 1,
		};

		made->argvs[i] = module_argv(config, &config->modules[i]);
		made->modules[i].name = config->modules[i].name;
		err = sg_worker_new(agent, &spec, &made->modules[i].worker);
		if (err != 0)
			goto fail;
		made->module_count++;
	}
	*tokens = made;
	return 0;
fail:
	sg_tokens_free(made);
	return err;
}

void sg_tokens_free(struct sg_tokens *tokens)
{
	if (tokens == NULL)
		return;
	for (size_t i = 0; i < tokens->module_count; i++) {
		sg_worker_free(tokens->modules[i].worker);
		sg_unlocked_clear(&tokens->modules[i]);
	}
	free(tokens->modules);
	free(tokens->argvs);
	free(tokens);
}

size_t sg_tokens_module_count(const struct sg_tokens *tokens)
{
	return tokens->module_count;
}

struct sg_module *sg_tokens_module(struct sg_tokens *tokens, size_t i)
{
	return &tokens->modules[i];
}

/* ---- asking them all ---- */

struct gather;

/* Whether the answers that are there will do, when others take too long. */
typedef int enough_fn(const struct gather *gather);

struct gather_slot {
	struct gather *gather;
	struct sg_module_answer *answer;
	unsigned process; /* of its worker, that was asked */
	int answered;
};

struct gather {
	uint16_t answer_type;
	struct sg_module_answer *answers;
	struct gather_slot *slots;
	size_t count;
	size_t waiting; /* answers still to come, also those that come too late */
	struct event *patience;
	int late; /* patience is over: it ends as soon as there is enough */
	enough_fn *enough;
	sg_all_fn *fn; /* NULL once it was called */
	void *arg;
};

static void gather_free(struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		if (gather->answers[i].error.code == 0)
			sg_msg_clear(gather->answer_type, &gather->answers[i].u);
		sg_failure_clear(&gather->answers[i].error);
	}
	if (gather->patience != NULL)
		event_free(gather->patience);
	free(gather->answers);
	free(gather->slots);
	free(gather);
}

static void gather_finish(struct gather *gather)
{
	sg_all_fn *fn = gather->fn;

	gather->fn = NULL;
	if (gather->patience != NULL)
		event_del(gather->patience);
	if (fn != NULL)
		fn(gather->arg, gather->answers, gather->count);
	if (gather->waiting == 0)
		gather_free(gather);
}

/* ---- modules that hang ---- */

/* It is not waited for again for a while: each call would pay for it. */
static void module_hangs(struct sg_module *module)
{
	module->hangs_until = sg_clock_ms() + (int64_t)SG_HANGING_SECONDS * 1000;
	sg_log(SG_LOG_WARN, "the module %s hangs: for %d s no call waits for it", module->name,
	    SG_HANGING_SECONDS);
}

static void module_answered(const struct gather_slot *slot, const struct sg_msg_error *error)
{
	struct sg_module *module = slot->answer->module;

	if (error == NULL) {
		module->answered_by = slot->process;
		module->hangs_until = 0;
	} else if (sg_msg_error_code(error) == SG_ERR_TIMEOUT &&
	    module->answered_by != slot->process) {
		module_hangs(module);
	}
}

static void slot_fail(const struct gather_slot *slot, const char *why)
{
	const char *name = slot->answer->module->name;

	sg_msg_error_set(&slot->answer->error, SG_ERR_TIMEOUT, name, "the module %s %s", name, why);
}

/* Ends it without those that have not answered, if the others will do. */
static void gather_end_early(struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		if (!gather->slots[i].answered)
			slot_fail(&gather->slots[i], "has not answered yet");
	}
	if (gather->enough(gather)) {
		gather_finish(gather);
		return;
	}
	for (size_t i = 0; i < gather->count; i++) {
		if (!gather->slots[i].answered)
			sg_failure_clear(&gather->slots[i].answer->error);
	}
}

static void on_module_answer(void *arg, const struct sg_msg_error *error, void *msg)
{
	struct gather_slot *slot = arg;
	struct gather *gather = slot->gather;
	size_t size = sg_msg_layout(gather->answer_type)->size;

	gather->waiting--;
	slot->answered = 1;
	module_answered(slot, error);
	if (gather->fn != NULL && error != NULL) {
		sg_failure_copy(&slot->answer->error, error);
		slot->answer->error.code = (uint32_t)-sg_msg_error_code(error);
	} else if (gather->fn != NULL) {
		memcpy(&slot->answer->u, msg, size);
		memset(msg, 0, size);
	}
	if (gather->waiting == 0)
		gather_finish(gather);
	else if (gather->fn != NULL && gather->late)
		gather_end_early(gather);
}

/* A module whose process has never answered yet hangs, as far as anybody can tell; others are busy. */
static void on_patience_over(evutil_socket_t fd, short what, void *arg)
{
	struct gather *gather = arg;

	gather->late = 1;
	for (size_t i = 0; i < gather->count; i++) {
		const struct gather_slot *slot = &gather->slots[i];
		struct sg_module *module = slot->answer->module;

		if (slot->answered)
			continue;
		if (module->answered_by != slot->process && module->hangs_until <= sg_clock_ms())
			module_hangs(module);
		else
			sg_log(SG_LOG_INFO, "the module %s is busy", module->name);
	}
	gather_end_early(gather);
}

static int enough_always(const struct gather *gather)
{
	return 1;
}

static int enough_any(const struct gather *gather)
{
	return sg_tokens_all_failed(gather->answers, gather->count) == NULL;
}

static struct gather *gather_new(struct sg_tokens *tokens, uint16_t answer_type)
{
	size_t count = tokens->module_count;
	struct gather *gather = calloc(1, sizeof(*gather));

	if (gather == NULL)
		abort(); /* the caller would wait for ever */
	gather->answers = calloc(count, sizeof(*gather->answers));
	gather->slots = calloc(count, sizeof(*gather->slots));
	if (gather->answers == NULL || gather->slots == NULL)
		abort();
	gather->answer_type = answer_type;
	gather->count = gather->waiting = count;
	for (size_t i = 0; i < count; i++) {
		gather->answers[i].module = &tokens->modules[i];
		gather->slots[i] =
		    (struct gather_slot){ .gather = gather, .answer = &gather->answers[i] };
	}
	return gather;
}

/* Modules that hang are not asked, unless all do. */
static int skips_hanging(const struct sg_tokens *tokens)
{
	for (size_t i = 0; i < tokens->module_count; i++) {
		if (tokens->modules[i].hangs_until <= sg_clock_ms())
			return 1;
	}
	return 0;
}

static void ask_all(struct sg_tokens *tokens, uint16_t type, const void *msg, enough_fn *enough,
    sg_all_fn *fn, void *arg)
{
	static const struct timeval limit = { SG_PATIENCE_SECONDS, 0 };
	struct gather *gather =
	    gather_new(tokens, type == SG_MSG_TOKEN_LIST ? SG_MSG_TOKENS : SG_MSG_OBJECTS);
	int skips = skips_hanging(tokens);

	gather->enough = enough;
	gather->fn = fn;
	gather->arg = arg;
	gather->patience = evtimer_new(tokens->agent->base, on_patience_over, gather);
	if (gather->patience != NULL)
		evtimer_add(gather->patience, &limit);
	/* Answers come from the loop only, so nothing is over before all are asked. */
	for (size_t i = 0; i < tokens->module_count; i++) {
		struct gather_slot *slot = &gather->slots[i];
		struct sg_module *module = &tokens->modules[i];

		if (skips && module->hangs_until > sg_clock_ms()) {
			slot_fail(slot, "hangs; after a while it will be tried again");
			slot->answered = 1;
			gather->waiting--;
			continue;
		}
		sg_worker_request(
		    module->worker, type, msg, -1, SG_TOKEN_SECONDS, on_module_answer, slot);
		slot->process = sg_worker_starts(module->worker);
	}
}

void sg_tokens_ask_all(struct sg_tokens *tokens, uint16_t type, const void *msg, int impatient,
    sg_all_fn *fn, void *arg)
{
	ask_all(tokens, type, msg, impatient ? enough_always : enough_any, fn, arg);
}

/* The first module's error, for when nothing was found: what is looked for may be there. */
static const struct sg_msg_error *first_error(const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code != 0)
			return &answers[i].error;
	}
	return NULL;
}

const struct sg_msg_error *sg_tokens_all_failed(
    const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0)
			return NULL;
	}
	return first_error(answers, count);
}

/* ---- finding ---- */

struct search {
	char *selector;
	union {
		sg_token_fn *token;
		sg_key_fn *key;
	} fn;
	void *arg;
};

static struct search *search_new(const char *selector, void *arg)
{
	struct search *search = calloc(1, sizeof(*search));

	if (search == NULL || (search->selector = strdup(selector)) == NULL)
		abort(); /* the caller would wait for ever */
	search->arg = arg;
	return search;
}

static void search_free(struct search *search)
{
	free(search->selector);
	free(search);
}

/* The URIs of two candidates are equal: none of the two can be named. */
static const char alike_text[] =
    ", and two of them cannot be told apart, for their labels and identifiers are equal (or one "
    "token shows through two modules): remove or relabel one of the two with the token's own tool";

static int two_alike(const struct sg_msg_error *error)
{
	for (uint32_t i = 0; i < error->candidate_count && i < ALIKE_MAX; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(error->candidates[i].uri, error->candidates[k].uri) == 0)
				return 1;
		}
	}
	return 0;
}

/* What to say when not exactly one was found; the candidates are in *error already. */
static void search_judge(const struct search *search, int absent, int ambiguous, const char *what,
    const struct sg_module_answer *answers, size_t count, struct sg_msg_error *error)
{
	const struct sg_msg_error *failed = first_error(answers, count);

	if (error->candidate_count > 1) {
		error->code = (uint32_t)-ambiguous;
		error->subject = strdup(search->selector);
		if (asprintf(&error->message, "\"%s\" means %u %ss%s", search->selector,
			error->candidate_count, what, two_alike(error) ? alike_text : "") < 0)
			error->message = NULL;
	} else if (error->candidate_count == 0 && failed != NULL) {
		sg_failure_copy(error, failed);
	} else if (error->candidate_count == 0) {
		sg_msg_error_set(error, absent, search->selector, "there is no %s \"%s\"", what,
		    search->selector);
	}
}

void sg_token_ref_clear(struct sg_token_ref *token)
{
	sg_msg_clear(SG_MSG_TOKENS, &token->tokens);
	token->module = NULL;
}

const struct sg_token_info *sg_token_ref_info(const struct sg_token_ref *token)
{
	return &token->tokens.tokens[0];
}

/* Moves one token out of an answer. */
static void token_take(
    struct sg_token_ref *found, struct sg_module *module, struct sg_token_info *token)
{
	found->tokens.tokens = malloc(sizeof(*token));
	if (found->tokens.tokens == NULL)
		abort();
	found->tokens.tokens[0] = *token;
	found->tokens.token_count = 1;
	found->module = module;
	memset(token, 0, sizeof(*token));
}

static void token_add_candidate(struct sg_msg_error *error, const struct sg_token_info *token)
{
	const struct sg_candidate candidate = { token->uri, token->label, NULL, token->serial, NULL };

	sg_failure_add_candidate(error, &candidate);
}

static void on_tokens_searched(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct search *search = arg;
	struct sg_token_ref found = { .module = NULL };
	struct sg_msg_error error = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct sg_msg_tokens *tokens = &answers[i].u.tokens;

		for (uint32_t k = 0; answers[i].error.code == 0 && k < tokens->token_count; k++) {
			if (!sg_uri_matches_token(search->selector, &tokens->tokens[k]))
				continue;
			token_add_candidate(&error, &tokens->tokens[k]);
			if (found.tokens.token_count == 0)
				token_take(&found, answers[i].module, &tokens->tokens[k]);
		}
	}
	search_judge(
	    search, SG_ERR_TOKEN_ABSENT, SG_ERR_TOKEN_AMBIGUOUS, "token", answers, count, &error);
	if (error.code != 0)
		search->fn.token(search->arg, &error, NULL);
	else
		search->fn.token(search->arg, NULL, &found);
	sg_failure_clear(&error);
	sg_token_ref_clear(&found);
	search_free(search);
}

static int enough_with_token(const struct gather *gather)
{
	const struct search *search = gather->arg;

	for (size_t i = 0; i < gather->count; i++) {
		const struct sg_msg_tokens *tokens = &gather->answers[i].u.tokens;

		for (uint32_t k = 0; gather->answers[i].error.code == 0 && k < tokens->token_count;
		     k++) {
			if (sg_uri_matches_token(search->selector, &tokens->tokens[k]))
				return 1;
		}
	}
	return 0;
}

void sg_tokens_find(struct sg_tokens *tokens, const char *selector, sg_token_fn *fn, void *arg)
{
	static const struct sg_msg_empty nothing = { 0 };
	struct search *search = search_new(selector, arg);

	search->fn.token = fn;
	ask_all(tokens, SG_MSG_TOKEN_LIST, &nothing, enough_with_token, on_tokens_searched, search);
}

void sg_key_ref_clear(struct sg_key_ref *key)
{
	sg_msg_clear(SG_MSG_OBJECTS, &key->objects);
	key->module = NULL;
	key->pin_len = 0;
}

const struct sg_key_info *sg_key_ref_info(const struct sg_key_ref *key)
{
	return &key->objects.keys[0];
}

static void key_add_candidate(struct sg_msg_error *error, const struct sg_key_info *key)
{
	char *id = sg_hex_encode(key->id.data, key->id.len);
	const struct sg_candidate candidate = { key->uri, key->label, id, NULL, NULL };

	sg_failure_add_candidate(error, &candidate);
	free(id);
}

static void on_keys_searched(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct search *search = arg;
	struct sg_key_ref found = { .module = NULL };
	struct sg_msg_error error = { 0 };

	for (size_t i = 0; i < count; i++) {
		struct sg_msg_objects *objects = &answers[i].u.objects;

		if (answers[i].error.code != 0)
			continue;
		for (uint32_t k = 0; k < objects->key_count; k++)
			key_add_candidate(&error, &objects->keys[k]);
		if (objects->key_count == 1 && found.module == NULL) {
			found.module = answers[i].module;
			found.objects = *objects;
			memset(objects, 0, sizeof(*objects));
		}
	}
	search_judge(
	    search, SG_ERR_KEY_ABSENT, SG_ERR_KEY_AMBIGUOUS, "key", answers, count, &error);
	if (error.code != 0)
		search->fn.key(search->arg, &error, NULL);
	else
		search->fn.key(search->arg, NULL, &found);
	sg_failure_clear(&error);
	sg_key_ref_clear(&found);
	search_free(search);
}

static int enough_with_key(const struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		if (gather->answers[i].error.code == 0 &&
		    gather->answers[i].u.objects.key_count > 0)
			return 1;
	}
	return 0;
}

void sg_tokens_find_key(struct sg_tokens *tokens, const struct sg_caller *caller,
    const char *selector, sg_key_fn *fn, void *arg)
{
	struct search *search = search_new(selector, arg);
	const struct sg_msg_object_list list = { .caller = *caller, .selector = search->selector };

	search->fn.key = fn;
	ask_all(tokens, SG_MSG_OBJECT_LIST, &list, enough_with_key, on_keys_searched, search);
}
