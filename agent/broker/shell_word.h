/*
 * Words of a command line that a person types into a shell as they stand.
 */
#ifndef SG_BROKER_SHELL_WORD_H
#define SG_BROKER_SHELL_WORD_H

#include "buf.h"

/* Appends the text as one word, in single quotes where a shell would take it for anything else. */
void sg_shell_word_put(struct sg_buf *buf, const char *text);

#endif
