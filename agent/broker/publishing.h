/*
 * How open an account's keys are meant to be, and whether its server keeps to that: the access model,
 * whitelist, groups of the roster and answers to direct requests that were last asked for, and the own node as it was last
 * found. A node that is more open than asked is an alarm until it is found to be as asked again.
 */
#ifndef SG_BROKER_PUBLISHING_H
#define SG_BROKER_PUBLISHING_H

#include <jansson.h>

#include "accounts.h"
#include "msg.h"
#include "publishing_store.h"
#include "worker.h"

#define SG_MEMBERS_MAX 1000 /* JIDs of a whitelist, and of a list of who is answered */

/* Reads "own", "contacts", "nobody", or JIDs with commas between, into the form of the store: a new
 * string. SG_ERR_ARG, SG_ERR_LIMIT, SG_ERR_NOMEM. */
SG_MUST_USE int sg_direct_parse(const char *text, char **direct);

/* The JIDs, each with a line end behind it (bare; each once): a new string. Errors as above. */
SG_MUST_USE int sg_members_join(const json_t *jids, char **members);

/* The names of groups of the roster in the same form, each once, as they stand. Errors as above; SG_ERR_ARG is for
 * one that is empty, over SG_PEP_GROUP_MAX, or not one line of text. */
SG_MUST_USE int sg_groups_join(const json_t *names, char **groups);

/* A list of that form (or NULL) as an array of strings that point into *copy, both owned by the caller.
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_lines_split(const char *lines, char **copy, char ***list, uint32_t *count);

/* The lists of a row, split: copies, to be cleared. */
struct sg_publishing_lists {
	char *members_copy, **members;
	uint32_t member_count;
	char *groups_copy, **groups;
	uint32_t group_count;
};

/* SG_ERR_NOMEM: they are empty. */
SG_MUST_USE int sg_publishing_split(
    const struct sg_publishing_row *row, struct sg_publishing_lists *lists);
void sg_publishing_lists_clear(struct sg_publishing_lists *lists);

/* What is to be asked of the server for this row; borrows from both. */
struct sg_msg_pep_configure sg_publishing_asked(
    const struct sg_publishing_row *row, const struct sg_publishing_lists *lists);

/* Whether by what was asked before (old) somebody reads who does not by what is asked now, as far as the access
 * model and the groups of the roster go. SG_ERR_NOMEM. */
SG_MUST_USE int sg_publishing_is_narrower(
    const struct sg_publishing_row *row, const struct sg_publishing_row *old);

/* Keeps what the account is from now on meant to be (taken over). SG_ERR_IO: nothing has changed. */
SG_MUST_USE int sg_publishing_set(struct sg_account *account, struct sg_publishing_row *row);

/* Tells the account's worker who is to be answered, who asks for keys: so it is when fn is called. 0: there is none that is
 * online, and fn is not called. */
int sg_publishing_tell(struct sg_account *account, sg_answer_fn *fn, void *arg);

/* To be called by that fn: where the worker could not be told, that is logged. */
void sg_publishing_told(const struct sg_account *account, const struct sg_msg_error *error);

/* The account has logged in: its worker learns who is to be answered, and a node that was published
 * is looked at. */
void sg_publishing_begin(struct sg_account *account);

/* The node as the server has it: raises the alarm, or ends it; was_published: after it was set right.
 * Gives whether it is more open. */
int sg_publishing_note(
    struct sg_account *account, const struct sg_msg_pep_node *node, int was_published);

/* A Node. New reference, or NULL without memory. */
json_t *sg_json_node(const struct sg_account *account, const struct sg_msg_pep_node *node);

/* The word of the API for who is answered; as above. */
json_t *sg_json_direct(const struct sg_account *account);

#endif
