#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "show_path.h"

static const char *yes_no(const json_t *object, const char *member)
{
	return json_is_true(json_object_get(object, member)) ? "yes" : "no";
}

/* What only the private key says. */
static const char *yes_no_unknown(const json_t *object, const char *member)
{
	const json_t *value = json_object_get(object, member);

	return json_is_boolean(value) ? yes_no(object, member) : "unknown (token locked)";
}

/* Whether the token's PIN is set, and whether it may be tried. */
static const char *pin_state(const json_t *token)
{
	static const struct sg_word words[] = {
		{ "unset", "no PIN is set" },
		{ "ok", "fine" },
		{ "low", "a wrong one was tried" },
		{ "final", "ONE TRY LEFT" },
		{ "locked", "LOCKED, no try left" },
	};

	return SG_WORD_TEXT(sg_member(token, "pin", "-"), words);
}

#define CELL_MAX 24 /* room for a number and some words */

/* How long the PIN is kept. */
static const char *remember_text(const json_t *token, char room[CELL_MAX])
{
	static const struct sg_word words[] = {
		{ "always", "no, ask always" },
		{ "minutes", "some minutes" },
		{ "idle", "while in use" },
		{ "removal", "until removal" },
		{ "lock", "until lock" },
	};
	const char *word = sg_member(token, "remember", NULL);
	const json_t *minutes = json_object_get(token, "remember_minutes");

	if (word != NULL && json_is_integer(minutes)) {
		(void)snprintf(room, CELL_MAX,
		    strcmp(word, "idle") == 0 ? "%lld min after use" : "%lld min",
		    (long long)json_integer_value(minutes));
		return room;
	}
	return word != NULL ? SG_WORD_TEXT(word, words) : NULL;
}

/* ---- lists, as tables ---- */

/* What stands in a cell: a text of its own, or made in the room given. NULL: "-". */
typedef const char *cell_fn(const json_t *object, const char *member, char room[CELL_MAX]);

struct column {
	const char *header;
	const char *member;
	cell_fn *cell;
};

static const char *cell_text(const json_t *object, const char *member, char room[CELL_MAX])
{
	return sg_member(object, member, NULL);
}

static const char *cell_yes_no(const json_t *object, const char *member, char room[CELL_MAX])
{
	return yes_no(object, member);
}

static const char *cell_pin(const json_t *object, const char *member, char room[CELL_MAX])
{
	return pin_state(object);
}

static const char *cell_remember(const json_t *object, const char *member, char room[CELL_MAX])
{
	return remember_text(object, room);
}

static const char *cell_number(const json_t *object, const char *member, char room[CELL_MAX])
{
	const json_t *value = json_object_get(object, member);

	if (!json_is_integer(value))
		return NULL;
	(void)snprintf(room, CELL_MAX, "%lld", (long long)json_integer_value(value));
	return room;
}

/* How many there are of what the member lists. */
static const char *cell_count(const json_t *object, const char *member, char room[CELL_MAX])
{
	(void)snprintf(room, CELL_MAX, "%zu", json_array_size(json_object_get(object, member)));
	return room;
}

/* A row for each object of the array; the sentence when there is none. */
static void show_table(
    const json_t *objects, const struct column *columns, size_t count, const char *when_empty)
{
	const char *cells[SG_TABLE_COLUMNS_MAX] = { NULL };
	char rooms[SG_TABLE_COLUMNS_MAX][CELL_MAX];
	struct sg_table table;
	const json_t *object;
	size_t i;

	for (size_t k = 0; k < count; k++)
		cells[k] = columns[k].header;
	sg_table_start(&table, count, cells);
	json_array_foreach(objects, i, object) {
		for (size_t k = 0; k < count; k++)
			cells[k] = columns[k].cell(object, columns[k].member, rooms[k]);
		sg_table_row(&table, cells);
	}
	sg_table_print(&table, when_empty);
}

#define SHOW_TABLE(objects, columns, when_empty)                                                   \
	show_table(objects, columns, sizeof(columns) / sizeof((columns)[0]), when_empty)

