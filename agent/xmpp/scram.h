/*
 * The half of SCRAM (RFC 5802 section 5) that libstrophe leaves out: whether the server knows the
 * password too. libstrophe answers any challenge and takes any <success/>, so one who has a trusted
 * certificate for the domain, and nothing else, could take the account's place in front of us.
 *
 * This part defines libstrophe's xmpp_rand_nonce() in the program itself, where the dynamic linker
 * finds it first (tests/regress pins that), so that the client's nonce is known. With the server's
 * challenge that gives the one signature that the server must end the login with. Should another
 * libstrophe not ask here for its nonce, no login by password succeeds.
 *
 * There is one connection in a process, and one login. The filter calls this part, and ends the
 * stream when it gives a reason.
 */
#ifndef SG_XMPP_SCRAM_H
#define SG_XMPP_SCRAM_H

#include <stddef.h>

#include "error.h"

#define SG_SCRAM_ITERATIONS_MIN 4096 /* RFC 5802 5.1 */
#define SG_SCRAM_ITERATIONS_MAX 1000000
#define SG_SCRAM_SALT_MAX	120 /* bytes; libstrophe aborts over 124 */
#define SG_SCRAM_SIGNATURE_MAX	64  /* of SHA-512 */

/* Whether the user name of the JID goes into SCRAM unchanged: libstrophe does not escape it (5.1). */
int sg_scram_takes_user(const char *jid);

/*
 * For the next login: forgets the last. The password is libstrophe's own copy, so that there is no
 * other; it and the JID must stay until sg_scram_end(), which wipes what was derived.
 */
void sg_scram_begin(const char *jid, const char *password);
void sg_scram_end(void);

/* The nonce that libstrophe was given last since sg_scram_begin(); "" for none. It is no secret. */
const char *sg_scram_nonce(void);

/*
 * The server's only challenge, in Base64, to a login by "SCRAM-SHA-1", "-256" or "-512": NULL when
 * libstrophe may answer it, else what is wrong with it. Computes what sg_scram_success() wants.
 */
const char *sg_scram_challenge(const char *mechanism, const char *base64);

/*
 * The text of <success/>: NULL when it is the server's signature and nothing else, else what is wrong.
 * What it was compared with is wiped, so no second one is ever right.
 */
const char *sg_scram_success(const char *base64);

/*
 * RFC 5802 section 3: ServerSignature of the salted password and the AuthMessage. SG_ERR_ARG for another
 * mechanism, SG_ERR_INTERNAL.
 */
SG_MUST_USE int sg_scram_signature(const char *mechanism, const char *password,
    const unsigned char *salt, size_t salt_len, int iterations, const char *auth_message,
    unsigned char signature[SG_SCRAM_SIGNATURE_MAX], size_t *len);

#endif
