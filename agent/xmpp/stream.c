#include "stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <openssl/rand.h>
#include <strophe.h>

#include "buf.h"
#include "filter.h"
#include "log.h"
#include "memory.h"
#include "reason.h"
#include "scram.h"
#include "stanza.h"
#include "text.h"
#include "tls.h"

/* TCP, TLS with a touch of the token, SASL and binding; less than a broker waits. */
#define LOGIN_TIMEOUT_S 50
#define LOGIN_TICK_MS	500 /* libstrophe's own timers, while it logs in or says goodbye */
#define RUNS_MAX	64  /* rounds of libstrophe before others get their turn */
#define RESOURCE_BYTES	16
#define QUEUE_MAX	256 /* stanzas of ours that the server has not taken */

enum state {
	STATE_IDLE,
	STATE_CONNECTING,
	STATE_ONLINE,
	STATE_CLOSING, /* by us */
};

struct sg_stream {
	const struct sg_stream_events *events;
	sg_remotekey_sign_fn *sign;
	void *arg;

	xmpp_ctx_t *ctx;
	xmpp_conn_t *conn; /* one for each connection: nothing of the last is left */
	uint64_t mark;	   /* of memory, before it was made */
	struct sg_tls_identity *identity;
	enum state state;
	int fd;
	int was_online;
	int named;	   /* libstrophe knows which resource to ask for */
	int connect_errno; /* why TCP failed, or 0 */
	int bound;	   /* libstrophe says so; not told yet */
	int ended;	   /* libstrophe is done with the connection */
	int more;	   /* the last run was cut short */
	char *jid, *domain, *host, *full_jid;
};

/*
 * libstrophe blocks in the TLS handshake for as long as the server is silent. When the time for the
 * login is over, a signal ends the socket under it, every second until the login is off.
 */
static volatile sig_atomic_t login_fd = -1, login_expired;

static void on_alarm(int signal)
{
	int saved = errno;

	login_expired = 1;
	if (login_fd >= 0)
		shutdown(login_fd, SHUT_RDWR);
	errno = saved;
}

static void login_timer(int seconds)
{
	struct itimerval timer = { { seconds > 0, 0 }, { seconds, 0 } };

	setitimer(ITIMER_REAL, &timer, NULL);
}

/* ---- called by libstrophe ---- */

/* The callback has no argument of its own; there is one stream in a process. */
static struct sg_stream *the_stream;

