#include "signings.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include <jansson.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "api_json.h"
#include "clock.h"
#include "pgp.h"
#include "pgp_key.h"
#include "store.h"
#include "stored_keys.h"
#include "text.h"
#include "verdict.h"
#include "x509.h"

#define METHODS_MAX 4  /* kept signatures of one issuer that a reply can have others in place of */
#define MARK_SIZE   24 /* bytes that stand for a value while the reply's text is made */
#define DAY	    86400

/* A reply, with marks in the places of the values of the issuer's signatures. */
struct form {
	char *text;
	size_t len;
	struct place {
		size_t begin, end;
	} places[METHODS_MAX]; /* in their order in the text */
};

struct sg_signing {
	TAILQ_ENTRY(sg_signing) entry;
	unsigned refs;
	char *jid;
	char *fingerprint;
	char *user_certificate;
	int64_t changes;		  /* of the store, when this was read */
	struct sg_msg_keyinfos keys;	  /* the subject and the issuer */
	struct sg_blob fingerprint_bytes; /* of an OpenPGP subject */
	struct sg_blob fingerprint_input; /* the same */
	int foreign;			  /* others have made the subject */
	unsigned char foreign_sha256[SHA256_DIGEST_LENGTH];
	X509 *issuer;
	const char *invalid; /* see sg_signing_invalid() */
	time_t from, until; /* in which the reply says rightly whether the certificate is expired */
	/* The issuer's kept signatures; a form's places are in the same order. */
	const struct sg_signature *kept[METHODS_MAX];
	size_t kept_count;
	struct form checked;
	struct form unchecked; /* for when not all that the token made were verified */
	int64_t checked_ms;    /* sg_clock_ms() when all last were; 0: never */
};

TAILQ_HEAD(signing_list, sg_signing);

struct sg_signings {
	struct signing_list list; /* the one that was used last stands first */
	size_t count;
};

/* ---- what is remembered ---- */

int sg_signings_new(struct sg_signings **signings)
{
	*signings = calloc(1, sizeof(**signings));
	if (*signings == NULL)
		return SG_ERR_NOMEM;
	TAILQ_INIT(&(*signings)->list);
	return 0;
}

static void forget(struct sg_signings *signings, struct sg_signing *signing)
{
	TAILQ_REMOVE(&signings->list, signing, entry);
	signings->count--;
	sg_signing_unref(signing);
}

void sg_signings_free(struct sg_signings *signings)
{
	struct sg_signing *signing;

	if (signings == NULL)
		return;
	while ((signing = TAILQ_FIRST(&signings->list)) != NULL)
		/* The analyzer does not see that TAILQ_REMOVE gives the list another first. */
		forget(signings, signing); /* NOLINT(clang-analyzer-unix.Malloc) */
	free(signings);
}

void sg_signing_unref(struct sg_signing *signing)
{
	if (signing == NULL || --signing->refs > 0)
		return;
	sg_msg_clear(SG_MSG_KEYINFOS, &signing->keys);
	sg_blob_clear(&signing->fingerprint_bytes);
	sg_blob_clear(&signing->fingerprint_input);
	X509_free(signing->issuer);
	free(signing->checked.text);
	free(signing->unchecked.text);
	free(signing->jid);
	free(signing->fingerprint);
	free(signing->user_certificate);
	free(signing);
}

static struct sg_signing *find(
    struct sg_signings *signings, const struct sg_account_row *row, const char *fingerprint)
{
	struct sg_signing *signing;

	TAILQ_FOREACH(signing, &signings->list, entry) {
		if (strcmp(signing->fingerprint, fingerprint) == 0 &&
		    strcmp(signing->jid, row->jid) == 0 &&
		    strcmp(signing->user_certificate, row->user_certificate) == 0)
			return signing;
	}
	return NULL;
}

static int is_outdated(const struct sg_signing *signing, const struct sg_store *store)
{
	time_t now = time(NULL);

	return signing->changes != sg_store_rows_changed(store) || now < signing->from ||
	    now >= signing->until;
}

const struct sg_keyinfo *sg_signing_subject(const struct sg_signing *signing)
{
	return &signing->keys.keyinfos[0];
}

const struct sg_keyinfo *sg_signing_issuer(const struct sg_signing *signing)
{
	return &signing->keys.keyinfos[1];
}

struct sg_blob sg_signing_bytes(const struct sg_signing *signing)
{
	return sg_signing_subject(signing)->kind == SG_KEYINFO_PGP
	    ? signing->fingerprint_bytes
	    : sg_signing_subject(signing)->data;
}

const char *sg_signing_invalid(const struct sg_signing *signing)
{
	return signing->invalid;
}

const char *sg_signing_fingerprint(const struct sg_signing *signing)
{
	return signing->fingerprint;
}

