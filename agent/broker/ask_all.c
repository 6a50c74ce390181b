#include "ask_all.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "rest.h"
#include "uri.h"

struct gather;

struct gather_slot {
	struct gather *gather;
	struct sg_module_answer *answer;
	unsigned process; /* of its worker, that was asked */
	int asked;
	int answered; /* or is not to be asked */
	int is_probe; /* it hangs, and is tried again: nobody waits for it who can do without */
	int slow;
};

struct gather {
	struct sg_question question; /* without its msg */
	uint16_t answer_type;
	struct sg_module_answer *answers;
	struct gather_slot *slots;
	size_t count;
	size_t waiting; /* answers still to come, also those that come too late */
	struct event *patience;
	enum { GATHER_NEW, GATHER_ASKED, GATHER_SLOW, GATHER_LATE } stage;
	int any_slow; /* it may end without those */
	int ended;
};

static void gather_free(struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		if (gather->answers[i].error.code == 0)
			sg_msg_clear(gather->answer_type, &gather->answers[i].u);
		sg_failure_clear(&gather->answers[i].error);
		sg_msg_clear(SG_MSG_TOKENS, &gather->answers[i].remembered);
	}
	event_free(gather->patience);
	free(gather->answers);
	free(gather->slots);
	free(gather);
}

static void gather_finish(struct gather *gather)
{
	gather->ended = 1;
	event_del(gather->patience);
	gather->question.fn(gather->question.arg, gather->answers, gather->count);
	if (gather->waiting == 0)
		gather_free(gather);
}

/* ---- what is remembered of a module ---- */

static void remember(struct sg_module *module, const struct sg_msg_tokens *tokens)
{
	sg_buf_clear(&module->tokens);
	if (sg_layout_encode(sg_msg_layout(SG_MSG_TOKENS), tokens, &module->tokens) != 0)
		sg_buf_clear(&module->tokens);
	module->removable = 0;
	for (uint32_t i = 0; i < tokens->token_count; i++)
		module->removable |= (tokens->tokens[i].flags & SG_TOKEN_REMOVABLE) != 0;
}

int sg_module_recall(const struct sg_module *module, struct sg_msg_tokens *tokens)
{
	struct sg_cursor cursor;

	memset(tokens, 0, sizeof(*tokens));
	if (module->tokens.len == 0)
		return 0;
	cursor =
	    (struct sg_cursor){ module->tokens.data, module->tokens.data + module->tokens.len };
	if (sg_layout_decode(sg_msg_layout(SG_MSG_TOKENS), &cursor, tokens) != 0)
		return 0;
	for (uint32_t i = 0; sg_worker_pid(module->worker) == 0 && i < tokens->token_count; i++)
		tokens->tokens[i].flags &= ~(uint32_t)SG_TOKEN_UNLOCKED;
	return 1;
}

int sg_module_lacks(const struct sg_module *module, const char *token_uri)
{
	struct sg_msg_tokens tokens;
	int lacks = sg_module_recall(module, &tokens);

	for (uint32_t i = 0; lacks && i < tokens.token_count; i++)
		lacks =
		    tokens.tokens[i].uri == NULL || strcmp(tokens.tokens[i].uri, token_uri) != 0;
	sg_msg_clear(SG_MSG_TOKENS, &tokens);
	return lacks;
}

int sg_module_has_blank(const struct sg_module *module)
{
	struct sg_msg_tokens tokens;
	int known = sg_module_recall(module, &tokens), has = 0;

	for (uint32_t i = 0; known && i < tokens.token_count && !has; i++)
		has = (tokens.tokens[i].flags & SG_TOKEN_INITIALIZED) == 0;
	sg_msg_clear(SG_MSG_TOKENS, &tokens);
	return has;
}

/* ---- modules that hang ---- */

static int module_hangs_now(const struct sg_module *module)
{
	return module->hangs_until > sg_clock_ms();
}

