#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "api_json.h"
#include "buf.h"
#include "log.h"

#define READ_SIZE (16u << 10)

struct sg_client {
	int sock;
	struct sg_buf in;
	size_t in_pos; /* where the next message begins */
	size_t seen;   /* up to where it is known to hold no NUL */
};

char *sg_client_socket_path(void)
{
	const char *path = getenv("SIGNET_SOCK");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *made = NULL;
	int n;

	if (path != NULL && path[0] != '\0')
		return strdup(path);
	if (runtime != NULL && runtime[0] == '/')
		n = asprintf(&made, "%s/signet/agent.sock", runtime);
	else
		n = asprintf(&made, "/run/user/%u/signet/agent.sock", (unsigned)getuid());
	return n < 0 ? NULL : made;
}

/* Whoever listens there may show prompts and take PINs: it must be the own user. */
static int peer_check(int sock, const char *path)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		return SG_ERR_IO;
	if (peer.uid == getuid())
		return 0;
	sg_log(SG_LOG_WARN, "%s belongs to uid %u, not to us", path, (unsigned)peer.uid);
	return SG_ERR_DENIED;
}

static int connect_error(int error, const char *path)
{
	if (error == ENOENT || error == ENOTDIR || error == ECONNREFUSED)
		return SG_ERR_AGENT_ABSENT;
	sg_log(SG_LOG_WARN, "cannot connect to %s: %s", path, strerror(error));
	errno = error;
	return error == EACCES || error == EPERM ? SG_ERR_DENIED : SG_ERR_IO;
}

static int socket_connect(const char *path, int *sock)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd, n, err;

	*sock = -1;
	if (len >= sizeof(addr.sun_path))
		return connect_error(ENAMETOOLONG, path);
	memcpy(addr.sun_path, path, len + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return connect_error(errno, path);
	do
		n = connect(fd, (const struct sockaddr *)&addr, sizeof(addr));
	while (n != 0 && errno == EINTR);
	err = n == 0 ? peer_check(fd, path) : connect_error(errno, path);
	if (err != 0)
		close(fd);
	else
		*sock = fd;
	return err;
}

int sg_client_connect(const char *path, struct sg_client **client)
{
	char *own = NULL;
	int sock = -1;
	int err;

	*client = NULL;
	if (path == NULL)
		path = own = sg_client_socket_path();
	err = path != NULL ? socket_connect(path, &sock) : SG_ERR_NOMEM;
	free(own);
	if (err != 0)
		return err;
	*client = calloc(1, sizeof(**client));
	if (*client == NULL) {
		close(sock);
		return SG_ERR_NOMEM;
	}
	(*client)->sock = sock;
	return 0;
}

void sg_client_free(struct sg_client *client)
{
	if (client == NULL)
		return;
	close(client->sock);
	sg_buf_clear(&client->in);
	free(client);
}

