#include "kept.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define REASON	"on the list of the revoked, of which a restored ledger did not know"
#define DIGITS	64
#define BETWEEN ": \t\r" /* what may stand between and around the digits */

static int by_digits(const void *a, const void *b)
{
	return memcmp(a, b, DIGITS);
}

/* Fingerprints, one after the other, without anything between: as many as there are. */
struct prints {
	char (*at)[DIGITS];
	size_t count, room;
};

static int add(struct prints *prints, const char *sha256)
{
	if (prints->count == prints->room) {
		size_t room = prints->room ? 2 * prints->room : 1024;
		void *more = realloc(prints->at, room * sizeof(*prints->at));

		if (more == NULL)
			return SG_ERR_NOMEM;
		prints->at = more;
		prints->room = room;
	}
	memcpy(prints->at[prints->count++], sha256, DIGITS);
	return 0;
}

static void sort(struct prints *prints)
{
	if (prints->count)
		qsort(prints->at, prints->count, DIGITS, by_digits);
}

static int has(const struct prints *prints, const char *sha256)
{
	return prints->count &&
	    bsearch(sha256, prints->at, prints->count, DIGITS, by_digits) != NULL;
}

static int add_revoked(void *arg, const struct sg_ledger_row *row)
{
	return add(arg, row->sha256);
}

/*
 * A line of ours, or one that a person wrote there in an emergency: digits of either case, with colons or blanks
 * between and around them, also as 'openssl x509 -fingerprint' prints it.
 */
static int read_line(const char *line, char sha256[DIGITS + 1])
{
	const char *after = strrchr(line, '=');
	size_t count = 0;

	for (const char *at = after != NULL ? after + 1 : line; *at; at++) {
		if (strchr(BETWEEN, *at) != NULL)
			continue;
		if (!isxdigit((unsigned char)*at) || count == DIGITS)
			return SG_ERR_FORMAT;
		sha256[count++] = (char)tolower((unsigned char)*at);
	}
	sha256[count] = '\0';
	return count == DIGITS ? 0 : SG_ERR_FORMAT;
}

/* What was read so far. Lines that say something and are no fingerprints will be gone from the next list: whoever
 * wrote them is told. */
struct list {
	struct prints *prints;
	size_t number, wrong, first;
};

static int add_line(struct list *list, char *line)
{
	char sha256[DIGITS + 1];

	list->number++;
	line[strcspn(line, "#\n")] = '\0';
	if (read_line(line, sha256) == 0)
		return add(list->prints, sha256);
	if (line[strspn(line, BETWEEN)] && list->wrong++ == 0)
		list->first = list->number;
	return 0;
}

/* A NUL ends a line, too. */
static int add_lines(struct list *list, FILE *file)
{
	char *line = NULL, *part, *next;
	size_t room = 0;
	ssize_t len;
	int err = 0;

	while (err == 0 && (len = getline(&line, &room, file)) > 0)
		for (part = line; err == 0 && part < line + len; part = next) {
			next = part + strlen(part) + 1;
			err = add_line(list, part);
		}
	free(line);
	return err;
}

static int read_list(const char *path, struct prints *prints)
{
	struct list list = { .prints = prints };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err = SG_ERR_IO;
	FILE *file;

	if (fd < 0 && errno == ENOENT)
		return 0;
	file = fd >= 0 ? fdopen(fd, "r") : NULL;
	if (file != NULL) {
		err = add_lines(&list, file);
		if (err == 0 && !feof(file))
			err = SG_ERR_IO;
	}
	if (err == SG_ERR_IO)
		sg_log(SG_LOG_ERROR, "%s: %s", path, strerror(errno));
	if (list.wrong)
		sg_log(SG_LOG_WARN,
		    "revocation list: %s: %zu lines are no SHA-256 fingerprints and revoke nobody, "
		    "the first is line %zu",
		    path, list.wrong, list.first);
	if (file != NULL)
		fclose(file);
	else if (fd >= 0)
		close(fd);
	return err;
}

static int take_id(void *arg, const struct sg_ledger_row *row)
{
	*(int64_t *)arg = row->id;
	return 0;
}

int sg_kept_read(const char *path, struct sg_ledger *ledger, time_t now, struct sg_buf *kept)
{
	struct prints listed = { 0 }, known = { 0 };
	char sha256[DIGITS + 1] = "";
	size_t revoked = 0, unknown = 0;
	int changed, err = read_list(path, &listed);

	if (err == 0 && listed.count)
		err = sg_ledger_each_revoked(ledger, 0, add_revoked, &known);
	sort(&listed);
	sort(&known);
	for (size_t i = 0; err == 0 && i < listed.count; i++) {
		int64_t id = 0;

		memcpy(sha256, listed.at[i], DIGITS);
		if ((i && by_digits(sha256, listed.at[i - 1]) == 0) || has(&known, sha256))
			continue;
		err = sg_ledger_find(ledger, sha256, take_id, &id);
		if (err == 0 && id != 0) {
			err = sg_ledger_revoke_id(ledger, id, REASON, now, &changed);
			revoked++;
		} else if (err == 0) {
			sg_buf_put_str(kept, sha256);
			sg_buf_put_str(kept, "\n");
			unknown++;
			err = kept->err;
		}
	}
	if (revoked || unknown)
		sg_log(SG_LOG_WARN,
		    "revocation list: %s has more than the ledger: %zu certificates were revoked "
		    "in "
		    "the ledger, too; %zu it does not know, and they stay on the list",
		    path, revoked, unknown);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "revocation list: %s: %s", path, sg_err_text(err));
	free(listed.at);
	free(known.at);
	return err;
}
