#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "api_json.h"
#include "ledger.h"
#include "store.h"
#include "x509.h"

void sg_doctor_add(json_t *findings, enum sg_finding level, const char *subject, const char *advice,
    const char *format, ...)
{
	static const char *const names[] = {
		[SG_FINDING_GOOD] = "good",
		[SG_FINDING_NOTE] = "note",
		[SG_FINDING_PROBLEM] = "problem",
	};
	char message[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	json_array_append_new(findings,
	    json_pack("{s:s, s:o, s:o, s:o}", "level", names[level], "subject",
		sg_json_text_or_empty(subject), "message", sg_json_text_or_empty(message), "advice",
		sg_json_text(advice)));
}

int sg_doctor_has_problem(const json_t *findings, const char *subject)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding) {
		if (strcmp(json_string_value(json_object_get(finding, "level")), "problem") == 0 &&
		    strcmp(json_string_value(json_object_get(finding, "subject")), subject) == 0)
			return 1;
	}
	return 0;
}

/* ---- tokens ---- */

static int has_mechanism(const struct sg_token_info *token, const char *name)
{
	for (uint32_t i = 0; i < token->mechanism_count; i++) {
		if (strcmp(token->mechanisms[i], name) == 0)
			return 1;
	}
	return 0;
}

/* Gives 1 when something of it is a problem. */
static int look_at_pin(const struct sg_agent *agent, const struct sg_token_info *token,
    const char *name, json_t *findings)
{
	uint32_t left = sg_ledger_tries_left(agent, token);
	struct sg_ledger_state user, so;
	int problem = 1;

	sg_ledger_look(agent, token, SG_PIN_USER, &user);
	sg_ledger_look(agent, token, SG_PIN_SO, &so);
	if (so.locked)
		sg_doctor_add(findings, SG_FINDING_NOTE, name,
		    "Take care of the PIN: when that is locked, too, only a reset by the token's "
		    "own tool "
		    "helps, which loses its keys.",
		    "The PUK or SO PIN of the token \"%s\" was locked at its last try.", name);
	if ((token->flags & SG_TOKEN_PIN_SET) == 0) {
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Set one with the token's own tool, or with `signet token pin unblock`.",
		    "The token \"%s\" has no PIN yet.", name);
	} else if ((token->flags & SG_TOKEN_PIN_LOCKED) != 0) {
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Set a new one with the PUK or SO PIN: `signet token pin unblock`.",
		    "The PIN of the token \"%s\" is locked after too many wrong ones.", name);
	} else if (user.locked) {
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "A TPM takes PINs again after a while, or after `tpm2_dictionarylockout "
		    "--clear-lockout`; then unlock it as a person: `signet token unlock`.",
		    "The token \"%s\" took no PIN at the last try, whatever it was: it is locked "
		    "after too many wrong ones.",
		    name);
	} else if (left <= 1) {
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
		    "Unlock it with a pinentry, and with the right PIN: `signet token unlock`.",
		    "The next wrong PIN %s the token \"%s\"; nothing tries one but a person at a "
		    "pinentry.",
		    (token->flags & SG_TOKEN_PIN_FINAL) != 0 ? "locks" : "may lock", name);
	} else if ((token->flags & SG_TOKEN_PIN_LOW) != 0 || user.tries > 0) {
		problem = 0;
		sg_doctor_add(findings, SG_FINDING_NOTE, name,
		    "A right PIN sets the count back: `signet token unlock`.",
		    "The last PIN that the token \"%s\" was given was wrong or never judged.",
		    name);
	} else {
		problem = 0;
	}
	return problem;
}

static int look_at_mechanisms(const struct sg_token_info *token, const char *name, json_t *findings)
{
	int rsa = has_mechanism(token, "CKM_RSA_PKCS");
	int ecdsa = has_mechanism(token, "CKM_ECDSA") || has_mechanism(token, "CKM_ECDSA_SHA256");

	if (!rsa && !ecdsa) {
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name, "Use another token.",
		    "The token \"%s\" signs neither with CKM_RSA_PKCS nor with CKM_ECDSA.", name);
		return 1;
	}
	if (rsa && !has_mechanism(token, "CKM_RSA_PKCS_PSS") &&
	    !has_mechanism(token, "CKM_SHA256_RSA_PKCS_PSS"))
		sg_doctor_add(findings, SG_FINDING_NOTE, name,
		    ecdsa ? "Make an EC key (`signet key new --algorithm p256`), or let the server "
			    "offer TLS 1.2."
			  : "Let the server offer TLS 1.2, or use another token.",
		    "The token \"%s\" has no RSA-PSS: with its RSA keys no login by TLS 1.3 works.",
		    name);
	return 0;
}

