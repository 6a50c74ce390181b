/*
 * Calls an agent over its Unix socket as fast as it answers, and counts.
 *
 *	load SOCKET varlink|ssh FILE CLIENTS DEPTH SECONDS [IDLE TRICKLE DEAF]
 *
 * FILE holds one whole request; each of CLIENTS connections keeps DEPTH of them under way for SECONDS, or with 0
 * until the first reply. Beside them: IDLE connections that say nothing, TRICKLE that send a byte a second, and
 * DEAF that send requests and never read. Prints "ready", begins at a line from its standard input, and prints one
 * JSON object; the first reply of the first connection goes to FILE.reply, or an error in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ROOM	    (2u << 20) /* more than the longest reply */
#define DEPTH_MAX   64
#define SAMPLES_MAX (1u << 22)
#define WARM_UP	    0.3 /* s, not counted */

#define SSH_AGENT_SIGN_RESPONSE 14

struct client {
	int sock;
	char *in;
	size_t len;
	size_t unsent;		 /* bytes of requests that the socket did not take */
	int64_t sent[DEPTH_MAX]; /* when those under way were sent, a ring */
	unsigned first, count;
};

struct load {
	int is_ssh;
	char *request;
	size_t request_len;
	unsigned depth;
	uint32_t *samples; /* ns */
	size_t sample_count;
	unsigned long replies, errors;
	unsigned long all; /* replies, with those of the warm-up */
	int counting;
	int kept; /* the first reply of the first connection is in the file */
	const char *keep_path;
};

static void die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static void *room(size_t count, size_t size)
{
	void *made = calloc(count > 0 ? count : 1, size);

	if (made == NULL)
		die("memory");
	return made;
}

