/*
 * Consent to what cannot be undone.
 */
#ifndef SG_CLI_ASK_H
#define SG_CLI_ASK_H

#include "cli.h"
#include "error.h"

/*
 * 0 when --yes was given or the person types "yes" to the question, a printf format whose arguments
 * may hold any text. SG_ERR_ARG when nobody can be asked or --json was given, SG_ERR_DENIED when the
 * answer is another; both told. SG_ERR_IO without a terminal, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_ask_yes(struct sg_cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
