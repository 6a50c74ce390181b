/* What tokens attest of keys that accounts had certified. */
#include "store.h"

#include "store_engine.h"

void sg_attestation_clear(struct sg_attestation *attestation)
{
	sg_blob_clear(&attestation->der);
	sg_blob_clear(&attestation->issuer);
}

int sg_store_attestation_put(struct sg_store *store, const char *jid, const char *spki_sha256,
    const struct sg_attestation *attestation)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(spki_sha256),
		SG_BLOB(&attestation->der), SG_BLOB(&attestation->issuer), SG_END };

	return sg_store_run(store, SG_STMT_ATTESTATION_PUT, values);
}

int sg_store_attestation_get(
    struct sg_store *store, const char *spki_sha256, struct sg_attestation *attestation)
{
	const struct sg_value values[] = { SG_TEXT(spki_sha256), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_ATTESTATION_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*attestation = (struct sg_attestation){ .der = { NULL, 0 } };
	if (rc == SQLITE_ROW) {
		err = sg_column_blob(statement, 0, &attestation->der);
		if (err == 0)
			err = sg_column_blob(statement, 1, &attestation->issuer);
	}
	err = sg_store_done(store, statement, rc, err);
	if (err != 0)
		sg_attestation_clear(attestation);
	return err;
}
