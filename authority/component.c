#include "component.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <strophe.h>

#include "bounds.h"
#include "clock.h"
#include "log.h"
#include "secret.h"
#include "stanza.h"

#define PAUSE_MIN_MS   1000
#define PAUSE_MAX_MS   60000
#define HANDSHAKE_MS   1000 /* between looks at libstrophe's own timers, until we are online */
#define SECRET_FILE_MS 5000
#define READS_MAX      64 /* of one step; libstrophe takes 4 KiB in each */
/* Pieces of answers that wait for the server to read before more is taken from it. */
#define UNSENT_MAX 256

/* A request whose answer is put off until the end of the step. */
struct waiting {
	struct waiting *next;
	struct sg_xml *iq;
	struct sg_answer answer;
};

struct sg_component {
	const struct sg_authority_config *config;
	const struct sg_delegation *delegation;
	xmpp_log_t log;
	xmpp_ctx_t *ctx;
	xmpp_conn_t *conn;
	int fd; /* libstrophe's socket, or -1 */
	int online;
	int quiet; /* what libstrophe says now is of no interest */
	int ended; /* the stream failed, and its socket is shut down */
	uint64_t tries;
	struct waiting *waiting; /* none between two steps */
	int pause_ms;
	int64_t retry_at; /* while fd is -1: when to connect, by sg_clock_ms() */
};

/* The callback for a new socket is told of the connection only, which has no room for a pointer. */
static struct sg_component *the_component;

/* Debug lines hold whole stanzas and the handshake: they are never asked for. */
static void on_log(void *arg, xmpp_log_level_t level, const char *area, const char *message)
{
	const struct sg_component *component = arg;

	if (level >= XMPP_LEVEL_WARN && !component->quiet)
		sg_log(SG_LOG_WARN, "component: libstrophe: %s: %s", area, message);
}

static int on_socket(xmpp_conn_t *conn, void *sock)
{
	const int on = 1;

	memcpy(&the_component->fd, sock, sizeof(int));
	/* an answer does not wait until the server has acknowledged the blank after the one before */
	(void)setsockopt(the_component->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return xmpp_sockopt_cb_keepalive(conn, sock); /* a dead peer is noticed by the kernel */
}

static void send_reply(struct sg_component *component, struct sg_xml *reply, int err)
{
	if (err == 0 && reply != NULL)
		err = sg_stanza_send(component->conn, reply);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "component: no answer: %s", sg_err_text(err));
	sg_xml_free(reply);
}

static void waiting_free(struct waiting *waiting)
{
	if (waiting == NULL)
		return;
	sg_xml_free(waiting->answer.payload);
	sg_xml_free(waiting->iq);
	free(waiting);
}

static int on_iq(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *arg)
{
	struct sg_component *component = arg;
	struct waiting *waiting = calloc(1, sizeof(*waiting));
	struct sg_xml *reply = NULL;
	int err, is_whole;

	if (waiting == NULL) {
		send_reply(component, NULL, SG_ERR_NOMEM);
		return 1;
	}
	err = sg_bounds_cut() ? SG_ERR_LIMIT : sg_stanza_to_xml(stanza, &waiting->iq);
	is_whole = err == 0;
	if (!is_whole) {
		sg_log(SG_LOG_WARN, "component: a stanza was refused: %s", sg_err_text(err));
		err = sg_stanza_head(stanza, SG_DELEGATION_LEVELS, &waiting->iq);
	}
	if (err == 0)
		err = sg_delegation_answer(
		    component->delegation, waiting->iq, is_whole, &waiting->answer, &reply);
	if (err == 1) {
		waiting->next = component->waiting;
		component->waiting = waiting;
	} else {
		send_reply(component, reply, err);
		waiting_free(waiting);
	}
	return 1; /* the handler stays */
}

/* Sends what was put off. */
static void send_waiting(struct sg_component *component)
{
	struct waiting *waiting;
	struct sg_xml *reply;
	int err;

	if (component->waiting == NULL)
		return;
	component->delegation->flush(component->delegation->arg);
	while ((waiting = component->waiting) != NULL) {
		component->waiting = waiting->next;
		err = sg_delegation_finish(
		    component->delegation, waiting->iq, &waiting->answer, &reply);
		send_reply(component, reply, err);
		waiting_free(waiting);
	}
}

/*
 * libstrophe up to 0.13 follows a pointer in component mode that only a client connection allocates.
 * A helper makes one, by a connect that fails at once (no host name is that long); NULL when it does not.
 */
