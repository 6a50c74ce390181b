/* The store: what was put is got back, also after a new start; what is not ours is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "agent/broker/store.h"
#include "x509.h"

static const char juliet[] = "juliet@example.test";
static const char romeo[] = "romeo@example.test";

struct world {
	char dir[64];
	char path[96];
	struct sg_store *store;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	snprintf(world->dir, sizeof(world->dir), "/tmp/signet-store-XXXXXX");
	if (mkdtemp(world->dir) == NULL)
		return -1;
	snprintf(world->path, sizeof(world->path), "%s/agent.db", world->dir);
	*state = world;
	return sg_store_open(world->path, &world->store);
}

static int tear_down(void **state)
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

static void reopen(struct world *world)
{
	sg_store_close(world->store);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
}

static void put_account(struct world *world, const char *jid)
{
	struct sg_account_row row = { .jid = strdup(jid) };

	assert_int_equal(sg_store_account_put(world->store, &row), 0);
	sg_account_row_clear(&row);
}

/* ---- accounts ---- */

struct seen {
	struct sg_account_row rows[4];
	size_t count;
};

static int keep_row(void *arg, struct sg_account_row *row)
{
	struct seen *seen = arg;

	if (seen->count == 4)
		return SG_ERR_LIMIT;
	seen->rows[seen->count++] = *row;
	memset(row, 0, sizeof(*row));
	return 0;
}

static int stop_at_once(void *arg, struct sg_account_row *row)
{
	++*(int *)arg;
	return SG_ERR_DENIED;
}

