#include "exporter.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

#define DRAIN_MS     1000 /* for the other side to close first, so that it gets all of the answer */
#define ACCEPT_AGAIN 1000 /* after accept() failed */
#define SOCKET_MODE  0660

enum state {
	FREE,
	READING,
	WRITING,
	DRAINING, /* all is said: what still comes is dropped until the other side has closed */
};

struct client {
	enum state state;
	int fd;
	int64_t started, deadline;
	char in[SG_EXPORTER_REQUEST_MAX + 1];
	size_t len;
	struct sg_buf out;
};

struct sg_exporter {
	sg_exporter_fn *fn;
	void *arg;
	char *path; /* of a socket that is to be removed, or NULL */
	int fd;
	int64_t accept_at;
	struct client clients[SG_EXPORTER_CLIENTS_MAX];
};

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

/* ---- where to listen */

static int parse_port(const char *text, in_port_t *port)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || number < 1 || number > 65535)
		return 0;
	*port = htons((uint16_t)number);
	return 1;
}

/* The length of the address, or 0 and why it is none. */
static socklen_t parse(const char *where, union address *address, const char **why)
{
	const char *colon = strrchr(where, ':');
	char host[INET6_ADDRSTRLEN + 2] = "";

	memset(address, 0, sizeof(*address));
	*why = "a socket's path is at most 107 bytes long";
	if (*where == '/') {
		address->un.sun_family = AF_UNIX;
		if (strlen(where) >= sizeof(address->un.sun_path))
			return 0;
		memcpy(address->un.sun_path, where, strlen(where));
		return sizeof(address->un);
	}
	*why = "an address and a port are wanted as in 127.0.0.1:9633 or [::1]:9633, or an "
	       "absolute path";
	if (colon == NULL || (size_t)(colon - where) >= sizeof(host))
		return 0;
	memcpy(host, where, (size_t)(colon - where));
	if (inet_pton(AF_INET, host, &address->in.sin_addr) == 1) {
		address->in.sin_family = AF_INET;
		if (!parse_port(colon + 1, &address->in.sin_port))
			return 0;
		*why = "only loopback addresses are listened on: there is no password";
		return ntohl(address->in.sin_addr.s_addr) >> 24 == 127 ? sizeof(address->in) : 0;
	}
	if (*host != '[' || host[strlen(host) - 1] != ']')
		return 0;
	host[strlen(host) - 1] = '\0';
	address->in6.sin6_family = AF_INET6;
	if (inet_pton(AF_INET6, host + 1, &address->in6.sin6_addr) != 1 ||
	    !parse_port(colon + 1, &address->in6.sin6_port))
		return 0;
	*why = "only loopback addresses are listened on: there is no password";
	return IN6_IS_ADDR_LOOPBACK(&address->in6.sin6_addr) ? sizeof(address->in6) : 0;
}

const char *sg_exporter_refusal(const char *where)
{
	union address address;
	const char *why;

	return parse(where, &address, &why) ? NULL : why;
}

/* Nobody listens on a socket's file that is left over from a process that was killed. */
static void remove_left_over(const union address *address, socklen_t len)
{
	struct stat st;
	int fd;

	if (lstat(address->un.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, &address->any, len) != 0 && errno == ECONNREFUSED)
		unlink(address->un.sun_path);
	close(fd);
}

static int start_listening(struct sg_exporter *exporter, const char *where)
{
	union address address;
	const char *why;
	socklen_t len = parse(where, &address, &why);
	int yes = 1;

	if (!len) {
		sg_log(SG_LOG_ERROR, "metrics: listen = %s: %s", where, why);
		return SG_ERR_CONFIG;
	}
	exporter->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exporter->fd < 0)
		goto failed;
	if (address.any.sa_family == AF_UNIX)
		remove_left_over(&address, len);
	else if (setsockopt(exporter->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) != 0)
		goto failed;
	if (bind(exporter->fd, &address.any, len) != 0)
		goto failed;
	if (address.any.sa_family == AF_UNIX) {
		exporter->path = strdup(where);
		if (exporter->path == NULL) {
			unlink(where);
			return SG_ERR_NOMEM;
		}
		if (chmod(where, SOCKET_MODE) != 0)
			goto failed;
	}
	if (listen(exporter->fd, SG_EXPORTER_CLIENTS_MAX) == 0)
		return 0;
