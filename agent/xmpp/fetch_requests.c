/*
 * The keys on another's node, or on the own one (K9, K10). All of a node is asked for in pages (XEP-0059):
 * ejabberd gives them so; Prosody does not know pages in PEP and gives all at once. Either way it goes to the
 * broker in parts, none of which is more than its loop has time for.
 */
#include "request.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "keyinfo.h"
#include "log.h"
#include "pep.h"
#include "rsm.h"
#include "text.h"

#define PAGE	   250		/* items that are asked for at a time */
#define PART_KEYS  128		/* of one frame */
#define PART_BYTES (128u << 10) /* the same; of the first key of a frame there may be more */
#define FRAME_HEAD 16		/* bytes of a frame that are not the message's, at most */
#define FETCH_MS   300000	/* for all pages together */

/* What was read of a node. */
struct fetch {
	int paged;	  /* pages were asked for */
	char *after;	  /* where the next one begins; NULL: at the first */
	uint32_t items;	  /* that came, whatever they were */
	uint32_t refused; /* that the broker has not been told of yet */
	void *names;	  /* of the keys that came, a tree (tsearch(3)) */
	int64_t until_ms;
};

static void fetch_free(void *arg)
{
	struct fetch *fetch = arg;

	tdestroy(fetch->names, free);
	free(fetch->after);
	free(fetch);
}

/* ---- asking ---- */

static int ask_page(struct sg_request *request)
{
	const struct sg_msg_pep_fetch *asked = request->msg;
	const struct fetch *fetch = request->state;
	struct sg_xml *payload = NULL;
	int err = sg_pep_items_encode(SG_NS_PUBKEY, asked->names, asked->name_count, &payload);

	if (err == 0 && fetch->paged)
		err = sg_rsm_ask(payload, PAGE, fetch->after);
	if (err != 0) {
		sg_xml_free(payload);
		payload = NULL;
	}
	return sg_request_ask(request, "get", request->to, err, payload);
}

static int fetch_start(struct sg_request *request)
{
	const struct sg_msg_pep_fetch *asked = request->msg;
	struct fetch *fetch = sg_request_state(request, sizeof(*fetch), fetch_free);

	if (fetch == NULL)
		return SG_ERR_NOMEM;
	request->to = asked->jid != NULL ? sg_jid_bare(asked->jid) : NULL;
	if (request->to == NULL || !sg_jid_is_account(request->to))
		return SG_ERR_ARG;
	fetch->paged = asked->name_count == 0;
	fetch->until_ms = sg_clock_ms() + FETCH_MS;
	return ask_page(request);
}

/* ---- what came twice ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* 1 when the name had not come yet, 0 when it had; SG_ERR_NOMEM. */
static int note_name(struct fetch *fetch, const char *name)
{
	char *copy = strdup(name);
	char **node = copy != NULL ? tsearch(copy, &fetch->names, compare_names) : NULL;
	int is_new = node != NULL && *node == copy;

	if (!is_new)
		free(copy);
	return node != NULL ? is_new : SG_ERR_NOMEM;
}

/* Keeps of the keys those whose name had not come yet. SG_ERR_NOMEM. */
static int drop_known(struct fetch *fetch, struct sg_msg_keyinfos *keyinfos)
{
	uint32_t kept = 0;
	int is_new = 0;

	for (uint32_t i = 0; is_new >= 0 && i < keyinfos->keyinfo_count; i++) {
		struct sg_keyinfo keyinfo = keyinfos->keyinfos[i];

		is_new = note_name(fetch, keyinfo.name);
		keyinfos->keyinfos[i] = (struct sg_keyinfo){ 0 };
		if (is_new > 0)
			keyinfos->keyinfos[kept++] = keyinfo;
		else
			sg_layout_clear(&sg_layout_keyinfo, &keyinfo);
	}
	if (is_new >= 0)
		keyinfos->keyinfo_count = kept;
	return is_new < 0 ? is_new : 0;
}

/* ---- telling the broker ---- */

/* Whether a frame can hold this key. */
static int fits(struct sg_keyinfo *keyinfo)
{
	const struct sg_msg_keyinfos alone = { .keyinfos = keyinfo, .keyinfo_count = 1 };
	struct sg_buf text = { 0 };
	int fits;

	if (sg_keyinfo_weight(keyinfo) < SG_FRAME_MAX / 8)
		return 1;
	fits = sg_layout_encode(sg_msg_layout(SG_MSG_KEYINFOS), &alone, &text) == 0 &&
	    text.len < SG_FRAME_MAX - FRAME_HEAD;
	sg_buf_clear(&text);
	return fits;
}

/* Those that no frame can hold are refused. */
static void drop_longest(struct fetch *fetch, struct sg_msg_keyinfos *keyinfos)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < keyinfos->keyinfo_count; i++) {
		struct sg_keyinfo keyinfo = keyinfos->keyinfos[i];

		keyinfos->keyinfos[i] = (struct sg_keyinfo){ 0 };
		if (fits(&keyinfo)) {
			keyinfos->keyinfos[kept++] = keyinfo;
			continue;
		}
		sg_log(SG_LOG_WARN, "keyinfo %s refused: it is too long", keyinfo.name);
		sg_layout_clear(&sg_layout_keyinfo, &keyinfo);
		fetch->refused++;
	}
	keyinfos->keyinfo_count = kept;
}

