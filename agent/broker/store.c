#include "store.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "store_engine.h"
#include "x509.h"

#define STORE_APPLICATION_ID 0x53674167 /* "SgAg" */
#define STORE_CACHE_KIB	     "512"
#define STORE_OPEN_BUSY_MS   2000
#define STORE_BUSY_MS	     100 /* the whole agent waits that long for another process's lock */

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
    " PRIMARY KEY (name, jid, source)) STRICT;";

/*
 * What each version changed in the one before; a new file goes through all of them. A pin-source
 * that was tried without success counts as one try: whether its PIN was wrong is not known.
 */
static const char schema_2[] =
    "CREATE TABLE pin_ledgers ("
    " token TEXT NOT NULL, whose INTEGER NOT NULL, salt BLOB NOT NULL, tries INTEGER NOT NULL,"
    " told INTEGER NOT NULL, locked INTEGER NOT NULL, PRIMARY KEY (token, whose)) STRICT;"
    "CREATE TABLE pin_wrong ("
    " number INTEGER PRIMARY KEY, token TEXT NOT NULL, whose INTEGER NOT NULL, hash BLOB NOT NULL,"
    " unsure INTEGER NOT NULL, UNIQUE (token, whose, hash)) STRICT;"
    "CREATE TABLE key_uses ("
    " uri TEXT PRIMARY KEY, spki_sha256 TEXT NOT NULL, abilities INTEGER NOT NULL,"
    " adopted INTEGER NOT NULL) STRICT;"
    "INSERT INTO pin_ledgers SELECT serial, 0, randomblob(32), 1, 0, 0 FROM pin_sources;"
    "DROP TABLE pin_sources;";

/*
 * The keyring's own tables in place of the list of keys that nodes showed. An OpenPGP key of that
 * list is left out: its name was never compared with its data; the next fetch brings it again. Sources
 * and decisions are the numbers of keyring_store.h; told_by is '' where the JID itself, or the
 * person, was the source, so that it can be part of what is unique.
 */
static const char schema_3[] =
    "CREATE INDEX certificates_by_name ON certificates (name);"
    "CREATE TABLE keys ("
    " id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind INTEGER NOT NULL, sha256 TEXT,"
    " data BLOB NOT NULL, first_seen INTEGER NOT NULL, decision INTEGER NOT NULL DEFAULT 0,"
    " decided INTEGER NOT NULL DEFAULT 0, decided_for TEXT) STRICT;"
    "CREATE UNIQUE INDEX keys_by_name ON keys (name, sha256);"
    "CREATE INDEX keys_by_sha256 ON keys (sha256);"
    "CREATE INDEX keys_decided ON keys (name) WHERE decision <> 0;"
    "CREATE TABLE sightings ("
    " id INTEGER PRIMARY KEY, key INTEGER NOT NULL REFERENCES keys ON DELETE CASCADE,"
    " jid TEXT NOT NULL, source INTEGER NOT NULL, told_by TEXT NOT NULL,"
    " first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, retracted INTEGER,"
    " size INTEGER NOT NULL, keyinfo TEXT, UNIQUE (jid, key, source, told_by)) STRICT;"
    "CREATE INDEX sightings_by_key ON sightings (key, jid);"
    "CREATE INDEX sightings_by_source ON sightings (jid, source, size);"
    "CREATE INDEX sightings_told ON sightings (told_by, first_seen, size) WHERE told_by <> '';"
    "CREATE TABLE signers ("
    " issuer TEXT NOT NULL, sighting INTEGER NOT NULL REFERENCES sightings ON DELETE CASCADE,"
    " PRIMARY KEY (issuer, sighting)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX signers_by_sighting ON signers (sighting);"
    "CREATE TABLE key_changes ("
    " jid TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, at INTEGER NOT NULL,"
    " PRIMARY KEY (jid, name, kind)) STRICT, WITHOUT ROWID;"
    "INSERT INTO keys (name, kind, sha256, data, first_seen)"
    " SELECT name, kind, sg_sha256(data), data, min(first_seen) FROM keyring WHERE kind = 1"
    " GROUP BY name, data;"
    "INSERT INTO keys (name, kind, data, first_seen)"
    " SELECT name, 0, x'', min(first_seen) FROM keyring"
    " WHERE kind = 0 AND name NOT IN (SELECT name FROM keys) GROUP BY name;"
    "INSERT INTO sightings (key, jid, source, told_by, first_seen, last_seen, size)"
    " SELECT (SELECT id FROM keys WHERE keys.name = keyring.name"
    "  AND (keyring.kind = 0 OR keys.data = keyring.data)), jid, 0, '', min(first_seen),"
    "  max(last_seen), max(length(data))"
    " FROM keyring WHERE kind IN (0, 1) GROUP BY 1, 2;"
    "DROP TABLE keyring;"
    "CREATE TABLE pgp_keys ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, name TEXT NOT NULL,"
    " data BLOB NOT NULL, PRIMARY KEY (jid, name)) STRICT;"
    "CREATE INDEX pgp_keys_by_name ON pgp_keys (name);"
    "CREATE TABLE publishing ("
    " jid TEXT PRIMARY KEY REFERENCES accounts ON DELETE CASCADE, access TEXT, members TEXT,"
    " direct TEXT, more_open INTEGER NOT NULL) STRICT;"
    "CREATE TABLE watched ("
    " account TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, jid TEXT NOT NULL,"
    " fetched INTEGER NOT NULL, PRIMARY KEY (account, jid)) STRICT;"
    "CREATE INDEX watched_by_time ON watched (account, fetched, jid);";

