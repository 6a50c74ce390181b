#include "reconcile.h"

#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "shell_word.h"
#include "x509.h"

/* An authority of ours ends a list under 384 KiB; one entry may have up to 64 KiB (C3). */
#define LIST_WHOLE_MAX (320u << 10)
#define ENTRY_MAX      256 /* bytes of an entry beside its certificate, name and users */

static const struct {
	const char *name;
	const char *text;
} states[SG_CERT_STATES] = {
	[SG_CERT_CURRENT] = { "current", "the account logs in with it" },
	[SG_CERT_SPARE] = { "spare", "the account can log in with it, too" },
	[SG_CERT_EXPIRED] = { "expired", "its time is over" },
	[SG_CERT_ORPHAN] = { "orphan", "it is of no use to this agent" },
	[SG_CERT_UNCLAIMED] = { "unclaimed",
	    "it was issued for a key of this agent, which never got it" },
	[SG_CERT_UNKNOWN] = { "unknown",
	    "it was issued for a key that this agent does not know; "
	    "revoke it unless another client uses it" },
	[SG_CERT_REVOKED] = { "revoked", "it is revoked" },
	[SG_CERT_REVOKED_ELSEWHERE] = { "revoked_elsewhere",
	    "the server does not list it any more: it was revoked, but not by this agent" },
	[SG_CERT_UNREVOKED] = { "unrevoked", "it was revoked, and the server lists it again" },
	[SG_CERT_KEYLESS] = { "keyless", "its key is no more on its token" },
	[SG_CERT_UNSURE] = { "unsure",
	    "it lies on a token, and whether it is of use is not known without the server's list" },
};

const char *sg_cert_state_name(enum sg_cert_state state)
{
	return states[state].name;
}

char *sg_reconcile_text(const struct sg_held_cert *cert, enum sg_cert_state state)
{
	struct sg_buf text = { 0 };

	if (cert->is_leaving)
		sg_buf_put_str(&text, "it is being revoked, and the server has not answered yet");
	else if (state == SG_CERT_UNCLAIMED && cert->unfit != NULL)
		sg_buf_printf(&text,
		    "it was issued for a key of this agent, which does not take it: %s",
		    cert->unfit);
	else
		sg_buf_put_str(&text, states[state].text);
	return sg_buf_steal(&text, NULL);
}

/* Whether its key can be worked with, now or once its token is here. */
static int has_key(const struct sg_held_cert *cert)
{
	return cert->key == SG_KEY_HERE || cert->key == SG_KEY_HIDDEN || cert->key == SG_KEY_AWAY;
}

/* The account cannot log in with it: it needs another for this key, or is better off without it. */
static enum sg_cert_step replace_or_remove(const struct sg_held_cert *cert)
{
	return cert->is_current && has_key(cert) ? SG_STEP_ENROL : SG_STEP_REMOVE;
}

static struct sg_reconciled of_expired(const struct sg_held_cert *cert)
{
	if (cert->is_current || cert->is_object || (cert->is_stored && !cert->is_revoked))
		return (struct sg_reconciled){ SG_CERT_EXPIRED, replace_or_remove(cert) };
	/* Its time is over for the server, too. */
	return (struct sg_reconciled){ cert->is_stored ? SG_CERT_REVOKED : SG_CERT_EXPIRED,
		SG_STEP_NONE };
}

static struct sg_reconciled of_revoked(const struct sg_held_cert *cert)
{
	if (cert->is_listed)
		return (struct sg_reconciled){ SG_CERT_UNREVOKED, SG_STEP_REVOKE };
	if (cert->is_current || cert->is_object)
		return (struct sg_reconciled){ SG_CERT_REVOKED, replace_or_remove(cert) };
	return (struct sg_reconciled){ SG_CERT_REVOKED, SG_STEP_NONE };
}

static struct sg_reconciled of_stored(const struct sg_held_cert *cert, enum sg_list_state list)
{
	if (!cert->is_listed && list == SG_LIST_WHOLE)
		return (struct sg_reconciled){ SG_CERT_REVOKED_ELSEWHERE, replace_or_remove(cert) };
	if (cert->key == SG_KEY_GONE)
		return (struct sg_reconciled){ SG_CERT_KEYLESS, SG_STEP_REVOKE };
	if (cert->is_current)
		return (struct sg_reconciled){ SG_CERT_CURRENT, SG_STEP_NONE };
	if (cert->key == SG_KEY_UNKNOWN)
		return (struct sg_reconciled){ SG_CERT_ORPHAN, SG_STEP_REVOKE };
	return (struct sg_reconciled){ SG_CERT_SPARE, SG_STEP_NONE };
}

static struct sg_reconciled of_listed(const struct sg_held_cert *cert)
{
	if (has_key(cert))
		return (struct sg_reconciled){ SG_CERT_UNCLAIMED,
			cert->unfit == NULL ? SG_STEP_ADOPT : SG_STEP_REVOKE };
	if (cert->key == SG_KEY_GONE)
		return (struct sg_reconciled){ SG_CERT_ORPHAN, SG_STEP_REVOKE };
	return (struct sg_reconciled){ SG_CERT_UNKNOWN, SG_STEP_REVOKE };
}