static int on_socket(xmpp_conn_t *conn, void *sock)
{
	int fd = *(int *)sock, on = 1;
	int idle = 120, interval = 30, count = 4; /* a silent peer: gone in 4 minutes */
	unsigned unacknowledged_ms = 60u * 1000u;

	/* Best effort: a connection without them still works. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	(void)setsockopt(
	    fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged_ms, sizeof(unacknowledged_ms));
	the_stream->fd = fd;
	login_fd = fd;
	return 0;
}

/* libstrophe knows the stanza's head; the rest was gathered, unless it is cut. */
static struct sg_arrival arrival_of(xmpp_stanza_t *stanza)
{
	struct sg_arrival arrival = {
		.type = xmpp_stanza_get_type(stanza),
		.id = xmpp_stanza_get_id(stanza),
		.from = xmpp_stanza_get_from(stanza),
		.to = xmpp_stanza_get_to(stanza),
	};

	if (!sg_filter_report()->cut)
		sg_gather_take(&arrival);
	return arrival;
}

static int on_iq(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
	struct sg_stream *stream = userdata;
	struct sg_arrival arrival = arrival_of(stanza);

	if (stream->state == STATE_ONLINE)
		stream->events->iq(stream->arg, &arrival);
	return 1;
}

static int on_message(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
	struct sg_stream *stream = userdata;
	struct sg_arrival arrival = arrival_of(stanza);

	if (stream->state == STATE_ONLINE)
		stream->events->message(stream->arg, &arrival);
	return 1;
}

static int on_presence(xmpp_conn_t *conn, xmpp_stanza_t *stanza, void *userdata)
{
	struct sg_stream *stream = userdata;
	struct sg_arrival arrival = arrival_of(stanza);

	if (stream->state == STATE_ONLINE)
		stream->events->presence(stream->arg, &arrival);
	return 1;
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
    xmpp_stream_error_t *stream_error, void *userdata)
{
	struct sg_stream *stream = userdata;

	if (event == XMPP_CONN_CONNECT) {
		stream->bound = 1;
		sg_filter_online();
		xmpp_handler_add(conn, on_iq, NULL, "iq", NULL, stream);
		xmpp_handler_add(conn, on_message, NULL, "message", NULL, stream);
		xmpp_handler_add(conn, on_presence, NULL, "presence", NULL, stream);
	} else if (event == XMPP_CONN_DISCONNECT) {
		login_fd = -1; /* closed: another file may get the number */
		stream->fd = -1;
		stream->ended = 1;
	}
}

/*
 * libstrophe's log holds whole stanzas, credentials among them, at its lower levels, and received
 * stanzas in warnings. Its errors are sentences of its own; what matters of them reaches the user
 * through the reports of filter and TLS.
 */
static void on_log(void *userdata, xmpp_log_level_t level, const char *area, const char *message)
{
	if (level == XMPP_LEVEL_ERROR)
		sg_log(SG_LOG_DEBUG, "libstrophe: %s: %.200s", area, message);
}

static const xmpp_log_t filtering_log = { .handler = on_log, .userdata = NULL };

/* ---- making and ending ---- */

int sg_stream_new(struct sg_stream **stream, const struct sg_stream_events *events,
    sg_remotekey_sign_fn *sign, void *arg)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct sg_stream *made = calloc(1, sizeof(*made));

	*stream = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->events = events;
	made->sign = sign;
	made->arg = arg;
	made->fd = -1;
	if (sigaction(SIGALRM, &action, NULL) != 0 || sg_tls_init() != 0) {
		free(made);
		return SG_ERR_INTERNAL;
	}
	xmpp_initialize();
	made->ctx = xmpp_ctx_new(&sg_memory_wiping, &filtering_log);
	if (made->ctx == NULL) {
		free(made);
		return SG_ERR_NOMEM;
	}
	the_stream = made;
	*stream = made;
	return 0;
}

/* Drops everything of one connection. Not from inside libstrophe. */
static void stream_reset(struct sg_stream *stream)
{
	login_timer(0);
	login_fd = -1;
	sg_scram_end();
	if (stream->conn != NULL) {
		xmpp_conn_release(stream->conn);
		sg_memory_release(stream->mark); /* what libstrophe forgot of it */
	}
	stream->conn = NULL;
	sg_tls_end();
	sg_tls_identity_free(stream->identity);
	stream->identity = NULL;
	free(stream->jid);
	free(stream->domain);
	free(stream->host);
	free(stream->full_jid);
	stream->jid = stream->domain = stream->host = stream->full_jid = NULL;
	stream->fd = -1;
	stream->state = STATE_IDLE;
	stream->was_online = stream->named = stream->bound = stream->ended = stream->more = 0;
	stream->connect_errno = 0;
}

void sg_stream_free(struct sg_stream *stream)
{
	if (stream == NULL)
		return;
	stream_reset(stream);
	xmpp_ctx_free(stream->ctx);
	xmpp_shutdown();
	the_stream = NULL;
	free(stream);
}

/* ---- connecting ---- */

