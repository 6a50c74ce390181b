#include "publishing.h"

#include <stdlib.h>
#include <string.h>

#include "api_json.h"
#include "json.h"
#include "keyinfo.h"
#include "log.h"
#include "pep_node.h"
#include "text.h"
#include "worker.h"

/* ---- lists of JIDs ---- */

/* Appends the word with a line end, unless it is there. */
static int join_line(struct sg_buf *list, const char *word)
{
	char *line = NULL;
	const char *at = NULL;

	if (asprintf(&line, "%s\n", word) < 0)
		return SG_ERR_NOMEM;
	/* Each stands behind a line end, or at the beginning. */
	if (list->len > 0)
		at = memmem(list->data, list->len, line, strlen(line));
	while (at != NULL && at != (const char *)list->data && at[-1] != '\n')
		at = memmem(at + 1, list->len - (size_t)(at + 1 - (const char *)list->data), line,
		    strlen(line));
	if (at == NULL)
		sg_buf_put_str(list, line);
	free(line);
	return 0;
}

/* Appends the JID, bare, unless it is there. */
static int join_one(struct sg_buf *list, const char *jid, size_t len)
{
	char *text = strndup(jid, len), *bare = NULL;
	int err = SG_ERR_NOMEM;

	if (text != NULL)
		bare = sg_jid_bare(text);
	if (text != NULL && (bare == NULL || !sg_jid_is_account(bare)))
		err = SG_ERR_ARG;
	else if (bare != NULL)
		err = join_line(list, bare);
	free(bare);
	free(text);
	return err;
}

static int join_end(struct sg_buf *list, int err, char **text)
{
	sg_buf_put_u8(list, 0);
	if (err == 0 && list->err != 0)
		err = list->err;
	if (err != 0) {
		sg_buf_clear(list);
		return err;
	}
	*text = sg_buf_steal(list, NULL);
	return *text != NULL ? 0 : SG_ERR_NOMEM;
}

int sg_members_join(const json_t *jids, char **members)
{
	struct sg_buf list = { 0 };
	size_t count = json_array_size(jids);
	int err = count <= SG_MEMBERS_MAX ? 0 : SG_ERR_LIMIT;

	*members = NULL;
	for (size_t i = 0; err == 0 && i < count; i++) {
		const char *jid = json_string_value(json_array_get(jids, i));

		err = jid != NULL ? join_one(&list, jid, strlen(jid)) : SG_ERR_ARG;
	}
	return join_end(&list, err, members);
}

int sg_groups_join(const json_t *names, char **groups)
{
	struct sg_buf list = { 0 };
	size_t count = json_array_size(names);
	int err = count <= SG_PEP_GROUPS_MAX ? 0 : SG_ERR_LIMIT;

	*groups = NULL;
	for (size_t i = 0; err == 0 && i < count; i++) {
		const char *name = json_string_value(json_array_get(names, i));

		if (name == NULL || name[0] == '\0' || strpbrk(name, "\t\r\n") != NULL ||
		    !sg_utf8_is_text(name, SG_PEP_GROUP_MAX))
			err = SG_ERR_ARG;
		else
			err = join_line(&list, name);
	}
	return join_end(&list, err, groups);
}

static int is_word(const char *text)
{
	return strcmp(text, "own") == 0 || strcmp(text, "contacts") == 0 ||
	    strcmp(text, "nobody") == 0;
}

int sg_direct_parse(const char *text, char **direct)
{
	struct sg_buf list = { 0 };
	unsigned count = 0;
	int err = 0;

	*direct = NULL;
	if (is_word(text)) {
		*direct = strdup(text);
		return *direct != NULL ? 0 : SG_ERR_NOMEM;
	}
	for (const char *at = text; err == 0; at++) {
		size_t len = strcspn(at, ",");

		err = ++count <= SG_MEMBERS_MAX ? join_one(&list, at, len) : SG_ERR_LIMIT;
		at += len;
		if (*at == '\0')
			break;
	}
	return join_end(&list, err, direct);
}

int sg_lines_split(const char *members, char **copy, char ***list, uint32_t *count)
{
	uint32_t lines = 0;

	*copy = NULL;
	*list = NULL;
	*count = 0;
	if (members == NULL)
		return 0;
	for (const char *c = members; *c != '\0'; c++)
		lines += *c == '\n';
	*copy = strdup(members);
	*list = calloc(lines + 1u, sizeof(**list));
	if (*copy == NULL || *list == NULL) {
		free(*copy);
		free(*list);
		*copy = NULL;
		*list = NULL;
		return SG_ERR_NOMEM;
	}
	for (char *at = *copy, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
		*end = '\0';
		(*list)[(*count)++] = at;
	}
	return 0;
}

