/* Reconcile. */
#include "verbs.h"

#include <stdlib.h>

#include <event2/event.h>

#include "accounts.h"
#include "call.h"
#include "json.h"
#include "reconcile.h"
#include "survey.h"

#define PART_BYTES (64u << 10) /* of the rows in one of several replies */

/* call->state */
struct diff {
	struct sg_survey survey;
	size_t next;	     /* row that is to be told */
	struct event *later; /* goes on telling */
	int waits;	     /* for the client to fetch what there is */
};

static void diff_free(void *state)
{
	struct diff *diff = state;

	sg_survey_clear(&diff->survey);
	if (diff->later != NULL)
		event_free(diff->later);
	free(diff);
}

/* ---- the rows ---- */

static const char *key_word(enum sg_key_place place)
{
	static const char *const words[] = {
		[SG_KEY_UNKNOWN] = "unknown",
		[SG_KEY_GONE] = "gone",
		[SG_KEY_AWAY] = "away",
		[SG_KEY_HIDDEN] = "hidden",
		[SG_KEY_HERE] = "here",
	};

	return words[place];
}

static const char *server_word(const struct diff *diff, const struct sg_held_cert *cert)
{
	if (cert->is_listed)
		return "listed";
	return diff->survey.list == SG_LIST_WHOLE ? "absent" : "unknown";
}

static json_t *row_of(const struct sg_call *call, const struct sg_held_cert *cert)
{
	const struct diff *diff = call->state;
	struct sg_reconciled is =
	    sg_reconcile(cert, diff->survey.list, diff->survey.now, diff->survey.spare);
	const char *place = cert->places[0];
	char *label = sg_place_label(place), *serial = sg_place_serial(place);
	char *text = sg_reconcile_text(cert, is.state);
	char *step =
	    sg_reconcile_command(is.step, call->account->row.jid, cert, diff->survey.spare);
	json_t *row = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:b, s:b, s:s, s:o, s:o, s:o, "
				"s:o}",
	    "sha256", cert->sha256, "name", cert->name, "label", sg_json_text(cert->label),
	    "not_after", sg_json_when(cert->not_after), "state", sg_cert_state_name(is.state),
	    "text", text != NULL ? text : "", "server", server_word(diff, cert), "stored",
	    cert->is_stored, "on_token", cert->is_object, "key", key_word(cert->key), "place",
	    sg_json_text(place), "token", sg_json_text(label), "serial", sg_json_text(serial),
	    "step", sg_json_text(step));

	free(label);
	free(serial);
	free(text);
	free(step);
	return row;
}

static json_t *reply_of(const struct diff *diff, json_t *rows, int is_last)
{
	static const char *const words[] = {
		[SG_LIST_UNKNOWN] = "unknown",
		[SG_LIST_CUT] = "cut",
		[SG_LIST_WHOLE] = "whole",
	};

	return json_pack("{s:o, s:s, s:o}", "certificates", rows, "list", words[diff->survey.list],
	    "problems", is_last ? json_incref(diff->survey.problems) : json_array());
}

/* As many rows as the client has room for; the last ones end the call. */
static void tell_rows(struct sg_call *call)
{
	struct diff *diff = call->state;
	json_t *rows = json_array();
	size_t bytes = 0;

	while (diff->next < diff->survey.held.count) {
		json_t *row = row_of(call, diff->survey.held.certs[diff->next]);

		diff->next++;
		bytes += row != NULL ? json_dumpb(row, NULL, 0, JSON_COMPACT) + 1 : 0;
		json_array_append_new(rows, row);
		if (!call->more || bytes < PART_BYTES || diff->next == diff->survey.held.count)
			continue;
		sg_call_progress(call, reply_of(diff, rows, 0));
		if (sg_call_is_clogged(call)) {
			diff->waits = 1;
			return;
		}
		rows = json_array();
		bytes = 0;
	}
	call->drained = NULL;
	call->gone = NULL;
	sg_call_reply(call, reply_of(diff, rows, 1));
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	tell_rows(arg);
}

static void go_on(struct sg_call *call)
{
	static const struct timeval at_once = { 0, 0 };
	struct diff *diff = call->state;

	if (!diff->waits)
		return;
	diff->waits = 0;
	if (evtimer_add(diff->later, &at_once) != 0)
		abort(); /* the call would wait for ever */
}

static void surveyed(struct sg_call *call)
{
	call->drained = go_on;
	call->gone = go_on;
	tell_rows(call);
}

void sg_verb_reconcile(struct sg_call *call)
{
	struct diff *diff;

	if (!sg_call_take_account(call, "jid"))
		return;
	diff = calloc(1, sizeof(*diff));
	if (diff == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->state = diff;
	call->state_free = diff_free;
	diff->later = evtimer_new(call->agent->base, on_later, call);
	if (diff->later == NULL)
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	else
		sg_call_survey(call, &diff->survey, !sg_call_flag(call, "offline"), surveyed);
}
