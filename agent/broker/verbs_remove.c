/* RemoveCertificate. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call.h"
#include "call_key.h"
#include "fingerprint.h"
#include "key_cache.h"
#include "log.h"
#include "survey.h"

/* call->state */
struct removal {
	struct sg_survey survey;
	char *fingerprint;
	const struct sg_held_cert *cert; /* of the survey */
};

static void removal_free(void *state)
{
	struct removal *removal = state;

	sg_survey_clear(&removal->survey);
	free(removal->fingerprint);
	free(removal);
}

/* The account forgets it, and then the store. */
static void forget(struct sg_call *call)
{
	const struct removal *removal = call->state;
	const struct sg_held_cert *cert = removal->cert;
	struct sg_account *account = call->account;
	const char *current = account->row.certificate;
	int err = 0;

	if (current != NULL && strcmp(current, cert->sha256) == 0)
		err = sg_account_set_client(account, NULL, NULL);
	if (err == 0)
		err = sg_store_cert_delete(call->agent->store, account->row.jid, cert->sha256);
	if (err != 0) {
		sg_call_fail_code(call, err, account->row.jid);
		return;
	}
	sg_log(SG_LOG_INFO, "%s: the certificate %s is removed", account->row.jid, cert->sha256);
	sg_call_reply(call, json_object());
}

static void discarded(struct sg_call *call, void *answer)
{
	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	forget(call);
}

static void key_found(struct sg_call *call)
{
	const struct removal *removal = call->state;
	const struct sg_msg_cert_discard msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.der = removal->cert->der,
	};

	sg_call_ask_key(call, SG_MSG_CERT_DISCARD, &msg, SG_TOKEN_SECONDS, discarded);
}

/* From its token, where that has it and is in reach; then from the store. */
static void take_away(struct sg_call *call)
{
	const struct sg_held_cert *cert = ((const struct removal *)call->state)->cert;

	if (cert->is_object)
		sg_call_use_key(call, cert->places[0], key_found);
	else
		forget(call);
}

/* What cannot log in any more; else the call fails. */
static void take_away_if_useless(struct sg_call *call)
{
	const struct removal *removal = call->state;
	const struct sg_survey *survey = &removal->survey;

	if (!removal->cert->is_listed && survey->list == SG_LIST_WHOLE) {
		take_away(call);
		return;
	}
	if (!removal->cert->is_listed && survey->unlisted.code != 0) {
		sg_call_fail(call, &survey->unlisted);
		return;
	}
	sg_call_advise(call, SG_ERR_DENIED, "Revoke it first: `signet cert revoke`.");
	sg_call_fail_with(call, SG_ERR_DENIED, removal->fingerprint,
	    removal->cert->is_listed
		? "the certificate %s can log in: the server lists it"
		: "the server's list may be cut: whether %s can log in is not known",
	    removal->fingerprint);
}

/* As the tokens and the server have it. */
static void surveyed(struct sg_call *call)
{
	struct removal *removal = call->state;

	removal->cert = sg_held_certs_find(&removal->survey.held, removal->fingerprint);
	if (removal->cert == NULL || (!removal->cert->is_stored && !removal->cert->is_object)) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT,
		    removal->cert == NULL
			? "`signet cert list --diff` shows the certificates that there are."
			: "The server alone lists it: `signet cert revoke` takes it off the "
			  "list.");
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, removal->fingerprint,
		    "neither this agent nor a token has the certificate %s", removal->fingerprint);
	} else if (removal->cert->not_after < removal->survey.now) {
		take_away(call);
	} else {
		take_away_if_useless(call);
	}
}

/* What has expired, or is noted as revoked, needs no server. */
static void looked_at(struct sg_call *call)
{
	struct removal *removal = call->state;
	const struct sg_held_cert *cert =
	    sg_held_certs_find(&removal->survey.held, removal->fingerprint);

	if (cert != NULL && (cert->is_revoked || cert->not_after < removal->survey.now)) {
		removal->cert = cert;
		take_away(call);
	} else {
		sg_call_survey(call, &removal->survey, 1, surveyed);
	}
}

void sg_verb_remove_certificate(struct sg_call *call)
{
	struct removal *removal;
	char *fingerprint;

	if (!sg_call_take_account(call, "jid") ||
	    (fingerprint = sg_call_take_fingerprint(call, "fingerprint")) == NULL)
		return;
	removal = calloc(1, sizeof(*removal));
	if (removal == NULL) {
		free(fingerprint);
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	removal->fingerprint = fingerprint;
	call->state = removal;
	call->state_free = removal_free;
	sg_call_survey(call, &removal->survey, 0, looked_at);
}