/* It is not waited for again for a while: each call would pay for it. */
static void module_hangs(struct sg_module *module)
{
	module->hangs_until = sg_clock_ms() + SG_HANGING_MS;
	sg_log(SG_LOG_WARN, "the module %s hangs: for %d s no call waits for it", module->name,
	    SG_HANGING_MS / 1000);
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

/* Whether it has worked on something for so long that it may not answer soon. */
static int module_is_slow(const struct sg_module *module, int ms)
{
	int64_t since = sg_worker_busy_since(module->worker);

	return since != 0 && sg_clock_ms() - since >= ms;
}

/* ---- ending without those that do not answer ---- */

static void slot_fail(const struct gather_slot *slot, const char *why)
{
	const char *name = slot->answer->module->name;

	sg_msg_error_set(&slot->answer->error, SG_ERR_TIMEOUT, name, "the module %s %s", name, why);
}

static int slow_ms(const struct sg_question *question)
{
	return question->slow_ms > 0 ? question->slow_ms : SG_SLOW_MS;
}

/* Whether the question can do without it, for it is slow and nothing that it is known to have
 * matters. */
static int slot_is_spare(const struct gather_slot *slot)
{
	const struct sg_question *question = &slot->gather->question;
	struct sg_msg_tokens *remembered = &slot->answer->remembered;

	sg_msg_clear(SG_MSG_TOKENS, remembered);
	if (slot->is_probe) {
		if (!sg_module_recall(slot->answer->module, remembered))
			sg_msg_clear(SG_MSG_TOKENS, remembered);
		return 1;
	}
	if (!slot->slow)
		return 0;
	if (!sg_module_recall(slot->answer->module, remembered)) {
		sg_msg_clear(SG_MSG_TOKENS, remembered);
		return question->unknown_is_spare;
	}
	if (!question->concerns(question->arg, remembered))
		return 1;
	sg_msg_clear(SG_MSG_TOKENS, remembered);
	return 0;
}

static void slots_unfail(struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		if (gather->slots[i].answered)
			continue;
		sg_failure_clear(&gather->answers[i].error);
		sg_msg_clear(SG_MSG_TOKENS, &gather->answers[i].remembered);
	}
}

static int there_is_enough(const struct gather *gather)
{
	const struct sg_question *question = &gather->question;

	if (gather->stage == GATHER_LATE && question->enough_late != NULL)
		return question->enough_late(question->arg, gather->answers, gather->count);
	return question->enough(question->arg, gather->answers, gather->count);
}

static void on_module_answer(void *arg, const struct sg_msg_error *error, void *msg);

static void slot_ask(struct gather_slot *slot, uint16_t type, const void *msg)
{
	struct sg_module *module = slot->answer->module;

	slot->asked = 1;
	slot->gather->waiting++;
	if (type == SG_MSG_TOKEN_LIST)
		module->lists_asked++;
	sg_worker_request(module->worker, type, msg, -1, SG_TOKEN_SECONDS, on_module_answer, slot);
	slot->process = sg_worker_starts(module->worker);
}

/* Those that were not asked, for the others were to do without them: they cannot. Whether there are
 * any. */
static int slots_ask_late(struct gather *gather)
{
	static const struct sg_msg_empty nothing = { 0 };
	int late = 0;

	for (size_t i = 0; i < gather->count; i++) {
		struct gather_slot *slot = &gather->slots[i];

		if (slot->answered || slot->asked)
			continue;
		slot_ask(slot, SG_MSG_TOKEN_LIST, &nothing);
		late = 1;
	}
	return late;
}

/* Ends it without those that have not answered, if the others will do. */
static void gather_end_early(struct gather *gather)
{
	int all_spare = 1, only_probes = 1, enough;

	for (size_t i = 0; i < gather->count; i++) {
		const struct gather_slot *slot = &gather->slots[i];
		int spare;

		if (slot->answered)
			continue;
		spare = slot_is_spare(slot);
		slot_fail(slot,
		    spare && slot->answer->module->tokens.len > 0
			? "is busy or hangs; its tokens are as they were last seen"
			: "has not answered yet");
		all_spare = all_spare && spare;
		only_probes = only_probes && slot->is_probe;
	}
	enough = there_is_enough(gather);
	if ((only_probes && gather->stage == GATHER_LATE) ||
	    ((all_spare || gather->stage == GATHER_LATE) && enough) ||
	    (gather->waiting == 0 && (enough || !slots_ask_late(gather))))
		gather_finish(gather);
	else
		slots_unfail(gather);
}

