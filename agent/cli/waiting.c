#include "waiting.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "command.h"
#include "print.h"

/*
 * A call that is answered at once costs nothing of this. The agent tells of a touch when a signature
 * has taken 300 ms, and tells who asks later as well.
 */
#define WATCH_AFTER_MS	200
#define HINT_AFTER_MS	1000
#define SILENT_AFTER_MS 10000
#define AGAIN_MS	1000 /* as long as a pinentry has the terminal */
#define GIVE_BACK_MS	2000 /* for a pinentry to leave the terminal, ... */
#define GIVE_BACK_STEP	20   /* ... which nobody is told of */

enum { HINT_TOLD = 1, SILENCE_TOLD = 2 };

static const char *waits_for(const struct sg_waiting *waiting)
{
	const struct sg_command *command = waiting->cli->command;

	return command->waits != NULL ? command->waits : "the agent";
}

/* Whether somebody reads from the terminal without echo: a pinentry. Nothing is written into it. */
static int terminal_is_taken(void)
{
	struct termios state;

	return tcgetattr(STDERR_FILENO, &state) == 0 &&
	    (state.c_lflag & (ECHO | ICANON)) != (ECHO | ICANON);
}

/* Those that end the program; not one that is ignored, for once blocked it would come through. */
static void ending_signals(sigset_t *set)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action;

	sigemptyset(set);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (sigaction(numbers[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(set, numbers[i]);
}

int sg_waiting_start(struct sg_waiting *waiting, struct sg_cli *cli, unsigned flags)
{
	int64_t now = sg_clock_ms();
	sigset_t ending;

	*waiting = (struct sg_waiting){ .cli = cli, .flags = flags, .signals = -1 };
	ending_signals(&ending);
	if (sigprocmask(SIG_BLOCK, &ending, &waiting->mask) != 0)
		return SG_ERR_INTERNAL;
	waiting->signals = signalfd(-1, &ending, SFD_CLOEXEC | SFD_NONBLOCK);
	if (waiting->signals < 0) {
		(void)sigprocmask(SIG_SETMASK, &waiting->mask, NULL);
		return SG_ERR_INTERNAL;
	}
	if (sg_args_has(&cli->args, SG_OPT_JSON) || (flags & SG_WAITING_EVENTS) != 0)
		return 0;
	/* Without a terminal one sentence is enough, for a log. */
	if (isatty(STDERR_FILENO)) {
		waiting->say_at = now + HINT_AFTER_MS;
		waiting->watch_at = (flags & SG_WAITING_TOUCH) != 0 ? now + WATCH_AFTER_MS : 0;
	} else {
		waiting->say_at = now + SILENT_AFTER_MS;
		waiting->told = HINT_TOLD;
	}
	return 0;
}

void sg_waiting_end(struct sg_waiting *waiting)
{
	sg_client_free(waiting->watch);
	free(waiting->touch);
	if (waiting->signals >= 0) {
		close(waiting->signals);
		(void)sigprocmask(SIG_SETMASK, &waiting->mask, NULL);
	}
	*waiting = (struct sg_waiting){ .signals = -1 };
}

/* ---- sentences ---- */

static void tell_touch(struct sg_waiting *waiting)
{
	fputs("Touch token \"", stderr);
	sg_print_text(stderr, waiting->touch);
	fprintf(
	    stderr, "\" now: it waits for you (for `signet %s`)\n", waiting->cli->command->name);
	free(waiting->touch);
	waiting->touch = NULL;
	waiting->told = HINT_TOLD | SILENCE_TOLD; /* that says what is waited for */
	waiting->say_at = 0;
}

static void tell_what_is_due(struct sg_waiting *waiting, int64_t now)
{
	if (terminal_is_taken()) {
		waiting->say_at = now + AGAIN_MS;
	} else if (waiting->touch != NULL) {
		tell_touch(waiting);
	} else if ((waiting->told & HINT_TOLD) == 0) {
		fprintf(stderr, "signet: waiting for %s...\n", waits_for(waiting));
		waiting->told |= HINT_TOLD;
		waiting->say_at = now + SILENT_AFTER_MS - HINT_AFTER_MS;
	} else if ((waiting->told & SILENCE_TOLD) != 0) {
		waiting->say_at = 0; /* a touch that is over by now */
	} else {
		fprintf(stderr, "signet: the agent has not answered yet; still waiting for %s\n",
		    waits_for(waiting));
		waiting->told |= SILENCE_TOLD;
		waiting->say_at = 0;
	}
}

/* ---- events of touch ---- */

static void watch_stop(struct sg_waiting *waiting)
{
	sg_client_free(waiting->watch);
	waiting->watch = NULL;
}

/* An agent that cannot tell of touches is no reason to fail: the call itself goes on. */
static void watch_start(struct sg_waiting *waiting)
{
	json_t *own;

	waiting->watch_at = 0;
	if (sg_client_connect(waiting->cli->socket_path, &waiting->watch) != 0)
		return;
	own = json_pack("{s:b}", "own", 1);
	if (own == NULL ||
	    sg_client_call(waiting->watch, "org.signet.Agent.Monitor", own, NULL, 0, 1) != 0)
		watch_stop(waiting);
}

static void watch_event(struct sg_waiting *waiting, const json_t *event)
{
	const char *kind = sg_member(event, "kind", "");

	if (json_integer_value(json_object_get(event, "pid")) != getpid())
		return;
	if (strcmp(kind, "touch_wanted") == 0) {
		free(waiting->touch);
		waiting->touch = strdup(sg_member(event, "label", ""));
		if (waiting->touch != NULL)
			waiting->say_at = sg_clock_ms();
	} else if (strcmp(kind, "touch_over") == 0) {
		free(waiting->touch);
		waiting->touch = NULL;
	}
}

static void watch_read(struct sg_waiting *waiting)
{
	json_t *reply = NULL;
	char *error = NULL;
	int continues = 1, err;

	while ((err = sg_client_reply_now(waiting->watch, &reply, &error, &continues)) == 0) {
		if (error == NULL)
			watch_event(waiting, json_object_get(reply, "event"));
		json_decref(reply);
		free(error);
		if (!continues)
			break;
	}
	if (err != SG_ERR_BUSY)
		watch_stop(waiting);
}

/* ---- the wait ---- */

/* Milliseconds until something is due; -1: nothing ever is. */
static int next_timeout(const struct sg_waiting *waiting)
{
	int64_t at = waiting->say_at, left;

	if (waiting->watch_at != 0 && (at == 0 || waiting->watch_at < at))
		at = waiting->watch_at;
	if (at == 0)
		return -1;
	left = at - sg_clock_ms();
	return left > 0 ? (int)left : 0;
}

/* The agent ends its pinentry when the connection is closed. What is written before that is lost with
 * the pinentry's screen, and a shell's prompt, too. */
static void leave_terminal(struct sg_waiting *waiting)
{
	if (!terminal_is_taken())
		return;
	sg_client_free(waiting->cli->client);
	waiting->cli->client = NULL;
	for (int ms = 0; ms < GIVE_BACK_MS && terminal_is_taken(); ms += GIVE_BACK_STEP)
		(void)poll(NULL, 0, GIVE_BACK_STEP);
}

static int end_by_signal(struct sg_waiting *waiting)
{
	struct signalfd_siginfo info;

	if (read(waiting->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return 0;
	waiting->cli->signal = (int)info.ssi_signo;
	leave_terminal(waiting);
	return sg_cli_fail(waiting->cli, SG_ERR_TIMEOUT,
	    "The call was given up. What the agent has begun by then it may still end: `signet "
	    "status` shows what goes on.",
	    "interrupted while waiting for %s", waits_for(waiting));
}

/* Until there may be something to read of the agent's. */
static int wait_once(struct sg_waiting *waiting)
{
	struct pollfd fds[] = {
		{ .fd = sg_client_fd(waiting->cli->client), .events = POLLIN },
		{ .fd = waiting->signals, .events = POLLIN },
		{ .fd = waiting->watch != NULL ? sg_client_fd(waiting->watch) : -1,
		    .events = POLLIN },
		/* No events: that its reader has gone is told all the same. */
		{ .fd = (waiting->flags & SG_WAITING_EVENTS) != 0 ? STDOUT_FILENO : -1 },
	};
	int64_t now;
	int err;

	if (poll(fds, sizeof(fds) / sizeof(fds[0]), next_timeout(waiting)) < 0)
		return errno == EINTR ? 0 : SG_ERR_INTERNAL;
	if (fds[1].revents != 0 && (err = end_by_signal(waiting)) != 0)
		return err;
	if (fds[3].revents != 0)
		return SG_ERR_DENIED;
	if (fds[2].revents != 0)
		watch_read(waiting);
	/* An answer that is there is better than a word about waiting for it. */
	if (fds[0].revents != 0)
		return 0;
	now = sg_clock_ms();
	if (waiting->watch_at != 0 && now >= waiting->watch_at)
		watch_start(waiting);
	if (waiting->say_at != 0 && now >= waiting->say_at)
		tell_what_is_due(waiting, now);
	return 0;
}

int sg_waiting_reply(struct sg_waiting *waiting, json_t **parameters, char **error, int *continues)
{
	int err;

	while ((err = sg_client_reply_now(waiting->cli->client, parameters, error, continues)) ==
	    SG_ERR_BUSY) {
		err = wait_once(waiting);
		if (err != 0)
			return err;
	}
	/* The agent is awake, and speaks for itself from now on. */
	waiting->told = HINT_TOLD | SILENCE_TOLD;
	if (waiting->touch == NULL)
		waiting->say_at = 0;
	return err;
}