static struct sg_reconciled of_one(
    const struct sg_held_cert *cert, enum sg_list_state list, int64_t now)
{
	if (cert->not_after < now)
		return of_expired(cert);
	if (cert->is_stored && cert->is_revoked)
		return of_revoked(cert);
	if (cert->is_stored)
		return of_stored(cert, list);
	if (cert->is_listed)
		return of_listed(cert);
	if (list == SG_LIST_WHOLE)
		return (struct sg_reconciled){ SG_CERT_ORPHAN, SG_STEP_REMOVE };
	return (struct sg_reconciled){ SG_CERT_UNSURE, SG_STEP_NONE };
}

struct sg_reconciled sg_reconcile(const struct sg_held_cert *cert, enum sg_list_state list,
    int64_t now, const struct sg_held_cert *spare)
{
	struct sg_reconciled is = of_one(cert, list, now);

	if (cert->is_leaving) {
		is.step = SG_STEP_REVOKE;
		return is;
	}
	/* A login without a password comes first; what it leaves behind has a step of its own then. */
	if (cert->is_current && is.step != SG_STEP_NONE && is.state != SG_CERT_UNREVOKED &&
	    spare != NULL)
		is.step = SG_STEP_USE;
	return is;
}

/* Whether it is the better spare: what is seen goes before what a locked token hides. */
static int is_better(const struct sg_held_cert *cert, const struct sg_held_cert *than)
{
	if (than == NULL || cert->key != than->key)
		return than == NULL || cert->key == SG_KEY_HERE;
	return cert->not_after > than->not_after;
}

const struct sg_held_cert *sg_reconcile_spare(
    const struct sg_held_certs *held, enum sg_list_state list, int64_t now)
{
	const struct sg_held_cert *best = NULL;

	for (size_t i = 0; i < held->count; i++) {
		const struct sg_held_cert *cert = held->certs[i];

		if ((cert->key == SG_KEY_HERE || cert->key == SG_KEY_HIDDEN) && !cert->is_leaving &&
		    of_one(cert, list, now).state == SG_CERT_SPARE && is_better(cert, best))
			best = cert;
	}
	return best;
}

int sg_reconcile_is_cut(const struct sg_msg_ccm2_certs *certs)
{
	size_t size = 0;

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		const struct sg_ccm2_cert *cert = &certs->certs[i];

		size += cert->der.len / 3 * 4 + ENTRY_MAX;
		size += cert->name != NULL ? 6 * strlen(cert->name) : 0;
		for (uint32_t k = 0; k < cert->user_count; k++)
			size += 6 * strlen(cert->users[k]) + sizeof("<resource></resource>");
	}
	return size > LIST_WHOLE_MAX || certs->cert_count >= SG_CCM2_LIST_MAX;
}

const struct sg_ccm2_cert *sg_reconcile_entry(
    const struct sg_msg_ccm2_certs *certs, const char *sha256)
{
	const struct sg_ccm2_cert *entry = NULL;

	for (uint32_t i = 0; i < certs->cert_count && entry == NULL; i++) {
		char *its = sg_x509_fingerprint(&certs->certs[i].der, "sha256");

		if (its != NULL && strcmp(its, sha256) == 0)
			entry = &certs->certs[i];
		free(its);
	}
	return entry;
}

int sg_reconcile_may_list(const struct sg_msg_ccm2_certs *certs, const char *sha256)
{
	return certs->unread > 0 || sg_reconcile_is_cut(certs) ||
	    sg_reconcile_entry(certs, sha256) != NULL;
}

/* "signet WORDS JID OPTION 'ARGUMENT'"; an option that is NULL is left out. NULL when out of memory. */
static char *command(const char *words, const char *jid, const char *option, const char *argument)
{
	struct sg_buf text = { 0 };

	sg_buf_printf(&text, "signet %s ", words);
	sg_shell_word_put(&text, jid);
	if (option != NULL)
		sg_buf_printf(&text, " %s", option);
	sg_buf_put_str(&text, " ");
	sg_shell_word_put(&text, argument);
	return sg_buf_steal(&text, NULL);
}

char *sg_reconcile_command(enum sg_cert_step step, const char *jid, const struct sg_held_cert *cert,
    const struct sg_held_cert *spare)
{
	switch (step) {
	case SG_STEP_REVOKE:
		return command("cert revoke", jid, NULL, cert->sha256);
	case SG_STEP_REMOVE:
		return command("cert remove", jid, NULL, cert->sha256);
	case SG_STEP_ADOPT:
		return command("cert adopt", jid, NULL, cert->sha256);
	case SG_STEP_USE:
		return command("account connect", jid, "--key", spare->places[0]);
	case SG_STEP_ENROL:
		return command("enrol", jid, "--key", cert->places[0]);
	case SG_STEP_NONE:
		break;
	}
	return NULL;
}
