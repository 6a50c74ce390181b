#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "capture.h"
#include "channel.h"
#include "msg.h"

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	return count;
}

static size_t descriptors_before;

static int count_before(void **state)
{
	descriptors_before = open_descriptors();
	return 0;
}

/* No test may leave a descriptor open, however it ended. */
static int count_after(void **state)
{
	return open_descriptors() == descriptors_before ? 0 : -1;
}

static void channels_new(struct sg_channel **a, struct sg_channel **b, int flags)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0, fds), 0);
	assert_int_equal(sg_channel_new(a, fds[0]), 0);
	assert_int_equal(sg_channel_new(b, fds[1]), 0);
	assert_int_equal(sg_channel_fd(*a), fds[0]);
}

/* A channel, and the bare socket at its other end. */
static void channel_and_socket(struct sg_channel **channel, int *sock)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(sg_channel_new(channel, fds[0]), 0);
	*sock = fds[1];
}

static void send_der(struct sg_channel *channel, uint32_t id, const char *text, int fd)
{
	struct sg_msg_der msg = { 0 };

	assert_int_equal(sg_blob_set(&msg.der, text, strlen(text)), 0);
	assert_int_equal(sg_channel_put(channel, id, SG_MSG_DER, &msg, fd), 0);
	sg_blob_clear(&msg.der);
}

static void assert_der(const struct sg_frame *frame, uint32_t id, const char *text)
{
	const struct sg_msg_der *msg = frame->msg;

	assert_int_equal(frame->type, SG_MSG_DER);
	assert_int_equal(frame->id, id);
	assert_int_equal(msg->der.len, strlen(text));
	assert_memory_equal(msg->der.data, text, msg->der.len);
}

/* A descriptor whose content says which one it is. */
static int numbered_fd(int number)
{
	int fd = memfd_create("numbered", MFD_CLOEXEC);

	assert_int_equal(write(fd, &number, sizeof(number)), sizeof(number));
	return fd;
}

static int number_of(int fd)
{
	int number = -1;

	assert_int_equal(pread(fd, &number, sizeof(number), 0), sizeof(number));
	return number;
}

static void frames_there_and_back(void **state)
{
	struct sg_channel *a, *b;
	struct sg_frame frame;

	channels_new(&a, &b, 0);
	assert_int_equal(sg_channel_send(a, 7, SG_MSG_TOKEN_LIST, NULL, -1), 0);
	assert_int_equal(sg_channel_recv(b, &frame), 1);
	assert_int_equal(frame.id, 7);
	assert_int_equal(frame.type, SG_MSG_TOKEN_LIST);
	assert_int_equal(frame.fd, -1);
	sg_frame_clear(&frame);
	send_der(b, 0xffffffff, "answer", -1);
	assert_int_equal(sg_channel_flush(b), 0);
	assert_int_equal(sg_channel_recv(a, &frame), 1);
	assert_der(&frame, 0xffffffff, "answer");
	sg_frame_clear(&frame);
	assert_null(frame.msg);
	sg_channel_free(b);
	assert_int_equal(sg_channel_recv(a, &frame), 0);
	sg_channel_free(a);
	sg_channel_free(NULL);
}

static void bytes_of_a_frame(void **state)
{
	static const char wire[] = "\x00\x00\x00\x0d\x01\x02\x03\x04\x00\x32\x00\x00\x00\x00\x02hi";
	struct sg_channel *channel;
	struct sg_frame frame;
	char bytes[100];
	int sock;

	channel_and_socket(&channel, &sock);
	send_der(channel, 0x01020304, "hi", -1);
	assert_int_equal(sg_channel_flush(channel), 0);
	assert_int_equal(recv(sock, bytes, sizeof(bytes), 0), sizeof(wire) - 1);
	assert_memory_equal(bytes, wire, sizeof(wire) - 1);

	/* and back, one byte at a time */
	for (size_t i = 0; i < sizeof(wire) - 1; i++) {
		assert_int_equal(sg_channel_next(channel, &frame), 0);
		assert_int_equal(send(sock, wire + i, 1, 0), 1);
		assert_int_equal(sg_channel_fill(channel), 1);
	}
	assert_int_equal(sg_channel_next(channel, &frame), 1);
	assert_der(&frame, 0x01020304, "hi");
	sg_frame_clear(&frame);
	sg_channel_free(channel);
	close(sock);
}

