#include "renewing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "jobs.h"
#include "log.h"
#include "text.h"

#define AGAIN_SECONDS 86400

struct sg_renewing {
	struct sg_agent *agent;
	int fd; /* timerfd: CLOCK_REALTIME, absolute */
	struct event *event;
};

/* ---- what is due ---- */

static int has_certificate(const struct sg_account *account)
{
	return account->renewal.not_after != 0;
}

int sg_renewing_is_due(const struct sg_account *account)
{
	return has_certificate(account) && sg_renewal_is_due(&account->renewal, time(NULL));
}

/* Said once of each certificate. */
static void tell_due(struct sg_account *account, int is_over)
{
	const char *text = is_over
	    ? "it has expired: `signet cert renew` with the account's password gets another"
	    : account->agent->config.no_renew ? "`signet cert renew` renews it"
					      : "the agent renews it";

	if (account->due_told)
		return;
	account->due_told = 1;
	sg_log(SG_LOG_INFO, "%s: its certificate %s is due to be renewed: %s", account->row.jid,
	    account->row.certificate, text);
	sg_events_tell_key(account->agent, SG_NEWS_CERTIFICATE_DUE, account->row.jid,
	    account->row.certificate, text);
}

static void begin(struct sg_account *account, int64_t now)
{
	struct sg_job *job = sg_job_begin_renewal(account, account->row.key, NULL);

	account->renewed_at = now;
	if (job != NULL)
		sg_job_run_alone(job);
}

/*
 * Tells of it, and begins its renewal unless something is in the way. Gives when to look again, or 0. What
 * came to nothing is tried again a day later, and what is due as soon as it is issued, for a clock that is
 * wrong, is not renewed more often either.
 */
static int64_t look_at_due(struct sg_account *account, int64_t now)
{
	int is_over = sg_renewal_is_over(&account->renewal, now);

	if (sg_job_of_certificate(account) != NULL)
		return 0; /* its end is noted */
	tell_due(account, is_over);
	if (is_over || account->agent->config.no_renew || account->row.key == NULL)
		return 0;
	if (account->renewed_at != 0 && now < account->renewed_at + AGAIN_SECONDS)
		return account->renewed_at + AGAIN_SECONDS;
	begin(account, now);
	return 0;
}

/* ---- the timer ---- */

static void timer_set(struct sg_renewing *renewing, int64_t when)
{
	const struct itimerspec at = { .it_value = { .tv_sec = (time_t)when } };

	if (timerfd_settime(renewing->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) !=
	    0)
		sg_log(SG_LOG_ERROR, "certificates are not renewed by themselves: timerfd: %s",
		    strerror(errno));
}

/* Sees to what is due, and waits for the next that will be. */
static void look(struct sg_renewing *renewing)
{
	struct sg_account *account = sg_accounts_first(renewing->agent->accounts);
	int64_t now = time(NULL), next = 0, when;

	for (; account != NULL; account = sg_accounts_next(account)) {
		if (!has_certificate(account))
			continue;
		when = sg_renewal_is_due(&account->renewal, now) ? look_at_due(account, now)
								 : account->renewal.due;
		if (when != 0 && (next == 0 || when < next))
			next = when;
	}
	timer_set(renewing, next);
}

/* The time has come, or (ECANCELED) somebody has set the clock. */
static void on_time(evutil_socket_t fd, short what, void *arg)
{
	struct sg_renewing *renewing = arg;
	struct sg_account *account = sg_accounts_first(renewing->agent->accounts);
	uint64_t times;

	if (read(fd, &times, sizeof(times)) < 0 && errno == ECANCELED) {
		sg_log(SG_LOG_INFO, "the clock was set");
		for (; account != NULL; account = sg_accounts_next(account))
			account->renewed_at = 0;
	}
	look(renewing);
}

/* ---- the certificates ---- */

static void certificate_read(struct sg_account *account)
{
	const struct sg_renewal before = account->renewal;
	struct sg_cert_row row = { .jid = NULL };
	int err = SG_ERR_KEY_ABSENT;

	account->renewal = (struct sg_renewal){ 0 };
	if (!account->removed && account->row.certificate != NULL)
		err = sg_store_cert_get(
		    account->agent->store, account->row.jid, account->row.certificate, &row);
	if (err == 0 && !row.revoked)
		err = sg_renewal_of(
		    &row.der, (unsigned)account->agent->config.renew_at, &account->renewal);
	if (err != 0 && err != SG_ERR_KEY_ABSENT)
		sg_log(SG_LOG_WARN, "%s: when its certificate ends is not known: %s",
		    account->row.jid, sg_err_text(err));
	sg_cert_row_clear(&row);
	if (memcmp(&before, &account->renewal, sizeof(before)) == 0)
		return;
	account->due_told = 0;
	free(account->renew_problem);
	account->renew_problem = NULL;
}

/* From the loop, for who notes it may be in the middle of something. */
void sg_renewing_note(struct sg_account *account)
{
	struct sg_renewing *renewing = account->agent->renewing;

	certificate_read(account);
	if (renewing != NULL)
		event_active(renewing->event, EV_TIMEOUT, 0);
}

void sg_renewing_ended(struct sg_account *account, const struct sg_msg_error *error)
{
	sg_renewing_note(account);
	if (error == NULL)
		return;
	free(account->renew_problem);
	account->renew_problem = sg_text_copy(sg_failure_text(error));
}

int sg_renewing_new(struct sg_agent *agent, struct sg_renewing **renewing)
{
	struct sg_renewing *made = calloc(1, sizeof(*made));

	*renewing = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->agent = agent;
	made->fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (made->fd < 0) {
		sg_log(SG_LOG_ERROR, "no timer can be made: %s", strerror(errno));
		free(made);
		return SG_ERR_IO;
	}
	made->event = event_new(agent->base, made->fd, EV_READ | EV_PERSIST, on_time, made);
	if (made->event == NULL || event_add(made->event, NULL) != 0) {
		sg_renewing_free(made);
		return SG_ERR_NOMEM;
	}
	for (struct sg_account *account = sg_accounts_first(agent->accounts); account != NULL;
	     account = sg_accounts_next(account))
		certificate_read(account);
	event_active(made->event, EV_TIMEOUT, 0);
	*renewing = made;
	return 0;
}

void sg_renewing_free(struct sg_renewing *renewing)
{
	if (renewing == NULL)
		return;
	if (renewing->event != NULL)
		event_free(renewing->event);
	close(renewing->fd);
	free(renewing);
}
