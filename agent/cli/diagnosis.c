#include "diagnosis.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "error.h"
#include "print.h"

#define PCSCD_SOCKET	"/run/pcscd/pcscd.comm"
#define MEMLOCK_ENOUGH	(64u << 10) /* locked memory for a few PINs and passwords */
#define START_AN_AGENT	"Start it: `signetd &`, or `systemctl --user start signet.socket`."
#define MESSAGE_MAX_LEN 4400 /* a path and a sentence */

static void add(json_t *findings, const char *level, const char *subject, const char *advice,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

static void add(json_t *findings, const char *level, const char *subject, const char *advice,
    const char *format, ...)
{
	char message[MESSAGE_MAX_LEN], *clean;
	va_list args;

	va_start(args, format);
	(void)vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	clean = sg_text_clean(message, 1); /* a path may be any bytes; JSON takes UTF-8 alone */
	(void)json_array_append_new(findings,
	    json_pack("{s:s, s:s, s:s, s:s?}", "level", level, "subject", subject, "message",
		clean != NULL ? clean : "?", "advice", advice));
	free(clean);
}

/* ---- where it is looked for ---- */

static void check_runtime_folder(json_t *findings)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (runtime == NULL || runtime[0] == '\0')
		add(findings, "note", "XDG_RUNTIME_DIR",
		    "A login session sets it; under su, sudo or cron, set SIGNET_SOCK or "
		    "XDG_RUNTIME_DIR yourself.",
		    "It is not set, and /run/user/%u is taken for it.", (unsigned)getuid());
	else if (runtime[0] != '/')
		add(findings, "problem", "XDG_RUNTIME_DIR", "Set it to a whole path, or unset it.",
		    "'%s' is no whole path, and is ignored.", runtime);
	else if (stat(runtime, &st) == 0 && st.st_uid != getuid())
		add(findings, "problem", "XDG_RUNTIME_DIR",
		    "Under su or sudo, log in anew or set it to a folder of your own (mode 0700).",
		    "%s belongs to uid %u, and you are uid %u.", runtime, (unsigned)st.st_uid,
		    (unsigned)getuid());
}

static void check_origin(json_t *findings, const char *path, const char *given)
{
	const char *own = getenv("SIGNET_SOCK");

	if (given != NULL) {
		add(findings, "note", "socket", NULL, "It is looked for at %s, as --socket says.",
		    path);
	} else if (own != NULL && own[0] != '\0') {
		add(findings, "note", "socket", NULL,
		    "It is looked for at %s, as SIGNET_SOCK says.", path);
	} else {
		add(findings, "note", "socket", NULL,
		    "It is looked for at %s, where it is by default.", path);
		check_runtime_folder(findings);
	}
}

/* An agent that listens where it does by default, while another place was named. */
static void check_usual_place(json_t *findings, const char *path)
{
	struct sg_client *client = NULL;
	char *usual;

	(void)unsetenv("SIGNET_SOCK");
	usual = sg_client_socket_path();
	if (usual != NULL && strcmp(usual, path) != 0 && sg_client_connect(usual, &client) == 0)
		add(findings, "note", "socket",
		    "Leave --socket and SIGNET_SOCK away if that is the one you mean.",
		    "An agent listens at %s, the place by default.", usual);
	sg_client_free(client);
	free(usual);
}

/* ---- what is there ---- */

/* Gives 0, or why nothing in the folder can be reached: an errno value. */
static int why_closed(const char *folder)
{
	struct stat st;

	if (stat(folder, &st) != 0)
		return errno;
	if (!S_ISDIR(st.st_mode))
		return ENOTDIR;
	return access(folder, X_OK) == 0 ? 0 : errno;
}

