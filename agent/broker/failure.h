/*
 * An error on its way from where it happened to the reply: struct sg_msg_error, made and copied.
 */
#ifndef SG_BROKER_FAILURE_H
#define SG_BROKER_FAILURE_H

#include "error.h"
#include "msg.h"

/* Called once when something asynchronous is over: error is NULL when it went well, and otherwise
 * valid during the call. */
typedef void sg_done_fn(void *arg, const struct sg_msg_error *error);

/* Copies; *copy must be zero or cleared. Without memory texts are missing from the copy: never its code. */
void sg_failure_copy(struct sg_msg_error *copy, const struct sg_msg_error *error);

/* Adds a copy of a candidate to an ambiguity error; without memory it is left out. */
void sg_failure_add_candidate(struct sg_msg_error *error, const struct sg_candidate *candidate);

/* Its sentence, or that of its code; borrowed, never NULL. */
const char *sg_failure_text(const struct sg_msg_error *error);

/* What to do about it: its own advice, or that of its code; borrowed, "" when there is none. */
const char *sg_failure_advice(const struct sg_msg_error *error);

/* Frees what it owns and zeroes it; an error made by sg_msg_error_set() too. */
void sg_failure_clear(struct sg_msg_error *error);

#endif
