/*
 * Enrol: a key gets its certificate by ccm2, and the certificate is proven by a login.
 *
 * Nothing is changed before the certificate has been judged (C4). From then on it is on the token
 * and in the store; when the login with it fails, the account gets back the key and certificate it
 * had.
 */
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "accounts.h"
#include "call.h"
#include "call_key.h"
#include "ccm2.h"
#include "disco.h"
#include "json.h"
#include "key_cache.h"
#include "log.h"
#include "online.h"
#include "text.h"
#include "x509.h"

enum enrol_state {
	ENROL_START,
	ENROL_KEY,	/* find the key, unlock its token */
	ENROL_LOGIN,	/* with the password or the current certificate */
	ENROL_FEATURES, /* C1 */
	ENROL_REQUEST,	/* the CSR, on the token (C12) */
	ENROL_ADD,	/* C3, C4 */
	ENROL_STORE,	/* on the token */
	ENROL_RECORD,	/* in the store: the account's from here on */
	ENROL_LOGOUT,
	ENROL_PROVE, /* SASL EXTERNAL with it */
	ENROL_DONE,
	ENROL_STATES,
};

struct enrol {
	enum enrol_state state;
	struct sg_account *account;
	char *name;
	struct sg_blob csr;
	struct sg_blob cert;
	char *cert_uri;
	int was_online;
	int recorded; /* the account has the new certificate, and had these before: */
	char *old_key;
	char *old_certificate;
};

static void enrol_key(struct sg_call *call);
static void enrol_login(struct sg_call *call);
static void enrol_features(struct sg_call *call);
static void enrol_request(struct sg_call *call);
static void enrol_add(struct sg_call *call);
static void enrol_store(struct sg_call *call);
static void enrol_record(struct sg_call *call);
static void enrol_logout(struct sg_call *call);
static void enrol_prove(struct sg_call *call);
static void enrol_done(struct sg_call *call);

/* A state's step, and the only state that may follow it; any state may end in failure. */
static const struct {
	const char *step;
	const char *text;
	sg_verb_fn *enter;
	enum enrol_state next;
} enrol_table[ENROL_STATES] = {
	[ENROL_START] = { "start", NULL, NULL, ENROL_KEY },
	[ENROL_KEY] = { "key", "looking for the key", enrol_key, ENROL_LOGIN },
	[ENROL_LOGIN] = { "login", "logging in", enrol_login, ENROL_FEATURES },
	[ENROL_FEATURES] = { "features", NULL, enrol_features, ENROL_REQUEST },
	[ENROL_REQUEST] = { "request", "making the request on the token", enrol_request,
	    ENROL_ADD },
	[ENROL_ADD] = { "add", "sending the request to the server", enrol_add, ENROL_STORE },
	[ENROL_STORE] = { "store", "storing the certificate on the token", enrol_store,
	    ENROL_RECORD },
	[ENROL_RECORD] = { "record", NULL, enrol_record, ENROL_LOGOUT },
	[ENROL_LOGOUT] = { "logout", NULL, enrol_logout, ENROL_PROVE },
	[ENROL_PROVE] = { "prove", "logging in with the certificate", enrol_prove, ENROL_DONE },
	[ENROL_DONE] = { "done", "the certificate is proven by a login", enrol_done, ENROL_DONE },
};

static void enrol_free(void *state)
{
	struct enrol *enrol = state;

	enrol->account->enrolling = 0;
	sg_account_unref(enrol->account);
	free(enrol->name);
	sg_blob_clear(&enrol->csr);
	sg_blob_clear(&enrol->cert);
	free(enrol->cert_uri);
	free(enrol->old_key);
	free(enrol->old_certificate);
	free(enrol);
}

static void enrol_tell(struct sg_call *call, const char *step, const char *text)
{
	sg_call_progress(call, json_pack("{s:s, s:o}", "step", step, "text", sg_json_text(text)));
}

/* The one place where the state changes. */
static void enrol_go(struct sg_call *call, enum enrol_state next)
{
	struct enrol *enrol = call->state;

	if (enrol_table[enrol->state].next != next || next == enrol->state) {
		sg_call_fail_with(call, SG_ERR_INTERNAL, NULL, "enrolment may not go from %s to %s",
		    enrol_table[enrol->state].step, enrol_table[next].step);
		return;
	}
	enrol->state = next;
	if (enrol_table[next].text != NULL && next != ENROL_DONE)
		enrol_tell(call, enrol_table[next].step, enrol_table[next].text);
	enrol_table[next].enter(call);
}

static void enrol_left(void *arg, const struct sg_msg_error *error)
{
	sg_account_unref(arg);
}

/* Leaves things as they were: the connection, and the account's certificate that no login has
 * proven. */