static void on_module_answer(void *arg, const struct sg_msg_error *error, void *msg)
{
	struct gather_slot *slot = arg;
	struct gather *gather = slot->gather;
	size_t size = sg_msg_layout(gather->answer_type)->size;

	gather->waiting--;
	slot->answered = 1;
	if (slot->is_probe)
		slot->answer->module->is_probed = 0;
	module_answered(slot, error);
	if (gather->answer_type == SG_MSG_TOKENS) {
		slot->answer->module->lists_asked--;
		if (error == NULL)
			remember(slot->answer->module, msg);
	}
	if (!gather->ended && error != NULL) {
		sg_failure_copy(&slot->answer->error, error);
		slot->answer->error.code = (uint32_t)-sg_msg_error_code(error);
	} else if (!gather->ended) {
		memcpy(&slot->answer->u, msg, size);
		memset(msg, 0, size);
	}
	if (!gather->ended) {
		if (gather->waiting == 0 || gather->any_slow)
			gather_end_early(gather);
	} else if (gather->waiting == 0) {
		gather_free(gather);
	}
}

static void patience_wait(struct gather *gather, int64_t ms)
{
	const struct timeval limit = { ms / 1000, ms % 1000 * 1000 };

	evtimer_add(gather->patience, &limit);
}

/* A module whose process has never answered yet hangs, as far as anybody can tell; others are
 * busy. */
static void patience_is_over(struct gather *gather)
{
	for (size_t i = 0; i < gather->count; i++) {
		const struct gather_slot *slot = &gather->slots[i];
		struct sg_module *module = slot->answer->module;

		if (slot->answered || slot->is_probe)
			continue;
		if (module->answered_by != slot->process && !module_hangs_now(module))
			module_hangs(module);
		else
			sg_log(SG_LOG_INFO, "the module %s is busy", module->name);
	}
}

static void on_patience(evutil_socket_t fd, short what, void *arg)
{
	struct gather *gather = arg;

	gather->stage++;
	switch (gather->stage) {
	case GATHER_ASKED:
		patience_wait(gather, slow_ms(&gather->question));
		break;
	case GATHER_SLOW:
		patience_wait(gather, SG_PATIENCE_MS - slow_ms(&gather->question));
		gather->any_slow = 1;
		for (size_t i = 0; i < gather->count; i++)
			gather->slots[i].slow = 1;
		break;
	default:
		patience_is_over(gather);
		break;
	}
	gather_end_early(gather);
}

/* ---- asking ---- */

static struct gather *gather_new(struct sg_tokens *tokens, const struct sg_question *question)
{
	size_t count = sg_tokens_module_count(tokens);
	struct gather *gather = calloc(1, sizeof(*gather));

	if (gather == NULL)
		abort(); /* the caller would wait for ever */
	gather->question = *question;
	gather->question.msg = NULL;
	gather->answers = calloc(count, sizeof(*gather->answers));
	gather->slots = calloc(count, sizeof(*gather->slots));
	gather->patience = evtimer_new(sg_tokens_agent(tokens)->base, on_patience, gather);
	if (gather->answers == NULL || gather->slots == NULL || gather->patience == NULL)
		abort();
	gather->answer_type = question->type == SG_MSG_TOKEN_LIST ? SG_MSG_TOKENS : SG_MSG_OBJECTS;
	gather->count = count;
	for (size_t i = 0; i < count; i++) {
		gather->answers[i].module = sg_tokens_module(tokens, i);
		gather->slots[i] =
		    (struct gather_slot){ .gather = gather, .answer = &gather->answers[i] };
	}
	return gather;
}

/* Modules that hang are not asked, unless all do. */
static int skips_hanging(struct sg_tokens *tokens)
{
	for (size_t i = 0; i < sg_tokens_module_count(tokens); i++) {
		if (!module_hangs_now(sg_tokens_module(tokens, i)))
			return 1;
	}
	return 0;
}

static void slot_leave_out(struct gather_slot *slot)
{
	slot_fail(slot, "hangs; it will be tried again");
	if (!sg_module_recall(slot->answer->module, &slot->answer->remembered))
		sg_msg_clear(SG_MSG_TOKENS, &slot->answer->remembered);
	slot->answered = 1;
}

/* Its process ended for want of use: it is not started for that, and the card not taken. */
static int slot_rests(struct gather_slot *slot)
{
	const struct sg_module *module = slot->answer->module;

	if (!slot->gather->question.rested_will_do || !sg_rest_is_on(module))
		return 0;
	slot->answered = sg_module_recall(module, &slot->answer->u.tokens);
	if (!slot->answered)
		sg_msg_clear(SG_MSG_TOKENS, &slot->answer->u.tokens);
	return slot->answered;
}

