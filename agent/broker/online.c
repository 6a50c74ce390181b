#include "online.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "asking.h"
#include "jobs.h"
#include "key_find.h"
#include "key_known.h"
#include "log.h"
#include "publishing.h"
#include "renewing.h"
#include "text.h"
#include "unlocked.h"
#include "watching.h"
#include "worker.h"
#include "x509.h"

#define DISCONNECT_SECONDS 5

/* A call that waits for a connection, with what it brought for one. */
struct waiter {
	TAILQ_ENTRY(waiter) entry;
	const struct sg_caller *caller;
	int password_fd;
	struct sg_pin *pin;
	int is_late; /* the connection was being ended already when it came */
	sg_done_fn *fn;
	void *arg;
};
TAILQ_HEAD(waiter_list, waiter);

/* One connection that is being made. It holds a reference to the account. */
struct sg_connect {
	struct sg_account *account;
	struct sg_caller caller; /* of the call that began it, its purpose the login */
	int password_fd;	 /* the call's, or -1 */
	struct sg_pin *pin;
	struct sg_key_ref key; /* for EXTERNAL, once it is found and unlocked, ... */
	char *certificate;     /* ... and the SHA-256 of what it logs in with; or NULL */
	unsigned unlocked_on;  /* the process of its worker that had it unlocked */
	unsigned signatures;
	int cancelled;
	struct waiter_list waiters;
};

/* An account's connection that is being ended. */
struct sg_leave {
	struct sg_account *account;
	struct waiter_list waiters;
};

static struct waiter *waiter_add(struct waiter_list *list, sg_done_fn *fn, void *arg)
{
	struct waiter *waiter = calloc(1, sizeof(*waiter));

	if (waiter == NULL)
		abort(); /* the caller would wait for ever */
	waiter->fn = fn;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(list, waiter, entry);
	return waiter;
}

static void waiters_call(struct waiter_list *list, const struct sg_msg_error *error)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, waiter, entry);
		waiter->fn(waiter->arg, error);
		free(waiter);
	}
}

/* Whether the login failed for want of what this call brought, or for what another brought, or
 * because that other one has gone, or with the process that only that other one had asked. */
static int wants_own_login(
    const struct waiter *waiter, int by_other, int first_has_gone, const struct sg_msg_error *error)
{
	int code = error != NULL ? sg_msg_error_code(error) : 0;
	int of_token = code <= SG_ERR_TOKEN_ABSENT && code >= SG_ERR_CERT_MISMATCH;

	if (code == SG_ERR_WORKER || (first_has_gone && code == SG_ERR_PIN_NEEDED))
		return 1;
	if (waiter->password_fd >= 0)
		return of_token || code == SG_ERR_AUTH || code == SG_ERR_PASSWORD_NEEDED;
	if (by_other && code == SG_ERR_AUTH)
		return 1;
	return code == SG_ERR_PIN_NEEDED && (waiter->pin->fd >= 0 || waiter->pin->pinentry);
}

static void set_last_error(struct sg_account *account, const struct sg_msg_error *error)
{
	free(account->last_error);
	account->last_error = NULL;
	if (error == NULL)
		return;
	account->last_error = strdup(sg_failure_text(error));
}

static void forget_online(struct sg_account *account)
{
	sg_msg_clear(SG_MSG_XMPP_ONLINE, &account->online);
	free(account->online_with);
	account->online_with = NULL;
	account->is_wanted = 0;
}

/* Whether the account has a certificate and it is no login by that, of which a refusal then says nothing: it is by a
 * password, or by a certificate that the account went over to, and that another call has just taken back. */
static int is_by_other(const struct sg_connect *connect)
{
	const char *current = connect->account->row.certificate;

	return current != NULL &&
	    (connect->certificate == NULL || strcmp(connect->certificate, current) != 0);
}

/* Whether a waiter that is not the first wants another connection than this: one that was not made, that was being ended
 * when it came, or that who came before it has ended already. */
static int wants_another(const struct sg_connect *connect, const struct waiter *waiter,
    int first_has_gone, const struct sg_msg_error *error)
{
	if (error == NULL)
		return connect->account->state != SG_ACCOUNT_ONLINE;
	return waiter->is_late ||
	    wants_own_login(waiter, is_by_other(connect), first_has_gone, error);
}

/* The connection is over, for whatever reason; its process goes too. */
static void account_down(struct sg_account *account, const struct sg_msg_error *error)
{
	account->state = SG_ACCOUNT_OFFLINE;
	sg_watching_end(account);
	forget_online(account);
	set_last_error(account, error);
	sg_worker_stop(account->worker, SG_ERR_OFFLINE);
}