/* Writes all of it; the descriptors go with the first byte. */
static int write_all(int sock, const char *text, size_t len, const int *fds, size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(SG_API_FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };

	while (len > 0) {
		struct iovec iov = { .iov_len = len };
		struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		memcpy(&iov.iov_base, &text, sizeof(text)); /* it is not written to */
		if (fd_count > 0) {
			struct cmsghdr *cmsg;

			hdr.msg_control = control.bytes;
			hdr.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
			cmsg = CMSG_FIRSTHDR(&hdr);
			cmsg->cmsg_level = SOL_SOCKET;
			cmsg->cmsg_type = SCM_RIGHTS;
			cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
			memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
		}
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return SG_ERR_IO;
		if (n < 0)
			continue;
		fd_count = 0;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int sg_client_call(struct sg_client *client, const char *method, json_t *parameters, const int *fds,
    size_t fd_count, int more)
{
	json_t *call = json_object();
	char *text = NULL;
	size_t len;
	int err = SG_ERR_NOMEM;

	if (parameters == NULL)
		parameters = json_object();
	/* json_object_set_new() takes its value over on failure, too. */
	if (json_object_set_new(call, "parameters", parameters) != 0 ||
	    json_object_set_new(call, "method", json_string(method)) != 0 ||
	    (more && json_object_set_new(call, "more", json_true()) != 0))
		goto out;
	text = json_dumps(call, JSON_COMPACT);
	if (text == NULL)
		goto out;
	len = strlen(text) + 1; /* the NUL ends the message */
	if (len > SG_API_MESSAGE_MAX || fd_count > SG_API_FDS_MAX)
		err = SG_ERR_LIMIT;
	else
		err = write_all(client->sock, text, len, fds, fd_count);
out:
	free(text);
	json_decref(call);
	return err;
}

static int reply_decode(
    const char *text, size_t len, json_t **parameters, char **error, int *continues)
{
	json_t *reply = NULL, *params, *name, *more;
	int err = SG_ERR_FORMAT;

	if (!sg_json_depth_is_good(text, len))
		return SG_ERR_LIMIT;
	reply = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	params = json_object_get(reply, "parameters");
	name = json_object_get(reply, "error");
	more = json_object_get(reply, "continues");
	if (!json_is_object(reply) || (params != NULL && !json_is_object(params)) ||
	    (name != NULL && !json_is_string(name)) || (more != NULL && !json_is_boolean(more)) ||
	    (name != NULL && json_is_true(more)))
		goto out;
	err = SG_ERR_NOMEM;
	if (name != NULL) {
		*error = strdup(json_string_value(name));
		if (*error == NULL)
			goto out;
	}
	*parameters = params != NULL ? json_incref(params) : json_object();
	if (*parameters == NULL) {
		free(*error);
		*error = NULL;
		goto out;
	}
	*continues = json_is_true(more);
	err = 0;
out:
	json_decref(reply);
	return err;
}

/* Reads until a whole message is there: its bytes, with the NUL not counted. flags are recv()'s;
 * SG_ERR_BUSY when they say not to wait, and there is less. */
static int message_read(struct sg_client *client, int flags, const char **text, size_t *len)
{
	for (;;) {
		const unsigned char *start = client->in.data;
		size_t held = client->in.len - client->in_pos;
		const unsigned char *nul = NULL;
		unsigned char bytes[READ_SIZE];
		ssize_t n;

		if (start != NULL) {
			start += client->in_pos;
			nul = memchr(start + client->seen, '\0', held - client->seen);
		}
		if (nul != NULL && (size_t)(nul - start) < SG_API_MESSAGE_MAX) {
			*text = (const char *)start;
			*len = (size_t)(nul - start);
			return 0;
		}
		if (held >= SG_API_MESSAGE_MAX)
			return SG_ERR_LIMIT;
		client->seen = held;
		sg_buf_consume(&client->in, client->in_pos);
		client->in_pos = 0;
		do
			n = recv(client->sock, bytes, sizeof(bytes), flags);
		while (n < 0 && errno == EINTR);
		if (n < 0 && (flags & MSG_DONTWAIT) != 0 &&
		    (errno == EAGAIN || errno == EWOULDBLOCK))
			return SG_ERR_BUSY;
		if (n <= 0)
			return SG_ERR_IO;
		sg_buf_put(&client->in, bytes, (size_t)n);
		if (client->in.err != 0)
			return client->in.err;
	}
}

static int reply_read(
    struct sg_client *client, int flags, json_t **parameters, char **error, int *continues)
{
	const char *text = NULL;
	size_t len = 0;
	int err;

	*parameters = NULL;
	*error = NULL;
	*continues = 0;
	err = message_read(client, flags, &text, &len);
	if (err != 0)
		return err;
	client->in_pos += len + 1;
	client->seen = 0;
	return reply_decode(text, len, parameters, error, continues);
}

int sg_client_reply(struct sg_client *client, json_t **parameters, char **error, int *continues)
{
	return reply_read(client, 0, parameters, error, continues);
}

int sg_client_reply_now(struct sg_client *client, json_t **parameters, char **error, int *continues)
{
	return reply_read(client, MSG_DONTWAIT, parameters, error, continues);
}

int sg_client_fd(const struct sg_client *client)
{
	return client->sock;
}
