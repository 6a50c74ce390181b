#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "ledger_engine.h"
#include "log.h"
#include "text.h"
#include "x509.h"

struct sg_ledger {
	const struct sg_sql_engine *engine;
	void *self; /* the engine's */
	uint64_t errors;
};

enum {
	SQL_ADD,
	SQL_FIND_CSR,
	SQL_COUNT,
	SQL_USABLE,
	SQL_EXPIRED,
	SQL_REVOKED,
	SQL_EACH,
	SQL_EACH_OF,
	SQL_FIND_SHA256,
	SQL_FIND_SERIAL,
	SQL_STATS,
	SQL_OWN_SHA1,
	SQL_OWN_SHA256,
	SQL_OWN_SHA512,
	SQL_REVOKE,
	SQL_FORGET,
	SQL_TOUCH,
	SQL_NEXT_CRL,
	SQL_STATEMENTS
};

/* The columns that row_of() reads, in its order; lists of the revoked have no use for the certificates. */
#define ROW_HEAD "SELECT id, serial, sha256, account, name, last_used, reason, "
#define ROW_TAIL ", issued_at, not_after, revoked_at FROM certificate "
#define ROW	 ROW_HEAD "der" ROW_TAIL
/* By the numbers of enum sg_ledger_state. */
#define IN_STATE(state, now)                                                                       \
	"(" state " = 0 OR (" state " = 1 AND state = 'valid' AND not_after >= " now               \
	") OR (" state " = 2 AND state = 'valid' AND not_after < " now ") OR (" state              \
	" = 3 AND state = 'revoked'))"

static const struct sg_sql statements[SQL_STATEMENTS] = {
	/* the conditions of C5 and C6 in the statement that adds: nothing can come in between */
	[SQL_ADD] = { "INSERT INTO certificate (serial, sha256, sha1, sha512, account, name, der,"
		      " csr_sha256, issued_at, not_after, state)"
		      " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'valid'"
		      " WHERE NOT EXISTS (SELECT 1 FROM certificate WHERE csr_sha256 = $8"
		      " AND account = $5 AND state = 'valid' AND not_after >= $9)"
		      " AND (SELECT count(*) FROM certificate WHERE account = $5"
		      " AND state = 'valid' AND not_after >= $9) < $11"
		      " ON CONFLICT DO NOTHING RETURNING id",
	    "btttttbbiii" },
	[SQL_FIND_CSR] = { "SELECT der FROM certificate WHERE csr_sha256 = $1 AND account = $2"
			   " AND state = 'valid' AND not_after >= $3 ORDER BY id DESC LIMIT 1",
	    "bti" },
	[SQL_COUNT] = { "SELECT count(*) FROM certificate WHERE account = $1 AND state = 'valid'"
			" AND not_after >= $2",
	    "ti" },
	/* two statements, each in the order of the index: a list that is cut reads no further */
	[SQL_USABLE] = { ROW "WHERE account = $1 AND state = 'valid' AND not_after >= $2"
			     " ORDER BY id DESC",
	    "ti" },
	[SQL_EXPIRED] = { ROW "WHERE account = $1 AND state = 'valid' AND not_after < $2"
			      " ORDER BY id DESC",
	    "ti" },
	[SQL_REVOKED] = { ROW_HEAD "NULL" ROW_TAIL "WHERE state = 'revoked' AND not_after >= $1"
				   " ORDER BY revoked_at, id",
	    "i" },
	[SQL_EACH] = { ROW "WHERE id > $1 AND " IN_STATE("$2", "$3") " ORDER BY id LIMIT $4",
	    "iiii" },
	[SQL_EACH_OF] = { ROW "WHERE id > $1 AND " IN_STATE("$2", "$3") " AND account = $5"
									" ORDER BY id LIMIT $4",
	    "iiiit" },
	[SQL_FIND_SHA256] = { ROW "WHERE sha256 >= $1 AND sha256 < $2 ORDER BY sha256 LIMIT $3",
	    "tti" },
	[SQL_FIND_SERIAL] = { ROW "WHERE serial >= $1 AND serial <= $2 ORDER BY serial LIMIT $3",
	    "bbi" },
	[SQL_STATS] = { "SELECT count(*), count(CASE WHEN state = 'valid' AND not_after >= $1 THEN "
			"1"
			" END), count(CASE WHEN state = 'valid' AND not_after < $1 THEN 1 END),"
			" count(CASE WHEN state = 'revoked' THEN 1 END), count(DISTINCT account),"
			" (SELECT number FROM crl) FROM certificate",
	    "i" },
	[SQL_OWN_SHA1] = { "SELECT id, sha256 FROM certificate WHERE account = $1 AND sha1 = $2",
	    "tt" },
	[SQL_OWN_SHA256] = { "SELECT id, sha256 FROM certificate WHERE account = $1 AND sha256 = "
			     "$2",
	    "tt" },
	[SQL_OWN_SHA512] = { "SELECT id, sha256 FROM certificate WHERE account = $1 AND sha512 = "
			     "$2",
	    "tt" },
	[SQL_REVOKE] = { "UPDATE certificate SET state = 'revoked', revoked_at = $2, reason = $3"
			 " WHERE id = $1 AND state = 'valid' RETURNING id",
	    "iit" },
	[SQL_FORGET] = { "UPDATE certificate SET csr_sha256 = $2 WHERE sha256 = $1", "tb" },
	/* DateTimes of one form and zone sort as text */
	[SQL_TOUCH] = { "UPDATE certificate SET last_used = $2 WHERE sha256 = $1"
			" AND (last_used IS NULL OR last_used < $2)",
	    "tt" },
	[SQL_NEXT_CRL] = { "UPDATE crl SET number = CASE WHEN number < $1 THEN $1 ELSE number END "
			   "+ 1"
			   " RETURNING number",
	    "i" },
};
static const struct sg_sql_table table = { statements, SQL_STATEMENTS };

