#include "operator.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "decision.h"
#include "ledger.h"
#include "log.h"
#include "logins.h"
#include "output.h"
#include "revocation.h"
#include "show.h"
#include "signer.h"
#include "text.h"

#define PAGE	       500   /* rows that are read at once */
#define LEDGER_WAIT_MS 10000 /* for a database that is just starting */

struct work {
	const struct sg_authority_config *config;
	const struct sg_operator *asked;
	struct sg_ledger *ledger;
	struct sg_logins *logins; /* NULL: not read, or not known */
	time_t now;
	int told; /* the failure has been told in words that fit better than the code's */
};

/* A failure in words, for a person or as JSON; gives the code. */
static int __attribute__((format(printf, 3, 4)))
fail(struct work *work, int code, const char *format, ...)
{
	char *message = NULL;
	json_t *object;
	va_list args;

	work->told = 1;
	va_start(args, format);
	if (vasprintf(&message, format, args) < 0)
		message = NULL;
	va_end(args);
	sg_log(SG_LOG_ERROR, "%s", message != NULL ? message : sg_err_text(code));
	if (work->asked->json) {
		object = json_pack("{s:s, s:{s:s}}", "error", sg_err_name(code), "parameters",
		    "message", message != NULL ? message : sg_err_text(code));
		json_dumpf(object, stdout, JSON_INDENT(2));
		putchar('\n');
		json_decref(object);
	}
	free(message);
	return code;
}

/* Takes the object. What cannot be written is told at the end, when the output is closed. */
static int put_json(json_t *object)
{
	int failed =
	    object == NULL || (json_dumpf(object, stdout, JSON_INDENT(2)) != 0 && !ferror(stdout));

	json_decref(object);
	return failed ? SG_ERR_NOMEM : 0;
}

static int print_json(json_t *object)
{
	int err = put_json(object);

	putchar('\n');
	return err;
}

/* Without them, the times of last use are those that the ledger has from an account's listing. */
static void read_logins(struct work *work)
{
	if (sg_logins_read(work->config->logins, &work->logins) != 0)
		sg_log(SG_LOG_WARN, "the times of last use may be out of date");
}

/* The row with the time of last use that the login module has, where that is later; borrowed. */
static struct sg_ledger_row with_last_use(const struct work *work, const struct sg_ledger_row *row)
{
	const struct sg_login *login = sg_logins_find(work->logins, row->sha256);
	struct sg_ledger_row seen = *row;

	if (login != NULL &&
	    (row->last_used == NULL || strcmp(row->last_used, login->last_used) < 0))
		seen.last_used = login->last_used;
	return seen;
}

/* ---- list */

struct listing {
	struct work *work;
	uint32_t count;
	int64_t last;
	int any; /* in the pages before, too */
};

static int list_row(void *arg, const struct sg_ledger_row *row)
{
	struct listing *listing = arg;
	struct sg_ledger_row seen;
	json_t *object;

	listing->count++;
	listing->last = row->id;
	if (!listing->work->asked->json) {
		sg_show_line(row, listing->work->now);
		listing->any = 1;
		return 0;
	}
	seen = with_last_use(listing->work, row);
	object = sg_show_json(&seen, listing->work->now);
	if (listing->any)
		fputs(",\n", stdout);
	listing->any = 1;
	return put_json(object);
}

static int state_of(const char *name, enum sg_ledger_state *state)
{
	static const struct {
		const char *name;
		enum sg_ledger_state state;
	} states[] = {
		{ "valid", SG_LEDGER_USABLE },
		{ "expired", SG_LEDGER_EXPIRED },
		{ "revoked", SG_LEDGER_REVOKED },
	};

	*state = SG_LEDGER_ANY;
	for (size_t i = 0; name != NULL && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(name, states[i].name) == 0)
			*state = states[i].state;
	return name == NULL || *state != SG_LEDGER_ANY;
}

/* The account in the form of the ledger, new; told when it is none. */
static int take_account(struct work *work, char **account)
{
	*account = NULL;
	if (work->asked->account == NULL)
		return 0;
	*account = sg_jid_bare(work->asked->account);
	if (*account != NULL && sg_jid_is_account(*account) &&
	    strchr(work->asked->account, '/') == NULL)
		return 0;
	free(*account);
	*account = NULL;
	return fail(work, SG_ERR_ARG,
	    "%s is no account: a bare JID as in juliet@example.org is wanted",
	    work->asked->account);
}

