#include "channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "log.h"
#include "msg.h"

#define LENGTH_SIZE 4u
#define HEADER_SIZE 7u		 /* id, type, number of descriptors */
#define ROOM_FIRST  (64u << 10)	 /* of the read buffer, and when a run of frames is closed */
#define ROOM_KEPT   (256u << 10) /* a larger buffer is given back once it is empty */
#define ROOM_MAX    (16u << 20)
#define FDS_MAX	    16u /* descriptors that came and no frame has claimed yet */

/* Frames that are written together. Only the first may carry a descriptor: it goes with the first byte. */
struct run {
	struct run *next;
	struct sg_buf bytes;
	size_t sent;
	int fd;
};

struct sg_channel {
	int sock;
	int broken; /* the error that ended reading, or 0 */

	/* What was read and not taken is in[in_pos .. in_len). */
	unsigned char *in;
	size_t in_pos, in_len, in_room;
	int fds[FDS_MAX];
	unsigned fd_count;

	struct run *first, *last;
	size_t queued;
};

int sg_channel_new(struct sg_channel **channel, int sock)
{
	*channel = calloc(1, sizeof(**channel));
	if (*channel == NULL)
		return SG_ERR_NOMEM;
	(*channel)->sock = sock;
	return 0;
}

static void run_free(struct run *run)
{
	if (run->fd >= 0)
		close(run->fd);
	sg_buf_clear(&run->bytes);
	free(run);
}

static void fds_close(struct sg_channel *channel)
{
	for (unsigned i = 0; i < channel->fd_count; i++)
		close(channel->fds[i]);
	channel->fd_count = 0;
}

void sg_channel_free(struct sg_channel *channel)
{
	if (channel == NULL)
		return;
	while (channel->first != NULL) {
		struct run *next = channel->first->next;

		run_free(channel->first);
		channel->first = next;
	}
	fds_close(channel);
	free(channel->in);
	close(channel->sock);
	free(channel);
}

int sg_channel_fd(const struct sg_channel *channel)
{
	return channel->sock;
}

void sg_frame_clear(struct sg_frame *frame)
{
	if (frame->msg != NULL) {
		sg_msg_clear(frame->type, frame->msg);
		free(frame->msg);
	}
	if (frame->fd >= 0)
		close(frame->fd);
	*frame = (struct sg_frame){ .fd = -1 };
}

/* ---- out ---- */

/* The run that a frame is appended to; takes fd over. */
static struct run *run_for_frame(struct sg_channel *channel, int fd)
{
	struct run *run = channel->last;

	if (run != NULL && fd < 0 && run->bytes.len < ROOM_FIRST)
		return run;
	if (run != NULL && run->bytes.len == 0) {
		run->fd = fd;
		return run;
	}
	run = calloc(1, sizeof(*run));
	if (run == NULL) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	run->fd = fd;
	if (channel->last != NULL)
		channel->last->next = run;
	else
		channel->first = run;
	channel->last = run;
	return run;
}

/* Appends the frame to the bytes, or leaves them as they were. */
static int frame_encode(const struct sg_layout *layout, uint32_t id, uint16_t type, int has_fd,
    const void *msg, struct sg_buf *bytes)
{
	size_t start = bytes->len;
	size_t len = 0;
	int err;

	sg_buf_put_u32(bytes, 0);
	sg_buf_put_u32(bytes, id);
	sg_buf_put_u8(bytes, (uint8_t)(type >> 8));
	sg_buf_put_u8(bytes, (uint8_t)type);
	sg_buf_put_u8(bytes, has_fd != 0);
	err = sg_layout_encode(layout, msg, bytes);
	if (err == 0) {
		len = bytes->len - start - LENGTH_SIZE;
		if (len > SG_FRAME_MAX)
			err = SG_ERR_LIMIT;
	}
	if (err != 0) {
		bytes->len = start;
		bytes->err = 0;
		return err;
	}
	for (unsigned i = 0; i < LENGTH_SIZE; i++)
		bytes->data[start + i] = (unsigned char)(len >> (8 * (LENGTH_SIZE - 1 - i)));
	return 0;
}

/* An empty run at the end would be sent without its descriptor: take it away again. */
static void run_drop_last(struct sg_channel *channel)
{
	struct run *run = channel->first, *before = NULL;

	for (; run != channel->last; run = run->next)
		before = run;
	if (before != NULL)
		before->next = NULL;
	else
		channel->first = NULL;
	channel->last = before;
	run_free(run);
}

