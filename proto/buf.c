#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256u

/* Makes room for len bytes more and a NUL past them; 0, or -1 with err set. */
static int buf_reserve(struct sg_buf *buf, size_t len)
{
	size_t room = buf->room > 0 ? buf->room : ROOM_FIRST;
	unsigned char *data;

	if (buf->err != 0)
		return -1;
	if (len > SG_BUF_MAX - buf->len) {
		buf->err = SG_ERR_LIMIT;
		return -1;
	}
	if (buf->room > buf->len + len)
		return 0;
	while (room <= buf->len + len)
		room *= 2;
	data = realloc(buf->data, room);
	if (data == NULL) {
		buf->err = SG_ERR_NOMEM;
		return -1;
	}
	buf->data = data;
	buf->room = room;
	return 0;
}

void sg_buf_clear(struct sg_buf *buf)
{
	free(buf->data);
	*buf = (struct sg_buf){ 0 };
}

void sg_buf_put(struct sg_buf *buf, const void *data, size_t len)
{
	if (len == 0 || buf_reserve(buf, len) != 0)
		return;
	memcpy(buf->data + buf->len, data, len);
	buf->len += len;
}

void sg_buf_put_u8(struct sg_buf *buf, uint8_t value)
{
	sg_buf_put(buf, &value, 1);
}

void sg_buf_put_u32(struct sg_buf *buf, uint32_t value)
{
	const unsigned char bytes[4] = { (unsigned char)(value >> 24), (unsigned char)(value >> 16),
		(unsigned char)(value >> 8), (unsigned char)value };

	sg_buf_put(buf, bytes, sizeof(bytes));
}

void sg_buf_put_str(struct sg_buf *buf, const char *text)
{
	sg_buf_put(buf, text, strlen(text));
}

void sg_buf_printf(struct sg_buf *buf, const char *format, ...)
{
	va_list args;
	int len;

	if (buf->err != 0)
		return;
	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0) {
		buf->err = SG_ERR_INTERNAL;
		return;
	}
	if (buf_reserve(buf, (size_t)len) != 0)
		return;
	va_start(args, format);
	vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += (size_t)len;
}

void sg_buf_consume(struct sg_buf *buf, size_t n)
{
	if (n > buf->len)
		n = buf->len;
	if (n == 0)
		return;
	memmove(buf->data, buf->data + n, buf->len - n);
	buf->len -= n;
}

char *sg_buf_steal(struct sg_buf *buf, size_t *len)
{
	char *text = NULL;

	if (len != NULL)
		*len = 0;
	if (buf_reserve(buf, 0) == 0) {
		buf->data[buf->len] = '\0';
		text = (char *)buf->data;
		if (len != NULL)
			*len = buf->len;
		buf->data = NULL;
	}
	sg_buf_clear(buf);
	return text;
}

int sg_blob_set(struct sg_blob *blob, const void *data, size_t len)
{
	unsigned char *copy = NULL;

	if (len > 0) {
		copy = malloc(len);
		if (copy == NULL) {
			sg_blob_clear(blob);
			return SG_ERR_NOMEM;
		}
		memcpy(copy, data, len);
	}
	sg_blob_clear(blob); /* only now: data may be the blob's own */
	blob->data = copy;
	blob->len = len;
	return 0;
}

void sg_blob_clear(struct sg_blob *blob)
{
	free(blob->data);
	*blob = (struct sg_blob){ 0 };
}

int sg_blob_eq(const struct sg_blob *a, const struct sg_blob *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

size_t sg_cursor_left(const struct sg_cursor *cur)
{
	return (size_t)(cur->end - cur->pos);
}

int sg_cursor_get(struct sg_cursor *cur, size_t len, const unsigned char **data)
{
	*data = NULL;
	if (len > sg_cursor_left(cur))
		return SG_ERR_FORMAT;
	*data = cur->pos;
	cur->pos += len;
	return 0;
}

int sg_cursor_get_u8(struct sg_cursor *cur, uint8_t *value)
{
	const unsigned char *bytes;

	*value = 0;
	if (sg_cursor_get(cur, 1, &bytes) != 0)
		return SG_ERR_FORMAT;
	*value = bytes[0];
	return 0;
}

int sg_cursor_get_u32(struct sg_cursor *cur, uint32_t *value)
{
	const unsigned char *bytes;

	*value = 0;
	if (sg_cursor_get(cur, 4, &bytes) != 0)
		return SG_ERR_FORMAT;
	*value = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	    (uint32_t)bytes[3];
	return 0;
}