static void accounts(void **state)
{
	struct world *world = *state;
	struct seen seen = { .count = 0 };
	struct sg_account_row row = {
		.jid = strdup(juliet),
		.host = strdup("h"),
		.port = 65535,
		.tls_mode = SG_TLS_DIRECT,
		.cafile = strdup("/ca"),
		.key = strdup("pkcs11:k"),
		.certificate = strdup("aa"),
		.user_key = strdup("pkcs11:u"),
		.user_certificate = strdup("bb"),
		.protocol = 2,
	};
	int calls = 0;

	put_account(world, romeo);
	put_account(world, juliet);
	assert_int_equal(sg_store_account_put(world->store, &row), 0);
	sg_account_row_clear(&row);
	reopen(world);
	assert_int_equal(sg_store_accounts(world->store, keep_row, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_string_equal(seen.rows[0].jid, juliet);
	assert_string_equal(seen.rows[0].host, "h");
	assert_int_equal(seen.rows[0].port, 65535);
	assert_int_equal(seen.rows[0].tls_mode, SG_TLS_DIRECT);
	assert_string_equal(seen.rows[0].cafile, "/ca");
	assert_string_equal(seen.rows[0].key, "pkcs11:k");
	assert_string_equal(seen.rows[0].certificate, "aa");
	assert_string_equal(seen.rows[0].user_key, "pkcs11:u");
	assert_string_equal(seen.rows[0].user_certificate, "bb");
	assert_int_equal(seen.rows[0].protocol, 2);
	assert_int_equal(seen.rows[1].protocol, 0);
	assert_string_equal(seen.rows[1].jid, romeo);
	assert_null(seen.rows[1].host);
	assert_null(seen.rows[1].key);
	sg_account_row_clear(&seen.rows[0]);
	sg_account_row_clear(&seen.rows[1]);
	assert_int_equal(sg_store_accounts(world->store, stop_at_once, &calls), SG_ERR_DENIED);
	assert_int_equal(calls, 1);
}

/* ---- certificates and signatures ---- */

static const struct sg_blob der_one = { (unsigned char *)(uintptr_t) "one", 3 };
static const struct sg_blob der_two = { (unsigned char *)(uintptr_t) "two", 3 };

static void certificates(void **state)
{
	struct world *world = *state;
	char *sha256 = sg_x509_fingerprint(&der_one, "sha256");
	char *sha1 = sg_x509_fingerprint(&der_one, "sha1");
	struct sg_cert_row row;

	put_account(world, juliet);
	put_account(world, romeo);
	assert_int_equal(
	    sg_store_cert_put(world->store, juliet, SG_CERT_CLIENT, &der_one, NULL), 0);
	assert_int_equal(sg_store_cert_put(world->store, juliet, SG_CERT_USER, &der_one, "u"), 0);
	reopen(world);
	assert_int_equal(sg_store_cert_get(world->store, juliet, sha256, &row), 0);
	assert_string_equal(row.name, sha1);
	assert_string_equal(row.uri, "u");
	assert_int_equal(row.role, SG_CERT_USER);
	assert_int_equal(row.revoked, 0);
	assert_true(sg_blob_eq(&row.der, &der_one));
	sg_cert_row_clear(&row);
	assert_int_equal(sg_store_cert_set_revoked(world->store, juliet, sha256, 1), 0);
	assert_int_equal(
	    sg_store_cert_put(world->store, juliet, SG_CERT_CLIENT, &der_one, NULL), 0);
	assert_int_equal(sg_store_cert_get(world->store, juliet, sha1, &row), 0);
	assert_int_equal(row.revoked, 1); /* storing it again tells nothing of that */
	sg_cert_row_clear(&row);
	assert_int_equal(sg_store_cert_set_revoked(world->store, juliet, sha256, 0), 0);
	assert_int_equal(sg_store_cert_get(world->store, juliet, sha256, &row), 0);
	assert_int_equal(row.revoked, 0);
	sg_cert_row_clear(&row);
	assert_int_equal(sg_store_cert_get(world->store, romeo, sha256, &row), SG_ERR_KEY_ABSENT);
	assert_null(row.jid);
	assert_int_equal(sg_store_cert_get(world->store, juliet, "%", &row), SG_ERR_KEY_ABSENT);
	/* nobody's certificate is not kept */
	assert_int_equal(
	    sg_store_cert_put(world->store, "x@y", SG_CERT_USER, &der_two, NULL), SG_ERR_IO);
	free(sha256);
	free(sha1);
}

static void execute(const char *path, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void account_and_certificate_in_one(void **state)
{
	struct world *world = *state;
	struct sg_account_row row = { .jid = strdup(juliet), .key = strdup("k") };
	struct seen seen = { .count = 0 };
	char *sha256 = sg_x509_fingerprint(&der_two, "sha256");
	struct sg_cert_row cert;

	assert_int_equal(
	    sg_store_account_certify(world->store, &row, SG_CERT_CLIENT, &der_two, "c"), 0);
	assert_int_equal(sg_store_cert_get(world->store, juliet, sha256, &cert), 0);
	sg_cert_row_clear(&cert);
	/* the first half goes well, the second does not: nothing of either stays */
	execute(world->path,
	    "CREATE TRIGGER t BEFORE INSERT ON certificates BEGIN"
	    " SELECT RAISE(ABORT, 'disk full'); END");
	free(row.jid);
	row.jid = strdup(romeo);
	assert_int_equal(
	    sg_store_account_certify(world->store, &row, SG_CERT_CLIENT, &der_one, "c"), SG_ERR_IO);
	assert_int_equal(sg_store_accounts(world->store, keep_row, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.rows[0].jid, juliet);
	sg_account_row_clear(&seen.rows[0]);
	put_account(world, romeo); /* the store is as usable as before */
	sg_account_row_clear(&row);
	free(sha256);
}

static void put_signature(struct world *world, const char *subject, const char *issuer,
    const char *issuer_jid, const char *method, const struct sg_blob *value)
{
	struct sg_signature signature = {
		.issuer = strdup(issuer),
		.issuer_jid = issuer_jid != NULL ? strdup(issuer_jid) : NULL,
		.method = strdup(method),
		.value = *value,
	};
	const struct sg_msg_signatures list = { &signature, 1 };

	assert_int_equal(sg_store_signatures_put(world->store, juliet, subject, &list), 0);
	free(signature.issuer);
	free(signature.issuer_jid);
	free(signature.method);
}

static void signatures(void **state)
{
	struct world *world = *state;
	struct sg_msg_signatures got;

	put_account(world, juliet);
	put_signature(world, "s", "i", NULL, "RSA-SHA1", &der_one);
	put_signature(world, "s", "i", NULL, "RSA-SHA256", &der_one);
	put_signature(world, "s", "j", romeo, "RSA-SHA1", &der_one);
	put_signature(world, "t", "i", NULL, "RSA-SHA1", &der_one);
	put_signature(
	    world, "s", "i", NULL, "RSA-SHA1", &der_two); /* takes the first one's place */
	reopen(world);
	assert_int_equal(sg_store_signatures_get(world->store, juliet, "s", &got), 0);
	assert_int_equal(got.signature_count, 3);
	assert_string_equal(got.signatures[0].method, "RSA-SHA1");
	assert_true(sg_blob_eq(&got.signatures[0].value, &der_two));
	assert_null(got.signatures[0].issuer_jid);
	assert_string_equal(got.signatures[1].method, "RSA-SHA256");
	assert_string_equal(got.signatures[2].issuer_jid, romeo);
	sg_msg_clear(SG_MSG_SIGNATURES, &got);
	assert_int_equal(sg_store_signatures_get(world->store, romeo, "s", &got), 0);
	assert_int_equal(got.signature_count, 0);
}

static void a_removed_account_leaves_nothing(void **state)
{
	struct world *world = *state;
	char *sha256 = sg_x509_fingerprint(&der_one, "sha256");
	struct sg_msg_signatures got;
	struct sg_cert_row row;

	put_account(world, juliet);
	assert_int_equal(
	    sg_store_cert_put(world->store, juliet, SG_CERT_CLIENT, &der_one, NULL), 0);
	put_signature(world, "s", "i", NULL, "RSA-SHA1", &der_one);
	assert_int_equal(sg_store_account_delete(world->store, juliet), 0);
	put_account(world, juliet);
	assert_int_equal(sg_store_cert_get(world->store, juliet, sha256, &row), SG_ERR_KEY_ABSENT);
	assert_int_equal(sg_store_signatures_get(world->store, juliet, "s", &got), 0);
	assert_int_equal(got.signature_count, 0);
	free(sha256);
}

/* ---- ledgers, used keys ---- */

static void is_ledger(
    struct world *world, const char *serial, uint32_t tries, uint32_t told, uint32_t wrong_count)
{
	struct sg_ledger_row row;

	assert_int_equal(sg_store_ledger_get(world->store, serial, SG_PIN_USER, &row), 0);
	assert_int_equal(row.tries, tries);
	assert_int_equal(row.told, told);
	assert_int_equal(row.wrong_count, wrong_count);
	assert_int_equal(row.salt.len, 3);
	assert_memory_equal(row.salt.data, "one", 3);
	sg_ledger_row_clear(&row);
}

static void ledgers(void **state)
{
	struct world *world = *state;
	struct sg_store *store = world->store;
	struct sg_ledger_row row;

	assert_int_equal(sg_store_ledger_get(store, "s", SG_PIN_USER, &row), SG_ERR_KEY_ABSENT);
	assert_int_equal(
	    sg_store_ledger_try(store, "s", SG_PIN_USER, &der_one, 1, 0), SG_ERR_KEY_ABSENT);
	assert_int_equal(sg_store_ledger_make(store, "s", SG_PIN_USER, &der_one), 0);
	assert_int_equal(sg_store_ledger_make(store, "s", SG_PIN_SO, &der_two), 0);
	assert_int_equal(sg_store_ledger_try(store, "s", SG_PIN_USER, &der_one, 1, 0), 0);
	assert_int_equal(sg_store_ledger_try(store, "s", SG_PIN_USER, &der_one, 1, 1), 0);
	assert_int_equal(sg_store_ledger_try(store, "s", SG_PIN_USER, &der_one, 1, 0), 0);
	assert_int_equal(sg_store_ledger_wrong(store, "s", SG_PIN_USER, &der_one), 0);
	assert_int_equal(sg_store_ledger_wrong(store, "s", SG_PIN_USER, &der_one), 0);
	/* It has one already, which keeps its salt. */
	assert_int_equal(sg_store_ledger_make(store, "s", SG_PIN_USER, &der_two), 0);
	reopen(world);
	store = world->store;
	is_ledger(world, "s", 3, 1, 1);
	assert_int_equal(sg_store_ledger_good(store, "s", SG_PIN_USER, &der_two, 0), 0);
	is_ledger(world, "s", 0, 1, 1);
	assert_int_equal(sg_store_ledger_get(store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.tries, 0);
	assert_int_equal(row.wrong_count, 0);
	sg_ledger_row_clear(&row);
	assert_int_equal(sg_store_ledger_try(store, "s", SG_PIN_USER, &der_one, 1, 0), 0);
	assert_int_equal(sg_store_ledger_clear(store, "s", SG_PIN_USER), 0);
	is_ledger(world, "s", 0, 1, 0);
	/* A PIN that was wrong and is right now. */
	assert_int_equal(sg_store_ledger_wrong(store, "s", SG_PIN_USER, &der_one), 0);
	assert_int_equal(sg_store_ledger_wrong(store, "s", SG_PIN_USER, &der_two), 0);
	assert_int_equal(sg_store_ledger_good(store, "s", SG_PIN_USER, &der_two, 0), 0);
	is_ledger(world, "s", 0, 1, 1);
}

/* What is unsure is so until something is said of it, also across restarts; what is wrong stays wrong. */
static void unsure_pins(void **state)
{
	struct world *world = *state;
	struct sg_ledger_row row;

	assert_int_equal(sg_store_ledger_make(world->store, "s", SG_PIN_SO, &der_one), 0);
	assert_int_equal(sg_store_ledger_wrong(world->store, "s", SG_PIN_SO, &der_one), 0);
	assert_int_equal(sg_store_ledger_try(world->store, "s", SG_PIN_SO, &der_one, 1, 0), 0);
	assert_int_equal(sg_store_ledger_try(world->store, "s", SG_PIN_SO, &der_two, 1, 0), 0);
	reopen(world);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.wrong_count, 2);
	assert_int_equal(row.wrong[0].unsure, 1);
	assert_int_equal(row.wrong[1].unsure, 0);
	sg_ledger_row_clear(&row);
	assert_int_equal(sg_store_ledger_forgive(world->store, "s", SG_PIN_SO, &der_one), 0);
	assert_int_equal(sg_store_ledger_forgive(world->store, "s", SG_PIN_SO, &der_two), 0);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.wrong_count, 1);
	assert_int_equal(row.tries, 2);
	assert_int_equal(row.locked, 0);
	sg_ledger_row_clear(&row);
	assert_int_equal(sg_store_ledger_try(world->store, "s", SG_PIN_SO, &der_two, 1, 0), 0);
	assert_int_equal(sg_store_ledger_locked(world->store, "s", SG_PIN_SO, &der_two), 0);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.wrong_count, 1);
	assert_int_equal(row.tries, 2); /* it was none */
	assert_int_equal(row.locked, 1);
	sg_ledger_row_clear(&row);
	assert_int_equal(sg_store_ledger_try(world->store, "s", SG_PIN_SO, &der_two, 1, 0), 0);
	assert_int_equal(sg_store_ledger_good(world->store, "s", SG_PIN_SO, &der_two, 0), 0);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.tries, 2); /* its flags never told */
	assert_int_equal(row.locked, 0);
	sg_ledger_row_clear(&row);
	assert_int_equal(sg_store_ledger_try(world->store, "s", SG_PIN_SO, &der_two, 1, 0), 0);
	assert_int_equal(sg_store_ledger_good(world->store, "s", SG_PIN_SO, &der_two, 1), 0);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_SO, &row), 0);
	assert_int_equal(row.tries, 0);
	sg_ledger_row_clear(&row);
}

