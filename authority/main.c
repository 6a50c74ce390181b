/*
 * signet-authority: arguments only.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "authority.h"
#include "harden.h"
#include "log.h"
#include "operator.h"
#include "output.h"

static const char usage[] =
    "usage: signet-authority [--config FILE] run\n"
    "       signet-authority [--config FILE] init [--name NAME] [--algorithm ALGORITHM] [--out "
    "FILE]\n"
    "       signet-authority [--config FILE] init --request FILE [--name NAME] [--algorithm "
    "ALGORITHM]\n"
    "       signet-authority [--config FILE] init --certificate FILE [--out FILE]\n"
    "       signet-authority [--config FILE] list [--account JID] [--state STATE] [--json]\n"
    "       signet-authority [--config FILE] show FINGERPRINT|SERIAL [--json]\n"
    "       signet-authority [--config FILE] revoke FINGERPRINT|SERIAL [--reason TEXT] [--json]\n"
    "       signet-authority [--config FILE] revoke --account JID [--reason TEXT] [--json]\n"
    "       signet-authority [--config FILE] crl [--json]\n"
    "       signet-authority [--config FILE] stats [--json]\n"
    "\n"
    "Answers certificate requests of an XMPP server's accounts (client certificate management "
    "2.0).\n"
    "\n"
    "  run    connect to the server as a component and serve until SIGTERM\n"
    "  init   make the CA's key and certificate on the token and write the certificate (PEM);\n"
    "         or make an intermediate's key and its request, and put its certificate there\n"
    "  list   the certificates of the ledger\n"
    "  show   one of them, by the beginning of its SHA-256 fingerprint or serial number\n"
    "  revoke one of them, or all of an account\n"
    "  crl    write the list of the revoked and the CRL now\n"
    "  stats  how many there are\n"
    "\n"
    "  --config FILE          default: " SG_AUTHORITY_CONF "\n"
    "  --name NAME            common name of the CA (default: signet CA)\n"
    "  --algorithm ALGORITHM  rsa2048, rsa3072 (default), rsa4096, p256 or p384\n"
    "  --out FILE             where the certificate goes (default: standard output)\n"
    "  --request FILE         where an intermediate's request goes (PEM), for its root to sign\n"
    "  --certificate FILE     the certificate that came back for it\n"
    "  --account JID          whose certificates\n"
    "  --state STATE          valid, expired or revoked\n"
    "  --reason TEXT          why, for the ledger and the log\n"
    "  --json                 JSON on standard output\n"
    "  --help, --version\n";

enum {
	OPTION_CONFIG = 'c',
	OPTION_NAME = 'n',
	OPTION_ALGORITHM = 'a',
	OPTION_OUT = 'o',
	OPTION_REQUEST = 'r',
	OPTION_CERTIFICATE = 'C',
	OPTION_ACCOUNT = 'A',
	OPTION_STATE = 'S',
	OPTION_REASON = 'R',
	OPTION_JSON = 'j',
	OPTION_HELP = 'h',
	OPTION_VERSION = 'V',
};

static const struct option options[] = {
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "name", required_argument, NULL, OPTION_NAME },
	{ "algorithm", required_argument, NULL, OPTION_ALGORITHM },
	{ "out", required_argument, NULL, OPTION_OUT },
	{ "request", required_argument, NULL, OPTION_REQUEST },
	{ "certificate", required_argument, NULL, OPTION_CERTIFICATE },
	{ "account", required_argument, NULL, OPTION_ACCOUNT },
	{ "state", required_argument, NULL, OPTION_STATE },
	{ "reason", required_argument, NULL, OPTION_REASON },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ NULL, 0, NULL, 0 },
};

/* The options of each command beside --config; of one in more than one line, either. */
static const struct {
	const char *name, *options;
} verbs[] = {
	{ "run", "" },
	{ "init", "nao" },
	{ "init", "rna" },
	{ "init", "Co" },
	{ "list", "ASj" },
	{ "show", "j" },
	{ "revoke", "ARj" },
	{ "crl", "j" },
	{ "stats", "j" },
};

struct command {
	const char *config, *verb;
	char given[32]; /* the options that were given */
	struct sg_authority_init init;
	struct sg_operator asked;
};

static int misused(void)
{
	fputs(usage, stderr);
	return SG_ERR_ARG;
}

static void take(struct command *command, int option)
{
	size_t count = strlen(command->given);

	if (option != OPTION_CONFIG && strchr(command->given, option) == NULL &&
	    count < sizeof(command->given) - 1)
		command->given[count] = (char)option;
	switch (option) {
	case OPTION_CONFIG:
		command->config = optarg;
		break;
	case OPTION_NAME:
		command->init.name = optarg;
		break;
	case OPTION_ALGORITHM:
		command->init.algorithm = optarg;
		break;
	case OPTION_OUT:
		command->init.out = optarg;
		break;
	case OPTION_REQUEST:
		command->init.request = optarg;
		break;
	case OPTION_CERTIFICATE:
		command->init.certificate = optarg;
		break;
	case OPTION_ACCOUNT:
		command->asked.account = optarg;
		break;
	case OPTION_STATE:
		command->asked.state = optarg;
		break;
	case OPTION_REASON:
		command->asked.reason = optarg;
		break;
	case OPTION_JSON:
		command->asked.json = 1;
		break;
	default:
		break;
	}
}

/* Whether the command is there, with options of its own, and as many operands as it takes. */
static int is_whole(struct command *command, int count, char **operands)
{
	int wants_one, found = 0;

	if (count < 1)
		return 0;
	command->verb = operands[0];
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		found |= strcmp(command->verb, verbs[i].name) == 0 &&
		    strspn(command->given, verbs[i].options) == strlen(command->given);
	if (!found)
		return 0;
	wants_one = strcmp(command->verb, "show") == 0 ||
	    (strcmp(command->verb, "revoke") == 0 && command->asked.account == NULL);
	if (wants_one && count > 1)
		command->asked.which = operands[1];
	return count == 1 + wants_one;
}

static int perform(const struct command *command)
{
	struct sg_authority_config config = { 0 };
	int err, status;

	sg_log_init("signet-authority", SG_LOG_INFO);
	err = sg_harden_process();
	if (err == 0)
		err = sg_authority_config_read(command->config, &config);
	if (err == 0 && sg_operator_has(command->verb)) {
		status = sg_operator_do(&config, command->verb, &command->asked);
		sg_authority_config_clear(&config);
		return status;
	}
	if (err == 0)
		err = strcmp(command->verb, "init") == 0
		    ? sg_authority_init(&config, &command->init)
		    : sg_authority_run(&config);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "%s", sg_err_text(err));
	sg_authority_config_clear(&config);
	return sg_err_exit_status(err);
}

int main(int argc, char **argv)
{
	struct command command = {
		.config = SG_AUTHORITY_CONF,
		.init = { .name = "signet CA" },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == OPTION_HELP || option == OPTION_VERSION) {
			fputs(option == OPTION_HELP ? usage : "signet-authority " SG_VERSION "\n",
			    stdout);
			return sg_err_exit_status(sg_stdout_finish("signet-authority"));
		}
		if (option == '?')
			return sg_err_exit_status(misused());
		take(&command, option);
	}
	if (!is_whole(&command, argc - optind, argv + optind))
		return sg_err_exit_status(misused());
	return perform(&command);
}