static const char schema_4[] = "ALTER TABLE publishing ADD COLUMN roster_groups TEXT;";

/* Of the jobs that get a certificate an account has one at a time; kind 3 are revocations. */
static const char schema_5[] =
    "CREATE TABLE jobs ("
    " id INTEGER PRIMARY KEY, jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE,"
    " kind INTEGER NOT NULL, state INTEGER NOT NULL, key TEXT, name TEXT, csr BLOB NOT NULL,"
    " certificate BLOB NOT NULL, certificate_uri TEXT, sha256 TEXT, old_key TEXT,"
    " old_certificate TEXT, begun INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " waits_code INTEGER NOT NULL, waits_text TEXT) STRICT;"
    "CREATE UNIQUE INDEX jobs_of_certificates ON jobs (jid) WHERE kind <> 3;"
    "CREATE UNIQUE INDEX jobs_of_revocations ON jobs (jid, sha256) WHERE kind = 3;"
    "ALTER TABLE certificates ADD COLUMN csr BLOB;";

static const char schema_6[] =
    "ALTER TABLE accounts ADD COLUMN protocol INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE attestations ("
    " jid TEXT NOT NULL REFERENCES accounts ON DELETE CASCADE, spki_sha256 TEXT NOT NULL,"
    " der BLOB NOT NULL, issuer BLOB NOT NULL, PRIMARY KEY (jid, spki_sha256)) STRICT;"
    "CREATE INDEX attestations_by_key ON attestations (spki_sha256);";

static const char *const schemas[SG_STORE_VERSION] = { schema_1, schema_2, schema_3, schema_4,
	schema_5, schema_6 };

/* The names of the own certificates, of what own keys have signed, and of what was decided on. */
#define WITH_NEAR                                                                                  \
	"WITH near (name) AS (SELECT name FROM keys WHERE decision <> 0 UNION"                     \
	" SELECT subject FROM signatures UNION SELECT name FROM certificates) "