static void wrong_pins_are_the_newest(void **state)
{
	struct world *world = *state;
	struct sg_ledger_row row;
	unsigned char byte;
	const struct sg_blob hash = { &byte, 1 };

	assert_int_equal(sg_store_ledger_make(world->store, "s", SG_PIN_USER, &der_one), 0);
	for (byte = 0; byte < SG_LEDGER_WRONG_MAX + 4; byte++)
		assert_int_equal(sg_store_ledger_wrong(world->store, "s", SG_PIN_USER, &hash), 0);
	/* Refused once more, it is new again. */
	byte = 4;
	assert_int_equal(sg_store_ledger_wrong(world->store, "s", SG_PIN_USER, &hash), 0);
	assert_int_equal(sg_store_ledger_get(world->store, "s", SG_PIN_USER, &row), 0);
	assert_int_equal(row.wrong_count, SG_LEDGER_WRONG_MAX);
	assert_int_equal(row.wrong[0].hash.data[0], 4);
	assert_int_equal(row.wrong[1].hash.data[0], SG_LEDGER_WRONG_MAX + 3);
	assert_int_equal(row.wrong[SG_LEDGER_WRONG_MAX - 1].hash.data[0], 5);
	sg_ledger_row_clear(&row);
}

static void key_uses(void **state)
{
	struct world *world = *state;
	struct sg_key_use use = { strdup("pkcs11:k"), strdup("00ff"), 0xffffffff, 0 };
	struct sg_key_use got;

	assert_int_equal(sg_store_key_use_get(world->store, "pkcs11:k", &got), SG_ERR_KEY_ABSENT);
	assert_null(got.uri);
	assert_int_equal(sg_store_key_use_put(world->store, &use), 0);
	use.abilities = 7;
	use.adopted = 1;
	assert_int_equal(sg_store_key_use_put(world->store, &use), 0);
	reopen(world);
	assert_int_equal(sg_store_key_use_get(world->store, "pkcs11:k", &got), 0);
	assert_string_equal(got.uri, use.uri);
	assert_string_equal(got.spki_sha256, "00ff");
	assert_int_equal(got.abilities, 7);
	assert_int_equal(got.adopted, 1);
	sg_key_use_clear(&got);
	sg_key_use_clear(&use);
}

