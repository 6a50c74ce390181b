#include "kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"

#define REASON "on the list of the revoked, of which a restored ledger did not know"
#define DIGITS 64

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

/* What is no fingerprint is no line of ours. */
static void add_line(struct prints *prints, const char *line)
{
	if (strlen(line) == DIGITS && strspn(line, "0123456789abcdef") == DIGITS)
		add(prints, line);
}

static int read_file(const char *path, struct sg_buf *text)
{
	char chunk[16384];
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? 0 : SG_ERR_IO;
	while (text->err == 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		sg_buf_put(text, chunk, (size_t)n);
	close(fd);
	return n < 0 ? SG_ERR_IO : text->err;
}

static int read_list(const char *path, struct prints *prints)
{
	struct sg_buf text = { 0 };
	char *rest, *line;
	int err;

	err = read_file(path, &text);
	for (size_t i = 0; i < text.len; i++) /* a NUL would end the text here */
		if (text.data[i] == '\0')
			text.data[i] = '\n';
	sg_buf_put_u8(&text, '\0');
	if (err == 0)
		err = text.err;
	rest = (char *)text.data;
	while (err == 0 && (line = strsep(&rest, "\n")) != NULL) {
		add_line(prints, line);
		err = prints->text.err;
	}
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
	if (err == 0 && known.count)
		qsort(known.text.data, known.count, DIGITS, by_digits);
	for (size_t i = 0; err == 0 && i < listed.count; i++) {
		int64_t id = 0;

		memcpy(sha256, listed.text.data + i * DIGITS, DIGITS);
		if (has(&known, sha256))
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
