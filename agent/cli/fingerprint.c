#include "fingerprint.h"

#include <errno.h>
#include <langinfo.h>
#include <string.h>
#include <unistd.h>

#include <qrencode.h>

#include "buf.h"
#include "print.h"
#include "text.h"

#define GROUP_DIGITS ((size_t)4)
#define QUIET_ZONE   4 /* modules around the code: ISO 18004 6.3.8 */

void sg_print_groups(const char *name, const char *hex)
{
	size_t len = strlen(hex);
	size_t line = len % (5 * GROUP_DIGITS) == 0 ? 5 * GROUP_DIGITS : 4 * GROUP_DIGITS;

	sg_print_name(name);
	for (size_t i = 0; i < len; i++) {
		if (i > 0 && i % line == 0)
			printf("\n%*s", SG_FIELD_COLUMN, "");
		else if (i > 0 && i % GROUP_DIGITS == 0)
			putchar(' ');
		/* an agent's answer may be anything */
		putchar(strchr("0123456789abcdef", hex[i]) != NULL ? hex[i] : '?');
	}
	putchar('\n');
}

char *sg_fingerprint_uri(const char *jid, const char *name, const char *sha256)
{
	struct sg_buf uri = { 0 };

	sg_buf_put_str(&uri, "xmpp:");
	/* RFC 5122 2.2 lets more stand as it is; these are safe in every part. */
	sg_percent_put(&uri, jid, "@");
	sg_buf_printf(&uri, "?pubkey;name=%s;sha-256=%s", name, sha256);
	return sg_buf_steal(&uri, NULL);
}

/* ---- QR ---- */

/* Whether the module is dark; around the code, none is. */
static int is_dark(const QRcode *code, int x, int y)
{
	if (x < 0 || y < 0 || x >= code->width || y >= code->width)
		return 0;
	return code->data[y * code->width + x] & 1;
}

/* Two lines of modules in one of text: what is drawn is light, for most terminals are dark. */
static void draw_halves(FILE *out, const QRcode *code, int colours)
{
	static const char *const cells[2][2] = { { "\u2588", "\u2580" }, { "\u2584", " " } };
	int end = code->width + QUIET_ZONE;

	for (int y = -QUIET_ZONE; y < end; y += 2) {
		fputs(colours ? "\033[0;40;97m" : "", out);
		for (int x = -QUIET_ZONE; x < end; x++)
			fputs(cells[is_dark(code, x, y)][is_dark(code, x, y + 1)], out);
		fputs(colours ? "\033[0m\n" : "\n", out);
	}
}

static void draw_ascii(FILE *out, const QRcode *code, int colours)
{
	int end = code->width + QUIET_ZONE;

	for (int y = -QUIET_ZONE; y < end; y++) {
		fputs(colours ? "\033[0;47;30m" : "", out);
		for (int x = -QUIET_ZONE; x < end; x++)
			fputs(is_dark(code, x, y) ? "##" : "  ", out);
		fputs(colours ? "\033[0m\n" : "\n", out);
	}
}

int sg_print_qr(FILE *out, const char *text)
{
	QRcode *code = QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M);
	int colours = isatty(fileno(out));

	if (code == NULL)
		return errno == ENOMEM ? SG_ERR_NOMEM : SG_ERR_LIMIT;
	if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0)
		draw_halves(out, code, colours);
	else
		draw_ascii(out, code, colours);
	QRcode_free(code);
	return 0;
}
