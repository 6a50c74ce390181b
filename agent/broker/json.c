#include "json.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/asn1.h>
#include <openssl/x509.h>

#include "accounts.h"
#include "ask_all.h"
#include "cert_protocol.h"
#include "failure.h"
#include "jobs.h"
#include "ledger.h"
#include "publishing.h"
#include "text.h"
#include "verdict.h"
#include "worker.h"
#include "x509.h"

static json_t *texts(char *const *list, uint32_t count)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(array, sg_json_text_or_empty(list[i]));
	return array;
}

/* Takes over the allocated text. */
static json_t *owned_text(char *text)
{
	json_t *string = sg_json_text(text);

	free(text);
	return string;
}

static json_t *base64(const struct sg_blob *blob)
{
	char *text = sg_base64_encode(blob->data, blob->len);

	return text != NULL ? owned_text(text) : NULL;
}

static json_t *candidates(const struct sg_msg_error *error)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < error->candidate_count; i++) {
		const struct sg_candidate *candidate = &error->candidates[i];

		json_array_append_new(array,
		    json_pack("{s:o, s:o, s:o, s:o, s:o}", "uri",
			sg_json_text_or_empty(candidate->uri), "label",
			sg_json_text(candidate->label), "id", sg_json_text(candidate->id), "serial",
			sg_json_text(candidate->serial), "subject",
			sg_json_text(candidate->subject)));
	}
	return array;
}

static json_t *known_names(const struct sg_msg_error *error)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < error->candidate_count; i++)
		json_array_append_new(array, sg_json_text_or_empty(error->candidates[i].uri));
	return array;
}

/* With the key that it is about, as a shell takes it. */
static json_t *advice_text(const struct sg_msg_error *error, const char *advice)
{
	const char *uri = error->subject;

	if (advice == NULL && sg_msg_error_code(error) == SG_ERR_KEY_CHANGED && uri != NULL &&
	    strncmp(uri, "pkcs11:", 7) == 0 && strchr(uri, '\'') == NULL)
		return json_sprintf("If you replaced it yourself, say so with `signet key use "
				    "'%s'`; else find out who did.",
		    uri);
	if (advice == NULL)
		advice = sg_failure_advice(error);
	return advice[0] != '\0' ? json_string(advice) : json_null();
}

json_t *sg_json_error(const struct sg_msg_error *error, const char *advice)
{
	int code = sg_msg_error_code(error);
	json_t *object = json_object();

	json_object_set_new(object, "message", sg_json_text(sg_failure_text(error)));
	json_object_set_new(object, "advice", advice_text(error, advice));
	/* The fields beyond these two stand in the interface by the error's name. */
	if (strcmp(sg_err_name(code), "Internal") != 0)
		json_object_set_new(object, "subject", sg_json_text(error->subject));
	switch (code) {
	case SG_ERR_PIN_WRONG:
		json_object_set_new(object, "tries_left",
		    error->tries_left != SG_TRIES_UNKNOWN ? json_integer(error->tries_left)
							  : json_null());
		break;
	case SG_ERR_TOKEN_AMBIGUOUS:
	case SG_ERR_KEY_AMBIGUOUS:
		json_object_set_new(object, "candidates", candidates(error));
		break;
	case SG_ERR_KEY_MISMATCH:
		json_object_set_new(object, "given", sg_json_text_or_empty(error->condition));
		json_object_set_new(object, "known", known_names(error));
		break;
	case SG_ERR_STANZA:
		json_object_set_new(object, "condition", sg_json_text(error->condition));
		break;
	default:
		break;
	}
	return object;
}

/* ---- tokens and keys ---- */

static const char *pin_state(uint32_t flags)
{
	if ((flags & SG_TOKEN_PIN_SET) == 0)
		return "unset";
	if ((flags & SG_TOKEN_PIN_LOCKED) != 0)
		return "locked";
	if ((flags & SG_TOKEN_PIN_FINAL) != 0)
		return "final";
	return (flags & SG_TOKEN_PIN_LOW) != 0 ? "low" : "ok";
}

static const char *const remember_names[] = {
	[SG_REMEMBER_REMOVAL] = "removal",
	[SG_REMEMBER_ALWAYS] = "always",
	[SG_REMEMBER_MINUTES] = "minutes",
	[SG_REMEMBER_IDLE] = "idle",
	[SG_REMEMBER_LOCK] = "lock",
};

