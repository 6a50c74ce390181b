#include "gpg.h"

#include <locale.h>

#include <gpgme.h>

#include "pgp.h"

/* What gpg said, in our words: the code. */
static int fail(struct sg_cli *cli, gpgme_error_t error, const char *fingerprint)
{
	switch (gpgme_err_code(error)) {
	case GPG_ERR_ENOMEM:
		return SG_ERR_NOMEM;
	case GPG_ERR_INV_ENGINE:
	case GPG_ERR_UNSUPPORTED_PROTOCOL:
		return sg_cli_fail(cli, SG_ERR_UNSUPPORTED, "Install gpg, which has the key.",
		    "there is no gpg to sign with");
	case GPG_ERR_EOF: /* of gpgme_get_key(): there is none */
	case GPG_ERR_NOT_FOUND:
	case GPG_ERR_NO_SECKEY:
	case GPG_ERR_UNUSABLE_SECKEY:
	case GPG_ERR_NO_PUBKEY:
		return sg_cli_fail(cli, SG_ERR_KEY_ABSENT,
		    "`gpg --list-secret-keys` shows those that can sign.",
		    "gpg has no secret key %s that can sign", fingerprint);
	case GPG_ERR_CANCELED:
	case GPG_ERR_FULLY_CANCELED:
		return sg_cli_fail(cli, SG_ERR_PIN_CANCELLED, NULL,
		    "gpg's question for %s was cancelled", fingerprint);
	case GPG_ERR_BAD_PASSPHRASE:
	case GPG_ERR_BAD_PIN:
		return sg_cli_fail(cli, SG_ERR_PIN_WRONG, NULL,
		    "gpg was given a wrong passphrase or PIN for %s", fingerprint);
	case GPG_ERR_NO_PIN_ENTRY:
	case GPG_ERR_NO_PASSPHRASE:
		return sg_cli_fail(cli, SG_ERR_PIN_NEEDED,
		    "Leave --batch out, or have gpg's agent know the passphrase already.",
		    "gpg needs a passphrase or PIN for %s, and may not ask for it", fingerprint);
	default:
		return sg_cli_fail(cli, SG_ERR_TOKEN_FAILED,
		    "`gpg --detach-sign` with this key may say more.",
		    "gpg cannot sign with %s: %s", fingerprint, gpgme_strerror(error));
	}
}

static gpgme_error_t sign(
    gpgme_ctx_t ctx, const char *fingerprint, const struct sg_blob *bytes, gpgme_data_t *signature)
{
	gpgme_data_t data = NULL;
	gpgme_key_t key = NULL;
	gpgme_error_t error = gpgme_get_key(ctx, fingerprint, &key, 1);

	if (error == 0)
		error = gpgme_signers_add(ctx, key);
	if (error == 0)
		error = gpgme_data_new_from_mem(&data, (const char *)bytes->data, bytes->len, 0);
	if (error == 0)
		error = gpgme_data_new(signature);
	if (error == 0)
		error = gpgme_op_sign(ctx, data, *signature, GPGME_SIG_MODE_DETACH);
	gpgme_key_unref(key);
	gpgme_data_release(data);
	return error;
}

static int take(gpgme_data_t data, struct sg_blob *signature)
{
	unsigned char bytes[SG_PGP_SIGNATURE_MAX];
	ssize_t len = -1;

	if (gpgme_data_seek(data, 0, SEEK_SET) == 0)
		len = gpgme_data_read(data, bytes, sizeof(bytes));
	return len > 0 ? sg_blob_set(signature, bytes, (size_t)len) : SG_ERR_INTERNAL;
}

int sg_gpg_sign(struct sg_cli *cli, const char *fingerprint, const struct sg_blob *bytes,
    struct sg_blob *signature)
{
	gpgme_ctx_t ctx = NULL;
	gpgme_data_t data = NULL;
	gpgme_error_t error;
	int err = 0;

	*signature = (struct sg_blob){ NULL, 0 };
	(void)gpgme_check_version(NULL); /* this sets gpgme up */
	(void)gpgme_set_locale(NULL, LC_CTYPE, setlocale(LC_CTYPE, NULL));
	error = gpgme_new(&ctx);
	if (error == 0)
		error = gpgme_set_protocol(ctx, GPGME_PROTOCOL_OpenPGP);
	if (error == 0 && !sg_cli_interactive(cli))
		error = gpgme_set_pinentry_mode(ctx, GPGME_PINENTRY_MODE_ERROR);
	if (error == 0)
		error = sign(ctx, fingerprint, bytes, &data);
	err = error == 0 ? take(data, signature) : fail(cli, error, fingerprint);
	gpgme_data_release(data);
	gpgme_release(ctx);
	return err;
}
