#include "accounts.h"

#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "cert_protocol.h"
#include "jobs.h"
#include "log.h"
#include "online.h"
#include "renewing.h"
#include "text.h"
#include "watching.h"
#include "worker.h"
#include "x509.h"

struct sg_accounts {
	struct sg_agent *agent;
	TAILQ_HEAD(account_list, sg_account) list;
};

static void account_free(struct sg_account *account)
{
	sg_jobs_free(account);
	sg_watching_end(account);
	sg_worker_free(account->worker);
	sg_account_row_clear(&account->row);
	sg_publishing_row_clear(&account->publishing);
	sg_msg_clear(SG_MSG_XMPP_ONLINE, &account->online);
	free(account->online_with);
	free(account->last_error);
	free(account->renew_problem);
	free(account);
}

struct sg_account *sg_account_ref(struct sg_account *account)
{
	account->refs++;
	return account;
}

void sg_account_unref(struct sg_account *account)
{
	if (account != NULL && --account->refs == 0)
		account_free(account);
}

/* Takes the row over, also on failure; puts the account in its place in the list. */
static struct sg_account *account_new(struct sg_accounts *accounts, struct sg_account_row *row)
{
	struct sg_account *account = calloc(1, sizeof(*account));
	struct sg_account *after;

	if (account == NULL) {
		sg_account_row_clear(row);
		return NULL;
	}
	account->agent = accounts->agent;
	account->refs = 1;
	TAILQ_INIT(&account->jobs);
	account->row = *row;
	memset(row, 0, sizeof(*row));
	if (sg_store_publishing_get(
		accounts->agent->store, account->row.jid, &account->publishing) != 0 ||
	    sg_online_worker_new(account) != 0) {
		account_free(account);
		return NULL;
	}
	TAILQ_FOREACH(after, &accounts->list, entry) {
		if (strcmp(after->row.jid, account->row.jid) > 0)
			break;
	}
	if (after != NULL)
		TAILQ_INSERT_BEFORE(after, account, entry);
	else
		TAILQ_INSERT_TAIL(&accounts->list, account, entry);
	return account;
}

