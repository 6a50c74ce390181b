/*
 * The authority's configuration file.
 */
#ifndef SG_AUTHORITY_CONFIG_H
#define SG_AUTHORITY_CONFIG_H

#include "error.h"

#define SG_AUTHORITY_CONF SG_SYSCONFDIR "/signet/authority.conf"
/* Where systemd has the credentials of our unit, for a command that is run beside it. */
#define SG_AUTHORITY_CREDENTIALS "/run/credentials/signet-authority.service"

struct sg_authority_config {
	/* [component] */
	char *jid;
	char *host;
	unsigned int port;
	char *secret_file; /* secret-credential is made into its path */
	/* [authority] */
	char **domains; /* NULL-terminated, at least one */
	/* That alone get certificates: bare JIDs, or one path of a file; NULL: all. */
	char **accounts;
	char **refused_accounts; /* likewise; NULL: none */
	unsigned int lifetime_hours;
	unsigned int certificates_per_account;
	unsigned int requests_per_minute; /* of one account */
	unsigned int subject_keys;	  /* enum sg_subject_key */
	/* [token] */
	char *module;
	char *module_dirs; /* where it may lie; NULL: as set when the programs were built */
	char *token;
	char *key;
	char *pin_file; /* pin-credential is made into its path */
	/* [metrics] */
	char *metrics; /* where to listen; NULL: nowhere */
	/* [files] */
	char *ledger;
	char *crl;
	char *revoked;
	char *logins;
};

/*
 * Reads the file and checks that nothing is missing and no two files are the same. SG_ERR_CONFIG with one log line
 * that names file and setting, SG_ERR_IO, SG_ERR_NOMEM. Zero it before; clear it afterwards, also on failure.
 */
SG_MUST_USE int sg_authority_config_read(const char *path, struct sg_authority_config *config);
void sg_authority_config_clear(struct sg_authority_config *config);

#endif