/* What must be true before anything is sent; fills the names. */
static int connect_check(struct sg_stream *stream, const struct sg_msg_xmpp_connect *connect,
    const struct sg_secret *password, struct sg_msg_error *error)
{
	int err = 0;

	if (connect->jid == NULL || !sg_jid_is_account(connect->jid) || connect->port > 65535) {
		sg_msg_error_set(error, SG_ERR_ARG, connect->jid, "not an account to connect to");
		return SG_ERR_ARG;
	}
	if (connect->certificate.len == 0 && password == NULL) {
		sg_msg_error_set(error, SG_ERR_PASSWORD_NEEDED, connect->jid, NULL);
		return SG_ERR_PASSWORD_NEEDED;
	}
	if (connect->certificate.len == 0 && !sg_scram_takes_user(connect->jid)) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, connect->jid,
		    "a user name with '=' or ',' cannot log in by password");
		return SG_ERR_UNSUPPORTED;
	}
	if (connect->cafile != NULL && access(connect->cafile, R_OK) != 0) {
		sg_msg_error_set(error, SG_ERR_TLS, connect->cafile,
		    "the CA file cannot be read: %s", strerror(errno));
		return SG_ERR_TLS;
	}
	stream->jid = strdup(connect->jid);
	stream->domain = strdup(strchr(connect->jid, '@') + 1);
	stream->host = connect->host != NULL ? strdup(connect->host) : NULL;
	if (stream->jid == NULL || stream->domain == NULL ||
	    (connect->host != NULL && stream->host == NULL))
		err = SG_ERR_NOMEM;
	if (err == 0 && connect->certificate.len > 0)
		err = sg_tls_identity_new(&stream->identity, &connect->certificate,
		    connect->key_abilities, stream->sign, stream->arg);
	if (err != 0)
		sg_msg_error_set(error, err, connect->jid, "the certificate cannot be used");
	return err;
}

/* A new connection of libstrophe, ready to connect. */
static int connection_make(struct sg_stream *stream, const struct sg_msg_xmpp_connect *connect,
    const struct sg_secret *password)
{
	long flags = XMPP_CONN_FLAG_MANDATORY_TLS | XMPP_CONN_FLAG_DISABLE_SM;

	stream->mark = sg_memory_mark();
	sg_parser_expect(&sg_filter);
	stream->conn = xmpp_conn_new(stream->ctx);
	if (stream->conn == NULL)
		return SG_ERR_NOMEM;
	if (!sg_parser_is_attached()) {
		sg_log(SG_LOG_ERROR, "this libstrophe's parser cannot be limited: no connection");
		return SG_ERR_INTERNAL;
	}
	if (connect->tls_mode == SG_TLS_DIRECT)
		flags |= XMPP_CONN_FLAG_LEGACY_SSL;
	if (xmpp_conn_set_flags(stream->conn, flags) != 0)
		return SG_ERR_INTERNAL;
	xmpp_conn_set_jid(stream->conn, connect->jid);
	xmpp_conn_set_sockopt_callback(stream->conn, on_socket);
	sg_filter_begin(stream->identity != NULL ? SG_FILTER_EXTERNAL : SG_FILTER_SCRAM);
	sg_tls_begin(stream->conn, stream->identity, connect->cafile);
	if (stream->identity == NULL) {
		xmpp_conn_set_pass(stream->conn, sg_secret_data(password));
		sg_scram_begin(stream->jid, xmpp_conn_get_pass(stream->conn));
	}
	return 0;
}

int sg_stream_connect(struct sg_stream *stream, const struct sg_msg_xmpp_connect *connect,
    const struct sg_secret *password, struct sg_msg_error *error)
{
	const char *host = connect->host;
	int err;

	err = connect_check(stream, connect, password, error);
	if (err != 0)
		goto out;
	err = connection_make(stream, connect, password);
	if (err != 0) {
		sg_msg_error_set(error, err, connect->jid, NULL);
		goto out;
	}
	if (host == NULL && connect->port != 0) /* libstrophe takes a port only with a host */
		host = stream->domain;
	login_expired = 0;
	login_timer(LOGIN_TIMEOUT_S);
	errno = 0;
	if (xmpp_connect_client(
		stream->conn, host, (unsigned short)connect->port, on_connection, stream) != 0) {
		err = SG_ERR_CONNECT;
		sg_reason_connect(errno, host != NULL ? host : stream->domain, error);
		goto out;
	}
	stream->state = STATE_CONNECTING;
out:
	if (err != 0)
		stream_reset(stream);
	return err;
}