json_t *sg_json_token(
    const struct sg_agent *agent, const struct sg_token_info *token, const char *module)
{
	uint32_t left = sg_ledger_tries_left(agent, token);
	struct sg_pin_policy policy =
	    sg_config_pin_policy(&agent->config, token->label, token->serial);
	int unlocked = (token->flags & SG_TOKEN_UNLOCKED) != 0 ||
	    (token->flags & SG_TOKEN_LOGIN_REQUIRED) == 0;

	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:b, s:s, s:b, s:o, s:s, s:o, s:n}",
	    "uri", sg_json_text_or_empty(token->uri), "label", sg_json_text_or_empty(token->label),
	    "serial", sg_json_text_or_empty(token->serial), "manufacturer",
	    sg_json_text_or_empty(token->manufacturer), "model",
	    sg_json_text_or_empty(token->model), "slot", sg_json_text_or_empty(token->slot),
	    "module", module, "unlocked", unlocked, "pin", pin_state(token->flags), "read_only",
	    (token->flags & SG_TOKEN_READ_ONLY) != 0, "tries_left",
	    left != SG_TRIES_UNKNOWN ? json_integer(left) : json_null(), "remember",
	    remember_names[policy.remember], "remember_minutes",
	    policy.minutes > 0 ? json_integer(policy.minutes) : json_null(), "problem");
}

static void add_tokens(json_t *array, const struct sg_agent *agent,
    const struct sg_msg_tokens *tokens, const struct sg_module_answer *answer)
{
	for (uint32_t i = 0; i < tokens->token_count; i++) {
		json_t *token;

		if ((tokens->tokens[i].flags & SG_TOKEN_INITIALIZED) == 0)
			continue;
		token = sg_json_token(agent, &tokens->tokens[i], answer->module->name);
		if (token != NULL && answer->error.code != 0)
			json_object_set_new(token, "problem",
			    sg_json_text_or_empty(sg_failure_text(&answer->error)));
		json_array_append_new(array, token);
	}
}

json_t *sg_json_tokens(
    const struct sg_agent *agent, const struct sg_module_answer *answers, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		if (answers[i].error.code == 0)
			add_tokens(array, agent, &answers[i].u.tokens, &answers[i]);
		else
			add_tokens(array, agent, &answers[i].remembered, &answers[i]);
	}
	return array;
}

static json_t *abilities(uint32_t flags)
{
	static const struct {
		uint32_t flag;
		const char *name;
	} names[] = {
		{ SG_KEY_RSA_PKCS1, "rsa-pkcs1" },
		{ SG_KEY_RSA_PKCS1_SHA1, "rsa-pkcs1-sha1" },
		{ SG_KEY_RSA_PKCS1_SHA256, "rsa-pkcs1-sha256" },
		{ SG_KEY_RSA_PSS, "rsa-pss" },
		{ SG_KEY_RSA_PSS_HASHED, "rsa-pss-hashed" },
		{ SG_KEY_ECDSA, "ecdsa" },
		{ SG_KEY_ECDSA_HASHED, "ecdsa-hashed" },
		{ SG_KEY_LOCAL, "local" },
	};
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((flags & names[i].flag) != 0)
			json_array_append_new(array, json_string(names[i].name));
	}
	return array;
}

/* Whether the certificate holds this public key. */
static int holds_key(const struct sg_blob *der, const struct sg_blob *spki)
{
	X509 *cert = NULL;
	int holds =
	    spki->len > 0 && sg_x509_cert_parse(der, &cert) == 0 && sg_x509_holds(cert, spki);

	X509_free(cert);
	return holds;
}

/* What the private key alone says: null as long as it is not to be seen. */
static json_t *of_private(const struct sg_key_info *key, uint32_t flag)
{
	if ((key->abilities & SG_KEY_PRIVATE_SEEN) == 0)
		return json_null();
	return json_boolean((key->abilities & flag) != 0);
}

json_t *sg_json_key(const struct sg_key_info *key, const struct sg_msg_objects *certs)
{
	json_t *uris = json_array();

	for (uint32_t i = 0; i < certs->cert_count; i++) {
		if (holds_key(&certs->certs[i].der, &key->spki))
			json_array_append_new(uris, sg_json_text_or_empty(certs->certs[i].uri));
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "uri",
	    sg_json_text_or_empty(key->uri), "label", sg_json_text_or_empty(key->label), "id",
	    owned_text(sg_hex_encode(key->id.data, key->id.len)), "token",
	    sg_json_text_or_empty(key->token_uri), "algorithm",
	    sg_json_text_or_empty(key->algorithm), "public_key", base64(&key->spki), "sensitive",
	    of_private(key, SG_KEY_SENSITIVE), "extractable", of_private(key, SG_KEY_EXTRACTABLE),
	    "always_authenticate", of_private(key, SG_KEY_ALWAYS_AUTH), "abilities",
	    abilities(key->abilities), "certificates", uris);
}

/* ---- certificates ---- */

static json_t *name_text(const X509_NAME *name)
{
	char *text = sg_x509_name_text(name);

	return text != NULL ? owned_text(text) : json_string("");
}