static xmpp_sm_state_t *borrow_sm_state(struct sg_component *component)
{
	xmpp_conn_t *helper = xmpp_conn_new(component->ctx);
	xmpp_sm_state_t *state = NULL;
	char host[301];

	if (helper == NULL)
		return NULL;
	memset(host, 'x', sizeof(host) - 1);
	host[sizeof(host) - 1] = '\0';
	xmpp_conn_set_jid(helper, "x@x");
	component->quiet = 1;
	if (xmpp_connect_client(helper, host, 1, NULL, NULL) != XMPP_EOK)
		state = xmpp_conn_get_sm_state(helper);
	component->quiet = 0;
	xmpp_conn_release(helper);
	return state;
}

/* The helper comes first: the parser that the bounds are put in front of is the connection's. */
static int connection_make(struct sg_component *component)
{
	xmpp_sm_state_t *state = borrow_sm_state(component);

	if (state == NULL)
		return SG_ERR_INTERNAL;
	sg_parser_expect(&sg_bounds);
	component->conn = xmpp_conn_new(component->ctx);
	if (component->conn == NULL || !sg_parser_is_attached() ||
	    xmpp_conn_set_sm_state(component->conn, state) != XMPP_EOK) {
		xmpp_free_sm_state(state);
		return SG_ERR_INTERNAL;
	}
	xmpp_handler_add(
	    component->conn, on_iq, NULL, "iq", NULL, component); /* for every stream */
	return 0;
}

/* The name of a stream error's condition (RFC 6120 4.9.3); "" when there is none. */
static const char *condition_of(const xmpp_stream_error_t *error)
{
	xmpp_stanza_t *child = error != NULL ? xmpp_stanza_get_children(error->stanza) : NULL;
	const char *name = child != NULL ? xmpp_stanza_get_name(child) : NULL;

	return name != NULL ? name : "";
}

static void schedule(struct sg_component *component)
{
	component->fd = -1;
	component->online = 0;
	component->ended = 0;
	component->retry_at = sg_clock_ms() + component->pause_ms;
	sg_log(SG_LOG_INFO, "component: trying again in %d s", component->pause_ms / 1000);
	component->pause_ms *= 2;
	if (component->pause_ms > PAUSE_MAX_MS)
		component->pause_ms = PAUSE_MAX_MS;
}

static void on_conn(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
    xmpp_stream_error_t *stream_error, void *arg)
{
	struct sg_component *component = arg;
	const struct sg_authority_config *config = component->config;
	const char *condition = condition_of(stream_error);

	if (event == XMPP_CONN_CONNECT) {
		component->online = 1;
		component->pause_ms = PAUSE_MIN_MS;
		sg_log(SG_LOG_INFO, "component %s connected to %s:%u", config->jid, config->host,
		    config->port);
		return;
	}
	if (component->quiet)
		return; /* we ended it */
	if (sg_bounds_failed())
		sg_log(SG_LOG_ERROR,
		    "component: what %s:%u sent is no XMPP stream: closed the connection",
		    config->host, config->port);
	else if (strcmp(condition, "not-authorized") == 0)
		sg_log(SG_LOG_ERROR,
		    "component: the server refused the secret of %s: compare %s with its "
		    "configuration",
		    config->jid, config->secret_file);
	else if (*condition)
		sg_log(SG_LOG_ERROR, "component: the server ended the stream: %s%s%s", condition,
		    stream_error->text != NULL ? ": " : "",
		    stream_error->text != NULL ? stream_error->text : "");
	else
		sg_log(SG_LOG_WARN, "component: %s %s:%u%s%s",
		    component->online ? "lost the stream to" : "cannot reach", config->host,
		    config->port, error > 0 ? ": " : "", error > 0 ? strerror(error) : "");
	schedule(component);
}

