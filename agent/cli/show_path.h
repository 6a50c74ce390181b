/*
 * A Path of the API, as people read it.
 */
#ifndef SG_CLI_SHOW_PATH_H
#define SG_CLI_SHOW_PATH_H

#include <jansson.h>

/* The verdict, who claims the key, and the path with what breaks it, as fields of the key. */
void sg_show_path(const json_t *path);

#endif
