/*
 * What the tests of the keyring share: a store of their own, keys that are made on the spot, and what is
 * found of them.
 */
#ifndef SG_TESTS_KEYRING_WORLD_H
#define SG_TESTS_KEYRING_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <sqlite3.h>

#include "agent/broker/keyring_store.h"
#include "keyinfo.h"
#include "text.h"
#include "x509.h"
#include "xml.h"

#define ROMEO	"romeo@example.test"
#define JULIET	"juliet@example.test"
#define MALLORY "mallory@example.test"

#define NOW 1000000

struct world {
	char dir[64];
	char path[96];
	struct sg_store *store;
};

static inline int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-keyring-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->path, sizeof(world->path), "%s/agent.db", world->dir);
	*state = world;
	return sg_store_open(world->path, &world->store);
}

static inline int tear_down(void **state)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	struct world *world = *state;
	char path[128];

	sg_store_close(world->store);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", world->path, ends[i]);
		unlink(path);
	}
	rmdir(world->dir);
	free(world);
	return 0;
}

static inline void execute(const char *path, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static inline int64_t one_number(const struct world *world, const char *query)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	int64_t number;

	assert_int_equal(sqlite3_open(world->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

/* ---- keys that are made here ---- */

/* A key of these bytes, which are no certificate; nobody looks into it here. */
static inline struct sg_keyinfo make_key(const char *text)
{
	struct sg_blob data = { (unsigned char *)(uintptr_t)text, strlen(text) };
	struct sg_keyinfo keyinfo = { .kind = SG_KEYINFO_X509 };

	keyinfo.name = sg_x509_fingerprint(&data, "sha1");
	assert_int_equal(sg_blob_set(&keyinfo.data, data.data, data.len), 0);
	return keyinfo;
}

/* An X.509 key, which can be read back out of a keyinfo. */
static inline struct sg_keyinfo make_cert(const char *common_name)
{
	struct sg_keyinfo keyinfo = { .kind = SG_KEYINFO_X509 };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	assert_int_equal(X509_set_version(cert, 2), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
			     MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0),
	    1);
	assert_int_equal(X509_set_issuer_name(cert, X509_get_subject_name(cert)), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(sg_x509_cert_der(cert, &keyinfo.data), 0);
	keyinfo.name = sg_keyinfo_name_x509(&keyinfo.data);
	X509_free(cert);
	EVP_PKEY_free(key);
	return keyinfo;
}

static inline struct sg_keyinfo copy_key(const struct sg_keyinfo *keyinfo)
{
	struct sg_keyinfo copy = { .kind = keyinfo->kind, .name = strdup(keyinfo->name) };

	assert_int_equal(sg_blob_set(&copy.data, keyinfo->data.data, keyinfo->data.len), 0);
	return copy;
}

static inline void sign_key(struct sg_keyinfo *keyinfo, const char *issuer, const char *value)
{
	struct sg_signature *signature;

	keyinfo->signatures = reallocarray(
	    keyinfo->signatures, keyinfo->signature_count + 1, sizeof(*keyinfo->signatures));
	signature = &keyinfo->signatures[keyinfo->signature_count++];
	*signature =
	    (struct sg_signature){ .issuer = strdup(issuer), .method = strdup("RSA-SHA256") };
	assert_int_equal(sg_blob_set(&signature->value, value, strlen(value)), 0);
}

/* As it would have come. */
static inline void write_xml(struct sg_keyinfo *keyinfo)
{
	struct sg_xml *element;

	free(keyinfo->xml);
	keyinfo->xml = NULL;
	assert_int_equal(sg_keyinfo_encode(keyinfo, &element), 0);
	keyinfo->xml = sg_xml_to_string(element);
	assert_non_null(keyinfo->xml);
	sg_xml_free(element);
}

static inline void free_key(struct sg_keyinfo *keyinfo)
{
	sg_layout_clear(&sg_layout_keyinfo, keyinfo);
}

static inline enum sg_learnt put(struct world *world, const char *jid, enum sg_sight source,
    const char *told_by, int64_t now, const struct sg_keyinfo *keyinfo)
{
	struct sg_witness witness = {
		.jid = jid, .source = source, .told_by = told_by, .now = now
	};
	enum sg_learnt learnt;

	assert_int_equal(sg_store_keyring_is_known(world->store, jid, &witness.known), 0);
	assert_int_equal(sg_store_keyring_put(world->store, &witness, keyinfo, 1, &learnt), 0);
	return learnt;
}

static inline enum sg_learnt put_text(struct world *world, const char *jid, enum sg_sight source,
    const char *told_by, int64_t now, const char *text)
{
	struct sg_keyinfo keyinfo = make_key(text);
	enum sg_learnt learnt = put(world, jid, source, told_by, now, &keyinfo);

	free_key(&keyinfo);
	return learnt;
}

/* ---- what is found ---- */

struct found {
	struct sg_known_key keys[64];
	size_t count;
};

static inline int keep(void *arg, struct sg_known_key *key)
{
	struct found *found = arg;

	assert_true(found->count < 64);
	found->keys[found->count++] = *key;
	memset(key, 0, sizeof(*key));
	return 0;
}

static inline void found_clear(struct found *found)
{
	for (size_t i = 0; i < found->count; i++)
		sg_known_key_clear(&found->keys[i]);
	found->count = 0;
}

static inline struct found get(struct world *world, const char *fingerprint)
{
	struct found found = { .count = 0 };

	assert_int_equal(
	    sg_store_keyring_get(world->store, fingerprint, SG_KNOWN_SIGNATURES, keep, &found), 0);
	return found;
}

static inline struct found get_text(struct world *world, const char *text)
{
	struct sg_keyinfo keyinfo = make_key(text);
	struct found found = get(world, keyinfo.name);

	free_key(&keyinfo);
	return found;
}

static inline struct found list(
    struct world *world, const char *jid, const char *search, int64_t after, size_t max)
{
	const struct sg_keyring_query query = { jid, search, after, max };
	struct found found = { .count = 0 };

	assert_int_equal(sg_store_keyring_list(world->store, &query, 0, keep, &found), 0);
	return found;
}

static inline size_t count_list(struct world *world, const char *jid, const char *search)
{
	struct found found = list(world, jid, search, 0, 60);
	size_t count = found.count;

	found_clear(&found);
	return count;
}

#endif
