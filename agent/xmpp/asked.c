#include "asked.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "keyinfo.h"
#include "log.h"
#include "pubkeys.h"
#include "text.h"

#define ID_FIRST 0x80000000u /* ours; the broker's are below */

struct wanted {
	struct wanted *next;
	uint32_t frame;
	int64_t deadline_ms;
	char *id, *from, *about;
	char *text;	  /* the request */
	char *as_written; /* all of it, or NULL; see iq.h */
};

struct sg_asked {
	struct sg_channel *channel;
	struct sg_iqs *iqs;
	const struct sg_contacts *contacts;
	uint32_t *next_id;
	struct sg_msg_direct_policy policy;
	struct wanted *first, **end; /* in the order of their deadlines */
	unsigned count;
};

int sg_asked_new(struct sg_asked **asked, struct sg_channel *channel, struct sg_iqs *iqs,
    const struct sg_contacts *contacts, uint32_t *next_id)
{
	struct sg_asked *made = calloc(1, sizeof(*made));

	*asked = made;
	if (made == NULL)
		return SG_ERR_NOMEM;
	made->channel = channel;
	made->iqs = iqs;
	made->contacts = contacts;
	made->next_id = next_id;
	made->policy.mode = SG_DIRECT_NOBODY;
	made->end = &made->first;
	return 0;
}

static void wanted_free(struct wanted *wanted)
{
	free(wanted->id);
	free(wanted->from);
	free(wanted->about);
	free(wanted->text);
	free(wanted->as_written);
	free(wanted);
}

/* Takes the one at *at out of the list; the caller owns it. */
static struct wanted *wanted_take(struct sg_asked *asked, struct wanted **at)
{
	struct wanted *wanted = *at;

	*at = wanted->next;
	if (*at == NULL)
		asked->end = at;
	asked->count--;
	return wanted;
}

void sg_asked_end(struct sg_asked *asked)
{
	while (asked->first != NULL)
		wanted_free(wanted_take(asked, &asked->first));
	sg_msg_clear(SG_MSG_DIRECT_POLICY, &asked->policy);
	asked->policy.mode = SG_DIRECT_NOBODY;
}

void sg_asked_free(struct sg_asked *asked)
{
	if (asked == NULL)
		return;
	sg_asked_end(asked);
	free(asked);
}

void sg_asked_set_policy(struct sg_asked *asked, struct sg_msg_direct_policy *policy)
{
	sg_msg_clear(SG_MSG_DIRECT_POLICY, &asked->policy);
	asked->policy = *policy;
	*policy = (struct sg_msg_direct_policy){ 0 };
}

const struct sg_msg_direct_policy *sg_asked_policy(const struct sg_asked *asked)
{
	return &asked->policy;
}

/* ---- who may ask ---- */

static int is_listed(const struct sg_msg_direct_policy *policy, const char *from)
{
	char *bare = sg_jid_bare(from);
	int listed = 0;

	for (uint32_t i = 0; bare != NULL && i < policy->jid_count; i++)
		listed |= strcmp(policy->jids[i], bare) == 0;
	free(bare);
	return listed;
}

/* Keys of a third party are for the own resources alone (K13). */
static int may_ask(const struct sg_asked *asked, const char *from, int is_third)
{
	const struct sg_msg_direct_policy *policy = &asked->policy;

	if (policy->mode == SG_DIRECT_NOBODY || from == NULL)
		return 0;
	if (sg_contacts_is_own(asked->contacts, from))
		return 1;
	if (is_third)
		return 0;
	return policy->mode == SG_DIRECT_LIST
	    ? is_listed(policy, from)
	    : policy->mode == SG_DIRECT_CONTACTS && sg_contacts_sees_us(asked->contacts, from);
}

int sg_asked_may_ask(const struct sg_asked *asked, const char *from)
{
	return may_ask(asked, from, 0);
}

/* ---- from the question to the answer ---- */

/* What was understood of the request, for an error that shows it again (K12); NULL without memory. */
static struct sg_xml *request_of(const char *text)
{
	struct sg_xml *tree = NULL;

	return sg_xml_parse(text, strlen(text), &tree) == 0 ? tree : NULL;
}

static struct wanted *wanted_new(struct sg_asked *asked, const struct sg_iq_question *question)
{
	struct wanted *wanted = calloc(1, sizeof(*wanted));

	if (wanted == NULL)
		return NULL;
	wanted->frame = ID_FIRST | (*asked->next_id)++;
	wanted->deadline_ms = sg_clock_ms() + SG_ASKED_TIMEOUT_MS;
	wanted->id = strdup(question->id);
	wanted->from = strdup(question->from);
	wanted->text = sg_xml_to_string(question->payload);
	wanted->as_written = sg_text_copy(question->as_written);
	if (wanted->id != NULL && wanted->from != NULL && wanted->text != NULL)
		return wanted;
	wanted_free(wanted);
	return NULL;
}

