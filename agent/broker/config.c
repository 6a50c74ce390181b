#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "log.h"
#include "renewal.h"

#define PINENTRY_DEFAULT  "/usr/bin/pinentry"
#define SHA1CDSUM_DEFAULT "/usr/bin/sha1cdsum"

static int is_absolute(const char *path)
{
	return path != NULL && path[0] == '/';
}

/* Replaces an owned string; 0 without memory. */
static int set_string(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (copy == NULL)
		return 0;
	free(*slot);
	*slot = copy;
	return 1;
}

/* A decimal number from min to max; 0 for anything else. */
static int read_number(const char *text, int min, int max, int *number)
{
	size_t digits = strspn(text, "0123456789");
	long value;

	if (digits == 0 || digits > 6 || text[digits] != '\0')
		return 0;
	value = strtol(text, NULL, 10);
	if (value < min || value > max)
		return 0;
	*number = (int)value;
	return 1;
}

static struct sg_config_module *module_get(struct sg_config *config, const char *name)
{
	struct sg_config_module *modules;

	for (size_t i = 0; i < config->module_count; i++) {
		if (strcmp(config->modules[i].name, name) == 0)
			return &config->modules[i];
	}
	if (config->module_count >= SG_CONFIG_ITEMS_MAX)
		return NULL;
	modules = reallocarray(config->modules, config->module_count + 1, sizeof(*modules));
	if (modules == NULL)
		return NULL;
	config->modules = modules;
	modules += config->module_count;
	*modules =
	    (struct sg_config_module){ .name = strdup(name), .timeout = SG_CONFIG_TIMEOUT_DEFAULT };
	if (modules->name == NULL)
		return NULL;
	config->module_count++;
	return modules;
}

/* A token's name in the file is its label, or "serial:" and its serial number. */
static int token_is_named(
    const struct sg_config_token *token, const char *label, const char *serial)
{
	if (serial != NULL)
		return token->serial != NULL && strcmp(token->serial, serial) == 0;
	return token->label != NULL && strcmp(token->label, label) == 0;
}

static struct sg_config_token *token_get(struct sg_config *config, const char *name)
{
	static const char by_serial[] = "serial:";
	const char *serial = NULL;
	struct sg_config_token *tokens;

	if (strncmp(name, by_serial, sizeof(by_serial) - 1) == 0)
		serial = name + sizeof(by_serial) - 1;
	for (size_t i = 0; i < config->token_count; i++) {
		if (token_is_named(&config->tokens[i], name, serial))
			return &config->tokens[i];
	}
	if (config->token_count >= SG_CONFIG_ITEMS_MAX)
		return NULL;
	tokens = reallocarray(config->tokens, config->token_count + 1, sizeof(*tokens));
	if (tokens == NULL)
		return NULL;
	config->tokens = tokens;
	tokens += config->token_count;
	*tokens = (struct sg_config_token){ .label = serial == NULL ? strdup(name) : NULL,
		.serial = serial != NULL ? strdup(serial) : NULL,
		.remember = -1,
		.minutes = -1,
		.pin_tries = -1 };
	if (tokens->label == NULL && tokens->serial == NULL)
		return NULL;
	config->token_count++;
	return tokens;
}

/* ---- the sections: each gives 0 for a setting that is unknown, bad or too many ---- */

static int read_switch(const char *value, int *off)
{
	*off = strcmp(value, "no") == 0;
	return *off || strcmp(value, "yes") == 0;
}

/* "66 %", or without the sign. */
static int read_percent(const char *value, int max, int *percent)
{
	size_t len = strcspn(value, " \t%");
	const char *rest = value + len + strspn(value + len, " \t");
	char digits[4] = "";

	if (len >= sizeof(digits) || (rest[0] != '\0' && strcmp(rest, "%") != 0))
		return 0;
	memcpy(digits, value, len);
	return read_number(digits, 1, max, percent);
}

static int agent_setting(struct sg_config *config, const char *name, const char *value)
{
	if (strcmp(name, "pinentry") == 0)
		return is_absolute(value) && set_string(&config->pinentry, value);
	if (strcmp(name, "module-dirs") == 0)
		return is_absolute(value) && set_string(&config->module_dirs, value);
	if (strcmp(name, "touch-command") == 0)
		return is_absolute(value) && set_string(&config->touch_command, value);
	if (strcmp(name, "watch") == 0)
		return read_switch(value, &config->no_watch);
	if (strcmp(name, "renew") == 0)
		return read_switch(value, &config->no_renew);
	if (strcmp(name, "renew-at") == 0)
		return read_percent(value, SG_RENEWAL_AT_MAX, &config->renew_at);
	if (strcmp(name, "sha1") == 0)
		return sg_sha1_parse(value, &config->sha1) == 0;
	if (strcmp(name, "sha1cdsum") == 0)
		return is_absolute(value) && set_string(&config->sha1cdsum, value);
	return 0;
}

