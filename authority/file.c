#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "output.h"

static int open_folder(const char *path)
{
	char *copy = strdup(path);
	int fd = -1;

	if (copy != NULL)
		fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	return fd;
}

static int sync_folder(const char *path)
{
	int fd = open_folder(path), bad = 1;

	if (fd >= 0) {
		bad = fsync(fd);
		close(fd);
	}
	return bad;
}

/* What failed, with what to do when it is the folder that is not as it must be. */
static void log_failure(const char *path, int error)
{
	char *copy = strdup(path);
	const char *folder = copy != NULL ? dirname(copy) : path;

	if (error == ENOENT)
		sg_log(SG_LOG_ERROR,
		    "file: %s cannot be written: the folder %s is missing: make it, for this user "
		    "to "
		    "write into",
		    path, folder);
	else if (error == EACCES)
		sg_log(SG_LOG_ERROR,
		    "file: %s cannot be written: this user may not write into the folder %s: "
		    "change its "
		    "owner or mode",
		    path, folder);
	else
		sg_log(SG_LOG_ERROR, "file: %s: %s", path, strerror(error));
	free(copy);
}

int sg_file_replace(const char *path, const void *data, size_t len, mode_t mode)
{
	char *temporary = NULL;
	int fd = -1, err = SG_ERR_IO;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return SG_ERR_NOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0 || sg_write_all(fd, data, len) || fchmod(fd, mode) || fsync(fd) ||
	    rename(temporary, path) || sync_folder(path)) {
		log_failure(path, errno);
		if (fd >= 0)
			unlink(temporary); /* gone already when only the last sync failed */
	} else {
		err = 0;
	}
	if (fd >= 0)
		close(fd);
	free(temporary);
	return err;
}

/* There is no waiting for a lock with an end to it, so it is asked for again and again; mostly once. */
int sg_file_lock(const char *path, int *fd)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	int64_t deadline = sg_clock_ms() + SG_FILE_LOCK_MS;
	int bad;

	*fd = open_folder(path);
	if (*fd < 0) {
		log_failure(path, errno);
		return SG_ERR_IO;
	}
	while ((bad = flock(*fd, LOCK_EX | LOCK_NB)) != 0 &&
	    (errno == EWOULDBLOCK || errno == EINTR) && sg_clock_ms() < deadline)
		nanosleep(&pause, NULL);
	if (!bad)
		return 0;
	sg_log(SG_LOG_ERROR, "file: the folder of %s is locked by another process: %s", path,
	    strerror(errno));
	close(*fd);
	*fd = -1;
	return SG_ERR_BUSY;
}

int sg_file_read(const char *path, size_t max, struct sg_buf *text)
{
	char chunk[16384];
	ssize_t n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno == ENOENT)
		return 0;
	while (fd >= 0 && text->err == 0 && text->len <= max &&
	    (n = read(fd, chunk, sizeof(chunk))) > 0)
		sg_buf_put(text, chunk, (size_t)n);
	if (fd < 0 || n < 0)
		sg_log(SG_LOG_ERROR, "%s: %s", path, strerror(errno));
	if (fd < 0)
		return SG_ERR_IO;
	close(fd);
	if (n < 0)
		return SG_ERR_IO;
	return text->len > max ? SG_ERR_LIMIT : text->err;
}
