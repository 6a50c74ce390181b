#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "msg.h"

#define CHUNK_MAX 60000u /* what a socket surely takes at once */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a message encodes to must decode, and encode to the very same bytes again: nothing of it is lost. */
static void check_frame(const struct sg_frame *frame)
{
	const struct sg_layout *layout = sg_msg_layout(frame->type);
	struct sg_buf first = { 0 }, second = { 0 };
	struct sg_cursor cur;
	void *copy;

	assert(layout != NULL && frame->msg != NULL);
	assert(sg_layout_encode(layout, frame->msg, &first) == 0);
	copy = calloc(1, layout->size);
	assert(copy != NULL);
	cur = (struct sg_cursor){ first.data, first.data + first.len };
	assert(sg_layout_decode(layout, &cur, copy) == 0 && sg_cursor_left(&cur) == 0);
	assert(sg_layout_encode(layout, copy, &second) == 0);
	assert(first.len == second.len);
	assert(first.len == 0 || memcmp(first.data, second.data, first.len) == 0);
	sg_msg_clear(frame->type, copy);
	free(copy);
	sg_buf_clear(&first);
	sg_buf_clear(&second);
}

/* The bytes as a peer's stream, a descriptor with its first byte when the first bit says so. */
static void send_stream(int sock, const uint8_t *data, size_t size)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	uint8_t copy[CHUNK_MAX];
	struct iovec iov = { copy + 1, size - 1 };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, data, size);
	if ((data[0] & 1) != 0) {
		struct cmsghdr *cmsg;
		int fd = STDIN_FILENO;

		hdr.msg_control = control.bytes;
		hdr.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	if (sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_channel *channel;
	struct sg_frame frame;
	int fds[2];
	int err = 1;

	if (size < 2 || size > CHUNK_MAX || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
		return 0;
	send_stream(fds[1], data, size);
	close(fds[1]);
	if (sg_channel_new(&channel, fds[0]) != 0)
		abort();
	while ((err = sg_channel_recv(channel, &frame)) == 1) {
		check_frame(&frame);
		sg_frame_clear(&frame);
	}
	assert(err == 0 || err == SG_ERR_FORMAT || err == SG_ERR_LIMIT);
	assert(frame.msg == NULL && frame.fd == -1);
	sg_channel_free(channel);
	return 0;
}
