#include "crl.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "log.h"
#include "shell.h"
#include "x509.h"

/* No reason code: 'unspecified' is said by leaving it out (RFC 5280 5.3.1). */
static int add_revoked(void *arg, const struct sg_ledger_row *row)
{
	X509_CRL *crl = arg;
	X509_REVOKED *revoked = X509_REVOKED_new();
	BIGNUM *number = BN_bin2bn(row->serial, SG_SERIAL_LEN, NULL);
	ASN1_INTEGER *serial = number != NULL ? BN_to_ASN1_INTEGER(number, NULL) : NULL;
	ASN1_TIME *when = ASN1_TIME_adj(NULL, row->revoked_at, 0, 0);
	int ok;

	ok = revoked != NULL && serial != NULL && when != NULL &&
	    X509_REVOKED_set_serialNumber(revoked, serial) &&
	    X509_REVOKED_set_revocationDate(revoked, when) && X509_CRL_add0_revoked(crl, revoked);
	if (!ok)
		X509_REVOKED_free(revoked);
	ASN1_TIME_free(when);
	ASN1_INTEGER_free(serial);
	BN_free(number);
	return ok ? 0 : SG_ERR_INTERNAL;
}

static int set_times(X509_CRL *crl, time_t now)
{
	ASN1_TIME *this_update = ASN1_TIME_adj(NULL, now, 0, 0);
	ASN1_TIME *next_update = ASN1_TIME_adj(NULL, now, SG_CRL_DAYS, 0);
	int ok = this_update != NULL && next_update != NULL &&
	    X509_CRL_set1_lastUpdate(crl, this_update) &&
	    X509_CRL_set1_nextUpdate(crl, next_update);

	ASN1_TIME_free(this_update);
	ASN1_TIME_free(next_update);
	return ok ? 0 : SG_ERR_INTERNAL;
}

static int add_extensions(X509_CRL *crl, X509 *ca, uint32_t number)
{
	X509V3_CTX ctx;
	X509_EXTENSION *authority;
	ASN1_INTEGER *value = ASN1_INTEGER_new();
	int ok;

	X509V3_set_ctx(&ctx, ca, NULL, NULL, crl, 0);
	authority = X509V3_EXT_conf_nid(NULL, &ctx, NID_authority_key_identifier, "keyid:always");
	ok = authority != NULL && value != NULL && ASN1_INTEGER_set_uint64(value, number) &&
	    X509_CRL_add_ext(crl, authority, -1) &&
	    X509_CRL_add1_ext_i2d(crl, NID_crl_number, value, 0, 0) == 1;
	X509_EXTENSION_free(authority);
	ASN1_INTEGER_free(value);
	return ok ? 0 : SG_ERR_INTERNAL;
}

int sg_crl_tbs(struct sg_ledger *ledger, X509 *ca, uint32_t number, time_t now, struct sg_blob *tbs)
{
	const time_t from = now - (time_t)SG_CRL_DAYS * 86400;
	X509_CRL *crl = NULL;
	int err;

	memset(tbs, 0, sizeof(*tbs));
	err = sg_shell_crl(ca, &crl);
	if (err == 0 && !X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)))
		err = SG_ERR_INTERNAL;
	if (err == 0)
		err = set_times(crl, now);
	if (err == 0)
		err = add_extensions(crl, ca, number);
	if (err == 0)
		err = sg_ledger_each_revoked(ledger, from, add_revoked, crl);
	if (err == 0)
		err = sg_shell_crl_tbs(crl, tbs);
	if (err != 0)
		sg_log(SG_LOG_ERROR, "crl: the list could not be made: %s", sg_err_text(err));
	X509_CRL_free(crl);
	ERR_clear_error();
	return err;
}

static time_t seconds(const ASN1_TIME *time)
{
	return time != NULL ? (time_t)sg_x509_seconds(time) : 0;
}

struct sg_crl_facts sg_crl_look(const char *path)
{
	BIO *bio = BIO_new_file(path, "re");
	X509_CRL *crl = bio != NULL ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
	ASN1_INTEGER *value =
	    crl != NULL ? X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL) : NULL;
	struct sg_crl_facts facts = { 0 };
	uint64_t number = 0;

	if (value != NULL && ASN1_INTEGER_get_uint64(&number, value) && number <= UINT32_MAX) {
		facts.number = (uint32_t)number;
		facts.at = seconds(X509_CRL_get0_lastUpdate(crl));
		facts.until = seconds(X509_CRL_get0_nextUpdate(crl));
	}
	ASN1_INTEGER_free(value);
	X509_CRL_free(crl);
	BIO_free(bio);
	ERR_clear_error();
	return facts;
}
