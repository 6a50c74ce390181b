#include "held_certs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/x509.h>

#include "jobs.h"
#include "store_trust.h"
#include "text.h"
#include "uri.h"
#include "x509.h"

static void cert_free(struct sg_held_cert *cert)
{
	if (cert == NULL)
		return;
	free(cert->sha256);
	free(cert->name);
	free(cert->label);
	sg_blob_clear(&cert->der);
	free(cert->spki_sha256);
	sg_strv_free(cert->places);
	free(cert);
}

void sg_held_certs_clear(struct sg_held_certs *held)
{
	for (size_t i = 0; i < held->count; i++)
		cert_free(held->certs[i]);
	free(held->certs);
	*held = (struct sg_held_certs){ NULL, 0, 0 };
}

/* Where it is, or would have to be put. */
static size_t position_of(const struct sg_held_certs *held, const char *sha256)
{
	size_t from = 0, to = held->count;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (strcmp(held->certs[middle]->sha256, sha256) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

struct sg_held_cert *sg_held_certs_find(const struct sg_held_certs *held, const char *fingerprint)
{
	size_t at = position_of(held, fingerprint);

	if (at < held->count && strcmp(held->certs[at]->sha256, fingerprint) == 0)
		return held->certs[at];
	for (at = 0; at < held->count; at++) {
		if (strcmp(held->certs[at]->name, fingerprint) == 0)
			return held->certs[at];
	}
	return NULL;
}

static int insert(struct sg_held_certs *held, size_t at, struct sg_held_cert *cert)
{
	if (held->count == held->room) {
		size_t room = held->room > 0 ? 2 * held->room : 16;
		struct sg_held_cert **grown =
		    reallocarray(held->certs, room, sizeof(struct sg_held_cert *));

		if (grown == NULL)
			return SG_ERR_NOMEM;
		held->certs = grown;
		held->room = room;
	}
	for (size_t i = held->count; i > at; i--)
		held->certs[i] = held->certs[i - 1];
	held->certs[at] = cert;
	held->count++;
	return 0;
}

/* ---- places ---- */

static int place_add(struct sg_held_cert *cert, const char *uri)
{
	size_t count = sg_strv_count(cert->places);
	char **grown;

	for (size_t i = 0; i < count; i++) {
		if (strcmp(cert->places[i], uri) == 0)
			return 0;
	}
	grown = reallocarray(cert->places, count + 2, sizeof(*grown));
	if (grown == NULL)
		return SG_ERR_NOMEM;
	cert->places = grown;
	grown[count] = strdup(uri);
	grown[count + 1] = NULL;
	return grown[count] != NULL ? 0 : SG_ERR_NOMEM;
}

/* Puts the place with this number before the others. */
static void place_first(struct sg_held_cert *cert, size_t number)
{
	char *first = cert->places[number];

	memmove(&cert->places[1], &cert->places[0], number * sizeof(*cert->places));
	cert->places[0] = first;
}

static int on_used_key(void *arg, const char *uri)
{
	return place_add(arg, uri);
}

/* The token is known from when the key was first used, whoever keeps the certificate. uri: of the
 * certificate on a token, or NULL. */
static int add_places(struct sg_held_cert *cert, const struct sg_account *account, const char *uri)
{
	int err = 0;

	if (cert->is_current && account->row.key != NULL)
		err = place_add(cert, account->row.key);
	if (err == 0)
		err = sg_store_key_uses_of(
		    account->agent->store, cert->spki_sha256, on_used_key, cert);
	if (err == 0 && uri != NULL)
		err = place_add(cert, uri);
	return err;
}

char *sg_place_label(const char *uri)
{
	return uri != NULL ? sg_uri_value(uri, SG_URI_TOKEN) : NULL;
}

char *sg_place_serial(const char *uri)
{
	return uri != NULL ? sg_uri_value(uri, SG_URI_SERIAL) : NULL;
}

static int is_or_any(const char *wanted, const char *text)
{
	return wanted == NULL || (text != NULL && strcmp(wanted, text) == 0);
}

/* The URI of an object has the serial and the label of its token, and nothing more of that. */
int sg_place_is_on(const char *uri, const char *token)
{
	char *serial = sg_place_serial(uri), *label = sg_place_label(uri);
	char *wanted_serial = sg_place_serial(token), *wanted_label = sg_place_label(token);
	int is_on;

	if (sg_uri_is_uri(token))
		is_on = is_or_any(wanted_serial, serial) && is_or_any(wanted_label, label);
	else
		is_on = (serial != NULL && strcmp(token, serial) == 0) ||
		    (label != NULL && strcmp(token, label) == 0);
	free(serial);
	free(label);
	free(wanted_serial);
	free(wanted_label);
	return is_on;
}

int sg_held_cert_is_on(const struct sg_held_cert *cert, const char *token)
{
	for (size_t i = 0; cert->places[i] != NULL; i++) {
		if (sg_place_is_on(cert->places[i], token))
			return 1;
	}
	return 0;
}

/* ---- entries ---- */

static char *spki_sha256(X509 *x509)
{
	struct sg_blob spki = { NULL, 0 };
	char *hex = NULL;

	if (X509_get0_pubkey(x509) != NULL && sg_x509_spki(X509_get0_pubkey(x509), &spki) == 0)
		hex = sg_x509_fingerprint(&spki, "sha256");
	sg_blob_clear(&spki);
	return hex;
}

/* A new entry, or NULL with 0 when it is no certificate with a key. */
static int cert_new(const struct sg_blob *der, const char *jid, struct sg_held_cert **made)
{
	static const char unreadable[] = "it cannot be read";
	struct sg_held_cert *cert;
	X509 *x509 = NULL;
	int err = sg_x509_cert_parse(der, &x509);

	*made = NULL;
	if (err == SG_ERR_NOMEM)
		return err;
	if (err != 0)
		return 0;
	cert = calloc(1, sizeof(*cert));
	if (cert == NULL) {
		err = SG_ERR_NOMEM;
		goto out;
	}
	cert->spki_sha256 = spki_sha256(x509);
	if (cert->spki_sha256 == NULL)
		goto out;
	cert->sha256 = sg_x509_fingerprint(der, "sha256");
	cert->name = sg_x509_fingerprint(der, "sha1");
	cert->not_after = sg_x509_seconds(X509_get0_notAfter(x509));
	if (sg_x509_check_account(der, jid, time(NULL), &cert->unfit) != 0 && cert->unfit == NULL)
		cert->unfit = unreadable;
	cert->places = calloc(1, sizeof(*cert->places));
	err = cert->sha256 != NULL && cert->name != NULL && cert->places != NULL
	    ? sg_blob_set(&cert->der, der->data, der->len)
	    : SG_ERR_NOMEM;
	if (err == 0) {
		*made = cert;
		cert = NULL;
	}
out:
	X509_free(x509);
	cert_free(cert);
	return err;
}

static int is_leaving(const struct sg_account *account, const char *sha256)
{
	const struct sg_job *job = sg_job_of_revocation(account, sha256);

	return job != NULL && job->row.state == SG_JOB_REVOKE_IT;
}

/* The entry of this certificate, which may be new; NULL with 0 when it is none. Borrowed. */
static int entry_of(struct sg_held_certs *held, const struct sg_account *account,
    const struct sg_blob *der, const char *uri, struct sg_held_cert **found)
{
	const char *current = account->row.certificate;
	char *sha256 = sg_x509_fingerprint(der, "sha256");
	struct sg_held_cert *cert = NULL;
	size_t at;
	int err = SG_ERR_NOMEM;

	*found = NULL;
	if (sha256 == NULL)
		return err;
	at = position_of(held, sha256);
	if (at < held->count && strcmp(held->certs[at]->sha256, sha256) == 0) {
		*found = held->certs[at];
		free(sha256);
		return 0;
	}
	err = cert_new(der, account->row.jid, &cert);
	if (err == 0 && cert != NULL) {
		cert->is_current = current != NULL && strcmp(sha256, current) == 0;
		cert->is_leaving = is_leaving(account, sha256);
		err = add_places(cert, account, uri);
		if (err == 0)
			err = insert(held, at, cert);
		if (err == 0) {
			cert->key = cert->places[0] != NULL ? SG_KEY_AWAY : SG_KEY_UNKNOWN;
			*found = cert;
			cert = NULL;
		}
	}
	cert_free(cert);
	free(sha256);
	return err;
}

struct adding {
	struct sg_held_certs *held;
	const struct sg_account *account;
};

static int add_row(void *arg, struct sg_cert_row *row)
{
	const struct adding *adding = arg;
	struct sg_held_cert *cert;
	int err;

	if (row->role != SG_CERT_CLIENT)
		return 0;
	err = entry_of(adding->held, adding->account, &row->der, row->uri, &cert);
	if (cert != NULL) {
		cert->is_stored = 1;
		cert->is_revoked = row->revoked != 0;
	}
	return err;
}

int sg_held_certs_add_stored(struct sg_held_certs *held, const struct sg_account *account)
{
	struct adding adding = { held, account };

	return sg_store_certs(account->agent->store, account->row.jid, add_row, &adding);
}

int sg_held_certs_add_listed(struct sg_held_certs *held, const struct sg_account *account,
    const struct sg_msg_ccm2_certs *certs, uint32_t *unread)
{
	int err = 0;

	*unread = 0;
	for (uint32_t i = 0; err == 0 && i < certs->cert_count; i++) {
		struct sg_held_cert *cert;

		err = entry_of(held, account, &certs->certs[i].der, NULL, &cert);
		if (cert == NULL) {
			(*unread)++;
			continue;
		}
		cert->is_listed = 1;
		if (cert->label == NULL) {
			cert->label = sg_text_copy(certs->certs[i].name);
			if (cert->label == NULL && certs->certs[i].name != NULL)
				err = SG_ERR_NOMEM;
		}
	}
	return err;
}

/* ---- tokens ---- */

/* Whether it was issued, by somebody else, for the account. */
static int is_issued_for(const struct sg_blob *der, const char *jid)
{
	X509 *x509 = NULL;
	char **jids = NULL;
	int is_issued = 0;

	if (sg_x509_cert_parse(der, &x509) == 0 &&
	    X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) != 0 &&
	    sg_x509_cert_jids(x509, &jids, NULL) == 0)
		is_issued = jids[0] != NULL && jids[1] == NULL && strcmp(jids[0], jid) == 0;
	sg_strv_free(jids);
	X509_free(x509);
	return is_issued;
}

static int add_object(
    struct sg_held_certs *held, const struct sg_account *account, const struct sg_cert_info *object)
{
	struct sg_held_cert *cert;
	char *sha256 = sg_x509_fingerprint(&object->der, "sha256");
	size_t at = sha256 != NULL ? position_of(held, sha256) : 0;
	int is_known =
	    sha256 != NULL && at < held->count && strcmp(held->certs[at]->sha256, sha256) == 0;
	int err;

	free(sha256);
	if (!is_known && !is_issued_for(&object->der, account->row.jid))
		return 0;
	err = entry_of(held, account, &object->der, object->uri, &cert);
	if (cert != NULL)
		cert->is_object = 1;
	return err;
}

/* A key that a token shows. */
struct seen_key {
	char *spki_sha256;
	const char *uri;
};

struct seen_keys {
	struct seen_key *keys;
	size_t count;
};

static int compare_keys(const void *a, const void *b)
{
	const struct seen_key *left = a, *right = b;

	return strcmp(left->spki_sha256, right->spki_sha256);
}

static void seen_keys_clear(struct seen_keys *seen)
{
	for (size_t i = 0; i < seen->count; i++)
		free(seen->keys[i].spki_sha256);
	free(seen->keys);
}

/* Sorted by their public keys; "" where a token does not show it. */
static int seen_keys_take(
    const struct sg_module_answer *objects, size_t count, struct seen_keys *seen)
{
	size_t room = 0;

	*seen = (struct seen_keys){ NULL, 0 };
	for (size_t i = 0; i < count; i++)
		room += objects[i].error.code == 0 ? objects[i].u.objects.key_count : 0;
	seen->keys = calloc(room + 1, sizeof(*seen->keys));
	if (seen->keys == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct sg_msg_objects *found = &objects[i].u.objects;

		for (uint32_t k = 0; objects[i].error.code == 0 && k < found->key_count; k++) {
			const struct sg_blob *spki = &found->keys[k].spki;
			struct seen_key *key = &seen->keys[seen->count];

			key->spki_sha256 =
			    spki->len > 0 ? sg_x509_fingerprint(spki, "sha256") : strdup("");
			key->uri = found->keys[k].uri != NULL ? found->keys[k].uri : "";
			if (key->spki_sha256 == NULL)
				return SG_ERR_NOMEM;
			seen->count++;
		}
	}
	qsort(seen->keys, seen->count, sizeof(*seen->keys), compare_keys);
	return 0;
}

static const struct seen_key *seen_key_of(
    const struct seen_keys *seen, const struct sg_held_cert *cert)
{
	const struct seen_key wanted = { cert->spki_sha256, NULL };
	const struct seen_key *found =
	    bsearch(&wanted, seen->keys, seen->count, sizeof(*seen->keys), compare_keys);

	/* Those without a public key come first. */
	for (size_t i = 0; found == NULL && i < seen->count && seen->keys[i].spki_sha256[0] == '\0';
	     i++) {
		for (size_t k = 0; cert->places[k] != NULL; k++) {
			if (strcmp(cert->places[k], seen->keys[i].uri) == 0)
				found = &seen->keys[i];
		}
	}
	return found;
}

/* What is to be said of a key that is not seen where it was. */
static enum sg_key_place place_of_unseen(const char *uri, const struct sg_module_answer *tokens,
    size_t token_count, const struct sg_module_answer *objects)
{
	for (size_t i = 0; i < token_count; i++) {
		int answered = tokens[i].error.code == 0 && objects[i].error.code == 0;
		const struct sg_msg_tokens *known =
		    tokens[i].error.code == 0 ? &tokens[i].u.tokens : &tokens[i].remembered;

		for (uint32_t k = 0; k < known->token_count; k++) {
			uint32_t flags = known->tokens[k].flags;
			int is_open = (flags & SG_TOKEN_UNLOCKED) != 0 ||
			    (flags & SG_TOKEN_LOGIN_REQUIRED) == 0;

			if (sg_uri_matches_token(uri, &known->tokens[k]))
				return answered && is_open ? SG_KEY_GONE : SG_KEY_HIDDEN;
		}
	}
	return SG_KEY_AWAY;
}

static int set_key(struct sg_held_cert *cert, const struct seen_keys *seen,
    const struct sg_module_answer *tokens, size_t token_count,
    const struct sg_module_answer *objects)
{
	const struct seen_key *key = seen_key_of(seen, cert);
	size_t best = 0;

	cert->key = SG_KEY_UNKNOWN;
	if (key != NULL) {
		int err = place_add(cert, key->uri);

		for (size_t i = 0; err == 0 && cert->places[i] != NULL; i++) {
			if (strcmp(cert->places[i], key->uri) == 0)
				best = i;
		}
		cert->key = SG_KEY_HERE;
		if (err == 0)
			place_first(cert, best);
		return err;
	}
	for (size_t i = 0; cert->places[i] != NULL; i++) {
		enum sg_key_place place =
		    place_of_unseen(cert->places[i], tokens, token_count, objects);

		if (place > cert->key) {
			cert->key = place;
			best = i;
		}
	}
	if (cert->places[0] != NULL)
		place_first(cert, best);
	return 0;
}

int sg_held_certs_add_tokens(struct sg_held_certs *held, const struct sg_account *account,
    const struct sg_module_answer *tokens, size_t token_count,
    const struct sg_module_answer *objects, size_t object_count)
{
	struct seen_keys seen = { NULL, 0 };
	size_t modules = token_count < object_count ? token_count : object_count;
	int err = 0;

	for (size_t i = 0; i < object_count; i++) {
		const struct sg_msg_objects *found = &objects[i].u.objects;

		for (uint32_t k = 0;
		     objects[i].error.code == 0 && err == 0 && k < found->cert_count; k++)
			err = add_object(held, account, &found->certs[k]);
	}
	if (err == 0)
		err = seen_keys_take(objects, object_count, &seen);
	for (size_t i = 0; err == 0 && i < held->count; i++)
		err = set_key(held->certs[i], &seen, tokens, modules, objects);
	seen_keys_clear(&seen);
	return err;
}
