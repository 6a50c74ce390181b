/*
 * Questions on the terminal.
 */
#ifndef SG_CLI_TTY_H
#define SG_CLI_TTY_H

#include "error.h"
#include "secret.h"

/*
 * Asks for a line with echo off and appends it to the secret. The terminal is restored also when a
 * signal ends the program. SG_ERR_IO without a terminal, SG_ERR_FORMAT when the line is empty,
 * SG_ERR_LIMIT when it is too long (the secret is empty then).
 */
SG_MUST_USE int sg_tty_read_secret(const char *prompt, struct sg_secret *secret);

/* Whether the person types exactly "yes". The question must be clean text. 1, 0, SG_ERR_IO. */
SG_MUST_USE int sg_tty_confirm(const char *question);

#endif