static void many_frames_in_order(void **state)
{
	struct sg_channel *a, *b;
	uint32_t sent = 0, got = 0;
	struct sg_frame frame;

	channels_new(&a, &b, SOCK_NONBLOCK);
	while (got < 20000) {
		char text[300];
		int err = 0;

		/* far more than one read takes: frames come cut, and are put together again */
		for (int i = 0; i < 7000 && sent < 20000; i++, sent++) {
			memset(text, 'x', sizeof(text));
			text[sent % sizeof(text)] = '\0';
			send_der(a, sent, text, -1);
		}
		assert_true(sg_channel_flush(a) >= 0);
		assert_int_equal(sg_channel_fill(b), 1);
		while ((err = sg_channel_next(b, &frame)) == 1) {
			memset(text, 'x', sizeof(text));
			text[got % sizeof(text)] = '\0';
			assert_der(&frame, got++, text);
			sg_frame_clear(&frame);
		}
		assert_int_equal(err, 0);
	}
	assert_int_equal(sg_channel_flush(a), 0);
	sg_channel_free(a);
	sg_channel_free(b);
}

/* The largest frame, on sockets that take it in pieces, with descriptors before, in and after it. */
static void largest_frame_with_descriptors(void **state)
{
	struct sg_channel *a, *b;
	struct sg_msg_der msg = { 0 };
	struct sg_frame frame;
	uint32_t got = 0;

	channels_new(&a, &b, SOCK_NONBLOCK);
	msg.der.len = SG_FRAME_MAX - 7 - 4;
	msg.der.data = calloc(1, msg.der.len);
	msg.der.data[msg.der.len - 1] = 'z';
	for (int i = 0; i < 3; i++) {
		int fd = numbered_fd(i);

		if (i == 1)
			assert_int_equal(sg_channel_put(a, 1, SG_MSG_DER, &msg, fd), 0);
		else
			send_der(a, (uint32_t)i, "small", fd);
		close(fd);
	}
	assert_int_equal(sg_channel_flush(a), 1);
	while (got < 3) {
		int err;

		assert_true(sg_channel_flush(a) >= 0);
		assert_int_equal(sg_channel_fill(b), 1);
		while ((err = sg_channel_next(b, &frame)) == 1) {
			assert_int_equal(frame.id, got);
			assert_int_equal(number_of(frame.fd), got);
			assert_true((fcntl(frame.fd, F_GETFD) & FD_CLOEXEC) != 0);
			if (got == 1) {
				assert_int_equal(
				    ((struct sg_msg_der *)frame.msg)->der.len, msg.der.len);
				assert_true(
				    sg_blob_eq(&((struct sg_msg_der *)frame.msg)->der, &msg.der));
			}
			got++;
			sg_frame_clear(&frame);
		}
		assert_int_equal(err, 0);
	}
	sg_blob_clear(&msg.der);
	sg_channel_free(a);
	sg_channel_free(b);
}

static void put_refuses_and_stays_healthy(void **state)
{
	char bad[] = "\xff";
	struct sg_msg_token_ref ref = { .token = bad };
	struct sg_msg_der big = { .der = { calloc(1, SG_FRAME_MAX), SG_FRAME_MAX - 7 - 4 + 1 } };
	struct sg_channel *a, *b;
	struct sg_frame frame;
	int fd = numbered_fd(5);

	channels_new(&a, &b, 0);
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_DER, &big, -1), SG_ERR_LIMIT);
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_DER, &big, fd), SG_ERR_LIMIT);
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_TOKEN_LOGOUT, &ref, -1), SG_ERR_FORMAT);
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_TOKEN_LOGOUT, &ref, fd), SG_ERR_FORMAT);
	assert_int_equal(sg_channel_put(a, 1, 9999, &ref, -1), SG_ERR_ARG);
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_DER, NULL, -1), SG_ERR_ARG);
	send_der(a, 2, "first", -1);
	assert_int_equal(sg_channel_put(a, 3, SG_MSG_DER, &big, fd), SG_ERR_LIMIT);
	assert_int_equal(sg_channel_put(a, 3, SG_MSG_DER, &big, -1), SG_ERR_LIMIT);
	send_der(a, 4, "second", fd);
	assert_int_equal(sg_channel_flush(a), 0);
	assert_int_equal(sg_channel_put(a, 3, SG_MSG_DER, &big, fd), SG_ERR_LIMIT);
	send_der(a, 5, "third", -1);
	assert_int_equal(sg_channel_flush(a), 0);
	assert_int_equal(sg_channel_recv(b, &frame), 1);
	assert_der(&frame, 2, "first");
	assert_int_equal(frame.fd, -1);
	sg_frame_clear(&frame);
	assert_int_equal(sg_channel_recv(b, &frame), 1);
	assert_der(&frame, 4, "second");
	assert_int_equal(number_of(frame.fd), 5);
	sg_frame_clear(&frame);
	assert_int_equal(sg_channel_recv(b, &frame), 1);
	assert_der(&frame, 5, "third");
	assert_int_equal(frame.fd, -1);
	sg_frame_clear(&frame);
	free(big.der.data);
	close(fd);
	sg_channel_free(a);
	sg_channel_free(b);
}

