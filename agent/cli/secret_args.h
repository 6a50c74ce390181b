/*
 * Where the PIN and the password of a call come from. This program never reads a PIN: it passes
 * descriptors on, or asks the agent for a pinentry. A password it reads only from the terminal.
 */
#ifndef SG_CLI_SECRET_ARGS_H
#define SG_CLI_SECRET_ARGS_H

#include <sys/types.h>

#include <jansson.h>

#include "client.h"
#include "error.h"
#include "secret.h"

struct sg_cli;

struct sg_secret_source {
	char *path;  /* opened anew for every call, or NULL */
	int fd;	     /* a descriptor of the caller's, or -1 */
	off_t start; /* where the descriptor stood, to read it again; -1 when it cannot go back */
};

struct sg_secret_args {
	struct sg_secret_source pin;
	struct sg_secret_source password;
	struct sg_secret *typed; /* the password from the terminal */
};

void sg_secret_args_init(struct sg_secret_args *secrets);
void sg_secret_args_clear(struct sg_secret_args *secrets);

/* Takes --pin-file, --pin-fd, --password-file and --password-fd. SG_ERR_ARG, told. */
SG_MUST_USE int sg_secret_args_take(struct sg_cli *cli);

/*
 * An operand or option that names a token or key: *name is it as it will be sent (a new string),
 * a URI without its query (RFC 7512 2.4), from which a pin-source=file: is taken as the source of the
 * PIN. SG_ERR_ARG, told, for a pin-value, any other pin-source, and a second source of the PIN.
 */
SG_MUST_USE int sg_secret_args_name(struct sg_cli *cli, const char *text, char **name);

/* Descriptors that go with a call; all are closed by sg_call_fds_close(). */
struct sg_call_fds {
	int fds[SG_API_FDS_MAX];
	size_t count;
};

void sg_call_fds_close(struct sg_call_fds *fds);

/*
 * Adds the PIN's source as the member "pin": a descriptor, a pinentry on the caller's terminal or
 * display, or nothing. SG_ERR_ARG or SG_ERR_DENIED (others may read the file), told.
 */
SG_MUST_USE int sg_secret_args_pin(struct sg_cli *cli, json_t *parameters, struct sg_call_fds *fds);

/* Adds the password as the member "password" when there is one. Fails as sg_secret_args_pin(). */
SG_MUST_USE int sg_secret_args_password(
    struct sg_cli *cli, json_t *parameters, struct sg_call_fds *fds);

/*
 * Whether a password can be asked for now: none was given or typed yet, and a person is there. Asks on
 * the terminal, without echo, into locked memory. 1 when it was typed, 0 when not, SG_ERR_*, told.
 */
SG_MUST_USE int sg_secret_args_ask(struct sg_cli *cli, const char *account);

#endif