/* "path = system" stands for the modules that p11-kit is configured for. */
static int module_path(struct sg_config_module *module, const char *value)
{
	if (strcmp(value, "system") != 0)
		return is_absolute(value) && set_string(&module->path, value);
	free(module->path);
	module->path = NULL;
	return 1;
}

static int module_setting(
    struct sg_config *config, const char *module_name, const char *name, const char *value)
{
	struct sg_config_module *module;

	if (module_name[0] == '\0' || (module = module_get(config, module_name)) == NULL)
		return 0;
	if (strcmp(name, "path") == 0)
		return module_path(module, value);
	if (strcmp(name, "init") == 0)
		return value[0] != '\0' && set_string(&module->init, value);
	if (strcmp(name, "timeout") == 0)
		return read_number(value, 1, SG_CONFIG_TIMEOUT_MAX, &module->timeout);
	return 0;
}

static int token_pin_source(struct sg_config_token *token, const char *value)
{
	static const char by_file[] = "file:";

	if (strncmp(value, by_file, sizeof(by_file) - 1) != 0)
		return 0;
	value += sizeof(by_file) - 1;
	return is_absolute(value) && set_string(&token->pin_file, value);
}

/* "removal", "minutes 10": the name of a policy, and the number of minutes of those that have
 * one. */
static int token_remember(struct sg_config_token *token, const char *value)
{
	static const struct {
		const char *name;
		enum sg_remember remember;
		int timed;
	} policies[] = {
		{ "removal", SG_REMEMBER_REMOVAL, 0 },
		{ "always", SG_REMEMBER_ALWAYS, 0 },
		{ "minutes", SG_REMEMBER_MINUTES, 1 },
		{ "idle", SG_REMEMBER_IDLE, 1 },
		{ "lock", SG_REMEMBER_LOCK, 0 },
	};
	size_t len = strcspn(value, " \t");
	const char *rest = value + len + strspn(value + len, " \t");

	for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
		if (strlen(policies[i].name) != len || strncmp(policies[i].name, value, len) != 0)
			continue;
		token->remember = (int)policies[i].remember;
		token->minutes = 0;
		if (!policies[i].timed)
			return rest[0] == '\0';
		return read_number(rest, 1, SG_CONFIG_REMEMBER_MAX, &token->minutes);
	}
	return 0;
}

static int token_setting(
    struct sg_config *config, const char *token_name, const char *name, const char *value)
{
	struct sg_config_token *token;

	if (token_name[0] == '\0' || (token = token_get(config, token_name)) == NULL)
		return 0;
	if (strcmp(name, "pin-source") == 0)
		return token_pin_source(token, value);
	if (strcmp(name, "remember") == 0)
		return token_remember(token, value);
	if (strcmp(name, "pin-tries") == 0)
		return read_number(value, 0, SG_CONFIG_PIN_TRIES_MAX, &token->pin_tries);
	return 0;
}

/* The part of a section's name behind its kind, or NULL when it is of another kind. */
static const char *section_of(const char *section, const char *kind)
{
	size_t len = strlen(kind);

	if (strncmp(section, kind, len) != 0 || section[len] != ' ')
		return NULL;
	return section + len + strspn(section + len, " ");
}

static int setting(void *arg, const char *section, const char *name, const char *value, int line)
{
	struct sg_config *config = arg;
	const char *part;

	if (strcmp(section, "agent") == 0)
		return agent_setting(config, name, value);
	if ((part = section_of(section, "module")) != NULL)
		return module_setting(config, part, name, value);
	if ((part = section_of(section, "token")) != NULL)
		return token_setting(config, part, name, value);
	return 0;
}

int sg_config_read(struct sg_config *config, const char *path)
{
	char *own_path = NULL;
	int err;

	*config = (struct sg_config){ .renew_at = SG_RENEWAL_AT_DEFAULT };
	if (path == NULL) {
		own_path = sg_config_user_path("XDG_CONFIG_HOME", ".config", "signet/signet.conf");
		if (own_path == NULL) {
			err = SG_ERR_NOMEM;
			goto out;
		}
	}
	err = sg_conf_read(path != NULL ? path : own_path, path == NULL, setting, config);
	if (err != 0)
		goto out;
	err = SG_ERR_NOMEM;
	if (config->pinentry == NULL && !set_string(&config->pinentry, PINENTRY_DEFAULT))
		goto out;
	if (config->sha1cdsum == NULL && !set_string(&config->sha1cdsum, SHA1CDSUM_DEFAULT))
		goto out;
	if (config->module_count == 0 && module_get(config, "system") == NULL)
		goto out;
	err = 0;
out:
	if (err == SG_ERR_NOMEM)
		sg_log(SG_LOG_ERROR, "no memory for the configuration");
	free(own_path);
	return err;
}