failed:
	sg_log(SG_LOG_ERROR, "metrics: cannot listen on %s: %s", where, strerror(errno));
	return SG_ERR_IO;
}

int sg_exporter_new(const char *where, sg_exporter_fn *fn, void *arg, struct sg_exporter **exporter)
{
	struct sg_exporter *self = calloc(1, sizeof(*self));
	int err;

	*exporter = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->fn = fn;
	self->arg = arg;
	self->fd = -1;
	err = start_listening(self, where);
	if (err != 0)
		sg_exporter_free(self);
	else
		*exporter = self;
	return err;
}

/* ---- one client */

static void end(struct client *client)
{
	if (client->state == FREE)
		return;
	close(client->fd);
	sg_buf_clear(&client->out);
	client->state = FREE;
}

void sg_exporter_free(struct sg_exporter *exporter)
{
	if (exporter == NULL)
		return;
	for (size_t i = 0; i < SG_EXPORTER_CLIENTS_MAX; i++)
		end(&exporter->clients[i]);
	if (exporter->fd >= 0)
		close(exporter->fd);
	if (exporter->path != NULL)
		unlink(exporter->path);
	free(exporter->path);
	free(exporter);
}

static void respond(struct client *client, const char *status, const struct sg_buf *body)
{
	size_t len = body != NULL ? body->len : strlen(status) + 1;

	sg_buf_printf(&client->out,
	    "HTTP/1.0 %s\r\nContent-Type: text/plain; %scharset=utf-8\r\nContent-Length: %zu\r\n"
	    "Connection: close\r\n\r\n",
	    status, body != NULL ? "version=0.0.4; " : "", len);
	if (body != NULL)
		sg_buf_put(&client->out, body->data, body->len);
	else
		sg_buf_printf(&client->out, "%s\n", status);
	client->state = WRITING;
}

/* The first line says it all (RFC 1945 5.1); the rest is for others. */
static void answer(struct sg_exporter *exporter, struct client *client)
{
	char *rest = client->in, *line = strsep(&rest, "\r\n");
	const char *method = strsep(&line, " "), *target = strsep(&line, " ");
	struct sg_buf body = { 0 };

	if (target == NULL || line == NULL || strncmp(line, "HTTP/1.", 7) != 0) {
		respond(client, "400 Bad Request", NULL);
	} else if (strcmp(method, "GET") != 0) {
		respond(client, "405 Method Not Allowed", NULL);
	} else if (strcmp(target, "/metrics") != 0) {
		respond(client, "404 Not Found: see /metrics", NULL);
	} else {
		exporter->fn(exporter->arg, &body);
		if (body.err != 0)
			respond(client, "500 Internal Server Error", NULL);
		else
			respond(client, "200 OK", &body);
		sg_buf_clear(&body);
	}
}

static int is_complete(const struct client *client)
{
	return memmem(client->in, client->len, "\r\n\r\n", 4) != NULL ||
	    memmem(client->in, client->len, "\n\n", 2) != NULL;
}

static void take(struct sg_exporter *exporter, struct client *client)
{
	ssize_t n =
	    read(client->fd, client->in + client->len, SG_EXPORTER_REQUEST_MAX - client->len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end(client);
		return;
	}
	client->len += (size_t)n;
	client->in[client->len] = '\0';
	if (is_complete(client))
		answer(exporter, client);
	else if (client->len == SG_EXPORTER_REQUEST_MAX)
		respond(client, "431 Request Header Fields Too Large", NULL);
}

