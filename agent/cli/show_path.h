/*
 * A Path of the API, as people read it.
 */
#ifndef SG_CLI_SHOW_PATH_H
#define SG_CLI_SHOW_PATH_H

#include <jansson.h>

/* The verdict, who claims the key, and the path with what breaks it, as fields of the key. */
void sg_show_path(const json_t *path);

/* A verdict of a Path in words: what the key is to the person. */
const char *sg_path_verdict_text(const char *verdict);

/* What breaks a step, in words. */
const char *sg_path_break_text(const char *breaks);

#endif
