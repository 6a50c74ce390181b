#include "secret_file.h"

#include <sys/stat.h>
#include <unistd.h>

int sg_secret_file_check(int fd, const char **why)
{
	struct stat st;

	*why = NULL;
	if (fstat(fd, &st) != 0) {
		*why = "is not to be looked at";
		return SG_ERR_IO;
	}
	if (!S_ISREG(st.st_mode) && !S_ISFIFO(st.st_mode)) {
		*why = "is neither a file nor a pipe";
		return SG_ERR_ARG;
	}
	if (st.st_uid != geteuid() && st.st_uid != 0)
		*why = "is somebody else's, neither ours nor root's";
	else if ((st.st_mode & S_IRWXO) != 0)
		*why = "is open to others";
	else if ((st.st_mode & S_IRWXG) != 0 && st.st_uid == geteuid())
		*why = "is open to others of its group";
	return *why != NULL ? SG_ERR_DENIED : 0;
}
