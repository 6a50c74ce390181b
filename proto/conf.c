#include "conf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <ini.h>

#include "log.h"
#include "text.h"

struct reading {
	const char *path;
	FILE *file;
	sg_conf_fn *fn;
	void *arg;
	int line;
	int err; /* of the first failure; after it nothing is passed on */
};

static void reading_fail(
    struct reading *reading, const char *what, const char *section, const char *name)
{
	if (reading->err != 0)
		return;
	reading->err = SG_ERR_CONFIG;
	sg_log(SG_LOG_ERROR, "%s:%d: %s%s%s%s%s", reading->path, reading->line, what,
	    section[0] != '\0' ? "[" : "", section, section[0] != '\0' ? "] " : "", name);
}

/* One line for the parser; counted here, as libinih does not tell its own count to the handler. */
static char *read_line(char *text, int room, void *arg)
{
	struct reading *reading = arg;
	size_t len;

	if (reading->err != 0 || fgets(text, room, reading->file) == NULL)
		return NULL;
	reading->line++;
	len = strlen(text);
	if (len == 0 || (text[len - 1] != '\n' && !feof(reading->file))) {
		reading_fail(reading, "line too long, or a NUL in it", "", "");
		return NULL;
	}
	if (!sg_utf8_is_text(text, len)) {
		reading_fail(reading, "not UTF-8 text", "", "");
		return NULL;
	}
	return text;
}

static int take_setting(void *arg, const char *section, const char *name, const char *value)
{
	struct reading *reading = arg;

	if (reading->err != 0)
		return 0;
	if (reading->fn(reading->arg, section, name, value, reading->line) != 0)
		return 1;
	reading_fail(reading, "unknown setting, bad value, or set twice: ", section, name);
	return 0;
}

int sg_conf_read(const char *path, int optional, sg_conf_fn *fn, void *arg)
{
	struct reading reading = { .path = path, .fn = fn, .arg = arg };
	int line;

	/* How Debian builds libinih, these are set at run time: a line per setting, of a set length. */
	ini_allow_multiline = false;
	ini_use_stack = false;
	ini_initial_alloc = ini_max_line = SG_CONF_LINE_MAX + 3;

	reading.file = fopen(path, "re");
	if (reading.file == NULL && errno == ENOENT && optional)
		return 0;
	if (reading.file == NULL) {
		sg_log(SG_LOG_ERROR, "%s: %s", path, strerror(errno));
		return SG_ERR_IO;
	}
	line = ini_parse_stream(read_line, &reading, take_setting, &reading);
	if (reading.err == 0 && ferror(reading.file)) {
		sg_log(SG_LOG_ERROR, "%s: cannot be read", path);
		reading.err = SG_ERR_IO;
	} else if (line < 0) {
		reading.err = SG_ERR_NOMEM;
	} else if (line > 0) {
		reading.line = line;
		reading_fail(&reading, "neither a [section] nor a name = value", "", "");
	}
	fclose(reading.file);
	return reading.err;
}
