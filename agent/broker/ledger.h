/*
 * What is remembered of the PINs of tokens, across restarts: how often one was tried since the last
 * success, and which are wrong. It is by serial number: a token keeps its ledger under another
 * label, and through another module that knows it by the same one. Where there is none, it is by
 * URI (sg_ledger_name()). The PINs themselves are never here: signet-token tells keyed hashes of
 * them, with a key from a file beside the store.
 */
#ifndef SG_BROKER_LEDGER_H
#define SG_BROKER_LEDGER_H

#include "agent.h"
#include "msg.h"

#define SG_LEDGER_KEY_SIZE  32
#define SG_LEDGER_SALT_SIZE 32

/* Flags by which a token tells that a PIN of it failed. */
#define SG_LEDGER_TELLING (SG_TOKEN_PIN_LOW | SG_TOKEN_PIN_FINAL | SG_TOKEN_PIN_LOCKED)

struct sg_ledgers;

/* By what a token is known over time: its serial number, or where that is none (empty, or of zeros
 * alone, as the modules of TPMs and NSS give it to each token) its URI. Gives one of the two,
 * borrowed. */
const char *sg_ledger_name(const char *serial, const char *uri);

/* Reads the key from the file, and makes it (mode 0600) when it is not there. One that is of
 * another size, or open to others, is refused: SG_ERR_IO or SG_ERR_DENIED, logged. SG_ERR_NOMEM. */
SG_MUST_USE int sg_ledgers_new(const char *key_path, struct sg_ledgers **ledgers);
void sg_ledgers_free(struct sg_ledgers *ledgers);

/*
 * The ledger of one PIN of a token (by: enum sg_pin_user), as signet-token wants it. Without one
 * nothing may be tried. SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_ledger_get(const struct sg_agent *agent, const struct sg_token_info *token,
    uint32_t by, struct sg_pin_ledger *ledger);
void sg_ledger_clear(struct sg_pin_ledger *ledger);

/* A PIN is about to be tried. When this gives 0 it is on the disk, and the PIN is not tried again
 * by itself unless an outcome is told that says it was right, or was not tried. */
SG_MUST_USE int sg_ledger_try(const struct sg_agent *agent, const struct sg_msg_pin_try *try);

/*
 * How the try ended. by_person: somebody entered it, or asked for just this. Not every token counts
 * anew after a success (a TPM does not): where its flags never told of a failure, one by a person
 * sets the count back, any other is only no try. One that says nothing leaves the PIN unsure, but
 * for one that this token took last: it is unsure the second time.
 */
void sg_ledger_outcome(
    const struct sg_agent *agent, const struct sg_msg_pin_outcome *outcome, int by_person);

/* The token has a new user PIN, by a try of this PIN: if that is the old one, it is wrong from now
 * on. */
void sg_ledger_renew(const struct sg_agent *agent, const struct sg_token_info *token, uint32_t by);

/* What is known of one PIN of a token; nothing when it cannot be read. */
struct sg_ledger_state {
	uint32_t tries;
	int locked; /* the token said so at the last try */
	int told;   /* its flags have told of failures */
};
void sg_ledger_look(const struct sg_agent *agent, const struct sg_token_info *token, uint32_t by,
    struct sg_ledger_state *state);

/* How many tries of the user PIN are left: what the token's flags tell, else as counted;
 * SG_TRIES_UNKNOWN. */
uint32_t sg_ledger_tries_left(const struct sg_agent *agent, const struct sg_token_info *token);

#endif