/* The first folder on the way that cannot be passed, in the room given; *error says why. 1 or 0. */
static int find_closed_folder(const char *path, char *folder, size_t size, int *error)
{
	for (const char *slash = strchr(path + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		(void)snprintf(folder, size, "%.*s", (int)(slash - path), path);
		*error = why_closed(folder);
		if (*error != 0)
			return 1;
	}
	return 0;
}

static void tell_folder(json_t *findings, const char *path, const char *folder, int error)
{
	char own[40];

	(void)snprintf(own, sizeof(own), "/run/user/%u", (unsigned)getuid());
	if (error == ENOENT && strcmp(folder, own) == 0)
		add(findings, "problem", "agent",
		    "Log in by a session of its own (not su or sudo), or set SIGNET_SOCK to a path "
		    "in "
		    "a folder of yours, for signetd and for signet.",
		    "There is no folder %s, as a login session has.", folder);
	else if (error == ENOENT && strchr(path + strlen(folder) + 1, '/') != NULL)
		add(findings, "problem", "agent",
		    "Check the path (--socket, SIGNET_SOCK, XDG_RUNTIME_DIR), or make the folder.",
		    "There is no folder %s.", folder);
	else if (error == ENOENT)
		add(findings, "problem", "agent", START_AN_AGENT,
		    "There is no folder %s: signetd, which makes it, does not run.", folder);
	else
		add(findings, "problem", "agent",
		    error == EACCES ? "Make it yours, with mode 0700, or use another place."
				    : "Check the path (--socket, SIGNET_SOCK, XDG_RUNTIME_DIR).",
		    "%s cannot be entered: %s.", folder, strerror(error));
}

static void tell_socket(json_t *findings, const char *path, int err)
{
	struct stat st;
	int absent = stat(path, &st) != 0;

	if (absent && errno == ENOENT)
		add(findings, "problem", "agent", START_AN_AGENT,
		    "There is no socket %s: signetd does not run.", path);
	else if (absent)
		add(findings, "problem", "agent", "Check the path.", "%s cannot be looked at: %s.",
		    path, strerror(errno));
	else if (!S_ISSOCK(st.st_mode))
		add(findings, "problem", "agent",
		    "Name the socket of signetd (--socket, SIGNET_SOCK).", "%s is no socket.",
		    path);
	else if (st.st_uid != getuid())
		add(findings, "problem", "agent",
		    "Use the socket of your own agent; another user's is refused.",
		    "%s belongs to uid %u, and you are uid %u.", path, (unsigned)st.st_uid,
		    (unsigned)getuid());
	else if (err == SG_ERR_AGENT_ABSENT)
		add(findings, "problem", "agent", START_AN_AGENT,
		    "Nobody listens on %s any more: signetd has ended.", path);
	else if (err == SG_ERR_DENIED)
		add(findings, "problem", "agent",
		    "Make the socket your own (mode 0600), or start your own signetd.",
		    "%s may not be used, or another user listens there.", path);
	else
		add(findings, "problem", "agent", "See the log of signetd.", "%s cannot be used.",
		    path);
}

static void check_path(json_t *findings, const char *path, int err)
{
	char folder[MESSAGE_MAX_LEN / 2];
	int error = 0;

	if (path[0] != '/')
		add(findings, "note", "socket", "Give a whole path.",
		    "%s is looked for in the folder where signet was started.", path);
	if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		add(findings, "problem", "agent", "Use a shorter path.",
		    "The path is longer than the path of a socket can be.");
	else if (find_closed_folder(path, folder, sizeof(folder), &error))
		tell_folder(findings, path, folder, error);
	else
		tell_socket(findings, path, err);
}

/* ---- the machine ---- */

static void check_pcscd(json_t *findings)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = PCSCD_SOCKET };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0;

	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
		error = errno;
	close(fd);
	if (error == 0)
		add(findings, "good", "pcscd", NULL, "It listens on %s.", PCSCD_SOCKET);
	else if (error == EACCES || error == EPERM)
		add(findings, "note", "pcscd",
		    "Smartcards and USB tokens are out of reach: ask who runs this machine for "
		    "access.",
		    "%s may not be used: %s.", PCSCD_SOCKET, strerror(error));
	else
		add(findings, "note", "pcscd",
		    "Only smartcards and USB tokens need it: `apt install pcscd`, `systemctl start "
		    "pcscd.socket`.",
		    "Nobody listens on %s: %s.", PCSCD_SOCKET, strerror(error));
}

/* Without it all is well: it needs not be there. */
static void check_configuration(json_t *findings)
{
	const char *folder = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
	char path[MESSAGE_MAX_LEN / 2];

	if (folder != NULL && folder[0] == '/')
		(void)snprintf(path, sizeof(path), "%s/signet/signet.conf", folder);
	else if (home != NULL)
		(void)snprintf(path, sizeof(path), "%s/.config/signet/signet.conf", home);
	else
		return;
	if (access(path, R_OK) != 0 && errno != ENOENT)
		add(findings, "problem", "signet.conf",
		    "signetd does not start without it: let yourself read it.",
		    "%s cannot be read: %s.", path, strerror(errno));
}

static void check_locked_memory(json_t *findings)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < MEMLOCK_ENOUGH)
		add(findings, "problem", "locked memory", "Raise it (ulimit -l, LimitMEMLOCK).",
		    "The limit is %llu bytes, too few to hold a PIN.",
		    (unsigned long long)limit.rlim_cur);
}

/* As execlp(3) looks for it. */
static int is_in_path(const char *program)
{
	const char *at = getenv("PATH");

	if (at == NULL)
		at = "/bin:/usr/bin";
	while (*at != '\0') {
		size_t len = strcspn(at, ":");
		char file[MESSAGE_MAX_LEN / 2];

		(void)snprintf(file, sizeof(file), "%.*s/%s", len > 0 ? (int)len : 1,
		    len > 0 ? at : ".", program);
		if (access(file, X_OK) == 0)
			return 1;
		at += len + (at[len] == ':');
	}
	return 0;
}

void sg_diagnose_programs(json_t *findings)
{
	if (json_is_array(findings) && !is_in_path("dot"))
		add(findings, "note", "dot",
		    "Install the package graphviz. `signet graph` writes DOT without it.",
		    "No program dot is in PATH: `signet graph --output` draws no picture.");
}

json_t *sg_diagnose(const char *path, const char *given, int err)
{
	json_t *findings = json_array();

	if (findings == NULL)
		return NULL;
	check_origin(findings, path, given);
	check_path(findings, path, err);
	check_usual_place(findings, path);
	check_configuration(findings);
	check_pcscd(findings);
	check_locked_memory(findings);
	return findings;
}
