#include "pin_source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "secret_file.h"

const char *sg_pin_source_refusal(
    const struct sg_token_info *token, const struct sg_pin_ledger *ledger)
{
	if ((token->flags & SG_TOKEN_PIN_FINAL) != 0)
		return "the next wrong PIN locks the token, so a person must unlock it; "
		       "not tried: pin-source ";
	if (ledger->tries_max > 0 && ledger->tries + 1 >= ledger->tries_max)
		return "the next wrong PIN may lock the token, as counted, so a person must unlock "
		       "it; not tried: pin-source ";
	return NULL;
}

int sg_pin_source_open(const char *path, struct timespec *mtime)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	const char *why;

	if (fd < 0 || fstat(fd, &st) != 0)
		sg_log(SG_LOG_WARN, "pin-source %s cannot be opened: %s", path, strerror(errno));
	else if (sg_secret_file_check(fd, &why) != 0)
		sg_log(SG_LOG_WARN, "pin-source %s %s", path, why);
	else if (!S_ISREG(st.st_mode))
		sg_log(SG_LOG_WARN, "pin-source %s is not a regular file", path);
	else {
		*mtime = st.st_mtim;
		return fd;
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

const char *sg_pin_source_no_use(int code)
{
	switch (code) {
	case SG_ERR_PIN_WRONG:
		return "the PIN in the configured pin-source failed before and is not tried again "
		       "until another PIN is there: ";
	case SG_ERR_DENIED:
		return "the PIN in the configured pin-source was tried before and no answer came "
		       "that says whether it is right, or it would be the last try, so a person "
		       "must unlock the token; not tried: ";
	case SG_ERR_FORMAT:
	case SG_ERR_LIMIT:
		return "the configured pin-source is empty or has no PIN that a token could take: ";
	default:
		return NULL;
	}
}
