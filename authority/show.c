#include "show.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>

#include "text.h"
#include "x509.h"

#define SHORT_SHA256 16

static const char *state_of(const struct sg_ledger_row *row, time_t now)
{
	return row->revoked_at != 0 ? "revoked" : row->not_after < now ? "expired" : "valid";
}

const char *sg_show_time(time_t when)
{
	static char text[32];
	struct tm tm;

	if (gmtime_r(&when, &tm) == NULL ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return "-";
	return text;
}

/* Names come from clients: what a terminal would not just show becomes '?'. */
static void print_clean(const char *text)
{
	size_t left = strlen(text), len;
	uint32_t code;

	for (; left > 0; text += len, left -= len) {
		len = sg_utf8_char(text, left, &code);
		if (len == 0 || sg_utf8_is_hidden(code))
			putchar('?');
		else
			fwrite(text, 1, len, stdout);
		len = len > 0 ? len : 1;
	}
}

static void set(json_t *object, const char *name, json_t *value, int *failed)
{
	*failed |= json_object_set_new(object, name, value) != 0;
}

json_t *sg_show_json(const struct sg_ledger_row *row, time_t now)
{
	char *serial = sg_hex_encode(row->serial, SG_SERIAL_LEN),
	     *pem = sg_x509_pem(PEM_STRING_X509, &row->der);
	json_t *object = json_object();
	int failed = serial == NULL || pem == NULL || object == NULL;

	if (!failed) {
		set(object, "sha256", json_string(row->sha256), &failed);
		set(object, "serial", json_string(serial), &failed);
		set(object, "account", json_string(row->account), &failed);
		set(object, "name", json_string(row->name), &failed);
		set(object, "state", json_string(state_of(row, now)), &failed);
		set(object, "issued_at", json_string(sg_show_time(row->issued_at)), &failed);
		set(object, "not_after", json_string(sg_show_time(row->not_after)), &failed);
		set(object, "last_used",
		    row->last_used != NULL ? json_string(row->last_used) : json_null(), &failed);
		set(object, "revoked_at",
		    row->revoked_at != 0 ? json_string(sg_show_time(row->revoked_at)) : json_null(),
		    &failed);
		set(object, "reason", row->reason != NULL ? json_string(row->reason) : json_null(),
		    &failed);
		set(object, "certificate", json_string(pem), &failed);
	}
	if (failed) {
		json_decref(object);
		object = NULL;
	}
	free(serial);
	free(pem);
	return object;
}

void sg_show_line(const struct sg_ledger_row *row, time_t now)
{
	printf("%-7s  until %.10s  %.*s  ", state_of(row, now), sg_show_time(row->not_after),
	    SHORT_SHA256, row->sha256);
	print_clean(row->account);
	if (*row->name) {
		fputs("  ", stdout);
		print_clean(row->name);
	}
	putchar('\n');
}

static void print_field(const char *name, const char *value)
{
	if (value == NULL)
		return;
	printf("%-12s ", name);
	print_clean(value);
	putchar('\n');
}

void sg_show_whole(const struct sg_ledger_row *row, time_t now)
{
	char *serial = sg_hex_encode(row->serial, SG_SERIAL_LEN),
	     *pem = sg_x509_pem(PEM_STRING_X509, &row->der);

	print_field("account:", row->account);
	print_field("name:", row->name);
	print_field("state:", state_of(row, now));
	print_field("sha256:", row->sha256);
	print_field("serial:", serial);
	print_field("issued:", sg_show_time(row->issued_at));
	print_field("valid until:", sg_show_time(row->not_after));
	print_field("last used:", row->last_used != NULL ? row->last_used : "no login is known");
	if (row->revoked_at != 0)
		print_field("revoked:", sg_show_time(row->revoked_at));
	print_field("reason:", row->reason);
	if (pem != NULL)
		fputs(pem, stdout);
	free(pem);
	free(serial);
}
