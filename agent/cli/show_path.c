#include "show_path.h"

#include <stdio.h>
#include <string.h>

#include "print.h"

/* What the key is to the person. */
static const char *verdict_text(const char *verdict)
{
	static const struct sg_word words[] = {
		{ "own", "YOUR OWN" },
		{ "trusted", "TRUSTED by you" },
		{ "friend", "TRUSTED through a key that you trust" },
		{ "vouched", "NOT TRUSTED, only vouched for by somebody whom you trust" },
		{ "broken", "NOT TRUSTED, the way to it is broken" },
		{ "refused", "REFUSED by you" },
		{ "unknown", "NOT TRUSTED, nothing that you trust leads to it" },
	};

	return SG_WORD_TEXT(verdict, words);
}

/* What breaks a step. */
static const char *break_text(const char *breaks)
{
	static const struct sg_word words[] = {
		{ "refused", "you have refused this key" },
		{ "revoked", "this key is revoked" },
		{ "retracted", "its owner has taken this key back" },
		{ "expired", "this key has expired" },
		{ "not_yet_valid", "this key is not valid yet" },
		{ "bad_signature", "the signature is BAD: that key did not make it" },
		{ "unknown_method", "the signature's method is unknown or does not fit the key" },
		{ "signature_refused",
		    "the signature may not count (OpenPGP, or SHA-1 that is off)" },
		{ "unchecked", "it could not be checked, or there was too much at once" },
		{ "issuer_missing", "the key that signed is not at hand" },
		{ "issuer_unknown", "nothing that you trust leads to the key that signed" },
		{ "too_far", "the key that signed makes no other key trusted" },
	};

	return SG_WORD_TEXT(breaks, words);
}

/* Further lines of a field. */
static void print_indent(const char *text)
{
	printf("%*s%s", SG_FIELD_COLUMN, "", text);
}

/* "428b1358… of romeo@montague.example", or without the names. */
static void print_key(const char *name, const json_t *jids, const char *jid)
{
	const json_t *one;
	size_t i;

	sg_print_text(stdout, name);
	json_array_foreach(jids, i, one) {
		fputs(i == 0 ? " of " : ", ", stdout);
		sg_print_text(stdout, json_string_value(one));
	}
	if (jid != NULL) {
		fputs(" of ", stdout);
		sg_print_text(stdout, jid);
	}
}

/* The day of a time. */
static void print_day(const char *prefix, const char *time)
{
	if (time == NULL)
		return;
	printf("%s", prefix);
	for (size_t i = 0; i < 10 && time[i] != '\0'; i++)
		putchar(time[i] >= 0x20 && time[i] < 0x7f ? time[i] : '?');
}

static void print_validity(const json_t *step)
{
	const char *until = sg_member(step, "not_after", NULL);
	const char *since = sg_member(step, "since", NULL);
	int is_decision = strcmp(sg_member(step, "way", ""), "person") == 0;

	if (until == NULL && since == NULL)
		return;
	print_indent("   ");
	print_day("valid from ", sg_member(step, "not_before", NULL));
	print_day(" to ", until);
	if (since != NULL) {
		fputs(sg_member(step, "not_before", NULL) != NULL || until != NULL ? "; " : "",
		    stdout);
		print_day(is_decision ? "you said so on " : "first seen on ", since);
	}
	putchar('\n');
}

static void print_break(const json_t *step)
{
	const char *breaks = sg_member(step, "breaks", NULL);

	if (breaks == NULL)
		return;
	print_indent("   >>> BREAKS HERE: ");
	sg_print_text(stdout, break_text(breaks));
	putchar('\n');
}

static void print_signature(const json_t *step, int is_first)
{
	if (is_first) { /* no path: only who signed */
		fputs("the key ", stdout);
		print_key(
		    sg_member(step, "issuer", "-"), NULL, sg_member(step, "issuer_jid", NULL));
		putchar('\n');
		print_indent("-> signed ");
	} else {
		fputs("-> signed ", stdout);
	}
	print_key(sg_member(step, "subject", "-"), json_object_get(step, "jids"), NULL);
	fputs(", ", stdout);
	sg_print_text(stdout, sg_member(step, "method", "an OpenPGP signature"));
	if (strcmp(sg_member(step, "grade", ""), "sha1") == 0)
		fputs(" (SHA-1: weaker)", stdout);
	putchar('\n');
}

static void print_step(const json_t *step, size_t at)
{
	const char *way = sg_member(step, "way", "");
	const char *breaks = sg_member(step, "breaks", "");

	if (at == 0)
		sg_print_name("why");
	else
		print_indent("");
	if (strcmp(way, "signature") == 0) {
		print_signature(step, at == 0);
	} else {
		if (strcmp(way, "own") == 0)
			fputs("your own key ", stdout);
		else
			fputs(strcmp(breaks, "refused") == 0 ? "you looked at " : "you trust ",
			    stdout);
		print_key(sg_member(step, "subject", "-"), json_object_get(step, "jids"), NULL);
		putchar('\n');
	}
	print_validity(step);
	print_break(step);
}

void sg_show_path(const json_t *path)
{
	const json_t *steps = json_object_get(path, "steps"), *step;
	const char *jid = sg_member(path, "jid", NULL);
	size_t i;

	sg_print_name("verdict");
	sg_print_text(stdout, verdict_text(sg_member(path, "verdict", "-")));
	if (jid != NULL) {
		fputs(", as ", stdout);
		sg_print_text(stdout, jid);
	}
	if (strcmp(sg_member(path, "grade", ""), "sha1") == 0)
		fputs("; by SHA-1 only, which is weaker", stdout);
	putchar('\n');
	if (json_array_size(json_object_get(path, "claims")) > 1)
		sg_print_member_list("claimed by", path, "claims");
	json_array_foreach(steps, i, step) {
		print_step(step, i);
	}
	if (json_array_size(steps) == 0)
		sg_print_field("why", "no signature on it leads anywhere");
}
