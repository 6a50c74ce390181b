#include "pgp_key.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "channel.h"
#include "clock.h"
#include "log.h"
#include "spawn.h"
#include "text.h"
#include "x509.h"

#define PROGRAM "signet-pgp"

/* ---- the process ---- */

static struct {
	const char *program; /* that a test has set */
	struct sg_channel *channel;
	pid_t pid;
	uint32_t last_id;
	int missing;	  /* said already */
	int64_t since_ms; /* the time that trouble is counted in, and how much it was */
	unsigned trouble;
} judge = { .pid = -1 };

void sg_pgp_set_program(const char *path)
{
	judge.program = path;
	judge.trouble = 0;
}

/*
 * Somebody may have made keys that librnp hangs at or dies of, and all of our process waits
 * meanwhile: when that was too much, nothing is asked until the time is over.
 */
static int has_had_trouble(void)
{
	int64_t now = sg_clock_ms();

	if (now - judge.since_ms >= SG_PGP_TROUBLE_MS) {
		judge.since_ms = now;
		judge.trouble = 0;
	}
	return judge.trouble >= SG_PGP_TROUBLE_MAX;
}

static void note_trouble(const char *what, unsigned weight)
{
	judge.trouble += weight;
	sg_log(SG_LOG_WARN, "%s %s: an OpenPGP key was not judged%s", PROGRAM, what,
	    judge.trouble >= SG_PGP_TROUBLE_MAX ? ", and none will be for a while" : "");
}

