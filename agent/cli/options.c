#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"

static const struct sg_opt_info opt_infos[SG_OPT_COUNT] = {
	[SG_OPT_HELP] = { "help", NULL, "print this help", 0 },
	[SG_OPT_VERSION] = { "version", NULL, "print the version", 0 },
	[SG_OPT_JSON] = { "json", NULL, "print one JSON object instead of text", 0 },
	[SG_OPT_BATCH] = { "batch", NULL, "never ask anything", 0 },
	[SG_OPT_SOCKET] = { "socket", "PATH", "the agent's socket", 0 },
	[SG_OPT_PIN_FILE] = { "pin-file", "FILE", "a file (mode 0600 or 0400) that holds the PIN",
	    0 },
	[SG_OPT_PIN_FD] = { "pin-fd", "N", "an open descriptor to read the PIN from", 0 },
	[SG_OPT_PASSWORD_FILE] = { "password-file", "FILE",
	    "a file (mode 0600 or 0400) that holds the account's password", 0 },
	[SG_OPT_PASSWORD_FD] = { "password-fd", "N", "an open descriptor to read the password from",
	    0 },
	[SG_OPT_TOKEN] = { "token", "TOKEN", "the token, by URI or label", 0 },
	[SG_OPT_LABEL] = { "label", "LABEL", "the new key's label", 0 },
	[SG_OPT_ALGORITHM] = { "algorithm", "NAME",
	    "rsa2048 (the default), rsa3072, rsa4096, p256 or p384", 0 },
	[SG_OPT_USER] = { "user", NULL, "make the account's user key, with its certificate", 0 },
	[SG_OPT_ACCOUNT] = { "account", "JID", "the own account", 0 },
	[SG_OPT_KEY] = { "key", "KEY", "the key, by URI or label", 0 },
	[SG_OPT_NAME] = { "name", "NAME", "the name of the certificate in the server's list", 0 },
	[SG_OPT_OUT] = { "out", "FILE", "write the result to this file", 0 },
	[SG_OPT_PEM] = { "pem", NULL, "write PEM instead of DER", 0 },
	[SG_OPT_ISSUER] = { "issuer", "CERT",
	    "a certificate (DER or PEM), an OpenPGP key or a keyinfo file of a possible issuer; "
	    "may "
	    "be repeated",
	    1 },
	[SG_OPT_AT] = { "at", "TIME", "judge as of this time (2026-01-31 or 2026-01-31T12:00:00Z)",
	    0 },
	[SG_OPT_HOST] = { "host", "HOST", "the server's address, instead of what the DNS says", 0 },
	[SG_OPT_PORT] = { "port", "N", "the server's port", 0 },
	[SG_OPT_TLS] = { "tls", "MODE", "starttls (the default) or direct", 0 },
	[SG_OPT_CAFILE] = { "cafile", "FILE", "PEM certificates to trust instead of the system's",
	    0 },
	[SG_OPT_ACCESS] = { "access", "MODEL",
	    "presence (at first), open, whitelist, roster or authorize", 0 },
	[SG_OPT_JID] = { "jid", "JID", "whose the keys are that do not say so themselves", 0 },
	[SG_OPT_SHOW] = { "show", NULL, "tell how the server has the node, and what is on it", 0 },
	[SG_OPT_MEMBER] = { "member", "JID",
	    "who may read a whitelist, all of them; may be repeated", 1 },
	[SG_OPT_GROUP] = { "group", "NAME",
	    "a group of the roster that may read by access roster, all of them; may be repeated",
	    1 },
	[SG_OPT_DIRECT] = { "direct", "WHO",
	    "who is answered that asks this agent: own, contacts, nobody, or JID,JID,...", 0 },
	[SG_OPT_ASK] = { "ask", "JID", "a third party to ask when nothing else helps", 0 },
	[SG_OPT_ABOUT] = { "about", "JID", "whose keys, when they are those of another", 0 },
	[SG_OPT_YES] = { "yes", NULL, "do not ask", 0 },
	[SG_OPT_WHY] = { "why", NULL, "show the way by which a key is trusted, or what breaks it",
	    0 },
	[SG_OPT_OUTPUT] = { "output", "FILE", "write to this file: .dot (Graphviz) or .svg", 0 },
	[SG_OPT_FINGERPRINT] = { "fingerprint", NULL,
	    "print the fingerprints in groups, to be read aloud", 0 },
	[SG_OPT_QR] = { "qr", NULL, "draw a QR code with the fingerprint", 0 },
	[SG_OPT_ATTESTATION] = { "attestation", NULL,
	    "show what the token says of where the key was made", 0 },
	[SG_OPT_SHA1] = { "sha1", "MODE", "on or verify (SHA-1 counts, the default), or off", 0 },
	[SG_OPT_REKEY] = { "rekey", NULL, "for a new key, made on the same token", 0 },
	[SG_OPT_PGP] = { "pgp", "FINGERPRINT",
	    "sign with this OpenPGP key of the account, by gpg and its agent", 0 },
	[SG_OPT_SPARE] = { "spare", NULL, "the account goes on with the certificate that it has",
	    0 },
	[SG_OPT_DIFF] = { "diff", NULL,
	    "compare the server's list with the tokens and what the agent keeps", 0 },
	[SG_OPT_REPLACE] = { "replace", NULL,
	    "revoke the account's former certificate once the new one is proven", 0 },
	[SG_OPT_DISABLE] = { "disable", NULL, "let it log in no more, but leave who is logged in",
	    0 },
	[SG_OPT_CANCEL] = { "cancel", NULL, "undo an enrolment that is not finished", 0 },
};