static const char *const statement_texts[SG_STMT_COUNT] = {
	[SG_STMT_BEGIN] = "BEGIN IMMEDIATE",
	[SG_STMT_COMMIT] = "COMMIT",
	[SG_STMT_ROLLBACK] = "ROLLBACK",
	[SG_STMT_ACCOUNT_PUT] =
	    "INSERT INTO accounts (jid, host, port, tls_mode, cafile, key, certificate, user_key,"
	    " user_certificate, protocol) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
	    " ON CONFLICT (jid) DO UPDATE SET host = ?2, port = ?3, tls_mode = ?4, cafile = ?5,"
	    " key = ?6, certificate = ?7, user_key = ?8, user_certificate = ?9,"
	    " protocol = ?10",
	[SG_STMT_ATTESTATION_PUT] =
	    "INSERT OR REPLACE INTO attestations (jid, spki_sha256, der, issuer)"
	    " VALUES (?1, ?2, ?3, ?4)",
	[SG_STMT_ATTESTATION_GET] =
	    "SELECT der, issuer FROM attestations WHERE spki_sha256 = ?1 ORDER BY jid LIMIT 1",
	[SG_STMT_ACCOUNT_DELETE] = "DELETE FROM accounts WHERE jid = ?1",
	[SG_STMT_ACCOUNT_LIST] =
	    "SELECT jid, host, port, tls_mode, cafile, key, certificate, user_key,"
	    " user_certificate, protocol FROM accounts ORDER BY jid",
	[SG_STMT_CERT_PUT] = "INSERT INTO certificates (jid, sha256, name, der, uri, role)"
			     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
			     " ON CONFLICT (jid, sha256) DO UPDATE SET uri = ?5, role = ?6",
	[SG_STMT_CERT_GET] = "SELECT jid, sha256, name, der, uri, role, revoked FROM certificates"
			     " WHERE jid = ?1 AND (sha256 = ?2 OR name = ?2)",
	[SG_STMT_CERT_LIST] = "SELECT jid, sha256, name, der, uri, role, revoked FROM certificates"
			      " WHERE jid = ?1 ORDER BY name",
	[SG_STMT_CERT_REVOKE] =
	    "UPDATE certificates SET revoked = 1 WHERE jid = ?1 AND sha256 = ?2",
	[SG_STMT_CERT_RESTORE] =
	    "UPDATE certificates SET revoked = 0 WHERE jid = ?1 AND sha256 = ?2"
	    " AND revoked <> 0",
	[SG_STMT_CERT_DELETE] = "DELETE FROM certificates WHERE jid = ?1 AND sha256 = ?2",
	[SG_STMT_CERT_SIGNATURES_DELETE] =
	    "DELETE FROM signatures WHERE jid = ?1 AND (SELECT name FROM certificates"
	    " WHERE jid = ?1 AND sha256 = ?2) IN (subject, issuer)",
	[SG_STMT_SIGNATURE_PUT] =
	    "INSERT OR REPLACE INTO signatures (jid, subject, issuer, issuer_jid, method, value)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SG_STMT_SIGNATURE_LIST] = "SELECT issuer, issuer_jid, method, value FROM signatures"
				   " WHERE jid = ?1 AND subject = ?2 ORDER BY issuer, method",
	[SG_STMT_KEY_GET] =
	    "SELECT der, ?3, jid IS NOT ?1 AS place FROM certificates WHERE name = ?2 UNION ALL"
	    " SELECT data, ?4, jid IS NOT ?1 FROM pgp_keys WHERE name = ?2 UNION ALL"
	    " SELECT data, kind, 2 FROM keys WHERE name = ?2 AND kind > 0 ORDER BY place LIMIT 1",
	[SG_STMT_PGP_PUT] = "INSERT OR REPLACE INTO pgp_keys (jid, name, data) VALUES (?1, ?2, ?3)",
	[SG_STMT_PGP_GET] = "SELECT data FROM pgp_keys WHERE jid = ?1 AND name = ?2",
	[SG_STMT_PGP_LIST] = "SELECT name FROM pgp_keys WHERE jid = ?1 ORDER BY name",
	[SG_STMT_PGP_DELETE] = "DELETE FROM pgp_keys WHERE jid = ?1 AND name = ?2",
	[SG_STMT_PGP_SIGNATURES_DELETE] =
	    "DELETE FROM signatures WHERE jid = ?1 AND (subject = ?2 OR issuer = ?2)",
	[SG_STMT_LEDGER_MAKE] =
	    "INSERT OR IGNORE INTO pin_ledgers (token, whose, salt, tries, told, locked)"
	    " VALUES (?1, ?2, ?3, 0, 0, 0)",
	[SG_STMT_LEDGER_GET] =
	    "SELECT salt, tries, told, locked FROM pin_ledgers WHERE token = ?1 AND whose = ?2",
	[SG_STMT_LEDGER_TRY] = "UPDATE pin_ledgers SET tries = tries + 1, told = max(told, ?3)"
			       " WHERE token = ?1 AND whose = ?2",
	[SG_STMT_LEDGER_TOLD] = "UPDATE pin_ledgers SET told = 1 WHERE token = ?1 AND whose = ?2",
	[SG_STMT_LEDGER_GOOD] = "UPDATE pin_ledgers SET locked = 0, tries ="
				" CASE WHEN ?3 <> 0 OR told <> 0 THEN 0 ELSE max(tries - 1, 0) END"
				" WHERE token = ?1 AND whose = ?2",
	[SG_STMT_LEDGER_LOCKED] = "UPDATE pin_ledgers SET locked = 1, tries = max(tries - 1, 0)"
				  " WHERE token = ?1 AND whose = ?2",
	[SG_STMT_LEDGER_BACK] = "UPDATE pin_ledgers SET tries = max(tries - 1, 0)"
				" WHERE token = ?1 AND whose = ?2",
	[SG_STMT_WRONG_LIST] = "SELECT hash, unsure FROM pin_wrong WHERE token = ?1 AND whose = ?2"
			       " ORDER BY number DESC",
	[SG_STMT_WRONG_PUT] = "INSERT OR REPLACE INTO pin_wrong (token, whose, hash, unsure)"
			      " VALUES (?1, ?2, ?3, 0)",
	[SG_STMT_UNSURE_PUT] = "INSERT INTO pin_wrong (token, whose, hash, unsure)"
			       " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (token, whose, hash)"
			       " DO UPDATE SET unsure = 1 WHERE unsure <> 0",
	[SG_STMT_UNSURE_REMOVE] = "DELETE FROM pin_wrong"
				  " WHERE token = ?1 AND whose = ?2 AND hash = ?3 AND unsure <> 0",
	[SG_STMT_UNSURE_FORGIVE] = "DELETE FROM pin_wrong"
				   " WHERE token = ?1 AND whose = ?2 AND hash = ?3 AND unsure = 1",
	[SG_STMT_UNSURE_RESET] = "UPDATE pin_wrong SET unsure = 1"
				 " WHERE token = ?1 AND whose = ?2 AND unsure <> 0",
	[SG_STMT_WRONG_TRIM] = "DELETE FROM pin_wrong WHERE number IN (SELECT number FROM pin_wrong"
			       " WHERE token = ?1 AND whose = ?2 ORDER BY number DESC"
			       " LIMIT -1 OFFSET ?3)",
	[SG_STMT_WRONG_REMOVE] =
	    "DELETE FROM pin_wrong WHERE token = ?1 AND whose = ?2 AND hash = ?3",
	[SG_STMT_WRONG_CLEAR] = "DELETE FROM pin_wrong WHERE token = ?1 AND whose = ?2",
	[SG_STMT_KEY_USE_GET] =
	    "SELECT uri, spki_sha256, abilities, adopted FROM key_uses WHERE uri = ?1",
	[SG_STMT_KEY_USES_OF] = "SELECT uri FROM key_uses WHERE spki_sha256 = ?1 ORDER BY uri",
	[SG_STMT_KEY_USE_PUT] =
	    "INSERT OR REPLACE INTO key_uses (uri, spki_sha256, abilities, adopted)"
	    " VALUES (?1, ?2, ?3, ?4)",
	[SG_STMT_OWN_KEY] = "SELECT jid FROM certificates WHERE name = ?1 OR sha256 = ?1 UNION ALL"
			    " SELECT jid FROM pgp_keys WHERE name = ?1 LIMIT 1",
	[SG_STMT_JID_IS_KNOWN] =
	    "SELECT EXISTS (SELECT 1 FROM sightings WHERE jid = ?1 AND source <= 2)",
	[SG_STMT_JID_USE] = "SELECT count(*), coalesce(sum(size), 0) FROM sightings"
			    " WHERE jid = ?1 AND source <= 2",
	[SG_STMT_JID_OLDEST] =
	    "SELECT s.id, s.key, s.size FROM sightings s JOIN keys k ON k.id = s.key"
	    " WHERE s.jid = ?1 AND s.source <= 2 AND s.last_seen < ?2 AND k.decision = 0"
	    " ORDER BY s.last_seen, s.id LIMIT 1",
	[SG_STMT_TOLD_USE] =
	    "SELECT count(*), coalesce(sum(size), 0), count(*) FILTER (WHERE first_seen > ?2)"
	    " FROM sightings WHERE told_by = ?1 AND told_by <> ''",
	[SG_STMT_TOLD_OLDEST] =
	    "SELECT id, key, size FROM sightings WHERE told_by = ?1 AND told_by <> ''"
	    " ORDER BY first_seen, id LIMIT 1",
	/* A row weighs something, however little is in it. */
	[SG_STMT_TOLD_GREATEST] =
	    "SELECT told_by FROM sightings WHERE told_by <> '' GROUP BY told_by"
	    " ORDER BY sum(size + 1000) DESC, told_by LIMIT 1",
	[SG_STMT_ALL_USE] = "SELECT count(*), coalesce(sum(size), 0) FROM sightings"
			    " WHERE told_by <> ''",
	[SG_STMT_NAMED_KEYS] = "SELECT id, kind, sha256 FROM keys WHERE name = ?1 ORDER BY id",
	[SG_STMT_KEY_ADD] = "INSERT INTO keys (name, kind, sha256, data, first_seen)"
			    " VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
	[SG_STMT_KEY_FILL] = "UPDATE keys SET kind = ?2, sha256 = ?3, data = ?4 WHERE id = ?1",
	[SG_STMT_KEY_SWEEP] = "DELETE FROM keys WHERE id = ?1 AND decision = 0"
			      " AND NOT EXISTS (SELECT 1 FROM sightings WHERE key = ?1)",
	/* Others show it now, the JID does, its node does; it is trusted as this JID's, or as another's; others
	 * than this JID have told it of themselves, or a file has, and anybody or a file; a file has it as another's, or as
	 * this JID's. The columns are in the order of enum claim (store_copies.c). */
	[SG_STMT_COPY_CLAIMS] =
	    "SELECT count(*) FILTER (WHERE s.source <= 2 AND s.jid <> ?2) > 0,"
	    " count(*) FILTER (WHERE s.source <= 2 AND s.jid = ?2) > 0,"
	    " count(*) FILTER (WHERE s.source <= 1 AND s.jid = ?2) > 0,"
	    " k.decided_for IS ?2, k.decided_for IS NOT NULL AND k.decided_for <> ?2,"
	    " count(*) FILTER (WHERE s.source > 2 AND s.jid <> ?2) > 0,"
	    " count(*) FILTER (WHERE s.source > 2) > 0,"
	    " count(*) FILTER (WHERE s.source = 5 AND s.jid <> ?2) > 0,"
	    " count(*) FILTER (WHERE s.source = 5 AND s.jid = ?2) > 0"
	    " FROM keys k LEFT JOIN sightings s ON s.key = k.id"
	    " AND (s.source <= 2 AND s.retracted IS NULL OR s.source = 5"
	    "  OR s.source = 4 AND s.told_by = s.jid) WHERE k.id = ?1 GROUP BY k.id",
	/* He has shown keys himself, or one is trusted as his. */
	[SG_STMT_SENDER_IS_KNOWN] =
	    "SELECT EXISTS (SELECT 1 FROM sightings WHERE jid = ?1 AND source <= 2)"
	    " OR EXISTS (SELECT 1 FROM keys WHERE decision <> 0 AND decided_for = ?1)",
	/* What the JID has shown of it elsewhere is older. */
	[SG_STMT_COPY_OLD] = "UPDATE sightings SET keyinfo = NULL WHERE key = ?1 AND jid = ?2"
			     " AND source <= 2 AND source <> ?3",
	[SG_STMT_KEY_FORGET] = "DELETE FROM keys WHERE id = ?1",
	[SG_STMT_KEY_DECIDE] =
	    "UPDATE keys SET decision = ?2, decided_for = ?3, decided = ?4 WHERE id = ?1",
	[SG_STMT_KEY_READ] = "SELECT name, kind, sha256, data, first_seen, decision, decided,"
			     " decided_for FROM keys WHERE id = ?1",
	[SG_STMT_SIGHT_FIND] = "SELECT id, last_seen, keyinfo IS ?5, size"
			       " FROM sightings WHERE jid = ?1 AND key = ?2 AND source = ?3"
			       " AND told_by = ?4",
	[SG_STMT_SIGHT_OF_JID] = "SELECT EXISTS (SELECT 1 FROM sightings WHERE jid = ?1"
				 " AND key = ?2 AND (source <= 2 OR ?3 > 2))",
	[SG_STMT_SIGHT_ANY] = "SELECT EXISTS (SELECT 1 FROM sightings WHERE jid = ?1 AND key = ?2)",
	[SG_STMT_SIGHT_ADD] =
	    "INSERT INTO sightings (key, jid, source, told_by, first_seen, last_seen, size,"
	    " keyinfo) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7) RETURNING id",
	[SG_STMT_SIGHT_STAMP] = "UPDATE sightings SET last_seen = ?2 WHERE id = ?1",
	[SG_STMT_SIGHT_RENEW] =
	    "UPDATE sightings SET last_seen = ?2, size = ?3, keyinfo = ?4 WHERE id = ?1",
	[SG_STMT_SIGHT_SHOWN] = "UPDATE sightings SET retracted = NULL WHERE jid = ?1 AND key = ?2"
				" AND source <= 1 AND retracted IS NOT NULL",
	[SG_STMT_SIGHT_REMOVE] = "DELETE FROM sightings WHERE id = ?1",
	[SG_STMT_SHOWN_LIST] =
	    "SELECT s.key, k.name, max(k.decision) FROM sightings s JOIN keys k ON k.id = s.key"
	    " WHERE s.jid = ?1 AND s.key > ?2 AND s.source <= 1 AND s.retracted IS NULL"
	    " GROUP BY s.key ORDER BY s.key LIMIT ?3",
	[SG_STMT_SIGHT_RETRACT] = "UPDATE sightings SET retracted = ?3 WHERE jid = ?1 AND key = ?2"
				  " AND source <= 1 AND retracted IS NULL",
	[SG_STMT_SIGNER_ADD] = "INSERT OR IGNORE INTO signers (issuer, sighting) VALUES (?1, ?2)",
	[SG_STMT_SIGNERS_REMOVE] = "DELETE FROM signers WHERE sighting = ?1",
	[SG_STMT_SIGHTS_READ] =
	    "SELECT jid, source, told_by, first_seen, last_seen, coalesce(retracted, 0)"
	    " FROM sightings WHERE key = ?1 ORDER BY source > 2, last_seen DESC, id DESC LIMIT ?2",
	[SG_STMT_SIGHTS_SUM] = "SELECT count(*), coalesce(max(last_seen), 0),"
			       " count(*) FILTER (WHERE source <= 1) > 0 AND"
			       "  count(*) FILTER (WHERE source <= 1 AND retracted IS NULL) = 0"
			       " FROM sightings WHERE key = ?1",
	/* The ranks of enum sg_known_rank, of each the first in any case. ?3: "\njid\n...": whose key it is; NULL: nobody can tell. */
	[SG_STMT_KEYINFOS_READ] =
	    "WITH told AS (SELECT id, jid, source, last_seen, retracted,"
	    "  CASE WHEN source IN (3, 4) THEN told_by ELSE jid END AS teller"
	    "  FROM sightings WHERE key = ?1 AND keyinfo IS NOT NULL),"
	    " owned AS (SELECT *, iif(?3 IS NULL, teller = jid,"
	    "  instr(?3, char(10) || teller || char(10)) > 0) AS own FROM told),"
	    " ranked AS (SELECT *, CASE WHEN source = 5 THEN 1 WHEN own THEN iif(source <= 2, 0, 2)"
	    "  WHEN source = 3 THEN 3 WHEN source <= 2 THEN 4 ELSE 5 END AS rank FROM owned),"
	    " placed AS (SELECT id, rank, teller, row_number() OVER (PARTITION BY rank"
	    "  ORDER BY retracted IS NOT NULL, teller NOT IN"
	    "  (SELECT decided_for FROM keys WHERE decision <> 0 AND decided_for IS NOT NULL),"
	    "  CASE WHEN source <= 2 THEN -last_seen END,"
	    "  CASE WHEN source <= 2 THEN -id ELSE id END) AS place FROM ranked),"
	    " best AS (SELECT * FROM placed ORDER BY place > 1, rank, place LIMIT ?2)"
	    " SELECT b.rank, s.keyinfo, b.teller FROM best b CROSS JOIN sightings s ON s.id = b.id"
	    " ORDER BY b.rank, b.place",
	[SG_STMT_IDS_NAMED] = "SELECT id FROM keys WHERE name = ?1 UNION"
			      " SELECT id FROM keys WHERE sha256 = ?1 ORDER BY id LIMIT ?2",
	[SG_STMT_IDS_ALL] = "SELECT id FROM keys WHERE id > ?1 ORDER BY id LIMIT ?2",
	[SG_STMT_IDS_OF_JID] = "SELECT DISTINCT key FROM sightings WHERE jid = ?3 AND key > ?1"
			       " ORDER BY key LIMIT ?2",
	/* From ?3 to before ?4. */
	[SG_STMT_IDS_BEGIN] =
	    "SELECT id FROM keys INDEXED BY keys_by_name"
	    " WHERE name >= ?3 AND name < ?4 AND +id > ?1 UNION"
	    " SELECT id FROM keys INDEXED BY keys_by_sha256"
	    " WHERE sha256 >= ?3 AND sha256 < ?4 AND +id > ?1 ORDER BY 1 LIMIT ?2",
	/* In the order of the index, so that it ends with the last that is wanted, or at ?4. */
	[SG_STMT_IDS_FOUND] =
	    "SELECT DISTINCT key FROM sightings INDEXED BY sightings_by_key"
	    " WHERE key > ?1 AND key <= ?4 AND instr(jid, ?3) > 0 ORDER BY key LIMIT ?2",
	[SG_STMT_IDS_LAST] = "SELECT coalesce(max(id), 0) FROM keys",
	[SG_STMT_CHANGE_ADD] =
	    "INSERT OR IGNORE INTO key_changes (jid, name, kind, at) SELECT ?1, ?2, ?3, ?4"
	    " WHERE (SELECT count(*) FROM key_changes WHERE jid = ?1) < ?5",
	[SG_STMT_CHANGES_LIST] =
	    "SELECT jid, name, kind, at FROM key_changes WHERE ?2 IS NULL OR jid = ?2"
	    " ORDER BY at, jid, name, kind LIMIT ?1",
	[SG_STMT_CHANGES_COUNT] = "SELECT count(*) FROM key_changes",
	[SG_STMT_CHANGES_DROP] = "DELETE FROM key_changes WHERE (?1 IS NULL OR jid = ?1)"
				 " AND (?2 IS NULL OR name = ?2)",
	[SG_STMT_TRUSTED_ISSUERS] =
	    "SELECT DISTINCT g.issuer FROM keys k JOIN sightings s ON s.key = k.id"
	    " JOIN signers g ON g.sighting = s.id WHERE k.name = ?1"
	    " AND (EXISTS (SELECT 1 FROM keys i WHERE i.name = g.issuer AND i.decision = 1)"
	    "  OR EXISTS (SELECT 1 FROM accounts a JOIN signatures o"
	    "   ON o.jid = a.jid AND o.subject = g.issuer))"
	    " ORDER BY g.issuer LIMIT ?2",
	/* CROSS JOIN keeps the order: from the few that are near, not along all keys. */
	[SG_STMT_WEB_NEAR] =
	    WITH_NEAR "SELECT k.id, k.name FROM near CROSS JOIN keys k ON k.name = near.name"
		      " WHERE +k.id > ?1 ORDER BY k.id LIMIT ?2",
	[SG_STMT_WEB_SIGNED] = WITH_NEAR
	"SELECT DISTINCT k.id, k.name FROM near CROSS JOIN signers g ON g.issuer = near.name"
	" CROSS JOIN sightings s ON s.id = g.sighting CROSS JOIN keys k ON k.id = s.key"
	" WHERE +k.id > ?1 AND k.name NOT IN (SELECT name FROM near) ORDER BY k.id LIMIT ?2",
	[SG_STMT_WEB_FAR] =
	    WITH_NEAR "SELECT k.id, k.name FROM keys k WHERE k.id > ?1"
		      " AND k.name NOT IN (SELECT name FROM near) AND NOT EXISTS ("
		      "  SELECT 1 FROM sightings s JOIN signers g ON g.sighting = s.id"
		      "  WHERE s.key = k.id AND g.issuer IN (SELECT name FROM near))"
		      " ORDER BY k.id LIMIT ?2",
	[SG_STMT_SHOWN_SIZE] =
	    "SELECT coalesce(sum(s.size), 0) FROM keys k JOIN sightings s ON s.key = k.id"
	    " WHERE k.name = ?1 AND s.source NOT IN (3, 4) AND (?2 IS NULL OR EXISTS ("
	    "SELECT 1 FROM signers g"
	    " WHERE g.issuer = ?2 AND g.sighting = s.id))",
	[SG_STMT_PUBLISHING_GET] =
	    "SELECT access, members, direct, more_open, roster_groups FROM publishing"
	    " WHERE jid = ?1",
	[SG_STMT_PUBLISHING_PUT] = "INSERT OR REPLACE INTO publishing"
				   " (jid, access, members, direct, more_open, roster_groups)"
				   " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SG_STMT_WATCHED_PUT] = "INSERT INTO watched (account, jid, fetched) VALUES (?1, ?2, ?3)"
				" ON CONFLICT (account, jid) DO UPDATE SET"
				" fetched = CASE WHEN ?3 = 0 THEN fetched ELSE ?3 END",
	[SG_STMT_WATCHED_TRIM] = "DELETE FROM watched WHERE account = ?1 AND jid IN"
				 " (SELECT jid FROM watched WHERE account = ?1"
				 " ORDER BY fetched DESC, jid DESC LIMIT -1 OFFSET ?2)",
	[SG_STMT_WATCHED_OLDEST] = "SELECT jid, fetched FROM watched WHERE account = ?1"
				   " ORDER BY fetched, jid LIMIT 1",
	[SG_STMT_CSR_PUT] = "UPDATE certificates SET csr = ?3 WHERE jid = ?1 AND sha256 = ?2",
	[SG_STMT_CSR_GET] =
	    "SELECT csr FROM certificates WHERE jid = ?1 AND sha256 = ?2 AND csr IS NOT NULL",
	[SG_STMT_JOB_PUT] =
	    "INSERT INTO jobs (id, jid, kind, state, key, name, csr, certificate, certificate_uri,"
	    " sha256, old_key, old_certificate, begun, tries, waits_code, waits_text)"
	    " VALUES (nullif(?1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,"
	    " ?16) ON CONFLICT (id) DO UPDATE SET kind = ?3, state = ?4, key = ?5, name = ?6,"
	    " csr = ?7, certificate = ?8, certificate_uri = ?9, sha256 = ?10, old_key = ?11,"
	    " old_certificate = ?12, tries = ?14, waits_code = ?15, waits_text = ?16 RETURNING id",
	[SG_STMT_JOB_DELETE] = "DELETE FROM jobs WHERE id = ?1",
	[SG_STMT_JOB_LIST] =
	    "SELECT id, jid, kind, state, key, name, csr, certificate, certificate_uri, sha256,"
	    " old_key, old_certificate, begun, tries, waits_code, waits_text FROM jobs"
	    " WHERE jid = ?1 ORDER BY id",
};