/* ---- connecting ---- */

static void connect_finish(struct sg_connect *connect, const struct sg_msg_error *error)
{
	struct sg_account *account = connect->account;
	int first_has_gone = connect->pin->abandoned;
	struct waiter *waiter = TAILQ_FIRST(&connect->waiters);

	account->connect = NULL;
	if (error != NULL) {
		sg_log(
		    SG_LOG_INFO, "%s: no connection: %s", account->row.jid, sg_failure_text(error));
		account_down(account, error);
		/* A revocation may wait for just that. */
		if (sg_account_is_refused(error) && connect->caller.pid != (uint32_t)getpid())
			sg_jobs_account_ready(account);
	}
	/* The first is the one that made it; of the others, some try anew with what they have. */
	for (int first = 1; waiter != NULL; first = 0) {
		TAILQ_REMOVE(&connect->waiters, waiter, entry);
		if (!first && wants_another(connect, waiter, first_has_gone, error))
			sg_account_go_online(account, waiter->caller, waiter->password_fd,
			    waiter->pin, waiter->fn, waiter->arg);
		else
			waiter->fn(waiter->arg, error);
		free(waiter);
		waiter = TAILQ_FIRST(&connect->waiters);
	}
	sg_key_ref_clear(&connect->key);
	free(connect->certificate);
	free(connect->caller.exe);
	free(connect->caller.purpose);
	free(connect);
	sg_account_unref(account);
}

static void connect_fail(struct sg_connect *connect, int code, const char *message)
{
	struct sg_msg_error error = { 0 };

	sg_msg_error_set(&error, code, connect->account->row.jid, "%s", message);
	connect_finish(connect, &error);
	sg_failure_clear(&error);
}

/* Whether the server has bound the account that was asked for. */
static int is_own_jid(const struct sg_account *account, const char *bound)
{
	char *bare = bound != NULL ? sg_jid_bare(bound) : NULL;
	int own = bare != NULL && strcmp(bare, account->row.jid) == 0;

	free(bare);
	return own;
}

/* Who logs in with a certificate that was revoked has a server that has forgotten it, or taken it
 * back. */
static void note_login(struct sg_account *account)
{
	const char *sha256 = account->online_with;

	if (sha256 != NULL &&
	    sg_store_cert_set_revoked(account->agent->store, account->row.jid, sha256, 0) != 0)
		sg_log(SG_LOG_WARN, "%s: it could not be noted that %s logs in", account->row.jid,
		    sha256);
	else if (sha256 != NULL && account->renewal.not_after == 0)
		sg_renewing_note(account); /* it was noted as revoked */
}

static int is_external(const struct sg_msg_xmpp_online *online)
{
	return online->mechanism != NULL && strcmp(online->mechanism, "EXTERNAL") == 0;
}

static void on_connected(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_connect *connect = arg;
	struct sg_account *account = connect->account;
	struct sg_msg_xmpp_online *online = answer;

	if (error != NULL) {
		connect_finish(connect, error);
	} else if (connect->cancelled) {
		connect_fail(connect, SG_ERR_OFFLINE, "the connection was ended by another call");
	} else if (!is_own_jid(account, online->jid)) {
		connect_fail(connect, SG_ERR_AUTH, "the server bound another account than this");
	} else {
		account->online = *online;
		memset(online, 0, sizeof(*online));
		account->state = SG_ACCOUNT_ONLINE;
		if (is_external(&account->online)) {
			account->online_with = connect->certificate;
			connect->certificate = NULL;
		}
		set_last_error(account, NULL);
		sg_log(SG_LOG_INFO, "%s is online: %s, %s", account->row.jid,
		    account->online.mechanism != NULL ? account->online.mechanism : "?",
		    account->online.tls_version != NULL ? account->online.tls_version : "?");
		note_login(account);
		sg_publishing_begin(account);
		sg_watching_begin(account);
		if (connect->caller.pid != (uint32_t)getpid())
			sg_jobs_account_ready(account);
		connect_finish(connect, NULL);
	}
}

static void connect_send(struct sg_connect *connect, const struct sg_blob *certificate)
{
	const struct sg_account_row *row = &connect->account->row;
	struct sg_msg_xmpp_connect msg = {
		.jid = row->jid,
		.host = row->host,
		.port = row->port,
		.tls_mode = row->tls_mode,
		.cafile = row->cafile,
		.protocol = row->protocol,
	};
	int password_fd = connect->password_fd;

	if (certificate != NULL) {
		connect->certificate = sg_x509_fingerprint(certificate, "sha256");
		msg.certificate = *certificate;
		msg.key_abilities = sg_key_ref_info(&connect->key)->abilities;
		password_fd = -1;
	}
	sg_worker_request(connect->account->worker, SG_MSG_XMPP_CONNECT, &msg, password_fd,
	    SG_CONNECT_SECONDS, on_connected, connect);
}