/* Page by page: nothing else waits for the whole of a large ledger. */
static int do_list(struct work *work)
{
	struct listing listing = { .work = work };
	struct sg_ledger_filter filter = { .now = work->now, .limit = PAGE };
	char *account;
	int err;

	if (!state_of(work->asked->state, &filter.state))
		return fail(work, SG_ERR_ARG, "--state is valid, expired or revoked");
	err = take_account(work, &account);
	if (err != 0)
		return err;
	filter.account = account;
	if (work->asked->json) {
		read_logins(work);
		fputs("{\"certificates\": [\n", stdout);
	}
	do {
		filter.after_id = listing.last;
		listing.count = 0;
		err = sg_ledger_each(work->ledger, &filter, list_row, &listing);
	} while (err == 0 && listing.count == PAGE && !ferror(stdout));
	if (work->asked->json)
		fputs("]}\n", stdout);
	else if (err == 0 && !listing.any)
		puts("There is no such certificate.");
	free(account);
	return err;
}

/* ---- one certificate */

struct found {
	struct work *work;
	unsigned int count;
	int64_t id;
	char *sha256, *account; /* of the first */
};

static int take_found(void *arg, const struct sg_ledger_row *row)
{
	struct found *found = arg;

	if (found->count > 0 && found->id == row->id)
		return 0; /* by its fingerprint and by its serial number */
	if (found->count++ > 0)
		return 0;
	found->id = row->id;
	found->sha256 = strdup(row->sha256);
	found->account = strdup(row->account);
	return found->sha256 != NULL && found->account != NULL ? 0 : SG_ERR_NOMEM;
}

static int tell_candidate(void *arg, const struct sg_ledger_row *row)
{
	fprintf(stderr, "  %s  %s\n", row->sha256, row->account);
	return 0;
}

/* In the form of the ledger: lower case, no colons; new, NULL without memory. */
static char *digits_of(const char *text)
{
	char *digits = strdup(text), *to = digits;

	if (digits == NULL)
		return NULL;
	for (; *text; text++)
		if (*text != ':')
			*to++ = (char)tolower((unsigned char)*text);
	*to = '\0';
	return digits;
}

/* The one certificate that is asked for; its strings are owned. */
static int find(struct work *work, struct found *found)
{
	char *digits = digits_of(work->asked->which);
	int err;

	memset(found, 0, sizeof(*found));
	found->work = work;
	if (digits == NULL)
		return SG_ERR_NOMEM;
	err = sg_ledger_find(work->ledger, digits, take_found, found);
	if (err == SG_ERR_ARG)
		err = fail(work, err,
		    "%s is neither a fingerprint nor a serial number: hexadecimal digits are "
		    "wanted, "
		    "at least %d",
		    work->asked->which, SG_LEDGER_PREFIX_MIN);
	else if (err == 0 && found->count == 0)
		err = fail(work, SG_ERR_KEY_ABSENT,
		    "there is no certificate whose SHA-256 fingerprint or serial number begins "
		    "with %s",
		    work->asked->which);
	else if (err == 0 && found->count > 1) {
		err = fail(work, SG_ERR_KEY_AMBIGUOUS, "%s begins more than one: give more digits",
		    work->asked->which);
		if (sg_ledger_find(work->ledger, digits, tell_candidate, NULL) != 0)
			sg_log(SG_LOG_WARN, "the candidates cannot be listed");
	}
	free(digits);
	return err;
}

static void found_clear(struct found *found)
{
	free(found->sha256);
	free(found->account);
}

static int show_row(void *arg, const struct sg_ledger_row *row)
{
	struct work *work = arg;
	struct sg_ledger_row seen = with_last_use(work, row);

	if (work->asked->json)
		return print_json(sg_show_json(&seen, work->now));
	sg_show_whole(&seen, work->now);
	return 0;
}

