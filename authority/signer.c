#include "signer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "clock.h"
#include "log.h"
#include "pin_book.h"
#include "pin_file.h"
#include "pkcs11_uri.h"
#include "spawn.h"
#include "text.h"
#include "x509.h"

#define GOODBYE_MS 2000 /* for a worker to finalise its module after the channel closed */

struct sg_signer {
	const struct sg_authority_config *config;
	char *key; /* selector */
	struct sg_pin_book *book;
	pid_t pid; /* 0: no worker */
	struct sg_channel *channel;
	int logged_in;
	int pin_error;	      /* 0, or why the PIN is not to be tried again by itself */
	struct stat pin_file; /* as it was then: another one holds another PIN */
	uint32_t next_id;
	uint32_t first_id;			  /* that this worker was asked */
	struct sg_frame early[SG_SIGNER_TICKETS]; /* answers that nobody has waited for yet */
	size_t early_count;
	X509 *ca;
};

/* A label means the object of that name on the configured token, not on any other. */
static char *key_selector(const struct sg_authority_config *config)
{
	struct sg_buf uri = { 0 };

	if (sg_uri_is_uri(config->key))
		return strdup(config->key);
	if (sg_uri_is_uri(config->token)) {
		sg_buf_put(&uri, config->token, strcspn(config->token, "?"));
	} else {
		sg_buf_put_str(&uri, "pkcs11:token=");
		sg_percent_put(&uri, config->token, "");
	}
	sg_buf_put_str(&uri, ";object=");
	sg_percent_put(&uri, config->key, "");
	return sg_buf_steal(&uri, NULL);
}

/* Beside the CRL: that is a folder of ours, whatever the ledger is. */
static int book_new(const struct sg_authority_config *config, struct sg_pin_book **book)
{
	struct sg_buf path = { 0 };
	char *text;
	int err;

	sg_buf_printf(&path, "%s.refused-pins", config->crl);
	text = sg_buf_steal(&path, NULL);
	err = text != NULL ? sg_pin_book_new(text, config->token, book) : SG_ERR_NOMEM;
	free(text);
	return err;
}

int sg_signer_new(const struct sg_authority_config *config, struct sg_signer **signer)
{
	struct sg_signer *self = calloc(1, sizeof(*self));
	int err;

	*signer = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->config = config;
	self->next_id = 1;
	self->key = key_selector(config);
	err = self->key != NULL ? book_new(config, &self->book) : SG_ERR_NOMEM;
	if (err != 0)
		sg_signer_free(self);
	else
		*signer = self;
	return err;
}

/* Waits until the process has ended; 0 when it did, -1 when the time is over. */
static int wait_for_end(pid_t pid, int timeout_ms)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int64_t deadline = sg_clock_ms() + timeout_ms;
	int n = 0;

	if (pidfd < 0)
		return -1;
	do {
		int64_t left = deadline - sg_clock_ms();

		n = poll(&pfd, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	close(pidfd);
	return n > 0 ? 0 : -1;
}

/* The worker is gone afterwards, by itself or by force. */
static void end_worker(struct sg_signer *signer, int force)
{
	int status;

	if (!signer->pid)
		return;
	sg_channel_free(signer->channel);
	signer->channel = NULL;
	while (signer->early_count > 0)
		sg_frame_clear(&signer->early[--signer->early_count]);
	if (force || wait_for_end(signer->pid, GOODBYE_MS) != 0)
		kill(signer->pid, SIGKILL);
	while (waitpid(signer->pid, &status, 0) < 0 && errno == EINTR)
		;
	signer->pid = 0;
	signer->logged_in = 0;
}

void sg_signer_free(struct sg_signer *signer)
{
	if (signer == NULL)
		return;
	end_worker(signer, 0);
	X509_free(signer->ca);
	sg_pin_book_free(signer->book);
	free(signer->key);
	free(signer);
}

int sg_signer_fd(const struct sg_signer *signer)
{
	return signer->channel != NULL ? sg_channel_fd(signer->channel) : -1;
}

void sg_signer_on_readable(struct sg_signer *signer)
{
	sg_log(SG_LOG_WARN, "token: the worker ended; the next request starts another");
	end_worker(signer, 1);
}

enum sg_signer_state sg_signer_state(const struct sg_signer *signer)
{
	if (signer->pin_error != 0)
		return SG_SIGNER_PIN_REFUSED;
	return signer->pid && signer->logged_in ? SG_SIGNER_READY : SG_SIGNER_DOWN;
}

void sg_signer_retry(struct sg_signer *signer)
{
	signer->pin_error = 0;
	/* Some modules see a token's new PIN only after they are loaded anew. */
	if (!signer->logged_in)
		end_worker(signer, 0);
}

const char *sg_signer_key(const struct sg_signer *signer)
{
	return signer->key;
}

static int start_worker(struct sg_signer *signer)
{
	char name[] = "signet-token", role[] = "--role", authority[] = "authority",
	     module[] = "--module", dirs[] = "--module-dirs";
	char *argv[] = { name, role, authority, module, signer->config->module,
		signer->config->module_dirs != NULL ? dirs : NULL, signer->config->module_dirs,
		NULL };
	char *path;
	int sock = -1, err = sg_spawn_program_path(name, &path);

	if (err != 0) {
		sg_log(SG_LOG_ERROR, "token: signet-token is not installed, or may not be run");
		return err;
	}
	err = sg_spawn_worker(path, argv, &signer->pid, &sock);
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "token: cannot start %s", path);
		signer->pid = 0;
		goto out;
	}
	signer->first_id = signer->next_id;
	err = sg_channel_new(&signer->channel, sock);
	if (err != 0) {
		close(sock);
		end_worker(signer, 1);
		goto out;
	}
	/* every wait is a poll with a deadline, so that no worker can hold us up for ever */
	if (fcntl(sock, F_SETFL, fcntl(sock, F_GETFL) | O_NONBLOCK) != 0) {
		end_worker(signer, 1);
		err = SG_ERR_INTERNAL;
	}
