#include "doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "accounts.h"
#include "pgp_key.h"
#include "secret_file.h"
#include "store.h"
#include "x509.h"

#define PCSCD_SOCKET "/run/pcscd/pcscd.comm"
#define PCSCD	     "/usr/sbin/pcscd"
#define LOCKED_MIN   (64ul * 1024) /* bytes: some PINs, a page each, with room to spare */

/* ---- pcscd ---- */

/* What connecting to it gives: 0, or errno. */
static int pcscd_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int sock, err = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		return errno;
	if (connect(sock, (struct sockaddr *)&address, sizeof(address)) != 0)
		err = errno;
	close(sock);
	return err;
}

/* Without it no card reader is seen; where tokens are found, or modules fail for another reason, it
 * may not be needed. */
static void look_at_pcscd(enum sg_finding level, json_t *findings)
{
	const char *path = getenv("PCSCLITE_CSOCK_NAME");
	int err;

	if (path == NULL || path[0] == '\0')
		path = PCSCD_SOCKET;
	err = pcscd_connect(path);
	switch (err) {
	case 0:
	case EAGAIN: /* it is busy, but there */
		sg_doctor_add(findings, SG_FINDING_GOOD, "pcscd", NULL,
		    "pcscd, which serves card readers, runs.");
		break;
	case ENOENT:
	case ECONNREFUSED:
		if (access(PCSCD, X_OK) == 0)
			sg_doctor_add(findings, level, "pcscd",
			    "Start it: `systemctl enable --now pcscd.socket`, as root.",
			    "pcscd is not running (%s: %s): no card reader is seen.", path,
			    strerror(err));
		else
			sg_doctor_add(findings, level, "pcscd",
			    "For a smartcard or a USB token, install the package pcscd.",
			    "pcscd is not installed: no card reader is seen.");
		break;
	case EACCES:
	case EPERM:
		sg_doctor_add(findings, level, "pcscd",
		    "Let the user into the group that owns the socket, or allow "
		    "org.debian.pcsc-lite.access_pcsc in polkit.",
		    "pcscd may not be asked by this user (%s: %s).", path, strerror(err));
		break;
	default:
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "pcscd", "Look at its log.",
		    "pcscd cannot be asked (%s: %s).", path, strerror(err));
	}
}

/* ---- gpg's scdaemon ---- */

static int is_scdaemon(const char *pid)
{
	char path[64], name[32] = "";
	struct stat st;
	ssize_t got = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%.20s", pid);
	if (stat(path, &st) != 0 || st.st_uid != geteuid())
		return 0;
	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		got = read(fd, name, sizeof(name));
		close(fd);
	}
	return got == 9 && memcmp(name, "scdaemon\n", 9) == 0;
}

static void look_for_scdaemon(enum sg_finding level, json_t *findings)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (dir == NULL)
		return;
	while ((entry = readdir(dir)) != NULL) {
		if (isdigit((unsigned char)entry->d_name[0]) && is_scdaemon(entry->d_name))
			sg_doctor_add(findings, level, "scdaemon",
			    "`gpgconf --kill scdaemon` ends it. With \"disable-ccid\" and "
			    "\"pcsc-shared\" in ~/.gnupg/scdaemon.conf it shares the card.",
			    "gpg's scdaemon runs (process %s): it may hold a card for itself.",
			    entry->d_name);
	}
	closedir(dir);
}

/* ---- memory ---- */

static void look_at_memory(json_t *findings)
{
	struct rlimit limit;

	if (geteuid() == 0 || getrlimit(RLIMIT_MEMLOCK, &limit) != 0 ||
	    limit.rlim_cur >= LOCKED_MIN)
		return;
	sg_doctor_add(findings, SG_FINDING_PROBLEM, "memory",
	    "Raise it: `ulimit -l`, or LimitMEMLOCK= of the service.",
	    "Only %lu bytes of memory may be locked: PINs may find no room.",
	    (unsigned long)limit.rlim_cur);
}

static int any_answer(const struct sg_module_answer *answers, size_t count,
    int (*is_so)(const struct sg_module_answer *answer))
{
	for (size_t i = 0; i < count; i++) {
		if (is_so(&answers[i]))
			return 1;
	}
	return 0;
}

void sg_doctor_system(const struct sg_module_answer *answers, size_t count, json_t *findings)
{
	int nothing = sg_module_answers_token_count(answers, count) == 0 &&
	    sg_module_answers_first_error(answers, count) == NULL;
	int readers = any_answer(answers, count, sg_doctor_lacks_readers);
	int card = any_answer(answers, count, sg_doctor_lacks_card);

	look_at_pcscd(readers || nothing ? SG_FINDING_PROBLEM : SG_FINDING_NOTE, findings);
	nothing = nothing && !sg_doctor_has_problem(findings, "pcscd");
	look_for_scdaemon(card || nothing ? SG_FINDING_PROBLEM : SG_FINDING_NOTE, findings);
	look_at_memory(findings);
}

