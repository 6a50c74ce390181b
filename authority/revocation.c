#include "revocation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/pem.h>

#include "file.h"
#include "kept.h"
#include "log.h"
#include "x509.h"

#define PUBLIC_MODE 0644 /* the XMPP server is another user, and nothing in them is secret */

static int add_line(void *arg, const struct sg_ledger_row *row)
{
	return fprintf(arg, "%s\n", row->sha256) > 0 ? 0 : SG_ERR_NOMEM;
}

void sg_published_clear(struct sg_published *published)
{
	sg_buf_clear(&published->kept);
	memset(published, 0, sizeof(*published));
}

static int look_once(const struct sg_authority_config *config, struct sg_ledger *ledger, time_t now,
    struct sg_published *published)
{
	int err = 0;

	if (!published->is_kept_read) {
		sg_buf_clear(&published->kept);
		err = sg_kept_read(config->revoked, ledger, now, &published->kept);
		published->is_kept_read = err == 0;
	}
	return err;
}

/* All that were ever revoked, however many: an entry never leaves this list. New in *text. */
static int list_text(
    struct sg_ledger *ledger, const struct sg_published *published, char **text, size_t *len)
{
	FILE *out = open_memstream(text, len);
	int err;

	if (out == NULL)
		return SG_ERR_NOMEM;
	err = sg_ledger_each_revoked(ledger, 0, add_line, out);
	if (err == 0 && published->kept.len > 0)
		err = fwrite(published->kept.data, published->kept.len, 1, out) == 1 ? 0
										     : SG_ERR_NOMEM;
	if (fclose(out) != 0 && err == 0)
		err = SG_ERR_NOMEM;
	return err;
}

int sg_revocation_publish_list(const struct sg_authority_config *config, struct sg_ledger *ledger,
    time_t now, struct sg_published *published)
{
	char *text = NULL;
	size_t len = 0;
	int lock, err = sg_file_lock(config->revoked, &lock);

	/* read after the lock is ours: what another process wrote before, it wrote from an older ledger */
	if (err == 0)
		err = look_once(config, ledger, now, published);
	if (err == 0)
		err = list_text(ledger, published, &text, &len);
	if (err == 0)
		err = sg_file_replace(config->revoked, text, len, PUBLIC_MODE);
	if (err == 0)
		published->list_at = now;
	free(text);
	if (lock >= 0)
		close(lock);
	return err;
}

/*
 * Unless there is one of a higher number: that number was taken later, and the ledger was read after that. What
 * is revoked after that is followed by a CRL of a number yet higher. *there: the one that is there now.
 */
static int replace_crl(
    const char *path, const char *pem, const struct sg_crl_facts *ours, struct sg_crl_facts *there)
{
	int lock, err = sg_file_lock(path, &lock);

	if (err != 0)
		return err;
	*there = sg_crl_look(path);
	if (there->number < ours->number) {
		err = sg_file_replace(path, pem, strlen(pem), PUBLIC_MODE);
		*there = *ours;
	}
	close(lock);
	return err;
}

static int publish_crl(const struct sg_authority_config *config, struct sg_ledger *ledger,
    struct sg_signer *signer, time_t now, struct sg_published *published)
{
	struct sg_blob tbs = { 0 }, der = { 0 };
	struct sg_crl_facts there = { 0 },
			    ours = { .at = now, .until = now + (time_t)SG_CRL_DAYS * 86400 };
	char *pem = NULL;
	X509 *ca;
	int err;

	err = sg_signer_ca(signer, &ca);
	if (err == 0)
		err = sg_ledger_next_crl(ledger, sg_crl_look(config->crl).number, &ours.number);
	if (err == 0)
		err = sg_crl_tbs(ledger, ca, ours.number, now, &tbs);
	if (err == 0)
		err = sg_signer_sign(signer, SG_CA_CRL, &tbs, &der);
	if (err == 0 && (pem = sg_x509_pem(PEM_STRING_X509_CRL, &der)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = replace_crl(config->crl, pem, &ours, &there);
	if (err == 0) {
		if (there.number == ours.number)
			sg_log(SG_LOG_INFO, "crl number=%u written", ours.number);
		else
			sg_log(SG_LOG_INFO, "crl number=%u left: a later one, %u, is there",
			    ours.number, there.number);
		published->crl = there;
	}
	free(pem);
	sg_blob_clear(&tbs);
	sg_blob_clear(&der);
	return err;
}

int sg_revocation_publish(const struct sg_authority_config *config, struct sg_ledger *ledger,
    struct sg_signer *signer, time_t now, struct sg_published *published)
{
	int err = sg_revocation_publish_list(config, ledger, now, published);

	return err != 0 ? err : publish_crl(config, ledger, signer, now, published);
}
