/*
 * Signatures by the person's own gpg: its agent has the OpenPGP key, on a card, too, and asks for
 * the passphrase or PIN itself.
 */
#ifndef SG_CLI_GPG_H
#define SG_CLI_GPG_H

#include "buf.h"
#include "cli.h"
#include "error.h"

/*
 * A detached binary signature over the bytes by the key of this fingerprint, or its subkey that
 * signs. With --batch nobody is asked for a passphrase. SG_ERR_KEY_ABSENT, SG_ERR_PIN_CANCELLED,
 * SG_ERR_PIN_WRONG, SG_ERR_PIN_NEEDED, SG_ERR_UNSUPPORTED (no gpg), SG_ERR_TOKEN_FAILED; all told.
 * SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_gpg_sign(struct sg_cli *cli, const char *fingerprint,
    const struct sg_blob *bytes, struct sg_blob *signature);

#endif
