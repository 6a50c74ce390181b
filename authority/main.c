/*
 * signet-authority: arguments only.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "authority.h"
#include "harden.h"
#include "log.h"
#include "output.h"

static const char usage[] =
    "usage: signet-authority [--config FILE] run\n"
    "       signet-authority [--config FILE] init [--name NAME] [--algorithm ALGORITHM] [--out "
    "FILE]\n"
    "       signet-authority [--config FILE] init --request FILE [--name NAME] [--algorithm "
    "ALGORITHM]\n"
    "       signet-authority [--config FILE] init --certificate FILE [--out FILE]\n"
    "\n"
    "Answers certificate requests of an XMPP server's accounts (client certificate management "
    "2.0).\n"
    "\n"
    "  run    connect to the server as a component and serve until SIGTERM\n"
    "  init   make the CA's key and certificate on the token and write the certificate (PEM);\n"
    "         or make an intermediate's key and its request, and put its certificate there\n"
    "\n"
    "  --config FILE          default: " SG_AUTHORITY_CONF "\n"
    "  --name NAME            common name of the CA (default: signet CA)\n"
    "  --algorithm ALGORITHM  rsa2048, rsa3072 (default), rsa4096, p256 or p384\n"
    "  --out FILE             where the certificate goes (default: standard output)\n"
    "  --request FILE         where an intermediate's request goes (PEM), for its root to sign\n"
    "  --certificate FILE     the certificate that came back for it\n"
    "  --help, --version\n";

static const struct option options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "name", required_argument, NULL, 'n' },
	{ "algorithm", required_argument, NULL, 'a' },
	{ "out", required_argument, NULL, 'o' },
	{ "request", required_argument, NULL, 'r' },
	{ "certificate", required_argument, NULL, 'C' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ NULL, 0, NULL, 0 },
};

static int misused(void)
{
	fputs(usage, stderr);
	return sg_err_exit_status(SG_ERR_ARG);
}

int main(int argc, char **argv)
{
	struct sg_authority_init init = { .name = "signet CA" };
	struct sg_authority_config config = { 0 };
	const char *path = SG_AUTHORITY_CONF;
	int option, for_init = 0, is_init, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'h' || option == 'V') {
			fputs(option == 'h' ? usage : "signet-authority " SG_VERSION "\n", stdout);
			return sg_err_exit_status(sg_stdout_finish("signet-authority"));
		}
		if (option == 'c')
			path = optarg;
		else if (option == 'n')
			init.name = optarg;
		else if (option == 'a')
			init.algorithm = optarg;
		else if (option == 'o')
			init.out = optarg;
		else if (option == 'r')
			init.request = optarg;
		else if (option == 'C')
			init.certificate = optarg;
		else
			return misused();
		for_init |= option != 'c';
	}
	if (argc - optind != 1)
		return misused();
	if (init.request != NULL && (init.certificate != NULL || init.out != NULL))
		return misused();
	is_init = strcmp(argv[optind], "init") == 0;
	if (!is_init && (for_init || strcmp(argv[optind], "run") != 0))
		return misused();
	sg_log_init("signet-authority", SG_LOG_INFO);
	err = sg_harden_process();
	if (err == 0)
		err = sg_authority_config_read(path, &config);
	if (err == 0)
		err = is_init ? sg_authority_init(&config, &init) : sg_authority_run(&config);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "%s", sg_err_text(err));
	sg_authority_config_clear(&config);
	return sg_err_exit_status(err);
}
