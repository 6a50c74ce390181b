/*
 * A question to every module, that no module which hangs holds up.
 *
 * What a module's tokens were when it was last asked is remembered. A module that works on
 * something for longer than SG_SLOW_MS already, or does not answer within that time, is slow: when
 * it is known what tokens it has, it is not waited for where that will do.
 */
#ifndef SG_BROKER_ASK_ALL_H
#define SG_BROKER_ASK_ALL_H

#include "tokens.h"

#define SG_SLOW_MS     250
#define SG_HASTY_MS    30    /* the same for Status */
#define SG_PATIENCE_MS 5000  /* for modules that are not needed, and that nothing is known of */
#define SG_HANGING_MS  60000 /* in which a module that hangs is left out, ... */
#define SG_PROBE_MS    2000  /* ... but for trying it again after so long */

/* One module's answer: error.code 0 and the answer, or an error. */
struct sg_module_answer {
	struct sg_module *module;
	struct sg_msg_error error;
	union {
		struct sg_msg_tokens tokens;
		struct sg_msg_objects objects;
	} u;
	/* It was not waited for, error says why, and these are the tokens it had when it last
	 * answered. */
	struct sg_msg_tokens remembered;
};

/* The answers are freed after the call; what they own may be taken over by zeroing it. */
typedef void sg_all_fn(void *arg, struct sg_module_answer *answers, size_t count);

struct sg_question {
	uint16_t type; /* SG_MSG_TOKEN_LIST, SG_MSG_OBJECT_LIST */
	const void *msg;
	/* Whether it may end with the answers that are there. */
	int (*enough)(void *arg, const struct sg_module_answer *answers, size_t count);
	/* The same once SG_PATIENCE_MS is over; NULL: as enough. */
	int (*enough_late)(void *arg, const struct sg_module_answer *answers, size_t count);
	/* Whether a module with these tokens may have to be waited for. */
	int (*concerns)(void *arg, const struct sg_msg_tokens *remembered);
	/* NULL, or which tokens are meant: when any module is remembered to have one, only such
	 * modules are asked. */
	int (*meant)(void *arg, const struct sg_msg_tokens *remembered);
	int slow_ms; /* 0: SG_SLOW_MS */
	/* A slow module of which nothing is remembered is not waited for, either. */
	int unknown_is_spare;
	/* Of TOKEN_LIST: one that rests (rest.h) is not asked; its tokens are as they were. */
	int rested_will_do;
	sg_all_fn *fn; /* called from the loop */
	void *arg;
};

/*
 * Asks every module. It ends when all have answered; or when those are left that are slow, whose
 * remembered tokens the question does not concern, and there is enough; or after SG_PATIENCE_MS as
 * soon as there is enough. Those left out have the error SG_ERR_TIMEOUT, without harm to their
 * workers. A module whose process did not even answer its first question by then hangs for
 * SG_HANGING_MS: it is left out, unless there is no other, but for one question in SG_PROBE_MS that
 * tries it again. That one waits for it, and no longer than SG_PATIENCE_MS, where the others'
 * answers are not enough.
 */
void sg_ask_all(struct sg_tokens *tokens, const struct sg_question *question);

/* Whether the module has told its tokens, and this one was not among them the last time. */
int sg_module_lacks(const struct sg_module *module, const char *token_uri);

/* Whether it showed a token that is not initialised when it was last asked. */
int sg_module_has_blank(const struct sg_module *module);

/* A copy of what it said of its tokens then; gives 0 when nothing is known. An empty list is known,
 * too. What its process had unlocked is locked where that has ended. */
int sg_module_recall(const struct sg_module *module, struct sg_msg_tokens *tokens);

enum sg_patience {
	SG_PATIENT,   /* as long as it takes for one good answer */
	SG_IMPATIENT, /* ... or SG_PATIENCE_MS, without any */
	SG_THOROUGH,  /* until each has answered, or SG_PATIENCE_MS */
	SG_HASTY,     /* or SG_HASTY_MS, for whatever is known then; what rests goes on resting */
};

/* The tokens of all, of slow ones as they are remembered. */
void sg_ask_tokens(struct sg_tokens *tokens, enum sg_patience patience, sg_all_fn *fn, void *arg);

/*
 * The objects of all, with as much patience as it takes for one good answer. Where the selector
 * names a token, the modules that are known to have it are asked alone, at first; others are waited
 * for only while no key was found on it, and not when they are slow and known to have other tokens.
 * What msg holds is valid until fn is called.
 */
void sg_ask_objects(
    struct sg_tokens *tokens, const struct sg_msg_object_list *msg, sg_all_fn *fn, void *arg);

/*
 * The error to show for answers of which none is good, nor any remembered: the first one's,
 * borrowed from answers; NULL when one is good or remembered.
 */
const struct sg_msg_error *sg_module_answers_failed(
    const struct sg_module_answer *answers, size_t count);

/* How many tokens there are in those that are good, blank ones left out. */
size_t sg_module_answers_token_count(const struct sg_module_answer *answers, size_t count);

/* The first error, borrowed, or NULL; for when nothing was found: what is looked for may be
 * there. */
const struct sg_msg_error *sg_module_answers_first_error(
    const struct sg_module_answer *answers, size_t count);

#endif
