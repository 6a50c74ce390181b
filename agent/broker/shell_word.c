#include "shell_word.h"

#include <string.h>

static const char plain[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-";

void sg_shell_word_put(struct sg_buf *buf, const char *text)
{
	if (text[0] != '\0' && text[strspn(text, plain)] == '\0') {
		sg_buf_put_str(buf, text);
		return;
	}
	sg_buf_put_str(buf, "'");
	for (const char *end; (end = strchr(text, '\'')) != NULL; text = end + 1) {
		sg_buf_put(buf, text, (size_t)(end - text));
		sg_buf_put_str(buf, "'\\''");
	}
	sg_buf_put_str(buf, text);
	sg_buf_put_str(buf, "'");
}