void sg_show_tokens(const json_t *tokens)
{
	static const struct column columns[] = {
		{ "LABEL", "label", cell_text },
		{ "UNLOCKED", "unlocked", cell_yes_no },
		{ "PIN", "pin", cell_pin },
		{ "TRIES", "tries_left", cell_number },
		{ "REMEMBERED", "remember", cell_remember },
		{ "SERIAL", "serial", cell_text },
		{ "MODEL", "model", cell_text },
	};

	const json_t *token;
	size_t i;

	SHOW_TABLE(tokens, columns, "There is no token.");
	json_array_foreach(tokens, i, token) {
		const char *problem = sg_member(token, "problem", NULL);

		if (problem == NULL)
			continue;
		printf("Token '");
		sg_print_text(stdout, sg_member(token, "label", ""));
		printf("' is shown as it was before: ");
		sg_print_text(stdout, problem);
		putchar('\n');
	}
}

void sg_show_keys(const json_t *keys)
{
	static const struct column columns[] = {
		{ "LABEL", "label", cell_text },
		{ "ALGORITHM", "algorithm", cell_text },
		{ "CERTIFICATES", "certificates", cell_count },
		{ "URI", "uri", cell_text },
	};

	SHOW_TABLE(keys, columns, "There is no key to be seen.");
}

void sg_show_accounts(const json_t *accounts)
{
	static const struct column columns[] = {
		{ "ACCOUNT", "jid", cell_text },
		{ "STATE", "state", cell_text },
		{ "LOGIN", "mechanism", cell_text },
		{ "PROTOCOL", "protocol", cell_text },
		{ "CERTIFICATE", "certificate", cell_text },
	};

	SHOW_TABLE(accounts, columns, "There is no account; `signet account add` makes one.");
}

void sg_show_workers(const json_t *workers)
{
	static const struct column columns[] = {
		{ "WORKER", "kind", cell_text },
		{ "FOR", "subject", cell_text },
		{ "STATE", "state", cell_text },
		{ "PID", "pid", cell_number },
		{ "RESTARTS", "restarts", cell_number },
	};
	const json_t *worker;
	size_t i;

	SHOW_TABLE(workers, columns, "No worker runs.");
	json_array_foreach(workers, i, worker) {
		const char *problem = sg_member(worker, "problem", NULL);

		if (problem == NULL)
			continue;
		printf("Without the tokens of ");
		sg_print_text(stdout, sg_member(worker, "subject", "-"));
		printf(": ");
		sg_print_text(stdout, problem);
		putchar('\n');
	}
}

/* ---- one alone ---- */

void sg_show_token(const json_t *token)
{
	char tries[CELL_MAX], remembered[CELL_MAX];

	sg_print_member("label", token, "label");
	sg_print_member("uri", token, "uri");
	sg_print_member("serial", token, "serial");
	sg_print_member("manufacturer", token, "manufacturer");
	sg_print_member("model", token, "model");
	sg_print_member("slot", token, "slot");
	sg_print_member("module", token, "module");
	sg_print_field("unlocked", yes_no(token, "unlocked"));
	sg_print_field("PIN", pin_state(token));
	sg_print_field("tries left", cell_number(token, "tries_left", tries));
	sg_print_field("remembered", remember_text(token, remembered));
	sg_print_field("read only", yes_no(token, "read_only"));
	sg_print_member("problem", token, "problem");
}

void sg_show_key(const json_t *key)
{
	sg_print_member("label", key, "label");
	sg_print_member("uri", key, "uri");
	sg_print_member("token", key, "token");
	sg_print_member("id", key, "id");
	sg_print_member("algorithm", key, "algorithm");
	sg_print_field("sensitive", yes_no_unknown(key, "sensitive"));
	sg_print_field("extractable", yes_no_unknown(key, "extractable"));
	sg_print_field("PIN each use", yes_no_unknown(key, "always_authenticate"));
	sg_print_member_list("abilities", key, "abilities");
}

void sg_show_certificate(const json_t *certificate)
{
	sg_print_member("certificate", certificate, "name");
	sg_print_member("sha256", certificate, "sha256");
	sg_print_member("subject", certificate, "subject");
	sg_print_member("issuer", certificate, "issuer");
	sg_print_member_list("JIDs", certificate, "jids");
	sg_print_member("valid from", certificate, "not_before");
	sg_print_member("valid until", certificate, "not_after");
	sg_print_member("uri", certificate, "uri");
}

