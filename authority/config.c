#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf.h"
#include "exporter.h"
#include "ledger.h"
#include "log.h"
#include "profile.h"
#include "text.h"
#include "x509.h"

#define WORDS_MAX 1000
#define DAYS_MAX  3650

static int set_string(char **slot, const char *value)
{
	if (!*value || *slot != NULL) /* empty, or given twice */
		return 0;
	*slot = strdup(value);
	return *slot != NULL;
}

/* No setting may be 0, which is thus a number that is not set. */
static int set_number(unsigned int *slot, const char *value, unsigned int min, unsigned int max)
{
	char *end;
	unsigned long number;

	if (*slot != 0 || !isdigit((unsigned char)*value))
		return 0;
	errno = 0;
	number = strtoul(value, &end, 10);
	if (errno || *end || number < min || number > max)
		return 0;
	*slot = (unsigned int)number;
	return 1;
}

/* Kept as hours, so that days and hours are one setting: given both, the second is one too many. */
static int set_days(unsigned int *slot, const char *value)
{
	if (!set_number(slot, value, 1, DAYS_MAX))
		return 0;
	*slot *= 24;
	return 1;
}

/* A domain in the form that sg_jid_bare() gives to those of accounts. */
static char *domain_of(const char *word)
{
	return strpbrk(word, "@/") != NULL ? NULL : sg_jid_bare(word);
}

/* An account in that form. */
static char *account_of(const char *word)
{
	char *account = strchr(word, '/') != NULL ? NULL : sg_jid_bare(word);

	if (account != NULL && !sg_jid_is_account(account)) {
		free(account);
		account = NULL;
	}
	return account;
}

static int set_words(char ***slot, const char *value, char *(*normal)(const char *word))
{
	char *copy = strdup(value), *rest = copy, *word;
	size_t count = 0;
	int ok = copy != NULL && *slot == NULL;

	if (ok)
		*slot = calloc(WORDS_MAX + 1, sizeof(**slot));
	ok = ok && *slot != NULL;
	while (ok && (word = strsep(&rest, " \t")) != NULL) {
		if (!*word)
			continue;
		ok = count < WORDS_MAX && ((*slot)[count] = normal(word)) != NULL;
		count++;
	}
	free(copy);
	return ok && count;
}

/* Accounts, or the path of a file with one in each line: no localpart begins with a slash. */
static int set_accounts(char ***slot, const char *value)
{
	if (*value != '/')
		return set_words(slot, value, account_of);
	if (*slot != NULL || (*slot = calloc(2, sizeof(**slot))) == NULL)
		return 0;
	(*slot)[0] = strdup(value);
	return (*slot)[0] != NULL;
}

static int set_subject_keys(unsigned int *slot, const char *value)
{
	char *copy = strdup(value), *rest = copy, *word;
	unsigned int kinds = 0, kind;
	int ok = copy != NULL && *slot == 0;

	while (ok && (word = strsep(&rest, " \t")) != NULL) {
		if (!*word)
			continue;
		kind = sg_subject_key_from_name(word);
		kinds |= kind;
		ok = kind != 0;
	}
	free(copy);
	*slot = kinds;
	return ok && kinds;
}

/* systemd's LoadCredential=: a file of this name in a folder that only we can read. */
static int set_credential(char **slot, const char *name)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");

	if (*slot != NULL || !*name || strchr(name, '/') != NULL)
		return 0;
	return asprintf(slot, "%s/%s", folder != NULL ? folder : SG_AUTHORITY_CREDENTIALS, name) >=
	    0;
}

struct string_setting {
	const char *section, *name;
	size_t offset;
	int is_path; /* that must be absolute */
};

#define SETTING(section, name, field)                                                              \
	{                                                                                          \
		section, name, offsetof(struct sg_authority_config, field), 0                      \
	}
#define PATH(section, name, field)                                                                 \
	{                                                                                          \
		section, name, offsetof(struct sg_authority_config, field), 1                      \
	}

