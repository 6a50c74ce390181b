#include "user_key.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call_key.h"
#include "json.h"
#include "key_cache.h"
#include "log.h"

#define USER_CERT_DAYS 3650

struct user_key {
	struct sg_blob cert;
	char *cert_uri; /* NULL: the agent alone has it */
	sg_verb_fn *done;
};

static void user_key_free(void *state)
{
	struct user_key *user = state;

	sg_blob_clear(&user->cert);
	free(user->cert_uri);
	free(user);
}

int sg_user_key_take(struct sg_call *call)
{
	if (sg_call_flag(call, "user") && sg_call_string(call, "account") == NULL) {
		sg_call_fail_with(
		    call, SG_ERR_ARG, "account", "a user key is an account's: name the account");
		return 0;
	}
	return sg_call_string(call, "account") == NULL || sg_call_take_account(call, "account");
}

static void record(struct sg_call *call)
{
	const struct user_key *user = call->state;
	int err = sg_account_certify(call->account, SG_CERT_USER, sg_key_ref_info(&call->key)->uri,
	    &user->cert, user->cert_uri);

	if (err != 0)
		sg_call_fail_with(call, err, call->account->row.jid,
		    "the key is on the token, but the account does not have it as its user key: %s",
		    sg_store_failure(call->agent->store, err));
	else
		user->done(call);
}

/* Puts it beside the certificates that were found with the key. */
static int take_stored(struct user_key *user, struct sg_msg_objects *own, struct sg_cert_info *cert)
{
	struct sg_cert_info *certs =
	    reallocarray(own->certs, (size_t)own->cert_count + 1, sizeof(*certs));

	if (certs == NULL)
		return SG_ERR_NOMEM;
	own->certs = certs;
	user->cert_uri = strdup(cert->uri);
	if (user->cert_uri == NULL)
		return SG_ERR_NOMEM;
	own->certs[own->cert_count++] = *cert;
	memset(cert, 0, sizeof(*cert));
	return 0;
}

static void stored(struct sg_call *call, void *answer)
{
	struct sg_msg_objects *told = answer;
	int err;

	call->key_use.failed = NULL;
	sg_call_note_stored(call, NULL);
	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	if (told->cert_count != 1 || told->certs[0].uri == NULL) {
		sg_call_fail_with(call, SG_ERR_INTERNAL, sg_key_ref_info(&call->key)->uri,
		    "the token did not say where it stored the certificate");
		return;
	}
	err = take_stored(call->state, &call->key.objects, &told->certs[0]);
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		record(call);
}

/* As in an enrolment: a PIV card takes no certificate from its user, and a token may be full. */
static int not_stored(struct sg_call *call, const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	if (code != SG_ERR_UNSUPPORTED && code != SG_ERR_TOKEN_READ_ONLY &&
	    code != SG_ERR_TOKEN_FULL)
		return 0;
	call->key_use.failed = NULL;
	sg_call_note_stored(call, error);
	sg_log(SG_LOG_INFO, "%s: the agent alone keeps the user key's certificate: %s",
	    call->account->row.jid, error->message);
	record(call);
	return 1;
}

static void store(struct sg_call *call)
{
	const struct user_key *user = call->state;
	const struct sg_msg_cert_store msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.label = sg_key_ref_info(&call->key)->label,
		.der = user->cert,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	call->key_use.failed = not_stored;
	sg_call_ask_key(call, SG_MSG_CERT_STORE, &msg, SG_TOKEN_SECONDS, stored);
}

static void made(struct sg_call *call, void *answer)
{
	struct user_key *user = call->state;
	struct sg_msg_der *der = answer;

	user->cert = der->der;
	memset(der, 0, sizeof(*der));
	sg_call_use_key_again(call, store);
}

static void make(struct sg_call *call)
{
	const struct sg_msg_self_cert_make msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.jid = call->account->row.jid,
		.profile = SG_PROFILE_USER,
		.days = USER_CERT_DAYS,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	sg_call_ask_key(call, SG_MSG_SELF_CERT_MAKE, &msg, SG_TOKEN_SECONDS, made);
}

void sg_user_key_make(struct sg_call *call, sg_verb_fn *done)
{
	struct user_key *user = calloc(1, sizeof(*user));

	if (user == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	user->done = done;
	call->state = user;
	call->state_free = user_key_free;
	sg_call_use_key_again(call, make);
}

json_t *sg_user_key_certificate(const struct sg_call *call)
{
	const struct user_key *user = call->state;

	return sg_json_certificate(&user->cert, user->cert_uri);
}
