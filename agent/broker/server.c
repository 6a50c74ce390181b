#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "conn.h"
#include "log.h"
#include "text.h"

#define LISTEN_FD      3 /* the first that socket activation hands over */
#define LISTEN_BACKLOG SG_SERVER_CLIENTS_MAX
#define FILES_WANTED   (SG_SERVER_CLIENTS_MAX * (1 + SG_API_FDS_MAX) + 512)

struct client {
	TAILQ_ENTRY(client) entry;
	struct sg_server *server;
	struct sg_conn *conn;
};

struct sg_server {
	struct sg_agent *agent;
	int sock;
	char *path; /* of a socket made here, else NULL */
	int lock;   /* held while we listen on path, or -1 */
	int spare;  /* given up for a moment when there is no other descriptor left */
	struct event *accept_event;
	TAILQ_HEAD(client_list, client) clients;
	unsigned client_count;
};

/* ---- the socket ---- */

/* A descriptor of our own that is none of those that children get by number. */
static int move_fd(int fd)
{
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, 10);

	close(fd);
	return moved;
}

/* The socket of systemd, or -1 when there is none. */
static int activated_socket(void)
{
	const char *pid = getenv("LISTEN_PID");
	const char *fds = getenv("LISTEN_FDS");
	int listening = 0;
	socklen_t len = sizeof(listening);
	int sock = -1;

	if (pid != NULL && fds != NULL && strtol(pid, NULL, 10) == (long)getpid() &&
	    strcmp(fds, "1") == 0 &&
	    getsockopt(LISTEN_FD, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 && listening)
		sock = move_fd(LISTEN_FD);
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return sock;
}

/* The folder of the path is ours alone, and one agent at a time listens in it. */
static int lock_folder(struct sg_server *server)
{
	char *folder = strdup(server->path);
	char *slash = folder != NULL ? strrchr(folder, '/') : NULL;
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char *file = NULL;
	int err = SG_ERR_NOMEM;

	if (slash == NULL || slash == folder) {
		err = SG_ERR_DENIED;
		sg_log(SG_LOG_ERROR,
		    "%s is no path for a socket: an absolute one in a folder of its "
		    "own is wanted",
		    server->path);
		goto out;
	}
	*slash = '\0';
	err = sg_config_private_folder(folder);
	if (err != 0)
		goto out;
	if (asprintf(&file, "%s.lock", server->path) < 0) {
		file = NULL;
		err = SG_ERR_NOMEM;
		goto out;
	}
	server->lock = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (server->lock < 0 || fcntl(server->lock, F_SETLK, &lock) != 0) {
		err = SG_ERR_IO;
		if (server->lock >= 0 && (errno == EAGAIN || errno == EACCES))
			sg_log(SG_LOG_ERROR, "another agent listens on %s already", server->path);
		else
			sg_log(SG_LOG_ERROR, "%s: %s", file, strerror(errno));
	}
out:
	free(file);
	free(folder);
	return err;
}

/* Removes a socket on which nobody answers; anything else that is there stays. */
static int clear_stale(const char *path, const struct sockaddr_un *address)
{
	struct stat st = { 0 };
	int answered;
	int probe;

	if (lstat(path, &st) != 0 && errno == ENOENT)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		sg_log(SG_LOG_ERROR, "%s is in the way, and is no socket", path);
		return SG_ERR_IO;
	}
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (probe < 0)
		return SG_ERR_IO;
	answered = connect(probe, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno != ECONNREFUSED;
	close(probe);
	if (answered) {
		sg_log(SG_LOG_ERROR, "another agent listens on %s already", path);
		return SG_ERR_IO;
	}
	if (unlink(path) != 0) {
		sg_log(SG_LOG_ERROR, "%s cannot be replaced: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	sg_log(SG_LOG_INFO, "the socket of an agent that has gone is replaced");
	return 0;
}

static int own_socket(struct sg_server *server)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(server->path);
	int err = lock_folder(server);

	if (err != 0)
		return err;
	if (len >= sizeof(address.sun_path)) {
		sg_log(SG_LOG_ERROR, "%s is too long for a socket's path", server->path);
		return SG_ERR_LIMIT;
	}
	memcpy(address.sun_path, server->path, len + 1);
	err = clear_stale(server->path, &address);
	if (err != 0)
		return err;
	server->sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->sock < 0 ||
	    bind(server->sock, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    chmod(server->path, 0600) != 0 || listen(server->sock, LISTEN_BACKLOG) != 0) {
		sg_log(SG_LOG_ERROR, "no socket %s: %s", server->path, strerror(errno));
		return SG_ERR_IO;
	}
	return 0;
}

/* ---- clients ---- */

static void on_client_ended(void *arg)
{
	struct client *client = arg;

	TAILQ_REMOVE(&client->server->clients, client, entry);
	client->server->client_count--;
	free(client);
}

/* One reply to whoever may not come in. */
static void turn_away(int sock, const char *error, const char *message)
{
	char text[512];
	int len = snprintf(text, sizeof(text),
	    "{\"error\":\"org.signet.Agent.%s\",\"parameters\":{\"message\":\"%s\",\"advice\":null,"
	    "\"subject\":null}}",
	    error, message);

	/* The closing NUL goes with it. Should it not fit the socket, nobody misses it. */
	(void)!send(sock, text, (size_t)len + 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(sock);
}

/* What a process calls itself, or NULL. It is no proof of anything, but better than nothing to
 * show. */
static char *command_of(pid_t pid)
{
	char file[32];
	char name[64];
	ssize_t len;
	int fd;

	snprintf(file, sizeof(file), "/proc/%d/comm", (int)pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	len = read(fd, name, sizeof(name));
	close(fd);
	if (len > 0 && name[len - 1] == '\n')
		len--;
	return len > 0 ? strndup(name, (size_t)len) : NULL;
}

/* The program of a process: its file, or, when that is not ours to see (it is not dumpable), its
 * name. */
static char *program_of(pid_t pid)
{
	char link[32];
	char path[4096];
	char *program;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	len = readlink(link, path, sizeof(path));
	program =
	    len > 0 && (size_t)len < sizeof(path) ? strndup(path, (size_t)len) : command_of(pid);
	/* It goes into messages, which take nothing but text. */
	if (program != NULL && !sg_utf8_is_text(program, sizeof(path))) {
		for (char *c = program; *c != '\0'; c++) {
			if (*c < ' ' || *c > '~')
				*c = '?';
		}
	}
	return program;
}

static void admit(struct sg_server *server, int sock)
{
	struct ucred who;
	socklen_t len = sizeof(who);
	struct sg_caller peer = { 0 };
	struct client *client;

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) {
		close(sock);
		return;
	}
	if (who.uid != geteuid()) {
		sg_log(SG_LOG_WARN, "uid %u (process %d) is not let in", who.uid, (int)who.pid);
		turn_away(sock, "Denied", "the agent serves its own user only");
		return;
	}
	client = server->client_count < SG_SERVER_CLIENTS_MAX ? calloc(1, sizeof(*client)) : NULL;
	if (client == NULL) {
		turn_away(sock, "LimitExceeded", "the agent has too many connections");
		return;
	}
	client->server = server;
	peer.uid = who.uid;
	peer.pid = (uint32_t)who.pid;
	peer.exe = program_of(who.pid);
	if (sg_conn_new(server->agent, sock, &peer, on_client_ended, client, &client->conn) != 0) {
		free(client);
	} else {
		TAILQ_INSERT_TAIL(&server->clients, client, entry);
		server->client_count++;
	}
	free(peer.exe);
}

/* No descriptor is left: the spare one makes room to take the client off the queue, and turn it
 * away. */
static void turn_away_one(struct sg_server *server)
{
	int sock;

	sg_log(SG_LOG_WARN, "no descriptor is left for a new connection");
	close(server->spare);
	sock = accept4(server->sock, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (sock >= 0)
		turn_away(sock, "LimitExceeded", "the agent has no descriptor left");
	server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_acceptable(evutil_socket_t listener, short what, void *arg)
{
	struct sg_server *server = arg;
	int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (sock >= 0)
		admit(server, sock);
	else if (errno == EMFILE || errno == ENFILE)
		turn_away_one(server);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
		sg_log(SG_LOG_WARN, "accept: %s", strerror(errno));
}

/* ---- as a whole ---- */

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FILES_WANTED)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_WANTED ? limit.rlim_max : FILES_WANTED;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
		sg_log(SG_LOG_WARN, "the limit of descriptors stays low: %s", strerror(errno));
}

int sg_server_new(struct sg_agent *agent, const char *path, struct sg_server **server)
{
	struct sg_server *made = calloc(1, sizeof(*made));
	int err = SG_ERR_NOMEM;

	*server = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	made->sock = made->lock = made->spare = -1;
	TAILQ_INIT(&made->clients);
	raise_file_limit();
	made->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
	made->sock = activated_socket();
	if (made->sock >= 0) {
		err = evutil_make_socket_nonblocking(made->sock) == 0 ? 0 : SG_ERR_IO;
	} else {
		made->path = path != NULL ? strdup(path) : sg_client_socket_path();
		err = made->path != NULL ? own_socket(made) : SG_ERR_NOMEM;
	}
	if (err != 0)
		goto fail;
	err = SG_ERR_NOMEM;
	made->accept_event =
	    event_new(agent->base, made->sock, EV_READ | EV_PERSIST, on_acceptable, made);
	if (made->accept_event == NULL || event_add(made->accept_event, NULL) != 0)
		goto fail;
	sg_log(SG_LOG_INFO, "listening on %s",
	    made->path != NULL ? made->path : "the socket that was handed over");
	*server = made;
	return 0;
fail:
	sg_server_free(made);
	return err;
}

void sg_server_free(struct sg_server *server)
{
	struct client *client;

	if (server == NULL)
		return;
	while ((client = TAILQ_FIRST(&server->clients)) != NULL) {
		TAILQ_REMOVE(&server->clients, client, entry);
		sg_conn_free(client->conn);
		free(client);
	}
	if (server->accept_event != NULL)
		event_free(server->accept_event);
	if (server->sock >= 0) {
		/* Only then is the path ours: before, another agent's socket may be there. */
		if (server->path != NULL && server->accept_event != NULL)
			unlink(server->path);
		close(server->sock);
	}
	if (server->lock >= 0) /* the file stays: removing it would race with the next agent */
		close(server->lock);
	if (server->spare >= 0)
		close(server->spare);
	free(server->path);
	free(server);
}