static struct sg_sql_value sql_int(int64_t number)
{
	return (struct sg_sql_value){ .type = SG_SQL_INT, .number = number };
}

static struct sg_sql_value sql_text(const char *text)
{
	struct sg_sql_value value = { .type = text != NULL ? SG_SQL_TEXT : SG_SQL_NULL };

	value.data = text;
	value.len = text != NULL ? strlen(text) : 0;
	return value;
}

static struct sg_sql_value sql_blob(const void *data, size_t len)
{
	return (struct sg_sql_value){ .type = SG_SQL_BLOB, .data = data, .len = len };
}

/* What the database did not do. */
static int counted(struct sg_ledger *ledger, int err)
{
	ledger->errors += err == SG_ERR_IO;
	return err;
}

static int run(struct sg_ledger *ledger, unsigned int index, const struct sg_sql_value *params,
    sg_sql_row_fn *fn, void *arg)
{
	return counted(ledger, ledger->engine->run(ledger->self, index, params, fn, arg));
}

/* Ends a transaction as its work ended. */
static int finish(struct sg_ledger *ledger, int err)
{
	if (err == 0)
		err = counted(ledger, ledger->engine->commit(ledger->self));
	if (err != 0)
		ledger->engine->rollback(ledger->self);
	return err;
}

int sg_ledger_is_database(const char *where)
{
	return strncmp(where, "postgresql://", 13) == 0 || strncmp(where, "postgres://", 11) == 0 ||
	    (where[0] != '/' && strchr(where, '=') != NULL);
}

int sg_ledger_open(const char *where, struct sg_ledger **ledger)
{
	struct sg_ledger *self = calloc(1, sizeof(*self));
	int err;

	*ledger = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	if (sg_ledger_is_database(where)) {
		self->engine = &sg_ledger_pg;
		err = sg_ledger_pg_open(where, &table, &self->self);
	} else {
		self->engine = &sg_ledger_sqlite;
		err = sg_ledger_sqlite_open(where, &table, &self->self);
	}
	if (err != 0)
		free(self);
	else
		*ledger = self;
	return err;
}

void sg_ledger_close(struct sg_ledger *ledger)
{
	if (ledger == NULL)
		return;
	ledger->engine->close(ledger->self);
	free(ledger);
}

uint64_t sg_ledger_errors(const struct sg_ledger *ledger)
{
	return ledger->errors;
}

int sg_ledger_prepare(struct sg_ledger *ledger, struct pollfd *pfd)
{
	return ledger->engine->prepare(ledger->self, pfd);
}

int sg_ledger_step(struct sg_ledger *ledger)
{
	return ledger->engine->step(ledger->self);
}

int sg_ledger_wait(struct sg_ledger *ledger, int timeout_ms)
{
	return ledger->engine->wait(ledger->self, timeout_ms);
}

/* ---- adding */

static int take_number(void *arg, const struct sg_sql_value *columns)
{
	*(int64_t *)arg = columns[0].number;
	return 0;
}

static int take_blob(void *arg, const struct sg_sql_value *columns)
{
	return sg_blob_set(arg, columns[0].data, columns[0].len);
}