/* One who asks much shall not keep the others from asking. */
static int has_room(const struct sg_asked *asked, const char *from)
{
	size_t bare = strcspn(from, "/");
	unsigned his = 0;

	for (const struct wanted *wanted = asked->first; wanted != NULL; wanted = wanted->next)
		his += strcspn(wanted->from, "/") == bare && memcmp(wanted->from, from, bare) == 0;
	return asked->count < SG_ASKED_MAX && his < SG_ASKED_EACH_MAX;
}

/* Asks the broker; 0 when that cannot be done. */
static int ask_broker(struct sg_asked *asked, const struct sg_iq_question *question,
    struct sg_msg_keys_wanted *message)
{
	struct wanted *wanted = wanted_new(asked, question);

	if (wanted == NULL)
		return 0;
	message->from = wanted->from;
	if (sg_channel_send(asked->channel, wanted->frame, SG_MSG_KEYS_WANTED, message, -1) != 0) {
		message->from = NULL;
		wanted_free(wanted);
		return 0;
	}
	message->from = NULL;
	wanted->about = message->about;
	message->about = NULL;
	*asked->end = wanted;
	asked->end = &wanted->next;
	asked->count++;
	return 1;
}

int sg_asked_question(struct sg_asked *asked, const struct sg_iq_question *question)
{
	const struct sg_xml *payload = question->payload;
	struct sg_msg_keys_wanted message;
	int err, taken = 1;

	if (!question->is_get || payload == NULL || !sg_xml_is(payload, "pubkeys", SG_NS_PUBKEY) ||
	    !may_ask(asked, question->from, sg_xml_attr(payload, "jid") != NULL))
		return 0;
	err = sg_pubkeys_ask_decode(payload, &message);
	if (err == 0 && !has_room(asked, question->from))
		sg_iq_refuse(asked->iqs, question, "wait", "resource-constraint");
	else if (err == 0)
		taken = ask_broker(asked, question, &message);
	else if (err == SG_ERR_NOMEM)
		taken = 0;
	else
		sg_iq_refuse(asked->iqs, question, "modify", "bad-request");
	sg_msg_clear(SG_MSG_KEYS_WANTED, &message);
	return taken;
}

static void wanted_answer(
    struct sg_asked *asked, const struct wanted *wanted, const struct sg_frame *frame)
{
	const struct sg_msg_error *error = frame->msg;
	const struct sg_msg_keyinfos *keyinfos = frame->msg;
	struct sg_xml *request = request_of(wanted->text), *payload = NULL;
	struct sg_iq_question question = { wanted->id, wanted->from, 1, request,
		wanted->as_written };
	int code = frame->type == SG_MSG_ERROR ? sg_msg_error_code(error) : 0;
	int err = SG_ERR_UNSUPPORTED;

	if (frame->type == SG_MSG_KEYINFOS)
		err = sg_pubkeys_encode(
		    wanted->about, keyinfos->keyinfos, keyinfos->keyinfo_count, &payload);
	if (err == 0)
		sg_iq_reply(asked->iqs, &question, payload);
	else if (err == SG_ERR_LIMIT || code == SG_ERR_LIMIT)
		sg_iq_refuse(asked->iqs, &question, "modify", "resource-constraint");
	else if (code == SG_ERR_KEY_ABSENT)
		sg_iq_refuse(asked->iqs, &question, "cancel", "item-not-found");
	else
		sg_iq_unknown(asked->iqs, &question);
	sg_xml_free(request);
}

int sg_asked_answer(struct sg_asked *asked, const struct sg_frame *frame)
{
	struct wanted **at = &asked->first, *wanted;

	while (*at != NULL && (*at)->frame != frame->id)
		at = &(*at)->next;
	if (*at == NULL)
		return 0;
	wanted = wanted_take(asked, at);
	wanted_answer(asked, wanted, frame);
	wanted_free(wanted);
	return 1;
}

int sg_asked_timeout(const struct sg_asked *asked)
{
	int64_t left;

	if (asked->first == NULL)
		return -1;
	left = asked->first->deadline_ms - sg_clock_ms();
	return left > 0 ? (int)left : 0;
}

void sg_asked_expire(struct sg_asked *asked)
{
	const struct sg_frame none = { .type = SG_MSG_OK, .fd = -1 };

	while (asked->first != NULL && asked->first->deadline_ms <= sg_clock_ms()) {
		struct wanted *wanted = wanted_take(asked, &asked->first);

		sg_log(SG_LOG_WARN, "the broker did not say which keys there are");
		wanted_answer(asked, wanted, &none);
		wanted_free(wanted);
	}
}