static void enrol_undo(struct sg_call *call, const struct sg_msg_error *error)
{
	const struct enrol *enrol = call->state;
	struct sg_account *account = call->account;

	if (!enrol->was_online && account->state == SG_ACCOUNT_ONLINE)
		sg_account_go_offline(account, enrol_left, sg_account_ref(account));
	if (!enrol->recorded)
		return;
	if (sg_account_set_client(account, enrol->old_key, enrol->old_certificate) != 0)
		sg_log(SG_LOG_ERROR, "%s: its former certificate could not be set again",
		    account->row.jid);
	else
		sg_log(SG_LOG_WARN,
		    "%s: the new certificate was not proven by a login and is not used; it is on "
		    "the token: %s",
		    account->row.jid, enrol->cert_uri != NULL ? enrol->cert_uri : "?");
}

/* ---- the states, in their order ---- */

static void enrol_key_found(struct sg_call *call)
{
	enrol_go(call, ENROL_LOGIN);
}

static void enrol_key(struct sg_call *call)
{
	sg_call_use_key(call, sg_call_string(call, "key"), enrol_key_found);
}

static void enrol_online(struct sg_call *call)
{
	enrol_go(call, ENROL_FEATURES);
}

static void enrol_login(struct sg_call *call)
{
	struct enrol *enrol = call->state;

	enrol->was_online = call->account->state == SG_ACCOUNT_ONLINE;
	call->undo = enrol_undo;
	sg_call_go_online(call, enrol_online);
}

static void enrol_features_known(struct sg_call *call, void *answer)
{
	const struct sg_msg_xmpp_feature_set *set = answer;
	char *text = NULL;

	if (asprintf(&text, "add-cert: %s, list-certs: %s, revoke-cert: %s",
		sg_disco_has(set, SG_NS_CCM2_ADD) ? "yes" : "no",
		sg_disco_has(set, SG_NS_CCM2_LIST) ? "yes" : "no",
		sg_disco_has(set, SG_NS_CCM2_REVOKE) ? "yes" : "no") < 0)
		text = NULL;
	enrol_tell(call, "features", text != NULL ? text : "");
	free(text);
	if (!sg_disco_has(set, SG_NS_CCM2_ADD))
		sg_call_fail_with(call, SG_ERR_FEATURE, SG_NS_CCM2_ADD,
		    "the server of %s does not have %s", call->account->row.jid, SG_NS_CCM2_ADD);
	else
		enrol_go(call, ENROL_REQUEST);
}

static void enrol_features(struct sg_call *call)
{
	static const struct sg_msg_empty nothing = { 0 };

	sg_call_ask_account(call, SG_MSG_XMPP_FEATURES, &nothing, enrol_features_known);
}

static void enrol_csr_made(struct sg_call *call, void *answer)
{
	struct enrol *enrol = call->state;
	struct sg_msg_der *der = answer;

	enrol->csr = der->der;
	memset(der, 0, sizeof(*der));
	enrol_go(call, ENROL_ADD);
}

static void enrol_request_unlocked(struct sg_call *call)
{
	const struct sg_msg_csr_make msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.jid = call->account->row.jid,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	sg_call_ask_key(call, SG_MSG_CSR_MAKE, &msg, SG_TOKEN_SECONDS, enrol_csr_made);
}

/* The server may have taken its time, and the token been locked meanwhile. */
static void enrol_request(struct sg_call *call)
{
	sg_call_use_key_again(call, enrol_request_unlocked);
}

static void enrol_added(struct sg_call *call, void *answer)
{
	struct enrol *enrol = call->state;
	struct sg_msg_der *der = answer;
	const char *why = NULL;

	enrol->cert = der->der;
	memset(der, 0, sizeof(*der));
	if (sg_x509_check_issued(
		&enrol->cert, &enrol->csr, call->account->row.jid, time(NULL), &why) != 0)
		sg_call_fail_with(call, SG_ERR_CERT_REFUSED, call->account->row.jid,
		    "the certificate from the server is refused: %s",
		    why != NULL ? why : "it is no certificate");
	else
		enrol_go(call, ENROL_STORE);
}

static void enrol_add(struct sg_call *call)
{
	const struct enrol *enrol = call->state;
	const struct sg_msg_ccm2_add msg = { .name = enrol->name, .csr = enrol->csr };

	sg_call_ask_account(call, SG_MSG_CCM2_ADD, &msg, enrol_added);
}

static void enrol_stored(struct sg_call *call, void *answer)
{
	struct enrol *enrol = call->state;
	struct sg_msg_objects *stored = answer;

	call->key_use.failed = NULL;
	sg_call_note_stored(call, NULL);
	sg_key_cache_flush(call->agent->key_cache, call->key.module);
	if (stored->cert_count == 1) {
		enrol->cert_uri = stored->certs[0].uri;
		stored->certs[0].uri = NULL;
	}
	enrol_go(call, ENROL_RECORD);
}

/*
 * A PIV card takes certificates from who has its management key alone, and a token may be full: the
 * agent keeps the certificate in any case, and logs in with that.
 */
