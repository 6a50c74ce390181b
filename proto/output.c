#include "output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int sg_write_all(int fd, const void *data, size_t len)
{
	const char *pos = data;

	while (len > 0) {
		ssize_t n = write(fd, pos, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return SG_ERR_IO;
		pos += n;
		len -= (size_t)n;
	}
	return 0;
}

int sg_stdout_finish(const char *program)
{
	int failed;

	errno = 0; /* an earlier failure's is gone */
	failed = fflush(stdout) != 0 || ferror(stdout);
	if (!failed)
		return 0;
	fprintf(stderr, "%s: standard output cannot be written%s%s\n", program,
	    errno != 0 ? ": " : "", errno != 0 ? strerror(errno) : "");
	return SG_ERR_IO;
}