const struct sg_opt_info *sg_opt_info(enum sg_opt option)
{
	return &opt_infos[option];
}

void sg_args_clear(struct sg_args *args)
{
	free(args->repeated);
	memset(args, 0, sizeof(*args));
}

int sg_args_has(const struct sg_args *args, enum sg_opt option)
{
	return args->value[option] != NULL;
}

int sg_number_parse(const char *text, long min, long max, long *number)
{
	char *end = NULL;
	long value;

	*number = 0;
	if (text[0] < '0' || text[0] > '9')
		return SG_ERR_ARG;
	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || *end != '\0' || value < min || value > max)
		return SG_ERR_ARG;
	*number = value;
	return 0;
}

#define WORD_MAX 64

/* Levenshtein's distance, one row at a time. */
static size_t word_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	size_t a_len = strnlen(a, WORD_MAX), b_len = strnlen(b, WORD_MAX);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[b_len];
}

const char *sg_word_nearest(const char *word, const char *const *words, size_t count)
{
	const char *nearest = NULL;
	size_t len = strnlen(word, WORD_MAX);
	size_t best = len / 3 > 2 ? len / 3 : 2;

	/* Of a word of two or three letters, two changes leave nothing. */
	if (len < 4)
		best = 1;
	for (size_t i = 0; i < count; i++) {
		size_t distance = word_distance(word, words[i]);

		if (distance < best || (distance == best && nearest == NULL)) {
			best = distance;
			nearest = words[i];
		}
	}
	return nearest;
}

static void unknown_option(struct sg_buf *text, const char *given, uint64_t allowed)
{
	const char *words[SG_OPT_COUNT];
	const char *nearest;
	char name[WORD_MAX + 1] = "";
	size_t count = 0;

	for (int i = 0; i < SG_OPT_COUNT; i++)
		if ((allowed & SG_OPT_BIT(i)) != 0)
			words[count++] = opt_infos[i].name;
	for (size_t i = 0; i < WORD_MAX && given[i] != '\0' && given[i] != '='; i++)
		name[i] = given[i];
	/* An abbreviation that fits several is a question too, not only what fits none. */
	nearest = sg_word_nearest(name + strspn(name, "-"), words, count);
	sg_buf_printf(text, "there is no option '%s' here", name);
	if (nearest != NULL)
		sg_buf_printf(text, "; did you mean '--%s'?", nearest);
}

static int take_option(struct sg_args *args, int option, const char *value, struct sg_buf *text)
{
	const struct sg_opt_info *info = &opt_infos[option];

	if (info->repeats) {
		args->repeated[args->repeated_count++] = (struct sg_repeated){ option, value };
	} else if (info->argument != NULL && args->value[option] != NULL) {
		sg_buf_printf(text, "the option '--%s' is given twice", info->name);
		return SG_ERR_ARG;
	}
	args->value[option] = value != NULL ? value : "";
	return 0;
}

/* What getopt_long() returns for a long option: past every character. */
#define LONG_BASE 256

static int read_options(struct sg_args *args, int argc, char **argv, uint64_t allowed,
    const char *short_options, struct sg_buf *text)
{
	struct option options[SG_OPT_COUNT + 1];
	size_t count = 0;
	int got;

	memset(options, 0, sizeof(options));
	for (int i = 0; i < SG_OPT_COUNT; i++) {
		if ((allowed & SG_OPT_BIT(i)) == 0)
			continue;
		options[count].name = opt_infos[i].name;
		options[count].has_arg =
		    opt_infos[i].argument != NULL ? required_argument : no_argument;
		options[count++].val = LONG_BASE + i;
	}
	optind = 0; /* glibc: begin anew */
	opterr = 0;
	while ((got = getopt_long(argc, argv, short_options, options, NULL)) != -1) {
		int err = 0;

		if (got == 'h') {
			err = take_option(args, SG_OPT_HELP, NULL, text);
		} else if (got >= LONG_BASE) {
			err = take_option(args, got - LONG_BASE, optarg, text);
		} else if (got == ':') {
			sg_buf_printf(text, "the option '%s' needs an argument", argv[optind - 1]);
			err = SG_ERR_ARG;
		} else if (optopt >= LONG_BASE) {
			sg_buf_printf(text, "the option '--%s' takes no argument",
			    opt_infos[optopt - LONG_BASE].name);
			err = SG_ERR_ARG;
		} else if (optopt != 0) {
			sg_buf_printf(text, "there is no option '-%c'", optopt);
			err = SG_ERR_ARG;
		} else {
			unknown_option(text, argv[optind - 1], allowed);
			err = SG_ERR_ARG;
		}
		if (err != 0)
			return err;
	}
	return 0;
}

int sg_args_parse(
    struct sg_args *args, int argc, char **argv, uint64_t allowed, int stop_at_operand, char **why)
{
	struct sg_buf text = { 0 };
	int err;

	*why = NULL;
	args->operands = NULL;
	args->operand_count = 0;
	/* No command line has more of them than words. */
	if (args->repeated == NULL &&
	    (args->repeated = calloc((size_t)argc + 1, sizeof(*args->repeated))) == NULL)
		return SG_ERR_NOMEM;
	err = read_options(args, argc, argv, allowed, stop_at_operand ? "+:h" : ":h", &text);
	if (err != 0) {
		*why = sg_buf_steal(&text, NULL);
		return err;
	}
	args->operands = argv + optind;
	args->operand_count = argc - optind;
	return 0;
}