static void connect_fail_changed(struct sg_connect *connect)
{
	struct sg_msg_error error = { 0 };

	sg_key_known_set_changed(connect->account->agent, &connect->key, &error);
	connect_finish(connect, &error);
	sg_failure_clear(&error);
}

static void on_key(void *arg, const struct sg_msg_error *error, struct sg_key_ref *key)
{
	struct sg_connect *connect = arg;
	struct sg_account *account = connect->account;
	struct sg_cert_row cert;
	int err;

	if (error != NULL) {
		connect_finish(connect, error);
		return;
	}
	if (connect->cancelled) {
		connect_fail(connect, SG_ERR_OFFLINE, "the connection was ended by another call");
		return;
	}
	err = account->row.certificate == NULL
	    ? SG_ERR_KEY_ABSENT
	    : sg_store_cert_get(
		  account->agent->store, account->row.jid, account->row.certificate, &cert);
	if (err != 0) {
		if (err == SG_ERR_KEY_ABSENT)
			connect_fail(connect, SG_ERR_PASSWORD_NEEDED,
			    "the account's certificate is not in the store");
		else
			connect_fail(connect, err, sg_store_failure(account->agent->store, err));
		return;
	}
	connect->key = *key;
	connect->unlocked_on = sg_worker_starts(key->module->worker);
	memset(key, 0, sizeof(*key));
	if (sg_key_known_fits(&connect->key, &cert.der))
		connect_send(connect, &cert.der);
	else
		connect_fail_changed(connect);
	sg_cert_row_clear(&cert);
}

static void connect_begin(struct sg_connect *connect)
{
	const struct sg_account_row *row = &connect->account->row;

	if (connect->cancelled)
		connect_fail(connect, SG_ERR_OFFLINE, "the connection was ended by another call");
	else if (connect->password_fd >= 0)
		connect_send(connect, NULL);
	else if (row->key == NULL || row->certificate == NULL)
		connect_fail(connect, SG_ERR_PASSWORD_NEEDED,
		    "the account has no certificate yet and its password is needed");
	else
		sg_key_find_unlocked(connect->account->agent, &connect->caller, row->key,
		    connect->pin, on_key, connect);
}

static struct sg_connect *connect_new(
    struct sg_account *account, const struct sg_caller *caller, int password_fd, struct sg_pin *pin)
{
	struct sg_connect *connect = calloc(1, sizeof(*connect));

	if (connect == NULL)
		abort(); /* the caller would wait for ever */
	connect->account = sg_account_ref(account);
	connect->caller.uid = caller->uid;
	connect->caller.pid = caller->pid;
	connect->caller.exe = sg_text_copy(caller->exe);
	if (asprintf(&connect->caller.purpose, "tls-login %s", account->row.jid) < 0)
		connect->caller.purpose = NULL;
	connect->password_fd = password_fd;
	connect->pin = pin;
	TAILQ_INIT(&connect->waiters);
	return connect;
}

void sg_account_go_online(struct sg_account *account, const struct sg_caller *caller,
    int password_fd, struct sg_pin *pin, sg_done_fn *fn, void *arg)
{
	struct sg_msg_error error = { 0 };
	struct waiter *waiter;
	int joins;

	if (account->removed) {
		sg_msg_error_set(
		    &error, SG_ERR_ACCOUNT_ABSENT, account->row.jid, "the account was removed");
		fn(arg, &error);
		sg_failure_clear(&error);
		return;
	}
	sg_worker_look(account->worker);
	if (!sg_jobs_have_caller(account, caller))
		account->is_wanted = 1;
	if (account->state == SG_ACCOUNT_ONLINE) {
		fn(arg, NULL);
		return;
	}
	joins = account->connect != NULL;
	if (!joins) {
		account->connect = connect_new(account, caller, password_fd, pin);
		account->state = SG_ACCOUNT_CONNECTING;
	}
	waiter = waiter_add(&account->connect->waiters, fn, arg);
	waiter->caller = caller;
	waiter->password_fd = password_fd;
	waiter->pin = pin;
	waiter->is_late = account->connect->cancelled;
	if (!joins && account->leave == NULL) /* else it begins when the old connection has ended */
		connect_begin(account->connect);
}

/* ---- leaving ---- */

