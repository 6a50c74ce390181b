/*
 * CK_RV: the one place where return values of a PKCS#11 module become codes of ours.
 */
#ifndef SG_TOKEN_CKR_H
#define SG_TOKEN_CKR_H

#include <p11-kit/pkcs11.h>

#include "error.h"
#include "msg.h"

/* What may help when a call failed; tried once (see sg_token_run()). */
enum sg_ckr_cure {
	SG_CURE_NONE,
	SG_CURE_OBJECT,	 /* the object's handle is stale: find it again */
	SG_CURE_SESSION, /* another session may do */
	SG_CURE_LOGIN,	 /* somebody logged us out */
	SG_CURE_TOKEN,	 /* the token went away, and may be back */
};

/* "CKR_PIN_INCORRECT"; "CKR_?" for a value without a name. */
const char *sg_ckr_name(CK_RV rv);

/* The SG_ERR_* for it; CKR_OK is 0. */
int sg_ckr_code(CK_RV rv);

enum sg_ckr_cure sg_ckr_cure(CK_RV rv);

/*
 * Fills the error from a failed call ("C_Sign") on the token named by its label (NULL: none in
 * particular) with a sentence that says what it is, and with what to do about it, where that is more
 * than the code's own advice; logs it, and returns the code.
 */
int sg_ckr_fail(struct sg_msg_error *error, CK_RV rv, const char *call, const char *label);

#endif