/* All are needed but the host, which has a default, and those that is_optional() tells. */
static const struct string_setting strings[] = {
	SETTING("component", "jid", jid),
	SETTING("component", "host", host),
	PATH("component", "secret-file", secret_file),
	SETTING("token", "module", module),
	SETTING("token", "module-dirs", module_dirs),
	SETTING("token", "token", token),
	SETTING("token", "key", key),
	PATH("token", "pin-file", pin_file),
	SETTING("metrics", "listen", metrics),
	PATH("files", "ledger", ledger),
	PATH("files", "crl", crl),
	PATH("files", "revoked", revoked),
	PATH("files", "logins", logins),
};
#define STRINGS (sizeof(strings) / sizeof(strings[0]))

static char **string_slot(struct sg_authority_config *config, const struct string_setting *setting)
{
	return (char **)(void *)((char *)config + setting->offset);
}

static int is_optional(const struct string_setting *setting)
{
	return setting->offset == offsetof(struct sg_authority_config, metrics) ||
	    setting->offset == offsetof(struct sg_authority_config, module_dirs);
}

static int is_setting(
    const char *section, const char *name, const char *want_section, const char *want_name)
{
	return strcmp(section, want_section) == 0 && strcmp(name, want_name) == 0;
}

static int on_setting(void *arg, const char *section, const char *name, const char *value, int line)
{
	struct sg_authority_config *config = arg;

	if (is_setting(section, name, "token", "module-dirs") && *value != '/')
		return 0;
	for (size_t i = 0; i < STRINGS; i++)
		if (is_setting(section, name, strings[i].section, strings[i].name))
			return set_string(string_slot(config, &strings[i]), value);
	if (is_setting(section, name, "component", "port"))
		return set_number(&config->port, value, 1, 65535);
	if (is_setting(section, name, "authority", "domains"))
		return set_words(&config->domains, value, domain_of);
	if (is_setting(section, name, "authority", "accounts"))
		return set_accounts(&config->accounts, value);
	if (is_setting(section, name, "authority", "refused-accounts"))
		return set_accounts(&config->refused_accounts, value);
	if (is_setting(section, name, "authority", "lifetime-days"))
		return set_days(&config->lifetime_hours, value);
	if (is_setting(section, name, "authority", "lifetime-hours"))
		return set_number(&config->lifetime_hours, value, 1, 24 * DAYS_MAX);
	if (is_setting(section, name, "authority", "certificates-per-account"))
		return set_number(&config->certificates_per_account, value, 1, 1000);
	if (is_setting(section, name, "authority", "requests-per-minute"))
		return set_number(&config->requests_per_minute, value, 1, 60000);
	if (is_setting(section, name, "authority", "key-algorithms"))
		return set_subject_keys(&config->subject_keys, value);
	if (is_setting(section, name, "component", "secret-credential"))
		return set_credential(&config->secret_file, value);
	if (is_setting(section, name, "token", "pin-credential"))
		return set_credential(&config->pin_file, value);
	return 0;
}

static int missing(const char *path, const char *section, const char *name)
{
	sg_log(SG_LOG_ERROR, "%s: the setting '%s' in the section [%s] is missing", path, name,
	    section);
	return SG_ERR_CONFIG;
}

/* Whether the first a_len characters of a, and b_len of b, are paths of one folder that is there. */
static int is_one_folder(const char *a, size_t a_len, const char *b, size_t b_len)
{
	char *a_path = strndup(a, a_len), *b_path = strndup(b, b_len);
	struct stat of_a, of_b;
	int one = a_path != NULL && b_path != NULL && stat(a_path, &of_a) == 0 &&
	    stat(b_path, &of_b) == 0 && of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;

	free(a_path);
	free(b_path);
	return one;
}

/* Whether both are the same file, however their folders are written. A CRL or list that is written takes the place of a
 * link of its name, so those are not followed. */
