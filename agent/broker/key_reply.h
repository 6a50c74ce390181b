/*
 * Replies with many keys: judged in slices, and in as many replies as it takes when the client wants more than one;
 * else as many as one reply holds, in their order. A client that does not fetch them fast enough is waited for, and
 * nobody else is.
 */
#ifndef SG_BROKER_KEY_REPLY_H
#define SG_BROKER_KEY_REPLY_H

#include <jansson.h>

#include "call.h"

#define SG_KEY_REPLY_BYTES                                                                         \
	(64u << 10) /* of the keys in one of several replies; those of the last key may be more */

struct sg_key_reply;

/* The parameters of a reply with these keys (PublicKeys, taken over); is_last: no other follows. */
typedef json_t *sg_key_reply_fn(struct sg_call *call, json_t *keys, int is_last);

/* The end, from the loop: the parameters of the last reply, which the callee takes over and sends (NULL without
 * memory), or an error; and the keys, which may be taken over by zeroing them. */
typedef void sg_key_reply_end_fn(
    struct sg_call *call, int err, json_t *last, struct sg_msg_keyinfos *keys);

/* keys is taken over, and empty then. When there is no memory the call fails. */
void sg_key_reply_start(struct sg_call *call, struct sg_msg_keyinfos *keys, sg_key_reply_fn *make,
    sg_key_reply_end_fn *end);
void sg_key_reply_free(struct sg_key_reply *reply); /* NULL is fine; sg_call_free() does it */

#endif