/* ---- running ---- */

int sg_stream_is_online(const struct sg_stream *stream)
{
	return stream->state == STATE_ONLINE;
}

int sg_stream_is_idle(const struct sg_stream *stream)
{
	return stream->state == STATE_IDLE;
}

const char *sg_stream_full_jid(const struct sg_stream *stream)
{
	return stream->full_jid;
}

const char *sg_stream_bare_jid(const struct sg_stream *stream)
{
	return stream->jid;
}

/* Ends the connection under libstrophe, which then reports its end. */
static void stream_cut(struct sg_stream *stream)
{
	if (!stream->ended && stream->fd >= 0)
		shutdown(stream->fd, SHUT_RDWR);
}

void sg_stream_close(struct sg_stream *stream)
{
	if (stream->state == STATE_ONLINE)
		xmpp_disconnect(stream->conn);
	else if (stream->state == STATE_CONNECTING)
		stream_cut(stream);
	if (stream->state != STATE_IDLE)
		stream->state = STATE_CLOSING;
}

static int can_send(const struct sg_stream *stream)
{
	if (stream->state != STATE_ONLINE)
		return SG_ERR_OFFLINE;
	return xmpp_conn_send_queue_len(stream->conn) > QUEUE_MAX ? SG_ERR_LIMIT : 0;
}

int sg_stream_send(struct sg_stream *stream, const struct sg_xml *stanza)
{
	int err = can_send(stream);

	return err == 0 ? sg_stanza_send(stream->conn, stanza) : err;
}

int sg_stream_send_text(struct sg_stream *stream, const char *stanza)
{
	int err = can_send(stream);

	if (err == 0)
		sg_stanza_send_text(stream->conn, stanza);
	return err;
}

void sg_stream_poll(const struct sg_stream *stream, struct pollfd *pfd, int *timeout_ms)
{
	pfd->fd = stream->fd;
	pfd->events = POLLIN;
	pfd->revents = 0;
	*timeout_ms = -1;
	if (stream->state == STATE_IDLE)
		return;
	if (xmpp_conn_is_connecting(stream->conn))
		pfd->events = POLLOUT;
	else if (xmpp_conn_send_queue_len(stream->conn) > 0)
		pfd->events = POLLIN | POLLOUT;
	if (stream->more || stream->ended)
		*timeout_ms = 0;
	else if (stream->state != STATE_ONLINE)
		*timeout_ms = LOGIN_TICK_MS;
}

/* The password is needed no more, whether it was right or wrong. */
static void password_wipe(struct sg_stream *stream)
{
	sg_scram_end(); /* first: it looks at libstrophe's copy */
	xmpp_conn_set_pass(stream->conn, NULL);
	sg_memory_wipe_stack();
}

/* Logged in. A server that binds another account's JID is not believed. */
static void go_online(struct sg_stream *stream)
{
	const struct sg_tls_report *tls = sg_tls_report();
	const char *bound = xmpp_conn_get_bound_jid(stream->conn);
	const struct sg_filter_report *seen = sg_filter_report();
	const char *mechanism = seen->mechanism; /* never NULL once authenticated */
	struct sg_msg_xmpp_online online = { 0 };
	char *bare = bound != NULL ? sg_jid_bare(bound) : NULL;

	stream->bound = 0;
	login_timer(0);
	login_fd = -1;
	password_wipe(stream);
	if (bare == NULL || strcmp(bare, stream->jid) != 0 || strchr(bound, '/') == NULL ||
	    (stream->full_jid = strdup(bound)) == NULL || !tls->done || !seen->authenticated) {
		sg_log(SG_LOG_ERROR, "the server bound no JID of ours");
		stream_cut(stream);
		free(bare);
		return;
	}
	free(bare);
	stream->state = STATE_ONLINE;
	stream->was_online = 1;
	online.jid = stream->full_jid;
	/* The message's strings are not constant, but nobody writes to them. */
	memcpy(&online.mechanism, &mechanism, sizeof(mechanism));
	online.tls_version = strdup(tls->version);
	online.tls_cipher = strdup(tls->cipher);
	stream->events->online(stream->arg, &online);
	free(online.tls_version);
	free(online.tls_cipher);
}

