#include "key_reply.h"

#include <stdlib.h>

#include "judging.h"

#define ENVELOPE_MAX (64u << 10) /* bytes of what a reply has beside its keys */
#define KEYS_MAX     (SG_API_MESSAGE_MAX - ENVELOPE_MAX)

struct sg_key_reply {
	struct sg_call *call;
	struct sg_judging *judging; /* NULL at the end */
	struct sg_msg_keyinfos keys;
	json_t *part; /* for the next reply */
	size_t bytes;
	int waits; /* for the client to fetch what there is */
	sg_key_reply_fn *make;
	sg_key_reply_end_fn *end;
};

void sg_key_reply_free(struct sg_key_reply *reply)
{
	if (reply == NULL)
		return;
	sg_judging_free(reply->judging);
	sg_msg_clear(SG_MSG_KEYINFOS, &reply->keys);
	json_decref(reply->part);
	free(reply);
}

/* ---- a client that is slow ---- */

static void go_on(struct sg_call *call)
{
	struct sg_key_reply *reply = call->key_reply;

	if (!reply->waits)
		return;
	reply->waits = 0;
	sg_judging_resume(reply->judging);
}

/* ---- keys as they come ---- */

static void send_part(struct sg_key_reply *reply)
{
	json_t *part = reply->part;

	reply->part = json_array();
	reply->bytes = 0;
	sg_call_progress(reply->call, reply->make(reply->call, part, 0));
}

static enum sg_judged take_key(void *arg, json_t *key)
{
	struct sg_key_reply *reply = arg;
	size_t size = json_dumpb(key, NULL, 0, JSON_COMPACT) + 1;
	int several = reply->call->more;

	if (size > KEYS_MAX) {
		json_decref(key);
		return SG_JUDGED_NEXT;
	}
	if (reply->bytes + size > KEYS_MAX) {
		if (!several) {
			json_decref(key);
			return SG_JUDGED_END;
		}
		send_part(reply);
	}
	json_array_append_new(reply->part, key);
	reply->bytes += size;
	if (several && reply->bytes >= SG_KEY_REPLY_BYTES)
		send_part(reply);
	reply->waits = sg_call_is_clogged(reply->call);
	return reply->waits ? SG_JUDGED_WAIT : SG_JUDGED_NEXT;
}

static void all_judged(void *arg, int err)
{
	struct sg_key_reply *reply = arg;
	struct sg_call *call = reply->call;
	struct sg_msg_keyinfos keys = reply->keys;
	json_t *part = reply->part;

	reply->judging = NULL;
	reply->keys = (struct sg_msg_keyinfos){ 0 };
	reply->part = NULL;
	call->drained = NULL;
	call->gone = NULL;
	reply->end(call, err, reply->make(call, part, 1), &keys);
	sg_msg_clear(SG_MSG_KEYINFOS, &keys);
}

void sg_key_reply_start(struct sg_call *call, struct sg_msg_keyinfos *keys, sg_key_reply_fn *make,
    sg_key_reply_end_fn *end)
{
	struct sg_key_reply *reply = calloc(1, sizeof(*reply));

	if (reply == NULL) {
		sg_msg_clear(SG_MSG_KEYINFOS, keys);
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	reply->call = call;
	reply->make = make;
	reply->end = end;
	reply->keys = *keys;
	reply->part = json_array();
	*keys = (struct sg_msg_keyinfos){ 0 };
	call->key_reply = reply;
	if (sg_judging_start(
		call->account, &reply->keys, take_key, all_judged, reply, &reply->judging) != 0) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
		return;
	}
	call->drained = go_on;
	call->gone = go_on;
}
