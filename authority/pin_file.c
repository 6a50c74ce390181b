#include "pin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "secret_file.h"

/* An empty one is what an operator makes before the PIN goes in; a pipe has no size. */
static int is_empty(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

int sg_pin_file_open(const char *path, int *fd)
{
	const char *why;
	int bad;

	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (*fd < 0) {
		sg_log(SG_LOG_ERROR, "token: PIN file %s: %s", path, strerror(errno));
		return SG_ERR_PIN_NEEDED;
	}
	bad = sg_secret_file_check(*fd, &why) != 0;
	if (!bad && is_empty(*fd)) {
		bad = 1;
		why = "is empty";
	}
	if (bad) {
		sg_log(SG_LOG_ERROR, "token: PIN file %s: %s, and was not used", path, why);
		close(*fd);
		*fd = -1;
		return SG_ERR_PIN_NEEDED;
	}
	return 0;
}

int sg_pin_file_is_another(const char *path, const struct stat *before)
{
	struct stat now;

	return stat(path, &now) == 0 && now.st_size > 0 &&
	    (now.st_dev != before->st_dev || now.st_ino != before->st_ino ||
		now.st_mtim.tv_sec != before->st_mtim.tv_sec ||
		now.st_mtim.tv_nsec != before->st_mtim.tv_nsec);
}
