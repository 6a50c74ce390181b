#include "policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "profile.h"
#include "rate.h"
#include "text.h"
#include "x509.h"

/* Accounts in order, for a search. */
struct list {
	char **names;
	size_t count;
};

struct sg_policy {
	const struct sg_authority_config *config;
	struct list allowed, refused;
	struct sg_rate *rate;
	char kinds[256];
	int is_cut; /* the CA's end came before the configured one, and that is said */
};

static void list_clear(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->names[i]);
	free(list->names);
	memset(list, 0, sizeof(*list));
}

static int list_has(const struct list *list, const char *account)
{
	return list->count &&
	    bsearch(&account, list->names, list->count, sizeof(*list->names), sg_text_compare) !=
	    NULL;
}

/* The name becomes the list's, also on failure. */
static int list_add(struct list *list, char *name)
{
	char **names;

	/* the room doubles: it is full whenever the count is a power of two */
	if ((list->count & (list->count - 1)) == 0) {
		names = realloc(list->names, 2 * (list->count + 1) * sizeof(*names));
		if (names == NULL) {
			free(name);
			return SG_ERR_NOMEM;
		}
		list->names = names;
	}
	list->names[list->count++] = name;
	return 0;
}

/* One line of a file: an account, or nothing. *account is new, or NULL. 0 for a line that is neither. */
static int read_account(char *line, size_t len, char **account)
{
	*account = NULL;
	if (strlen(line) != len)
		return 0;
	line[strcspn(line, "\r\n#")] = '\0';
	line += strspn(line, " \t");
	len = strlen(line);
	while (len && strchr(" \t", line[len - 1]) != NULL)
		line[--len] = '\0';
	if (!len)
		return 1;
	*account = strchr(line, '/') == NULL ? sg_jid_bare(line) : NULL;
	if (*account != NULL && sg_jid_is_account(*account))
		return 1;
	free(*account);
	*account = NULL;
	return 0;
}

static int read_lines(FILE *file, const char *path, struct list *list)
{
	char *line = NULL, *account;
	size_t room = 0, number = 0;
	ssize_t len;
	int err = 0;

	while (err == 0 && (len = getline(&line, &room, file)) >= 0) {
		number++;
		if (!read_account(line, (size_t)len, &account)) {
			sg_log(SG_LOG_ERROR,
			    "%s:%zu: not an account, which is a bare JID in a line of its own",
			    path, number);
			err = SG_ERR_CONFIG;
		} else if (account != NULL && list->count == SG_POLICY_ACCOUNTS_MAX) {
			free(account);
			sg_log(SG_LOG_ERROR, "%s:%zu: more than %d accounts", path, number,
			    SG_POLICY_ACCOUNTS_MAX);
			err = SG_ERR_CONFIG;
		} else if (account != NULL) {
			err = list_add(list, account);
		}
	}
	free(line);
	if (err == 0 && ferror(file)) {
		sg_log(SG_LOG_ERROR, "%s: cannot be read", path);
		err = SG_ERR_IO;
	}
	return err;
}

static int read_file(const char *path, struct list *list)
{
	FILE *file = fopen(path, "re");
	int err;

	if (file == NULL) {
		sg_log(SG_LOG_ERROR, "%s: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	err = read_lines(file, path, list);
	fclose(file);
	return err;
}

/* The setting's accounts, or those of the one file that it names. */
static int read_list(char *const *setting, struct list *list)
{
	char *name;
	int err = 0;

	memset(list, 0, sizeof(*list));
	if (setting == NULL)
		return 0;
	if (setting[0][0] == '/')
		err = read_file(setting[0], list);
	for (size_t i = 0; err == 0 && setting[0][0] != '/' && setting[i] != NULL; i++) {
		name = strdup(setting[i]);
		err = name != NULL ? list_add(list, name) : SG_ERR_NOMEM;
	}
	if (err != 0)
		list_clear(list);
	else if (list->count)
		qsort(list->names, list->count, sizeof(*list->names), sg_text_compare);
	return err;
}

int sg_policy_reload(struct sg_policy *policy)
{
	struct list allowed, refused;
	int err = read_list(policy->config->accounts, &allowed);

	if (err != 0)
		return err;
	err = read_list(policy->config->refused_accounts, &refused);
	if (err != 0) {
		list_clear(&allowed);
		return err;
	}
	list_clear(&policy->allowed);
	list_clear(&policy->refused);
	policy->allowed = allowed;
	policy->refused = refused;
	return 0;
}

int sg_policy_new(const struct sg_authority_config *config, struct sg_policy **policy)
{
	struct sg_policy *self = calloc(1, sizeof(*self));
	char names[128];
	int err;

	*policy = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->config = config;
	sg_subject_keys_text(config->subject_keys, names, sizeof(names));
	snprintf(self->kinds, sizeof(self->kinds),
	    "This kind of key is not accepted here. Make a key of one of these kinds: %s.", names);
	err = sg_rate_new(config->requests_per_minute, &self->rate);
	if (err == 0)
		err = sg_policy_reload(self);
	if (err != 0)
		sg_policy_free(self);
	else
		*policy = self;
	return err;
}

void sg_policy_free(struct sg_policy *policy)
{
	if (policy == NULL)
		return;
	list_clear(&policy->allowed);
	list_clear(&policy->refused);
	sg_rate_free(policy->rate);
	free(policy);
}

const char *sg_policy_refusal(const struct sg_policy *policy, const char *account)
{
	/* an empty list of the allowed allows nobody; no list, everybody */
	if (list_has(&policy->refused, account) ||
	    (policy->config->accounts != NULL && !list_has(&policy->allowed, account)))
		return "Your account may not have certificates here. Ask the operator of your "
		       "server "
		       "to allow it.";
	return NULL;
}

const char *sg_policy_hold(struct sg_policy *policy, const char *account)
{
	return sg_rate_take(policy->rate, account, sg_clock_ms())
	    ? NULL
	    : "Your account asks too often. Wait a minute, then try again.";
}

const char *sg_policy_kinds(const struct sg_policy *policy)
{
	return policy->kinds;
}

int sg_policy_not_after(struct sg_policy *policy, X509 *ca, time_t now, time_t *not_after)
{
	time_t end = now + (time_t)policy->config->lifetime_hours * 3600;
	time_t last = (time_t)sg_x509_seconds(X509_get0_notAfter(ca));

	*not_after = end < last ? end : last;
	if (last <= now) {
		sg_log(SG_LOG_ERROR,
		    "the CA's certificate has expired: nothing can be issued until "
		    "there is another one (see 'init')");
		return SG_ERR_KEY_ABSENT;
	}
	if (end > last && !policy->is_cut)
		sg_log(SG_LOG_WARN,
		    "the CA's certificate ends before those that are issued would: "
		    "they end with it; it is time for another one (see 'init')");
	policy->is_cut = end > last;
	return 0;
}
