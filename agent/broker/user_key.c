#include "user_key.h"

#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "call_key.h"
#include "json.h"
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

static void stored(
    struct sg_call *call, struct sg_cert_info *cert, const struct sg_msg_error *why_not)
{
	int err;

	if (why_not != NULL) {
		sg_log(SG_LOG_INFO, "%s: the agent alone keeps the user key's certificate: %s",
		    call->account->row.jid, sg_failure_text(why_not));
		record(call);
		return;
	}
	if (cert == NULL || cert->uri == NULL) {
		sg_call_fail_with(call, SG_ERR_INTERNAL, sg_key_ref_info(&call->key)->uri,
		    "the token did not say where it stored the certificate");
		return;
	}
	err = take_stored(call->state, &call->key.objects, cert);
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		record(call);
}

static void store(struct sg_call *call)
{
	const struct user_key *user = call->state;

	sg_call_store_cert(call, &user->cert, stored);
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