/* ---- opening ---- */

static int db_number(sqlite3 *db, const char *pragma, int *number)
{
	sqlite3_stmt *statement = NULL;
	int rc = sqlite3_prepare_v2(db, pragma, -1, &statement, NULL);

	*number = 0;
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	if (rc == SQLITE_ROW)
		*number = sqlite3_column_int(statement, 0);
	sqlite3_finalize(statement);
	return rc == SQLITE_ROW ? 0 : SG_ERR_IO;
}

static int db_exec(sqlite3 *db, const char *text)
{
	return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : SG_ERR_IO;
}

static int db_is_whole(sqlite3 *db)
{
	sqlite3_stmt *statement = NULL;
	int whole = 0;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		const unsigned char *said = sqlite3_column_text(statement, 0);

		whole = said != NULL && strcmp((const char *)said, "ok") == 0;
	}
	sqlite3_finalize(statement);
	return whole;
}

/* For the upgrade alone: the SHA-256 of a blob in lower-case hex. */
static void sql_sha256(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct sg_blob blob = { NULL, 0 };
	char *hex = NULL;

	if (sg_blob_set(
		&blob, sqlite3_value_blob(values[0]), (size_t)sqlite3_value_bytes(values[0])) == 0)
		hex = sg_x509_fingerprint(&blob, "sha256");
	if (hex != NULL)
		sqlite3_result_text(context, hex, -1, SQLITE_TRANSIENT);
	else
		sqlite3_result_error_nomem(context);
	free(hex);
	sg_blob_clear(&blob);
}