static int look_at_room(const struct sg_module *module, const struct sg_token_info *token,
    const char *name, json_t *findings)
{
	if (module->full_token == NULL || token->uri == NULL ||
	    strcmp(module->full_token, token->uri) != 0)
		return 0;
	sg_doctor_add(findings, SG_FINDING_PROBLEM, name,
	    "Remove objects that nobody needs with the token's own tool; the next key or "
	    "certificate that it takes ends this finding.",
	    "The token \"%s\" had no room left when it was last to store a key or a certificate.",
	    name);
	return 1;
}

static void look_at_token(const struct sg_agent *agent, const struct sg_token_info *token,
    const struct sg_module *module, json_t *findings)
{
	const char *name =
	    token->label != NULL && token->label[0] != '\0' ? token->label : token->uri;
	int problems = 0;

	if ((token->flags & SG_TOKEN_LOGIN_REQUIRED) != 0)
		problems += look_at_pin(agent, token, name, findings);
	problems += look_at_mechanisms(token, name, findings);
	problems += look_at_room(module, token, name, findings);
	if ((token->flags & SG_TOKEN_READ_ONLY) != 0)
		sg_doctor_add(findings, SG_FINDING_NOTE, name,
		    "Take the protection off with the token's own tool if it is to get keys.",
		    "The token \"%s\" is write-protected: no key or certificate can be stored.",
		    name);
	if (problems == 0)
		sg_doctor_add(findings, SG_FINDING_GOOD, name, NULL,
		    "The token \"%s\" (serial number %s, module %s) is there%s.", name,
		    token->serial != NULL ? token->serial : "", module->name,
		    (token->flags & SG_TOKEN_UNLOCKED) != 0 ? " and unlocked" : "");
}

int sg_doctor_lacks_readers(const struct sg_module_answer *answer)
{
	return answer->error.code != 0 &&
	    sg_msg_error_code(&answer->error) == SG_ERR_TOKEN_FAILED &&
	    answer->error.subject == NULL;
}

int sg_doctor_lacks_card(const struct sg_module_answer *answer)
{
	return answer->error.code != 0 && sg_msg_error_code(&answer->error) == SG_ERR_BUSY;
}

/* What was found already and may be why is the problem; this is no other one then. */
static const char *reason_for(const struct sg_module_answer *answer, const json_t *findings)
{
	if (sg_doctor_lacks_readers(answer) && sg_doctor_has_problem(findings, "pcscd"))
		return "pcscd";
	if (sg_doctor_lacks_card(answer) && sg_doctor_has_problem(findings, "scdaemon"))
		return "scdaemon";
	return NULL;
}

static void look_at_failure(const struct sg_module_answer *answer, json_t *findings)
{
	const char *name = answer->module->name;
	const char *reason = reason_for(answer, findings);
	const char *message = sg_failure_text(&answer->error);

	if (sg_doctor_has_problem(findings, name))
		return; /* its file is missing */
	if (reason != NULL)
		sg_doctor_add(findings, SG_FINDING_NOTE, name, NULL,
		    "The module %s cannot be used: %s. See %s.", name, message, reason);
	else
		sg_doctor_add(findings, SG_FINDING_PROBLEM, name, sg_failure_advice(&answer->error),
		    "The module %s cannot be used: %s.", name, message);
}

