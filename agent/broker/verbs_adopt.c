/* AdoptCertificate. */
#include "verbs.h"

#include <stdlib.h>

#include "accounts.h"
#include "call.h"
#include "call_key.h"
#include "fingerprint.h"
#include "json.h"
#include "log.h"
#include "survey.h"
#include "x509.h"

/* call->state */
struct adoption {
	struct sg_survey survey;
	char *fingerprint;
	const struct sg_held_cert *cert; /* of the survey */
	char *uri;			 /* on its token, or NULL */
};

static void adoption_free(void *state)
{
	struct adoption *adoption = state;

	sg_survey_clear(&adoption->survey);
	free(adoption->fingerprint);
	free(adoption->uri);
	free(adoption);
}

static void record(struct sg_call *call)
{
	const struct adoption *adoption = call->state;
	const struct sg_held_cert *cert = adoption->cert;
	struct sg_account *account = call->account;
	int err;

	if (account->removed)
		err = SG_ERR_ACCOUNT_ABSENT;
	else if (account->row.certificate == NULL)
		err = sg_account_certify(
		    account, SG_CERT_CLIENT, cert->places[0], &cert->der, adoption->uri);
	else
		err = sg_store_cert_put(call->agent->store, account->row.jid, SG_CERT_CLIENT,
		    &cert->der, adoption->uri);
	if (err != 0) {
		sg_call_fail_code(call, err, account->row.jid);
		return;
	}
	sg_log(SG_LOG_INFO, "%s: the certificate %s is adopted", account->row.jid, cert->sha256);
	sg_call_reply(call,
	    json_pack("{s:o, s:o}", "certificate", sg_json_certificate(&cert->der, adoption->uri),
		"account", sg_json_account(account)));
}

static void stored(
    struct sg_call *call, struct sg_cert_info *cert, const struct sg_msg_error *why_not)
{
	struct adoption *adoption = call->state;

	if (cert != NULL) {
		adoption->uri = cert->uri;
		cert->uri = NULL;
	}
	record(call);
}

static void key_found(struct sg_call *call)
{
	const struct adoption *adoption = call->state;

	if (sg_call_key_fits(call, &adoption->cert->der))
		sg_call_store_cert(call, &adoption->cert->der, stored);
}

static void refuse(struct sg_call *call, int code, const char *why, const char *advice)
{
	const struct adoption *adoption = call->state;

	sg_call_advise(call, code, advice);
	sg_call_fail_with(
	    call, code, adoption->fingerprint, "the certificate %s %s", adoption->fingerprint, why);
}

static void surveyed(struct sg_call *call)
{
	struct adoption *adoption = call->state;
	const struct sg_survey *survey = &adoption->survey;
	const char *why = NULL;
	int err;

	adoption->cert = sg_held_certs_find(&survey->held, adoption->fingerprint);
	if (survey->list == SG_LIST_UNKNOWN) {
		sg_call_fail(call, &survey->unlisted);
	} else if (adoption->cert == NULL || !adoption->cert->is_listed) {
		refuse(call, SG_ERR_KEY_ABSENT, "is not one that the server lists",
		    "`signet cert list --diff` shows the certificates that there are.");
	} else if (adoption->cert->key == SG_KEY_UNKNOWN || adoption->cert->key == SG_KEY_GONE) {
		refuse(call, SG_ERR_KEY_ABSENT, "is for a key that is on no token of this agent",
		    "Put the token in that has its key, or revoke it: `signet cert revoke`.");
	} else if ((err = sg_x509_check_account(&adoption->cert->der, call->account->row.jid,
			(time_t)survey->now, &why)) != 0) {
		sg_call_fail_with(call, err, adoption->fingerprint,
		    "the certificate is refused: %s", why != NULL ? why : "it cannot be read");
	} else if (adoption->cert->key == SG_KEY_AWAY) {
		record(call); /* the token gets it no more: the agent keeps it */
	} else {
		sg_call_use_key(call, adoption->cert->places[0], key_found);
	}
}

void sg_verb_adopt_certificate(struct sg_call *call)
{
	struct adoption *adoption;
	char *fingerprint;

	if (!sg_call_take_account(call, "jid") ||
	    (fingerprint = sg_call_take_fingerprint(call, "fingerprint")) == NULL)
		return;
	adoption = calloc(1, sizeof(*adoption));
	if (adoption == NULL) {
		free(fingerprint);
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	adoption->fingerprint = fingerprint;
	call->state = adoption;
	call->state_free = adoption_free;
	sg_call_survey(call, &adoption->survey, 1, surveyed);
}