static int do_show(struct work *work)
{
	struct found found;
	int err = find(work, &found);

	if (err == 0)
		read_logins(work);
	/* by its whole fingerprint now, which no other begins with */
	if (err == 0)
		err = sg_ledger_find(work->ledger, found.sha256, show_row, work);
	found_clear(&found);
	return err;
}

/* ---- revoke */

struct page {
	int64_t ids[PAGE];
	char sha256[PAGE][65];
	uint32_t count;
};

static int take_id(void *arg, const struct sg_ledger_row *row)
{
	struct page *page = arg;

	page->ids[page->count] = row->id;
	snprintf(page->sha256[page->count], sizeof(page->sha256[0]), "%s", row->sha256);
	page->count++;
	return 0;
}

static int has_row(void *arg, const struct sg_ledger_row *row)
{
	*(int *)arg = 1;
	return 0;
}

/* What was done: arrays of fingerprints. */
struct outcome {
	json_t *revoked;
	json_t *before; /* they were revoked already */
};

static int revoke_one(
    struct work *work, int64_t id, const char *sha256, const char *account, struct outcome *outcome)
{
	struct sg_decision decision = { .verb = "revoke",
		.sha256 = sha256,
		.account = account,
		.reason = work->asked->reason };
	char who[32];
	int changed, err;

	err = sg_ledger_revoke_id(work->ledger, id, work->asked->reason, work->now, &changed);
	if (err != 0)
		return err;
	snprintf(who, sizeof(who), "operator:%u", (unsigned int)getuid());
	decision.who = who;
	decision.outcome = changed ? "revoked" : "revoked-before";
	sg_decision_tell(NULL, &decision);
	return json_array_append_new(
		   changed ? outcome->revoked : outcome->before, json_string(sha256)) == 0
	    ? 0
	    : SG_ERR_NOMEM;
}

/* Page by page: what was revoked is not found again. */
static int revoke_account(struct work *work, const char *account, struct outcome *outcome)
{
	struct sg_ledger_filter filter = {
		.account = account, .state = SG_LEDGER_USABLE, .now = work->now, .limit = PAGE
	};
	struct page *page = calloc(1, sizeof(*page));
	int err, known = 0;

	if (page == NULL)
		return SG_ERR_NOMEM;
	do {
		page->count = 0;
		err = sg_ledger_each(work->ledger, &filter, take_id, page);
		for (uint32_t i = 0; err == 0 && i < page->count; i++)
			err = revoke_one(work, page->ids[i], page->sha256[i], account, outcome);
	} while (err == 0 && page->count == PAGE);
	free(page);
	if (err == 0 && json_array_size(outcome->revoked) == 0) {
		filter.state = SG_LEDGER_ANY;
		filter.limit = 1;
		err = sg_ledger_each(work->ledger, &filter, has_row, &known);
		if (err == 0 && !known)
			err = fail(work, SG_ERR_ACCOUNT_ABSENT,
			    "%s never had a certificate of this authority", account);
	}
	return err;
}

static int report_revoked(struct work *work, struct outcome *outcome, int list_error)
{
	size_t revoked = json_array_size(outcome->revoked),
	       before = json_array_size(outcome->before);

	if (work->asked->json)
		return print_json(json_pack("{s:O, s:O, s:b}", "revoked", outcome->revoked,
		    "revoked_before", outcome->before, "listed", list_error == 0));
	if (revoked > 0 || before == 0)
		printf("Revoked: %zu certificate%s.\n", revoked, revoked == 1 ? "" : "s");
	if (before > 0)
		puts("It was revoked before.");
	if (list_error == 0)
		printf(
		    "The list %s is written. A running authority writes the CRL, too; without one, "
		    "'signet-authority crl' does.\n",
		    work->config->revoked);
	return 0;
}

