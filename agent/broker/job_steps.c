/* What the states of jobs have in common. */
#include "jobs.h"

#include <string.h>

#include "ccm2.h"
#include "cert_protocol.h"
#include "json.h"
#include "online.h"

int sg_job_may_go_offline(struct sg_call *call)
{
	struct sg_job *job = call->state;
	const struct sg_account *account = call->account;

	/* One of the calls is the job's own. */
	if (!job->is_alone || !TAILQ_EMPTY(&job->waiters) || account->calls == 1 ||
	    account->state == SG_ACCOUNT_OFFLINE)
		return 1;
	job->is_held = 1;
	sg_call_fail_with(call, SG_ERR_BUSY, account->row.jid,
	    "something else is at work with the connection of %s", account->row.jid);
	return 0;
}

void sg_job_go_offline(struct sg_call *call, sg_verb_fn *next)
{
	struct sg_job *job = call->state;

	job->was_online |= call->account->is_wanted;
	call->next = next;
	sg_account_go_offline(call->account, sg_call_continue, call);
}

void sg_job_tell(struct sg_call *call, const char *step, const char *text)
{
	sg_call_progress(call, json_pack("{s:s, s:o}", "step", step, "text", sg_json_text(text)));
}

static void on_features(struct sg_call *call, void *answer)
{
	const struct sg_msg_xmpp_feature_set *set = answer;
	struct sg_job *job = call->state;

	job->features_known = 1;
	sg_account_note_features(call->account, set);
	job->can_add = sg_cert_protocol_can(set, SG_NS_CCM2_ADD);
	job->can_list = sg_cert_protocol_can(set, SG_NS_CCM2_LIST);
	job->can_revoke = sg_cert_protocol_can(set, SG_NS_CCM2_REVOKE);
	call->next(call);
}

static void ask_features(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };
	const struct sg_job *job = call->state;

	call->next = job->next;
	if (job->features_known)
		call->next(call);
	else
		sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, on_features);
}

void sg_job_go_online(struct sg_call *call, sg_verb_fn *next)
{
	struct sg_job *job = call->state;

	job->next = next;
	sg_call_go_online(call, ask_features);
}

int sg_job_is_managed(struct sg_call *call)
{
	const struct sg_job *job = call->state;
	const struct sg_account *account = job->account;

	if (!job->can_add && !job->can_list && !job->can_revoke) {
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_CCM2_REVOKE,
		    "the server of %s does not manage certificates now", job->row.jid);
		return 0;
	}
	/* Prosody, started anew, has what an authority offers one after the other. */
	if ((account->had_list && !job->can_list) || (account->had_revoke && !job->can_revoke)) {
		sg_call_advise(call, SG_ERR_FEATURE,
		    "It may be starting: the agent tries again by itself. Where that is so for "
		    "good, start signetd anew.");
		sg_call_fail_with(call, SG_ERR_FEATURE,
		    job->can_list ? SG_NS_CCM2_REVOKE : SG_NS_CCM2_LIST,
		    "the server of %s does not %s certificates now, as it did before", job->row.jid,
		    job->can_list ? "revoke" : "list");
		return 0;
	}
	return 1;
}

void sg_job_ask_revoke(struct sg_call *call, char *sha256, sg_answer_fn *fn)
{
	const struct sg_msg_ccm2_revoke msg = { .sha256 = sha256 };

	if (sg_call_is_online(call))
		sg_worker_request(
		    call->account->worker, SG_MSG_CCM2_REVOKE, &msg, -1, SG_XMPP_SECONDS, fn, call);
}

int sg_job_is_final(const struct sg_msg_error *error)
{
	static const char *const passing[] = { "internal-server-error", "remote-server-timeout",
		"remote-server-not-found", "service-unavailable", "recipient-unavailable" };
	int code = sg_msg_error_code(error);

	if (code == SG_ERR_FORMAT || code == SG_ERR_LIMIT || code == SG_ERR_CERT_REFUSED)
		return 1;
	if (code != SG_ERR_STANZA || error->condition == NULL)
		return 0;
	for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
		if (strcmp(error->condition, passing[i]) == 0)
			return 0;
	}
	return 1;
}

int sg_job_is_gone(const struct sg_msg_error *error)
{
	return sg_msg_error_is(error, SG_ERR_STANZA, "item-not-found");
}
