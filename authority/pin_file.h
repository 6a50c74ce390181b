/*
 * The file with the PIN, which is read by signet-token alone.
 */
#ifndef SG_AUTHORITY_PIN_FILE_H
#define SG_AUTHORITY_PIN_FILE_H

#include <sys/stat.h>

#include "error.h"

/* Gives a descriptor of it to pass on. SG_ERR_PIN_NEEDED when it is not there, empty, or not ours alone
 * (sg_secret_file_check()): logged, and *fd is -1. A pipe holds nobody up. */
SG_MUST_USE int sg_pin_file_open(const char *path, int *fd);

/* Whether a person has been at the file since; one that is being written, or has gone, is not looked at yet. */
int sg_pin_file_is_another(const char *path, const struct stat *before);

#endif