/*
 * Between the login and the binding: asks for a resource that nobody can guess, another one each time, so that
 * only who sees our presence can write to us. Not before, for libstrophe may tell the server this JID as the
 * account to log in to. Without it, the server makes one.
 */
static void ask_for_resource(struct sg_stream *stream)
{
	unsigned char random[RESOURCE_BYTES];
	struct sg_buf jid = { 0 };
	char *resource = NULL;

	stream->named = 1;
	if (RAND_bytes(random, sizeof(random)) == 1)
		resource = sg_hex_encode(random, sizeof(random));
	if (resource == NULL)
		return;
	sg_buf_printf(&jid, "%s/%s", stream->jid, resource);
	sg_buf_put_u8(&jid, 0);
	if (jid.err == 0)
		xmpp_conn_set_jid(stream->conn, (const char *)jid.data);
	sg_buf_clear(&jid);
	free(resource);
}

/* Why TCP did not connect is lost once libstrophe has looked at the socket. */
static void note_connect_error(struct sg_stream *stream)
{
	socklen_t len = sizeof(stream->connect_errno);

	if (stream->fd >= 0 && stream->connect_errno == 0 && xmpp_conn_is_connecting(stream->conn))
		(void)getsockopt(stream->fd, SOL_SOCKET, SO_ERROR, &stream->connect_errno, &len);
}

static void go_offline(struct sg_stream *stream)
{
	struct sg_reason reason = {
		.closed = stream->state == STATE_CLOSING,
		.was_online = stream->was_online,
		.certificate = stream->identity != NULL,
		.expired = login_expired,
		.connect_errno = stream->connect_errno,
		.domain = stream->domain,
		.host = stream->host != NULL ? stream->host : stream->domain,
		.jid = stream->jid,
	};
	struct sg_msg_error why = { 0 };

	sg_reason_offline(&reason, &why);
	password_wipe(stream);
	stream_reset(stream);
	stream->events->offline(stream->arg, reason.was_online, &why);
	sg_msg_clear(SG_MSG_XMPP_OFFLINE, &why);
}

/* The server has refused the login, or sent what the filter does not let pass. */
static int must_be_cut(const struct sg_stream *stream)
{
	const struct sg_filter_report *seen = sg_filter_report();

	return seen->stopped != 0 || seen->sasl_condition[0] != '\0' ||
	    (stream->state == STATE_CONNECTING && seen->mechanisms && seen->mechanism == NULL);
}

void sg_stream_run(struct sg_stream *stream)
{
	const struct sg_filter_report *seen = sg_filter_report();
	uint64_t before;
	int runs = 0, again;

	if (stream->state == STATE_IDLE)
		return;
	note_connect_error(stream);
	do {
		before = seen->fed;
		xmpp_run_once(stream->ctx, 0);
		if (seen->authenticated && !stream->named && !stream->ended)
			ask_for_resource(stream);
		if (stream->bound && !stream->ended)
			go_online(stream);
		again = seen->fed != before || runs == 0; /* what was queued goes out next */
		if (!stream->ended && must_be_cut(stream)) {
			stream_cut(stream);
			again = 1;
		}
		runs++;
	} while (!stream->ended && again && runs < RUNS_MAX);
	stream->more = again && !stream->ended;
	if (stream->ended)
		go_offline(stream);
}