static void queue_has_a_limit(void **state)
{
	struct sg_msg_der msg = { .der = { calloc(1, 1u << 20), 1u << 20 } };
	struct sg_channel *a, *b;
	struct sg_frame frame;
	int put = 0, got = 0, err;

	channels_new(&a, &b, SOCK_NONBLOCK);
	while ((err = sg_channel_put(a, 1, SG_MSG_DER, &msg, -1)) == 0)
		put++;
	assert_int_equal(err, SG_ERR_LIMIT);
	assert_in_range(
	    put, SG_CHANNEL_QUEUE_MAX / (1u << 20) - 1, SG_CHANNEL_QUEUE_MAX / (1u << 20) + 1);
	while (got < put) {
		assert_true(sg_channel_flush(a) >= 0);
		assert_int_equal(sg_channel_fill(b), 1);
		while (sg_channel_next(b, &frame) == 1) {
			got++;
			sg_frame_clear(&frame);
		}
	}
	assert_int_equal(sg_channel_put(a, 1, SG_MSG_DER, &msg, -1), 0);
	sg_channel_free(a); /* with bytes left in the queue */
	sg_channel_free(b);
	free(msg.der.data);
}

/* Sends bytes with these descriptors from a bare socket. */
static void send_raw(int sock, const void *bytes, size_t len, const int *fds, size_t count)
{
	union {
		char bytes[CMSG_SPACE(64 * sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	char copy[256];
	struct iovec iov = { copy, len };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1 };

	memcpy(copy, bytes, len);
	if (count > 0) {
		struct cmsghdr *cmsg;

		hdr.msg_control = control.bytes;
		hdr.msg_controllen = CMSG_SPACE(count * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&hdr);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
	}
	assert_int_equal(sendmsg(sock, &hdr, 0), len);
}

/* A stream that breaks the rules ends reading with this error, now and ever after. */
static void assert_broken(const void *bytes, size_t len, size_t fd_count, int want)
{
	struct sg_channel *channel;
	struct sg_frame frame;
	int fds[64];
	int sock, err;

	channel_and_socket(&channel, &sock);
	for (size_t i = 0; i < fd_count; i++)
		fds[i] = numbered_fd((int)i);
	send_raw(sock, bytes, len, fds, fd_count);
	for (size_t i = 0; i < fd_count; i++)
		close(fds[i]);
	err = sg_channel_recv(channel, &frame);
	assert_int_equal(err, want);
	assert_null(frame.msg);
	assert_int_equal(frame.fd, -1);
	assert_int_equal(send(sock, "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x00", 11, 0), 11);
	assert_int_equal(sg_channel_next(channel, &frame), want);
	assert_int_equal(sg_channel_fill(channel), want);
	sg_channel_free(channel);
	close(sock);
}

static void malformed_streams(void **state)
{
	struct capture capture;

	/* length: less than a header, more than a frame may have */
	assert_broken("\x00\x00\x00\x06\x00\x00\x00\x00\x00\x01", 10, 0, SG_ERR_FORMAT);
	assert_broken("\x00\x00\x00\x00", 4, 0, SG_ERR_FORMAT);
	assert_broken("\x00\x80\x00\x01", 4, 0, SG_ERR_LIMIT);
	assert_broken("\xff\xff\xff\xff", 4, 0, SG_ERR_LIMIT);
	/* type: none, unknown */
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00", 11, 0, SG_ERR_FORMAT);
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x27\x0f\x00", 11, 0, SG_ERR_FORMAT);
	/* a descriptor that is named and did not come; a number of them that cannot be */
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01", 11, 0, SG_ERR_FORMAT);
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x02", 11, 2, SG_ERR_FORMAT);
	/* message: trailing byte, cut, and bad with a descriptor, which must not leak */
	assert_broken("\x00\x00\x00\x08\x00\x00\x00\x00\x00\x01\x00x", 12, 0, SG_ERR_FORMAT);
	assert_broken(
	    "\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x32\x00\x00\x00\x00\x02h", 16, 0, SG_ERR_FORMAT);
	assert_broken(
	    "\x00\x00\x00\x0c\x00\x00\x00\x00\x00\x32\x01\x00\x00\x00\x02h", 16, 2, SG_ERR_FORMAT);
	/* more descriptors than may wait */
	capture_begin(&capture);
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01", 11, 17, SG_ERR_LIMIT);
	assert_broken("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01", 11, 60, SG_ERR_LIMIT);
	capture_end(&capture);
	assert_non_null(strstr(capture.text, "too many descriptors"));
}

static void unclaimed_descriptors_have_a_limit(void **state)
{
	struct sg_channel *channel;
	struct capture capture;
	int fd = numbered_fd(1);
	int sock, err = 1, sent = 0;

	channel_and_socket(&channel, &sock);
	capture_begin(&capture);
	while (err == 1 && sent < 100) {
		send_raw(sock, "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x00", 11, &fd, 1);
		sent++;
		err = sg_channel_fill(channel);
	}
	capture_end(&capture);
	assert_int_equal(err, SG_ERR_LIMIT);
	assert_int_equal(sent, 17);
	sg_channel_free(channel);
	close(sock);
	close(fd);
}

/* Sixteen at once are fine, and each goes to the frame that names it. */
static void descriptors_are_claimed_in_order(void **state)
{
	struct sg_channel *channel;
	int fds[16], sock;

	channel_and_socket(&channel, &sock);
	for (int i = 0; i < 16; i++)
		fds[i] = numbered_fd(i);
	send_raw(sock, "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01", 11, fds, 16);
	for (int i = 1; i < 16; i++) {
		send_raw(sock, "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x00", 11, NULL, 0);
		send_raw(sock, "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x01\x01", 11, NULL, 0);
	}
	for (int i = 0; i < 31; i++) {
		struct sg_frame frame;

		assert_int_equal(sg_channel_recv(channel, &frame), 1);
		if (i % 2 == 0)
			assert_int_equal(number_of(frame.fd), i / 2);
		else
			assert_int_equal(frame.fd, -1);
		sg_frame_clear(&frame);
	}
	for (int i = 0; i < 16; i++)
		close(fds[i]);
	sg_channel_free(channel);
	close(sock);
}

static void a_peer_that_goes(void **state)
{
	struct sg_channel *a, *b;
	struct sg_frame frame;

	channels_new(&a, &b, 0);
	send_der(b, 1, "last words", -1);
	assert_int_equal(sg_channel_flush(b), 0);
	assert_int_equal(sg_channel_send(a, 1, SG_MSG_OK, NULL, -1), 0); /* never read */
	sg_channel_free(b);
	assert_int_equal(sg_channel_recv(a, &frame), 1);
	assert_der(&frame, 1, "last words");
	sg_frame_clear(&frame);
	assert_int_equal(sg_channel_recv(a, &frame), 0);
	assert_int_equal(sg_channel_send(a, 2, SG_MSG_OK, NULL, -1), SG_ERR_IO);
	sg_channel_free(a);
}

static void half_a_frame_is_no_frame(void **state)
{
	struct sg_channel *channel;
	struct sg_frame frame;
	int sock;

	channel_and_socket(&channel, &sock);
	send_raw(sock, "\x00\x00\x00\x07\x00\x00\x00", 7, NULL, 0);
	close(sock);
	assert_int_equal(sg_channel_recv(channel, &frame), 0);
	sg_channel_free(channel);
}

static void non_blocking_and_timeouts(void **state)
{
	const struct timeval soon = { 0, 20000 };
	struct sg_msg_der msg = { .der = { calloc(1, 4u << 20), 4u << 20 } };
	struct sg_channel *a, *b;
	struct sg_frame frame;

	channels_new(&a, &b, SOCK_NONBLOCK);
	assert_int_equal(sg_channel_fill(a), 1);
	assert_int_equal(sg_channel_next(a, &frame), 0);
	sg_channel_free(a);
	sg_channel_free(b);

	channels_new(&a, &b, 0);
	assert_int_equal(
	    setsockopt(sg_channel_fd(a), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
	assert_int_equal(
	    setsockopt(sg_channel_fd(a), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
	assert_int_equal(sg_channel_recv(a, &frame), SG_ERR_TIMEOUT);
	assert_int_equal(sg_channel_send(a, 1, SG_MSG_DER, &msg, -1), SG_ERR_TIMEOUT);
	sg_channel_free(a);
	sg_channel_free(b);
	free(msg.der.data);
}

#define WATCHED(test) cmocka_unit_test_setup_teardown(test, count_before, count_after)

#define UNSENT_FRAMES 2000

/* Every frame but those of an id that 7 divides. */
static int keep_most(void *arg, uint32_t id)
{
	uint32_t *asked = arg;

	assert_true(id > *asked); /* in their order, each once */
	*asked = id;
	return id % 7 != 0;
}

static void unsent_frames_go_elsewhere(void **state)
{
	struct sg_channel *a, *b, *c, *d;
	struct sg_frame frame;
	uint32_t next, seen = 0, asked = 0;
	char text[256] = "";

	memset(text, 'x', sizeof(text) - 1);
	channels_new(&a, &b, SOCK_NONBLOCK);
	channels_new(&c, &d, SOCK_NONBLOCK);
	assert_false(sg_channel_has_unsent(a));
	for (uint32_t id = 1; id <= UNSENT_FRAMES; id++) {
		send_der(a, id, text, id % 100 == 0 ? STDIN_FILENO : -1);
		assert_true(sg_channel_flush(a) >= 0);
	}
	/* What the peer could see, it sees: a part of the frames, and perhaps of one more. */
	while (sg_channel_fill(b) == 1) {
		uint32_t before = seen;

		while (sg_channel_next(b, &frame) == 1) {
			assert_der(&frame, ++seen, text);
			sg_frame_clear(&frame);
		}
		if (seen == before)
			break;
	}
	assert_in_range(seen, 1, UNSENT_FRAMES / 2);
	sg_channel_free(b);
	assert_true(sg_channel_has_unsent(a));
	assert_int_equal(sg_channel_move_unsent(a, c, keep_most, &asked), 0);
	sg_channel_free(a);
	assert_int_equal(asked, UNSENT_FRAMES);
	next = 0;
	for (int left = 1; left != 0;) {
		left = sg_channel_flush(c);
		assert_true(left >= 0);
		assert_int_equal(sg_channel_fill(d), 1);
		while (sg_channel_next(d, &frame) == 1) {
			if (next == 0)
				assert_in_range(frame.id, seen + 1, seen + 3);
			else
				assert_int_equal(frame.id, next);
			assert_der(&frame, frame.id, text);
			assert_int_equal(frame.fd >= 0, frame.id % 100 == 0);
			next = frame.id + 1 + ((frame.id + 1) % 7 == 0);
			sg_frame_clear(&frame);
		}
	}
	while (sg_channel_fill(d) == 1 && sg_channel_next(d, &frame) == 1) {
		do {
			next = frame.id + 1 + ((frame.id + 1) % 7 == 0);
			sg_frame_clear(&frame);
		} while (sg_channel_next(d, &frame) == 1);
	}
	assert_int_equal(next, UNSENT_FRAMES + 1);
	sg_channel_free(c);
	sg_channel_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WATCHED(frames_there_and_back),
		WATCHED(bytes_of_a_frame),
		WATCHED(many_frames_in_order),
		WATCHED(largest_frame_with_descriptors),
		WATCHED(put_refuses_and_stays_healthy),
		WATCHED(queue_has_a_limit),
		WATCHED(malformed_streams),
		WATCHED(unclaimed_descriptors_have_a_limit),
		WATCHED(descriptors_are_claimed_in_order),
		WATCHED(a_peer_that_goes),
		WATCHED(half_a_frame_is_no_frame),
		WATCHED(non_blocking_and_timeouts),
		WATCHED(unsent_frames_go_elsewhere),
	};

	return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