static int on_row(void *arg, struct sg_account_row *row)
{
	return account_new(arg, row) != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_accounts_new(struct sg_agent *agent, struct sg_accounts **accounts)
{
	struct sg_accounts *made = calloc(1, sizeof(*made));
	int err;

	*accounts = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	TAILQ_INIT(&made->list);
	err = sg_store_accounts(agent->store, on_row, made);
	if (err != 0) {
		sg_accounts_free(made);
		return err;
	}
	*accounts = made;
	return 0;
}

void sg_accounts_free(struct sg_accounts *accounts)
{
	struct sg_account *account;

	if (accounts == NULL)
		return;
	while ((account = TAILQ_FIRST(&accounts->list)) != NULL) {
		TAILQ_REMOVE(&accounts->list, account, entry);
		sg_watching_end(account);
		sg_worker_free(account->worker);
		account->worker = NULL;
		sg_account_unref(account);
	}
	free(accounts);
}

struct sg_account *sg_accounts_first(struct sg_accounts *accounts)
{
	return TAILQ_FIRST(&accounts->list);
}

struct sg_account *sg_accounts_next(struct sg_account *account)
{
	return TAILQ_NEXT(account, entry);
}

struct sg_account *sg_accounts_get(struct sg_accounts *accounts, const char *jid)
{
	struct sg_account *account;

	TAILQ_FOREACH(account, &accounts->list, entry) {
		if (strcmp(account->row.jid, jid) == 0)
			return account;
	}
	return NULL;
}

int sg_accounts_add(
    struct sg_accounts *accounts, struct sg_account_row *row, struct sg_account **account)
{
	int err = sg_accounts_get(accounts, row->jid) != NULL ? SG_ERR_ACCOUNT_EXISTS : 0;

	*account = NULL;
	if (err == 0)
		err = sg_store_account_put(accounts->agent->store, row);
	if (err != 0) {
		sg_account_row_clear(row);
		return err;
	}
	*account = account_new(accounts, row);
	return *account != NULL ? 0 : SG_ERR_NOMEM;
}

static void on_removed_offline(void *arg, const struct sg_msg_error *error)
{
	sg_account_unref(arg);
}

int sg_accounts_remove(struct sg_account *account)
{
	int err = sg_store_account_delete(account->agent->store, account->row.jid);

	if (err != 0)
		return err;
	TAILQ_REMOVE(&account->agent->accounts->list, account, entry);
	account->removed = 1;
	sg_renewing_note(account);
	sg_account_go_offline(account, on_removed_offline, account);
	return 0;
}

/* ---- its keys and certificates ---- */

/* Puts other texts in two places of the row and stores it, or puts the old ones back. */
static int store_changed(struct sg_account *account, char **key_slot, char **cert_slot,
    const char *key, const char *sha256, uint32_t role, const struct sg_blob *der, const char *uri)
{
	char *old_key = *key_slot;
	char *old_cert = *cert_slot;
	int err = SG_ERR_NOMEM;

	*key_slot = sg_text_copy(key);
	*cert_slot = sg_text_copy(sha256);
	if ((*key_slot != NULL) == (key != NULL) && (*cert_slot != NULL) == (sha256 != NULL))
		err = der != NULL
		    ? sg_store_account_certify(account->agent->store, &account->row, role, der, uri)
		    : sg_store_account_put(account->agent->store, &account->row);
	if (err != 0) {
		free(*key_slot);
		free(*cert_slot);
		*key_slot = old_key;
		*cert_slot = old_cert;
		return err;
	}
	free(old_key);
	free(old_cert);
	return 0;
}

int sg_account_certify(struct sg_account *account, uint32_t role, const char *key_uri,
    const struct sg_blob *der, const char *cert_uri)
{
	struct sg_account_row *row = &account->row;
	char *sha256 = sg_x509_fingerprint(der, "sha256");
	int err = SG_ERR_NOMEM;

	if (account->removed)
		err = SG_ERR_ACCOUNT_ABSENT;
	else if (sha256 != NULL && role == SG_CERT_USER)
		err = store_changed(account, &row->user_key, &row->user_certificate, key_uri,
		    sha256, role, der, cert_uri);
	else if (sha256 != NULL)
		err = store_changed(
		    account, &row->key, &row->certificate, key_uri, sha256, role, der, cert_uri);
	if (err == 0 && role == SG_CERT_CLIENT)
		sg_renewing_note(account);
	free(sha256);
	return err;
}

void sg_account_note_features(
    struct sg_account *account, const struct sg_msg_xmpp_feature_set *features)
{
	uint32_t before = account->row.protocol;

	account->had_list |= sg_cert_protocol_can(features, SG_NS_CCM2_LIST);
	account->had_revoke |= sg_cert_protocol_can(features, SG_NS_CCM2_REVOKE);
	account->row.protocol = sg_cert_protocol_of(features);
	if (account->row.protocol == before || account->removed)
		return;
	if (sg_store_account_put(account->agent->store, &account->row) == 0)
		return;
	account->row.protocol = before;
	sg_log(
	    SG_LOG_WARN, "%s: which protocol its server has could not be kept", account->row.jid);
}

int sg_account_is_logged_in_with(const struct sg_account *account, const char *sha256)
{
	return account->state == SG_ACCOUNT_ONLINE && account->online_with != NULL &&
	    strcmp(account->online_with, sha256) == 0;
}

int sg_account_has_revoked(const struct sg_account *account, const char *fingerprint)
{
	struct sg_cert_row row;
	int is_revoked;

	if (sg_store_cert_get(account->agent->store, account->row.jid, fingerprint, &row) != 0)
		return 0;
	is_revoked = row.revoked != 0;
	sg_cert_row_clear(&row);
	return is_revoked;
}

int sg_account_is_refused(const struct sg_msg_error *error)
{
	return sg_msg_error_is(error, SG_ERR_AUTH, "not-authorized");
}

int sg_account_set_client(struct sg_account *account, const char *key_uri, const char *sha256)
{
	int err;

	if (account->removed)
		return SG_ERR_ACCOUNT_ABSENT;
	err = store_changed(account, &account->row.key, &account->row.certificate, key_uri, sha256,
	    SG_CERT_CLIENT, NULL, NULL);
	if (err == 0)
		sg_renewing_note(account);
	return err;
}