void sg_config_clear(struct sg_config *config)
{
	for (size_t i = 0; i < config->module_count; i++) {
		free(config->modules[i].name);
		free(config->modules[i].path);
		free(config->modules[i].init);
	}
	for (size_t i = 0; i < config->token_count; i++) {
		free(config->tokens[i].label);
		free(config->tokens[i].serial);
		free(config->tokens[i].pin_file);
	}
	free(config->modules);
	free(config->tokens);
	free(config->module_dirs);
	free(config->pinentry);
	free(config->sha1cdsum);
	free(config->touch_command);
	*config = (struct sg_config){ .modules = NULL };
}

/* The sections of a token, that of its serial first; gives how many there are. */
static size_t sections_of(const struct sg_config *config, const char *label, const char *serial,
    const struct sg_config_token *found[2])
{
	const struct sg_config_token *by_serial = NULL;
	const struct sg_config_token *by_label = NULL;
	size_t count = 0;

	for (size_t i = 0; i < config->token_count; i++) {
		const struct sg_config_token *token = &config->tokens[i];

		if (token->serial != NULL && serial != NULL && strcmp(token->serial, serial) == 0)
			by_serial = token;
		if (token->label != NULL && label != NULL && strcmp(token->label, label) == 0)
			by_label = token;
	}
	if (by_serial != NULL)
		found[count++] = by_serial;
	if (by_label != NULL)
		found[count++] = by_label;
	return count;
}

const char *sg_config_pin_file(
    const struct sg_config *config, const char *label, const char *serial)
{
	const struct sg_config_token *sections[2];
	size_t count = sections_of(config, label, serial, sections);

	for (size_t i = 0; i < count; i++) {
		if (sections[i]->pin_file != NULL)
			return sections[i]->pin_file;
	}
	return NULL;
}

void sg_config_pin_note(struct sg_config *config, const char *label, const char *serial, int code,
    const struct timespec *mtime)
{
	const char *path = sg_config_pin_file(config, label, serial);

	for (size_t i = 0; path != NULL && i < config->token_count; i++) {
		if (config->tokens[i].pin_file != path)
			continue;
		config->tokens[i].pin_failed = code;
		config->tokens[i].pin_mtime = *mtime;
	}
}

struct sg_pin_policy sg_config_pin_policy(
    const struct sg_config *config, const char *label, const char *serial)
{
	struct sg_pin_policy policy = { SG_REMEMBER_REMOVAL, 0, SG_CONFIG_PIN_TRIES_DEFAULT };
	const struct sg_config_token *sections[2];

	/* The one that counts more comes last. */
	for (size_t i = sections_of(config, label, serial, sections); i-- > 0;) {
		if (sections[i]->remember >= 0) {
			policy.remember = (enum sg_remember)sections[i]->remember;
			policy.minutes = sections[i]->minutes;
		}
		if (sections[i]->pin_tries >= 0)
			policy.pin_tries = (uint32_t)sections[i]->pin_tries;
	}
	return policy;
}

char *sg_config_user_path(const char *variable, const char *fallback, const char *tail)
{
	const char *base = getenv(variable);
	const char *home = getenv("HOME");
	char *path = NULL;

	/* The XDG specification: a relative path is to be ignored. */
	if (is_absolute(base))
		return asprintf(&path, "%s/%s", base, tail) < 0 ? NULL : path;
	if (!is_absolute(home)) {
		const struct passwd *user = getpwuid(geteuid());

		home = user != NULL ? user->pw_dir : NULL;
	}
	if (!is_absolute(home))
		return NULL;
	return asprintf(&path, "%s/%s/%s", home, fallback, tail) < 0 ? NULL : path;
}

static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		int failed;

		*slash = '\0';
		failed = mkdir(path, 0700) != 0 && errno != EEXIST;
		*slash = '/';
		if (failed)
			return SG_ERR_IO;
	}
	return 0;
}

int sg_config_private_folder(const char *path)
{
	char *copy = strdup(path);
	struct stat st;
	int err = copy == NULL ? SG_ERR_NOMEM : make_parents(copy);

	free(copy);
	if (err != 0 || (mkdir(path, 0700) != 0 && errno != EEXIST)) {
		sg_log(SG_LOG_ERROR, "the folder %s cannot be made: %s", path, strerror(errno));
		return err != 0 ? err : SG_ERR_IO;
	}
	if (lstat(path, &st) != 0) {
		sg_log(SG_LOG_ERROR, "the folder %s cannot be read: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0) {
		sg_log(SG_LOG_ERROR,
		    "%s is not a folder of our own that is closed to others (mode 0700)", path);
		return SG_ERR_DENIED;
	}
	return 0;
}
