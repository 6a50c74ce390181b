#include "secret.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"

/* The whole struct lies in pages of its own: nothing else is wiped in a child or locked with it. Room
 * for a line end of two characters and one byte more, so that "too long" is seen before it is cut. */
#define READ_ROOM (SG_SECRET_MAX + 3)

struct sg_secret {
	size_t len;
	char data[READ_ROOM + 1];
};

int sg_secret_new(struct sg_secret **secret)
{
	void *page;

	*secret = NULL;
	page = mmap(NULL, sizeof(struct sg_secret), PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return SG_ERR_NOMEM;
	if (mlock(page, sizeof(struct sg_secret)) != 0 ||
	    madvise(page, sizeof(struct sg_secret), MADV_DONTDUMP) != 0 ||
	    madvise(page, sizeof(struct sg_secret), MADV_WIPEONFORK) != 0) {
		sg_log(SG_LOG_ERROR, "memory for a secret cannot be locked: %s", strerror(errno));
		munmap(page, sizeof(struct sg_secret));
		return SG_ERR_NOMEM;
	}
	*secret = page;
	return 0;
}

void sg_secret_free(struct sg_secret *secret)
{
	if (secret == NULL)
		return;
	sg_secret_clear(secret);
	munmap(secret, sizeof(*secret));
}

void sg_secret_clear(struct sg_secret *secret)
{
	explicit_bzero(secret, sizeof(*secret));
}

int sg_secret_append(struct sg_secret *secret, const void *data, size_t len)
{
	if (len > SG_SECRET_MAX - secret->len)
		return SG_ERR_LIMIT;
	if (len > 0)
		memcpy(secret->data + secret->len, data, len);
	secret->len += len;
	secret->data[secret->len] = '\0';
	return 0;
}

/* Waits until the descriptor can be read or is at its end. */
static int wait_readable(int fd, int64_t deadline)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	for (;;) {
		int64_t left = deadline - sg_clock_ms();
		int n = poll(&pfd, 1, left > 0 ? (int)left : 0);

		if (n > 0)
			return 0;
		if (n == 0 && left <= 0)
			return SG_ERR_TIMEOUT;
		if (n < 0 && errno != EINTR)
			return SG_ERR_IO;
	}
}

static int read_all(struct sg_secret *secret, int fd, int64_t deadline)
{
	while (secret->len < READ_ROOM) {
		ssize_t n;
		int err = wait_readable(fd, deadline);

		if (err != 0)
			return err;
		n = read(fd, secret->data + secret->len, READ_ROOM - secret->len);
		if (n == 0)
			return 0;
		if (n > 0)
			secret->len += (size_t)n;
		else if (errno != EINTR && errno != EAGAIN)
			return SG_ERR_IO;
	}
	return SG_ERR_LIMIT;
}

int sg_secret_fd_is_readable(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_PATH) == 0 && (flags & O_ACCMODE) != O_WRONLY;
}

int sg_secret_read_fd(struct sg_secret *secret, int fd, int timeout_ms)
{
	int err;

	sg_secret_clear(secret);
	if (!sg_secret_fd_is_readable(fd)) /* poll() would wait for it */
		return SG_ERR_ARG;
	err = read_all(secret, fd, sg_clock_ms() + timeout_ms);
	if (err != 0)
		goto out;
	if (secret->len > 0 && secret->data[secret->len - 1] == '\n') {
		secret->data[--secret->len] = '\0';
		if (secret->len > 0 && secret->data[secret->len - 1] == '\r')
			secret->data[--secret->len] = '\0';
	}
	if (secret->len > SG_SECRET_MAX)
		err = SG_ERR_LIMIT;
	else if (secret->len == 0 || memchr(secret->data, '\0', secret->len) != NULL)
		err = SG_ERR_FORMAT;
out:
	if (err != 0)
		sg_secret_clear(secret);
	return err;
}

const char *sg_secret_data(const struct sg_secret *secret)
{
	return secret->data;
}

size_t sg_secret_len(const struct sg_secret *secret)
{
	return secret->len;
}
