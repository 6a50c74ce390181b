#include "find.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "ask_all.h"
#include "clock.h"
#include "log.h"
#include "rest.h"
#include "text.h"
#include "uri.h"
#include "x509.h"

#define ALIKE_MAX    1000 /* candidates that are compared with each other */
#define SUBJECTS_MAX 100  /* keys of a token whose certificates are looked at */

struct search {
	char *selector;
	union {
		sg_token_fn *token;
		sg_key_fn *key;
	} fn;
	void *arg;
	struct sg_tokens *tokens;
	int again;	     /* workers were restarted, and it is looked once more */
	int died;	     /* one died while it was asked, and the next one was asked the same */
	unsigned *processes; /* of tokens: those that ran when it was asked */
};

static struct search *search_new(struct sg_tokens *tokens, const char *selector, void *arg)
{
	struct search *search = calloc(1, sizeof(*search));

	if (search == NULL || (search->selector = strdup(selector)) == NULL)
		abort(); /* the caller would wait for ever */
	search->arg = arg;
	search->tokens = tokens;
	return search;
}

static void search_free(struct search *search)
{
	free(search->selector);
	free(search->processes);
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
	const struct sg_msg_error *failed = sg_module_answers_first_error(answers, count);

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
	const struct sg_candidate candidate = { token->uri, token->label, NULL, token->serial,
		NULL };

	sg_failure_add_candidate(error, &candidate);
}

int sg_tokens_find_known(struct sg_tokens *tokens, const char *selector, struct sg_token_ref *found)
{
	size_t matches = 0;

	memset(found, 0, sizeof(*found));
	for (size_t i = 0; i < sg_tokens_module_count(tokens); i++) {
		struct sg_module *module = sg_tokens_module(tokens, i);
		struct sg_msg_tokens known;
		int is_known = sg_module_recall(module, &known);

		for (uint32_t k = 0; is_known && k < known.token_count; k++) {
			if (!sg_uri_matches_token(selector, &known.tokens[k]))
				continue;
			if (matches++ == 0)
				token_take(found, module, &known.tokens[k]);
		}
		sg_msg_clear(SG_MSG_TOKENS, &known);
	}
	if (matches != 1)
		sg_token_ref_clear(found);
	return matches == 1;
}

/* ---- tokens that came while a worker ran: some modules list their slots only once ---- */

/* Whether another process may see more than this one, which has answered. */
static int may_restart(const struct sg_module_answer *answer, unsigned process)
{
	const struct sg_module *module = answer->module;

	return answer->error.code == 0 && process != 0 &&
	    sg_worker_starts(module->worker) == process && sg_rest_may_reload(module);
}

/* Whether workers were restarted, so that it is to be looked once more. */
static int restart_for(struct search *search, struct sg_module_answer *answers, size_t count)
{
	int restarted = 0;

	if (search->again)
		return 0;
	for (size_t i = 0; i < count; i++) {
		if (!may_restart(&answers[i], search->processes[i]))
			continue;
		sg_log(SG_LOG_INFO, "the module %s is loaded anew, to look for a token",
		    answers[i].module->name);
		answers[i].module->restarted = sg_clock_ms();
		sg_worker_stop(answers[i].module->worker, SG_ERR_WORKER);
		restarted = 1;
	}
	search->again = restarted;
	return restarted;
}

/* Whether a process died while it was asked: the token may be there all the same, and to ask costs
 * nothing. */
static int next_process_for(
    struct search *search, const struct sg_module_answer *answers, size_t count)
{
	int died = 0;

	for (size_t i = 0; i < count; i++) {
		if (sg_msg_error_code(&answers[i].error) == SG_ERR_WORKER &&
		    answers[i].module->hangs_until <= sg_clock_ms())
			died = 1;
	}
	if (!died || search->died)
		return 0;
	search->died = 1;
	return 1;
}

