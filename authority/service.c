#include "service.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "ccm2.h"
#include "log.h"
#include "logins.h"
#include "profile.h"
#include "revocation.h"
#include "x509.h"

#define PUBLISH_SECONDS 86400
#define PUBLISH_AGAIN	60 /* after a failure */

/*
 * An XMPP server drops the component for a stanza over its limit (512 KiB in Prosody), and with it
 * the service for everybody: a list ends before that. Base64 and the worst escaping of names counted.
 */
#define LIST_REPLY_MAX (384u << 10)

/* What one certificate's users may take of that, so that a first entry always fits; more are left out. */
#define ENTRY_USERS_MAX (64u << 10)

const char *const sg_service_namespaces[] = {
	SG_NS_CCM2_ADD,
	SG_NS_CCM2_LIST,
	SG_NS_CCM2_REVOKE,
	NULL,
};

/* Every refusal goes through here: the answer, and its line in the log. */
static void refuse(struct sg_service *service, struct sg_answer *answer, const char *verb,
    const char *account, const char *type, const char *condition, const char *text)
{
	const struct sg_decision decision = {
		.verb = verb, .account = account, .outcome = condition, .why = text
	};

	sg_answer_error(answer, type, condition, text);
	sg_decision_tell(&service->decisions, &decision);
}

static void refuse_for_now(struct sg_service *service, struct sg_answer *answer, const char *verb,
    const char *account, int err)
{
	const struct sg_decision decision = {
		.verb = verb, .account = account, .outcome = "internal-server-error", .err = err
	};

	sg_answer_error(answer, "wait", decision.outcome,
	    "The authority cannot do this at the moment. Please try again later.");
	sg_decision_tell(&service->decisions, &decision);
}

static void log_decision(struct sg_service *service, const char *verb, const char *account,
    const char *outcome, const char *sha256)
{
	const struct sg_decision decision = {
		.verb = verb, .account = account, .outcome = outcome, .sha256 = sha256
	};

	sg_decision_tell(&service->decisions, &decision);
}

int sg_service_publish(struct sg_service *service, time_t now)
{
	int err = sg_revocation_publish(
	    service->config, service->ledger, service->signer, now, &service->published);

	if (err != service->publish_error)
		sg_log(err != 0 ? SG_LOG_ERROR : SG_LOG_INFO, "revocation list and CRL %s%s",
		    err != 0 ? "could not be written: " : "are written again",
		    err != 0 ? sg_err_text(err) : "");
	service->publish_error = err;
	service->publish_at = now + (err != 0 ? PUBLISH_AGAIN : PUBLISH_SECONDS);
	service->stale = err != 0; /* also at the start: nobody knows what the files lack then */
	return err;
}

/* ---- add */

static void refuse_csr(struct sg_service *service, struct sg_answer *answer, const char *account,
    enum sg_csr_verdict verdict, const char *why)
{
	switch (verdict) {
	case SG_CSR_BAD_REQUEST:
		refuse(service, answer, "add", account, "modify", "bad-request", why);
		break;
	case SG_CSR_NOT_ACCEPTABLE:
		refuse(service, answer, "add", account, "modify", "not-acceptable", why);
		break;
	case SG_CSR_OTHER_KIND:
		refuse(service, answer, "add", account, "modify", "not-acceptable",
		    sg_policy_kinds(service->policy));
		break;
	case SG_CSR_FORBIDDEN:
		refuse(service, answer, "add", account, "auth", "forbidden", why);
		break;
	case SG_CSR_GOOD:
	case SG_CSR_FAILED:
		refuse_for_now(service, answer, "add", account, SG_ERR_NOMEM);
		break;
	}
}

/* How many certificates the account is about to get; *same when one of them is for this very request. */
static uint32_t count_pending(const struct sg_service *service, const char *account,
    const unsigned char csr_sha256[32], int *same)
{
	uint32_t count = 0;

	*same = 0;
	for (size_t i = 0; i < service->pending_count; i++) {
		const struct sg_pending *pending = &service->pending[i];

		if (pending->name == NULL || strcmp(pending->account, account) != 0)
			continue;
		count++;
		*same |= memcmp(pending->issue.csr_sha256, csr_sha256, 32) == 0;
	}
	return count;
}