void sg_show_account(const json_t *account)
{
	char port[CELL_MAX];

	sg_print_member("account", account, "jid");
	sg_print_member("state", account, "state");
	sg_print_member("online as", account, "bound_jid");
	sg_print_member("login", account, "mechanism");
	sg_print_member("TLS version", account, "tls_version");
	sg_print_member("host", account, "host");
	sg_print_field("port", cell_number(account, "port", port));
	sg_print_member("TLS", account, "tls");
	sg_print_member("CA file", account, "cafile");
	sg_print_member("key", account, "key");
	sg_print_member("certificate", account, "certificate");
	sg_print_member("valid until", account, "not_after");
	sg_print_member("renewed from", account, "renew_due");
	sg_print_member("user key", account, "user_key");
	sg_print_member("protocol", account, "protocol");
	sg_print_member("last error", account, "last_error");
}

/* ---- jobs ---- */

static const char *job_text(const char *kind)
{
	static const struct {
		const char *kind;
		const char *text;
	} kinds[] = {
		{ "enrol", "the enrolment of " },
		{ "replace", "the new certificate of " },
		{ "renew", "the renewal of the certificate of " },
		{ "revoke", "a revocation of " },
		{ "spare", "the spare certificate of " },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kind, kinds[i].kind) == 0)
			return kinds[i].text;
	return "a job of ";
}

static int is_state(const json_t *job, const char *state)
{
	return strcmp(sg_member(job, "state", ""), state) == 0;
}

/* What is being undone can only be undone, and what is proven no more. */
static void show_enrolment_advice(const json_t *job)
{
	if (is_state(job, "undo") || is_state(job, "discard")) {
		printf(" --cancel");
		return;
	}
	printf(" --key '");
	sg_print_text(stdout, sg_member(job, "key", "-"));
	putchar('\'');
	if (is_state(job, "add") || is_state(job, "store") || is_state(job, "prove"))
		printf("`, or undone by `--cancel` in the place of `--key");
}

/* What a person can do, who need not. */
static void show_job_advice(const char *jid, const json_t *job)
{
	const char *waits_for = sg_member(job, "waits_for", NULL);
	const char *certificate = sg_member(job, "certificate", NULL);
	const char *kind = sg_member(job, "kind", "");
	const char *advice = waits_for != NULL ? sg_err_advice(sg_err_from_name(waits_for)) : "";

	printf("  It goes on by itself as soon as it can.%s%s\n  At once: `signet ",
	    advice[0] != '\0' ? " " : "", advice);
	if (strcmp(kind, "revoke") == 0) {
		printf("cert revoke ");
		sg_print_text(stdout, jid);
		putchar(' ');
		sg_print_text(stdout, certificate != NULL ? certificate : "-");
	} else if (strcmp(kind, "renew") == 0 &&
	    (is_state(job, "undo") || is_state(job, "discard"))) {
		printf("enrol --cancel ");
		sg_print_text(stdout, jid);
	} else if (strcmp(kind, "renew") == 0) {
		printf("cert renew ");
		sg_print_text(stdout, jid);
		if (is_state(job, "sign") || is_state(job, "publish")) {
			printf("`, or back to the former certificate: `signet enrol --cancel ");
			sg_print_text(stdout, jid);
		}
	} else {
		printf("enrol ");
		sg_print_text(stdout, jid);
		show_enrolment_advice(job);
	}
	puts("`.");
}

static void show_job(const json_t *account, const json_t *job)
{
	const char *text = sg_member(job, "text", NULL);
	const char *jid = sg_member(account, "jid", "-");
	int runs = json_is_true(json_object_get(job, "running"));

	printf("%s: %s", runs ? "\nUnder way" : "\nWAITS", job_text(sg_member(job, "kind", "")));
	sg_print_text(stdout, jid);
	printf(" (state %s, since ", sg_member(job, "state", "-"));
	sg_print_text(stdout, sg_member(job, "since", "-"));
	printf(")%s", text != NULL ? ": " : "");
	sg_print_text(stdout, text != NULL ? text : "");
	putchar('\n');
	if (!runs)
		show_job_advice(jid, job);
}