int sg_channel_put(struct sg_channel *channel, uint32_t id, uint16_t type, const void *msg, int fd)
{
	const struct sg_layout *layout = sg_msg_layout(type);
	struct run *run;
	size_t before;
	int copy = -1;
	int err;

	if (layout == NULL || (msg == NULL && layout->field_count > 0))
		return SG_ERR_ARG;
	if (channel->queued >= SG_CHANNEL_QUEUE_MAX)
		return SG_ERR_LIMIT;
	if (fd >= 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (copy < 0)
			return SG_ERR_IO;
	}
	run = run_for_frame(channel, copy);
	if (run == NULL)
		return SG_ERR_NOMEM;
	before = run->bytes.len;
	err = frame_encode(layout, id, type, copy >= 0, msg, &run->bytes);
	channel->queued += run->bytes.len - before;
	if (err != 0 && run->bytes.len == 0)
		run_drop_last(channel);
	return err;
}

/* One write of the run; the descriptor goes with its first byte, and only once. */
static ssize_t run_write(int sock, struct run *run)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec iov = { run->bytes.data + run->sent, run->bytes.len - run->sent };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (run->fd >= 0) {
		struct cmsghdr *cmsg;

		hdr.msg_control = control.bytes;
		hdr.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &run->fd, sizeof(int));
	}
	do
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n > 0 && run->fd >= 0) {
		close(run->fd);
		run->fd = -1;
	}
	return n;
}

/* A run that is wholly written; the only one is kept for the next frames, unless it grew large. */
static void run_done(struct sg_channel *channel, struct run *run)
{
	if (run->next == NULL && run->bytes.room <= ROOM_KEPT) {
		run->bytes.len = 0;
		run->sent = 0;
		return;
	}
	channel->first = run->next;
	if (channel->first == NULL)
		channel->last = NULL;
	run_free(run);
}

int sg_channel_flush(struct sg_channel *channel)
{
	while (channel->queued > 0) {
		struct run *run = channel->first;
		ssize_t n = run_write(channel->sock, run);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 1;
		if (n < 0)
			return SG_ERR_IO;
		run->sent += (size_t)n;
		channel->queued -= (size_t)n;
		if (run->sent == run->bytes.len)
			run_done(channel, run);
	}
	return 0;
}

/* ---- out, elsewhere ---- */

static uint32_t number_at(const struct run *run, size_t pos)
{
	const unsigned char *p = run->bytes.data + pos;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Where the first frame begins of which nothing was written: a run holds whole frames. */
static size_t run_unsent(const struct run *run)
{
	size_t pos = 0;

	while (pos < run->sent)
		pos += LENGTH_SIZE + number_at(run, pos);
	return pos;
}

int sg_channel_has_unsent(const struct sg_channel *channel)
{
	for (const struct run *run = channel->first; run != NULL; run = run->next) {
		if (run_unsent(run) < run->bytes.len)
			return 1;
	}
	return 0;
}

/* The descriptor goes with the first frame of its run. */
static int frame_move(struct run *run, size_t pos, size_t size, struct sg_channel *to)
{
	int fd = pos == 0 ? run->fd : -1;
	struct run *end;
	size_t before;

	if (pos == 0)
		run->fd = -1;
	end = run_for_frame(to, fd);
	if (end == NULL)
		return SG_ERR_NOMEM;
	before = end->bytes.len;
	sg_buf_put(&end->bytes, run->bytes.data + pos, size);
	if (end->bytes.err == 0) {
		to->queued += size;
		return 0;
	}
	end->bytes.len = before;
	end->bytes.err = 0;
	if (before == 0)
		run_drop_last(to);
	return SG_ERR_NOMEM;
}

int sg_channel_move_unsent(
    struct sg_channel *from, struct sg_channel *to, sg_channel_keep_fn *keep, void *arg)
{
	int err = 0;

	for (struct run *run = from->first; run != NULL && err == 0; run = run->next) {
		size_t size;

		for (size_t pos = run_unsent(run); pos < run->bytes.len && err == 0; pos += size) {
			size = LENGTH_SIZE + number_at(run, pos);
			if (keep(arg, number_at(run, pos + LENGTH_SIZE)))
				err = frame_move(run, pos, size, to);
		}
	}
	return err;
}

/* ---- in ---- */

/*
 * Makes room to read into. What is kept is moved only when at least as much was taken before it, or
 * when the buffer may not grow, so a stream of small frames is moved seldom. The buffer grows with
 * what came, never with what a length field claims.
 */
static int in_make_room(struct sg_channel *channel)
{
	size_t kept = channel->in_len - channel->in_pos;
	size_t room = channel->in_room;
	unsigned char *in;

	if (kept == 0) {
		channel->in_pos = channel->in_len = 0;
		if (room > ROOM_KEPT) {
			free(channel->in);
			channel->in = NULL;
			channel->in_room = room = 0;
		}
	}
	if (room > 0 && room - channel->in_len >= room / 4)
		return 0;
	if (room > 0 && (channel->in_pos >= kept || room >= ROOM_MAX)) {
		memmove(channel->in, channel->in + channel->in_pos, kept);
		channel->in_pos = 0;
		channel->in_len = kept;
		return kept < room ? 0 : SG_ERR_LIMIT;
	}
	room = room > 0 ? room * 2 : ROOM_FIRST;
	in = realloc(channel->in, room);
	if (in == NULL)
		return SG_ERR_NOMEM;
	channel->in = in;
	channel->in_room = room;
	return 0;
}

/* Takes the descriptors of one recvmsg; none is ever lost sight of. */
static int fds_take(struct sg_channel *channel, struct msghdr *hdr)
{
	int err = (hdr->msg_flags & MSG_CTRUNC) != 0 ? SG_ERR_LIMIT : 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(hdr); cmsg != NULL;
	     cmsg = CMSG_NXTHDR(hdr, cmsg)) {
		size_t count;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (channel->fd_count < FDS_MAX) {
				channel->fds[channel->fd_count++] = fd;
				continue;
			}
			close(fd);
			err = SG_ERR_LIMIT;
		}
	}
	if (err != 0) {
		sg_log(SG_LOG_ERROR, "too many descriptors came over a channel");
		fds_close(channel);
	}
	return err;
}

