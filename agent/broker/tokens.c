#include "tokens.h"

#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "rest.h"
#include "unlocked.h"
#include "untouched.h"

#define TOKEN_WINDOW 8 /* twice as many as signet-token has threads: none waits for its next */

/* Arguments of a worker, with their NULL; the strings belong to the configuration or are static. */
struct argv {
	char *words[10];
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
	size_t count = 5;

	if (config->module_dirs != NULL) {
		argv.words[count++] = text("--module-dirs");
		argv.words[count++] = config->module_dirs;
	}
	if (module->init != NULL) {
		argv.words[count++] = text("--init");
		argv.words[count++] = module->init;
	}
	return argv;
}

/* What calls do with one token; a list is for all, and is asked for again. */
static struct sg_worker_use token_use(uint16_t type, const void *msg)
{
	const struct sg_caller *caller = NULL;
	char *target = NULL;

#define USE(message, field)                                                                        \
	(caller = &((const struct message *)msg)->caller,                                          \
	    target = ((const struct message *)msg)->field)
	switch (type) {
	case SG_MSG_TOKEN_LOGIN:
		USE(sg_msg_token_login, token);
		break;
	case SG_MSG_PIN_SET:
		USE(sg_msg_pin_set, token);
		break;
	case SG_MSG_KEY_GENERATE:
		USE(sg_msg_key_generate, token);
		break;
	case SG_MSG_KEY_PROBE:
		USE(sg_msg_key_probe, key);
		break;
	case SG_MSG_KEY_ATTEST:
		USE(sg_msg_key_attest, token);
		break;
	case SG_MSG_CERT_STORE:
		USE(sg_msg_cert_store, key);
		break;
	case SG_MSG_CERT_DISCARD:
		USE(sg_msg_cert_discard, key);
		break;
	case SG_MSG_CSR_MAKE:
		USE(sg_msg_csr_make, key);
		break;
	case SG_MSG_SELF_CERT_MAKE:
		USE(sg_msg_self_cert_make, key);
		break;
	case SG_MSG_CROSS_SIGN:
		USE(sg_msg_cross_sign, key);
		break;
	case SG_MSG_TLS_SIGN:
		USE(sg_msg_tls_sign, key);
		break;
	default:
		return (struct sg_worker_use){ .pid = 0 };
	}
#undef USE
	return (struct sg_worker_use){
		.target = target, .purpose = caller->purpose, .pid = caller->pid
	};
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
			.seconds = config->modules[i].timeout,
			.resends = 1,
			.use = token_use,
			.event = sg_events_frame,
			.ended = sg_events_ended,
			.idle = sg_rest_idle,
			.arg = &made->modules[i],
		};

		made->argvs[i] = module_argv(config, &config->modules[i]);
		made->modules[i].agent = agent;
		made->modules[i].name = config->modules[i].name;
		err = sg_worker_new(agent, &spec, &made->modules[i].worker);
		if (err != 0)
			goto fail;
		made->module_count++;
		made->modules[i].unused =
		    evtimer_new(agent->base, sg_rest_unused, &made->modules[i]);
		if (made->modules[i].unused == NULL) {
			err = SG_ERR_NOMEM;
			goto fail;
		}
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
		if (tokens->modules[i].unused != NULL)
			event_free(tokens->modules[i].unused);
		sg_unlocked_clear(&tokens->modules[i]);
		sg_untouched_clear(&tokens->modules[i]);
		sg_buf_clear(&tokens->modules[i].tokens);
		free(tokens->modules[i].full_token);
	}
	free(tokens->modules);
	free(tokens->argvs);
	free(tokens);
}

void sg_module_note_room(struct sg_module *module, const char *token_uri, int had_room)
{
	if (had_room && (module->full_token == NULL || strcmp(module->full_token, token_uri) != 0))
		return;
	free(module->full_token);
	module->full_token = had_room ? NULL : strdup(token_uri);
}

size_t sg_tokens_module_count(const struct sg_tokens *tokens)
{
	return tokens->module_count;
}

struct sg_module *sg_tokens_module(struct sg_tokens *tokens, size_t i)
{
	return &tokens->modules[i];
}

struct sg_agent *sg_tokens_agent(const struct sg_tokens *tokens)
{
	return tokens->agent;
}