out:
	free(path);
	return err;
}

/* Waits for the events on the channel. SG_ERR_TIMEOUT at the deadline. */
static int wait_channel(struct sg_signer *signer, short events, int64_t deadline, short *revents)
{
	struct pollfd pfd = { .fd = sg_channel_fd(signer->channel), .events = events };
	int64_t left = deadline - sg_clock_ms();
	int n;

	*revents = 0;
	if (left <= 0)
		return SG_ERR_TIMEOUT;
	n = poll(&pfd, 1, (int)left);
	if (n < 0 && errno != EINTR)
		return SG_ERR_INTERNAL;
	if (n > 0)
		*revents = pfd.revents;
	return 0;
}

static int send_frame(
    struct sg_signer *signer, uint32_t id, uint16_t type, const void *msg, int fd, int64_t deadline)
{
	int err = sg_channel_put(signer->channel, id, type, msg, fd), left = 1;
	short revents;

	while (err == 0 && left == 1) {
		left = sg_channel_flush(signer->channel);
		if (left < 0)
			err = left;
		else if (left == 1)
			err = wait_channel(signer, POLLIN | POLLOUT, deadline, &revents);
		/* a worker whose answers nobody reads might read nothing either */
		if (err == 0 && left == 1 && (revents & POLLIN) &&
		    sg_channel_fill(signer->channel) <= 0)
			err = SG_ERR_WORKER;
	}
	return err == SG_ERR_IO ? SG_ERR_WORKER : err;
}

static int recv_any(struct sg_signer *signer, int64_t deadline, struct sg_frame *frame)
{
	int err, got;
	short revents;

	while ((got = sg_channel_next(signer->channel, frame)) == 0) {
		err = wait_channel(signer, POLLIN, deadline, &revents);
		if (err != 0)
			return err;
		if (sg_channel_fill(signer->channel) <= 0)
			return SG_ERR_WORKER;
	}
	return got == 1 ? 0 : got;
}

/* What the worker says of a PIN on its way to an answer. That one is about to be tried need not be written down: what
 * comes of a worker that dies of it, log_in() sees. But that it was refused must be, or others try it again. */
static int on_pin_word(struct sg_signer *signer, const struct sg_frame *frame, int64_t deadline)
{
	struct sg_msg_error error = { .tries_left = SG_TRIES_UNKNOWN };
	int err;

	if (frame->type == SG_MSG_PIN_OUTCOME) {
		sg_pin_book_outcome(signer->book, frame->msg);
		return 0;
	}
	err = sg_pin_book_prepare(signer->book);
	error.code = (uint32_t)-err;
	return err == 0 ? send_frame(signer, frame->id, SG_MSG_OK, NULL, -1, deadline)
			: send_frame(signer, frame->id, SG_MSG_ERROR, &error, -1, deadline);
}

/* The next answer. */
static int recv_frame(struct sg_signer *signer, int64_t deadline, struct sg_frame *frame)
{
	int err = recv_any(signer, deadline, frame);

	while (err == 0 && (frame->type == SG_MSG_PIN_TRY || frame->type == SG_MSG_PIN_OUTCOME)) {
		err = on_pin_word(signer, frame, deadline);
		sg_frame_clear(frame);
		if (err == 0)
			err = recv_any(signer, deadline, frame);
	}
	return err;
}

