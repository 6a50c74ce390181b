#include "issue.h"

#include "profile.h"

#define BACKDATE_SECONDS 300 /* clocks of clients that are behind (C4 allows as much) */

int sg_issue_start(
    struct sg_issue *issue, struct sg_signer *signer, struct sg_policy *policy, X509_REQ *csr)
{
	struct sg_cert_wish wish = { .csr = csr, .account = issue->account };
	int err;

	issue->issued_at = time(NULL);
	wish.serial = issue->serial;
	wish.not_before = issue->issued_at - BACKDATE_SECONDS;
	err = sg_profile_serial(issue->serial);
	if (err == 0)
		err = sg_signer_ca(signer, &wish.ca);
	if (err == 0)
		err = sg_policy_not_after(policy, wish.ca, issue->issued_at, &wish.not_after);
	if (err == 0)
		err = sg_profile_certificate(&wish, &issue->tbs);
	if (err == 0)
		err = sg_signer_begin(signer, SG_CA_CERT, &issue->tbs, &issue->ticket);
	issue->not_after = wish.not_after;
	return err;
}

/*
 * If the worker died, each is handed to another once: nothing that it made has been used by anybody. Where that
 * does no good, or the token hangs, the rest need not be tried.
 */
static void take_signatures(struct sg_issue *const *issues, size_t count, struct sg_signer *signer)
{
	int lost = 0;

	for (size_t i = 0; i < count; i++) {
		struct sg_issue *issue = issues[i];

		issue->err = sg_signer_end(signer, SG_CA_CERT, issue->ticket, &issue->der);
		if (issue->err == SG_ERR_WORKER)
			issue->err = lost != 0
			    ? lost
			    : sg_signer_sign(signer, SG_CA_CERT, &issue->tbs, &issue->der);
		if (issue->err == SG_ERR_WORKER || issue->err == SG_ERR_TIMEOUT)
			lost = issue->err;
	}
}

static struct sg_ledger_entry entry_of(const struct sg_issue *issue)
{
	return (struct sg_ledger_entry){
		.serial = issue->serial,
		.account = issue->account,
		.name = issue->name,
		.der = &issue->der,
		.csr_sha256 = issue->csr_sha256,
		.issued_at = issue->issued_at,
		.not_after = issue->not_after,
	};
}

static void take_outcome(struct sg_issue *issue, struct sg_ledger_entry *entry, int err)
{
	issue->err = err;
	issue->outcome = entry->outcome;
	if (err == 0 && entry->outcome == SG_LEDGER_ADDED)
		return;
	sg_blob_clear(&issue->der);
	issue->der = entry->der_before;
	if (err == 0 && entry->outcome == SG_LEDGER_SERIAL_USED)
		issue->err = SG_ERR_BUSY; /* one of 2^159: asking again gives another */
}

void sg_issue_finish(struct sg_issue *const *issues, size_t count, struct sg_signer *signer,
    struct sg_ledger *ledger, uint32_t limit)
{
	struct sg_ledger_entry entries[SG_LEDGER_ADD_MAX];
	size_t signed_count = 0, next = 0;
	int err = 0;

	take_signatures(issues, count, signer);
	for (size_t i = 0; i < count; i++)
		if (issues[i]->err == 0)
			entries[signed_count++] = entry_of(issues[i]);
	if (signed_count != 0)
		err = sg_ledger_add(ledger, entries, signed_count, limit);
	for (size_t i = 0; i < count; i++)
		if (issues[i]->err == 0)
			take_outcome(issues[i], &entries[next++], err);
}

void sg_issue_clear(struct sg_issue *issue)
{
	sg_blob_clear(&issue->tbs);
	sg_blob_clear(&issue->der);
}
