#include "collisions.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "reaper.h"
#include "spawn.h"
#include "text.h"

#define SHA1_SIZE   20
#define SHA256_SIZE 32
#define HEX_SIZE    40	/* digits of a SHA-1 */
#define OUTPUT_MAX  128 /* bytes; a good one has half of them */

struct waiter {
	TAILQ_ENTRY(waiter) entry;
	sg_collision_fn *fn;
	void *arg;
};

TAILQ_HEAD(waiter_list, waiter);

/* A child that looks at some bytes. */
struct check {
	TAILQ_ENTRY(check) entry;
	struct sg_collisions *collisions;
	unsigned char sha256[SHA256_SIZE]; /* of the bytes */
	char *sha1;			   /* in hex */
	pid_t pid;			   /* -1: collected, or never started */
	int pidfd;
	int output;
	struct event *ended;
	struct waiter_list waiters;
	char why[256];
};

struct known {
	unsigned char sha256[SHA256_SIZE];
	enum sg_collision outcome;
};

struct sg_collisions {
	struct event_base *base;
	struct sg_reaper *reaper;
	const char *program;
	int stopping;
	unsigned runs;
	TAILQ_HEAD(check_list, check) running;
	size_t running_count;
	struct known known[SG_COLLISIONS_KNOWN_MAX]; /* a ring */
	size_t known_count, known_next;
};

int sg_collisions_new(struct event_base *base, struct sg_reaper *reaper, const char *program,
    struct sg_collisions **collisions)
{
	*collisions = calloc(1, sizeof(**collisions));
	if (*collisions == NULL)
		return SG_ERR_NOMEM;
	(*collisions)->base = base;
	(*collisions)->reaper = reaper;
	(*collisions)->program = program;
	TAILQ_INIT(&(*collisions)->running);
	return 0;
}

unsigned sg_collisions_runs(const struct sg_collisions *collisions)
{
	return collisions->runs;
}

/* ---- what is remembered ---- */

static enum sg_collision known_get(
    const struct sg_collisions *collisions, const unsigned char *sha256)
{
	for (size_t i = 0; i < collisions->known_count; i++) {
		if (memcmp(collisions->known[i].sha256, sha256, SHA256_SIZE) == 0)
			return collisions->known[i].outcome;
	}
	return SG_COLLISION_UNCHECKED;
}

static void known_put(
    struct sg_collisions *collisions, const unsigned char *sha256, enum sg_collision outcome)
{
	struct known *place = &collisions->known[collisions->known_next];

	memcpy(place->sha256, sha256, SHA256_SIZE);
	place->outcome = outcome;
	collisions->known_next = (collisions->known_next + 1) % SG_COLLISIONS_KNOWN_MAX;
	if (collisions->known_count < SG_COLLISIONS_KNOWN_MAX)
		collisions->known_count++;
}

/* ---- a check ---- */

static void check_free(struct check *check)
{
	if (check->ended != NULL)
		event_free(check->ended);
	if (check->pidfd >= 0)
		close(check->pidfd);
	if (check->output >= 0)
		close(check->output);
	if (check->pid > 0)
		sg_reaper_add(check->collisions->reaper, check->pid, 0);
	free(check->sha1);
	free(check);
}

/* Tells all that wait for it; the check is no longer in the list then, for they may ask anew. */
static void check_end(struct check *check, enum sg_collision outcome)
{
	struct sg_collisions *collisions = check->collisions;
	struct waiter *waiter;

	TAILQ_REMOVE(&collisions->running, check, entry);
	collisions->running_count--;
	if (outcome != SG_COLLISION_UNCHECKED)
		known_put(collisions, check->sha256, outcome);
	while ((waiter = TAILQ_FIRST(&check->waiters)) != NULL) {
		TAILQ_REMOVE(&check->waiters, waiter, entry);
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		waiter->fn(
		    waiter->arg, outcome, check->why); /* NOLINT(clang-analyzer-unix.Malloc) */
		free(waiter);
	}
	check_free(check);
}

