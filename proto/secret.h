/*
 * A secret (PIN, password): one page-locked buffer that is left out of core dumps and of children,
 * and wiped when it is cleared. It is never copied, never grown and never logged.
 */
#ifndef SG_PROTO_SECRET_H
#define SG_PROTO_SECRET_H

#include <stddef.h>

#include "error.h"

#define SG_SECRET_MAX 255 /* bytes; the room is fixed when the secret is made */

struct sg_secret;

/* Gives an empty secret in *secret. SG_ERR_NOMEM, also when memory cannot be locked. */
SG_MUST_USE int sg_secret_new(struct sg_secret **secret);

/* Wipes and frees; NULL is fine. */
void sg_secret_free(struct sg_secret *secret);

/* Wipes and empties. */
void sg_secret_clear(struct sg_secret *secret);

/* Appends len bytes. SG_ERR_LIMIT, with the secret unchanged, when they do not fit. */
SG_MUST_USE int sg_secret_append(struct sg_secret *secret, const void *data, size_t len);

/* Whether the descriptor is open for reading. */
int sg_secret_fd_is_readable(int fd);

/*
 * Reads the descriptor to its end, straight into locked memory, and drops one trailing "\n" or
 * "\r\n". The descriptor is not closed. SG_ERR_ARG when it is not open for reading, SG_ERR_FORMAT
 * when nothing or a NUL byte came, SG_ERR_LIMIT when it is too long, SG_ERR_TIMEOUT when a pipe gave
 * no end within timeout_ms, SG_ERR_IO. On failure the secret is empty.
 */
SG_MUST_USE int sg_secret_read_fd(struct sg_secret *secret, int fd, int timeout_ms);

/* The bytes, NUL-terminated past their end, valid until the secret changes. */
const char *sg_secret_data(const struct sg_secret *secret);
size_t sg_secret_len(const struct sg_secret *secret);

#endif