static int enrol_not_stored(struct sg_call *call, const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	if (code != SG_ERR_UNSUPPORTED && code != SG_ERR_TOKEN_READ_ONLY &&
	    code != SG_ERR_TOKEN_FULL)
		return 0;
	call->key_use.failed = NULL;
	sg_call_note_stored(call, error);
	sg_log(SG_LOG_INFO, "%s: the agent alone keeps the certificate: %s", call->account->row.jid,
	    error->message);
	enrol_tell(call, "store", error->message);
	enrol_go(call, ENROL_RECORD);
	return 1;
}

static void enrol_store_unlocked(struct sg_call *call)
{
	const struct enrol *enrol = call->state;
	const struct sg_msg_cert_store msg = {
		.caller = call->caller,
		.key = sg_key_ref_info(&call->key)->uri,
		.label = sg_key_ref_info(&call->key)->label,
		.der = enrol->cert,
		.spki_sha256 = sg_call_key_spki_sha256(call),
	};

	call->key_use.failed = enrol_not_stored;
	sg_call_ask_key(call, SG_MSG_CERT_STORE, &msg, SG_TOKEN_SECONDS, enrol_stored);
}

static void enrol_store(struct sg_call *call)
{
	sg_call_use_key_again(call, enrol_store_unlocked);
}

static void enrol_record(struct sg_call *call)
{
	struct enrol *enrol = call->state;
	struct sg_account *account = call->account;
	int err;

	enrol->old_key = sg_text_copy(account->row.key);
	enrol->old_certificate = sg_text_copy(account->row.certificate);
	err = sg_account_certify(account, SG_CERT_CLIENT, sg_key_ref_info(&call->key)->uri,
	    &enrol->cert, enrol->cert_uri);
	if (err != 0) {
		sg_call_fail_with(call, err, account->row.jid,
		    "the certificate is on the token, but the account does not have it: %s",
		    sg_store_failure(call->agent->store, err));
		return;
	}
	enrol->recorded = 1;
	enrol_go(call, ENROL_LOGOUT);
}

static void enrol_offline(struct sg_call *call)
{
	enrol_go(call, ENROL_PROVE);
}

static void enrol_logout(struct sg_call *call)
{
	call->next = enrol_offline;
	sg_account_go_offline(call->account, sg_call_continue, call);
}

static void enrol_proven(struct sg_call *call)
{
	const char *mechanism = call->account->online.mechanism;

	/* Another call may have been quicker to connect, and with a password. */
	if (mechanism == NULL || strcmp(mechanism, "EXTERNAL") != 0)
		sg_call_fail_with(call, SG_ERR_AUTH, call->account->row.jid,
		    "the login that was to prove the certificate was not made with it");
	else
		enrol_go(call, ENROL_DONE);
}

static void enrol_prove(struct sg_call *call)
{
	call->next = enrol_proven;
	sg_account_go_online(call->account, &call->caller, -1, &call->pin, sg_call_continue, call);
}

static void enrol_done(struct sg_call *call)
{
	const struct enrol *enrol = call->state;

	call->undo = NULL;
	sg_call_reply(call,
	    json_pack("{s:s, s:s, s:o, s:o}", "step", enrol_table[ENROL_DONE].step, "text",
		enrol_table[ENROL_DONE].text, "certificate",
		sg_json_certificate(&enrol->cert, enrol->cert_uri), "account",
		sg_json_account(call->account)));
}

/* ---- the verb ---- */

static char *default_name(void)
{
	char host[256] = "";
	char *name = NULL;

	if (gethostname(host, sizeof(host) - 1) != 0 || host[0] == '\0' ||
	    !sg_utf8_is_text(host, sizeof(host)))
		return strdup("signet");
	return asprintf(&name, "signet on %s", host) < 0 ? NULL : name;
}

void sg_verb_enrol(struct sg_call *call)
{
	const char *name = sg_call_string(call, "name");
	struct enrol *enrol;

	if (name != NULL && !sg_utf8_is_text(name, SG_CCM2_NAME_MAX)) {
		sg_call_fail_with(call, SG_ERR_ARG, "name", "a name is a text of at most %d bytes",
		    SG_CCM2_NAME_MAX);
		return;
	}
	if (!sg_call_take_account(call, "jid"))
		return;
	if (call->account->enrolling) {
		sg_call_fail_with(call, SG_ERR_BUSY, call->account->row.jid,
		    "another enrolment of %s is going on", call->account->row.jid);
		return;
	}
	enrol = calloc(1, sizeof(*enrol));
	if (enrol == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	enrol->account = sg_account_ref(call->account);
	enrol->account->enrolling = 1;
	enrol->name = name != NULL ? strdup(name) : default_name();
	call->state = enrol;
	call->state_free = enrol_free;
	if (enrol->name == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		enrol_go(call, ENROL_KEY);
}