static int is_one_file(const char *a, const char *b)
{
	const char *a_name = strrchr(a, '/'), *b_name = strrchr(b, '/');

	if (strcmp(a, b) == 0)
		return 1;
	return a_name != NULL && b_name != NULL && strcmp(a_name, b_name) == 0 &&
	    is_one_folder(a, (size_t)(a_name - a) + 1, b, (size_t)(b_name - b) + 1);
}

/* What writes one would put it in the place of the other: that takes, say, all revocations back. */
static int check_files(const char *path, struct sg_authority_config *config)
{
	for (size_t i = 0; i < STRINGS; i++) {
		for (size_t j = 0; j < i; j++) {
			if (strcmp(strings[i].section, "files") != 0 ||
			    strcmp(strings[j].section, "files") != 0 ||
			    !is_one_file(*string_slot(config, &strings[i]),
				*string_slot(config, &strings[j])))
				continue;
			sg_log(SG_LOG_ERROR,
			    "%s: '%s' and '%s' in the section [files] are the same file", path,
			    strings[j].name, strings[i].name);
			return SG_ERR_CONFIG;
		}
	}
	return 0;
}

/* What is in the folder where a command is run is another ledger for each of them. */
static int check_paths(const char *path, struct sg_authority_config *config)
{
	for (size_t i = 0; i < STRINGS; i++) {
		const char *value = *string_slot(config, &strings[i]);

		if (!strings[i].is_path || *value == '/' ||
		    (value == config->ledger && sg_ledger_is_database(value)))
			continue;
		sg_log(SG_LOG_ERROR,
		    "%s: %s = %s in the section [%s] is not an absolute path: it must begin with "
		    "'/'",
		    path, strings[i].name, value, strings[i].section);
		return SG_ERR_CONFIG;
	}
	return 0;
}

static void set_default(unsigned int *slot, unsigned int value)
{
	if (*slot == 0)
		*slot = value;
}

static int check(const char *path, struct sg_authority_config *config)
{
	const char *why;
	char *bare;
	int err;

	if (config->host == NULL && (config->host = strdup("127.0.0.1")) == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < STRINGS; i++)
		if (*string_slot(config, &strings[i]) == NULL && !is_optional(&strings[i]))
			return missing(path, strings[i].section, strings[i].name);
	if (config->domains == NULL)
		return missing(path, "authority", "domains");
	why = config->metrics != NULL ? sg_exporter_refusal(config->metrics) : NULL;
	if (why != NULL) {
		sg_log(SG_LOG_ERROR, "%s: listen = %s in the section [metrics]: %s", path,
		    config->metrics, why);
		return SG_ERR_CONFIG;
	}
	bare = domain_of(config->jid);
	if (bare == NULL || strcmp(bare, config->jid) != 0) {
		sg_log(
		    SG_LOG_ERROR, "%s: jid = %s is not a domain in lower case", path, config->jid);
		free(bare);
		return SG_ERR_CONFIG;
	}
	free(bare);
	err = check_paths(path, config);
	return err != 0 ? err : check_files(path, config);
}

int sg_authority_config_read(const char *path, struct sg_authority_config *config)
{
	int err;

	err = sg_conf_read(path, 0, on_setting, config);
	if (err != 0)
		return err;
	set_default(&config->port, 5347);
	set_default(&config->lifetime_hours, 365 * 24);
	set_default(&config->requests_per_minute, 60);
	set_default(&config->certificates_per_account, 20);
	set_default(&config->subject_keys, SG_SUBJECT_KEYS_DEFAULT);
	return check(path, config);
}

void sg_authority_config_clear(struct sg_authority_config *config)
{
	for (size_t i = 0; i < STRINGS; i++)
		free(*string_slot(config, &strings[i]));
	sg_strv_free(config->domains);
	sg_strv_free(config->accounts);
	sg_strv_free(config->refused_accounts);
	memset(config, 0, sizeof(*config));
}
