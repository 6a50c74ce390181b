#include "secret_args.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "cli.h"
#include "print.h"
#include "secret_file.h"
#include "text.h"
#include "tty.h"

#define FD_MAX 1048576

void sg_secret_args_init(struct sg_secret_args *secrets)
{
	*secrets = (struct sg_secret_args){ .pin.fd = -1, .password.fd = -1 };
}

void sg_secret_args_clear(struct sg_secret_args *secrets)
{
	free(secrets->pin.path);
	free(secrets->password.path);
	sg_secret_free(secrets->typed);
	sg_secret_args_init(secrets);
}

/* One source of a secret: a file, or a descriptor that is open already. */
static int take_source(
    struct sg_cli *cli, enum sg_opt file, enum sg_opt fd, struct sg_secret_source *source)
{
	const char *number = cli->args.value[fd];
	long value;

	if (sg_args_has(&cli->args, file) && number != NULL)
		return sg_cli_fail(cli, SG_ERR_ARG, "Give one of the two.",
		    "there are two sources: --%s and --%s", sg_opt_info(file)->name,
		    sg_opt_info(fd)->name);
	if (sg_args_has(&cli->args, file)) {
		source->path = strdup(cli->args.value[file]);
		return source->path != NULL ? 0 : SG_ERR_NOMEM;
	}
	if (number == NULL)
		return 0;
	if (sg_number_parse(number, 0, FD_MAX, &value) != 0 || fcntl((int)value, F_GETFD) < 0)
		return sg_cli_fail(cli, SG_ERR_ARG,
		    "Open it for reading in the calling program or shell.",
		    "--%s: '%s' is no open descriptor", sg_opt_info(fd)->name, number);
	if (!sg_secret_fd_is_readable((int)value))
		return sg_cli_fail(cli, SG_ERR_ARG,
		    "Open it for reading in the calling program or shell.",
		    "--%s: descriptor %s is not open for reading", sg_opt_info(fd)->name, number);
	source->fd = (int)value;
	source->start = lseek(source->fd, 0, SEEK_CUR);
	return 0;
}

int sg_secret_args_take(struct sg_cli *cli)
{
	struct sg_secret_args *secrets = &cli->secrets;
	int err = take_source(cli, SG_OPT_PIN_FILE, SG_OPT_PIN_FD, &secrets->pin);

	if (err == 0)
		err =
		    take_source(cli, SG_OPT_PASSWORD_FILE, SG_OPT_PASSWORD_FD, &secrets->password);
	if (err == 0 && secrets->pin.fd >= 0 && secrets->pin.fd == secrets->password.fd)
		err = sg_cli_fail(cli, SG_ERR_ARG, "Give each a descriptor of its own.",
		    "the PIN and the password cannot come from the same descriptor");
	return err;
}

/* pin-source (RFC 7512 2.4): file:/path or file:///path (RFC 8089). "|program" is nothing we run. */
static int take_pin_source(struct sg_cli *cli, const char *value, size_t len)
{
	struct sg_secret_source *source = &cli->secrets.pin;
	char *text = sg_percent_decode(value, len);
	const char *path = NULL;

	if (text != NULL && strncasecmp(text, "file:///", 8) == 0)
		path = text + 7;
	else if (text != NULL && strncasecmp(text, "file:/", 6) == 0 && text[6] != '/')
		path = text + 5;
	if (path == NULL) {
		free(text);
		return sg_cli_fail(cli, SG_ERR_ARG, "Write pin-source=file:/path/of/the/file.",
		    "the URI's pin-source is not a file: with a whole path");
	}
	if (source->path != NULL || source->fd >= 0) {
		free(text);
		return sg_cli_fail(cli, SG_ERR_ARG, "Give one source of the PIN.",
		    "the PIN has two sources, and the URI's pin-source is one of them");
	}
	source->path = strdup(path);
	free(text);
	return source->path != NULL ? 0 : SG_ERR_NOMEM;
}