static void judge_end(void)
{
	sg_channel_free(judge.channel);
	judge.channel = NULL;
	if (judge.pid > 0) {
		kill(judge.pid, SIGKILL);
		while (waitpid(judge.pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	judge.pid = -1;
}

void sg_pgp_reap(void)
{
	if (judge.pid > 0 && waitpid(judge.pid, NULL, WNOHANG) == judge.pid) {
		judge.pid = -1;
		judge_end();
	}
}

static int judge_connect(int sock)
{
	int flags = fcntl(sock, F_GETFL);

	if (flags < 0 || fcntl(sock, F_SETFL, flags | O_NONBLOCK) != 0)
		return SG_ERR_IO;
	return sg_channel_new(&judge.channel, sock);
}

static int judge_start(void)
{
	static char name[] = PROGRAM;
	char *const argv[] = { name, NULL };
	char *path = NULL;
	int sock = -1;
	int err = 0;

	sg_pgp_reap();
	if (has_had_trouble())
		return SG_ERR_WORKER;
	if (judge.channel != NULL)
		return 0;
	if (judge.program == NULL)
		err = sg_spawn_program_path(PROGRAM, &path);
	if (err == 0)
		err = sg_spawn_worker(
		    judge.program != NULL ? judge.program : path, argv, &judge.pid, &sock);
	free(path);
	if (err == 0)
		err = judge_connect(sock);
	if (err == 0)
		return 0;
	if (!judge.missing)
		sg_log(SG_LOG_WARN, "OpenPGP keys cannot be judged: %s is missing or cannot run",
		    PROGRAM);
	judge.missing = 1;
	judge_end();
	return SG_ERR_WORKER;
}

/* ---- waiting for it ---- */

struct patience {
	int64_t begun_us, last_us; /* what it had worked when it was asked, and at the last look */
	int64_t until_ms;	   /* when the next look is due */
	int waits;
};

/* For how long it has had a processor, in microseconds; -1: unknown. */
static int64_t worked_us(void)
{
	struct timespec worked;
	clockid_t clock;

	if (clock_getcpuclockid(judge.pid, &clock) != 0 || clock_gettime(clock, &worked) != 0)
		return -1;
	return (int64_t)worked.tv_sec * 1000000 + worked.tv_nsec / 1000;
}

/* No answer came within SG_PGP_ANSWER_MS: whether one may come within the next. */
static int is_at_work(struct patience *patience)
{
	int64_t now_us = worked_us();
	int works = now_us > patience->last_us &&
	    now_us - patience->begun_us < SG_PGP_WORK_MS * INT64_C(1000);

	patience->last_us = now_us;
	patience->until_ms = sg_clock_ms() + SG_PGP_ANSWER_MS;
	return works && ++patience->waits < SG_PGP_LATE_MS / SG_PGP_ANSWER_MS;
}

/* Waits until it has read, or said, something. That gives it no more time: an answer may not come little by little for
 * ever. What is there already is taken even late, for it may be we who came late. SG_ERR_TIMEOUT, SG_ERR_IO. */
static int wait_for(short events, struct patience *patience)
{
	struct pollfd pfd = { .fd = sg_channel_fd(judge.channel), .events = events };

	for (;;) {
		int64_t left = patience->until_ms - sg_clock_ms();
		int ready = poll(&pfd, 1, left > 0 ? (int)left : 0);

		if (ready > 0)
			return 0;
		if (ready < 0 && errno != EINTR)
			return SG_ERR_IO;
		if (ready == 0 && !is_at_work(patience))
			return SG_ERR_TIMEOUT;
	}
}

static int send_request(uint16_t type, const void *request, struct patience *patience)
{
	int err = sg_channel_put(judge.channel, ++judge.last_id, type, request, -1);

	while (err == 0 && (err = sg_channel_flush(judge.channel)) == 1)
		err = wait_for(POLLOUT, patience);
	return err;
}

/* 1: it is there; 0: the process has ended; below 0: none came. */
static int receive_answer(struct sg_frame *answer, struct patience *patience)
{
	int got;

	while ((got = sg_channel_next(judge.channel, answer)) == 0) {
		got = wait_for(POLLIN, patience);
		if (got == 0)
			got = sg_channel_fill(judge.channel);
		if (got <= 0)
			return got;
	}
	return got;
}

static int ask_once(
    uint16_t type, const void *request, uint16_t answer_type, struct sg_frame *answer)
{
	struct patience patience = { .waits = 0 };
	int err = judge_start();

	if (err != 0)
		return err;
	patience.begun_us = patience.last_us = worked_us();
	patience.until_ms = sg_clock_ms() + SG_PGP_ANSWER_MS;
	err = send_request(type, request, &patience);
	if (err == SG_ERR_NOMEM || err == SG_ERR_LIMIT)
		return err;
	if (err == 0)
		err = receive_answer(answer, &patience);
	if (err == SG_ERR_TIMEOUT) {
		note_trouble("hangs", SG_PGP_TROUBLE_HANG);
		err = SG_ERR_WORKER;
	} else {
		err = err == 1 ? 0 : SG_ERR_IO;
	}
	if (err == 0 &&
	    (answer->id != judge.last_id ||
		(answer->type != answer_type && answer->type != SG_MSG_ERROR))) {
		sg_frame_clear(answer);
		err = SG_ERR_WORKER;
	}
	if (err != 0)
		judge_end();
	return err;
}

/*
 * Asks and waits. It may have ended just now because it was idle, so one that was running and ends
 * is started and asked once more; what it hangs at would only do so again. SG_ERR_FORMAT when it
 * does not take the key.
 */
static int ask(uint16_t type, const void *request, uint16_t answer_type, struct sg_frame *answer)
{
	int was_running = judge.channel != NULL;
	int err = ask_once(type, request, answer_type, answer);

	if (err == SG_ERR_IO && was_running)
		err = ask_once(type, request, answer_type, answer);
	if (err == SG_ERR_IO) {
		note_trouble("died", 1);
		err = SG_ERR_WORKER;
	}
	if (err == 0 && answer->type == SG_MSG_ERROR) {
		sg_frame_clear(answer);
		err = SG_ERR_FORMAT;
	}
	return err;
}

/* ---- reasons ---- */

static const char *const reasons[SG_PGP_REASON_COUNT] = {
	[SG_PGP_KEY_REVOKED] = "the OpenPGP key of its issuer is revoked",
	[SG_PGP_KEY_REVOKED_UNCHECKED] =
	    "the OpenPGP key of its issuer has a revocation that cannot be checked",
	[SG_PGP_KEY_NOT_VALID] = "the OpenPGP key that made it was not valid then",
	[SG_PGP_KEY_MAY_NOT_SIGN] = "the OpenPGP key that made it may not sign",
	[SG_PGP_KEY_SIZE] = "the OpenPGP key that made it is too small or too large",
	[SG_PGP_HASH_REFUSED] = "librnp does not take its hash",
	[SG_PGP_HASH_REFUSED_SHA1] =
	    "librnp takes no OpenPGP signature with SHA-1 that was made after January 19, 2019",
	[SG_PGP_HASH_REFUSED_MD5] = "a signature with MD5 can be forged",
	[SG_PGP_HASH_UNKNOWN] = "an OpenPGP signature with a hash that is not known",
	[SG_PGP_SIGNATURE_EXPIRED] = "the OpenPGP signature has expired, or is of a time to come",
	[SG_PGP_SIGNATURE_TYPE] = "an OpenPGP signature over something else than a binary document",
	[SG_PGP_SIGNATURE_CRITICAL] = "an OpenPGP signature with a critical part that is not known",
	[SG_PGP_UNREADABLE] = "an OpenPGP key that librnp cannot read",
	[SG_PGP_NO_JUDGE] = "OpenPGP keys cannot be judged: signet-pgp gives no answer",
};

/* Static; NULL for SG_PGP_NO_REASON and what is none. */
static const char *reason_text(uint32_t reason)
{
	return reason < SG_PGP_REASON_COUNT ? reasons[reason] : NULL;
}

/* ---- keys ---- */

struct sg_pgp_key {
	struct sg_msg_pgp_key copies; /* their bytes are borrowed */
	struct sg_pgp_facts facts;
};

void sg_pgp_key_free(struct sg_pgp_key *key)
{
	if (key == NULL)
		return;
	free(key->copies.copies);
	sg_strv_free(key->facts.user_ids);
	sg_strv_free(key->facts.jids);
	free(key);
}

const struct sg_pgp_facts *sg_pgp_key_facts(const struct sg_pgp_key *key)
{
	return &key->facts;
}

/* All are the same key by their form, whose name is given. */
static int check_copies(
    const struct sg_blob *copies, size_t count, struct sg_pgp_form *first, const char **why)
{
	struct sg_pgp_load load = { 0 };

	*why = "no OpenPGP key, or too many copies of one";
	if (count == 0 || count > SG_PGP_COPIES_MAX)
		return SG_ERR_LIMIT;
	for (size_t i = 0; i < count; i++) {
		struct sg_pgp_form form;
		int err = sg_pgp_key_check(&copies[i], &form, why);

		if (err != 0)
			return err;
		if (i == 0)
			*first = form;
		*why = "different OpenPGP keys";
		if (strcmp(first->name, form.name) != 0)
			return SG_ERR_FORMAT;
		*why = "copies of one OpenPGP key that take too long together";
		if (sg_pgp_load_add(&load, &form) != 0)
			return SG_ERR_LIMIT;
	}
	return 0;
}

static uint32_t pgp_time(time_t at)
{
	if (at < 0)
		return 0;
	return at > UINT32_MAX ? UINT32_MAX : (uint32_t)at;
}

static int take_copies(
    struct sg_pgp_key *key, const struct sg_blob *copies, size_t count, time_t at)
{
	key->copies.copies = calloc(count, sizeof(*key->copies.copies));
	if (key->copies.copies == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < count; i++)
		key->copies.copies[i].data = copies[i];
	key->copies.copy_count = (uint32_t)count;
	key->copies.at = pgp_time(at);
	return 0;
}

/* The bare JID of an account that the user id is the URI of: a new string, or NULL. */
static char *user_id_jid(const char *text)
{
	static const char scheme[] = "xmpp:";
	char *decoded, *jid = NULL;

	if (strncasecmp(text, scheme, sizeof(scheme) - 1) != 0)
		return NULL;
	text += sizeof(scheme) - 1;
	decoded = sg_percent_decode(text, strcspn(text, "?#"));
	if (decoded != NULL)
		jid = sg_jid_bare(decoded);
	free(decoded);
	if (jid != NULL && !sg_jid_is_account(jid)) {
		free(jid);
		return NULL;
	}
	return jid;
}

/* SG_ERR_FORMAT when they are not of this key. */
static int take_facts(struct sg_pgp_key *key, const char *name, const struct sg_msg_pgp_facts *told)
{
	struct sg_pgp_facts *facts = &key->facts;
	size_t jids = 0;

	if (told->name == NULL || strcmp(told->name, name) != 0 ||
	    told->revoked > SG_PGP_REVOKED_UNCHECKED)
		return SG_ERR_FORMAT;
	memcpy(facts->name, name, sizeof(facts->name));
	facts->valid = told->valid != 0;
	facts->expired = told->expired != 0;
	facts->revoked = (int)told->revoked;
	facts->subkeys = told->subkeys;
	facts->created = told->created;
	facts->expires = told->expires;
	facts->user_ids = sg_strv_copy(told->user_ids, told->user_id_count);
	facts->jids = calloc(told->user_id_count + 1, sizeof(*facts->jids));
	if (facts->user_ids == NULL || facts->jids == NULL)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; i < told->user_id_count; i++) {
		facts->jids[jids] = user_id_jid(told->user_ids[i]);
		jids += facts->jids[jids] != NULL;
	}
	return 0;
}

int sg_pgp_key_load(const struct sg_blob *copies, size_t count, time_t at, struct sg_pgp_key **key,
    const char **why)
{
	struct sg_frame answer = { .fd = -1 };
	struct sg_pgp_form form;
	struct sg_pgp_key *made;
	int err;

	*key = NULL;
	err = check_copies(copies, count, &form, why);
	if (err != 0)
		return err;
	*why = "out of memory";
	made = calloc(1, sizeof(*made));
	if (made == NULL)
		return SG_ERR_NOMEM;
	err = take_copies(made, copies, count, at);
	if (err == 0)
		err = ask(SG_MSG_PGP_KEY, &made->copies, SG_MSG_PGP_FACTS, &answer);
	if (err == 0) {
		err = take_facts(made, form.name, answer.msg);
		sg_frame_clear(&answer);
	}
	if (err == SG_ERR_FORMAT)
		*why = reason_text(SG_PGP_UNREADABLE);
	else if (err == SG_ERR_WORKER)
		*why = reason_text(SG_PGP_NO_JUDGE);
	if (err != 0) {
		sg_pgp_key_free(made);
		return err;
	}
	*why = NULL;
	*key = made;
	return 0;
}

/* ---- signatures ---- */

enum sg_grade sg_pgp_hash_grade(unsigned hash)
{
	switch (hash) {
	case SG_PGP_SHA256:
	case SG_PGP_SHA384:
	case SG_PGP_SHA512:
	case SG_PGP_SHA3_256:
	case SG_PGP_SHA3_512:
		return SG_GRADE_SHA256;
	case SG_PGP_SHA1:
	case SG_PGP_RIPEMD160:
	case SG_PGP_SHA224: /* no better known as weak than as strong */
		return SG_GRADE_SHA1;
	default:
		return SG_GRADE_NONE;
	}
}

static enum sg_signature_verdict say(
    enum sg_signature_verdict verdict, enum sg_pgp_reason reason, const char **text)
{
	*text = reason_text(reason);
	return verdict;
}

enum sg_signature_verdict sg_pgp_key_verify(struct sg_pgp_key *key, const struct sg_blob *subject,
    const struct sg_blob *value, const char **reason)
{
	const struct sg_msg_pgp_verify request = { key->copies, *subject, *value };
	struct sg_frame answer = { .fd = -1 };
	struct sg_msg_pgp_verdict verdict;
	struct sg_pgp_signature form;

	if (sg_pgp_signature_check(value, &form, reason) != 0)
		return SG_SIG_UNKNOWN_METHOD;
	if (form.hash == SG_PGP_MD5)
		return say(SG_SIG_REFUSED, SG_PGP_HASH_REFUSED_MD5, reason);
	if (sg_pgp_hash_grade(form.hash) == SG_GRADE_NONE)
		return say(SG_SIG_UNKNOWN_METHOD, SG_PGP_HASH_UNKNOWN, reason);
	if (form.type != SG_PGP_SIGNATURE_BINARY)
		return say(SG_SIG_REFUSED, SG_PGP_SIGNATURE_TYPE, reason);
	if (form.critical)
		return say(SG_SIG_REFUSED, SG_PGP_SIGNATURE_CRITICAL, reason);
	if (ask(SG_MSG_PGP_VERIFY, &request, SG_MSG_PGP_VERDICT, &answer) != 0)
		return say(SG_SIG_UNCHECKED, SG_PGP_NO_JUDGE, reason);
	memcpy(&verdict, answer.msg, sizeof(verdict));
	sg_frame_clear(&answer);
	switch (verdict.verdict) {
	case SG_SIG_GOOD:
	case SG_SIG_BAD:
	case SG_SIG_UNKNOWN_METHOD:
	case SG_SIG_REFUSED:
		return say((enum sg_signature_verdict)verdict.verdict, verdict.reason, reason);
	default:
		return say(SG_SIG_UNCHECKED, SG_PGP_NO_JUDGE, reason);
	}
}
