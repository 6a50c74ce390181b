#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "output.h"

static int read_all(int fd, size_t max, struct sg_buf *buf)
{
	unsigned char part[65536];

	for (;;) {
		ssize_t n = read(fd, part, sizeof(part));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return SG_ERR_IO;
		if (n == 0)
			return buf->err;
		if ((size_t)n > max - buf->len)
			return SG_ERR_LIMIT;
		sg_buf_put(buf, part, (size_t)n);
	}
}

int sg_file_read(struct sg_cli *cli, const char *path, size_t max, struct sg_blob *data)
{
	struct sg_buf buf = { 0 };
	int input = strcmp(path, "-") == 0;
	int fd = input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int err = fd >= 0 ? read_all(fd, max, &buf) : SG_ERR_IO;

	*data = (struct sg_blob){ 0 };
	if (err == SG_ERR_IO)
		err = sg_cli_fail(cli, err, NULL, "'%s' cannot be read: %s", path, strerror(errno));
	else if (err == SG_ERR_LIMIT)
		err = sg_cli_fail(cli, SG_ERR_KEYINFO, "Nothing of it was read.",
		    "'%s' is larger than %zu bytes", path, max);
	if (fd >= 0 && !input)
		close(fd);
	if (err == 0) {
		data->data = (unsigned char *)sg_buf_steal(&buf, &data->len);
		if (data->data == NULL)
			err = SG_ERR_NOMEM;
	}
	sg_buf_clear(&buf);
	return err;
}

static int fail_write(struct sg_cli *cli, const char *path)
{
	return sg_cli_fail(
	    cli, SG_ERR_IO, NULL, "'%s' cannot be written: %s", path, strerror(errno));
}

int sg_file_out_open(struct sg_cli *cli, const char *path, struct sg_file_out *out)
{
	struct sg_buf name = { 0 };
	const char *slash;
	struct stat st;

	*out = (struct sg_file_out){ .path = path, .fd = -1 };
	if (path == NULL)
		return 0;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		out->fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		return out->fd >= 0 ? 0 : fail_write(cli, path);
	}
	slash = strrchr(path, '/');
	if (slash != NULL)
		sg_buf_put(&name, path, (size_t)(slash - path) + 1);
	sg_buf_printf(&name, ".%s.XXXXXX", slash != NULL ? slash + 1 : path);
	out->temporary = sg_buf_steal(&name, NULL);
	if (out->temporary == NULL)
		return SG_ERR_NOMEM;
	out->fd = mkostemp(out->temporary, O_CLOEXEC);
	if (out->fd < 0) {
		free(out->temporary);
		out->temporary = NULL;
		return fail_write(cli, path);
	}
	return 0;
}

int sg_file_out_write(struct sg_cli *cli, struct sg_file_out *out, const void *data, size_t len)
{
	int err;

	if (out->path == NULL)
		return 0;
	err = sg_write_all(out->fd, data, len);
	if (err == 0 && out->temporary != NULL &&
	    (fchmod(out->fd, 0644) != 0 || fsync(out->fd) != 0 ||
		rename(out->temporary, out->path) != 0))
		err = SG_ERR_IO;
	if (err != 0)
		return fail_write(cli, out->path);
	free(out->temporary);
	out->temporary = NULL;
	return 0;
}

void sg_file_out_clear(struct sg_file_out *out)
{
	if (out->path == NULL)
		return;
	if (out->fd >= 0)
		close(out->fd);
	if (out->temporary != NULL)
		(void)unlink(out->temporary);
	free(out->temporary);
	*out = (struct sg_file_out){ .fd = -1 };
}