void sg_show_jobs(const json_t *accounts)
{
	const json_t *account, *job;
	size_t i, j;

	json_array_foreach(accounts, i, account)
		json_array_foreach(json_object_get(account, "jobs"), j, job)
			show_job(account, job);
}

/* ---- public keys ---- */

const char *sg_key_kind_text(const char *kind)
{
	if (strcmp(kind, "x509") == 0)
		return "X.509 certificate";
	if (strcmp(kind, "pgp") == 0)
		return "OpenPGP key";
	return "reference, without key data";
}

static const char *grade_text(const json_t *key)
{
	const char *grade = sg_member(key, "grade", "");

	if (strcmp(grade, "sha256") == 0)
		return "SHA-256";
	if (strcmp(grade, "sha1") == 0)
		return "SHA-1 only: weaker, for SHA-1 can be forged with much effort";
	if (strcmp(grade, "bad") == 0)
		return "BAD: a signature is not by the issuer it names";
	return json_array_size(json_object_get(key, "signatures")) == 0 ? "none: unsigned"
									: "none: no good signature";
}

static const char *verdict_text(const char *verdict)
{
	static const struct sg_word words[] = {
		{ "bad", "BAD" },
		{ "unknown_method", "unknown method" },
		{ "unknown_issuer", "unknown issuer" },
		{ "self", "its own, counts for nothing" },
		{ "unchecked", "not checked" },
		{ "refused", "does not count" },
	};

	return SG_WORD_TEXT(verdict, words);
}

/* verdict, method, issuer and, where it is known, whose key that is and what there is to say. */
static void show_signature(const json_t *signature)
{
	const char *jid = sg_member(signature, "issuer_jid", NULL);
	const char *reason = sg_member(signature, "reason", NULL);

	sg_print_name("signature");
	sg_print_text(stdout, verdict_text(sg_member(signature, "verdict", "-")));
	fputs("; ", stdout);
	sg_print_text(stdout, sg_member(signature, "method", "OpenPGP packet"));
	fputs(" by ", stdout);
	sg_print_text(stdout, sg_member(signature, "issuer", "-"));
	if (jid != NULL) {
		fputs(" of ", stdout);
		sg_print_text(stdout, jid);
	}
	if (reason != NULL) {
		fputs(" (", stdout);
		sg_print_text(stdout, reason);
		putchar(')');
	}
	putchar('\n');
}

/* K6: signatures that could not be read are no part of the key any more. */
static void show_dropped(const json_t *key)
{
	json_int_t dropped = json_integer_value(json_object_get(key, "dropped"));

	if (dropped > 0) {
		sg_print_name("signature");
		printf("%lld cannot be read, and dropped\n", (long long)dropped);
	}
}

void sg_show_signatures(const json_t *key)
{
	const json_t *signature;
	size_t i;

	json_array_foreach(json_object_get(key, "signatures"), i, signature) {
		show_signature(signature);
	}
	show_dropped(key);
	sg_print_field("grade", grade_text(key));
}

void sg_show_public_keys(const json_t *keys)
{
	const json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		if (i > 0)
			putchar('\n');
		sg_print_member("name", key, "name");
		sg_print_field("kind", sg_key_kind_text(sg_member(key, "kind", "")));
		sg_print_member_list("JIDs", key, "jids");
		if (json_array_size(json_object_get(key, "user_ids")) > 0)
			sg_print_member_list("user ids", key, "user_ids");
		sg_show_signatures(key);
		if (json_is_true(json_object_get(key, "expired")))
			sg_print_field("expired", "yes, or not valid yet");
		if (json_is_true(json_object_get(key, "revoked")))
			sg_print_field("revoked", "YES, by its owner");
		else if (json_is_null(json_object_get(key, "revoked")))
			sg_print_field("revoked", "cannot be told now, nor whether it has expired");
		if (json_is_object(json_object_get(key, "path")))
			sg_show_path(json_object_get(key, "path"));
	}
}
