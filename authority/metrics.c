#include "metrics.h"

#include <inttypes.h>
#include <time.h>

#include "clock.h"

#define NAME	    "signet_authority_"
#define COUNT_SHARE 100 /* of the time goes to counting, at most one part in so many */

static void head(struct sg_buf *text, const char *name, const char *type, const char *help)
{
	sg_buf_printf(text, "# HELP " NAME "%s %s\n# TYPE " NAME "%s %s\n", name, help, name, type);
}

static void put(
    struct sg_buf *text, const char *name, const char *type, const char *help, int64_t value)
{
	head(text, name, type, help);
	sg_buf_printf(text, NAME "%s %" PRId64 "\n", name, value);
}

static void put_decisions(
    struct sg_buf *text, const char *verb, const char *outcome, uint64_t number)
{
	sg_buf_printf(text, NAME "requests_total{verb=\"%s\",outcome=\"%s\"} %" PRIu64 "\n", verb,
	    outcome, number);
}

static void write_decisions(const struct sg_decisions *decisions, struct sg_buf *text)
{
	static const char *const verbs[] = { "add", "list", "revoke" };
	static const char failed[] = "internal-server-error";

	head(text, "requests_total", "counter", "Requests that were decided, by verb and outcome.");
	for (unsigned int i = 0; i < decisions->kind_count; i++)
		put_decisions(text, decisions->kinds[i].verb, decisions->kinds[i].outcome,
		    decisions->kinds[i].count);
	/* also when there are none: whoever is alarmed by an increase sees that of the first, too */
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!sg_decisions_has(decisions, verbs[i], failed))
			put_decisions(text, verbs[i], failed, 0);
}

static void count(struct sg_metrics *metrics)
{
	int64_t begin = sg_clock_ms(), end;

	if (begin < metrics->count_at)
		return;
	metrics->stats_error =
	    sg_ledger_stats(metrics->service->ledger, time(NULL), &metrics->stats);
	end = sg_clock_ms();
	metrics->count_at = end + (end - begin) * COUNT_SHARE;
}

static void put_state(struct sg_buf *text, const char *state, int64_t value)
{
	sg_buf_printf(text, NAME "certificates{state=\"%s\"} %" PRId64 "\n", state, value);
}

/* Nothing rather than something wrong when the ledger cannot be read. */
static void write_ledger(struct sg_metrics *metrics, struct sg_buf *text)
{
	const struct sg_ledger_stats *stats = &metrics->stats;

	count(metrics);
	if (metrics->stats_error == 0) {
		head(text, "certificates", "gauge", "Certificates in the ledger, by state.");
		put_state(text, "valid", stats->usable);
		put_state(text, "expired", stats->expired);
		put_state(text, "revoked", stats->revoked);
		put(text, "accounts", "gauge", "Accounts with a certificate in the ledger.",
		    stats->accounts);
	}
	put(text, "ledger_errors_total", "counter", "Calls of the ledger that failed.",
	    (int64_t)sg_ledger_errors(metrics->service->ledger));
}

static void write_files(const struct sg_published *published, struct sg_buf *text)
{
	if (published->crl.at != 0) {
		put(text, "crl_number", "gauge", "Number of the CRL that was written last.",
		    published->crl.number);
		put(text, "crl_written_timestamp_seconds", "gauge", "When the CRL was written.",
		    published->crl.at);
		put(text, "crl_next_update_timestamp_seconds", "gauge",
		    "Until when that CRL is good.", published->crl.until);
	}
	if (published->list_at != 0)
		put(text, "revoked_list_written_timestamp_seconds", "gauge",
		    "When the list of the revoked was written.", published->list_at);
}

static void write_token(const struct sg_signer *signer, struct sg_buf *text)
{
	enum sg_signer_state state = sg_signer_state(signer);

	put(text, "token_up", "gauge", "Whether the token is logged in and answers.",
	    state == SG_SIGNER_READY);
	put(text, "pin_refused", "gauge",
	    "Whether the PIN was refused, or had no answer: it is not tried again by itself.",
	    state == SG_SIGNER_PIN_REFUSED);
}

void sg_metrics_write(void *arg, struct sg_buf *text)
{
	struct sg_metrics *metrics = arg;
	const struct sg_service *service = metrics->service;

	head(text, "info", "gauge", "Always 1; the label has the version.");
	sg_buf_put_str(text, NAME "info{version=\"" SG_VERSION "\"} 1\n");
	put(text, "component_connected", "gauge",
	    "Whether the XMPP server has us as its component.",
	    sg_component_is_online(metrics->component));
	put(text, "component_connects_total", "counter", "Connections to the XMPP server begun.",
	    (int64_t)sg_component_tries(metrics->component));
	write_decisions(&service->decisions, text);
	head(text, "issue_seconds", "histogram", "From a good request to its new certificate.");
	sg_latency_write(&service->issue, NAME "issue_seconds", text);
	write_token(service->signer, text);
	write_files(&service->published, text);
	write_ledger(metrics, text);
}
