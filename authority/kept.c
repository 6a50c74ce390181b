#include "kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"

#define DIGITS 64

struct line {
	char sha256[DIGITS + 1];
	char known;
};

struct sg_kept {
	struct line *lines; /* sorted */
	size_t count, room;
};

static int by_sha256(const void *a, const void *b)
{
	return memcmp(a, b, DIGITS);
}

static int add_line(struct sg_kept *kept, const char *text)
{
	struct line *lines;

	if (strspn(text, "0123456789abcdef") != DIGITS || (text[DIGITS] && text[DIGITS] != '\n'))
		return 0;
	if (kept->count == kept->room) {
		kept->room = kept->room ? 2 * kept->room : 256;
		lines = realloc(kept->lines, kept->room * sizeof(*lines));
		if (lines == NULL)
			return SG_ERR_NOMEM;
		kept->lines = lines;
	}
	memcpy(kept->lines[kept->count].sha256, text, DIGITS);
	kept->lines[kept->count].sha256[DIGITS] = '\0';
	kept->lines[kept->count++].known = 0;
	return 0;
}

int sg_kept_read(const char *path, struct sg_kept **kept)
{
	struct sg_kept *self = calloc(1, sizeof(*self));
	FILE *file = fopen(path, "re");
	int missing = file == NULL && errno == ENOENT, err = 0;
	char text[128];

	*kept = NULL;
	if (self == NULL)
		err = SG_ERR_NOMEM;
	else if (file == NULL && !missing)
		err = SG_ERR_IO;
	while (err == 0 && file != NULL && fgets(text, sizeof(text), file) != NULL)
		err = add_line(self, text);
	if (err == 0 && file != NULL && ferror(file))
		err = SG_ERR_IO;
	if (file != NULL)
		fclose(file);
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "revocations: the list %s cannot be read: %s", path,
		    sg_err_text(err));
		sg_kept_free(self);
		return err;
	}
	if (self->count)
		qsort(self->lines, self->count, sizeof(*self->lines), by_sha256);
	*kept = self;
	return 0;
}

void sg_kept_free(struct sg_kept *kept)
{
	if (kept == NULL)
		return;
	free(kept->lines);
	free(kept);
}

void sg_kept_known(struct sg_kept *kept, const char *sha256)
{
	struct line *line = NULL;

	if (kept->count)
		line = bsearch(sha256, kept->lines, kept->count, sizeof(*line), by_sha256);
	if (line != NULL)
		line->known = 1;
}

static int take_id(void *arg, const struct sg_ledger_row *row)
{
	*(int64_t *)arg = row->id;
	return 0;
}

int sg_kept_take(struct sg_kept *kept, struct sg_ledger *ledger, time_t now, struct sg_buf *out)
{
	size_t unknown = 0, revoked = 0;
	int err = 0, changed;

	for (size_t i = 0; err == 0 && i < kept->count; i++) {
		const struct line *line = &kept->lines[i];
		int64_t id = 0;

		if (line->known || (i > 0 && by_sha256(line, line - 1) == 0))
			continue;
		sg_buf_put_str(out, line->sha256);
		sg_buf_put_str(out, "\n");
		unknown++;
		err = sg_ledger_find(ledger, line->sha256, take_id, &id);
		if (err == 0 && id != 0) {
			err = sg_ledger_revoke_id(
			    ledger, id, "was on the list of the revoked", now, &changed);
			revoked += err == 0 && changed;
		}
	}
	if (err == 0 && revoked)
		sg_log(SG_LOG_WARN,
		    "revocations: %zu certificates are on the list of the revoked and were valid "
		    "in the "
		    "ledger: they are revoked there now, too",
		    revoked);
	else if (err == 0 && unknown)
		sg_log(SG_LOG_DEBUG, "revocations: %zu on the list are unknown to the ledger",
		    unknown);
	return err != 0 ? err : out->err;
}