/* Makes the tables of this version out of those of an older one; 0: a new file. All of it or
 * nothing. */
static int store_upgrade(sqlite3 *db, int version)
{
	char *versions = NULL;
	int err;

	if (asprintf(&versions, "PRAGMA application_id = %d; PRAGMA user_version = %d",
		STORE_APPLICATION_ID, SG_STORE_VERSION) < 0)
		return SG_ERR_NOMEM;
	err = sqlite3_create_function(db, "sg_sha256", 1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, NULL,
		  sql_sha256, NULL, NULL) == SQLITE_OK
	    ? db_exec(db, "BEGIN IMMEDIATE")
	    : SG_ERR_NOMEM;
	for (int i = version; err == 0 && i < SG_STORE_VERSION; i++)
		err = db_exec(db, schemas[i]);
	if (err == 0)
		err = db_exec(db, versions);
	if (err == 0)
		err = db_exec(db, "COMMIT");
	free(versions);
	return err;
}

/* Whose file it is, before anything in it is changed. Gives what is wrong with it, or NULL; a file
 * without anything is of version 0. */
static const char *store_examine(sqlite3 *db, int *version)
{
	int application;
	int tables;

	*version = 0;
	if (db_number(db, "PRAGMA application_id", &application) != 0 ||
	    db_number(db, "PRAGMA user_version", version) != 0 ||
	    db_number(db, "SELECT count(*) FROM sqlite_master", &tables) != 0)
		return "it is damaged or no database";
	if (tables == 0 && *version == 0)
		return NULL;
	if (application != STORE_APPLICATION_ID)
		return "it is another program's database";
	if (*version > SG_STORE_VERSION)
		return "a newer version of signet wrote it";
	if (*version < 1)
		return "no version of signet wrote it";
	if (!db_is_whole(db))
		return "it is damaged";
	return NULL;
}

