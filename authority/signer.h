/*
 * The CA's key: a signet-token worker that holds the module and the PIN, started when it is needed,
 * killed when it hangs, and started anew after a death.
 *
 * A PIN that was refused, or given to a worker that did not answer, is not tried again: every call
 * fails with SG_ERR_PIN_WRONG, SG_ERR_PIN_LOCKED or SG_ERR_PIN_NEEDED at once, until
 * sg_signer_retry() says that a person has looked, or the PIN's file is another one. Also then, and by
 * every other process with the same configuration, a PIN that was refused is not (pin_book.h).
 */
#ifndef SG_AUTHORITY_SIGNER_H
#define SG_AUTHORITY_SIGNER_H

#include <openssl/x509.h>

#include "channel.h"
#include "config.h"
#include "error.h"
#include "msg.h"

#define SG_SIGNER_CALL_MS     30000  /* after that the worker is killed */
#define SG_SIGNER_GENERATE_MS 300000 /* small devices take minutes for an RSA key */

struct sg_signer;

/* The configuration must outlive the signer. Starts nothing yet. SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_signer_new(const struct sg_authority_config *config, struct sg_signer **signer);

/* Ends the worker; NULL is fine. */
void sg_signer_free(struct sg_signer *signer);

/* The channel to poll, for sg_signer_on_readable(); -1 while there is no worker. */
int sg_signer_fd(const struct sg_signer *signer);

/* To be called when the channel is readable between calls: the worker has ended (it says nothing
 * unasked). Reaps it; the next call starts another. */
void sg_signer_on_readable(struct sg_signer *signer);

enum sg_signer_state {
	SG_SIGNER_DOWN,	       /* no worker, or it is not logged in: the next call tries */
	SG_SIGNER_READY,       /* the last call came so far as to be answered */
	SG_SIGNER_PIN_REFUSED, /* nothing is tried before a person has been there */
};
enum sg_signer_state sg_signer_state(const struct sg_signer *signer);

/* Has the next call look at the PIN file again, with a worker started anew unless this one is logged in. A PIN that was
 * refused is not tried for that (pin_book.h). */
void sg_signer_retry(struct sg_signer *signer);

/*
 * One request to the worker, which is started and logged in first when need be. If it dies in the
 * call, one more is started and asked: nothing that it made has been used by anybody. *reply is
 * owned by the caller and zero on failure. An error message of the worker is logged and its code
 * returned. SG_ERR_WORKER, SG_ERR_TIMEOUT, SG_ERR_PIN_WRONG, SG_ERR_PIN_LOCKED, SG_ERR_PIN_NEEDED
 * and what the worker answers.
 */
SG_MUST_USE int sg_signer_call(struct sg_signer *signer, uint16_t type, const void *msg,
    uint16_t reply_type, int timeout_ms, struct sg_frame *reply);

/* The selector of the CA's key: its URI, on the configured token when only a label is configured. */
const char *sg_signer_key(const struct sg_signer *signer);

/* The CA's certificate, read from the token once; of several that are valid, the one by another authority, then
 * the one that ends last: borrowed. SG_ERR_KEY_ABSENT when the token holds no
 * CA certificate for the key, and what sg_signer_call() gives. */
SG_MUST_USE int sg_signer_ca(struct sg_signer *signer, X509 **ca);

/* Signs a TBSCertificate or TBSCertList and checks the signature. Gives the whole object, new in *der.
 * SG_ERR_CERT_MISMATCH when the signature is not by the CA's key, and what sg_signer_ca() gives. */
SG_MUST_USE int sg_signer_sign(struct sg_signer *signer, enum sg_ca_object kind,
    const struct sg_blob *tbs, struct sg_blob *der);

/*
 * The same in two steps, so that a token which signs several at a time has several: up to SG_SIGNER_TICKETS may
 * be begun, and each must be ended before anything else is asked of the signer. begin gives what
 * sg_signer_ca() gives, but 0 where the worker dies while it is sent to. end waits for the signature, and gives what
 * sg_signer_sign() gives; SG_ERR_WORKER when the worker has died since: then it is begun no more.
 */
#define SG_SIGNER_TICKETS 64
SG_MUST_USE int sg_signer_begin(
    struct sg_signer *signer, enum sg_ca_object kind, const struct sg_blob *tbs, uint32_t *ticket);
SG_MUST_USE int sg_signer_end(
    struct sg_signer *signer, enum sg_ca_object kind, uint32_t ticket, struct sg_blob *der);

/* Who asks, for the worker's log: ourselves. Borrowed strings; purpose may be NULL. */
void sg_signer_caller(struct sg_caller *caller, char *purpose);

#endif
