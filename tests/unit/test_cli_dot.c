#include "agent/cli/dot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *written(const json_t *keys, const json_t *edges)
{
	struct sg_buf buf = { 0 };
	char *text;

	sg_dot_write(&buf, keys, edges);
	assert_int_equal(buf.err, 0);
	text = sg_buf_steal(&buf, NULL);
	assert_non_null(text);
	return text;
}

static json_t *key_of(const char *name, const char *jid, const char *verdict, json_t *steps)
{
	return json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:[s], s:o}}", "name", name, "kind",
	    "x509", "role", "other", "path", "verdict", verdict, "jid", jid, "grade", "none",
	    "claims", jid, "steps", steps);
}

static json_t *step_of(const char *way, const char *subject, const char *breaks)
{
	return json_pack("{s:s, s:s, s:s*, s:s, s:s, s:s}", "way", way, "subject", subject,
	    "breaks", breaks, "issuer", "abc", "issuer_jid", "i@x", "not_after",
	    "2026-01-02T03:04:05Z");
}

static char *text_of(const char *text, size_t max)
{
	struct sg_buf buf = { 0 };

	sg_buf_put_str(&buf, "");
	sg_dot_put_text(&buf, text, max);
	sg_buf_put_str(&buf, ".");
	return sg_buf_steal(&buf, NULL);
}

static void text_is_escaped(void **state)
{
	static const struct {
		const char *text;
		const char *expected;
	} cases[] = {
		{ "", "." },
		{ "romeo@montague.example", "romeo@montague.example." },
		{ "<b>&\"'\\n", "&lt;b&gt;&amp;&quot;&#39;&#92;n." },
		{ "a\nb", "a&#92;nb." },
		{ "a\033[31mb", "a&#92;x1b[31mb." },
		{ "\xff", "\xef\xbf\xbd." },
		{ "\xe2\x80\xae"
		  "evil",
		    "&#92;u202eevil." }, /* turns the direction */
		{ "\xef\xbf\xbe", "?." },
		{ "J\xc3\xbcrgen", "J\xc3\xbcrgen." },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *text = text_of(cases[i].text, 100);

		assert_string_equal(text, cases[i].expected);
		free(text);
	}
}

static void text_is_cut_by_characters(void **state)
{
	char *text = text_of("\xc3\xbc\xc3\xbc\xc3\xbc", 2);

	assert_string_equal(text, "\xc3\xbc\xc3\xbc&#8230;.");
	free(text);
	text = text_of("ab", 2);
	assert_string_equal(text, "ab.");
	free(text);
	text = text_of("<<<", 1);
	assert_string_equal(text, "&lt;&#8230;.");
	free(text);
}

/* Whatever an agent answers: a picture comes of it. */
static void odd_answers_are_drawn(void **state)
{
	static const char *const answers[] = { "[]", "[{}]", "[1, null, \"x\", []]",
		"[{\"name\": 1, \"path\": []}]", "[{\"path\": {\"steps\": {}}}]",
		"[{\"name\": \"a\", \"path\": {\"steps\": [1], \"claims\": [1]}}]",
		"[{\"name\": \"a\"}, {\"name\": \"a\"}]" };

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		for (size_t k = 0; k < sizeof(answers) / sizeof(answers[0]); k++) {
			json_t *keys = json_loads(answers[i], 0, NULL);
			json_t *edges = json_loads(answers[k], 0, NULL);
			char *text = written(keys, edges);

			assert_non_null(strstr(text, "digraph signet {"));
			assert_string_equal(text + strlen(text) - 2, "}\n");
			free(text);
			json_decref(keys);
			json_decref(edges);
		}
	}
	free(written(NULL, NULL));
}