/*
 * What sha1sum says of standard input, "HEX  -", with "*coll* " before the name after a hit. Without
 * one HEX is the SHA-1 of what was given, so that it is known that this was looked at; with one, it
 * is another on purpose.
 */
static enum sg_collision judge(struct check *check, const char *said, size_t len)
{
	static const char clean[] = "  -\n", hit[] = " *coll* -\n";
	const char *tail = said + HEX_SIZE;

	if (len > HEX_SIZE && strspn(said, "0123456789abcdef") == HEX_SIZE) {
		if (len == HEX_SIZE + strlen(hit) && strcmp(tail, hit) == 0)
			return SG_COLLISION_FOUND;
		if (len == HEX_SIZE + strlen(clean) && strcmp(tail, clean) == 0 &&
		    strncmp(said, check->sha1, HEX_SIZE) == 0)
			return SG_COLLISION_NONE;
	}
	snprintf(check->why, sizeof(check->why), "%s does not answer as sha1cdsum does",
	    check->collisions->program);
	return SG_COLLISION_UNCHECKED;
}

/* The child has ended, so all that it said is in the pipe. */
static enum sg_collision collect(struct check *check)
{
	const char *program = check->collisions->program;
	char said[OUTPUT_MAX + 1];
	ssize_t len;
	int status = 0;
	pid_t got;

	do
		got = waitpid(check->pid, &status, 0);
	while (got < 0 && errno == EINTR);
	check->pid = -1;
	len = read(check->output, said, OUTPUT_MAX);
	said[len > 0 ? len : 0] = '\0';
	if (got > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 && len >= 0)
		return judge(check, said, (size_t)len);
	if (got > 0 && WIFSIGNALED(status))
		snprintf(check->why, sizeof(check->why), "%s was ended by signal %d", program,
		    WTERMSIG(status));
	else
		snprintf(check->why, sizeof(check->why), "%s failed with status %d", program,
		    got > 0 ? WEXITSTATUS(status) : -1);
	return SG_COLLISION_UNCHECKED;
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
	struct check *check = arg;

	if (what & EV_READ) {
		check_end(check, collect(check));
		return;
	}
	snprintf(check->why, sizeof(check->why), "%s gave no answer within %d s",
	    check->collisions->program, SG_COLLISIONS_MS / 1000);
	check_end(check, SG_COLLISION_UNCHECKED);
}

/* ---- the child ---- */

/* Only what may be called between fork and exec. */
static void __attribute__((noreturn))
program_exec(const char *program, char *const argv[], int input, int output)
{
	int null = open("/dev/null", O_WRONLY);

	if (null < 0 || dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 ||
	    dup2(null, STDERR_FILENO) < 0)
		_exit(126);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	execv(program, argv);
	_exit(127);
}

/* A file without a name that holds the bytes, to be read from its begin; -1. */
static int input_open(const struct sg_blob *bytes)
{
	int fd = memfd_create("signet-sha1", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < bytes->len) {
		ssize_t n = pwrite(fd, bytes->data + done, bytes->len - done, (off_t)done);

		if (n > 0) {
			done += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			close(fd);
			return -1;
		}
	}
	return fd;
}

static int child_start(struct check *check, const struct sg_blob *bytes)
{
	static char name[] = "sha1cdsum";
	char *const argv[] = { name, NULL };
	const char *program = check->collisions->program;
	int input = input_open(bytes), output[2] = { -1, -1 };

	/* We never wait for what it says. */
	if (input >= 0 && pipe2(output, O_CLOEXEC) == 0 &&
	    fcntl(output[0], F_SETFL, O_NONBLOCK) == 0)
		check->pid = sg_spawn_fork();
	if (check->pid == 0)
		program_exec(program, argv, input, output[1]);
	if (check->pid > 0)
		check->pidfd = pidfd_open(check->pid, 0);
	check->output = output[0];
	if (output[1] >= 0)
		close(output[1]);
	if (input >= 0)
		close(input);
	return check->pidfd >= 0 ? 0 : SG_ERR_IO;
}