/* The first eight bytes of the account's hash: others of the same key only wait for nothing. */
static int account_key(const char *account, int64_t *key)
{
	unsigned char hash[32];

	if (!EVP_Digest(account, strlen(account), hash, NULL, EVP_sha256(), NULL))
		return SG_ERR_INTERNAL;
	memcpy(key, hash, sizeof(*key));
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* In one order for everybody, so that nobody waits for somebody who waits for him. */
static int lock_accounts(
    struct sg_ledger *ledger, const struct sg_ledger_entry *entries, size_t count)
{
	int64_t keys[SG_LEDGER_ADD_MAX] = { 0 };
	int err = 0;

	for (size_t i = 0; err == 0 && i < count; i++)
		err = account_key(entries[i].account, &keys[i]);
	if (err != 0)
		return err;
	qsort(keys, count, sizeof(keys[0]), by_number);
	return ledger->engine->lock(ledger->self, keys, count);
}

/* Why the statement that adds found that it may not. */
static int judge_refusal(struct sg_ledger *ledger, struct sg_ledger_entry *entry, uint32_t limit)
{
	uint32_t count;
	int found = sg_ledger_look(ledger, entry->account, entry->csr_sha256, entry->issued_at,
	    &entry->der_before, &count);

	if (found < 0)
		return found;
	entry->outcome = found ? SG_LEDGER_REPEATED
	    : count >= limit   ? SG_LEDGER_FULL
			       : SG_LEDGER_SERIAL_USED;
	return 0;
}

static int add_one(struct sg_ledger *ledger, struct sg_ledger_entry *entry, uint32_t limit)
{
	char *sha1 = sg_x509_fingerprint(entry->der, "sha1");
	char *sha256 = sg_x509_fingerprint(entry->der, "sha256");
	char *sha512 = sg_x509_fingerprint(entry->der, "sha512");
	const struct sg_sql_value params[] = {
		sql_blob(entry->serial, SG_SERIAL_LEN),
		sql_text(sha256),
		sql_text(sha1),
		sql_text(sha512),
		sql_text(entry->account),
		sql_text(entry->name),
		sql_blob(entry->der->data, entry->der->len),
		sql_blob(entry->csr_sha256, 32),
		sql_int(entry->issued_at),
		sql_int(entry->not_after),
		sql_int(limit),
	};
	int64_t id = 0;
	int err = SG_ERR_NOMEM;

	if (sha1 != NULL && sha256 != NULL && sha512 != NULL)
		err = run(ledger, SQL_ADD, params, take_number, &id);
	if (err == 0 && id != 0)
		entry->outcome = SG_LEDGER_ADDED;
	else if (err == 0)
		err = judge_refusal(ledger, entry, limit);
	free(sha1);
	free(sha256);
	free(sha512);
	return err;
}

int sg_ledger_add(
    struct sg_ledger *ledger, struct sg_ledger_entry *entries, size_t count, uint32_t limit)
{
	int err;

	for (size_t i = 0; i < count; i++) {
		entries[i].outcome = 0;
		memset(&entries[i].der_before, 0, sizeof(entries[i].der_before));
	}
	if (count > SG_LEDGER_ADD_MAX)
		return SG_ERR_ARG;
	err = counted(ledger, ledger->engine->begin(ledger->self));
	if (err != 0)
		return err;
	err = lock_accounts(ledger, entries, count);
	for (size_t i = 0; err == 0 && i < count; i++)
		err = add_one(ledger, &entries[i], limit);
	err = finish(ledger, err);
	for (size_t i = 0; err != 0 && i < count; i++)
		sg_blob_clear(&entries[i].der_before);
	return err;
}

int sg_ledger_look(struct sg_ledger *ledger, const char *account,
    const unsigned char csr_sha256[32], time_t now, struct sg_blob *der, uint32_t *count)
{
	const struct sg_sql_value csr[] = { sql_blob(csr_sha256, 32), sql_text(account),
		sql_int(now) };
	const struct sg_sql_value whose[] = { sql_text(account), sql_int(now) };
	int64_t number = 0;
	int err;

	memset(der, 0, sizeof(*der));
	*count = 0;
	err = run(ledger, SQL_FIND_CSR, csr, take_blob, der);
	if (err == 0 && der->data == NULL)
		err = run(ledger, SQL_COUNT, whose, take_number, &number);
	if (err != 0) {
		sg_blob_clear(der);
		return err;
	}
	*count = number > UINT32_MAX ? UINT32_MAX : (uint32_t)number;
	return der->data != NULL;
}

int sg_ledger_forget_request(struct sg_ledger *ledger, const struct sg_blob *der)
{
	unsigned char digest[32]; /* its own, which is that of no request */
	char *sha256 = sg_x509_fingerprint(der, "sha256");
	int err = sha256 != NULL ? 0 : SG_ERR_NOMEM;

	if (err == 0 && !EVP_Digest(der->data, der->len, digest, NULL, EVP_sha256(), NULL))
		err = SG_ERR_INTERNAL;
	if (err == 0)
		err = run(ledger, SQL_FORGET,
		    (const struct sg_sql_value[]){
			sql_text(sha256), sql_blob(digest, sizeof(digest)) },
		    NULL, NULL);
	free(sha256);
	return err;
}

/* ---- reading */

struct walk {
	sg_ledger_fn *fn;
	void *arg;
	/* A copy: the callback's blob is of the type that codecs take, which may be written to. */
	struct sg_buf der;
};

static int row_of(void *arg, const struct sg_sql_value *columns)
{
	struct walk *walk = arg;
	struct sg_ledger_row row = {
		.id = columns[0].number,
		.serial = columns[1].data,
		.sha256 = columns[2].data,
		.account = columns[3].data,
		.name = columns[4].data,
		.last_used = columns[5].data,
		.reason = columns[6].data,
		.issued_at = columns[8].number,
		.not_after = columns[9].number,
		.revoked_at = columns[10].number,
	};

	walk->der.len = 0;
	sg_buf_put(&walk->der, columns[7].data, columns[7].len);
	if (walk->der.err != 0)
		return walk->der.err;
	row.der.data = walk->der.data;
	row.der.len = walk->der.len;
	return walk->fn(walk->arg, &row);
}

static int walk(struct sg_ledger *ledger, unsigned int index, const struct sg_sql_value *params,
    sg_ledger_fn *fn, void *arg)
{
	struct walk state = { .fn = fn, .arg = arg };
	int err = run(ledger, index, params, row_of, &state);

	sg_buf_clear(&state.der);
	return err;
}

int sg_ledger_each_unrevoked(
    struct sg_ledger *ledger, const char *account, time_t now, sg_ledger_fn *fn, void *arg)
{
	const struct sg_sql_value params[] = { sql_text(account), sql_int(now) };
	int err = walk(ledger, SQL_USABLE, params, fn, arg);

	return err != 0 ? err : walk(ledger, SQL_EXPIRED, params, fn, arg);
}

int sg_ledger_each_revoked(
    struct sg_ledger *ledger, time_t expires_from, sg_ledger_fn *fn, void *arg)
{
	const struct sg_sql_value params[] = { sql_int(expires_from) };

	return walk(ledger, SQL_REVOKED, params, fn, arg);
}

int sg_ledger_each(
    struct sg_ledger *ledger, const struct sg_ledger_filter *filter, sg_ledger_fn *fn, void *arg)
{
	const struct sg_sql_value params[] = {
		sql_int(filter->after_id),
		sql_int(filter->state),
		sql_int(filter->now),
		sql_int(filter->limit),
		sql_text(filter->account),
	};

	return walk(ledger, filter->account != NULL ? SQL_EACH_OF : SQL_EACH, params, fn, arg);
}

/* The least and the greatest serial number that begin with these digits. */
static void serial_range(
    const char *prefix, unsigned char least[SG_SERIAL_LEN], unsigned char most[SG_SERIAL_LEN])
{
	static const char digits[] = "0123456789abcdef";

	memset(least, 0x00, SG_SERIAL_LEN);
	memset(most, 0xff, SG_SERIAL_LEN);
	for (size_t i = 0; prefix[i]; i++) {
		unsigned int shift = i % 2 ? 0 : 4;
		unsigned int digit = (unsigned int)(strchr(digits, prefix[i]) - digits);

		least[i / 2] |= (unsigned char)(digit << shift);
		most[i / 2] &= (unsigned char)~((0xf ^ digit) << shift);
	}
}

int sg_ledger_find(struct sg_ledger *ledger, const char *prefix, sg_ledger_fn *fn, void *arg)
{
	unsigned char least[SG_SERIAL_LEN], most[SG_SERIAL_LEN];
	size_t len = strlen(prefix);
	char end[66] = "";
	int err;

	if (len < SG_LEDGER_PREFIX_MIN || len > 64 || strspn(prefix, "0123456789abcdef") != len)
		return SG_ERR_ARG;
	snprintf(end, sizeof(end), "%sg", prefix); /* which comes after every digit */
	err = walk(ledger, SQL_FIND_SHA256,
	    (const struct sg_sql_value[]){
		sql_text(prefix), sql_text(end), sql_int(SG_LEDGER_FOUND_MAX) },
	    fn, arg);
	if (err != 0 || len > (size_t)2 * SG_SERIAL_LEN)
		return err;
	serial_range(prefix, least, most);
	return walk(ledger, SQL_FIND_SERIAL,
	    (const struct sg_sql_value[]){ sql_blob(least, sizeof(least)),
		sql_blob(most, sizeof(most)), sql_int(SG_LEDGER_FOUND_MAX) },
	    fn, arg);
}

static int take_stats(void *arg, const struct sg_sql_value *columns)
{
	struct sg_ledger_stats *stats = arg;

	stats->issued = columns[0].number;
	stats->usable = columns[1].number;
	stats->expired = columns[2].number;
	stats->revoked = columns[3].number;
	stats->accounts = columns[4].number;
	stats->crl_number = columns[5].number;
	return 0;
}

int sg_ledger_stats(struct sg_ledger *ledger, time_t now, struct sg_ledger_stats *stats)
{
	const struct sg_sql_value params[] = { sql_int(now) };

	memset(stats, 0, sizeof(*stats));
	return run(ledger, SQL_STATS, params, take_stats, stats);
}

/* ---- changing */

struct found {
	int64_t id; /* 0: none */
	char sha256[65];
};

static int take_found(void *arg, const struct sg_sql_value *columns)
{
	struct found *found = arg;

	if (columns[1].len != 64)
		return SG_ERR_IO;
	found->id = columns[0].number;
	memcpy(found->sha256, columns[1].data, 65);
	return 0;
}

/* The text of SQL is never made from what a peer sent. */
static int statement_of(const char *hash)
{
	if (strcmp(hash, "sha-1") == 0)
		return SQL_OWN_SHA1;
	if (strcmp(hash, "sha-256") == 0)
		return SQL_OWN_SHA256;
	return strcmp(hash, "sha-512") == 0 ? SQL_OWN_SHA512 : SG_ERR_ARG;
}

int sg_ledger_revoke(struct sg_ledger *ledger, const char *account, const char *hash,
    const unsigned char *value, size_t len, time_t now, char sha256[65], int *changed)
{
	struct found found = { 0 };
	int err = 0, index = statement_of(hash);
	char *hex;

	sha256[0] = '\0';
	*changed = 0;
	if (index < 0)
		return index;
	hex = sg_hex_encode(value, len);
	if (hex == NULL)
		return SG_ERR_NOMEM;
	err = run(ledger, (unsigned int)index,
	    (const struct sg_sql_value[]){ sql_text(account), sql_text(hex) }, take_found, &found);
	free(hex);
	if (err == 0 && found.id != 0)
		err = sg_ledger_revoke_id(ledger, found.id, NULL, now, changed);
	if (err != 0)
		return err;
	memcpy(sha256, found.sha256, sizeof(found.sha256));
	return found.id != 0;
}

int sg_ledger_revoke_id(
    struct sg_ledger *ledger, int64_t id, const char *reason, time_t now, int *changed)
{
	const struct sg_sql_value params[] = { sql_int(id), sql_int(now), sql_text(reason) };
	int64_t revoked = 0;
	int err;

	*changed = 0;
	if (reason != NULL && strlen(reason) > SG_LEDGER_REASON_MAX)
		return SG_ERR_ARG;
	err = counted(ledger, ledger->engine->begin(ledger->self));
	if (err != 0)
		return err;
	err = run(ledger, SQL_REVOKE, params, take_number, &revoked);
	if (err == 0 && revoked != 0)
		err = ledger->engine->tell(ledger->self);
	err = finish(ledger, err);
	*changed = err == 0 && revoked != 0;
	return err;
}

int sg_ledger_touch(struct sg_ledger *ledger, const struct sg_ledger_use *uses, size_t count)
{
	int err;

	if (count == 0)
		return 0;
	err = counted(ledger, ledger->engine->begin(ledger->self));
	if (err != 0)
		return err;
	for (size_t i = 0; err == 0 && i < count; i++)
		err = run(ledger, SQL_TOUCH,
		    (const struct sg_sql_value[]){
			sql_text(uses[i].sha256), sql_text(uses[i].last_used) },
		    NULL, NULL);
	return finish(ledger, err);
}

int sg_ledger_next_crl(struct sg_ledger *ledger, uint32_t above, uint32_t *number)
{
	const struct sg_sql_value params[] = { sql_int(above) };
	int64_t value = 0;
	int err = run(ledger, SQL_NEXT_CRL, params, take_number, &value);

	*number = 0;
	if (err != 0)
		return err;
	if (value <= 0 || value > UINT32_MAX) {
		sg_log(SG_LOG_ERROR, "ledger: there is no CRL number after %u", above);
		return SG_ERR_IO;
	}
	*number = (uint32_t)value;
	return 0;
}
