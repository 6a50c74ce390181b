/*
 * The configuration file: "name = value" lines below "[section]" lines, read by libinih.
 */
#ifndef SG_PROTO_CONF_H
#define SG_PROTO_CONF_H

#include "error.h"

#define SG_CONF_LINE_MAX 4096 /* bytes of one line */

/* One setting of the file; returns 0 when the name is not known or the value is bad. */
typedef int sg_conf_fn(
    void *arg, const char *section, const char *name, const char *value, int line);

/*
 * Reads the file to its end, or to the first setting that is refused. A missing file is 0 when
 * optional. SG_ERR_CONFIG, with one log line that names file, line and setting; SG_ERR_IO, with one
 * that names the file; SG_ERR_NOMEM. Settings before the fault have been given to fn.
 */
SG_MUST_USE int sg_conf_read(const char *path, int optional, sg_conf_fn *fn, void *arg);

#endif
