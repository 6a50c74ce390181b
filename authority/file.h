/*
 * Files as wholes: replaced so that a reader finds the old one or the new one, whatever happens, and read.
 */
#ifndef SG_AUTHORITY_FILE_H
#define SG_AUTHORITY_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "buf.h"
#include "error.h"

#define SG_FILE_LOCK_MS 5000

/*
 * Writes a temporary file beside it, syncs it, renames it over the path and syncs the folder. The
 * data is on the disk under its name when this returns 0. SG_ERR_IO, logged: the old file stays, or
 * the new one is there and may be lost in a power failure (the folder could not be synced). SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_file_replace(const char *path, const void *data, size_t len, mode_t mode);

/*
 * Keeps every other process of ours from replacing files in the folder of this path until the descriptor, new in
 * *fd, is closed. Who holds it does nothing that waits. SG_ERR_BUSY when somebody does for longer than
 * SG_FILE_LOCK_MS, SG_ERR_IO; logged.
 */
SG_MUST_USE int sg_file_lock(const char *path, int *fd);

/* Appends the file's bytes. One that is not there is an empty one. SG_ERR_LIMIT over max bytes, SG_ERR_IO (logged),
 * SG_ERR_NOMEM; what was read by then is in *text. */
SG_MUST_USE int sg_file_read(const char *path, size_t max, struct sg_buf *text);

#endif
