#include "conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api_json.h"
#include "call.h"
#include "log.h"
#include "text.h"
#include "varlink.h"

#define READ_SIZE 65536

TAILQ_HEAD(call_list, sg_call);

struct sg_conn {
	struct sg_agent *agent;
	int sock;
	struct sg_caller peer;
	struct event *read_event;
	struct event *write_event;
	struct event *flush_event; /* made active to write, once, what this turn of the loop has */
	struct event *end_event;   /* made active to end the connection from the loop */
	/* While nothing is read: tells that the client goes. It has a descriptor of its own, since
	 * libevent takes edge-triggered events and others on one descriptor not together. */
	struct event *gone_event;
	int gone_sock;
	int gone; /* the client is not there any more: its calls get no reply */
	struct sg_buf in;
	size_t seen; /* the first bytes of in that hold no NUL */
	struct sg_buf out;
	size_t waiting; /* bytes of output that wait in the calls */
	int fds[SG_API_FDS_MAX];
	size_t fd_count;
	struct call_list calls;
	unsigned call_count;
	int no_more_input; /* end of file, or input that is not understood */
	int over;	   /* to be freed by the end event */
	sg_conn_ended_fn *ended;
	void *arg;
};

static void process(struct sg_conn *conn);

/* ---- the end ---- */

static void conn_over(struct sg_conn *conn)
{
	if (conn->over)
		return;
	conn->over = 1;
	event_del(conn->read_event);
	event_del(conn->write_event);
	event_del(conn->flush_event);
	event_active(conn->end_event, EV_TIMEOUT, 0);
}

static void close_fds(struct sg_conn *conn)
{
	for (size_t i = 0; i < conn->fd_count; i++)
		close(conn->fds[i]);
	conn->fd_count = 0;
}

/* ---- clients that go away while their calls run ---- */

static void watch_end(struct sg_conn *conn)
{
	if (conn->gone_event != NULL)
		event_free(conn->gone_event);
	if (conn->gone_sock >= 0)
		close(conn->gone_sock);
	conn->gone_event = NULL;
	conn->gone_sock = -1;
}