static int take_query(struct sg_cli *cli, const char *query)
{
	int err = 0;

	while (err == 0 && *query != '\0') {
		size_t len = strcspn(query, "&");

		if (strncmp(query, "pin-value", 9) == 0 && (len == 9 || query[9] == '='))
			err = sg_cli_fail(cli, SG_ERR_ARG,
			    "A PIN does not belong on a command line, where others can read it: "
			    "use --pin-file, --pin-fd or pin-source=file:/path. Change this PIN if "
			    "others could see it.",
			    "the URI holds a PIN (pin-value), and it was not used");
		else if (strncmp(query, "pin-source=", 11) == 0)
			err = take_pin_source(cli, query + 11, len - 11);
		query += len;
		if (*query == '&')
			query++;
	}
	return err;
}

int sg_secret_args_name(struct sg_cli *cli, const char *text, char **name)
{
	size_t len = strlen(text);
	int err = 0;

	*name = NULL;
	if (strncasecmp(text, "pkcs11:", 7) == 0) {
		len = strcspn(text, "?");
		if (text[len] == '?')
			err = take_query(cli, text + len + 1);
	}
	if (err == 0 && (*name = strndup(text, len)) == NULL)
		err = SG_ERR_NOMEM;
	return err;
}

void sg_call_fds_close(struct sg_call_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++)
		close(fds->fds[i]);
	fds->count = 0;
}

