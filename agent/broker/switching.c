#include "switching.h"

#include <stdlib.h>

#include "jobs.h"
#include "log.h"
#include "online.h"
#include "text.h"

struct switching {
	struct sg_account *account;
	const struct sg_caller *caller;
	struct sg_pin *pin;
	char *old_key;
	char *old_certificate;
	sg_done_fn *fn;
	void *arg;
};

static void switching_end(struct switching *switching, const struct sg_msg_error *error)
{
	struct sg_account *account = switching->account;
	sg_done_fn *fn = switching->fn;
	void *arg = switching->arg;

	account->switching = 0;
	free(switching->old_key);
	free(switching->old_certificate);
	free(switching);
	fn(arg, error);
	sg_account_unref(account);
}

static void switch_back(struct switching *switching, const struct sg_msg_error *error)
{
	struct sg_account *account = switching->account;

	if (sg_account_set_client(account, switching->old_key, switching->old_certificate) != 0)
		sg_log(SG_LOG_ERROR, "%s: its former certificate could not be set again",
		    account->row.jid);
	switching_end(switching, error);
}

static void on_online(void *arg, const struct sg_msg_error *error)
{
	struct switching *switching = arg;
	const struct sg_account *account = switching->account;
	struct sg_msg_error other = { 0 };

	if (error != NULL) {
		switch_back(switching, error);
	} else if (!sg_account_is_logged_in_with(account, account->row.certificate)) {
		/* Another call was quicker to connect, and with a password. */
		sg_msg_error_set(&other, SG_ERR_AUTH, account->row.jid,
		    "the login that was to prove the certificate was not made with it");
		switch_back(switching, &other);
		sg_failure_clear(&other);
	} else {
		sg_log(SG_LOG_INFO, "%s goes on with the certificate %s", account->row.jid,
		    account->row.certificate);
		switching_end(switching, NULL);
	}
}

static void on_offline(void *arg, const struct sg_msg_error *error)
{
	struct switching *switching = arg;

	if (error != NULL)
		switch_back(switching, error);
	else
		sg_account_go_online(switching->account, switching->caller, -1, switching->pin,
		    on_online, switching);
}

static void refuse(
    struct sg_account *account, int code, const char *text, sg_done_fn *fn, void *arg)
{
	struct sg_msg_error error = { 0 };

	sg_msg_error_set(&error, code, account->row.jid, "%s", text);
	fn(arg, &error);
	sg_failure_clear(&error);
}

void sg_account_switch(struct sg_account *account, const struct sg_caller *caller,
    struct sg_pin *pin, const char *key_uri, const char *sha256, sg_done_fn *fn, void *arg)
{
	struct switching *switching;
	int err;

	if (account->switching || sg_job_of_certificate(account) != NULL) {
		refuse(account, SG_ERR_BUSY,
		    account->switching ? "the account's certificate is just being changed"
				       : "an enrolment of the account is not finished: `signet "
					 "status` shows it, `signet enrol --cancel` undoes it",
		    fn, arg);
		return;
	}
	switching = calloc(1, sizeof(*switching));
	if (switching == NULL)
		abort(); /* the caller would wait for ever */
	*switching = (struct switching){
		.account = sg_account_ref(account),
		.caller = caller,
		.pin = pin,
		.old_key = sg_text_copy(account->row.key),
		.old_certificate = sg_text_copy(account->row.certificate),
		.fn = fn,
		.arg = arg,
	};
	account->switching = 1;
	err = sg_account_set_client(account, key_uri, sha256);
	if (err != 0) {
		struct sg_msg_error error = { 0 };

		sg_msg_error_set(&error, err, account->row.jid, "%s",
		    sg_store_failure(account->agent->store, err));
		switching_end(switching, &error);
		sg_failure_clear(&error);
		return;
	}
	sg_account_go_offline(account, on_offline, switching);
}
