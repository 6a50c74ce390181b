/*
 * A connected Unix stream socket that carries frames between a broker and a worker.
 *
 * A frame: 4 bytes length of what follows, 4 bytes id, 2 bytes type, 1 byte number of descriptors
 * (0 or 1), the message. Not thread-safe: callers serialise.
 */
#ifndef SG_PROTO_CHANNEL_H
#define SG_PROTO_CHANNEL_H

#include <stdint.h>

#include "buf.h"
#include "error.h"

#define SG_FRAME_MAX	     (8u << 20)	 /* bytes after the length field */
#define SG_CHANNEL_QUEUE_MAX (32u << 20) /* bytes that wait for a peer which does not read */

struct sg_channel;

/* Takes the socket over, closes it in sg_channel_free(); not on SG_ERR_NOMEM. The socket may be
 * blocking or not. */
SG_MUST_USE int sg_channel_new(struct sg_channel **channel, int sock);
void sg_channel_free(struct sg_channel *channel);
int sg_channel_fd(const struct sg_channel *channel);

struct sg_frame {
	uint32_t id;
	uint16_t type;
	int fd;	   /* -1, or a descriptor that the frame owns */
	void *msg; /* the decoded struct of the type, owned */
};

/* Frees the message and closes the descriptor. */
void sg_frame_clear(struct sg_frame *frame);

/*
 * Queues a frame. fd is -1, or a descriptor that is duplicated into the frame (the caller keeps its
 * own). msg may be NULL for struct sg_msg_empty. On failure nothing is queued and the channel stays
 * healthy: SG_ERR_LIMIT (the message is larger than a frame may be, or SG_CHANNEL_QUEUE_MAX waits
 * already), SG_ERR_FORMAT (a string that is not UTF-8), SG_ERR_ARG (no such type, or no msg for one
 * that has fields), SG_ERR_IO (the descriptor cannot be duplicated), SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_channel_put(
    struct sg_channel *channel, uint32_t id, uint16_t type, const void *msg, int fd);

/* Writes what is queued; returns 1 when some is left (the socket would block), 0 when none, or
 * an error. */
SG_MUST_USE int sg_channel_flush(struct sg_channel *channel);

/*
 * For a channel whose peer has gone: whether there are frames of which nothing was written; and
 * moves those of them that keep wants, with their descriptors, to the end of another channel's
 * queue. keep is asked once for each, in their order. SG_ERR_NOMEM.
 */
int sg_channel_has_unsent(const struct sg_channel *channel);
typedef int sg_channel_keep_fn(void *arg, uint32_t id);
SG_MUST_USE int sg_channel_move_unsent(
    struct sg_channel *from, struct sg_channel *to, sg_channel_keep_fn *keep, void *arg);

/*
 * Reads once what is there. 1: something came (or would block, on a non-blocking socket); 0: the
 * peer closed; SG_ERR_IO; SG_ERR_NOMEM; SG_ERR_LIMIT: descriptors came that no frame claims, or
 * what came was not taken by sg_channel_next().
 */
SG_MUST_USE int sg_channel_fill(struct sg_channel *channel);

/*
 * Takes the next whole frame out of what was read: 1 and *frame, 0 when more must be read first, or
 * SG_ERR_FORMAT / SG_ERR_LIMIT / SG_ERR_NOMEM: then nothing more can be read from this channel.
 */
SG_MUST_USE int sg_channel_next(struct sg_channel *channel, struct sg_frame *frame);

/* For blocking sockets: queue and flush; fill until a frame is there (0 at the peer's end, 1 a
 * frame). SG_ERR_TIMEOUT only where SO_SNDTIMEO or SO_RCVTIMEO is set. */
SG_MUST_USE int sg_channel_send(
    struct sg_channel *channel, uint32_t id, uint16_t type, const void *msg, int fd);
SG_MUST_USE int sg_channel_recv(struct sg_channel *channel, struct sg_frame *frame);

#endif
