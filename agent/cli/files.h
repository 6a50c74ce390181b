/*
 * Files that the person named: read within a limit, written whole or not at all.
 */
#ifndef SG_CLI_FILES_H
#define SG_CLI_FILES_H

#include <stddef.h>

#include "buf.h"
#include "cli.h"
#include "error.h"

/* Reads the file ("-": standard input) into owned bytes. SG_ERR_IO; SG_ERR_KEYINFO over max; both
 * told. SG_ERR_NOMEM. */
SG_MUST_USE int sg_file_read(
    struct sg_cli *cli, const char *path, size_t max, struct sg_blob *data);

/*
 * A file that is being made. It is opened before the work begins, so that a path that cannot be
 * written is found before anything is done. Zero-initialise it.
 */
struct sg_file_out {
	const char *path; /* borrowed; NULL: nothing is written */
	char *temporary;  /* the new file beside it; NULL: written in place (a device) */
	int fd;
};

/* path NULL: sg_file_out_write() will do nothing. SG_ERR_IO, told. */
SG_MUST_USE int sg_file_out_open(struct sg_cli *cli, const char *path, struct sg_file_out *out);

/* Writes, flushes to the disk and puts it in its place, mode 0644. SG_ERR_IO, told. */
SG_MUST_USE int sg_file_out_write(
    struct sg_cli *cli, struct sg_file_out *out, const void *data, size_t len);

/* Drops what was not written. */
void sg_file_out_clear(struct sg_file_out *out);

#endif