static void on_left(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_leave *leave = arg;
	struct sg_account *account = leave->account;

	account->leave = NULL;
	sg_worker_stop(account->worker, SG_ERR_OFFLINE);
	if (account->connect != NULL) /* it came while this one was going */
		connect_begin(account->connect);
	waiters_call(&leave->waiters, NULL);
	free(leave);
	sg_account_unref(account);
}

void sg_account_go_offline(struct sg_account *account, sg_done_fn *fn, void *arg)
{
	static const struct sg_msg_empty nothing = { 0 };
	struct sg_leave *leave;

	if (account->connect != NULL) {
		struct sg_connect *connect = account->connect;

		/* While it waits for a token it cannot be ended: it ends itself when that
		 * answers. */
		connect->cancelled = 1;
		if (account->leave == NULL && sg_worker_pid(account->worker) != 0)
			sg_worker_stop(account->worker, SG_ERR_OFFLINE);
	}
	if (account->leave != NULL) {
		waiter_add(&account->leave->waiters, fn, arg);
		return;
	}
	if (account->state != SG_ACCOUNT_ONLINE) {
		fn(arg, NULL);
		return;
	}
	leave = calloc(1, sizeof(*leave));
	if (leave == NULL)
		abort(); /* the caller would wait for ever */
	leave->account = sg_account_ref(account);
	TAILQ_INIT(&leave->waiters);
	waiter_add(&leave->waiters, fn, arg);
	account->leave = leave;
	account->state = SG_ACCOUNT_OFFLINE;
	sg_watching_end(account);
	forget_online(account);
	sg_worker_request(account->worker, SG_MSG_XMPP_DISCONNECT, &nothing, -1, DISCONNECT_SECONDS,
	    on_left, leave);
}

/* ---- what the worker sends unasked ---- */

/* A signature that the token makes for a handshake. The connection may be over before it is
 * made. */
struct tls_signature {
	struct sg_account *account;
	unsigned process; /* of the worker that asked: another one did not */
	uint32_t id;
	struct sg_module *module;
	char *token_uri;
	unsigned unlocked_on;
	int asked_again;   /* the login that was remembered had been lost */
	struct sg_pin pin; /* none: what the call brought is gone with it; for what it uses */
	struct sg_msg_tls_sign msg; /* owned */
};

static void signature_free(struct tls_signature *signature)
{
	sg_pin_clear(&signature->pin);
	sg_account_unref(signature->account);
	sg_msg_clear(SG_MSG_TLS_SIGN, &signature->msg);
	free(signature->token_uri);
	free(signature);
}

static void on_signature_unlocked(void *arg, const struct sg_msg_error *error);

static void signature_finish(
    struct tls_signature *signature, const struct sg_msg_error *error, void *answer)
{
	struct sg_worker *worker = signature->account->worker;

	if (worker != NULL && sg_worker_starts(worker) == signature->process) {
		if (error != NULL)
			sg_worker_answer(worker, signature->id, SG_MSG_ERROR, error);
		else
			sg_worker_answer(worker, signature->id, SG_MSG_DER, answer);
	}
	signature_free(signature);
}

static void signature_unlock(struct tls_signature *signature)
{
	sg_login_unlock(signature->account->agent, &signature->msg.caller, signature->module,
	    signature->token_uri, &signature->pin, 0, on_signature_unlocked, signature);
}

static void on_signature(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct tls_signature *signature = arg;

	if (error != NULL && sg_msg_error_code(error) == SG_ERR_PIN_NEEDED &&
	    !signature->asked_again) {
		signature->asked_again = 1;
		sg_unlocked_forget(
		    signature->account->agent, signature->module, signature->token_uri);
		signature_unlock(signature);
	} else {
		signature_finish(signature, error, answer);
	}
}

/* The key was unlocked when the connection began; if it is not now, the token's worker may have
 * died. */
static void on_signature_unlocked(void *arg, const struct sg_msg_error *error)
{
	struct tls_signature *signature = arg;
	struct sg_worker *worker = signature->module->worker;
	struct sg_msg_error died = { 0 };

	if (error == NULL) {
		sg_worker_request(worker, SG_MSG_TLS_SIGN, &signature->msg, -1, SG_TOKEN_SECONDS,
		    on_signature, signature);
		return;
	}
	if (sg_msg_error_code(error) == SG_ERR_PIN_NEEDED &&
	    sg_worker_starts(worker) != signature->unlocked_on) {
		sg_msg_error_set(&died, SG_ERR_WORKER, signature->module->name,
		    "signet-token for %s ended during the login", signature->module->name);
		error = &died;
	}
	signature_finish(signature, error, NULL);
	sg_failure_clear(&died);
}