static int store_prepare(struct sg_store *store)
{
	for (size_t i = 0; i < SG_STMT_COUNT; i++) {
		if (sqlite3_prepare_v3(store->db, statement_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
			&store->statements[i], NULL) != SQLITE_OK)
			return SG_ERR_IO;
	}
	return 0;
}

/* SQLite would make the file by the umask; ours is 0600 whatever that is. */
static int make_file(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return SG_ERR_IO;
	close(fd);
	return 0;
}

/* Written to the disk as any change is. */
int sg_store_is_writable(struct sg_store *store)
{
	char text[48];
	int err = sg_store_begin(store);

	if (err != 0)
		return err;
	snprintf(text, sizeof(text), "PRAGMA user_version = %d", SG_STORE_VERSION);
	return sg_store_finish(store, db_exec(store->db, text));
}

int sg_store_open(const char *path, struct sg_store **store)
{
	struct sg_store *made = calloc(1, sizeof(*made));
	const char *wrong = "it cannot be opened";
	int version = 0;

	*store = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	if (make_file(path) != 0 ||
	    sqlite3_open_v2(path, &made->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) !=
		SQLITE_OK)
		goto fail;
	sqlite3_busy_timeout(made->db, STORE_OPEN_BUSY_MS);
	sqlite3_db_config(made->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* Before anything is read: the keyring may be large, and the agent stays small. */
	(void)db_exec(made->db, "PRAGMA cache_size = -" STORE_CACHE_KIB);
	wrong = store_examine(made->db, &version);
	if (wrong != NULL)
		goto fail;
	wrong = "it cannot be written";
	if (db_exec(made->db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF") != 0 ||
	    (version < SG_STORE_VERSION && store_upgrade(made->db, version) != 0))
		goto fail;
	wrong = "its tables are not those of this version";
	if (store_prepare(made) != 0)
		goto fail;
	sqlite3_busy_timeout(made->db, STORE_BUSY_MS);
	*store = made;
	return 0;
fail:
	sg_log(SG_LOG_ERROR,
	    "the store %s is not used: %s. Nothing in it was changed; move it away to "
	    "start with an empty one",
	    path, wrong);
	sg_store_close(made);
	return SG_ERR_IO;
}

void sg_store_close(struct sg_store *store)
{
	if (store == NULL)
		return;
	for (size_t i = 0; i < SG_STMT_COUNT; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	free(store);
}

/* ---- statements ---- */

int sg_store_step(struct sg_store *store, enum sg_statement which, const struct sg_value *values,
    sqlite3_stmt **stepped)
{
	sqlite3_stmt *statement = *stepped = store->statements[which];

	for (int i = 0; values[i].kind != SG_VALUE_END; i++) {
		int rc = SQLITE_OK;

		switch (values[i].kind) {
		case SG_VALUE_TEXT:
			rc = sqlite3_bind_text(statement, i + 1, values[i].text, -1, SQLITE_STATIC);
			break;
		case SG_VALUE_INT:
			rc = sqlite3_bind_int64(statement, i + 1, values[i].number);
			break;
		case SG_VALUE_BLOB:
			rc = values[i].blob->len == 0
			    ? sqlite3_bind_zeroblob(statement, i + 1, 0)
			    : sqlite3_bind_blob64(statement, i + 1, values[i].blob->data,
				  values[i].blob->len, SQLITE_STATIC);
			break;
		case SG_VALUE_END:
			break;
		}
		if (rc != SQLITE_OK)
			return rc;
	}
	return sqlite3_step(statement);
}

int sg_store_done(struct sg_store *store, sqlite3_stmt *statement, int rc, int err)
{
	if (rc != SQLITE_DONE && rc != SQLITE_ROW) {
		sg_log(SG_LOG_ERROR, "the store: %s", sqlite3_errmsg(store->db));
		store->failure = rc;
		err = SG_ERR_IO;
	}
	sqlite3_reset(statement);
	sqlite3_clear_bindings(statement);
	return err;
}

int sg_store_run(struct sg_store *store, enum sg_statement which, const struct sg_value *values)
{
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, which, values, &statement);

	return sg_store_done(store, statement, rc, 0);
}

const char *sg_store_failure(const struct sg_store *store, int err)
{
	if (err != SG_ERR_IO)
		return sg_err_text(err);
	switch (store->failure & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return "another process keeps the agent's store locked";
	case SQLITE_FULL:
		return "the disk of the agent's store is full";
	case SQLITE_NOMEM:
		return "there is no memory for the agent's store";
	default:
		return "the agent's store could not be read or written";
	}
}

const struct sg_value sg_no_values[] = { SG_END };

int sg_store_begin(struct sg_store *store)
{
	return sg_store_run(store, SG_STMT_BEGIN, sg_no_values);
}

int sg_store_finish(struct sg_store *store, int err)
{
	if (err == 0)
		err = sg_store_run(store, SG_STMT_COMMIT, sg_no_values);
	if (err != 0 && !sqlite3_get_autocommit(store->db) &&
	    sg_store_run(store, SG_STMT_ROLLBACK, sg_no_values) != 0)
		sg_log(SG_LOG_ERROR, "the store: a transaction could not be taken back");
	return err;
}

char *sg_column_text(sqlite3_stmt *statement, int column)
{
	const unsigned char *text = sqlite3_column_text(statement, column);

	return text != NULL ? strdup((const char *)text) : NULL;
}

int sg_column_blob(sqlite3_stmt *statement, int column, struct sg_blob *blob)
{
	return sg_blob_set(blob, sqlite3_column_blob(statement, column),
	    (size_t)sqlite3_column_bytes(statement, column));
}