int sg_publishing_split(const struct sg_publishing_row *row, struct sg_publishing_lists *lists)
{
	int err = sg_lines_split(
	    row->members, &lists->members_copy, &lists->members, &lists->member_count);

	lists->groups_copy = NULL;
	lists->groups = NULL;
	lists->group_count = 0;
	if (err == 0)
		err = sg_lines_split(
		    row->groups, &lists->groups_copy, &lists->groups, &lists->group_count);
	if (err != 0)
		sg_publishing_lists_clear(lists);
	return err;
}

void sg_publishing_lists_clear(struct sg_publishing_lists *lists)
{
	free(lists->members);
	free(lists->members_copy);
	free(lists->groups);
	free(lists->groups_copy);
	*lists = (struct sg_publishing_lists){ 0 };
}

struct sg_msg_pep_configure sg_publishing_asked(
    const struct sg_publishing_row *row, const struct sg_publishing_lists *lists)
{
	const int is_whitelist = strcmp(row->access, "whitelist") == 0;
	const int is_roster = strcmp(row->access, "roster") == 0;

	/* The lists stay in the row, for the next time that a whitelist or roster is asked for. */
	return (struct sg_msg_pep_configure){
		.access_model = row->access,
		.members = is_whitelist ? lists->members : NULL,
		.member_count = is_whitelist ? lists->member_count : 0,
		.groups = is_roster ? lists->groups : NULL,
		.group_count = is_roster ? lists->group_count : 0,
	};
}

int sg_publishing_is_narrower(
    const struct sg_publishing_row *row, const struct sg_publishing_row *old)
{
	struct sg_publishing_lists lists, old_lists;
	struct sg_msg_pep_configure asked;
	struct sg_msg_pep_node before;
	int err;

	if (old->access == NULL)
		return 0;
	if (sg_pep_lets_in_others(old->access, row->access))
		return 1;
	err = sg_publishing_split(row, &lists);
	if (err != 0)
		return err;
	err = sg_publishing_split(old, &old_lists);
	if (err == 0) {
		asked = sg_publishing_asked(row, &lists);
		before = (struct sg_msg_pep_node){
			.access_model = old->access,
			.groups_told = 1,
			.groups = old_lists.groups,
			.group_count = old_lists.group_count,
		};
		err = strcmp(row->access, "open") != 0 && sg_pep_has_other_groups(&before, &asked);
		sg_publishing_lists_clear(&old_lists);
	}
	sg_publishing_lists_clear(&lists);
	return err;
}

/* ---- who is answered ---- */

/* As the node's access model has it (K12), when nobody has said otherwise; before anything was published,
 * the own resources alone. */
static const char *direct_of(const struct sg_publishing_row *row)
{
	if (row->direct != NULL)
		return row->direct;
	if (row->access == NULL)
		return "own";
	if (strcmp(row->access, "presence") == 0 || strcmp(row->access, "open") == 0)
		return "contacts";
	if (strcmp(row->access, "whitelist") == 0 && row->members != NULL)
		return row->members;
	return "own";
}

json_t *sg_json_direct(const struct sg_account *account)
{
	char *text = strdup(direct_of(&account->publishing));
	json_t *word;

	if (text == NULL)
		return NULL;
	/* Of a list, commas between in place of line ends. */
	for (char *c = text; *c != '\0'; c++) {
		if (*c == '\n')
			*c = c[1] != '\0' ? ',' : '\0';
	}
	word = json_string(text);
	free(text);
	return word;
}

int sg_publishing_tell(struct sg_account *account, sg_answer_fn *fn, void *arg)
{
	const char *direct = direct_of(&account->publishing);
	struct sg_msg_direct_policy policy = { .watch = !account->agent->config.no_watch };
	char *copy = NULL;

	if (account->state != SG_ACCOUNT_ONLINE)
		return 0;
	if (strcmp(direct, "nobody") == 0)
		policy.mode = SG_DIRECT_NOBODY;
	else if (strcmp(direct, "contacts") == 0)
		policy.mode = SG_DIRECT_CONTACTS;
	else if (strcmp(direct, "own") == 0 ||
	    sg_lines_split(direct, &copy, &policy.jids, &policy.jid_count) != 0)
		policy.mode = SG_DIRECT_OWN;
	else
		policy.mode = SG_DIRECT_LIST;
	sg_worker_request(
	    account->worker, SG_MSG_DIRECT_POLICY, &policy, -1, SG_XMPP_SECONDS, fn, arg);
	free(policy.jids);
	free(copy);
	return 1;
}

