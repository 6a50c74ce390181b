#include "service.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "ccm2.h"
#include "log.h"
#include "logins.h"
#include "profile.h"
#include "revocation.h"
#include "text.h"
#include "x509.h"

#define BACKDATE_SECONDS 300 /* clocks of clients that are behind (C4 allows as much) */
#define PUBLISH_SECONDS	 86400
#define PUBLISH_AGAIN	 60 /* after a failure */

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
	if (err == 0)
		service->stale = 0;
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

/*
 * Signs, then commits the row, then answers. A crash between the first two loses a certificate that
 * nobody ever received and whose serial nobody will see: no harm in that, and the client's repeated
 * request (C5) gets another. The row before the signature would leave entries without certificates.
 */
static int issue(struct sg_service *service, const char *account, X509_REQ *csr,
    const struct sg_msg_ccm2_add *add, const unsigned char csr_sha256[32],
    enum sg_ledger_outcome *outcome, struct sg_blob *der)
{
	unsigned char serial[SG_SERIAL_LEN];
	struct sg_blob tbs = { 0 };
	time_t now = time(NULL);
	struct sg_cert_wish wish = { 0 };
	struct sg_ledger_entry entry;
	int err;

	memset(der, 0, sizeof(*der));
	wish.csr = csr;
	wish.account = account;
	wish.serial = serial;
	wish.not_before = now - BACKDATE_SECONDS;
	err = sg_profile_serial(serial);
	if (err == 0)
		err = sg_signer_ca(service->signer, &wish.ca);
	if (err == 0)
		err = sg_policy_not_after(service->policy, wish.ca, now, &wish.not_after);
	if (err == 0)
		err = sg_profile_certificate(&wish, &tbs);
	if (err == 0)
		err = sg_signer_sign(service->signer, SG_CA_CERT, &tbs, der);
	if (err == 0) {
		entry = (struct sg_ledger_entry){
			.serial = serial,
			.account = account,
			.name = add->name != NULL ? add->name : "",
			.der = der,
			.csr_sha256 = csr_sha256,
			.issued_at = now,
			.not_after = wish.not_after,
		};
		err = sg_ledger_add(
		    service->ledger, &entry, 1, service->config->certificates_per_account);
		*outcome = entry.outcome;
	}
	if (err == 0 && *outcome == SG_LEDGER_REPEATED) {
		sg_blob_clear(der);
		*der = entry.der_before;
	}
	if (err != 0)
		sg_blob_clear(der);
	sg_blob_clear(&tbs);
	return err;
}

/* A good request: the certificate it has already (C5), or a new one if there is room. */
static void grant(struct sg_service *service, const char *account, X509_REQ *csr,
    const struct sg_msg_ccm2_add *add, struct sg_answer *answer)
{
	enum sg_ledger_outcome outcome = SG_LEDGER_REPEATED;
	unsigned char csr_sha256[32];
	struct sg_blob der = { 0 };
	char *sha256 = NULL;
	uint32_t count = 0;
	double begin = sg_latency_now();
	int err, found;

	if (!EVP_Digest(add->csr.data, add->csr.len, csr_sha256, NULL, EVP_sha256(), NULL)) {
		refuse_for_now(service, answer, "add", account, SG_ERR_INTERNAL);
		return;
	}
	found = sg_ledger_look(service->ledger, account, csr_sha256, time(NULL), &der, &count);
	err = found < 0 ? found : 0;
	if (found == 0 && count >= service->config->certificates_per_account)
		outcome = SG_LEDGER_FULL;
	else if (found == 0)
		err = issue(service, account, csr, add, csr_sha256, &outcome, &der);
	if (err == 0 && outcome == SG_LEDGER_ADDED)
		sg_latency_add(&service->issue, sg_latency_now() - begin);
	if (err == 0 && outcome == SG_LEDGER_FULL) {
		refuse(service, answer, "add", account, "wait", "resource-constraint",
		    "You have as many certificates as an account may have. Revoke one first.");
		goto out;
	}
	if (err == 0 && outcome == SG_LEDGER_SERIAL_USED)
		err = SG_ERR_BUSY; /* of 2^159: asking again gives another */
	if (err == 0)
		err = sg_ccm2_added_encode(&der, &answer->payload);
	if (err == 0 && (sha256 = sg_x509_fingerprint(&der, "sha256")) == NULL)
		err = SG_ERR_NOMEM;
	if (err != 0)
		refuse_for_now(service, answer, "add", account, err);
	else
		log_decision(service, "add", account,
		    outcome == SG_LEDGER_ADDED ? "issued" : "repeated", sha256);
out:
	free(sha256);
	sg_blob_clear(&der);
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
	list.logins = logins;
	if (err == 0)
		cut = sg_ledger_each_valid(service->ledger, account, time(NULL), add_listed, &list);
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
	char sha256[65];
	time_t now = time(NULL);
	int changed = 0, found, err = sg_ccm2_revoke_decode(payload, &fp);

	if (err != 0) {
		refuse(service, answer, "revoke", account, "modify", "bad-request",
		    "A fingerprint in hexadecimal is wanted: sha-1, sha-256 or sha-512.");
		return;
	}
	found = sg_ledger_revoke(
	    service->ledger, account, fp.hash, fp.value, fp.len, now, sha256, &changed);
	if (found == 0) {
		refuse(service, answer, "revoke", account, "cancel", "item-not-found",
		    "You have no certificate with this fingerprint.");
		return;
	}
	if (found < 0) {
		err = found;
	} else {
		/* The result says that nobody can log in with it any more (C10): not before that is so. */
		service->stale |= changed;
		if (service->stale)
			err = sg_service_publish(service, now);
	}
	if (err != 0)
		refuse_for_now(service, answer, "revoke", account, err);
	else
		log_decision(
		    service, "revoke", account, changed ? "revoked" : "revoked-before", sha256);
}

void sg_service_request(
    void *arg, const char *account, int set, const struct sg_xml *payload, struct sg_answer *answer)
{
	struct sg_service *service = arg;
	const char *ns = sg_xml_ns(payload);
	int wants_set = strcmp(ns, SG_NS_CCM2_LIST) != 0;
	const char *why = NULL;

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
