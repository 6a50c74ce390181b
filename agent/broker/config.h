/*
 * What signet.conf says, and where the agent's files are. All of it has defaults.
 */
#ifndef SG_BROKER_CONFIG_H
#define SG_BROKER_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "error.h"
#include "verdict.h"

#define SG_CONFIG_ITEMS_MAX 64 /* of modules, and of tokens */

#define SG_CONFIG_TIMEOUT_DEFAULT   60 /* seconds */
#define SG_CONFIG_TIMEOUT_MAX	    3600
#define SG_CONFIG_REMEMBER_MAX	    10080 /* minutes: a week */
#define SG_CONFIG_PIN_TRIES_DEFAULT 3
#define SG_CONFIG_PIN_TRIES_MAX	    255

struct sg_config_module {
	char *name;
	char *path;  /* of the PKCS#11 module; NULL: those that p11-kit is configured for */
	char *init;  /* what its C_Initialize wants to be told, or NULL */
	int timeout; /* seconds that it has for a request */
};

/* For how long a token stays unlocked. */
enum sg_remember {
	SG_REMEMBER_REMOVAL = 0, /* until the token is removed */
	SG_REMEMBER_ALWAYS,	 /* each call asks */
	SG_REMEMBER_MINUTES,	 /* so long after it was unlocked */
	SG_REMEMBER_IDLE,	 /* so long after it was last used */
	SG_REMEMBER_LOCK,	 /* until it is locked, also while it is away */
};

/* A token is named by its label or by its serial number: one of them is NULL. What is not set is
 * NULL or below zero. */
struct sg_config_token {
	char *label;
	char *serial;
	char *pin_file;
	int pin_failed;		   /* what its PIN was worth the last time: an SG_ERR_*, or 0 ... */
	struct timespec pin_mtime; /* ... of the file as it was then */
	int remember;		   /* enum sg_remember */
	int minutes;		   /* of SG_REMEMBER_MINUTES and SG_REMEMBER_IDLE */
	int pin_tries;
};

/* What is to be done with the PIN of one token. */
struct sg_pin_policy {
	enum sg_remember remember;
	int minutes;
	uint32_t pin_tries; /* after so many wrong PINs it locks; 0: not counted */
};

struct sg_config {
	struct sg_config_module *modules;
	size_t module_count;
	struct sg_config_token *tokens;
	size_t token_count;
	char *module_dirs; /* colon-separated; NULL: those set when the programs were built */
	char *pinentry;	   /* absolute path */
	int no_watch;	   /* no presence is sent, so nobody's events come */
	int no_renew;	   /* certificates are renewed by hand only */
	int renew_at;	   /* per cent of their lifetime (renewal.h) */
	enum sg_sha1 sha1; /* what is done with SHA-1 */
	char *sha1cdsum;   /* absolute path of what looks for its collisions */
	/* Absolute path of what tells that a token wants to be touched, or NULL. */
	char *touch_command;
};

/*
 * Reads the file, or, when path is NULL, $XDG_CONFIG_HOME/signet/signet.conf if there is one. Fills
 * in the defaults. Of a setting that stands there twice, the last counts. *config is to be cleared
 * also after a failure. SG_ERR_CONFIG, SG_ERR_IO, SG_ERR_NOMEM, each logged.
 */
SG_MUST_USE int sg_config_read(struct sg_config *config, const char *path);
void sg_config_clear(struct sg_config *config);

/* The file with the PIN of this token, by its serial before its label; NULL when none is set. */
const char *sg_config_pin_file(
    const struct sg_config *config, const char *label, const char *serial);

/* What that file's PIN was worth at a login: an SG_ERR_*, or 0; and when the file was last written
 * then. */
void sg_config_pin_note(struct sg_config *config, const char *label, const char *serial, int code,
    const struct timespec *mtime);

/* What holds for this token: each setting by its serial before its label; defaults where none is
 * set. */
struct sg_pin_policy sg_config_pin_policy(
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