/* The next place among those that wait; NULL without memory. */
static struct sg_pending *new_pending(
    struct sg_service *service, struct sg_answer *answer, const char *account)
{
	struct sg_pending *pending;

	if (service->pending_count == SG_SIGNER_TICKETS)
		sg_service_flush(service);
	pending = &service->pending[service->pending_count];
	memset(pending, 0, sizeof(*pending));
	pending->answer = answer;
	pending->account = strdup(account);
	return pending->account != NULL ? pending : NULL;
}

static void clear_pending(struct sg_pending *pending)
{
	sg_issue_clear(&pending->issue);
	free(pending->account);
	free(pending->name);
	memset(pending, 0, sizeof(*pending));
}

/* From here on it is answered by sg_service_flush(). */
static void put_off(struct sg_service *service, struct sg_pending *pending)
{
	pending->answer->later = 1;
	service->pending_count++;
}

static void start_issue(struct sg_service *service, const char *account, X509_REQ *csr,
    const char *name, const unsigned char csr_sha256[32], struct sg_answer *answer)
{
	double begin = sg_latency_now();
	struct sg_pending *pending = new_pending(service, answer, account);
	int err = SG_ERR_NOMEM;

	if (pending != NULL && (pending->name = strdup(name)) != NULL) {
		pending->begin = begin;
		pending->issue.account = pending->account;
		pending->issue.name = pending->name;
		memcpy(pending->issue.csr_sha256, csr_sha256, 32);
		err = sg_issue_start(&pending->issue, service->signer, service->policy, csr);
	}
	if (err == 0) {
		put_off(service, pending);
		return;
	}
	refuse_for_now(service, answer, "add", account, err);
	if (pending != NULL)
		clear_pending(pending);
}

static void answer_added(struct sg_service *service, const char *account, const struct sg_blob *der,
    enum sg_ledger_outcome outcome, struct sg_answer *answer)
{
	char *sha256 = sg_x509_fingerprint(der, "sha256");
	int err = sha256 != NULL ? sg_ccm2_added_encode(der, &answer->payload) : SG_ERR_NOMEM;

	if (err != 0)
		refuse_for_now(service, answer, "add", account, err);
	else
		log_decision(service, "add", account,
		    outcome == SG_LEDGER_ADDED ? "issued" : "repeated", sha256);
	free(sha256);
}

static void refuse_full(struct sg_service *service, const char *account, struct sg_answer *answer)
{
	refuse(service, answer, "add", account, "wait", "resource-constraint",
	    "You have as many certificates as an account may have. Revoke one first.");
}

/* Whether it is by a key or a name that the authority has no more: where servers know the new one, nobody logs in with it. */
static int is_former(struct sg_service *service, const struct sg_blob *der)
{
	X509 *ca, *cert;
	int former;

	if (sg_signer_ca(service->signer, &ca) != 0 || sg_x509_cert_parse(der, &cert) != 0)
		return 0;
	former = X509_check_issued(ca, cert) != X509_V_OK ||
	    X509_verify(cert, X509_get0_pubkey(ca)) != 1;
	X509_free(cert);
	ERR_clear_error();
	return former;
}

/* As sg_ledger_look(), of certificates by the authority as it is. One by a former key is not revoked for that: a server that
 * has not heard of the new key yet lets nobody in but by such. */
static int look(struct sg_service *service, const char *account, const unsigned char csr_sha256[32],
    struct sg_blob *der, uint32_t *count)
{
	time_t now = time(NULL);
	int err, found = sg_ledger_look(service->ledger, account, csr_sha256, now, der, count);

	if (found <= 0 || !is_former(service, der))
		return found;
	err = sg_ledger_forget_request(service->ledger, der);
	sg_blob_clear(der);
	if (err != 0)
		return err;
	sg_log(SG_LOG_INFO,
	    "add account=%s: asked for again, and by a former key of the authority: another is "
	    "issued",
	    account);
	return sg_ledger_look(service->ledger, account, csr_sha256, now, der, count);
}