void sg_doctor_tokens(const struct sg_agent *agent, const struct sg_module_answer *answers,
    size_t count, json_t *findings)
{
	int failed = 0;

	for (size_t i = 0; i < count; i++) {
		const struct sg_module_answer *answer = &answers[i];
		const struct sg_msg_tokens *list = &answer->u.tokens;

		failed = failed || answer->error.code != 0;
		if (answer->error.code != 0)
			look_at_failure(answer, findings);
		else if (sg_worker_deaths(answer->module->worker) > 0)
			sg_doctor_add(findings, SG_FINDING_NOTE, answer->module->name,
			    "The log of signetd says when. If it happens again, update the module, "
			    "or report it to its vendor.",
			    "The process of the module %s died or hung %u times since signetd was "
			    "started.",
			    answer->module->name, sg_worker_deaths(answer->module->worker));
		for (uint32_t k = 0; answer->error.code == 0 && k < list->token_count; k++) {
			if ((list->tokens[k].flags & SG_TOKEN_INITIALIZED) != 0)
				look_at_token(agent, &list->tokens[k], answer->module, findings);
		}
	}
	if (sg_module_answers_token_count(answers, count) == 0 && failed)
		sg_doctor_add(findings, SG_FINDING_NOTE, "tokens",
		    "Look at the modules that cannot be used first.",
		    "No module that answers has a token.");
	else if (sg_module_answers_token_count(answers, count) == 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, "tokens",
		    "Put one in. If one is in, name the PKCS#11 module that belongs to it in "
		    "signet.conf(5); for a software token, make one.",
		    "The modules show no token at all.");
}

/* ---- keys ---- */

static void look_at_key(
    const struct sg_agent *agent, const struct sg_key_info *key, json_t *findings)
{
	struct sg_key_use use;
	char *hex;

	if (key->uri == NULL || key->spki.len == 0 ||
	    sg_store_key_use_get(agent->store, key->uri, &use) != 0)
		return;
	hex = sg_x509_fingerprint(&key->spki, "sha256");
	if (hex != NULL && strcmp(hex, use.spki_sha256) != 0)
		sg_doctor_add(findings, SG_FINDING_PROBLEM, key->uri,
		    sg_err_advice(SG_ERR_KEY_CHANGED),
		    "The key \"%s\" is not the one that it was at its first use.",
		    key->label != NULL ? key->label : key->uri);
	free(hex);
	sg_key_use_clear(&use);
}

/* How often each URI is there. */
static json_t *count_uris(const struct sg_module_answer *answers, size_t count)
{
	json_t *uris = json_object();

	for (size_t i = 0; i < count; i++) {
		const struct sg_msg_objects *objects = &answers[i].u.objects;

		for (uint32_t k = 0; answers[i].error.code == 0 && k < objects->key_count; k++) {
			const char *uri = objects->keys[k].uri;

			if (uri != NULL)
				json_object_set_new(uris, uri,
				    json_integer(
					json_integer_value(json_object_get(uris, uri)) + 1));
		}
	}
	return uris;
}

void sg_doctor_keys(const struct sg_agent *agent, const struct sg_module_answer *answers,
    size_t count, json_t *findings)
{
	json_t *uris = count_uris(answers, count);

	for (size_t i = 0; i < count; i++) {
		const struct sg_msg_objects *objects = &answers[i].u.objects;

		for (uint32_t k = 0; answers[i].error.code == 0 && k < objects->key_count; k++) {
			const struct sg_key_info *key = &objects->keys[k];
			long long same = key->uri != NULL
			    ? (long long)json_integer_value(json_object_get(uris, key->uri))
			    : 1;

			if (same == 1)
				look_at_key(agent, key, findings);
			else if (!sg_doctor_has_problem(findings, key->uri))
				sg_doctor_add(findings, SG_FINDING_PROBLEM, key->uri,
				    "Remove or relabel all but one with the token's own tool.",
				    "%lld keys \"%s\" have one label and one identifier (or one "
				    "token "
				    "shows through two modules): none of them can be named.",
				    same, key->label != NULL ? key->label : key->uri);
		}
	}
	json_decref(uris);
}

/* ---- accounts ---- */

void sg_doctor_accounts(const struct sg_agent *agent, json_t *findings)
{
	for (struct sg_account *account = sg_accounts_first(agent->accounts); account != NULL;
	     account = sg_accounts_next(account)) {
		const char *jid = account->row.jid;

		if (account->last_error != NULL)
			sg_doctor_add(findings, SG_FINDING_NOTE, jid,
			    "`signet account connect` tries it again.",
			    "The last connection of %s failed: %s.", jid, account->last_error);
		else if (account->state == SG_ACCOUNT_ONLINE)
			sg_doctor_add(
			    findings, SG_FINDING_GOOD, jid, NULL, "The account %s is online.", jid);
	}
}