/* The descriptor's index goes into the message; the descriptor is taken over. */
static int add_fd(json_t *parameters, const char *member, int fd, struct sg_call_fds *fds)
{
	if (fds->count == SG_API_FDS_MAX) {
		close(fd);
		return SG_ERR_INTERNAL;
	}
	fds->fds[fds->count++] = fd;
	return json_object_set_new(
		   parameters, member, json_pack("{s:i}", "fd", (int)(fds->count - 1))) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

static int open_file(struct sg_cli *cli, const char *what, const char *path, int *fd)
{
	struct stat st;
	const char *why;
	int err;

	/* A pipe that nobody writes to is not waited for here: who reads it has a deadline. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd >= 0)
		(void)fcntl(*fd, F_SETFL, 0);
	if (*fd < 0)
		return sg_cli_fail(cli, SG_ERR_ARG, "Check the path of the file.",
		    "the %s's file '%s' cannot be read: %s", what, path, strerror(errno));
	err = sg_secret_file_check(*fd, &why);
	if (err == 0)
		return 0;
	if (err != SG_ERR_DENIED || fstat(*fd, &st) != 0)
		err = sg_cli_fail(cli, SG_ERR_ARG, "Give a regular file or a pipe.",
		    "the %s's file '%s' %s", what, path, why);
	else
		err = sg_cli_fail(cli, SG_ERR_DENIED,
		    "Make it yours alone: chown it to yourself and chmod 600.",
		    "the %s's file '%s' %s (mode %04o, owner %u), and was not used", what, path,
		    why, (unsigned)(st.st_mode & 07777), (unsigned)st.st_uid);
	close(*fd);
	*fd = -1;
	return err;
}

/* A descriptor of the source for one call; every call of a source that can go back reads it whole. */
static int open_source(
    struct sg_cli *cli, const char *what, const struct sg_secret_source *source, int *fd)
{
	struct stat st;

	*fd = -1;
	if (source->path != NULL)
		return open_file(cli, what, source->path, fd);
	/* Not a terminal: it would be read by another process, with echo on. */
	if (fstat(source->fd, &st) != 0 ||
	    !(S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)))
		return sg_cli_fail(cli, SG_ERR_ARG, "Give a regular file, a pipe or a socket.",
		    "the %s cannot be read from descriptor %d", what, source->fd);
	if (source->start >= 0)
		(void)lseek(source->fd, source->start, SEEK_SET);
	*fd = fcntl(source->fd, F_DUPFD_CLOEXEC, 3);
	return *fd >= 0 ? 0 : SG_ERR_IO;
}

static const char *first_env(const char *const *names)
{
	for (; *names != NULL; names++) {
		const char *value = getenv(*names);

		if (value != NULL && value[0] != '\0')
			return value;
	}
	return NULL;
}

static const char *own_tty(void)
{
	static const char *const gpg[] = { "GPG_TTY", NULL };
	const char *name = first_env(gpg);

	for (int fd = 0; name == NULL && fd <= 2; fd++)
		name = ttyname(fd);
	return name;
}

/* What a pinentry must know of the caller's terminal or display; NULL when there is neither. */
static json_t *pinentry_json(void)
{
	static const char *const display_names[] = { "DISPLAY", "WAYLAND_DISPLAY", NULL };
	static const char *const term_names[] = { "TERM", NULL };
	static const char *const ctype_names[] = { "LC_ALL", "LC_CTYPE", "LANG", NULL };
	static const char *const messages_names[] = { "LC_ALL", "LC_MESSAGES", "LANG", NULL };
	const char *tty = own_tty(), *display = first_env(display_names);

	if (tty == NULL && display == NULL)
		return NULL;
	return json_pack("{s:{s:s*, s:s*, s:s*, s:s*, s:s*}}", "pinentry", "ttyname", tty,
	    "ttytype", tty != NULL ? first_env(term_names) : NULL, "display", display, "lc_ctype",
	    first_env(ctype_names), "lc_messages", first_env(messages_names));
}

int sg_secret_args_pin(struct sg_cli *cli, json_t *parameters, struct sg_call_fds *fds)
{
	const struct sg_secret_source *source = &cli->secrets.pin;
	json_t *pinentry;
	int fd, err;

	if (source->path != NULL || source->fd >= 0) {
		err = open_source(cli, "PIN", source, &fd);
		return err == 0 ? add_fd(parameters, "pin", fd, fds) : err;
	}
	if (sg_args_has(&cli->args, SG_OPT_BATCH) || (pinentry = pinentry_json()) == NULL)
		return 0;
	return json_object_set_new(parameters, "pin", pinentry) == 0 ? 0 : SG_ERR_NOMEM;
}

/* A pipe that holds the secret and its end: the kernel's memory, never a disk. */
static int pipe_secret(const struct sg_secret *secret, int *fd)
{
	int ends[2];
	ssize_t n;

	*fd = -1;
	if (pipe2(ends, O_CLOEXEC) != 0)
		return SG_ERR_IO;
	n = write(ends[1], sg_secret_data(secret), sg_secret_len(secret));
	close(ends[1]);
	if (n != (ssize_t)sg_secret_len(secret)) {
		close(ends[0]);
		return SG_ERR_IO;
	}
	*fd = ends[0];
	return 0;
}

int sg_secret_args_password(struct sg_cli *cli, json_t *parameters, struct sg_call_fds *fds)
{
	const struct sg_secret_source *source = &cli->secrets.password;
	int fd, err;

	if (source->path != NULL || source->fd >= 0)
		err = open_source(cli, "password", source, &fd);
	else if (cli->secrets.typed != NULL)
		err = pipe_secret(cli->secrets.typed, &fd);
	else
		return 0;
	return err == 0 ? add_fd(parameters, "password", fd, fds) : err;
}

int sg_secret_args_ask(struct sg_cli *cli, const char *account)
{
	struct sg_secret_args *secrets = &cli->secrets;
	struct sg_buf prompt = { 0 };
	char *clean = NULL, *text = NULL;
	int err;

	if (secrets->password.path != NULL || secrets->password.fd >= 0 || secrets->typed != NULL ||
	    !sg_cli_interactive(cli))
		return 0;
	err = sg_secret_new(&secrets->typed);
	if (err != 0)
		return err;
	clean = sg_text_clean(account, 0);
	if (clean != NULL)
		sg_buf_printf(&prompt, "Password of %s: ", clean);
	text = sg_buf_steal(&prompt, NULL);
	err =
	    text != NULL && clean != NULL ? sg_tty_read_secret(text, secrets->typed) : SG_ERR_NOMEM;
	free(clean);
	free(text);
	if (err != 0) {
		sg_secret_free(secrets->typed);
		secrets->typed = NULL;
		return sg_cli_fail(cli, err == SG_ERR_IO ? SG_ERR_PASSWORD_NEEDED : err, NULL,
		    "no password was typed");
	}
	return 1;
}