/* A good request: the certificate it has already (C5), or a new one if there is room. */
static void grant(struct sg_service *service, const char *account, X509_REQ *csr,
    const struct sg_msg_ccm2_add *add, struct sg_answer *answer)
{
	const uint32_t limit = service->config->certificates_per_account;
	unsigned char csr_sha256[32];
	struct sg_blob der = { 0 };
	uint32_t count, coming;
	int found, same;

	if (!EVP_Digest(add->csr.data, add->csr.len, csr_sha256, NULL, EVP_sha256(), NULL)) {
		refuse_for_now(service, answer, "add", account, SG_ERR_INTERNAL);
		return;
	}
	coming = count_pending(service, account, csr_sha256, &same);
	if (same || coming >= limit) {
		sg_service_flush(service);
		coming = 0;
	}
	found = look(service, account, csr_sha256, &der, &count);
	if (found == 0 && coming != 0 && count + coming >= limit) {
		/* what is on its way may still fail */
		sg_service_flush(service);
		found = look(service, account, csr_sha256, &der, &count);
	}
	if (found < 0)
		refuse_for_now(service, answer, "add", account, found);
	else if (found > 0)
		answer_added(service, account, &der, SG_LEDGER_REPEATED, answer);
	else if (count >= limit)
		refuse_full(service, account, answer);
	else
		start_issue(
		    service, account, csr, add->name != NULL ? add->name : "", csr_sha256, answer);
	sg_blob_clear(&der);
}

/* What became of one that was put off. */
static void finish_add(struct sg_service *service, struct sg_pending *pending)
{
	const struct sg_issue *issue = &pending->issue;

	if (issue->err == 0 && issue->outcome == SG_LEDGER_ADDED)
		sg_latency_add(&service->issue, sg_latency_now() - pending->begin);
	if (issue->err != 0)
		refuse_for_now(service, pending->answer, "add", pending->account, issue->err);
	else if (issue->outcome == SG_LEDGER_FULL)
		refuse_full(service, pending->account, pending->answer);
	else
		answer_added(
		    service, pending->account, &issue->der, issue->outcome, pending->answer);
}

static void answer_add(struct sg_service *service, const char *account,
    const struct sg_xml *payload, struct sg_answer *answer)
{
	struct sg_msg_ccm2_add add = { 0 };
	enum sg_csr_verdict verdict;
	X509_REQ *csr = NULL;
	const char *why = sg_policy_refusal(service->policy, account);
	int err;

	if (why != NULL) {
		refuse(service, answer, "add", account, "auth", "forbidden", why);
		return;
	}
	err = sg_ccm2_add_decode(payload, &add);
	if (err == SG_ERR_NOMEM) {
		refuse_for_now(service, answer, "add", account, err);
	} else if (err != 0) {
		refuse(service, answer, "add", account, "modify", "bad-request",
		    err == SG_ERR_LIMIT ? "The name or the certificate signing request is too long."
					: "A name and a certificate signing request in Base64 are "
					  "wanted.");
	} else {
		verdict =
		    sg_profile_judge(&add.csr, account, service->config->subject_keys, &csr, &why);
		if (verdict)
			refuse_csr(service, answer, account, verdict, why);
		else
			grant(service, account, csr, &add, answer);
	}
	X509_REQ_free(csr);
	sg_msg_clear(SG_MSG_CCM2_ADD, &add);
}

/* ---- list */

struct list {
	const struct sg_logins *logins;
	struct sg_msg_ccm2_certs certs;
	struct sg_ledger_use *uses; /* what the logins know and the ledger does not */
	size_t use_count;
	size_t room; /* of the arrays */
	size_t size; /* of the reply, about */
};

/* How many of the resources are shown, and what they take in the reply. */
static uint32_t count_users(const struct sg_login *login, size_t *size)
{
	uint32_t count = 0;

	*size = 0;
	while (login != NULL && count < login->resource_count) {
		size_t more = 6 * strlen(login->resources[count]) + 32;

		if (*size + more > ENTRY_USERS_MAX)
			break;
		*size += more;
		count++;
	}
	return count;
}

