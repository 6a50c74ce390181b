/*
 * Output that is whole, or an error.
 */
#ifndef SG_PROTO_OUTPUT_H
#define SG_PROTO_OUTPUT_H

#include <stddef.h>

#include "error.h"

/* Writes all of it to a blocking descriptor. SG_ERR_IO: errno says why. */
SG_MUST_USE int sg_write_all(int fd, const void *data, size_t len);

/*
 * Flushes standard output. SG_ERR_IO when anything of it could not be written (a full disk, a closed
 * pipe): that is told on stderr, in the name of the program.
 */
SG_MUST_USE int sg_stdout_finish(const char *program);

#endif