/* ---- the configuration ---- */

/* What was in the file at the last login, if it is still the same. */
static int pin_is_known_bad(const struct sg_config_token *token, const struct stat *st)
{
	return (token->pin_failed == SG_ERR_PIN_WRONG || token->pin_failed == SG_ERR_FORMAT ||
		   token->pin_failed == SG_ERR_LIMIT) &&
	    token->pin_mtime.tv_sec == st->st_mtim.tv_sec &&
	    token->pin_mtime.tv_nsec == st->st_mtim.tv_nsec;
}

static void look_at_pin_file(
    const struct sg_config_token *token, const char *name, json_t *findings)
{
	const char *path = token->pin_file;
	const char *why = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Make it, with mode 0600 and the PIN on its only line.",
		    "The pin-source %s of the token \"%s\" cannot be opened: %s.", path, name,
		    strerror(errno));
	else if (sg_secret_file_check(fd, &why) != 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Make it your own file: `chown`, and `chmod 600`.",
		    "The pin-source %s of the token \"%s\" %s: it is not used.", path, name, why);
	else if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name, "Name a file.",
		    "The pin-source %s of the token \"%s\" is not a regular file.", path, name);
	else if (st.st_size == 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name, "Put the PIN on its only line.",
		    "The pin-source %s of the token \"%s\" is empty.", path, name);
	else if (pin_is_known_bad(token, &st))
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Put the right PIN on its only line.",
		    token->pin_failed == SG_ERR_PIN_WRONG
			? "The token refused the PIN in its pin-source %s (\"%s\"): it is not "
			  "tried "
			  "again."
			: "No token could take what is in the pin-source %s (\"%s\"): it was not "
			  "tried.",
		    path, name);
	if (fd >= 0)
		close(fd);
}

/* By judging one of the own OpenPGP keys, as whatever meets them does. */
static void look_at_judge(const struct sg_agent *agent, json_t *findings)
{
	for (struct sg_account *account = sg_accounts_first(agent->accounts); account != NULL;
	     account = sg_accounts_next(account)) {
		const char *jid = account->row.jid, *why = NULL;
		struct sg_pgp_key *key = NULL;
		struct sg_blob data;
		char **names = NULL;
		int err = sg_store_pgp_names(agent->store, jid, &names);

		if (err == 0 && names[0] != NULL &&
		    sg_store_pgp_get(agent->store, jid, names[0], &data) == 0) {
			err = sg_pgp_key_load(&data, 1, time(NULL), &key, &why);
			sg_pgp_key_free(key);
			sg_blob_clear(&data);
		}
		sg_strv_free(names);
		if (err != SG_ERR_WORKER)
			continue;
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "signet-pgp",
		    "Install signet whole, with the package librnp0; the log of signetd says why "
		    "it does not start.",
		    "The OpenPGP keys of %s cannot be judged: signet-pgp gives no answer.", jid);
		return;
	}
}

void sg_doctor_config(const struct sg_agent *agent, json_t *findings)
{
	const struct sg_config *config = &agent->config;

	for (size_t i = 0; i < config->module_count; i++) {
		const struct sg_config_module *module = &config->modules[i];

		if (module->path != NULL && access(module->path, R_OK) != 0)
			sg_doctor_add(findings, SG_FINDING_PROBLEM, module->name,
			    "Install the package it is in, or put the path right in "
			    "signet.conf(5).",
			    "The file of the module %s, %s, cannot be read: %s.", module->name,
			    module->path, strerror(errno));
	}
	for (size_t i = 0; i < config->token_count; i++) {
		const struct sg_config_token *token = &config->tokens[i];

		if (token->pin_file != NULL)
			look_at_pin_file(
			    token, token->label != NULL ? token->label : token->serial, findings);
	}
	if (sg_store_is_writable(agent->store) != 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "store",
		    "Make room on the disk, and see that no other program holds agent.db.",
		    "What signetd remembers cannot be written to the disk: no PIN is tried, and "
		    "nothing is enrolled.");
	if (access(config->pinentry, X_OK) != 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "pinentry",
		    "Install a pinentry, or name it in signet.conf(5).",
		    "The program that asks for PINs, %s, cannot be run: %s.", config->pinentry,
		    strerror(errno));
	if (config->sha1 == SG_SHA1_ON && access(config->sha1cdsum, X_OK) != 0)
		sg_doctor_add(findings, SG_FINDING_NOTE, "sha1cdsum",
		    "Install the package sha1cdsum, or set sha1 = verify in signet.conf(5).",
		    "The program that looks for SHA-1 collisions, %s, cannot be run: %s. What was "
		    "made elsewhere is not signed by RSA-SHA1 without it.",
		    config->sha1cdsum, strerror(errno));
	look_at_judge(agent, findings);
	if (config->touch_command != NULL && access(config->touch_command, X_OK) != 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "touch-command",
		    "Put its path right in signet.conf(5).",
		    "The touch-command %s cannot be run: %s.", config->touch_command,
		    strerror(errno));
}