static void tokens_ask(struct search *search);

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
	if (found.tokens.tokens == NULL &&
	    (next_process_for(search, answers, count) || restart_for(search, answers, count))) {
		tokens_ask(search);
		return;
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

static int matches_any(const struct search *search, const struct sg_msg_tokens *tokens)
{
	for (uint32_t i = 0; i < tokens->token_count; i++) {
		if (sg_uri_matches_token(search->selector, &tokens->tokens[i]))
			return 1;
	}
	return 0;
}

static int enough_with_token(void *arg, const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0 && matches_any(arg, &answers[i].u.tokens))
			return 1;
	}
	return 0;
}

/* Another token of this name: then it is ambiguous. */
static int token_concerns(void *arg, const struct sg_msg_tokens *remembered)
{
	return matches_any(arg, remembered);
}

static void tokens_ask(struct search *search)
{
	static const struct sg_msg_empty nothing = { 0 };
	const struct sg_question question = {
		.type = SG_MSG_TOKEN_LIST,
		.msg = &nothing,
		.enough = enough_with_token,
		.concerns = token_concerns,
		.fn = on_tokens_searched,
		.arg = search,
	};

	for (size_t i = 0; i < sg_tokens_module_count(search->tokens); i++)
		search->processes[i] =
		    sg_worker_starts(sg_tokens_module(search->tokens, i)->worker);
	sg_ask_all(search->tokens, &question);
}

void sg_tokens_find(struct sg_tokens *tokens, const char *selector, sg_token_fn *fn, void *arg)
{
	struct search *search = search_new(tokens, selector, arg);

	search->processes = calloc(sg_tokens_module_count(tokens), sizeof(*search->processes));
	if (search->processes == NULL)
		abort();
	search->fn.token = fn;
	tokens_ask(search);
}

void sg_key_ref_clear(struct sg_key_ref *key)
{
	sg_msg_clear(SG_MSG_OBJECTS, &key->objects);
	key->module = NULL;
	key->spki_sha256_len = 0;
}

const struct sg_key_info *sg_key_ref_info(const struct sg_key_ref *key)
{
	return &key->objects.keys[0];
}

/* The name of the first certificate that holds the key, as RFC 4514 has it; or NULL. */
static char *subject_of(const struct sg_key_info *key, const struct sg_msg_objects *objects)
{
	char *subject = NULL;

	for (uint32_t i = 0; i < objects->cert_count && subject == NULL; i++) {
		X509 *cert = NULL;

		if (sg_x509_cert_parse(&objects->certs[i].der, &cert) == 0 &&
		    sg_x509_holds(cert, &key->spki))
			subject = sg_x509_name_text(X509_get_subject_name(cert));
		X509_free(cert);
	}
	return subject;
}

static void key_add_candidate(
    struct sg_msg_error *error, const struct sg_key_info *key, const struct sg_msg_objects *objects)
{
	char *id = sg_hex_encode(key->id.data, key->id.len);
	char *subject = objects->key_count <= SUBJECTS_MAX ? subject_of(key, objects) : NULL;
	char *serial = key->uri != NULL ? sg_uri_value(key->uri, SG_URI_SERIAL) : NULL;
	const struct sg_candidate candidate = { key->uri, key->label, id, serial, subject };

	sg_failure_add_candidate(error, &candidate);
	free(serial);
	free(subject);
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
			key_add_candidate(&error, &objects->keys[k], objects);
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

static int enough_with_key(void *arg, const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0 && answers[i].u.objects.key_count > 0)
			return 1;
	}
	return 0;
}

/* A URI that names a token says where its keys are; a label may be anywhere. */
static int key_concerns(void *arg, const struct sg_msg_tokens *remembered)
{
	const struct search *search = arg;

	return !sg_uri_names_token(search->selector) || matches_any(search, remembered);
}

void sg_tokens_find_key(struct sg_tokens *tokens, const struct sg_caller *caller,
    const char *selector, sg_key_fn *fn, void *arg)
{
	struct search *search = search_new(tokens, selector, arg);
	const struct sg_msg_object_list list = { .caller = *caller, .selector = search->selector };
	const struct sg_question question = {
		.type = SG_MSG_OBJECT_LIST,
		.msg = &list,
		.enough = enough_with_key,
		.concerns = key_concerns,
		.fn = on_keys_searched,
		.arg = search,
	};

	search->fn.key = fn;
	sg_ask_all(tokens, &question);
}
