/* AddAccount, ListAccounts, ShowAccount, RemoveAccount, Connect, Disconnect, Status. */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts.h"
#include "call.h"
#include "json.h"
#include "keyring_json.h"
#include "online.h"
#include "text.h"

#define HOST_MAX     253
#define PATH_MAX_LEN 4095

static void reply_account(struct sg_call *call)
{
	sg_call_reply(call, json_pack("{s:o}", "account", sg_json_account(call->account)));
}

/* ---- AddAccount ---- */

/* Takes an optional text; 0 when it is over its length or no text. */
static int take_text(const struct sg_call *call, const char *name, size_t max, char **slot)
{
	const char *text = sg_call_string(call, name);

	if (text == NULL)
		return 1;
	if (text[0] == '\0' || !sg_utf8_is_text(text, max))
		return 0;
	*slot = strdup(text);
	return *slot != NULL;
}

/* A name or an address to connect to: "chat.example.org", "192.0.2.1", "2001:db8::1". */
static int is_host(const char *host)
{
	return host[strspn(host,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:-")] == '\0';
}

/* The name of the parameter that makes no sense, or NULL. */
static const char *fill_row(const struct sg_call *call, struct sg_account_row *row)
{
	json_int_t port = sg_call_int(call, "port", 0);
	const char *tls = sg_call_string(call, "tls");

	row->jid = sg_jid_bare(sg_call_string(call, "jid"));
	if (row->jid == NULL || !sg_jid_is_account(row->jid))
		return "jid";
	if (!take_text(call, "host", HOST_MAX, &row->host) ||
	    (row->host != NULL && !is_host(row->host)))
		return "host";
	if (json_is_integer(json_object_get(call->parameters, "port")) &&
	    (port < 1 || port > 65535))
		return "port";
	row->port = (uint32_t)port;
	if (tls != NULL && strcmp(tls, "direct") == 0)
		row->tls_mode = SG_TLS_DIRECT;
	else if (tls != NULL && strcmp(tls, "starttls") != 0)
		return "tls";
	if (!take_text(call, "cafile", PATH_MAX_LEN, &row->cafile) ||
	    (row->cafile != NULL && row->cafile[0] != '/'))
		return "cafile";
	return NULL;
}

void sg_verb_add_account(struct sg_call *call)
{
	struct sg_account_row row = { .jid = NULL };
	const char *wrong = fill_row(call, &row);
	struct sg_account *account;
	char *jid;
	int err;

	if (wrong != NULL) {
		sg_account_row_clear(&row);
		sg_call_fail_with(call, SG_ERR_ARG, wrong,
		    "%s makes no sense: a bare JID, a host name, a port from 1 to 65535, tls "
		    "starttls "
		    "or direct, an absolute path to a cafile are wanted",
		    wrong);
		return;
	}
	if (row.cafile != NULL && access(row.cafile, R_OK) != 0) {
		sg_call_fail_with(call, SG_ERR_ARG, "cafile", "%s cannot be read: %s", row.cafile,
		    strerror(errno));
		sg_account_row_clear(&row);
		return;
	}
	jid = strdup(row.jid);
	err = sg_accounts_add(call->agent->accounts, &row, &account);
	if (err != 0) {
		sg_call_fail_code(call, err, jid);
	} else {
		sg_call_enter_account(call, account);
		reply_account(call);
	}
	free(jid);
}

/* ---- ListAccounts, ShowAccount ---- */

static json_t *all_accounts(const struct sg_call *call)
{
	json_t *array = json_array();

	for (struct sg_account *account = sg_accounts_first(call->agent->accounts); account != NULL;
	     account = sg_accounts_next(account))
		json_array_append_new(array, sg_json_account(account));
	return array;
}

void sg_verb_list_accounts(struct sg_call *call)
{
	sg_call_reply(call, json_pack("{s:o}", "accounts", all_accounts(call)));
}

void sg_verb_show_account(struct sg_call *call)
{
	if (sg_call_take_account(call, "jid"))
		reply_account(call);
}

/* ---- RemoveAccount ---- */

void sg_verb_remove_account(struct sg_call *call)
{
	int err;

	if (!sg_call_take_account(call, "jid"))
		return;
	err = sg_accounts_remove(call->account);
	if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	else
		sg_call_reply(call, json_object());
}

/* ---- Connect, Disconnect ---- */

void sg_verb_connect(struct sg_call *call)
{
	if (!sg_call_take_account(call, "jid"))
		return;
	if (sg_call_string(call, "key") != NULL)
		sg_verb_connect_with_key(call);
	else
		sg_call_go_online(call, reply_account);
}

void sg_verb_disconnect(struct sg_call *call)
{
	if (!sg_call_take_account(call, "jid"))
		return;
	call->next = reply_account;
	sg_account_go_offline(call->account, sg_call_continue, call);
}

/* ---- Status ---- */

/* With what each module said to the question for its tokens. */
static json_t *all_workers(
    const struct sg_call *call, const struct sg_module_answer *answers, size_t count)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(
		    array, sg_json_worker(answers[i].module->worker, &answers[i].error));
	for (struct sg_account *account = sg_accounts_first(call->agent->accounts); account != NULL;
	     account = sg_accounts_next(account))
		json_array_append_new(array, sg_json_worker(account->worker, NULL));
	return array;
}

/* What could not be asked is left out: the workers' problems tell why. */
static void on_status_tokens(void *arg, struct sg_module_answer *answers, size_t count)
{
	struct sg_call *call = arg;

	sg_call_reply(call,
	    json_pack("{s:s, s:i, s:o, s:o, s:o, s:o, s:o}", "version", SG_VERSION, "pid",
		(int)getpid(), "tokens", sg_json_tokens(call->agent, answers, count), "accounts",
		all_accounts(call), "workers", all_workers(call, answers, count), "changed",
		sg_json_key_changes(call->agent, NULL), "changed_count",
		sg_json_key_changes_count(call->agent)));
}

void sg_verb_status(struct sg_call *call)
{
	sg_ask_tokens(call->agent->tokens, SG_HASTY, on_status_tokens, call);
}
