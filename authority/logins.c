#include "logins.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "file.h"
#include "log.h"
#include "text.h"

struct sg_logins {
	char *text;		/* what the lines point into */
	struct sg_login *lines; /* sorted by sha256 */
	size_t count;
};

static int is_sha256(const char *text)
{
	return strlen(text) == 64 && strspn(text, "0123456789abcdef") == 64;
}

/* "2026-01-31T23:59:59Z": this one form, so that two of them compare as text. */
static int is_time(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00Z";

	if (strlen(text) != sizeof(form) - 1)
		return 0;
	for (size_t i = 0; form[i]; i++)
		if (form[i] == '0' ? (text[i] < '0' || text[i] > '9') : text[i] != form[i])
			return 0;
	return 1;
}

/* Cuts one line at its tabs. SG_ERR_FORMAT when it is not of the form. */
static int parse_line(char *line, struct sg_login *login)
{
	char *field, *rest = line;
	char **more;

	memset(login, 0, sizeof(*login));
	login->sha256 = strsep(&rest, "\t");
	login->last_used = strsep(&rest, "\t");
	if (login->last_used == NULL || !is_sha256(login->sha256) || !is_time(login->last_used))
		return SG_ERR_FORMAT;
	while (login->resource_count < SG_LOGINS_RESOURCES_MAX &&
	    (field = strsep(&rest, "\t")) != NULL) {
		if (!*field || !sg_utf8_is_text(field, SG_LOGINS_RESOURCE_MAX))
			continue;
		more = realloc(login->resources, (login->resource_count + 1) * sizeof(*more));
		if (more == NULL)
			return SG_ERR_NOMEM;
		login->resources = more;
		login->resources[login->resource_count++] = field;
	}
	return 0;
}

static int by_sha256(const void *a, const void *b)
{
	const struct sg_login *x = a, *y = b;

	return strcmp(x->sha256, y->sha256);
}

static int parse(struct sg_logins *logins)
{
	char *rest = logins->text, *line;
	size_t room = 0, passed_over = 0;
	int err;

	while ((line = strsep(&rest, "\n")) != NULL) {
		if (!*line)
			continue;
		if (logins->count == room) {
			struct sg_login *more;

			room = room ? 2 * room : 64;
			more = realloc(logins->lines, room * sizeof(*more));
			if (more == NULL)
				return SG_ERR_NOMEM;
			logins->lines = more;
		}
		err = parse_line(line, &logins->lines[logins->count]);
		if (err == SG_ERR_NOMEM) {
			free(logins->lines[logins->count].resources);
			return err;
		}
		if (err != 0)
			passed_over++;
		else
			logins->count++;
	}
	if (passed_over)
		sg_log(SG_LOG_WARN, "logins: %zu lines are not of the form and were passed over",
		    passed_over);
	if (logins->count)
		qsort(logins->lines, logins->count, sizeof(*logins->lines), by_sha256);
	return 0;
}

int sg_logins_read(const char *path, struct sg_logins **logins)
{
	struct sg_logins *self = calloc(1, sizeof(*self));
	struct sg_buf text = { 0 };
	int err;

	*logins = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	err = sg_file_read(path, SG_LOGINS_BYTES_MAX, &text);
	if (err == 0 && (self->text = sg_buf_steal(&text, NULL)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = parse(self);
	sg_buf_clear(&text);
	if (err != 0) {
		if (err != SG_ERR_IO) /* of which the cause was told */
			sg_log(SG_LOG_ERROR, "logins: %s: %s", path, sg_err_text(err));
		sg_logins_free(self);
	} else {
		*logins = self;
	}
	return err;
}

void sg_logins_free(struct sg_logins *logins)
{
	if (logins == NULL)
		return;
	for (size_t i = 0; i < logins->count; i++)
		free(logins->lines[i].resources);
	free(logins->lines);
	free(logins->text);
	free(logins);
}

const struct sg_login *sg_logins_find(const struct sg_logins *logins, const char *sha256)
{
	struct sg_login key = { .sha256 = sha256 };

	if (logins == NULL || !logins->count)
		return NULL;
	return bsearch(&key, logins->lines, logins->count, sizeof(*logins->lines), by_sha256);
}