static int dial(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		die(path);
	}
	memcpy(addr.sun_path, path, strlen(path) + 1);
	if (sock < 0 || connect(sock, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		die(path);
	return sock;
}

static void read_request(struct load *load, const char *path)
{
	FILE *file = fopen(path, "rb");

	load->request = room(1, 65536);
	if (file == NULL || (load->request_len = fread(load->request, 1, 65536, file)) == 0)
		die(path);
	fclose(file);
}

/* Sends what of the requests the socket takes now: all, but to an agent that does not read. */
static void push(const struct load *load, struct client *client)
{
	while (client->unsent > 0) {
		size_t left = (client->unsent - 1) % load->request_len + 1;
		ssize_t n = send(client->sock, load->request + load->request_len - left, left,
		    MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("send");
		if (n <= 0)
			return;
		client->unsent -= (size_t)n;
	}
}

static void ask(const struct load *load, struct client *client)
{
	client->sent[(client->first + client->count++) % DEPTH_MAX] = now_ns();
	client->unsent += load->request_len;
}

/* The length of the whole reply at the beginning of the bytes, or 0. */
static size_t whole_reply(const struct load *load, const char *at, size_t len)
{
	const char *end;
	size_t size;

	if (!load->is_ssh) {
		end = memchr(at, '\0', len);
		return end != NULL ? (size_t)(end - at) + 1 : 0;
	}
	if (len < 5)
		return 0;
	size = (size_t)(unsigned char)at[0] << 24 | (size_t)(unsigned char)at[1] << 16 |
	    (size_t)(unsigned char)at[2] << 8 | (unsigned char)at[3];
	return len >= size + 4 ? size + 4 : 0;
}

static int is_error(const struct load *load, const char *at, size_t len)
{
	if (load->is_ssh)
		return at[4] != SSH_AGENT_SIGN_RESPONSE;
	return memmem(at, len < 64 ? len : 64, "\"error\"", 7) != NULL;
}

static void keep(const struct load *load, const char *at, size_t len)
{
	FILE *file = fopen(load->keep_path, "wb");

	if (file == NULL || fwrite(at, 1, len, file) != len || fclose(file) != 0)
		die(load->keep_path);
}

static void take(struct load *load, struct client *client, int keeps)
{
	ssize_t n = recv(client->sock, client->in + client->len, ROOM - client->len, MSG_DONTWAIT);
	size_t pos = 0, size;
	int64_t at;

	if (n <= 0)
		die("the agent has gone");
	at = now_ns();
	client->len += (size_t)n;
	while ((size = whole_reply(load, client->in + pos, client->len - pos)) > 0) {
		if (is_error(load, client->in + pos, size)) {
			load->errors++;
			keep(load, client->in + pos, size);
		} else if (keeps && load->errors == 0 && !load->kept) {
			keep(load, client->in + pos, size);
			load->kept = 1;
		}
		load->all++;
		if (load->counting) {
			load->replies++;
			if (load->sample_count < SAMPLES_MAX)
				load->samples[load->sample_count++] =
				    (uint32_t)(at - client->sent[client->first]);
		}
		client->first = (client->first + 1) % DEPTH_MAX;
		client->count--;
		ask(load, client);
		pos += size;
	}
	memmove(client->in, client->in + pos, client->len - pos);
	client->len -= pos;
	push(load, client);
}

/* One more byte of a request on each of these connections. */
static void trickle(const struct load *load, int *socks, unsigned count, unsigned round)
{
	for (unsigned i = 0; i < count; i++) {
		if (send(socks[i], load->request + round % load->request_len, 1,
			MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			die("trickle");
	}
}

/* As many requests on each of these connections as the agent takes; nobody reads its replies. */
static void deafen(const struct load *load, int *socks, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		while (send(socks[i], load->request, load->request_len,
			   MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)load->request_len)
			continue;
	}
}

static int *dial_many(const char *path, unsigned count)
{
	int *socks = room(count, sizeof(*socks));

	for (unsigned i = 0; i < count; i++)
		socks[i] = dial(path);
	return socks;
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static double percentile(struct load *load, double share)
{
	size_t at = (size_t)(share * (double)load->sample_count);

	return load->sample_count > 0 ? load->samples[at] / 1000.0 : 0;
}

static double run(struct load *load, struct client *clients, unsigned count, double seconds,
    int *slow, unsigned slow_count)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t begin = now_ns() + (int64_t)(seconds > 0 ? WARM_UP * 1e9 : 0);
	int64_t end = begin + (int64_t)(seconds * 1e9), at, started = 0;
	unsigned round = 0;

	for (unsigned i = 0; i < count; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(epoll, EPOLL_CTL_ADD, clients[i].sock, &event) != 0)
			die("epoll");
		for (unsigned k = 0; k < load->depth; k++)
			ask(load, &clients[i]);
		push(load, &clients[i]);
	}
	while ((at = now_ns()) < end || (seconds <= 0 && load->all == 0)) {
		struct epoll_event events[64];
		int got = epoll_wait(epoll, events, 64, 100);

		if (!load->counting && at >= begin) {
			load->counting = 1;
			started = at;
		}
		for (int i = 0; i < got; i++)
			take(load, &clients[events[i].data.u32], events[i].data.u32 == 0);
		if ((at - begin) / 1000000000 > round)
			trickle(load, slow, slow_count, ++round);
	}
	close(epoll);
	return (double)(at - started) / 1e9;
}

int main(int argc, char **argv)
{
	struct load load = { 0 };
	struct client *clients;
	unsigned count, extra[3] = { 0, 0, 0 };
	int *slow, *deaf;
	struct rusage use;
	char *keep_path = NULL;
	double took;

	if (argc != 7 && argc != 10) {
		fprintf(stderr,
		    "load: SOCKET varlink|ssh FILE CLIENTS DEPTH SECONDS "
		    "[IDLE TRICKLE DEAF]\n");
		return 2;
	}
	load.is_ssh = strcmp(argv[2], "ssh") == 0;
	read_request(&load, argv[3]);
	if (asprintf(&keep_path, "%s.reply", argv[3]) < 0)
		die("memory");
	load.keep_path = keep_path;
	count = (unsigned)atoi(argv[4]);
	load.depth = (unsigned)atoi(argv[5]);
	for (int i = 7; i < argc; i++)
		extra[i - 7] = (unsigned)atoi(argv[i]);
	if (load.depth == 0 || load.depth > DEPTH_MAX) {
		fprintf(stderr, "load: DEPTH is 1 to %d\n", DEPTH_MAX);
		return 2;
	}
	load.samples = room(SAMPLES_MAX, sizeof(*load.samples));
	clients = room(count, sizeof(*clients));
	for (unsigned i = 0; i < count; i++) {
		clients[i].sock = dial(argv[1]);
		clients[i].in = room(1, ROOM);
	}
	(void)dial_many(argv[1], extra[0]); /* they stay open as long as we live */
	slow = dial_many(argv[1], extra[1]);
	deaf = dial_many(argv[1], extra[2]);
	deafen(&load, deaf, extra[2]);
	puts("ready");
	fflush(stdout);
	if (getchar() != '\n')
		return 1;
	took = run(&load, clients, count, atof(argv[6]), slow, extra[1]);
	qsort(load.samples, load.sample_count, sizeof(*load.samples), compare);
	getrusage(RUSAGE_SELF, &use);
	printf("{\"count\": %lu, \"all\": %lu, \"errors\": %lu, \"seconds\": %.4f, \"p50_us\": "
	       "%.1f, \"p99_us\": "
	       "%.1f, "
	       "\"cpu\": %.3f}\n",
	    load.replies, load.all, load.errors, took, percentile(&load, 0.5),
	    percentile(&load, 0.99),
	    (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
		(double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6);
	return 0;
}
