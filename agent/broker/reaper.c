#include "reaper.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "log.h"
#include "pgp_key.h"

struct child {
	TAILQ_ENTRY(child) entry;
	pid_t pid;
	struct event *timer; /* NULL when it was killed at once */
};

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	pid_t pid;
	sg_reaped_fn *fn;
	void *arg;
};

struct sg_reaper {
	struct event_base *base;
	struct event *sigchld;
	TAILQ_HEAD(child_list, child) children;
	TAILQ_HEAD(waiter_list, waiter) waiters;
};

/* Whether the child has ended; it is gone from the process table then. */
static int collect(pid_t pid)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	if (got == pid && WIFSIGNALED(status))
		sg_log(SG_LOG_INFO, "process %d ended by signal %d", (int)pid, WTERMSIG(status));
	return 1;
}

static void child_free(struct child *child)
{
	if (child->timer != NULL)
		event_free(child->timer);
	free(child);
}

/* A callback may end others, and wait for them. */
static void tell_waiters(struct sg_reaper *reaper)
{
	struct waiter *waiter = TAILQ_FIRST(&reaper->waiters);

	while (waiter != NULL) {
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		if (sg_reaper_has(reaper, waiter->pid)) { /* NOLINT(clang-analyzer-unix.Malloc) */
			waiter = TAILQ_NEXT(waiter, entry);
			continue;
		}
		TAILQ_REMOVE(&reaper->waiters, waiter, entry);
		waiter->fn(waiter->arg);
		free(waiter);
		waiter = TAILQ_FIRST(&reaper->waiters);
	}
}

static void on_sigchld(evutil_socket_t signal_number, short what, void *arg)
{
	struct sg_reaper *reaper = arg;
	struct child *next;

	for (struct child *child = TAILQ_FIRST(&reaper->children); child != NULL; child = next) {
		next = TAILQ_NEXT(child, entry);
		if (!collect(child->pid))
			continue;
		TAILQ_REMOVE(&reaper->children, child, entry);
		child_free(child);
	}
	sg_pgp_reap();
	tell_waiters(reaper);
}

static void on_grace_over(evutil_socket_t fd, short what, void *arg)
{
	const struct child *child = arg;

	kill(child->pid, SIGKILL);
}

int sg_reaper_new(struct event_base *base, struct sg_reaper **reaper)
{
	struct sg_reaper *made = calloc(1, sizeof(*made));

	*reaper = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->base = base;
	TAILQ_INIT(&made->children);
	TAILQ_INIT(&made->waiters);
	made->sigchld = evsignal_new(base, SIGCHLD, on_sigchld, made);
	if (made->sigchld == NULL || evsignal_add(made->sigchld, NULL) != 0) {
		sg_reaper_free(made);
		return SG_ERR_NOMEM;
	}
	*reaper = made;
	return 0;
}

void sg_reaper_free(struct sg_reaper *reaper)
{
	struct waiter *waiter;
	struct child *next;

	if (reaper == NULL)
		return;
	while ((waiter = TAILQ_FIRST(&reaper->waiters)) != NULL) {
		TAILQ_REMOVE(&reaper->waiters, waiter, entry);
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		free(waiter); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
	for (struct child *child = TAILQ_FIRST(&reaper->children); child != NULL; child = next) {
		next = TAILQ_NEXT(child, entry);
		child_free(child);
	}
	if (reaper->sigchld != NULL)
		event_free(reaper->sigchld);
	free(reaper);
}

void sg_reaper_add(struct sg_reaper *reaper, pid_t pid, int grace_ms)
{
	struct timeval grace = { grace_ms / 1000, grace_ms % 1000 * 1000L };
	struct child *child;

	if (grace_ms == 0)
		kill(pid, SIGKILL);
	if (collect(pid))
		return;
	child = calloc(1, sizeof(*child));
	if (child == NULL) { /* one process table entry is lost, nothing else */
		kill(pid, SIGKILL);
		return;
	}
	child->pid = pid;
	TAILQ_INSERT_TAIL(&reaper->children, child, entry);
	if (grace_ms == 0)
		return;
	child->timer = evtimer_new(reaper->base, on_grace_over, child);
	if (child->timer == NULL || evtimer_add(child->timer, &grace) != 0)
		kill(pid, SIGKILL);
}

int sg_reaper_has(const struct sg_reaper *reaper, pid_t pid)
{
	const struct child *child;

	TAILQ_FOREACH(child, &reaper->children, entry) {
		if (child->pid == pid)
			return 1;
	}
	return 0;
}

int sg_reaper_wait(struct sg_reaper *reaper, pid_t pid, sg_reaped_fn *fn, void *arg)
{
	struct waiter *waiter;

	if (!sg_reaper_has(reaper, pid))
		return 0;
	waiter = malloc(sizeof(*waiter));
	if (waiter == NULL)
		abort(); /* the caller would wait for ever */
	*waiter = (struct waiter){ .pid = pid, .fn = fn, .arg = arg };
	TAILQ_INSERT_TAIL(&reaper->waiters, waiter, entry);
	return 1;
}

void sg_reaper_drain(struct sg_reaper *reaper)
{
	while (!TAILQ_EMPTY(&reaper->children)) {
		if (event_base_loop(reaper->base, EVLOOP_ONCE) != 0)
			return;
	}
}