/* A slow module is not asked the same once more, as long as it need not be waited for. */
static int slot_can_wait(struct gather_slot *slot)
{
	int spare = slot->slow && !slot->is_probe && slot->gather->answer_type == SG_MSG_TOKENS &&
	    slot->answer->module->lists_asked > 0 && slot_is_spare(slot);

	sg_msg_clear(SG_MSG_TOKENS, &slot->answer->remembered);
	return spare;
}

/* Whether to try it again: it may be well by now, and was not asked a short while ago. */
static int module_wants_probe(const struct sg_module *module)
{
	return !module->is_probed &&
	    (module->probed == 0 || sg_clock_ms() - module->probed >= SG_PROBE_MS);
}

static void slot_probe(struct gather_slot *slot, int skips)
{
	struct sg_module *module = slot->answer->module;

	if (!skips || !module_hangs_now(module) || !module_wants_probe(module))
		return;
	slot->is_probe = module->is_probed = 1;
	module->probed = sg_clock_ms();
}

static int is_meant(const struct sg_question *question, const struct sg_module *module)
{
	struct sg_msg_tokens remembered;
	int is =
	    sg_module_recall(module, &remembered) && question->meant(question->arg, &remembered);

	sg_msg_clear(SG_MSG_TOKENS, &remembered);
	return is;
}

/* Those that are not meant have nothing of it, and need not be asked for that. Whether any is
 * meant. */
static int slots_choose(struct gather *gather)
{
	const struct sg_question *question = &gather->question;
	size_t meant = 0;

	for (size_t i = 0; question->meant != NULL && i < gather->count; i++)
		meant += is_meant(question, gather->answers[i].module) ? 1 : 0;
	for (size_t i = 0; meant > 0 && i < gather->count; i++)
		gather->slots[i].answered = !is_meant(question, gather->answers[i].module);
	return meant > 0;
}

void sg_ask_all(struct sg_tokens *tokens, const struct sg_question *question)
{
	struct gather *gather = gather_new(tokens, question);
	int skips = !slots_choose(gather) && skips_hanging(tokens);

	/* Answers come from the loop only, so nothing is over before all are asked. */
	for (size_t i = 0; i < gather->count; i++) {
		struct gather_slot *slot = &gather->slots[i];

		if (slot->answered || slot_rests(slot))
			continue;
		slot->slow = module_is_slow(slot->answer->module, slow_ms(question));
		slot_probe(slot, skips);
		gather->any_slow = gather->any_slow || slot->slow || slot->is_probe;
		if (skips && module_hangs_now(slot->answer->module) && !slot->is_probe)
			slot_leave_out(slot);
		else if (!slot_can_wait(slot))
			slot_ask(slot, question->type, question->msg);
	}
	/* What need not be waited for ends it from the loop, too. */
	if (!gather->any_slow)
		gather->stage = GATHER_ASKED;
	patience_wait(gather, gather->any_slow || gather->waiting == 0 ? 0 : slow_ms(question));
}

/* ---- usual questions ---- */

const struct sg_msg_error *sg_module_answers_first_error(
    const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code != 0)
			return &answers[i].error;
	}
	return NULL;
}

const struct sg_msg_error *sg_module_answers_failed(
    const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0 || answers[i].remembered.token_count > 0)
			return NULL;
	}
	return sg_module_answers_first_error(answers, count);
}

size_t sg_module_answers_token_count(const struct sg_module_answer *answers, size_t count)
{
	size_t tokens = 0;

	for (size_t i = 0; i < count; i++) {
		const struct sg_msg_tokens *list = &answers[i].u.tokens;

		for (uint32_t k = 0; answers[i].error.code == 0 && k < list->token_count; k++)
			tokens += (list->tokens[k].flags & SG_TOKEN_INITIALIZED) != 0;
	}
	return tokens;
}

static int enough_always(void *arg, const struct sg_module_answer *answers, size_t count)
{
	return 1;
}

static int enough_any(void *arg, const struct sg_module_answer *answers, size_t count)
{
	return sg_module_answers_failed(answers, count) == NULL;
}

/* Nothing that is only remembered. */
static int enough_good(void *arg, const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0)
			return 1;
	}
	return 0;
}