int sg_signing_is_rsa(const struct sg_signing *signing)
{
	return EVP_PKEY_get_base_id(X509_get0_pubkey(signing->issuer)) == EVP_PKEY_RSA;
}

const struct sg_blob *sg_signing_foreign(
    const struct sg_signing *signing, const unsigned char **sha256)
{
	*sha256 = signing->foreign_sha256;
	if (!signing->foreign)
		return NULL;
	return sg_signing_subject(signing)->kind == SG_KEYINFO_PGP
	    ? &signing->fingerprint_input
	    : &sg_signing_subject(signing)->data;
}

/* ---- checks ---- */

/* PKCS#1 v1.5 gives the same value each time, so what equals a good one is good. */
static int is_deterministic(const char *method)
{
	return strncmp(method, "RSA-", 4) == 0;
}

static const struct sg_signature *kept_of(const struct sg_signing *signing, const char *method)
{
	for (size_t i = 0; i < signing->kept_count; i++) {
		if (strcmp(method, signing->kept[i]->method) == 0)
			return signing->kept[i];
	}
	return NULL;
}

int sg_signing_has_kept(const struct sg_signing *signing, const struct sg_msg_signatures *fresh)
{
	for (uint32_t i = 0; i < fresh->signature_count; i++) {
		if (kept_of(signing, fresh->signatures[i].method) == NULL)
			return 0;
	}
	return 1;
}

int sg_signing_check(struct sg_signing *signing, const struct sg_msg_signatures *fresh, int *all)
{
	const struct sg_blob bytes = sg_signing_bytes(signing);
	int64_t now = sg_clock_ms();
	int may_skip = signing->checked_ms != 0 && now - signing->checked_ms < SG_SIGNING_CHECK_MS;

	*all = 1;
	for (uint32_t i = 0; i < fresh->signature_count; i++) {
		const struct sg_signature *signature = &fresh->signatures[i];
		const struct sg_signature *kept = kept_of(signing, signature->method);

		if (kept != NULL && is_deterministic(signature->method) &&
		    sg_blob_eq(&signature->value, &kept->value))
			continue;
		if (kept != NULL && !is_deterministic(signature->method) && may_skip) {
			*all = 0;
			continue;
		}
		if (sg_verdict_check(X509_get0_pubkey(signing->issuer), signature->method, &bytes,
			&signature->value) != SG_SIG_GOOD)
			return SG_ERR_TOKEN_FAILED;
	}
	if (*all)
		signing->checked_ms = now;
	return 0;
}

/* ---- the reply ---- */

static const struct sg_blob *value_of(
    const struct sg_msg_signatures *fresh, const struct sg_signature *kept)
{
	for (uint32_t i = 0; i < fresh->signature_count; i++) {
		if (strcmp(fresh->signatures[i].method, kept->method) == 0)
			return &fresh->signatures[i].value;
	}
	return &kept->value;
}

/* How a form ends, and what stands behind the note; both with the NUL that ends the message. */
static const char form_tail[] = "null}}", form_end[] = "}}";

static void put_note(struct sg_buf *text, const char *note)
{
	json_t *string = sg_json_text(note);
	char *json = string != NULL ? json_dumps(string, JSON_ENCODE_ANY) : NULL;

	if (json != NULL)
		sg_buf_put_str(text, json);
	else
		text->err = SG_ERR_NOMEM;
	free(json);
	json_decref(string);
}

void sg_signing_reply(const struct sg_signing *signing, const struct sg_msg_signatures *fresh,
    int all, const char *note, struct sg_buf *text)
{
	const struct form *form = all ? &signing->checked : &signing->unchecked;
	size_t done = 0, tail = form->len - sizeof(form_tail);

	for (size_t i = 0; i < signing->kept_count; i++) {
		const struct sg_blob *value = value_of(fresh, signing->kept[i]);
		char *base64 = sg_base64_encode(value->data, value->len);

		if (base64 == NULL) {
			text->err = SG_ERR_NOMEM;
			return;
		}
		sg_buf_put(text, form->text + done, form->places[i].begin - done);
		sg_buf_put_str(text, base64);
		free(base64);
		done = form->places[i].end;
	}
	sg_buf_put(text, form->text + done, tail - done);
	put_note(text, note);
	sg_buf_put(text, form_end, sizeof(form_end));
}

/* ---- out of the store ---- */

/* When the subject's validity begins and ends. */
static int load_x509(struct sg_signing *signing, time_t *begin, time_t *end)
{
	X509 *cert = NULL;
	int err = sg_x509_cert_parse(&sg_signing_subject(signing)->data, &cert);

	if (err != 0)
		return err;
	*begin = (time_t)sg_x509_seconds(X509_get0_notBefore(cert));
	*end = (time_t)sg_x509_seconds(X509_get0_notAfter(cert));
	X509_free(cert);
	return 0;
}