static int copy_users(const struct sg_login *login, uint32_t count, struct sg_ccm2_cert *cert)
{
	cert->users = count ? calloc(count, sizeof(*cert->users)) : NULL;
	if (count && cert->users == NULL)
		return SG_ERR_NOMEM;
	for (; cert->user_count < count; cert->user_count++) {
		cert->users[cert->user_count] = strdup(login->resources[cert->user_count]);
		if (cert->users[cert->user_count] == NULL)
			return SG_ERR_NOMEM;
	}
	return 0;
}

static int make_room(struct list *list)
{
	struct sg_ccm2_cert *certs;
	struct sg_ledger_use *uses;

	if (list->certs.cert_count < list->room)
		return 0;
	list->room = list->room ? 2 * list->room : 32;
	certs = realloc(list->certs.certs, list->room * sizeof(*certs));
	if (certs == NULL)
		return SG_ERR_NOMEM;
	list->certs.certs = certs;
	uses = realloc(list->uses, list->room * sizeof(*uses));
	if (uses == NULL)
		return SG_ERR_NOMEM;
	list->uses = uses;
	return 0;
}

static int add_listed(void *arg, const struct sg_ledger_row *row)
{
	struct list *list = arg;
	const struct sg_login *login = sg_logins_find(list->logins, row->sha256);
	const char *last_used = row->last_used;
	struct sg_ccm2_cert *cert;
	size_t users_size;
	uint32_t users = count_users(login, &users_size);
	int err;

	/* the whole entry is counted before any of it is added */
	list->size += row->der.len / 3 * 4 + 6 * strlen(row->name) + 256 + users_size;
	if (list->size > LIST_REPLY_MAX || list->certs.cert_count == SG_CCM2_LIST_MAX)
		return 1;
	err = make_room(list);
	if (err != 0)
		return err;
	cert = &list->certs.certs[list->certs.cert_count++];
	memset(cert, 0, sizeof(*cert));
	if (login != NULL && (last_used == NULL || strcmp(last_used, login->last_used) < 0)) {
		last_used = login->last_used;
		list->uses[list->use_count++] =
		    (struct sg_ledger_use){ login->sha256, login->last_used };
	}
	cert->name = strdup(row->name);
	cert->last_used = last_used != NULL ? strdup(last_used) : NULL;
	if (cert->name == NULL || (last_used != NULL && cert->last_used == NULL))
		return SG_ERR_NOMEM;
	err = sg_blob_set(&cert->der, row->der.data, row->der.len);
	if (err == 0)
		err = copy_users(login, users, cert);
	return err;
}

static void answer_list(struct sg_service *service, const char *account,
    const struct sg_xml *payload, struct sg_answer *answer)
{
	struct list list = { 0 };
	struct sg_logins *logins = NULL;
	int err, cut = 0;

	if (!sg_xml_is(payload, "list-certificates-request", SG_NS_CCM2_LIST)) {
		refuse(service, answer, "list", account, "modify", "bad-request",
		    "A list-certificates-request is wanted.");
		return;
	}
	err = sg_logins_read(service->config->logins, &logins);
	if (err == SG_ERR_LIMIT || err == SG_ERR_IO)
		err = 0; /* logged; who uses them is not known then, and the rest is */
	list.logins = logins;
	if (err == 0)
		cut = sg_ledger_each_unrevoked(
		    service->ledger, account, time(NULL), add_listed, &list);
	if (cut < 0)
		err = cut;
	else if (cut > 0)
		sg_log(SG_LOG_WARN, "list account=%s: cut at %u certificates", account,
		    list.certs.cert_count);
	if (err == 0)
		err = sg_ccm2_list_encode(&list.certs, &answer->payload);
	if (err != 0)
		refuse_for_now(service, answer, "list", account, err);
	else
		sg_decision_tell(&service->decisions,
		    &(struct sg_decision){ .verb = "list",
			.account = account,
			.outcome = "listed",
			.count = &(int64_t){ list.certs.cert_count } });
	/* kept, so that it outlives the module's file; a failure costs no answer */
	if (sg_ledger_touch(service->ledger, list.uses, list.use_count) != 0)
		sg_log(SG_LOG_WARN, "list: the times of last use could not be kept");
	free(list.uses);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &list.certs);
	sg_logins_free(logins);
}