static int do_revoke(struct work *work)
{
	struct outcome outcome = { json_array(), json_array() };
	struct sg_published published = { 0 };
	struct found found = { 0 };
	char *account = NULL;
	int err, list_error = 0;

	if (work->asked->reason != NULL &&
	    (strlen(work->asked->reason) > SG_LEDGER_REASON_MAX ||
		!sg_utf8_is_text(work->asked->reason, SG_LEDGER_REASON_MAX))) {
		err = fail(
		    work, SG_ERR_ARG, "--reason is text of at most %d bytes", SG_LEDGER_REASON_MAX);
		goto out;
	}
	err = take_account(work, &account);
	if (err == 0 && account != NULL)
		err = revoke_account(work, account, &outcome);
	else if (err == 0 && (err = find(work, &found)) == 0)
		err = revoke_one(work, found.id, found.sha256, found.account, &outcome);
	/* here, too, not only in the running authority: nobody need be there for the revoked to be kept out; also
	 * when some could not be revoked: the others are */
	if (json_array_size(outcome.revoked) + json_array_size(outcome.before) > 0)
		list_error =
		    sg_revocation_publish_list(work->config, work->ledger, work->now, &published);
	if (err == 0)
		err = report_revoked(work, &outcome, list_error);
	if (err == 0 && list_error != 0) {
		sg_log(SG_LOG_ERROR,
		    "revoked in the ledger, but the list could not be written: see the line "
		    "before");
		work->told = 1;
		err = list_error;
	}
out:
	sg_published_clear(&published);
	found_clear(&found);
	free(account);
	json_decref(outcome.revoked);
	json_decref(outcome.before);
	return err;
}

/* ---- crl, stats */

static int do_crl(struct work *work)
{
	struct sg_published published = { 0 };
	struct sg_signer *signer = NULL;
	int err = sg_signer_new(work->config, &signer);

	if (err == 0)
		err = sg_revocation_publish(
		    work->config, work->ledger, signer, work->now, &published);
	sg_signer_free(signer);
	if (err == 0 && work->asked->json)
		err = print_json(json_pack("{s:I, s:s, s:s}", "number",
		    (json_int_t)published.crl.number, "next_update",
		    sg_show_time(published.crl.until), "path", work->config->crl));
	else if (err == 0)
		printf("CRL number %u, good until %s: %s\n", published.crl.number,
		    sg_show_time(published.crl.until), work->config->crl);
	sg_published_clear(&published);
	return err;
}

static int do_stats(struct work *work)
{
	struct sg_ledger_stats stats;
	int err = sg_ledger_stats(work->ledger, work->now, &stats);

	if (err != 0)
		return err;
	if (work->asked->json)
		return print_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "issued",
		    (json_int_t)stats.issued, "valid", (json_int_t)stats.usable, "expired",
		    (json_int_t)stats.expired, "revoked", (json_int_t)stats.revoked, "accounts",
		    (json_int_t)stats.accounts, "crl_number", (json_int_t)stats.crl_number));
	printf("issued:      %" PRId64 "\nvalid:       %" PRId64 "\nexpired:     %" PRId64
	       "\nrevoked:     %" PRId64 "\naccounts:    %" PRId64 "\nCRL number:  %" PRId64 "\n",
	    stats.issued, stats.usable, stats.expired, stats.revoked, stats.accounts,
	    stats.crl_number);
	return 0;
}

/* ---- */

static const struct {
	const char *name;
	int (*fn)(struct work *work);
} verbs[] = {
	{ "list", do_list },
	{ "show", do_show },
	{ "revoke", do_revoke },
	{ "crl", do_crl },
	{ "stats", do_stats },
};

int sg_operator_has(const char *verb)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].name) == 0)
			return 1;
	return 0;
}

int sg_operator_do(
    const struct sg_authority_config *config, const char *verb, const struct sg_operator *asked)
{
	struct work work = { .config = config, .asked = asked, .now = time(NULL) };
	int err = sg_ledger_open(config->ledger, &work.ledger);

	if (err == 0)
		err = sg_ledger_wait(work.ledger, LEDGER_WAIT_MS);
	for (size_t i = 0; err == 0 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].name) == 0) {
			err = verbs[i].fn(&work);
			break;
		}
	if (err != 0 && !work.told)
		(void)fail(&work, err, "%s: %s", verb, sg_err_text(err));
	sg_logins_free(work.logins);
	sg_ledger_close(work.ledger);
	if (sg_stdout_finish("signet-authority") != 0 && err == 0)
		err = SG_ERR_IO;
	return sg_err_exit_status(err);
}