static int one_number(const char *path, const char *query)
{
	sqlite3 *db;
	sqlite3_stmt *statement;
	int number;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, query, -1, &statement, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

/* ---- the file ---- */

static void the_file_is_closed_to_others(void **state)
{
	struct world *world = *state;
	char path[128];
	struct stat st;
	mode_t old = umask(0);

	sg_store_close(world->store);
	unlink(world->path);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	umask(old);
	put_account(world, juliet);
	assert_int_equal(stat(world->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	snprintf(path, sizeof(path), "%s-wal", world->path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(one_number(world->path, "PRAGMA user_version"), SG_STORE_VERSION);
}

static void refused(struct world *world)
{
	assert_int_equal(sg_store_open(world->path, &world->store), SG_ERR_IO);
	assert_null(world->store);
}

/* As version 1 wrote it. */
static const char schema_1[] =
    "CREATE TABLE accounts ("
    " jid TEXT PRIMARY KEY, host TEXT, port INTEGER NOT NULL, tls_mode INTEGER NOT NULL,"
    " cafile TEXT, key TEXT, certificate TEXT, user_key TEXT, user_certificate TEXT) STRICT;"
    "CREATE TABLE certificates ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, sha256 TEXT NOT NULL,"
    " name TEXT NOT NULL, der BLOB NOT NULL, uri TEXT, role INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (jid, sha256)) STRICT;"
    "CREATE TABLE signatures ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, subject TEXT NOT NULL,"
    " issuer TEXT NOT NULL, issuer_jid TEXT, method TEXT NOT NULL, value BLOB NOT NULL,"
    " PRIMARY KEY (jid, subject, issuer, method)) STRICT;"
    "CREATE TABLE pin_sources ("
    " serial TEXT PRIMARY KEY, path TEXT NOT NULL, inode INTEGER NOT NULL,"
    " mtime_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE keyring ("
    " name TEXT NOT NULL, jid TEXT NOT NULL, source TEXT NOT NULL, kind INTEGER NOT NULL,"
    " data BLOB NOT NULL, first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL,"
    " PRIMARY KEY (name, jid, source)) STRICT;"
    "PRAGMA application_id = 1399275879; PRAGMA user_version = 1;"
    "INSERT INTO accounts (jid, port, tls_mode) VALUES ('juliet@example.test', 0, 0);"
    "INSERT INTO pin_sources VALUES ('s', '/pin', 1, 2);";

static void an_older_store_is_upgraded(void **state)
{
	struct world *world = *state;
	struct seen seen = { .count = 0 };
	struct sg_key_use use;

	sg_store_close(world->store);
	unlink(world->path);
	execute(world->path, schema_1);
	assert_int_equal(sg_store_open(world->path, &world->store), 0);
	assert_int_equal(one_number(world->path, "PRAGMA user_version"), SG_STORE_VERSION);
	assert_int_equal(sg_store_accounts(world->store, keep_row, &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.rows[0].jid, juliet);
	sg_account_row_clear(&seen.rows[0]);
	assert_int_equal(sg_store_key_use_get(world->store, "u", &use), SG_ERR_KEY_ABSENT);
	assert_int_equal(one_number(world->path,
			     "SELECT count(*) FROM pin_ledgers WHERE token = 's' AND tries = 1"
			     " AND whose = 0 AND length(salt) = 32"),
	    1);
	assert_int_equal(one_number(world->path,
			     "SELECT count(*) FROM sqlite_master WHERE name = 'pin_sources'"),
	    0);
	reopen(world);
}

/* Something stands in the way of the upgrade's last step: nothing of it is left. */
static void a_failed_upgrade_changes_nothing(void **state)
{
	struct world *world = *state;

	sg_store_close(world->store);
	world->store = NULL;
	unlink(world->path);
	execute(world->path, schema_1);
	execute(world->path, "CREATE TABLE key_uses (other TEXT)");
	assert_int_equal(sg_store_open(world->path, &world->store), SG_ERR_IO);
	assert_int_equal(one_number(world->path, "PRAGMA user_version"), 1);
	assert_int_equal(one_number(world->path,
			     "SELECT count(*) FROM sqlite_master WHERE name = 'pin_ledgers'"),
	    0);
	assert_int_equal(one_number(world->path, "SELECT count(*) FROM accounts"), 1);
}

static void attestations(void **state)
{
	struct world *world = *state;
	const struct sg_attestation one = { .der = { (unsigned char *)(uintptr_t) "one", 3 },
		.issuer = { (unsigned char *)(uintptr_t) "by", 2 } };
	const struct sg_attestation other = { .der = { (unsigned char *)(uintptr_t) "other", 5 } };
	struct sg_attestation got;

	put_account(world, juliet);
	put_account(world, romeo);
	assert_int_equal(sg_store_attestation_put(world->store, "none@x", "aa", &one), SG_ERR_IO);
	assert_int_equal(sg_store_attestation_put(world->store, juliet, "aa", &other), 0);
	assert_int_equal(sg_store_attestation_put(world->store, juliet, "aa", &one), 0);
	assert_int_equal(sg_store_attestation_put(world->store, romeo, "bb", &other), 0);
	reopen(world);
	assert_int_equal(sg_store_attestation_get(world->store, "aa", &got), 0);
	assert_true(sg_blob_eq(&got.der, &one.der) && sg_blob_eq(&got.issuer, &one.issuer));
	sg_attestation_clear(&got);
	assert_int_equal(sg_store_attestation_get(world->store, "bb", &got), 0);
	assert_true(sg_blob_eq(&got.der, &other.der) && got.issuer.len == 0);
	sg_attestation_clear(&got);
	assert_int_equal(sg_store_account_delete(world->store, juliet), 0);
	assert_int_equal(sg_store_attestation_get(world->store, "aa", &got), SG_ERR_KEY_ABSENT);
	assert_true(got.der.len == 0 && got.issuer.len == 0);
}

static void other_files_are_refused(void **state)
{
	struct world *world = *state;
	FILE *file;

	sg_store_close(world->store);
	world->store = NULL;
	execute(world->path, "PRAGMA user_version = 7");
	refused(world);
	execute(world->path, "PRAGMA user_version = 6; PRAGMA application_id = 7");
	refused(world);
	execute(world->path, "PRAGMA application_id = 1399275879; DROP TABLE sightings");
	refused(world);
	unlink(world->path);
	file = fopen(world->path, "w");
	assert_non_null(file);
	for (int i = 0; i < 2000; i++)
		fputs("no database", file);
	fclose(file);
	refused(world);
	unlink(world->path);
	assert_int_equal(symlink("/dev/null", world->path), 0);
	refused(world);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		STORE_TEST(accounts),
		STORE_TEST(certificates),
		STORE_TEST(account_and_certificate_in_one),
		STORE_TEST(signatures),
		STORE_TEST(a_removed_account_leaves_nothing),
		STORE_TEST(ledgers),
		STORE_TEST(unsure_pins),
		STORE_TEST(wrong_pins_are_the_newest),
		STORE_TEST(key_uses),
		STORE_TEST(an_older_store_is_upgraded),
		STORE_TEST(a_failed_upgrade_changes_nothing),
		STORE_TEST(the_file_is_closed_to_others),
		STORE_TEST(attestations),
		STORE_TEST(other_files_are_refused),
	};

	return cmocka_run_group_tests_name("broker_store", tests, NULL, NULL);
}