/* One recvmsg: 1 something came, 0 the end, SG_ERR_TIMEOUT it would block, or another error. */
static int channel_read(struct sg_channel *channel)
{
	union {
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;
	int err;

	if (channel->broken != 0)
		return channel->broken;
	err = in_make_room(channel);
	if (err != 0)
		return err;
	iov.iov_base = channel->in + channel->in_len;
	iov.iov_len = channel->in_room - channel->in_len;
	hdr.msg_control = control.bytes;
	hdr.msg_controllen = sizeof(control.bytes);
	do
		n = recvmsg(channel->sock, &hdr, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return SG_ERR_TIMEOUT;
	if (n == 0 || (n < 0 && errno == ECONNRESET)) /* reset: it died with our bytes unread */
		return 0;
	if (n < 0)
		return SG_ERR_IO;
	channel->in_len += (size_t)n;
	channel->broken = fds_take(channel, &hdr);
	return channel->broken != 0 ? channel->broken : 1;
}

int sg_channel_fill(struct sg_channel *channel)
{
	int got = channel_read(channel);

	return got == SG_ERR_TIMEOUT ? 1 : got;
}

/* Decodes a whole frame. A descriptor that it names is taken even when the message turns out bad. */
static int frame_decode(struct sg_channel *channel, struct sg_cursor *cur, struct sg_frame *frame)
{
	const struct sg_layout *layout;
	const unsigned char *head;
	int err;

	if (sg_cursor_get_u32(cur, &frame->id) != 0 || sg_cursor_get(cur, 3, &head) != 0)
		return SG_ERR_FORMAT;
	frame->type = (uint16_t)(head[0] << 8 | head[1]);
	layout = sg_msg_layout(frame->type);
	if (layout == NULL || head[2] > 1 || head[2] > channel->fd_count)
		return SG_ERR_FORMAT;
	if (head[2] == 1) {
		frame->fd = channel->fds[0];
		channel->fd_count--;
		memmove(channel->fds, channel->fds + 1, channel->fd_count * sizeof(int));
	}
	frame->msg = calloc(1, layout->size);
	if (frame->msg == NULL)
		return SG_ERR_NOMEM;
	err = sg_layout_decode(layout, cur, frame->msg);
	if (err == 0 && sg_cursor_left(cur) > 0)
		err = SG_ERR_FORMAT;
	return err;
}

int sg_channel_next(struct sg_channel *channel, struct sg_frame *frame)
{
	struct sg_cursor cur;
	uint32_t len;
	int err;

	*frame = (struct sg_frame){ .fd = -1 };
	if (channel->broken != 0)
		return channel->broken;
	if (channel->in == NULL)
		return 0;
	cur = (struct sg_cursor){ channel->in + channel->in_pos, channel->in + channel->in_len };
	if (sg_cursor_get_u32(&cur, &len) != 0)
		return 0;
	err = len < HEADER_SIZE ? SG_ERR_FORMAT : len > SG_FRAME_MAX ? SG_ERR_LIMIT : 0;
	if (err == 0) {
		if (len > sg_cursor_left(&cur))
			return 0;
		cur.end = cur.pos + len;
		channel->in_pos += LENGTH_SIZE + len;
		err = frame_decode(channel, &cur, frame);
	}
	if (err == 0)
		return 1;
	sg_frame_clear(frame);
	fds_close(channel);
	channel->broken = err;
	return err;
}

int sg_channel_send(struct sg_channel *channel, uint32_t id, uint16_t type, const void *msg, int fd)
{
	int err = sg_channel_put(channel, id, type, msg, fd);

	if (err == 0)
		err = sg_channel_flush(channel);
	return err == 1 ? SG_ERR_TIMEOUT : err; /* a send timeout is set on the socket */
}

int sg_channel_recv(struct sg_channel *channel, struct sg_frame *frame)
{
	int got;

	while ((got = sg_channel_next(channel, frame)) == 0) {
		got = channel_read(channel);
		if (got <= 0)
			return got;
	}
	return got;
}
