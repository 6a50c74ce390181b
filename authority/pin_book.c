#include "pin_book.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "file.h"
#include "log.h"
#include "text.h"

#define KEY_SIZE   32
#define FILE_BYTES 65536 /* that are read of it */

/* The file: a line with the key, one with the salt, both in hexadecimal, then one for each PIN: its hash, a blank, and
 * the token that refused it. */
struct sg_pin_book {
	char *path, *token;
	unsigned char key[KEY_SIZE], salt[KEY_SIZE];
	struct sg_pin_hash wrong[SG_PIN_BOOK_MAX]; /* the oldest first */
	uint32_t wrong_count;
};

static void forget(struct sg_pin_book *book)
{
	while (book->wrong_count > 0)
		sg_blob_clear(&book->wrong[--book->wrong_count].hash);
}

int sg_pin_book_new(const char *path, const char *token, struct sg_pin_book **book)
{
	struct sg_pin_book *self = calloc(1, sizeof(*self));
	int err = SG_ERR_NOMEM;

	*book = NULL;
	if (self == NULL)
		return err;
	self->path = strdup(path);
	self->token = strdup(token);
	if (self->path != NULL && self->token != NULL)
		err = RAND_bytes(self->key, KEY_SIZE) == 1 && RAND_bytes(self->salt, KEY_SIZE) == 1
		    ? 0
		    : SG_ERR_INTERNAL;
	if (err != 0)
		sg_pin_book_free(self);
	else
		*book = self;
	return err;
}

void sg_pin_book_free(struct sg_pin_book *book)
{
	if (book == NULL)
		return;
	forget(book);
	OPENSSL_cleanse(book->key, KEY_SIZE);
	free(book->path);
	free(book->token);
	free(book);
}

const char *sg_pin_book_path(const struct sg_pin_book *book)
{
	return book->path;
}

/* ---- reading ---- */

/* Exactly so many bytes in hexadecimal. */
static int take_bytes(const char *line, unsigned char bytes[KEY_SIZE])
{
	struct sg_blob blob = { 0 };
	int err = line != NULL ? sg_hex_decode(line, KEY_SIZE, &blob) : SG_ERR_FORMAT;

	if (err == 0 && blob.len != KEY_SIZE)
		err = SG_ERR_FORMAT;
	if (err == 0)
		memcpy(bytes, blob.data, KEY_SIZE);
	sg_blob_clear(&blob);
	return err;
}

/* The oldest makes room. */
static int add(struct sg_pin_book *book, const unsigned char hash[SG_PIN_HASH_SIZE])
{
	struct sg_blob blob = { 0 };
	int err = sg_blob_set(&blob, hash, SG_PIN_HASH_SIZE);

	if (err != 0)
		return err;
	if (book->wrong_count == SG_PIN_BOOK_MAX) {
		sg_blob_clear(&book->wrong[0].hash);
		memmove(book->wrong, book->wrong + 1, --book->wrong_count * sizeof(book->wrong[0]));
	}
	book->wrong[book->wrong_count++] = (struct sg_pin_hash){ .hash = blob };
	return 0;
}

static int parse_wrong(struct sg_pin_book *book, char *line)
{
	unsigned char hash[SG_PIN_HASH_SIZE];
	char *token = line;
	int err;

	(void)strsep(&token, " ");
	if (token == NULL)
		return SG_ERR_FORMAT;
	err = take_bytes(line, hash);
	return err == 0 && strcmp(token, book->token) == 0 ? add(book, hash) : err;
}

static int parse(struct sg_pin_book *book, char *text)
{
	char *rest = text, *line;
	int err = take_bytes(strsep(&rest, "\n"), book->key);

	if (err == 0)
		err = take_bytes(strsep(&rest, "\n"), book->salt);
	while (err == 0 && (line = strsep(&rest, "\n")) != NULL)
		if (*line)
			err = parse_wrong(book, line);
	return err;
}

/* A new string in *text, or NULL when there is no file. */
static int read_file(const char *path, char **text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK), err = SG_ERR_IO;
	struct stat st;
	ssize_t n;

	*text = NULL;
	if (fd < 0)
		return errno == ENOENT ? 0 : SG_ERR_IO;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid()) {
		*text = calloc(1, FILE_BYTES + 1);
		n = *text != NULL ? read(fd, *text, FILE_BYTES) : -1;
		err = *text == NULL ? SG_ERR_NOMEM : n < 0 ? SG_ERR_IO : 0;
	}
	close(fd);
	return err;
}

int sg_pin_book_read(struct sg_pin_book *book, struct sg_pin_ledger *ledger)
{
	char *text;
	int err;

	forget(book);
	err = read_file(book->path, &text);
	if (err == 0 && text != NULL)
		err = parse(book, text);
	free(text);
	if (err == SG_ERR_NOMEM)
		return err;
	if (err != 0) {
		sg_log(SG_LOG_WARN, "token: %s, the refused PINs: %s: none is known", book->path,
		    sg_err_text(err));
		forget(book);
	}
	*ledger = (struct sg_pin_ledger){ .key = { book->key, KEY_SIZE },
		.salt = { book->salt, KEY_SIZE },
		.wrong = book->wrong,
		.wrong_count = book->wrong_count };
	return 0;
}

/* ---- writing ---- */

static void put_hex(struct sg_buf *text, const unsigned char bytes[KEY_SIZE])
{
	for (size_t i = 0; i < KEY_SIZE; i++)
		sg_buf_printf(text, "%02x", bytes[i]);
}

static int write_file(const struct sg_pin_book *book)
{
	struct sg_buf text = { 0 };
	int err;

	put_hex(&text, book->key);
	sg_buf_put_str(&text, "\n");
	put_hex(&text, book->salt);
	sg_buf_put_str(&text, "\n");
	for (uint32_t i = 0; i < book->wrong_count; i++) {
		put_hex(&text, book->wrong[i].hash.data);
		sg_buf_printf(&text, " %s\n", book->token);
	}
	err = text.err;
	if (err == 0)
		err = sg_file_replace(book->path, text.data, text.len, 0600);
	sg_buf_clear(&text);
	return err;
}

int sg_pin_book_prepare(struct sg_pin_book *book)
{
	return write_file(book);
}

void sg_pin_book_outcome(struct sg_pin_book *book, const struct sg_msg_pin_outcome *outcome)
{
	int err = 0;

	if (outcome->verdict == SG_PIN_TAKEN) {
		if (unlink(book->path) != 0 && errno != ENOENT)
			sg_log(SG_LOG_WARN,
			    "token: %s, the refused PINs, stays: none of them is tried, also where "
			    "the token takes it now: remove it",
			    book->path);
		forget(book);
	} else if (outcome->verdict == SG_PIN_REFUSED && outcome->hash.len == SG_PIN_HASH_SIZE) {
		err = add(book, outcome->hash.data);
		if (err == 0)
			err = write_file(book);
	}
	if (err != 0)
		sg_log(SG_LOG_WARN,
		    "token: %s, the refused PINs: %s: another process tries it again", book->path,
		    sg_err_text(err));
}