/* The same of an OpenPGP key; one that cannot be judged now is asked again with the next call. */
static int load_pgp(struct sg_signing *signing, time_t now, time_t *begin, time_t *end)
{
	const struct sg_keyinfo *subject = sg_signing_subject(signing);
	struct sg_pgp_key *key = NULL;
	const char *why;
	int err =
	    sg_hex_decode(subject->name, SG_PGP_FINGERPRINT_SIZE, &signing->fingerprint_bytes);

	if (err != 0)
		return err;
	*begin = *end = now;
	err = sg_pgp_key_load(&subject->data, 1, now, &key, &why);
	if (err == 0) {
		const struct sg_pgp_facts *facts = sg_pgp_key_facts(key);

		*begin = facts->created;
		*end = facts->expires != 0 ? facts->expires : now + DAY;
	}
	sg_pgp_key_free(key);
	return err == SG_ERR_NOMEM ? err : 0;
}

/* A user key's certificate is made nowhere but here (sg_user_key_make()). */
static int load_foreign(struct sg_signing *signing, const struct sg_account *account)
{
	const struct sg_keyinfo *subject = sg_signing_subject(signing);
	const unsigned char *unused;
	const struct sg_blob *bytes;
	struct sg_cert_row cert;
	int err;

	if (subject->kind == SG_KEYINFO_PGP) {
		signing->foreign = 1;
		err = sg_pgp_fingerprint_input(&subject->data, &signing->fingerprint_input);
	} else {
		err = sg_store_cert_get(
		    account->agent->store, account->row.jid, signing->fingerprint, &cert);
		signing->foreign = err != 0 || cert.role != SG_CERT_USER;
		sg_cert_row_clear(&cert);
		if (err == SG_ERR_KEY_ABSENT) /* of the keyring */
			err = 0;
	}
	bytes = sg_signing_foreign(signing, &unused);
	if (err == 0 && bytes != NULL)
		SHA256(bytes->data, bytes->len, signing->foreign_sha256);
	return err;
}

/* From when until when the subject is as it is now: not valid yet, valid, or no longer. */
static int load_times(struct sg_signing *signing, time_t now)
{
	time_t begin = 0, end = 0;
	int err = sg_signing_subject(signing)->kind == SG_KEYINFO_PGP
	    ? load_pgp(signing, now, &begin, &end)
	    : load_x509(signing, &begin, &end);

	if (err != 0)
		return err;
	if (now < begin) {
		signing->invalid = "is not valid yet";
		signing->until = begin;
	} else if (now <= end) {
		signing->from = begin;
		signing->until = end + 1;
	} else {
		signing->invalid = "has expired";
		signing->from = end + 1;
		signing->until = now + DAY;
	}
	return 0;
}

/* The good signatures of the issuer that are kept. Its own key in another certificate (SELF) counts
 * for nothing, but need not be stored again either. */
static void load_kept(struct sg_signing *signing, const struct sg_verdict *verdict)
{
	const struct sg_keyinfo *subject = sg_signing_subject(signing);
	const char *issuer = sg_signing_issuer(signing)->name;

	for (uint32_t i = 0; i < subject->signature_count; i++) {
		const struct sg_signature *signature = &subject->signatures[i];

		if (signing->kept_count < METHODS_MAX && signature->issuer != NULL &&
		    signature->method != NULL && strcmp(signature->issuer, issuer) == 0 &&
		    (verdict->signatures[i] == SG_SIG_GOOD ||
			verdict->signatures[i] == SG_SIG_SELF))
			signing->kept[signing->kept_count++] = signature;
	}
}

/* The reply's text, with a mark in place of each kept value. */
static char *marked_text(const struct sg_signing *signing, const struct sg_verdict *verdict,
    unsigned char marks[METHODS_MAX][MARK_SIZE])
{
	const struct sg_keyinfo *subject = sg_signing_subject(signing);
	struct sg_keyinfo marked = *subject;
	json_t *reply;
	char *text = NULL;

	marked.signatures = calloc(subject->signature_count + 1, sizeof(*marked.signatures));
	if (marked.signatures == NULL)
		return NULL;
	for (uint32_t i = 0; i < subject->signature_count; i++)
		marked.signatures[i] = subject->signatures[i];
	for (size_t i = 0; i < signing->kept_count; i++)
		marked.signatures[signing->kept[i] - subject->signatures].value =
		    (struct sg_blob){ marks[i], MARK_SIZE };
	reply = json_pack(
	    "{s:{s:o, s:n}}", "parameters", "key", sg_json_public_key(&marked, verdict), "note");
	if (reply != NULL)
		text = json_dumps(reply, JSON_COMPACT);
	json_decref(reply);
	free(marked.signatures);
	return text;
}