/* libstrophe keeps its own copy of the secret in plain memory; ours is wiped at once. */
static int set_secret(struct sg_component *component)
{
	const char *path = component->config->secret_file;
	struct sg_secret *secret = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), err;

	if (fd < 0) {
		sg_log(SG_LOG_ERROR, "component: secret file %s: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	err = sg_secret_new(&secret);
	if (err == 0)
		err = sg_secret_read_fd(secret, fd, SECRET_FILE_MS);
	if (err == 0)
		xmpp_conn_set_pass(component->conn, sg_secret_data(secret));
	else
		sg_log(SG_LOG_ERROR, "component: secret file %s: %s", path, sg_err_text(err));
	sg_secret_free(secret);
	close(fd);
	return err;
}

static void start(struct sg_component *component)
{
	const struct sg_authority_config *config = component->config;

	component->tries++;
	if (set_secret(component) == 0) {
		xmpp_conn_set_jid(component->conn, config->jid);
		xmpp_conn_set_sockopt_callback(component->conn, on_socket);
		if (xmpp_connect_component(component->conn, config->host,
			(unsigned short)config->port, on_conn, component) == XMPP_EOK)
			return;
		sg_log(SG_LOG_ERROR, "component: cannot reach %s:%u", config->host, config->port);
	}
	schedule(component);
}

int sg_component_new(const struct sg_authority_config *config,
    const struct sg_delegation *delegation, struct sg_component **component)
{
	struct sg_component *self = calloc(1, sizeof(*self));
	int err;

	*component = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->config = config;
	self->delegation = delegation;
	self->fd = -1;
	self->pause_ms = PAUSE_MIN_MS;
	self->log.handler = on_log;
	self->log.userdata = self;
	xmpp_initialize();
	self->ctx = xmpp_ctx_new(NULL, &self->log);
	err = self->ctx != NULL ? connection_make(self) : SG_ERR_NOMEM;
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "component: libstrophe does not start");
		sg_component_free(self);
		return err;
	}
	the_component = self;
	*component = self;
	return 0;
}

void sg_component_free(struct sg_component *component)
{
	if (component == NULL)
		return;
	component->quiet = 1;
	if (component->online) {
		xmpp_disconnect(component->conn);
		xmpp_run_once(component->ctx, 0);
	}
	if (component->conn != NULL)
		xmpp_conn_release(component->conn);
	if (component->ctx != NULL)
		xmpp_ctx_free(component->ctx);
	xmpp_shutdown();
	the_component = NULL;
	free(component);
}

static int is_established(int fd)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	return getpeername(fd, (struct sockaddr *)&peer, &len) == 0;
}

/* A server that does not read its answers keeps its requests. */
static int is_backed_up(const struct sg_component *component)
{
	return component->fd >= 0 && xmpp_conn_send_queue_len(component->conn) > UNSENT_MAX;
}

int sg_component_prepare(struct sg_component *component, struct pollfd *pfd)
{
	int64_t left;

	pfd->fd = component->fd;
	pfd->events = is_backed_up(component) ? 0 : POLLIN;
	pfd->revents = 0;
	if (component->fd < 0) {
		left = component->retry_at - sg_clock_ms();
		return left > 0 ? (int)left : 0;
	}
	if (!is_established(component->fd) || xmpp_conn_send_queue_len(component->conn) > 0)
		pfd->events |= POLLOUT;
	return component->online ? -1 : HANDSHAKE_MS;
}

/*
 * Ends a stream that cannot be read on. libstrophe knows nothing of it: it finds the socket closed. The
 * error is for the server's log, and as much of it is sent as goes without waiting.
 */
static void end_failed_stream(struct sg_component *component)
{
	static const char error[] =
	    "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>"
	    "</stream:error></stream:stream>";

	if (xmpp_conn_is_connected(component->conn)) {
		xmpp_send_raw(component->conn, error, sizeof(error) - 1);
		xmpp_run_once(component->ctx, 0);
	}
	if (component->fd >= 0)
		shutdown(component->fd, SHUT_RDWR);
	component->ended = component->fd >= 0;
}

int sg_component_is_online(const struct sg_component *component)
{
	return component->online;
}

uint64_t sg_component_tries(const struct sg_component *component)
{
	return component->tries;
}

static int is_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLIN);
}

/* Also when it has failed, which libstrophe finds when it writes. */
static int is_writable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };

	return poll(&pfd, 1, 0) > 0;
}

void sg_component_step(struct sg_component *component)
{
	int reads = 0;

	if (component->fd < 0) {
		if (sg_clock_ms() < component->retry_at)
			return;
		start(component);
	}
	if (is_backed_up(component) && !is_writable(component->fd))
		return; /* libstrophe would read, too */
	/* everything that has come is taken, so that it can be done together; then what was answered is sent */
	do
		xmpp_run_once(component->ctx, 0);
	while (component->fd >= 0 && ++reads < READS_MAX && !is_backed_up(component) &&
	    is_readable(component->fd));
	send_waiting(component);
	xmpp_run_once(component->ctx, 0);
	send_waiting(component);
	if (component->fd >= 0 && sg_bounds_failed() && !component->ended)
		end_failed_stream(component);
}
