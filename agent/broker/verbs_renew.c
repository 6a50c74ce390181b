/* Renew. */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "call_key.h"
#include "ccm2.h"
#include "jobs.h"
#include "text.h"
#include "uri.h"

#define NUMBER_MAX 9999 /* of a new key: "client 2" to "client 9999" */

static const char advice_enrol[] = "Get one with `signet enrol JID --key KEY`.";

/* ---- the job ---- */

static void fail_busy(struct sg_call *call, const struct sg_job *job)
{
	sg_call_advise(call, SG_ERR_BUSY,
	    "`signet status` shows it. `signet enrol --cancel` undoes it, as long as that is "
	    "possible.");
	sg_call_fail_with(call, SG_ERR_BUSY, job->row.jid,
	    job->undone ? "%s has a job (%s) that is still being undone"
			: "%s has a job (%s) that is not done yet",
	    job->row.jid, sg_job_kind_name(job->row.kind));
}

static void begin(struct sg_call *call, const char *key, int rekey)
{
	struct sg_job *job = sg_job_of_certificate(call->account);

	if (job != NULL) { /* another call was quicker */
		fail_busy(call, job);
		return;
	}
	job = sg_job_begin_renewal(call->account, key, sg_call_string(call, "name"));
	if (job == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	job->rekey = rekey;
	sg_job_run(job, call);
}

/* ---- a new key beside the one that there is ---- */

struct rekey {
	char *label; /* without the number at its end */
	unsigned number;
	char *uri; /* of the next that is tried */
};

static void rekey_free(void *state)
{
	struct rekey *rekey = state;

	free(rekey->label);
	free(rekey->uri);
	free(rekey);
}

static void try_label(struct sg_call *call);

/* The URI of a key on the token of the other one, with this label: a new string, or NULL. */
static char *uri_with_label(const char *other, const char *label)
{
	struct sg_buf uri = { NULL, 0, 0, 0 };
	struct sg_uri_attribute attribute;
	const char *at = sg_uri_path(other);

	sg_buf_put_str(&uri, "pkcs11:");
	while (sg_uri_next(&at, &attribute)) {
		if (attribute.which == SG_URI_OBJECT || attribute.which == SG_URI_ID ||
		    attribute.which == SG_URI_TYPE || attribute.value == NULL)
			continue;
		sg_buf_put(&uri, attribute.name, attribute.name_len);
		sg_buf_put_str(&uri, "=");
		sg_buf_put(&uri, attribute.value, attribute.value_len);
		sg_buf_put_str(&uri, ";");
	}
	sg_buf_put_str(&uri, "object=");
	sg_percent_put(&uri, label, "");
	sg_buf_put_str(&uri, ";type=private");
	return sg_buf_steal(&uri, NULL);
}

static void on_label(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct sg_call *call = arg;
	struct rekey *rekey = call->state;
	int code = error != NULL ? sg_msg_error_code(error) : 0;
	char *uri;

	if (code == 0 || code == SG_ERR_KEY_AMBIGUOUS) {
		try_label(call);
	} else if (code != SG_ERR_KEY_ABSENT) {
		sg_call_fail(call, error);
	} else {
		uri = rekey->uri;
		rekey->uri = NULL;
		call->state = NULL;
		call->state_free = NULL;
		rekey_free(rekey);
		begin(call, uri, 1);
		free(uri);
	}
}

static void try_label(struct sg_call *call)
{
	struct rekey *rekey = call->state;
	char *label = NULL;

	free(rekey->uri);
	rekey->uri = NULL;
	if (++rekey->number <= NUMBER_MAX &&
	    asprintf(&label, "%s %u", rekey->label, rekey->number) < 0)
		label = NULL;
	if (rekey->number > NUMBER_MAX || (label != NULL && strlen(label) > SG_KEY_LABEL_MAX)) {
		sg_call_fail_with(call, SG_ERR_LIMIT, sg_key_ref_info(&call->key)->uri,
		    "there is no label for a new key like the one of now: make one with `signet "
		    "key new`, and name it with --key");
	} else if (label == NULL ||
	    (rekey->uri = uri_with_label(sg_key_ref_info(&call->key)->uri, label)) == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	} else {
		sg_tokens_find_key(call->agent->tokens, &call->caller, rekey->uri, on_label, call);
	}
	free(label);
}

/* "client 2" goes on with "client 3". */
static void rekey_unlocked(struct sg_call *call)
{
	const char *label = sg_key_ref_info(&call->key)->label;
	struct rekey *rekey = calloc(1, sizeof(*rekey));
	char *space;

	if (rekey == NULL || (rekey->label = strdup(label != NULL ? label : "key")) == NULL) {
		free(rekey);
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	rekey->number = 1;
	space = strrchr(rekey->label, ' ');
	if (space != NULL && space[1] != '\0' && strlen(space) <= 5 &&
	    strspn(space + 1, "0123456789") == strlen(space + 1)) {
		rekey->number = (unsigned)strtoul(space + 1, NULL, 10);
		*space = '\0';
	}
	call->state = rekey;
	call->state_free = rekey_free;
	try_label(call);
}

/* ---- the verb ---- */

static void other_key_unlocked(struct sg_call *call)
{
	begin(call, sg_key_ref_info(&call->key)->uri, 0);
}

/* What waits goes on where it was, with what this call has brought. What is being undone is no renewal any more. */
static void go_on(struct sg_call *call, struct sg_job *job)
{
	if (job->undone)
		fail_busy(call, job);
	else
		sg_job_run(job, call);
}

static void renew_again(struct sg_call *call, struct sg_job *job)
{
	int has_new_key = job->row.key != NULL && job->row.old_key != NULL &&
	    strcmp(job->row.key, job->row.old_key) != 0;

	if (job->row.kind != SG_JOB_RENEW || (sg_call_flag(call, "rekey") && !has_new_key) ||
	    sg_call_string(call, "key") != NULL)
		fail_busy(call, job);
	else
		sg_job_when_idle(job, call, go_on);
}

/* 0 when the call has failed for them. */
static int take_arguments(struct sg_call *call)
{
	const char *name = sg_call_string(call, "name");

	if (name != NULL && !sg_utf8_is_text(name, SG_CCM2_NAME_MAX)) {
		sg_call_fail_with(call, SG_ERR_ARG, "name", "a name is a text of at most %d bytes",
		    SG_CCM2_NAME_MAX);
		return 0;
	}
	if (sg_call_flag(call, "rekey") && sg_call_string(call, "key") != NULL) {
		sg_call_fail_with(call, SG_ERR_ARG, "key",
		    "a renewal takes a key that there is, or makes a new one, not both");
		return 0;
	}
	return sg_call_take_account(call, "jid");
}

void sg_verb_renew(struct sg_call *call)
{
	const char *key = sg_call_string(call, "key");
	const struct sg_account_row *row;
	struct sg_job *job;

	if (!take_arguments(call))
		return;
	row = &call->account->row;
	job = sg_job_of_certificate(call->account);
	if (job != NULL) {
		renew_again(call, job);
	} else if (row->key == NULL || row->certificate == NULL) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT, advice_enrol);
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, row->jid,
		    "%s has no certificate that could be renewed", row->jid);
	} else if (sg_call_flag(call, "rekey")) {
		sg_call_use_key(call, row->key, rekey_unlocked);
	} else if (key != NULL) {
		sg_call_use_key(call, key, other_key_unlocked);
	} else {
		begin(call, row->key, 0);
	}
}