/* How many of the keys from this one on go into one frame. */
static uint32_t part_of(const struct sg_msg_keyinfos *keyinfos, uint32_t at)
{
	size_t bytes = 0;
	uint32_t count = 0;

	while (at + count < keyinfos->keyinfo_count && count < PART_KEYS) {
		bytes += sg_keyinfo_weight(&keyinfos->keyinfos[at + count]);
		if (count > 0 && bytes > PART_BYTES)
			break;
		count++;
	}
	return count;
}

/* Sends all of them, in as many frames as it takes; the last one of the whole answer ends the request. An error
 * does not. */
static int send_keys(struct sg_request *request, struct sg_msg_keyinfos *keyinfos, int is_last)
{
	struct fetch *fetch = request->state;
	uint32_t at = 0;

	drop_longest(fetch, keyinfos);
	for (;;) {
		struct sg_msg_keyinfos part = {
			.keyinfos = &keyinfos->keyinfos[at],
			.keyinfo_count = part_of(keyinfos, at),
			.refused = fetch->refused,
		};
		int err;

		at += part.keyinfo_count;
		part.more = !is_last || at < keyinfos->keyinfo_count;
		if (part.more == 0) {
			sg_request_answer(request, SG_MSG_KEYINFOS, &part);
			return 0;
		}
		if (part.keyinfo_count == 0)
			return 0;
		err =
		    sg_channel_send(request->on->channel, request->id, SG_MSG_KEYINFOS, &part, -1);
		if (err != 0)
			return err;
		fetch->refused = 0;
	}
}

/* ---- pages ---- */

/* Whether this one, of so many items, was the last. A count is believed only where the page is not just as long as
 * was asked for; else to ask once more costs less than to leave keys out. */
static int is_last_page(const struct fetch *fetch, const struct sg_rsm *rsm, uint32_t items)
{
	if (rsm->last == NULL || items == 0)
		return 1;
	return rsm->has_count && fetch->items >= rsm->count && items != PAGE;
}

/* Whether the pages may go on. A server that never ends them, or does not look at where they are to begin, is
 * noticed by the first that brings nothing new; what it may bring is limited. */
static int may_go_on(const struct fetch *fetch, const struct sg_rsm *rsm, uint32_t news)
{
	if (news == 0 || (fetch->after != NULL && strcmp(fetch->after, rsm->last) == 0))
		return SG_ERR_FORMAT;
	return sg_clock_ms() < fetch->until_ms ? 0 : SG_ERR_TIMEOUT;
}

static int take_page(struct sg_request *request, const struct sg_xml *payload)
{
	struct fetch *fetch = request->state;
	struct sg_msg_keyinfos keyinfos = { 0 };
	struct sg_rsm rsm = { NULL, 0, 0 };
	uint32_t items = 0;
	int is_last = 1;
	int err =
	    payload != NULL ? sg_pep_items_decode(payload, SG_NS_PUBKEY, &keyinfos) : SG_ERR_FORMAT;

	if (err == 0 && fetch->paged)
		err = sg_rsm_read(payload, &rsm);
	if (err >= 0) {
		items = keyinfos.keyinfo_count + keyinfos.refused;
		fetch->items += items;
		fetch->refused += keyinfos.refused;
		is_last = is_last_page(fetch, &rsm, items);
		err = fetch->items > SG_PEP_ITEMS_MAX ? SG_ERR_LIMIT : drop_known(fetch, &keyinfos);
	}
	if (err == 0 && !is_last)
		err = may_go_on(fetch, &rsm, keyinfos.keyinfo_count + keyinfos.refused);
	if (err == 0)
		err = send_keys(request, &keyinfos, is_last);
	if (err == 0 && !is_last) {
		free(fetch->after);
		fetch->after = rsm.last;
		rsm.last = NULL;
		err = ask_page(request);
	}
	sg_rsm_clear(&rsm);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	return err;
}

/* A server that refuses a page is asked for all. */
static int refuses_pages(const struct fetch *fetch, const struct sg_msg_error *error)
{
	return fetch->paged && fetch->after == NULL &&
	    (sg_msg_error_is(error, SG_ERR_STANZA, "feature-not-implemented") ||
		sg_msg_error_is(error, SG_ERR_STANZA, "bad-request"));
}

static const char *reason_of(int err)
{
	switch (err) {
	case SG_ERR_LIMIT:
		return "there are more keys than can be taken";
	case SG_ERR_TIMEOUT:
		return "the keys take too long to come";
	case SG_ERR_FORMAT:
		return "the answer is no list of keys, or its pages do not end";
	default:
		return NULL;
	}
}

static void fetch_done(void *arg, struct sg_msg_error *error, const struct sg_xml *payload)
{
	static const struct sg_msg_keyinfos none = { 0 };
	struct sg_request *request = arg;
	struct fetch *fetch = request->state;
	int err = 0;

	request->open--;
	if (error == NULL) {
		err = take_page(request, payload);
	} else if (refuses_pages(fetch, error)) {
		fetch->paged = 0;
		err = ask_page(request);
	} else if (fetch->after == NULL &&
	    sg_msg_error_is(error, SG_ERR_STANZA, "item-not-found")) {
		/* No such node, or no such item: nothing is published, which is an answer. */
		sg_request_answer(request, SG_MSG_KEYINFOS, &none);
	} else {
		sg_request_refuse(request, error);
	}
	if (err != 0)
		sg_request_fail(request, err, reason_of(err));
}

const struct sg_request_kind sg_fetch_requests[] = {
	{ SG_MSG_PEP_FETCH, fetch_start, fetch_done },
	{ 0, NULL, NULL },
};
