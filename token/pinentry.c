#include "pinentry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <assuan.h>

#include "buf.h"

struct sg_pinentry {
	assuan_context_t ctx;
};

/*
 * libassuan reads lines, and so the PIN, into its context. What it allocates is locked memory of
 * its own that is left out of dumps and wiped when freed.
 */
struct block {
	size_t size;	 /* of the whole mapping */
	size_t reserved; /* keeps what follows aligned */
};

static void *block_new(size_t len)
{
	size_t size = sizeof(struct block) + len;
	struct block *block;

	if (len > (1u << 20))
		return NULL;
	block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return NULL;
	if (mlock(block, size) < 0 || madvise(block, size, MADV_DONTDUMP) < 0) {
		munmap(block, size);
		return NULL;
	}
	block->size = size;
	return block + 1;
}

static void block_free(void *data)
{
	struct block *block = data;
	size_t size;

	if (block == NULL)
		return;
	block--;
	size = block->size;
	explicit_bzero(block, size);
	munmap(block, size);
}

static void *block_resize(void *data, size_t len)
{
	void *grown = block_new(len);
	size_t old;

	if (data == NULL || grown == NULL)
		return grown;
	old = ((struct block *)data - 1)->size - sizeof(struct block);
	memcpy(grown, data, old < len ? old : len);
	block_free(data);
	return grown;
}

/* Appends a text as a command's argument: Assuan escapes '%' and control characters. */
static void put_escaped(struct sg_buf *line, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == '%' || c == 127)
			sg_buf_printf(line, "%%%02X", c);
		else
			sg_buf_put_u8(line, c);
	}
}

static int command(assuan_context_t ctx, const char *verb, const char *argument)
{
	struct sg_buf line = { 0 };
	gpg_error_t rc;
	char *text;

	sg_buf_put_str(&line, verb);
	put_escaped(&line, argument);
	if (line.len > SG_PINENTRY_LINE_MAX) {
		sg_buf_clear(&line);
		return SG_ERR_LIMIT;
	}
	text = sg_buf_steal(&line, NULL);
	if (text == NULL)
		return SG_ERR_NOMEM;
	rc = assuan_transact(ctx, text, NULL, NULL, NULL, NULL, NULL, NULL);
	free(text);
	return rc ? SG_ERR_PIN_NEEDED : 0;
}

static gpg_error_t take_pin(void *arg, const void *data, size_t len)
{
	struct sg_secret *pin = arg;

	return sg_secret_append(pin, data, len) != 0 ? gpg_error(GPG_ERR_TOO_LARGE) : 0;
}

static int get_pin(assuan_context_t ctx, struct sg_secret *pin)
{
	gpg_err_code_t rc;

	assuan_begin_confidential(ctx);
	rc = gpg_err_code(assuan_transact(ctx, "GETPIN", take_pin, pin, NULL, NULL, NULL, NULL));
	assuan_end_confidential(ctx);
	if (rc == GPG_ERR_CANCELED || rc == GPG_ERR_FULLY_CANCELED)
		return SG_ERR_PIN_CANCELLED;
	if (rc == GPG_ERR_TOO_LARGE)
		return SG_ERR_LIMIT;
	/* A PIN of zero bytes would be a try that nobody meant. */
	if (rc || sg_secret_len(pin) == 0 || strlen(sg_secret_data(pin)) != sg_secret_len(pin))
		return SG_ERR_PIN_NEEDED;
	return 0;
}

static int options_check(char *const *options, uint32_t count)
{
	uint32_t i;

	if (count > SG_PINENTRY_OPTIONS_MAX)
		return SG_ERR_LIMIT;
	for (i = 0; i < count; i++) {
		const unsigned char *c = (const unsigned char *)options[i];

		for (; *c; c++) {
			if (*c < ' ' || *c == 127)
				return SG_ERR_ARG;
		}
	}
	return 0;
}

static int fail(int err, struct sg_msg_error *error)
{
	sg_msg_error_set(error, err, NULL, "no PIN came from the pinentry: %s", sg_err_text(err));
	return err;
}

static int connect_to(struct sg_pinentry *pinentry, int fd)
{
	static struct assuan_malloc_hooks hooks = { block_new, block_resize, block_free };
	int sock = dup(fd);

	if (sock < 0)
		return SG_ERR_PIN_NEEDED;
	if (assuan_new_ext(&pinentry->ctx, GPG_ERR_SOURCE_DEFAULT, &hooks, NULL, NULL) != 0) {
		close(sock);
		return SG_ERR_NOMEM;
	}
	assuan_set_flag(pinentry->ctx, ASSUAN_NO_LOGGING, 1);
	if (assuan_socket_connect_fd(pinentry->ctx, sock, 0) != 0) {
		close(sock);
		return SG_ERR_PIN_NEEDED;
	}
	return 0; /* the socket is the context's now */
}

int sg_pinentry_new(struct sg_pinentry **pinentry, int fd, char *const *options,
    uint32_t option_count, struct sg_msg_error *error)
{
	struct sg_pinentry *made = calloc(1, sizeof(*made));
	uint32_t i;
	int err;

	*pinentry = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	err = options_check(options, option_count);
	if (err == 0)
		err = connect_to(made, fd);
	for (i = 0; i < option_count && err == 0; i++) {
		err = command(made->ctx, "OPTION ", options[i]);
		if (err == SG_ERR_PIN_NEEDED) /* not known to this one */
			err = 0;
	}
	if (err == 0)
		err = command(made->ctx, "SETTITLE ", "signet");
	if (err != 0) {
		sg_pinentry_free(made);
		return fail(err, error);
	}
	*pinentry = made;
	return 0;
}

int sg_pinentry_ask(struct sg_pinentry *pinentry, const char *description, const char *prompt,
    struct sg_secret *pin, struct sg_msg_error *error)
{
	int err = command(pinentry->ctx, "SETDESC ", description);

	if (err == 0)
		err = command(pinentry->ctx, "SETPROMPT ", prompt);
	if (err == 0)
		err = get_pin(pinentry->ctx, pin);
	if (err != 0) {
		sg_secret_clear(pin);
		return fail(err, error);
	}
	return 0;
}

void sg_pinentry_free(struct sg_pinentry *pinentry)
{
	if (pinentry == NULL)
		return;
	if (pinentry->ctx != NULL)
		assuan_release(pinentry->ctx); /* says BYE */
	free(pinentry);
}