static void give(struct client *client)
{
	ssize_t n;

	if (client->out.err != 0) {
		end(client);
		return;
	}
	n = send(client->fd, client->out.data, client->out.len, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		end(client);
		return;
	}
	sg_buf_consume(&client->out, (size_t)n);
	if (client->out.len == 0) {
		shutdown(client->fd, SHUT_WR);
		client->state = DRAINING;
		client->deadline = sg_clock_ms() + DRAIN_MS;
	}
}

static void drain(struct client *client)
{
	char dropped[SG_EXPORTER_REQUEST_MAX];
	ssize_t n = read(client->fd, dropped, sizeof(dropped));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end(client);
}

/* As far as it goes at once: who asks whole gets the answer in one go. */
static void serve(struct sg_exporter *exporter, struct client *client)
{
	if (client->state == READING)
		take(exporter, client);
	if (client->state == WRITING)
		give(client);
	if (client->state == DRAINING)
		drain(client);
}

/* ---- all of them */

/* A place that is free, or that of the client who has been here longest. */
static struct client *make_place(struct sg_exporter *exporter)
{
	struct client *oldest = &exporter->clients[0];

	for (size_t i = 0; i < SG_EXPORTER_CLIENTS_MAX; i++) {
		if (exporter->clients[i].state == FREE)
			return &exporter->clients[i];
		if (exporter->clients[i].started < oldest->started)
			oldest = &exporter->clients[i];
	}
	end(oldest);
	return oldest;
}

/* As many as there are places for, and then it is the service's turn again. */
static void take_clients(struct sg_exporter *exporter)
{
	for (int i = 0; i < SG_EXPORTER_CLIENTS_MAX; i++) {
		int fd = accept4(exporter->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		struct client *client;

		if (fd < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				exporter->accept_at = sg_clock_ms() + ACCEPT_AGAIN;
			return;
		}
		client = make_place(exporter);
		client->state = READING;
		client->fd = fd;
		client->len = 0;
		client->started = sg_clock_ms();
		client->deadline = client->started + SG_EXPORTER_MS;
		serve(exporter, client);
	}
}

static int sooner(int wait_ms, int64_t left)
{
	int ms = left > 0 ? (int)left : 0;

	return wait_ms < 0 || ms < wait_ms ? ms : wait_ms;
}

int sg_exporter_prepare(struct sg_exporter *exporter, struct pollfd pfds[SG_EXPORTER_FDS])
{
	int64_t now = sg_clock_ms();
	int wait_ms = -1;

	for (size_t i = 0; i < SG_EXPORTER_FDS; i++)
		pfds[i] = (struct pollfd){ .fd = -1 };
	if (exporter == NULL)
		return -1;
	if (exporter->accept_at > now)
		wait_ms = sooner(wait_ms, exporter->accept_at - now);
	else
		pfds[0] = (struct pollfd){ .fd = exporter->fd, .events = POLLIN };
	for (size_t i = 0; i < SG_EXPORTER_CLIENTS_MAX; i++) {
		const struct client *client = &exporter->clients[i];

		if (client->state == FREE)
			continue;
		pfds[1 + i].fd = client->fd;
		pfds[1 + i].events = client->state == WRITING ? POLLOUT : POLLIN;
		wait_ms = sooner(wait_ms, client->deadline - now);
	}
	return wait_ms;
}

void sg_exporter_step(struct sg_exporter *exporter, const struct pollfd pfds[SG_EXPORTER_FDS])
{
	if (exporter == NULL)
		return;
	for (size_t i = 0; i < SG_EXPORTER_CLIENTS_MAX; i++) {
		struct client *client = &exporter->clients[i];

		if (pfds[1 + i].revents)
			serve(exporter, client);
		if (client->state != FREE && sg_clock_ms() >= client->deadline)
			end(client);
	}
	if (pfds[0].revents)
		take_clients(exporter);
}
