/*
 * Bytes: a growing buffer to write to, and a bounded cursor to read from.
 */
#ifndef SG_PROTO_BUF_H
#define SG_PROTO_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * A growing buffer. Zero-initialise it; free it with sg_buf_clear(). A failure (no memory, or
 * over SG_BUF_MAX) is remembered in err, later writes do nothing, so a writer checks err once at
 * the end.
 */
#define SG_BUF_MAX (16u << 20)

struct sg_buf {
	unsigned char *data;
	size_t len;
	size_t room;
	int err;
};

void sg_buf_clear(struct sg_buf *buf); /* frees, and empties: err too */
void sg_buf_put(struct sg_buf *buf, const void *data, size_t len);
void sg_buf_put_u8(struct sg_buf *buf, uint8_t value);
void sg_buf_put_u32(struct sg_buf *buf, uint32_t value);   /* big-endian */
void sg_buf_put_str(struct sg_buf *buf, const char *text); /* the characters, no length, no NUL */
void sg_buf_printf(struct sg_buf *buf, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Drops n bytes from the front (n <= len). */
void sg_buf_consume(struct sg_buf *buf, size_t n);

/* Hands over the bytes, NUL-terminated past their end; NULL (and cleared) when err is set. */
char *sg_buf_steal(struct sg_buf *buf, size_t *len);

/* Owned bytes inside messages and codecs. {NULL, 0} is empty. */
struct sg_blob {
	unsigned char *data;
	size_t len;
};

/* Copies the bytes, which may be the blob's own, in place of what it held. SG_ERR_NOMEM: it is
 * empty then. */
SG_MUST_USE int sg_blob_set(struct sg_blob *blob, const void *data, size_t len);
void sg_blob_clear(struct sg_blob *blob);
int sg_blob_eq(const struct sg_blob *a, const struct sg_blob *b);

/* Reads within [pos, end). Every getter fails with SG_ERR_FORMAT and moves nothing when it cannot. */
struct sg_cursor {
	const unsigned char *pos;
	const unsigned char *end;
};

/* The next len bytes, which stay where they are. */
SG_MUST_USE int sg_cursor_get(struct sg_cursor *cur, size_t len, const unsigned char **data);

SG_MUST_USE int sg_cursor_get_u8(struct sg_cursor *cur, uint8_t *value);
SG_MUST_USE int sg_cursor_get_u32(struct sg_cursor *cur, uint32_t *value); /* big-endian */
size_t sg_cursor_left(const struct sg_cursor *cur);

#endif
