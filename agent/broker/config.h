/*
 * What signet.conf says, and where the agent's files are. All of it has defaults.
 */
#ifndef SG_BROKER_CONFIG_H
#define SG_BROKER_CONFIG_H

#include <stddef.h>

#include "error.h"

#define SG_CONFIG_ITEMS_MAX 64 /* of modules, and of tokens */

struct sg_config_module {
	char *name;
	char *path; /* of the PKCS#11 module; NULL: those that p11-kit is configured for */
};

/* A token is named by its label or by its serial number: one of them is NULL. */
struct sg_config_token {
	char *label;
	char *serial;
	char *pin_file;
};

struct sg_config {
	struct sg_config_module *modules;
	size_t module_count;
	struct sg_config_token *tokens;
	size_t token_count;
	char *module_dirs; /* colon-separated; NULL: those set when the programs were built */
	char *pinentry;	   /* absolute path */
};

/*
 * Reads the file, or, when path is NULL, $XDG_CONFIG_HOME/signet/signet.conf if there is one.
 * Fills in the defaults. Of a setting that stands there twice, the last counts. *config is to be cleared
 * also after a failure. SG_ERR_CONFIG, SG_ERR_IO, SG_ERR_NOMEM, each logged.
 */
SG_MUST_USE int sg_config_read(struct sg_config *config, const char *path);
void sg_config_clear(struct sg_config *config);

/* The file with the PIN of this token, by its serial before its label; NULL when none is set. */
const char *sg_config_pin_file(
    const struct sg_config *config, const char *label, const char *serial);

/*
 * A path in the user's folder of a kind: $VARIABLE/tail when the variable holds an absolute path,
 * else HOME/fallback/tail. New string or NULL.
 */
char *sg_config_user_path(const char *variable, const char *fallback, const char *tail);

/*
 * Makes a folder of mode 0700 where there is none, its parents too, and checks that it is ours
 * and closed to others. SG_ERR_DENIED, SG_ERR_IO, logged.
 */
SG_MUST_USE int sg_config_private_folder(const char *path);

#endif
