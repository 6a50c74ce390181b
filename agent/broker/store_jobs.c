#include "jobs_store.h"

#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "store_engine.h"

void sg_job_row_clear(struct sg_job_row *row)
{
	free(row->jid);
	free(row->key);
	free(row->name);
	sg_blob_clear(&row->csr);
	sg_blob_clear(&row->cert);
	free(row->cert_uri);
	free(row->sha256);
	free(row->old_key);
	free(row->old_certificate);
	free(row->waits_text);
	memset(row, 0, sizeof(*row));
}

int sg_store_job_put(struct sg_store *store, struct sg_job_row *row)
{
	const struct sg_value values[] = { SG_INT(row->id), SG_TEXT(row->jid), SG_INT(row->kind),
		SG_INT(row->state), SG_TEXT(row->key), SG_TEXT(row->name), SG_BLOB(&row->csr),
		SG_BLOB(&row->cert), SG_TEXT(row->cert_uri), SG_TEXT(row->sha256),
		SG_TEXT(row->old_key), SG_TEXT(row->old_certificate), SG_INT(row->begun),
		SG_INT(row->tries), SG_INT(row->waits), SG_TEXT(row->waits_text), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_JOB_PUT, values, &statement);
	int64_t id = row->id;

	if (rc == SQLITE_ROW) {
		id = sqlite3_column_int64(statement, 0);
		rc = sqlite3_step(statement); /* it is committed when there is no other row */
	}
	if (sg_store_done(store, statement, rc, 0) != 0)
		return SG_ERR_IO;
	row->id = id;
	return 0;
}

int sg_store_job_delete(struct sg_store *store, int64_t id)
{
	const struct sg_value values[] = { SG_INT(id), SG_END };

	return sg_store_run(store, SG_STMT_JOB_DELETE, values);
}

int sg_store_csr_put(
    struct sg_store *store, const char *jid, const char *sha256, const struct sg_blob *csr)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(sha256), SG_BLOB(csr), SG_END };

	return sg_store_run(store, SG_STMT_CSR_PUT, values);
}

int sg_store_csr_get(
    struct sg_store *store, const char *jid, const char *sha256, struct sg_blob *csr)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_TEXT(sha256), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_CSR_GET, values, &statement);
	int err = SG_ERR_KEY_ABSENT;

	*csr = (struct sg_blob){ NULL, 0 };
	if (rc == SQLITE_ROW)
		err = sg_column_blob(statement, 0, csr);
	return sg_store_done(store, statement, rc, err);
}

static int row_fill(struct sg_job_row *row, sqlite3_stmt *statement)
{
	*row = (struct sg_job_row){
		.id = sqlite3_column_int64(statement, 0),
		.jid = sg_column_text(statement, 1),
		.kind = (uint32_t)sqlite3_column_int64(statement, 2),
		.state = (uint32_t)sqlite3_column_int64(statement, 3),
		.key = sg_column_text(statement, 4),
		.name = sg_column_text(statement, 5),
		.cert_uri = sg_column_text(statement, 8),
		.sha256 = sg_column_text(statement, 9),
		.old_key = sg_column_text(statement, 10),
		.old_certificate = sg_column_text(statement, 11),
		.begun = sqlite3_column_int64(statement, 12),
		.tries = (uint32_t)sqlite3_column_int64(statement, 13),
		.waits = (uint32_t)sqlite3_column_int64(statement, 14),
		.waits_text = sg_column_text(statement, 15),
	};
	if (row->jid == NULL)
		return SG_ERR_NOMEM;
	if (sg_column_blob(statement, 6, &row->csr) != 0)
		return SG_ERR_NOMEM;
	return sg_column_blob(statement, 7, &row->cert);
}

static int is_before_request(const struct sg_job_row *row)
{
	return row->kind == SG_JOB_RENEW &&
	    (row->state == SG_JOB_GENERATE || row->state == SG_JOB_REQUEST);
}

/* Whether its state can be one of its kind, and it has what that needs. */
static int row_is_sound(const struct sg_job_row *row)
{
	int is_revocation = row->kind == SG_JOB_REVOKE;

	if (row->kind >= SG_JOB_KINDS || row->state == SG_JOB_NEW || row->state == SG_JOB_END ||
	    row->state >= SG_JOB_STATES)
		return 0;
	if (is_revocation)
		return row->sha256 != NULL &&
		    (row->state == SG_JOB_REVOKE_IT ||
			(row->state == SG_JOB_RETRACT && row->name != NULL) ||
			(row->state == SG_JOB_SWEEP && row->key != NULL));
	if (row->state == SG_JOB_REVOKE_IT)
		return 0;
	if (row->kind == SG_JOB_RENEW && (row->old_key == NULL || row->old_certificate == NULL))
		return 0;
	if (row->key == NULL ||
	    (row->csr.len == 0 && !is_before_request(row) && row->state != SG_JOB_UNDO))
		return 0;
	return is_before_request(row) || row->state == SG_JOB_ADD || row->state == SG_JOB_UNDO ||
	    row->cert.len > 0;
}

int sg_store_jobs(struct sg_store *store, const char *jid, sg_job_row_fn *fn, void *arg)
{
	const struct sg_value values[] = { SG_TEXT(jid), SG_END };
	sqlite3_stmt *statement;
	int rc = sg_store_step(store, SG_STMT_JOB_LIST, values, &statement);
	int err = 0;

	while (rc == SQLITE_ROW && err == 0) {
		struct sg_job_row row;

		err = row_fill(&row, statement);
		if (err == 0 && row_is_sound(&row))
			err = fn(arg, &row);
		else if (err == 0)
			sg_log(
			    SG_LOG_ERROR, "%s: a job in the store makes no sense: left alone", jid);
		sg_job_row_clear(&row);
		if (err == 0)
			rc = sqlite3_step(statement);
	}
	return sg_store_done(store, statement, rc, err);
}
