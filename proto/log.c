#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define LINE_MAX_BYTES 1024u /* with its line end */

static const char *const level_names[] = {
	[SG_LOG_ERROR] = "error",
	[SG_LOG_WARN] = "warn",
	[SG_LOG_INFO] = "info",
	[SG_LOG_DEBUG] = "debug",
};

static const char *log_name = "signet";
static enum sg_log_level log_level = SG_LOG_INFO;

void sg_log_init(const char *name, enum sg_log_level level)
{
	const char *wanted = getenv("SIGNET_LOG");

	log_name = name;
	log_level = level;
	for (size_t i = 0; wanted != NULL && i < sizeof(level_names) / sizeof(level_names[0]);
	     i++) {
		if (strcmp(wanted, level_names[i]) == 0)
			log_level = (enum sg_log_level)i;
	}
}

/* Copies text into the line, hidden characters and malformed bytes as \xNN; cut with "..." when it
 * does not fit. Gives the line's length. */
static size_t line_append(char *line, size_t len, const char *text)
{
	static const char digits[] = "0123456789abcdef";
	const size_t room = LINE_MAX_BYTES - 1 - 3; /* line end and "..." always fit */
	size_t left = strlen(text);

	while (left > 0) {
		uint32_t code;
		size_t n = sg_utf8_char(text, left, &code);
		int plain = n > 0 && !sg_utf8_is_hidden(code);
		size_t taken = n > 0 ? n : 1;

		if (len + (plain ? taken : 4 * taken) > room) {
			for (int i = 0; i < 3; i++)
				line[len++] = '.';
			return len;
		}
		for (size_t i = 0; i < taken; i++) {
			unsigned char byte = (unsigned char)text[i];

			if (plain) {
				line[len++] = text[i];
				continue;
			}
			line[len++] = '\\';
			line[len++] = 'x';
			line[len++] = digits[byte >> 4];
			line[len++] = digits[byte & 15];
		}
		text += taken;
		left -= taken;
	}
	return len;
}

void sg_log(enum sg_log_level level, const char *format, ...)
{
	int saved = errno;
	char text[LINE_MAX_BYTES * 2];
	char line[LINE_MAX_BYTES];
	size_t len;
	va_list args;
	int n;

	if (level > log_level)
		return;
	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0)
		text[0] = '\0';
	n = snprintf(line, sizeof(line) / 2, "%s: %s: ", log_name, level_names[level]);
	len = n < (int)(sizeof(line) / 2) ? (size_t)n : sizeof(line) / 2 - 1;
	len = line_append(line, len, text);
	line[len++] = '\n';

	/* One write, so that the lines of several processes do not mix; there is nobody to tell when it
	 * fails. */
	if (write(STDERR_FILENO, line, len) < 0)
		errno = 0;
	errno = saved;
}