/* A client that has only ended its sending is still there. */
static int client_is_gone(const struct sg_conn *conn)
{
	struct pollfd pfd = { .fd = conn->sock };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_maybe_gone(evutil_socket_t fd, short what, void *arg)
{
	struct sg_conn *conn = arg;
	struct sg_call *call;

	if (conn->gone || !client_is_gone(conn))
		return;
	conn->gone = 1;
	event_del(conn->gone_event);
	TAILQ_FOREACH(call, &conn->calls, entry) {
		sg_call_abandon(call);
	}
}

/* Nothing is read for now, or any more, so that the end of the client would not be noticed. */
static void watch_begin(struct sg_conn *conn)
{
	if (conn->gone_event != NULL || conn->gone || TAILQ_EMPTY(&conn->calls))
		return;
	conn->gone_sock = fcntl(conn->sock, F_DUPFD_CLOEXEC, 3);
	if (conn->gone_sock < 0)
		return; /* its calls run to their end, as they do anyway */
	conn->gone_event = event_new(conn->agent->base, conn->gone_sock,
	    EV_READ | EV_CLOSED | EV_ET | EV_PERSIST, on_maybe_gone, conn);
	if (conn->gone_event == NULL || event_add(conn->gone_event, NULL) != 0)
		watch_end(conn);
	else
		event_active(conn->gone_event, EV_READ, 0); /* it may have gone already */
}

void sg_conn_free(struct sg_conn *conn)
{
	struct sg_call *call;

	if (conn == NULL)
		return;
	if (!conn->over && conn->out.len > 0) /* the last turn of the loop: what the socket takes */
		(void)!send(conn->sock, conn->out.data, conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
	while ((call = TAILQ_FIRST(&conn->calls)) != NULL) {
		TAILQ_REMOVE(&conn->calls, call, entry);
		call->conn = NULL;
		if (call->done)
			sg_call_free(call);
		else
			sg_call_abandon(call);
	}
	if (conn->read_event != NULL)
		event_free(conn->read_event);
	if (conn->write_event != NULL)
		event_free(conn->write_event);
	if (conn->flush_event != NULL)
		event_free(conn->flush_event);
	if (conn->end_event != NULL)
		event_free(conn->end_event);
	watch_end(conn);
	close_fds(conn);
	close(conn->sock);
	sg_buf_clear(&conn->in);
	sg_buf_clear(&conn->out);
	free(conn->peer.exe);
	free(conn);
}

static void on_end(evutil_socket_t fd, short what, void *arg)
{
	struct sg_conn *conn = arg;
	sg_conn_ended_fn *ended = conn->ended;
	void *ended_arg = conn->arg;

	sg_conn_free(conn);
	ended(ended_arg);
}

/* ---- output ---- */

static void conn_write(struct sg_conn *conn)
{
	static const struct timeval slow = { SG_CONN_SLOW_SECONDS, 0 };
	int moved = 0;

	while (conn->out.len > 0) {
		ssize_t n =
		    send(conn->sock, conn->out.data, conn->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) { /* the client is gone; its calls run to their end */
			conn_over(conn);
			return;
		}
		sg_buf_consume(&conn->out, (size_t)n);
		moved = 1;
	}
	if (conn->out.len > 0) { /* the client's time runs from when it last fetched something */
		if (moved || !event_pending(conn->write_event, EV_WRITE, NULL))
			event_add(conn->write_event, &slow);
		return;
	}
	event_del(conn->write_event);
	if (conn->no_more_input && TAILQ_EMPTY(&conn->calls))
		conn_over(conn);
}

size_t sg_conn_unsent(const struct sg_conn *conn)
{
	return conn->out.len;
}

/* Whose turn it is may have waited for the client. */
static void tell_drained(const struct sg_conn *conn)
{
	struct sg_call *call = TAILQ_FIRST(&conn->calls);

	if (!conn->over && conn->out.len == 0 && call != NULL && !call->done &&
	    call->drained != NULL)
		call->drained(call);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct sg_conn *conn = arg;

	if ((what & EV_TIMEOUT) != 0) {
		sg_log(
		    SG_LOG_WARN, "process %u does not fetch its replies: dropped", conn->peer.pid);
		conn_over(conn);
		return;
	}
	conn_write(conn);
	tell_drained(conn);
	if (!conn->over)
		process(conn);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
	struct sg_conn *conn = arg;

	conn_write(conn);
	tell_drained(conn);
	if (!conn->over)
		process(conn);
}

/* Moves the output of the first call, and of those behind it while the first is done. */
static void take_turns(struct sg_conn *conn)
{
	struct sg_call *call;

	conn->waiting = 0;
	while ((call = TAILQ_FIRST(&conn->calls)) != NULL) {
		sg_buf_put(&conn->out, call->out.data, call->out.len);
		sg_buf_clear(&call->out);
		if (!call->done)
			break;
		TAILQ_REMOVE(&conn->calls, call, entry);
		conn->call_count--;
		sg_call_free(call);
	}
	TAILQ_FOREACH(call, &conn->calls, entry) {
		conn->waiting += call->out.len;
	}
	if (conn->out.err != 0 || conn->out.len + conn->waiting > SG_CONN_OUT_MAX) {
		sg_log(SG_LOG_WARN, "process %u leaves too many replies unread: dropped",
		    conn->peer.pid);
		conn_over(conn);
		return;
	}
	event_active(conn->flush_event, EV_TIMEOUT, 0);
}

void sg_conn_call_progress(struct sg_conn *conn)
{
	if (!conn->over)
		take_turns(conn);
}

void sg_conn_call_done(struct sg_conn *conn, struct sg_call *call)
{
	if (call->oneway) { /* nobody waits for its turn */
		TAILQ_REMOVE(&conn->calls, call, entry);
		conn->call_count--;
		sg_call_free(call);
	}
	if (!conn->over)
		take_turns(conn);
}

/* ---- input ---- */

static struct sg_call *call_new(struct sg_conn *conn)
{
	struct sg_call *call = calloc(1, sizeof(*call));

	if (call == NULL)
		return NULL;
	call->agent = conn->agent;
	call->conn = conn;
	call->password_fd = -1;
	sg_pin_init(&call->pin);
	call->caller.uid = conn->peer.uid;
	call->caller.pid = conn->peer.pid;
	call->caller.exe = sg_text_copy(conn->peer.exe);
	call->pin.abandoned = conn->gone;
	TAILQ_INSERT_TAIL(&conn->calls, call, entry);
	conn->call_count++;
	return call;
}

/* The stream makes no sense from here on: says so, and reads no more. */
static void conn_refuse(struct sg_conn *conn, int code, const char *why)
{
	struct sg_call *call;

	conn->no_more_input = 1;
	event_del(conn->read_event);
	sg_buf_clear(&conn->in);
	close_fds(conn);
	call = call_new(conn);
	if (call == NULL)
		conn_over(conn);
	else
		sg_call_fail_with(call, code, NULL, "%s", why);
}

/* Hands the call as many of the descriptors as its parameters name. */
static int claim_fds(struct sg_conn *conn, struct sg_call *call, size_t count)
{
	if (count > conn->fd_count)
		return 0;
	memcpy(call->fds, conn->fds, count * sizeof(*conn->fds));
	call->fd_count = count;
	conn->fd_count -= count;
	memmove(conn->fds, conn->fds + count, conn->fd_count * sizeof(*conn->fds));
	return 1;
}

/* JSON that is good, but holds a value or a name that no parameter can have: where it ends is clear
 * all the same. Only what descriptors it named is not, so it may have come with none. */
static int is_foreign_value(const json_error_t *why)
{
	enum json_error_code code = json_error_code(why);

	return code == json_error_null_character || code == json_error_null_byte_in_key ||
	    code == json_error_numeric_overflow;
}

static void take_message(struct sg_conn *conn, const char *text, size_t len)
{
	struct sg_call *call;
	json_t *message;
	json_error_t why;

	if (!sg_json_depth_is_good(text, len)) {
		conn_refuse(conn, SG_ERR_LIMIT, "the message is nested too deeply");
		return;
	}
	message = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
	if (message == NULL && is_foreign_value(&why) && conn->fd_count == 0) {
		call = call_new(conn);
		if (call == NULL)
			conn_over(conn);
		else
			sg_call_fail_with(call, SG_ERR_FORMAT, NULL,
			    "the message holds U+0000, or a number beyond 64 bits");
		return;
	}
	if (!json_is_object(message)) {
		json_decref(message);
		conn_refuse(conn, SG_ERR_FORMAT, "the message is no JSON object");
		return;
	}
	call = call_new(conn);
	if (call == NULL) {
		json_decref(message);
		conn_over(conn);
		return;
	}
	if (!claim_fds(conn, call, sg_varlink_fds_wanted(message)))
		sg_call_fail_varlink(call, "InvalidParameter", "parameter", "fd");
	else
		sg_varlink_dispatch(call, message);
	json_decref(message);
}

static int may_take_more(const struct sg_conn *conn)
{
	return !conn->over && !conn->no_more_input && conn->call_count < SG_CONN_CALLS_MAX &&
	    conn->out.len + conn->waiting < SG_API_MESSAGE_MAX;
}

/* Takes what whole messages there are, as far as the limits allow, and reads on or does not. */
static void process(struct sg_conn *conn)
{
	size_t pos = 0;
	const char *end = NULL;

	while (may_take_more(conn) && conn->in.len > pos) {
		const char *start = (const char *)conn->in.data + pos;
		size_t skip = pos == 0 ? conn->seen : 0;

		end = memchr(start + skip, '\0', conn->in.len - pos - skip);
		conn->seen = end == NULL ? conn->in.len - pos : 0;
		if (end == NULL || (size_t)(end - start) >= SG_API_MESSAGE_MAX)
			break;
		pos += (size_t)(end - start) + 1;
		take_message(conn, start, (size_t)(end - start));
	}
	if (conn->over)
		return;
	if (conn->no_more_input && conn->in.len == 0)
		pos = 0; /* refused: the input is gone */
	sg_buf_consume(&conn->in, pos);
	if (conn->seen >= SG_API_MESSAGE_MAX ||
	    (conn->in.len >= SG_API_MESSAGE_MAX &&
		memchr(conn->in.data, '\0', SG_API_MESSAGE_MAX) == NULL)) {
		conn->seen = 0;
		conn_refuse(conn, SG_ERR_LIMIT, "the message is too long");
		return;
	}
	if (conn->in.len == 0)
		close_fds(conn); /* nobody claimed them */
	if (may_take_more(conn)) {
		watch_end(conn);
		event_add(conn->read_event, NULL);
	} else {
		event_del(conn->read_event);
		watch_begin(conn);
	}
	/* The last reply may have gone before the end of the input was known. */
	if (conn->no_more_input && TAILQ_EMPTY(&conn->calls) && conn->out.len == 0)
		conn_over(conn);
}

/* Keeps the descriptors of one read; 0 when there are more than may be. */
static int take_fds(struct sg_conn *conn, struct msghdr *msg)
{
	int fits = (msg->msg_flags & MSG_CTRUNC) == 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (conn->fd_count < SG_API_FDS_MAX) {
				conn->fds[conn->fd_count++] = fd;
			} else {
				close(fd);
				fits = 0;
			}
		}
	}
	return fits;
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	static unsigned char room[READ_SIZE];
	struct sg_conn *conn = arg;
	union {
		char bytes[CMSG_SPACE(SG_API_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { room, sizeof(room) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0) {
		conn_over(conn);
		return;
	}
	if (!take_fds(conn, &msg)) {
		sg_log(
		    SG_LOG_WARN, "process %u sent too many descriptors: dropped", conn->peer.pid);
		conn_over(conn);
		return;
	}
	if (n == 0) { /* it may only have ended its sending: replies still go out */
		event_del(conn->read_event);
		conn->no_more_input = 1;
		if (TAILQ_EMPTY(&conn->calls) && conn->out.len == 0)
			conn_over(conn);
		else
			watch_begin(conn);
		return;
	}
	sg_buf_put(&conn->in, room, (size_t)n);
	if (conn->in.err != 0)
		conn_over(conn);
	else
		process(conn);
}

int sg_conn_new(struct sg_agent *agent, int sock, const struct sg_caller *peer,
    sg_conn_ended_fn *ended, void *arg, struct sg_conn **conn)
{
	struct sg_conn *made = calloc(1, sizeof(*made));

	*conn = NULL;
	if (made == NULL) {
		close(sock);
		return SG_ERR_NOMEM;
	}
	made->agent = agent;
	made->sock = sock;
	made->gone_sock = -1;
	made->peer = *peer;
	made->peer.exe = sg_text_copy(peer->exe);
	made->peer.purpose = NULL;
	made->ended = ended;
	made->arg = arg;
	TAILQ_INIT(&made->calls);
	made->read_event = event_new(agent->base, sock, EV_READ | EV_PERSIST, on_readable, made);
	made->write_event = event_new(agent->base, sock, EV_WRITE, on_writable, made);
	made->flush_event = event_new(agent->base, -1, 0, on_flush, made);
	made->end_event = event_new(agent->base, -1, 0, on_end, made);
	if (made->read_event == NULL || made->write_event == NULL || made->flush_event == NULL ||
	    made->end_event == NULL || event_add(made->read_event, NULL) != 0) {
		sg_conn_free(made);
		return SG_ERR_NOMEM;
	}
	*conn = made;
	return 0;
}
