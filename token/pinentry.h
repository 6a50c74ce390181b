/*
 * Asking a person for a PIN: a pinentry, spoken to in Assuan over a socket.
 */
#ifndef SG_TOKEN_PINENTRY_H
#define SG_TOKEN_PINENTRY_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "msg.h"
#include "secret.h"

#define SG_PINENTRY_OPTIONS_MAX 32
#define SG_PINENTRY_LINE_MAX	900 /* bytes of a command, escaped: an Assuan line has 1,000 */

struct sg_pinentry;

/*
 * Talks to the pinentry at the other end of the descriptor, which stays the caller's. options
 * are arguments of OPTION; one that this pinentry does not know is passed over. SG_ERR_PIN_NEEDED
 * when it does not answer, SG_ERR_ARG, SG_ERR_LIMIT; the error is filled.
 */
SG_MUST_USE int sg_pinentry_new(struct sg_pinentry **pinentry, int fd, char *const *options,
    uint32_t option_count, struct sg_msg_error *error);

/*
 * One question. The PIN goes to the empty secret; no other copy of it stays once the pinentry is
 * freed. SG_ERR_PIN_CANCELLED, SG_ERR_PIN_NEEDED (nothing was entered, or the pinentry failed),
 * SG_ERR_LIMIT.
 */
SG_MUST_USE int sg_pinentry_ask(struct sg_pinentry *pinentry, const char *description,
    const char *prompt, struct sg_secret *pin, struct sg_msg_error *error);

/* Ends it; NULL is fine. */
void sg_pinentry_free(struct sg_pinentry *pinentry);

#endif