static void every_reason_is_told(void **state)
{
	static const struct {
		const char *verdict;
		const char *way;
		const char *breaks;
		const char *expected;
	} cases[] = {
		{ "own", "own", NULL, "your client key" },
		{ "trusted", "person", NULL, "compared by you" },
		{ "trusted", "signature", NULL, "signed by you" },
		{ "friend", "signature", NULL, "signed by abc" },
		{ "vouched", "signature", NULL, "only i@x vouches for it" },
		{ "refused", "person", "refused", "refused by you" },
		{ "broken", "signature", "revoked", "revoked" },
		{ "broken", "signature", "retracted", "taken back by its owner" },
		{ "broken", "signature", "expired", "expired on 2026-01-02" },
		{ "broken", "signature", "not_yet_valid", "not valid yet" },
		{ "broken", "signature", "bad_signature", "FORGED signature of i@x" },
		{ "broken", "signature", "unknown_method", "signed by an unknown method" },
		{ "broken", "signature", "signature_refused", "its signature may not count" },
		{ "broken", "signature", "unchecked", "not checked" },
		{ "unknown", "signature", "issuer_missing", "a key that is not at hand" },
		{ "unknown", "signature", "issuer_unknown", "signed by i@x, a stranger" },
		{ "unknown", NULL, NULL, "unsigned" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *steps = json_array(), *keys;
		char *text;

		if (cases[i].way != NULL)
			json_array_append_new(
			    steps, step_of(cases[i].way, "dead", cases[i].breaks));
		keys = json_pack("[o]", key_of("dead", "r@x", cases[i].verdict, steps));
		text = written(keys, NULL);
		if (strstr(text, cases[i].expected) == NULL)
			fail_msg("\"%s\" is not in %s", cases[i].expected, text);
		free(text);
		json_decref(keys);
	}
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;

	while ((text = strstr(text, part)) != NULL) {
		text += strlen(part);
		count++;
	}
	return count;
}

/* The picture is bounded, whatever the keyring holds. */
static void strangers_and_keys_are_counted_not_drawn(void **state)
{
	json_t *keys = json_array();
	char name[32], jid[32];
	char *text;

	for (int i = 0; i < SG_DOT_STRANGERS_MAX + 5; i++) {
		snprintf(name, sizeof(name), "%d", i);
		snprintf(jid, sizeof(jid), "s%d@x", i);
		json_array_append_new(keys, key_of(name, jid, "unknown", json_array()));
	}
	for (int i = 0; i < SG_DOT_KEYS_MAX + 3; i++) {
		snprintf(name, sizeof(name), "k%d", i);
		json_array_append_new(keys, key_of(name, "friend@x", "trusted", json_array()));
	}
	text = written(keys, NULL);
	assert_int_equal(count_of(text, "BGCOLOR=\"#ececec\""), SG_DOT_STRANGERS_MAX);
	assert_non_null(strstr(text, "and 5 more accounts"));
	assert_non_null(strstr(text, "and 3 more keys"));
	free(text);
	json_decref(keys);
}

/* What carries a verdict is bold and green; what does not is thin; what is bad is red. */
static void arrows_have_the_colour_of_their_verdict(void **state)
{
	json_t *carried = json_pack("[{s:s, s:s, s:s, s:s}]", "way", "signature", "issuer", "me",
	    "subject", "friend", "method", "M");
	json_t *keys = json_pack("[o, o, o]", key_of("me", "me@x", "own", json_array()),
	    key_of("friend", "f@x", "trusted", carried),
	    key_of("other", "o@x", "unknown", json_array()));
	static const struct {
		const char *issuer, *subject, *method, *verdict, *grade, *expected;
	} cases[] = {
		{ "me", "friend", "M", "good", "sha256", "color=\"#1e7b34\", style=solid" },
		{ "me", "friend", "M", "good", "sha1", "color=\"#1e7b34\", style=dashed" },
		{ "me", "friend", "N", "good", "sha256", "color=\"#d0d0d0\", style=solid" },
		{ "friend", "other", "M", "bad", "sha256", "color=\"#b3261e\", style=bold" },
		{ "friend", "other", "M", "unchecked", "sha256",
		    "color=\"#d0d0d0\", style=dotted" },
		{ "friend", "other", "M", "good", "sha1", "color=\"#d0d0d0\", style=dashed" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *edges = json_pack("[{s:s, s:s, s:s, s:s, s:s}]", "issuer", cases[i].issuer,
		    "subject", cases[i].subject, "method", cases[i].method, "verdict",
		    cases[i].verdict, "grade", cases[i].grade);
		char *text = written(keys, edges);

		if (strstr(text, cases[i].expected) == NULL)
			fail_msg("\"%s\" is not in %s", cases[i].expected, text);
		free(text);
		json_decref(edges);
	}
	json_decref(keys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_escaped),
		cmocka_unit_test(text_is_cut_by_characters),
		cmocka_unit_test(odd_answers_are_drawn),
		cmocka_unit_test(every_reason_is_told),
		cmocka_unit_test(strangers_and_keys_are_counted_not_drawn),
		cmocka_unit_test(arrows_have_the_colour_of_their_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
