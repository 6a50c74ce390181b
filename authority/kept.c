#include "kept.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "file.h"
#include "log.h"

#define REASON	"on the list of the revoked, of which a restored ledger did not know"
#define DIGITS	64
#define BETWEEN ": \t\r" /* what may stand between and around the digits */

/* Fingerprints, one after the other, without anything between. */
struct prints {
	struct sg_buf text;
	size_t count;
};

static void add(struct prints *prints, const char *sha256)
{
	sg_buf_put(&prints->text, sha256, DIGITS);
	prints->count++;
}

static int by_digits(const void *a, const void *b)
{
	return memcmp(a, b, DIGITS);
}

static int has(const struct prints *prints, const char *sha256)
{
	return prints->count &&
	    bsearch(sha256, prints->text.data, prints->count, DIGITS, by_digits) != NULL;
}

static int add_revoked(void *arg, const struct sg_ledger_row *row)
{
	struct prints *prints = arg;

	add(prints, row->sha256);
	return prints->text.err;
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

/* Lines that say something and are no fingerprints will be gone from the next list: whoever wrote them is told. */
static int add_lines(struct prints *prints, char *text, const char *path)
{
	char *line, sha256[DIGITS + 1];
	size_t number = 0, wrong = 0, first = 0;

	while (prints->text.err == 0 && (line = strsep(&text, "\n")) != NULL) {
		number++;
		line[strcspn(line, "#")] = '\0';
		if (read_line(line, sha256) == 0)
			add(prints, sha256);
		else if (line[strspn(line, BETWEEN)] && wrong++ == 0)
			first = number;
	}
	if (wrong)
		sg_log(SG_LOG_WARN,
		    "revocation list: %s: %zu lines are no SHA-256 fingerprints and revoke nobody, "
		    "the first is line %zu",
		    path, wrong, first);
	return prints->text.err;
}

static int read_list(const char *path, struct prints *prints)
{
	struct sg_buf text = { 0 };
	int err = sg_file_read(path, SG_BUF_MAX, &text);

	for (size_t i = 0; i < text.len; i++) /* a NUL would end the text here */
		if (text.data[i] == '\0')
			text.data[i] = '\n';
	sg_buf_put_u8(&text, '\0');
	if (err == 0)
		err = text.err;
	if (err == 0)
		err = add_lines(prints, (char *)text.data, path);
	sg_buf_clear(&text);
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
	if (err == 0 && listed.count)
		qsort(listed.text.data, listed.count, DIGITS, by_digits);
	if (err == 0 && known.count)
		qsort(known.text.data, known.count, DIGITS, by_digits);
	for (size_t i = 0; err == 0 && i < listed.count; i++) {
		int64_t id = 0;

		memcpy(sha256, listed.text.data + i * DIGITS, DIGITS);
		if ((i && by_digits(sha256, listed.text.data + (i - 1) * DIGITS) == 0) ||
		    has(&known, sha256))
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
	sg_buf_clear(&listed.text);
	sg_buf_clear(&known.text);
	return err;
}
