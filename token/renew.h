/*
 * Modules that recover in a new process alone. tpm2-pkcs11, for one, gives CKR_GENERAL_ERROR to
 * whatever it is asked once the TPM's resource manager was started anew, in new sessions and after
 * new logins, too.
 */
#ifndef SG_TOKEN_RENEW_H
#define SG_TOKEN_RENEW_H

#include <p11-kit/pkcs11.h>

#include "msg.h"
#include "token.h"

#define SG_FAILURES_MAX 2

/*
 * How a request to the token failed, after all that may cure it; CKR_OK: a signature was made, for
 * a search may succeed where nothing else does. With CKR_GENERAL_ERROR or
 * CKR_DEVICE_ERROR the module is to be loaded anew (module->spent), when the token cannot even give
 * a random number, or so many requests failed so since the last signature. Not for what is in a reader, which has
 * cures of its own (session.h) and a PIN that may wait for its return; nor while another token of
 * the module is unlocked and gives a random number; nor in an authority's process. No lock of the token is held.
 */
void sg_renew_note(struct sg_token *token, CK_RV rv);

/* Says so in the error of a request that failed, when the module is to be loaded anew. */
void sg_renew_tell(const struct sg_module *module, struct sg_msg_error *error);

#endif