int sg_publishing_set(struct sg_account *account, struct sg_publishing_row *row)
{
	int err = account->removed
	    ? SG_ERR_ACCOUNT_ABSENT
	    : sg_store_publishing_put(account->agent->store, account->row.jid, row);

	if (err != 0)
		return err;
	sg_publishing_row_clear(&account->publishing);
	account->publishing = *row;
	*row = (struct sg_publishing_row){ 0 };
	return 0;
}

/* ---- the node ---- */

/* Whether it is so by what was asked; nothing was asked: nothing is too open. */
static int is_more_open(const struct sg_account *account, const struct sg_msg_pep_node *node)
{
	const struct sg_publishing_row *row = &account->publishing;
	struct sg_publishing_lists lists;
	struct sg_msg_pep_configure asked;
	int open;

	if (row->access == NULL || sg_publishing_split(row, &lists) != 0)
		return 0;
	asked = sg_publishing_asked(row, &lists);
	open = sg_pep_is_more_open(node, &asked);
	sg_publishing_lists_clear(&lists);
	return open;
}

int sg_publishing_note(
    struct sg_account *account, const struct sg_msg_pep_node *node, int was_published)
{
	struct sg_publishing_row *row = &account->publishing;
	int open = is_more_open(account, node);

	/* Who has subscribed while it was too open may be there still: publishing alone mends that. */
	if (row->more_open && !was_published && node->exists && !node->subscribers_told)
		open = 1;
	if (open)
		sg_log(SG_LOG_ERROR,
		    "%s: the node with the keys is more open than asked: the access model is %s, "
		    "not %s; the publish model is %s; %u groups of the roster are named; %u have "
		    "an "
		    "affiliation, %u are subscribed who may not read",
		    account->row.jid, node->access_model != NULL ? node->access_model : "not told",
		    row->access, node->publish_model != NULL ? node->publish_model : "not told",
		    (unsigned)node->group_count, (unsigned)node->affiliation_count,
		    (unsigned)node->subscriber_count);
	if ((row->more_open != 0) == open)
		return open;
	row->more_open = (uint32_t)open;
	if (!account->removed &&
	    sg_store_publishing_put(account->agent->store, account->row.jid, row) != 0)
		sg_log(SG_LOG_WARN, "%s: it could not be noted how open the keys are",
		    account->row.jid);
	return open;
}

static void on_node(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_account *account = arg;

	if (error == NULL)
		sg_publishing_note(account, answer, 0);
	else if (sg_msg_error_code(error) != SG_ERR_OFFLINE)
		sg_log(SG_LOG_WARN, "%s: it cannot be found out how open the keys are: %s",
		    account->row.jid, sg_failure_text(error));
}

void sg_publishing_told(const struct sg_account *account, const struct sg_msg_error *error)
{
	if (error != NULL)
		sg_log(SG_LOG_WARN, "%s: nobody is answered who asks for keys: %s",
		    account->row.jid, sg_failure_text(error));
}

static void on_policy(void *arg, const struct sg_msg_error *error, void *answer)
{
	sg_publishing_told(arg, error);
}

void sg_publishing_begin(struct sg_account *account)
{
	static const struct sg_msg_empty nothing = { 0 };

	(void)sg_publishing_tell(account, on_policy, account);
	if (account->publishing.access != NULL)
		sg_worker_request(account->worker, SG_MSG_PEP_SHOW, &nothing, -1, SG_XMPP_SECONDS,
		    on_node, account);
}

static json_t *texts(char *const *list, uint32_t count)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(array, sg_json_text(list[i]));
	return array;
}

static json_t *affiliations(const struct sg_msg_pep_node *node)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < node->affiliation_count; i++)
		json_array_append_new(array,
		    json_pack("{s:o, s:o}", "jid", sg_json_text(node->affiliations[i].jid),
			"affiliation", sg_json_text(node->affiliations[i].affiliation)));
	return array;
}

json_t *sg_json_node(const struct sg_account *account, const struct sg_msg_pep_node *node)
{
	json_t *subscribers =
	    node->subscribers_told ? texts(node->subscribers, node->subscriber_count) : json_null();

	json_t *groups = node->groups_told ? texts(node->groups, node->group_count) : json_null();

	return json_pack(
	    "{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:b}", "node",
	    SG_NS_PUBKEY, "exists", (int)node->exists, "access", sg_json_text(node->access_model),
	    "publish_model", sg_json_text(node->publish_model), "groups", groups, "members",
	    texts(node->members, node->member_count), "affiliations", affiliations(node),
	    "subscribers", subscribers, "persist_items", (int)node->persist_items, "max_items",
	    sg_json_text(node->max_items), "send_last", sg_json_text(node->send_last), "offered",
	    texts(node->offered, node->offered_count), "asked",
	    sg_json_text(account->publishing.access), "made_anew", (int)node->made_anew,
	    "more_open", (int)account->publishing.more_open);
}
