#include "authority.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "component.h"
#include "delegation.h"
#include "exporter.h"
#include "ledger.h"
#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "service.h"
#include "signer.h"

#define DAY_MS	  86400000
#define LEDGER_MS 5000 /* to wait for a database at the start; it may come later, too */

enum {
	POLL_SIGNAL,
	POLL_TOKEN,
	POLL_LEDGER,
	POLL_COMPONENT,
	POLL_EXPORTER,
	POLL_COUNT = POLL_EXPORTER + SG_EXPORTER_FDS
};

struct authority {
	struct sg_service service;
	struct sg_component *component;
	struct sg_metrics metrics;
	struct sg_exporter *exporter;
	int signal_fd;
	int stop;
};

static int open_signals(int *fd)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	*fd = -1;
	if (sigprocmask(SIG_BLOCK, &set, NULL) != 0)
		return SG_ERR_INTERNAL;
	*fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return *fd < 0 ? SG_ERR_INTERNAL : 0;
}

/* Failing is no reason to stop: it is logged, and tried again when it is due. So is a CA's certificate that has expired,
 * or is about to: the log says it at the start and each day, and does not wait for somebody who asks for one. */
static void publish(struct authority *authority)
{
	struct sg_service *service = &authority->service;
	time_t now = time(NULL), unused;
	X509 *ca;

	if (sg_service_publish(service, now) != 0)
		sg_log(SG_LOG_DEBUG, "revocations: tried again later");
	else if (sg_signer_ca(service->signer, &ca) == 0 &&
	    sg_policy_not_after(service->policy, ca, now, &unused) != 0)
		sg_log(SG_LOG_DEBUG, "requests are refused");
}

static void on_signal(struct authority *authority)
{
	struct signalfd_siginfo info;

	while (read(authority->signal_fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo != SIGHUP) {
			sg_log(SG_LOG_INFO, "stopping");
			authority->stop = 1;
			continue;
		}
		sg_log(SG_LOG_INFO, "SIGHUP: reading the accounts and the PIN file again");
		if (sg_policy_reload(authority->service.policy) != 0)
			sg_log(SG_LOG_ERROR, "accounts: what was read before goes on to count");
		sg_signer_retry(authority->service.signer);
		publish(authority);
	}
}

/* As sg_ledger_step() gives it. Where a copy may have come, the list is looked at again, as at the start. */
static void on_news(struct authority *authority, int news)
{
	struct sg_service *service = &authority->service;

	if (!news)
		return;
	if (news > 1)
		service->published.is_kept_read = 0;
	service->stale = 1;
	publish(authority);
}

static int sooner(int ms, int other_ms)
{
	return other_ms >= 0 && other_ms < ms ? other_ms : ms;
}

/* Fills in what to wait for, and gives how long. */
static int prepare(struct authority *authority, struct pollfd pfds[POLL_COUNT])
{
	time_t left = authority->service.publish_at - time(NULL);

	int ms = left <= 0 ? 0 : left > DAY_MS / 1000 ? DAY_MS : (int)left * 1000;

	pfds[POLL_SIGNAL] = (struct pollfd){ .fd = authority->signal_fd, .events = POLLIN };
	pfds[POLL_TOKEN] =
	    (struct pollfd){ .fd = sg_signer_fd(authority->service.signer), .events = POLLIN };
	ms = sooner(ms, sg_component_prepare(authority->component, &pfds[POLL_COMPONENT]));
	ms = sooner(ms, sg_ledger_prepare(authority->service.ledger, &pfds[POLL_LEDGER]));
	return sooner(ms, sg_exporter_prepare(authority->exporter, &pfds[POLL_EXPORTER]));
}

static int serve(struct authority *authority)
{
	struct pollfd pfds[POLL_COUNT] = { 0 };
	int wait_ms;

	while (!authority->stop) {
		wait_ms = prepare(authority, pfds);
		if (poll(pfds, POLL_COUNT, wait_ms) < 0) {
			if (errno == EINTR)
				continue;
			sg_log(SG_LOG_ERROR, "poll: %s", strerror(errno));
			return SG_ERR_INTERNAL;
		}
		/* first the worker: a step below may use it */
		if (pfds[POLL_TOKEN].revents)
			sg_signer_on_readable(authority->service.signer);
		if (pfds[POLL_SIGNAL].revents)
			on_signal(authority);
		on_news(authority, sg_ledger_step(authority->service.ledger));
		sg_component_step(authority->component);
		sg_exporter_step(authority->exporter, &pfds[POLL_EXPORTER]);
		if (time(NULL) >= authority->service.publish_at)
			publish(authority);
	}
	return 0;
}

int sg_authority_run(const struct sg_authority_config *config)
{
	struct authority self = { .service.config = config, .signal_fd = -1 };
	struct sg_delegation delegation = {
		.jid = config->jid,
		.domains = config->domains,
		.namespaces = sg_service_namespaces,
		.fn = sg_service_request,
		.flush = sg_service_flush,
		.arg = &self.service,
		.decisions = &self.service.decisions,
	};
	int err;

	err = open_signals(&self.signal_fd);
	if (err == 0)
		err = sg_ledger_open(config->ledger, &self.service.ledger);
	if (err == 0) {
		err = sg_ledger_wait(self.service.ledger, LEDGER_MS);
		if (err == SG_ERR_IO)
			err = 0;
	}
	if (err == 0)
		err = sg_policy_new(config, &self.service.policy);
	if (err == 0)
		err = sg_signer_new(config, &self.service.signer);
	if (err == 0)
		err = sg_component_new(config, &delegation, &self.component);
	self.metrics.service = &self.service;
	self.metrics.component = self.component;
	if (err == 0 && config->metrics != NULL)
		err = sg_exporter_new(
		    config->metrics, sg_metrics_write, &self.metrics, &self.exporter);
	if (err == 0) {
		/* at once, so that a wrong PIN or a missing CA is said at the start; what the ledger
		 * could tell is in it */
		(void)sg_ledger_step(self.service.ledger);
		publish(&self);
		/* server and token may come later: whoever asks meanwhile is told to try again */
		sg_notify_ready();
		err = serve(&self);
	}
	sg_exporter_free(self.exporter);
	sg_component_free(self.component);
	sg_signer_free(self.service.signer);
	sg_published_clear(&self.service.published);
	sg_policy_free(self.service.policy);
	sg_ledger_close(self.service.ledger);
	if (self.signal_fd >= 0)
		close(self.signal_fd);
	return err;
}