static int take_error(const struct sg_msg_error *error)
{
	int code = sg_msg_error_code(error);

	sg_log(SG_LOG_ERROR, "token: %s: %s%s%s", sg_err_name(code),
	    error->message != NULL ? error->message : sg_err_text(code),
	    error->subject != NULL ? ": " : "", error->subject != NULL ? error->subject : "");
	return code;
}

/* What leaves the channel in doubt ends the worker. */
static void give_up(struct sg_signer *signer, int err)
{
	sg_log(SG_LOG_ERROR, "token: the worker %s",
	    err == SG_ERR_TIMEOUT      ? "did not answer in time and was killed"
		: err == SG_ERR_WORKER ? "died during the call"
				       : "broke the protocol and was killed");
	end_worker(signer, 1);
}

/* One request and its answer with a worker that is there. */
static int exchange(struct sg_signer *signer, uint16_t type, const void *msg, int fd,
    uint16_t reply_type, int timeout_ms, struct sg_frame *reply)
{
	int64_t deadline = sg_clock_ms() + timeout_ms;
	uint32_t id = signer->next_id++;
	int err;

	memset(reply, 0, sizeof(*reply));
	reply->fd = -1;
	err = send_frame(signer, id, type, msg, fd, deadline);
	if (err == 0)
		err = recv_frame(signer, deadline, reply);
	if (err == 0 && reply->id == id && reply->type == reply_type)
		return 0;
	if (err == 0 && reply->id == id && reply->type == SG_MSG_ERROR) {
		err = take_error(reply->msg);
	} else {
		if (err == 0)
			err = SG_ERR_FORMAT;
		give_up(signer, err);
	}
	sg_frame_clear(reply);
	return err;
}

void sg_signer_caller(struct sg_caller *caller, char *purpose)
{
	memset(caller, 0, sizeof(*caller));
	caller->uid = (uint32_t)getuid();
	caller->pid = (uint32_t)getpid();
	caller->purpose = purpose;
}

/* After this nothing logs in by itself until sg_signer_retry(), or until the PIN file is another one. */
static void lock_pin(struct sg_signer *signer, int fd, int err, const char *why)
{
	if (fstat(fd, &signer->pin_file) != 0)
		memset(&signer->pin_file, 0, sizeof(signer->pin_file));
	signer->pin_error = err;
	if (err == SG_ERR_PIN_WRONG)
		sg_log(SG_LOG_ERROR,
		    "token: the PIN %s and is not tried again: correct %s; if the token's PIN was "
		    "set to this one since, remove %s and send SIGHUP",
		    why, signer->config->pin_file, sg_pin_book_path(signer->book));
	else if (err == SG_ERR_PIN_LOCKED)
		sg_log(SG_LOG_ERROR,
		    "token: its PIN is locked: set it anew with the SO PIN or PUK, then send "
		    "SIGHUP");
	else
		sg_log(SG_LOG_ERROR,
		    "token: the PIN %s and is not tried again: correct %s, or send SIGHUP when it "
		    "is right",
		    why, signer->config->pin_file);
}

static int log_in(struct sg_signer *signer)
{
	char purpose[] = "authority-start";
	struct sg_msg_token_login login = { .token = signer->config->token, .source = SG_PIN_FD };
	struct sg_frame reply;
	int fd, err;

	sg_signer_caller(&login.caller, purpose);
	err = sg_pin_book_read(signer->book, &login.ledger);
	if (err == 0)
		err = sg_pin_file_open(signer->config->pin_file, &fd);
	if (err != 0)
		return err;
	err =
	    exchange(signer, SG_MSG_TOKEN_LOGIN, &login, fd, SG_MSG_OK, SG_SIGNER_CALL_MS, &reply);
	if (signer->pid && (err == SG_ERR_FORMAT || err == SG_ERR_LIMIT))
		sg_log(SG_LOG_ERROR, "token: PIN file %s: the PIN must be its first and only line",
		    signer->config->pin_file);
	if (err == SG_ERR_PIN_WRONG || err == SG_ERR_PIN_LOCKED)
		lock_pin(signer, fd, err, "was refused");
	else if (err != 0 &&
	    !signer->pid) /* it ended or was killed: the token may have counted a try */
		lock_pin(
		    signer, fd, SG_ERR_PIN_NEEDED, "was given to a worker that never answered");
	close(fd);
	if (err != 0)
		return err;
	sg_frame_clear(&reply);
	signer->logged_in = 1;
	return 0;
}

