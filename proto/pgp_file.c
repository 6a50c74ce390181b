/* Files of OpenPGP: binary, or in ASCII armour. */
#include "pgp.h"

#include <stdlib.h>
#include <string.h>

#include "pgp_packet.h"
#include "text.h"

static const char armour_begin[] = "-----BEGIN PGP ";

int sg_pgp_is_likely(const struct sg_blob *file)
{
	return file->len > 0 &&
	    (file->data[0] & 0x80 ||
		memmem(file->data, file->len, armour_begin, sizeof(armour_begin) - 1) != NULL);
}

/* The line after this one, or the end of the text. */
static char *line_after(char *line)
{
	char *end = strchr(line, '\n');

	return end != NULL ? end + 1 : line + strlen(line);
}

static int is_empty_line(const char *line)
{
	return line[strspn(line, " \t\r")] == '\n';
}

/*
 * Finds the Base64 of the first armoured block, cuts the text behind it, and gives the title
 * ("PUBLIC KEY BLOCK"). The checksum guards against bad lines on the way, not against anybody, and
 * RFC 9580 6.1 has it ignored.
 */
static char *cut_armour(char *text, const char *title, const char **why)
{
	char *line = strstr(text, armour_begin);
	char *base64, *end;

	if (line == NULL) {
		*why = "neither binary OpenPGP nor ASCII armour";
		return NULL;
	}
	line += sizeof(armour_begin) - 1;
	if (strncmp(line, "PRIVATE KEY", strlen("PRIVATE KEY")) == 0) {
		*why =
		    "it holds a SECRET key: nothing of it was taken; export the public key alone";
		return NULL;
	}
	*why = "ASCII armour of something else";
	if (strncmp(line, title, strlen(title)) != 0)
		return NULL;
	*why = "ASCII armour that is cut or malformed";
	do
		line = line_after(line);
	while (*line != '\0' && !is_empty_line(line));
	base64 = line_after(line);
	for (end = base64; *end != '\0' && *end != '=' && *end != '-';)
		end = line_after(end);
	line = strstr(end, "-----END PGP ");
	if (line == NULL)
		return NULL;
	*why = "more than one armoured block";
	if (strstr(line, armour_begin) != NULL)
		return NULL;
	*end = '\0';
	return base64;
}

/* The bytes of a file, out of their armour. */
static int dearmour(const struct sg_blob *file, const char *title, size_t max,
    struct sg_blob *bytes, const char **why)
{
	char *text, *base64;
	int err;

	*bytes = (struct sg_blob){ NULL, 0 };
	*why = NULL;
	if (file->len > SG_PGP_FILE_MAX)
		return sg_pgp_fail(SG_ERR_LIMIT, "more than 512 KiB", why);
	if (file->len > 0 && file->data[0] & 0x80)
		return sg_blob_set(bytes, file->data, file->len);
	text = strndup(file->len > 0 ? (const char *)file->data : "", file->len);
	if (text == NULL)
		return sg_pgp_fail(SG_ERR_NOMEM, "out of memory", why);
	base64 = cut_armour(text, title, why);
	if (base64 == NULL) {
		err = strstr(*why, "SECRET") != NULL ? SG_ERR_DENIED : SG_ERR_FORMAT;
	} else {
		err = sg_base64_decode(base64, max, bytes);
		*why = err == SG_ERR_LIMIT ? "more bytes in the armour than are taken"
					   : "ASCII armour that is no Base64";
	}
	free(text);
	return err;
}

int sg_pgp_key_read(const struct sg_blob *file, struct sg_blob *key, const char **why)
{
	struct sg_pgp_form form;
	int err = dearmour(file, "PUBLIC KEY BLOCK-----", SG_PGP_KEY_MAX, key, why);

	if (err == 0)
		err = sg_pgp_key_check(key, &form, why);
	if (err != 0)
		sg_blob_clear(key);
	return err;
}

int sg_pgp_signature_read(const struct sg_blob *file, struct sg_blob *value, const char **why)
{
	struct sg_pgp_signature signature;
	int err = dearmour(file, "SIGNATURE-----", SG_PGP_SIGNATURE_MAX, value, why);

	if (err == 0)
		err = sg_pgp_signature_check(value, &signature, why);
	if (err != 0)
		sg_blob_clear(value);
	return err;
}