/* ---- revoke */

static void answer_revoke(struct sg_service *service, const char *account,
    const struct sg_xml *payload, struct sg_answer *answer)
{
	struct sg_ccm2_fingerprint fp;
	struct sg_pending *pending;
	int found, err = sg_ccm2_revoke_decode(payload, &fp);

	if (err != 0) {
		refuse(service, answer, "revoke", account, "modify", "bad-request",
		    "A fingerprint in hexadecimal is wanted: sha-1, sha-256 or sha-512.");
		return;
	}
	pending = new_pending(service, answer, account);
	if (pending == NULL) {
		refuse_for_now(service, answer, "revoke", account, SG_ERR_NOMEM);
		return;
	}
	found = sg_ledger_revoke(service->ledger, account, fp.hash, fp.value, fp.len, time(NULL),
	    pending->sha256, &pending->changed);
	if (found > 0) {
		service->stale |= pending->changed;
		put_off(service, pending);
		return;
	}
	if (found == 0)
		refuse(service, answer, "revoke", account, "cancel", "item-not-found",
		    "You have no certificate with this fingerprint.");
	else
		refuse_for_now(service, answer, "revoke", account, found);
	clear_pending(pending);
}

static void finish_revoke(struct sg_service *service, struct sg_pending *pending, int err)
{
	if (err != 0)
		refuse_for_now(service, pending->answer, "revoke", pending->account, err);
	else
		log_decision(service, "revoke", pending->account,
		    pending->changed ? "revoked" : "revoked-before", pending->sha256);
}

/* ---- all of them */

void sg_service_flush(void *arg)
{
	struct sg_service *service = arg;
	struct sg_issue *issues[SG_SIGNER_TICKETS] = { 0 };
	size_t issue_count = 0, count = service->pending_count;
	int err = 0;

	for (size_t i = 0; i < count; i++)
		if (service->pending[i].name != NULL)
			issues[issue_count++] = &service->pending[i].issue;
	sg_issue_finish(issues, issue_count, service->signer, service->ledger,
	    service->config->certificates_per_account);
	/* The result says that nobody can log in with it any more (C10): not before that is so. */
	if (issue_count < count && service->stale)
		err = sg_service_publish(service, time(NULL));
	service->pending_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct sg_pending *pending = &service->pending[i];

		pending->answer->later = 0;
		if (pending->name != NULL)
			finish_add(service, pending);
		else
			finish_revoke(service, pending, err);
		clear_pending(pending);
	}
}

/* What the account added before is there when it lists or revokes. */
static void settle(struct sg_service *service, const char *account)
{
	for (size_t i = 0; i < service->pending_count; i++) {
		const struct sg_pending *pending = &service->pending[i];

		if (pending->name != NULL && strcmp(pending->account, account) == 0) {
			sg_service_flush(service);
			return;
		}
	}
}

void sg_service_request(
    void *arg, const char *account, int set, const struct sg_xml *payload, struct sg_answer *answer)
{
	struct sg_service *service = arg;
	const char *ns = sg_xml_ns(payload);
	int wants_set = strcmp(ns, SG_NS_CCM2_LIST) != 0;
	const char *why = NULL;

	if (strcmp(ns, SG_NS_CCM2_ADD) != 0)
		settle(service, account);
	/* to revoke nobody waits: what was lost may be used by a thief meanwhile */
	if (strcmp(ns, SG_NS_CCM2_REVOKE) != 0)
		why = sg_policy_hold(service->policy, account);
	if (why != NULL)
		refuse(service, answer, wants_set ? "add" : "list", account, "wait",
		    "resource-constraint", why);
	else if (set != wants_set)
		refuse(service, answer, "request", account, "modify", "bad-request",
		    "Adding and revoking are iq of type 'set', listing is of type 'get'.");
	else if (strcmp(ns, SG_NS_CCM2_ADD) == 0)
		answer_add(service, account, payload, answer);
	else if (strcmp(ns, SG_NS_CCM2_LIST) == 0)
		answer_list(service, account, payload, answer);
	else
		answer_revoke(service, account, payload, answer);
}