static int load_form(
    const struct sg_signing *signing, const struct sg_verdict *verdict, struct form *form)
{
	unsigned char marks[METHODS_MAX][MARK_SIZE];
	const char *from;

	if (RAND_bytes(marks[0], sizeof(marks)) != 1)
		return SG_ERR_INTERNAL;
	from = form->text = marked_text(signing, verdict, marks);
	if (form->text == NULL)
		return SG_ERR_NOMEM;
	form->len = strlen(form->text) + 1; /* the NUL ends the message */
	if (form->len < sizeof(form_tail) ||
	    strcmp(form->text + form->len - sizeof(form_tail), form_tail) != 0)
		return SG_ERR_INTERNAL;
	for (size_t i = 0; i < signing->kept_count; i++) {
		struct place *place = &form->places[i];
		char *mark = sg_base64_encode(marks[i], MARK_SIZE);
		const char *at = mark != NULL ? strstr(from, mark) : NULL;

		if (at != NULL) {
			place->begin = (size_t)(at - form->text);
			place->end = place->begin + strlen(mark);
			from = at;
		}
		free(mark);
		if (at == NULL)
			return SG_ERR_INTERNAL;
	}
	return 0;
}

/* The grade stays: it is what the kept signatures are worth. */
static int load_forms(struct sg_signing *signing, struct sg_verdict *verdict)
{
	const struct sg_signature *first = sg_signing_subject(signing)->signatures;
	int err = load_form(signing, verdict, &signing->checked);

	for (size_t i = 0; i < signing->kept_count; i++) {
		size_t at = (size_t)(signing->kept[i] - first);

		if (!is_deterministic(signing->kept[i]->method) &&
		    verdict->signatures[at] == SG_SIG_GOOD)
			verdict->signatures[at] = SG_SIG_UNCHECKED;
	}
	return err == 0 ? load_form(signing, verdict, &signing->unchecked) : err;
}

static int load(struct sg_signing *signing, const struct sg_account *account)
{
	time_t now = time(NULL);
	struct sg_verdict verdict = { 0 };
	struct sg_verdict_index *index = NULL;
	int err = sg_stored_keys_add_trusted(&signing->keys, account, signing->fingerprint);

	if (err == 0)
		err = sg_stored_keys_add(&signing->keys, account, signing->user_certificate);
	if (err == 0)
		err = sg_x509_cert_parse(&sg_signing_issuer(signing)->data, &signing->issuer);
	if (err == 0)
		err = load_times(signing, now);
	if (err == 0)
		err = load_foreign(signing, account);
	if (err == 0)
		err = sg_verdict_index_new(&index, SG_VERDICT_CHECKS_MAX);
	if (err == 0)
		err = sg_verdict_index_add(
		    index, signing->keys.keyinfos, signing->keys.keyinfo_count);
	if (err == 0)
		err = sg_verdict_judge(sg_signing_subject(signing), index, now, &verdict);
	if (err == 0) {
		load_kept(signing, &verdict);
		err = load_forms(signing, &verdict);
	}
	sg_verdict_clear(&verdict);
	sg_verdict_index_free(index);
	return err;
}

int sg_signing_get(struct sg_signings *signings, const struct sg_account *account,
    const char *fingerprint, struct sg_signing **signing)
{
	const struct sg_account_row *row = &account->row;
	struct sg_store *store = account->agent->store;
	struct sg_signing *made = find(signings, row, fingerprint);
	int err;

	*signing = NULL;
	if (made != NULL && !is_outdated(made, store)) {
		TAILQ_REMOVE(&signings->list, made, entry);
		TAILQ_INSERT_HEAD(&signings->list, made, entry);
		made->refs++;
		*signing = made;
		return 0;
	}
	if (made != NULL)
		forget(signings, made);
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->refs = 1;
	made->changes = sg_store_rows_changed(store);
	made->jid = strdup(row->jid);
	made->fingerprint = strdup(fingerprint);
	made->user_certificate = strdup(row->user_certificate);
	if (made->jid == NULL || made->fingerprint == NULL || made->user_certificate == NULL)
		err = SG_ERR_NOMEM;
	else
		err = load(made, account);
	if (err != 0) {
		sg_signing_unref(made);
		return err;
	}
	if (signings->count >= SG_SIGNINGS_MAX)
		forget(signings, TAILQ_LAST(&signings->list, signing_list));
	TAILQ_INSERT_HEAD(&signings->list, made, entry);
	signings->count++;
	made->refs++;
	*signing = made;
	return 0;
}