/* What is remembered is as good as what is asked. */
static int concerned_never(void *arg, const struct sg_msg_tokens *remembered)
{
	return 0;
}

static int slow_ms_of(enum sg_patience patience)
{
	if (patience == SG_HASTY)
		return SG_HASTY_MS;
	return patience == SG_THOROUGH ? SG_PATIENCE_MS : SG_SLOW_MS;
}

void sg_ask_tokens(struct sg_tokens *tokens, enum sg_patience patience, sg_all_fn *fn, void *arg)
{
	static const struct sg_msg_empty nothing = { 0 };
	const struct sg_question question = {
		.type = SG_MSG_TOKEN_LIST,
		.msg = &nothing,
		.enough = patience == SG_PATIENT ? enough_any
		    : patience == SG_IMPATIENT	 ? enough_good
						 : enough_always,
		.enough_late = patience == SG_IMPATIENT ? enough_always : NULL,
		.concerns = concerned_never,
		.slow_ms = slow_ms_of(patience),
		.unknown_is_spare = patience == SG_HASTY,
		.rested_will_do = patience == SG_HASTY,
		.fn = fn,
		.arg = arg,
	};

	sg_ask_all(tokens, &question);
}

/* ---- objects, of all or of the tokens that are named ---- */

struct objects {
	struct sg_tokens *tokens;
	struct sg_caller caller; /* its strings are borrowed */
	char *selector;
	int names_token;
	int among_known; /* only modules that are known to have the token were asked */
	sg_all_fn *fn;
	void *arg;
};

/* Where any token may be meant, each module has to be waited for. */
static int may_be_in(void *arg, const struct sg_msg_tokens *remembered)
{
	const struct objects *objects = arg;

	for (uint32_t i = 0; objects->names_token && i < remembered->token_count; i++) {
		if (sg_uri_matches_token(objects->selector, &remembered->tokens[i]))
			return 1;
	}
	return !objects->names_token;
}

static int are_known_in(void *arg, const struct sg_msg_tokens *remembered)
{
	const struct objects *objects = arg;

	return objects->names_token && may_be_in(arg, remembered);
}

static int any_key(void *arg, const struct sg_module_answer *answers, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0 && answers[i].u.objects.key_count > 0)
			return 1;
	}
	return 0;
}

/* A URI by the maker, for one, may mean more tokens than those that are known. */
static int names_one_token(const char *selector)
{
	char *label = NULL, *serial = NULL;
	int names;

	if (!sg_uri_names_token(selector))
		return 0;
	label = sg_uri_value(selector, SG_URI_TOKEN);
	serial = sg_uri_value(selector, SG_URI_SERIAL);
	names = label != NULL || serial != NULL;
	free(label);
	free(serial);
	return names;
}

static void objects_ask(struct objects *objects);

static void on_objects(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct objects *objects = arg;

	/* It may have moved to another module since. */
	if (objects->among_known && sg_module_answers_first_error(answers, count) == NULL &&
	    !any_key(NULL, answers, count)) {
		objects->among_known = 0;
		objects_ask(objects);
		return;
	}
	objects->fn(objects->arg, answers, count);
	free(objects->selector);
	free(objects);
}

static void objects_ask(struct objects *objects)
{
	const struct sg_msg_object_list msg = { .caller = objects->caller,
		.selector = objects->selector };
	const struct sg_question question = {
		.type = SG_MSG_OBJECT_LIST,
		.msg = &msg,
		.enough = objects->names_token ? any_key : enough_any,
		.enough_late = enough_any,
		.concerns = may_be_in,
		.meant = objects->among_known ? are_known_in : NULL,
		.unknown_is_spare = objects->names_token,
		.fn = on_objects,
		.arg = objects,
	};

	sg_ask_all(objects->tokens, &question);
}

void sg_ask_objects(
    struct sg_tokens *tokens, const struct sg_msg_object_list *msg, sg_all_fn *fn, void *arg)
{
	struct objects *objects = calloc(1, sizeof(*objects));

	if (objects == NULL || (objects->selector = strdup(msg->selector)) == NULL)
		abort(); /* the caller would wait for ever */
	objects->tokens = tokens;
	objects->caller = msg->caller;
	objects->names_token = objects->among_known = names_one_token(msg->selector);
	objects->fn = fn;
	objects->arg = arg;
	objects_ask(objects);
}