static int check_start(struct check *check, const struct sg_blob *bytes)
{
	const struct timeval deadline = { SG_COLLISIONS_MS / 1000,
		SG_COLLISIONS_MS % 1000 * 1000L };
	struct sg_collisions *collisions = check->collisions;

	/* Said before anything is made for it. */
	if (access(collisions->program, X_OK) != 0) {
		snprintf(check->why, sizeof(check->why), "%s cannot be run: %s",
		    collisions->program, strerror(errno));
		return SG_ERR_UNSUPPORTED;
	}
	snprintf(check->why, sizeof(check->why), "%s could not be started", collisions->program);
	if (child_start(check, bytes) != 0)
		return SG_ERR_IO;
	check->ended = event_new(collisions->base, check->pidfd, EV_READ, on_ended, check);
	if (check->ended == NULL || event_add(check->ended, &deadline) != 0)
		return SG_ERR_NOMEM;
	collisions->runs++;
	return 0;
}

static char *sha1_of(const struct sg_blob *bytes)
{
	unsigned char hash[SHA1_SIZE];

	if (EVP_Digest(bytes->data, bytes->len, hash, NULL, EVP_sha1(), NULL) != 1)
		return NULL;
	return sg_hex_encode(hash, sizeof(hash));
}

/* ---- asking ---- */

static struct check *check_new(
    struct sg_collisions *collisions, const struct sg_blob *bytes, const unsigned char *sha256)
{
	struct check *check = calloc(1, sizeof(*check));

	if (check == NULL)
		return NULL;
	check->collisions = collisions;
	check->pid = check->pidfd = check->output = -1;
	TAILQ_INIT(&check->waiters);
	memcpy(check->sha256, sha256, SHA256_SIZE);
	check->sha1 = sha1_of(bytes);
	if (check->sha1 == NULL) {
		check_free(check);
		return NULL;
	}
	return check;
}

static struct check *running_find(
    const struct sg_collisions *collisions, const unsigned char *sha256)
{
	struct check *check;

	TAILQ_FOREACH(check, &collisions->running, entry) {
		if (memcmp(check->sha256, sha256, SHA256_SIZE) == 0)
			return check;
	}
	return NULL;
}

void sg_collisions_look(struct sg_collisions *collisions, const struct sg_blob *bytes,
    const unsigned char sha256[32], sg_collision_fn *fn, void *arg)
{
	enum sg_collision outcome = known_get(collisions, sha256);
	struct waiter *waiter;
	struct check *check;
	int err = 0;

	if (outcome != SG_COLLISION_UNCHECKED) {
		fn(arg, outcome, NULL);
		return;
	}
	check = running_find(collisions, sha256);
	if (check == NULL &&
	    (collisions->stopping || collisions->running_count >= SG_COLLISIONS_RUNNING_MAX)) {
		fn(arg, outcome, collisions->stopping ? "signetd ends" : "too much is looked at");
		return;
	}
	waiter = calloc(1, sizeof(*waiter));
	if (waiter != NULL && check == NULL) {
		check = check_new(collisions, bytes, sha256);
		if (check != NULL) {
			TAILQ_INSERT_TAIL(&collisions->running, check, entry);
			collisions->running_count++;
			err = check_start(check, bytes);
		}
	}
	if (waiter == NULL || check == NULL) {
		free(waiter);
		fn(arg, outcome, "there is not enough memory");
		return;
	}
	*waiter = (struct waiter){ .fn = fn, .arg = arg };
	TAILQ_INSERT_TAIL(&check->waiters, waiter, entry);
	if (err != 0)
		check_end(check, outcome);
}

void sg_collisions_stop(struct sg_collisions *collisions)
{
	struct check *check;

	if (collisions == NULL)
		return;
	collisions->stopping = 1;
	while ((check = TAILQ_FIRST(&collisions->running)) != NULL) {
		snprintf(check->why, sizeof(check->why), "signetd ends");
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		check_end(check, SG_COLLISION_UNCHECKED); /* NOLINT(clang-analyzer-unix.Malloc) */
	}
}

void sg_collisions_free(struct sg_collisions *collisions)
{
	sg_collisions_stop(collisions);
	free(collisions);
}