/* A worker that is logged in. */
static int make_ready(struct sg_signer *signer)
{
	int err;

	if (signer->pin_error != 0 &&
	    sg_pin_file_is_another(signer->config->pin_file, &signer->pin_file)) {
		sg_log(SG_LOG_INFO, "token: the PIN file has changed: trying it");
		signer->pin_error = 0;
	}
	if (signer->pin_error != 0)
		return signer->pin_error;
	if (!signer->pid) {
		err = start_worker(signer);
		if (err != 0)
			return err;
	}
	return signer->logged_in ? 0 : log_in(signer);
}

/* A token that was away: some modules see it again only after they are loaded anew. */
static int needs_new_worker(int err)
{
	return err == SG_ERR_PIN_NEEDED || err == SG_ERR_TOKEN_ABSENT || err == SG_ERR_TOKEN_FAILED;
}

int sg_signer_call(struct sg_signer *signer, uint16_t type, const void *msg, uint16_t reply_type,
    int timeout_ms, struct sg_frame *reply)
{
	int err, tries = 2;

	memset(reply, 0, sizeof(*reply));
	reply->fd = -1;
	do {
		err = make_ready(signer);
		if (err == 0)
			err = exchange(signer, type, msg, -1, reply_type, timeout_ms, reply);
	} while (err == SG_ERR_WORKER && --tries);
	if (needs_new_worker(err))
		end_worker(signer, 0);
	return err;
}

static int is_valid_now(const X509 *cert)
{
	return X509_cmp_current_time(X509_get0_notBefore(cert)) < 0 &&
	    X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
}

/* Whether a CA's certificate is to be preferred to another for the same key: one that is valid, then one by
 * another authority (who has such a one put it there on purpose), then the one that ends later. */
static int is_better(X509 *cert, X509 *than)
{
	int valid = is_valid_now(cert) - is_valid_now(than);
	int self = !!(X509_get_extension_flags(than) & EXFLAG_SI) -
	    !!(X509_get_extension_flags(cert) & EXFLAG_SI);

	if (valid || self)
		return valid ? valid > 0 : self > 0;
	return ASN1_TIME_compare(X509_get0_notAfter(cert), X509_get0_notAfter(than)) > 0;
}

/* The certificate of the reply that is a CA's. */
static X509 *pick_ca(const struct sg_msg_objects *objects)
{
	X509 *cert, *best = NULL;

	for (uint32_t i = 0; i < objects->cert_count; i++) {
		if (sg_x509_cert_parse(&objects->certs[i].der, &cert) != 0)
			continue;
		if (X509_check_ca(cert) == 1 && (best == NULL || is_better(cert, best))) {
			X509_free(best);
			best = cert;
		} else {
			X509_free(cert);
		}
	}
	return best;
}

int sg_signer_ca(struct sg_signer *signer, X509 **ca)
{
	char purpose[] = "authority-start";
	struct sg_msg_object_list list = { .selector = signer->key };
	struct sg_frame reply;
	int err;

	*ca = NULL;
	if (signer->ca == NULL) {
		sg_signer_caller(&list.caller, purpose);
		err = sg_signer_call(
		    signer, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, SG_SIGNER_CALL_MS, &reply);
		if (err != 0)
			return err;
		signer->ca = pick_ca(reply.msg);
		sg_frame_clear(&reply);
		ERR_clear_error();
	}
	if (signer->ca == NULL) {
		sg_log(SG_LOG_ERROR, "token: there is no CA certificate for %s (see 'init')",
		    signer->key);
		return SG_ERR_KEY_ABSENT;
	}
	*ca = signer->ca;
	return 0;
}

/* What the worker gave back must be ours and whole before anybody gets it. */
static int check_signed(struct sg_signer *signer, enum sg_ca_object kind, const struct sg_blob *der)
{
	EVP_PKEY *key = X509_get0_pubkey(signer->ca);
	const unsigned char *p = der->data;
	X509_CRL *crl;
	X509 *cert;
	int good = 0;

	if (kind == SG_CA_CERT) {
		if (sg_x509_cert_parse(der, &cert) == 0) {
			good = X509_verify(cert, key) == 1;
			X509_free(cert);
		}
	} else {
		crl = d2i_X509_CRL(NULL, &p, (long)der->len);
		good = crl != NULL && p == der->data + der->len && X509_CRL_verify(crl, key) == 1;
		X509_CRL_free(crl);
	}
	ERR_clear_error();
	if (!good)
		sg_log(SG_LOG_ERROR, "token: the signature does not fit the CA's certificate");
	return good ? 0 : SG_ERR_CERT_MISMATCH;
}