static void refuse_signature(struct sg_account *account, uint32_t id)
{
	struct sg_msg_error error = { 0 };

	sg_log(SG_LOG_WARN, "%s: a TLS signature was asked for out of turn: refused",
	    account->row.jid);
	sg_msg_error_set(
	    &error, SG_ERR_DENIED, account->row.jid, "no login with the account's key is going on");
	sg_worker_answer(account->worker, id, SG_MSG_ERROR, &error);
	sg_failure_clear(&error);
}

/* Key and caller are those of the connection, whatever the worker may have put there. Takes
 * asked->tbs over. */
static void sign_for_tls(struct sg_account *account, uint32_t id, struct sg_msg_tls_sign *asked)
{
	struct sg_connect *connect = account->connect;
	struct tls_signature *signature;
	const struct sg_key_info *key;

	if (connect == NULL || connect->key.module == NULL || connect->cancelled ||
	    ++connect->signatures > SG_CONNECT_SIGNATURES_MAX) {
		refuse_signature(account, id);
		return;
	}
	key = sg_key_ref_info(&connect->key);
	signature = calloc(1, sizeof(*signature));
	if (signature == NULL)
		abort(); /* the handshake would wait for ever */
	signature->account = sg_account_ref(account);
	signature->process = sg_worker_starts(account->worker);
	signature->id = id;
	signature->module = connect->key.module;
	signature->unlocked_on = connect->unlocked_on;
	signature->token_uri = strdup(key->token_uri != NULL ? key->token_uri : "");
	sg_pin_init(&signature->pin);
	signature->msg = (struct sg_msg_tls_sign){
		.caller = { .uid = connect->caller.uid,
		    .pid = connect->caller.pid,
		    .exe = sg_text_copy(connect->caller.exe),
		    .purpose = sg_text_copy(connect->caller.purpose) },
		.key = sg_text_copy(key->uri),
		.scheme = asked->scheme,
		.tbs = asked->tbs,
	};
	memset(&asked->tbs, 0, sizeof(asked->tbs));
	/* As a blob of its own: the connection may be over before the signature. */
	if (signature->token_uri == NULL ||
	    sg_blob_set(&signature->msg.spki_sha256, connect->key.spki_sha256,
		connect->key.spki_sha256_len) != 0)
		abort();
	if (sg_unlocked_has(signature->module, signature->token_uri))
		on_signature_unlocked(signature, NULL);
	else
		signature_unlock(signature);
}

static void on_event(void *arg, const struct sg_frame *frame)
{
	struct sg_account *account = arg;

	if (frame->type == SG_MSG_XMPP_TLS_SIGN && frame->id != 0) {
		sign_for_tls(account, frame->id, frame->msg);
	} else if (frame->type == SG_MSG_KEYS_SEEN && frame->id == 0) {
		sg_watching_seen(account, frame->msg);
	} else if (frame->type == SG_MSG_KEYS_WANTED && frame->id != 0) {
		sg_asking_wanted(account, frame->id, frame->msg);
	} else if (frame->type == SG_MSG_XMPP_OFFLINE && frame->id == 0) {
		if (account->state != SG_ACCOUNT_ONLINE)
			return; /* the request that runs is answered by itself */
		sg_log(SG_LOG_INFO, "%s is offline", account->row.jid);
		account_down(account, frame->msg);
	} else {
		sg_log(SG_LOG_WARN, "%s: signet-xmpp sent what nobody knows", account->row.jid);
		account_down(account, NULL);
	}
}

static void on_ended(void *arg)
{
	struct sg_account *account = arg;
	struct sg_msg_error error = { 0 };

	if (account->state != SG_ACCOUNT_ONLINE)
		return; /* the end was wanted, or a request that ran has told it */
	sg_msg_error_set(&error, SG_ERR_WORKER, account->row.jid, "signet-xmpp ended");
	account->state = SG_ACCOUNT_OFFLINE;
	sg_watching_end(account);
	forget_online(account);
	set_last_error(account, &error);
	sg_failure_clear(&error);
}

int sg_online_worker_new(struct sg_account *account)
{
	static char name[] = "signet-xmpp";
	static char *const argv[] = { name, NULL };
	const struct sg_worker_spec spec = {
		.program = "signet-xmpp",
		.kind = "xmpp",
		.subject = account->row.jid,
		.argv = argv,
		.event = on_event,
		.ended = on_ended,
		.arg = account,
	};

	return sg_worker_new(account->agent, &spec, &account->worker);
}