static json_t *time_text(const ASN1_TIME *when)
{
	struct tm tm = { 0 };
	char text[32];

	if (when == NULL || ASN1_TIME_to_tm(when, &tm) != 1 ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		return json_string("");
	return json_string(text);
}

json_t *sg_json_certificate(const struct sg_blob *der, const char *uri)
{
	X509 *cert = NULL;
	json_t *object;

	if (sg_x509_cert_parse(der, &cert) != 0)
		return json_null();
	object = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
	    owned_text(sg_x509_fingerprint(der, "sha1")), "sha256",
	    owned_text(sg_x509_fingerprint(der, "sha256")), "subject",
	    name_text(X509_get_subject_name(cert)), "issuer", name_text(X509_get_issuer_name(cert)),
	    "jids", sg_json_jids(cert), "not_before", time_text(X509_get0_notBefore(cert)),
	    "not_after", time_text(X509_get0_notAfter(cert)), "uri", sg_json_text(uri), "der",
	    base64(der));
	X509_free(cert);
	return object;
}

json_t *sg_json_issued(const struct sg_ccm2_cert *cert, int own)
{
	const char *used = "at";
	json_t *last_used;

	if (cert->last_used == NULL)
		used = "never";
	else if (cert->last_used[0] == '\0')
		used = "unknown";
	last_used = strcmp(used, "at") == 0 ? sg_json_text(cert->last_used) : json_null();
	return json_pack("{s:o, s:o, s:s, s:o, s:o, s:b}", "name",
	    sg_json_text_or_empty(cert->name), "certificate", sg_json_certificate(&cert->der, NULL),
	    "used", used, "last_used", last_used, "users", texts(cert->users, cert->user_count),
	    "own", own);
}

/* ---- accounts and workers ---- */

static json_t *one_job(const struct sg_job *job)
{
	const struct sg_job_row *row = &job->row;

	return json_pack("{s:s, s:s, s:o, s:b, s:o, s:o, s:i, s:o, s:o}", "kind",
	    sg_job_kind_name(row->kind), "state", sg_job_state_name(row->state), "since",
	    sg_json_when(row->begun), "running", job->call != NULL, "key", sg_json_text(row->key),
	    "certificate", sg_json_text(row->sha256), "tries", (int)row->tries, "waits_for",
	    row->waits != 0 ? json_string(sg_err_name(-(int)row->waits)) : json_null(), "text",
	    sg_json_text(row->waits_text));
}

static json_t *all_jobs(const struct sg_account *account)
{
	const struct sg_job *job;
	json_t *array = json_array();

	TAILQ_FOREACH(job, &account->jobs, entry) {
		if (job->row.state != SG_JOB_END)
			json_array_append_new(array, one_job(job));
	}
	return array;
}

json_t *sg_json_account(const struct sg_account *account)
{
	static const char *const states[] = {
		[SG_ACCOUNT_OFFLINE] = "offline",
		[SG_ACCOUNT_CONNECTING] = "connecting",
		[SG_ACCOUNT_ONLINE] = "online",
	};
	const struct sg_account_row *row = &account->row;

	return json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, "
			 "s:o, s:b, s:o, s:o, s:o, s:o, s:o}",
	    "jid", sg_json_text(row->jid), "host", sg_json_text(row->host), "port",
	    row->port != 0 ? json_integer(row->port) : json_null(), "tls",
	    row->tls_mode == SG_TLS_DIRECT ? "direct" : "starttls", "cafile",
	    sg_json_text(row->cafile), "key", sg_json_text(row->key), "certificate",
	    sg_json_text(row->certificate), "user_key", sg_json_text(row->user_key), "state",
	    states[account->state], "bound_jid", sg_json_text(account->online.jid), "mechanism",
	    sg_json_text(account->online.mechanism), "tls_version",
	    sg_json_text(account->online.tls_version), "last_error",
	    sg_json_text(account->last_error), "published",
	    sg_json_text(account->publishing.access), "direct", sg_json_direct(account),
	    "more_open", (int)account->publishing.more_open, "not_after",
	    sg_json_when(account->renewal.not_after), "renew_due",
	    sg_json_when(account->renewal.due), "renew_problem",
	    sg_json_text(account->renew_problem), "jobs", all_jobs(account), "protocol",
	    sg_json_text(sg_cert_protocol_name(row->protocol)));
}

json_t *sg_json_worker(const struct sg_worker *worker, const struct sg_msg_error *problem)
{
	pid_t pid = sg_worker_pid(worker);

	return json_pack("{s:s, s:o, s:o, s:s, s:i, s:o}", "kind", sg_worker_kind(worker),
	    "subject", sg_json_text(sg_worker_subject(worker)), "pid",
	    pid != 0 ? json_integer(pid) : json_null(), "state", pid != 0 ? "running" : "stopped",
	    "restarts", (int)sg_worker_deaths(worker), "problem",
	    problem != NULL && problem->code != 0 ? sg_json_text_or_empty(sg_failure_text(problem))
						  : json_null());
}

/* ---- public keys ---- */

json_t *sg_json_judged_key(const struct sg_keyinfo *keyinfo, struct sg_verdict_index *issuers)
{
	struct sg_verdict verdict;
	json_t *object = NULL;

	if (sg_verdict_judge(keyinfo, issuers, time(NULL), &verdict) == 0)
		object = sg_json_public_key(keyinfo, &verdict);
	sg_verdict_clear(&verdict);
	return object;
}
