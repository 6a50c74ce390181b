#include "touch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "log.h"
#include "reaper.h"
#include "spawn.h"
#include "text.h"

/* A command that runs, or has run, for a token. */
struct touch {
	TAILQ_ENTRY(touch) entry;
	char *token;
	pid_t pid;
};

struct sg_touches {
	struct sg_agent *agent;
	TAILQ_HEAD(touch_list, touch) running;
};

int sg_touches_new(struct sg_agent *agent, struct sg_touches **touches)
{
	*touches = calloc(1, sizeof(**touches));
	if (*touches == NULL)
		return SG_ERR_NOMEM;
	(*touches)->agent = agent;
	TAILQ_INIT(&(*touches)->running);
	return 0;
}

static void touch_free(struct sg_touches *touches, struct touch *touch)
{
	TAILQ_REMOVE(&touches->running, touch, entry);
	free(touch->token);
	free(touch);
}

void sg_touches_free(struct sg_touches *touches)
{
	struct touch *touch, *next;

	if (touches == NULL)
		return;
	for (touch = TAILQ_FIRST(&touches->running); touch != NULL; touch = next) {
		next = TAILQ_NEXT(touch, entry);
		touch_free(touches, touch);
	}
	free(touches);
}

/* Whether one runs for the token; those that have ended are forgotten. */
static int is_running(struct sg_touches *touches, const char *token)
{
	struct touch *touch, *next;
	int running = 0;

	for (touch = TAILQ_FIRST(&touches->running); touch != NULL; touch = next) {
		next = TAILQ_NEXT(touch, entry);
		if (!sg_reaper_has(touches->agent->reaper, touch->pid))
			touch_free(touches, touch);
		else if (strcmp(touch->token, token) == 0)
			running = 1;
	}
	return running;
}

/* In the child: only what may be called between fork and exec. */
static void __attribute__((noreturn)) command_exec(const char *program, char *const argv[])
{
	int null = open("/dev/null", O_RDWR);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execv(program, argv);
	_exit(127);
}

/* A text of a token as an argument: never one that could be taken for an option. */
static char *argument(const char *text)
{
	char *copy = strdup(text != NULL ? text : "");

	if (copy != NULL) {
		sg_utf8_clean(copy);
		if (copy[0] == '-')
			copy[0] = '?';
	}
	return copy;
}

void sg_touch_wanted(struct sg_touches *touches, const struct sg_msg_token_event *event)
{
	char *command = touches->agent->config.touch_command;
	const char *token = event->token != NULL ? event->token : "";
	char *argv[] = { command, NULL, NULL, NULL };
	struct touch *touch = NULL;

	if (command == NULL || is_running(touches, token))
		return;
	argv[1] = argument(event->label);
	argv[2] = argument(event->caller.purpose);
	touch = calloc(1, sizeof(*touch));
	if (argv[1] == NULL || argv[2] == NULL || touch == NULL ||
	    (touch->token = strdup(token)) == NULL)
		goto out;
	touch->pid = sg_spawn_fork();
	if (touch->pid == 0)
		command_exec(command, argv);
	if (touch->pid < 0) {
		sg_log(SG_LOG_WARN, "%s cannot be run: %s", command, strerror(errno));
		goto out;
	}
	sg_reaper_add(touches->agent->reaper, touch->pid, SG_TOUCH_COMMAND_MS);
	TAILQ_INSERT_TAIL(&touches->running, touch, entry);
	touch = NULL;
out:
	free(argv[1]);
	free(argv[2]);
	if (touch != NULL)
		free(touch->token);
	free(touch);
}
