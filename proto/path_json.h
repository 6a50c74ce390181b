/*
 * A path as the Path of the interface (proto/org.signet.Agent.varlink).
 */
#ifndef SG_PROTO_PATH_JSON_H
#define SG_PROTO_PATH_JSON_H

#include <jansson.h>

#include "path.h"

/* What sg_path_judge() gave of the key of this name. A new reference, NULL without memory. */
json_t *sg_json_path(struct sg_path_graph *graph, const char *name, const struct sg_path *path);

#endif