static void sign_message(struct sg_signer *signer, enum sg_ca_object kind,
    const struct sg_blob *tbs, struct sg_msg_ca_sign *sign)
{
	static char issue[] = "issue-certificate", list[] = "issue-crl";

	*sign = (struct sg_msg_ca_sign){ .key = signer->key, .kind = kind, .tbs = *tbs };
	sg_signer_caller(&sign->caller, kind == SG_CA_CERT ? issue : list);
}

/* Checks what a reply holds, and takes it out; the reply is cleared. */
static int take_signed(
    struct sg_signer *signer, enum sg_ca_object kind, struct sg_frame *reply, struct sg_blob *der)
{
	struct sg_msg_der *answer = reply->msg;
	int err = check_signed(signer, kind, &answer->der);

	if (err == 0) {
		*der = answer->der;
		memset(&answer->der, 0, sizeof(answer->der));
	}
	sg_frame_clear(reply);
	return err;
}

int sg_signer_sign(struct sg_signer *signer, enum sg_ca_object kind, const struct sg_blob *tbs,
    struct sg_blob *der)
{
	struct sg_msg_ca_sign sign;
	struct sg_frame reply;
	X509 *ca;
	int err;

	memset(der, 0, sizeof(*der));
	err = sg_signer_ca(signer, &ca);
	if (err != 0)
		return err;
	sign_message(signer, kind, tbs, &sign);
	err = sg_signer_call(signer, SG_MSG_CA_SIGN, &sign, SG_MSG_DER, SG_SIGNER_CALL_MS, &reply);
	return err != 0 ? err : take_signed(signer, kind, &reply, der);
}

int sg_signer_begin(
    struct sg_signer *signer, enum sg_ca_object kind, const struct sg_blob *tbs, uint32_t *ticket)
{
	struct sg_msg_ca_sign sign;
	X509 *ca;
	int err;

	*ticket = 0;
	err = sg_signer_ca(signer, &ca);
	if (err == 0)
		err = make_ready(signer);
	if (needs_new_worker(err))
		end_worker(signer, 0);
	if (err != 0)
		return err;
	sign_message(signer, kind, tbs, &sign);
	*ticket = signer->next_id++;
	err = send_frame(
	    signer, *ticket, SG_MSG_CA_SIGN, &sign, -1, sg_clock_ms() + SG_SIGNER_CALL_MS);
	if (err != 0)
		give_up(signer, err);
	return err == SG_ERR_WORKER ? 0 : err; /* the end says so, of all that were begun */
}

/* Takes the answer to the ticket out of those that came early. */
static int find_early(struct sg_signer *signer, uint32_t ticket, struct sg_frame *reply)
{
	for (size_t i = 0; i < signer->early_count; i++) {
		if (signer->early[i].id != ticket)
			continue;
		*reply = signer->early[i];
		signer->early[i] = signer->early[--signer->early_count];
		return 1;
	}
	return 0;
}

/* Waits for the answer to the ticket, and keeps those to others. Each has its time, from the last one on. */
static int wait_for(struct sg_signer *signer, uint32_t ticket, struct sg_frame *reply)
{
	int err;

	while (!find_early(signer, ticket, reply)) {
		err = recv_frame(signer, sg_clock_ms() + SG_SIGNER_CALL_MS, reply);
		if (err == 0 && reply->id == ticket)
			return 0;
		if (err == 0 && signer->early_count == SG_SIGNER_TICKETS) {
			sg_frame_clear(reply);
			err = SG_ERR_FORMAT;
		}
		if (err != 0)
			return err;
		signer->early[signer->early_count++] = *reply;
	}
	return 0;
}

int sg_signer_end(
    struct sg_signer *signer, enum sg_ca_object kind, uint32_t ticket, struct sg_blob *der)
{
	struct sg_frame reply = { .fd = -1 };
	int err;

	memset(der, 0, sizeof(*der));
	if (!signer->pid || ticket < signer->first_id)
		return SG_ERR_WORKER;
	err = wait_for(signer, ticket, &reply);
	if (err == 0 && reply.type == SG_MSG_DER)
		return take_signed(signer, kind, &reply, der);
	if (err == 0 && reply.type == SG_MSG_ERROR) {
		err = take_error(reply.msg);
		sg_frame_clear(&reply);
		if (needs_new_worker(err))
			end_worker(signer, 0);
		return err;
	}
	sg_frame_clear(&reply);
	if (err == 0)
		err = SG_ERR_FORMAT;
	give_up(signer, err);
	return err;
}
