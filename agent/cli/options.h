/*
 * The words of the command line: every long option there is, and reading a command's own ones.
 */
#ifndef SG_CLI_OPTIONS_H
#define SG_CLI_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

enum sg_opt {
	SG_OPT_HELP,
	SG_OPT_VERSION,
	SG_OPT_JSON,
	SG_OPT_BATCH,
	SG_OPT_SOCKET,
	SG_OPT_PIN_FILE,
	SG_OPT_PIN_FD,
	SG_OPT_PASSWORD_FILE,
	SG_OPT_PASSWORD_FD,
	SG_OPT_TOKEN,
	SG_OPT_LABEL,
	SG_OPT_ALGORITHM,
	SG_OPT_USER,
	SG_OPT_ACCOUNT,
	SG_OPT_KEY,
	SG_OPT_NAME,
	SG_OPT_OUT,
	SG_OPT_PEM,
	SG_OPT_ISSUER,
	SG_OPT_AT,
	SG_OPT_HOST,
	SG_OPT_PORT,
	SG_OPT_TLS,
	SG_OPT_CAFILE,
	SG_OPT_ACCESS,
	SG_OPT_YES,
	SG_OPT_JID,
	SG_OPT_WHY,
	SG_OPT_OUTPUT,
	SG_OPT_FINGERPRINT,
	SG_OPT_QR,
	SG_OPT_ATTESTATION,
	SG_OPT_DISABLE,
	SG_OPT_PGP,
	SG_OPT_REPLACE,
	SG_OPT_CANCEL,
	SG_OPT_SHOW,
	SG_OPT_MEMBER,
	SG_OPT_GROUP,
	SG_OPT_DIRECT,
	SG_OPT_ASK,
	SG_OPT_ABOUT,
	SG_OPT_SHA1,
	SG_OPT_DIFF,
	SG_OPT_SPARE,
	SG_OPT_REKEY,
	SG_OPT_COUNT,
};

#define SG_OPT_BIT(option) (UINT64_C(1) << (option))
#define SG_OPTS_GLOBAL                                                                             \
	(SG_OPT_BIT(SG_OPT_HELP) | SG_OPT_BIT(SG_OPT_JSON) | SG_OPT_BIT(SG_OPT_BATCH) |            \
	    SG_OPT_BIT(SG_OPT_SOCKET))
#define SG_OPTS_PIN	 (SG_OPT_BIT(SG_OPT_PIN_FILE) | SG_OPT_BIT(SG_OPT_PIN_FD))
#define SG_OPTS_PASSWORD (SG_OPT_BIT(SG_OPT_PASSWORD_FILE) | SG_OPT_BIT(SG_OPT_PASSWORD_FD))

struct sg_opt_info {
	const char *name;
	const char *argument; /* what stands for its argument in help, or NULL for a flag */
	const char *help;
	int repeats;
};

const struct sg_opt_info *sg_opt_info(enum sg_opt option);

struct sg_repeated {
	enum sg_opt option;
	const char *value;
};

/* Everything borrows from argv but the array of what may be repeated, which is owned. */
struct sg_args {
	const char *value[SG_OPT_COUNT]; /* NULL: not given; "": a flag; of several the last */
	struct sg_repeated *repeated;	 /* every --issuer, --member and --group, in order */
	size_t repeated_count;
	char **operands; /* inside argv, NULL-terminated */
	int operand_count;
};

void sg_args_clear(struct sg_args *args);

/*
 * Reads the options out of argv (argv[0] is the command's own word) into args, which keeps what an
 * earlier call put there. With stop_at_operand the options end at the first operand, otherwise they
 * stand anywhere. SG_ERR_ARG with a sentence in *why (a new string, or NULL without memory): an
 * option that is unknown here, given twice, or lacks or has an argument against its kind.
 */
SG_MUST_USE int sg_args_parse(
    struct sg_args *args, int argc, char **argv, uint64_t allowed, int stop_at_operand, char **why);

int sg_args_has(const struct sg_args *args, enum sg_opt option);

/* A decimal number from min to max and nothing else. SG_ERR_ARG. */
SG_MUST_USE int sg_number_parse(const char *text, long min, long max, long *number);

/*
 * The word of the list nearest to this one, or NULL when none is near (more than two, or a third of
 * its letters, away). Words are compared over their first 64 bytes.
 */
const char *sg_word_nearest(const char *word, const char *const *words, size_t count);

#endif
