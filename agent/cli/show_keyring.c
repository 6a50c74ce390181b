#include "show_keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "show.h"

#define SIGHTINGS_SHOWN 10

/* The first of those who are said to have the key, and how many others. */
static char *whose(const json_t *key)
{
	const json_t *sightings = json_object_get(key, "sightings"), *sighting;
	const char *first = NULL;
	char *text = NULL;
	size_t i, others = 0;

	json_array_foreach(sightings, i, sighting) {
		const char *jid = sg_member(sighting, "jid", "-");
		size_t before = 0;

		while (before < i &&
		    strcmp(jid, sg_member(json_array_get(sightings, before), "jid", "-")) != 0)
			before++;
		if (first == NULL)
			first = jid;
		else if (before == i)
			others++;
	}
	if (first == NULL)
		first = sg_member(key, "decided_for", "-");
	if (asprintf(&text, others > 0 ? "%s +%zu" : "%s", first, others) < 0)
		return NULL;
	return text;
}

static const char *source_text(const char *source)
{
	static const struct sg_word words[] = {
		{ "node", "on its node" },
		{ "event", "told by its node" },
		{ "direct", "it answered" },
		{ "third", "a third party answered" },
		{ "push", "sent in a message" },
		{ "import", "imported" },
	};

	return SG_WORD_TEXT(source, words);
}

/* What is wrong with it, in one word. */
static const char *flaw(const json_t *key)
{
	if (json_is_true(json_object_get(key, "revoked")))
		return "REVOKED";
	if (json_is_true(json_object_get(key, "retracted")))
		return "retracted";
	if (json_is_true(json_object_get(key, "expired")))
		return "expired";
	return strcmp(sg_member(key, "kind", ""), "reference") == 0 ? "name only" : NULL;
}

static const char *decision_text(const json_t *key)
{
	const char *decision = sg_member(key, "decision", "-");

	return strcmp(decision, "distrusted") == 0 ? "DISTRUSTED" : decision;
}

void sg_show_known_keys(const json_t *keys, const char *when_empty)
{
	static const char *const headers[] = { "NAME", "OF", "DECISION", "KNOWN", "LAST SEEN",
		"NOTE" };
	const size_t columns = sizeof(headers) / sizeof(headers[0]);
	struct sg_table table;
	const json_t *key;
	size_t i;

	sg_table_start(&table, columns, headers);
	json_array_foreach(keys, i, key) {
		const json_t *first = json_array_get(json_object_get(key, "sightings"), 0);
		char *of = whose(key);
		const char *cells[] = { sg_member(key, "name", "-"), of, decision_text(key),
			source_text(sg_member(first, "source", "-")), sg_member(key, "last", "-"),
			flaw(key) };

		sg_table_row(&table, cells);
		free(of);
	}
	sg_table_print(&table, when_empty);
}

static void show_sighting(const json_t *sighting)
{
	const char *told_by = sg_member(sighting, "told_by", NULL);
	const char *retracted = sg_member(sighting, "retracted", NULL);

	sg_print_name("of");
	sg_print_text(stdout, sg_member(sighting, "jid", "-"));
	fputs(": ", stdout);
	fputs(source_text(sg_member(sighting, "source", "-")), stdout);
	if (told_by != NULL) {
		fputs(" (", stdout);
		sg_print_text(stdout, told_by);
		fputs(")", stdout);
	}
	printf(", first %s, last %s", sg_member(sighting, "first", "-"),
	    sg_member(sighting, "last", "-"));
	if (retracted != NULL)
		printf(", NOT SHOWN since %s", retracted);
	putchar('\n');
}

static void show_decision(const json_t *key)
{
	const char *of = sg_member(key, "decided_for", NULL);
	const char *when = sg_member(key, "decided", NULL);

	sg_print_name("decision");
	fputs(decision_text(key), stdout);
	if (of != NULL) {
		fputs(" as a key of ", stdout);
		sg_print_text(stdout, of);
	}
	if (when != NULL)
		printf(", since %s", when);
	putchar('\n');
}

void sg_show_known_key(const json_t *key)
{
	const json_t *sightings = json_object_get(key, "sightings"), *sighting;
	json_int_t count = json_integer_value(json_object_get(key, "sighting_count"));
	size_t i;

	sg_print_member("name", key, "name");
	sg_print_member("sha256", key, "sha256");
	sg_print_field("kind", sg_key_kind_text(sg_member(key, "kind", "")));
	sg_print_member_list("JIDs", key, "jids");
	if (json_array_size(json_object_get(key, "user_ids")) > 0)
		sg_print_member_list("user ids", key, "user_ids");
	show_decision(key);
	json_array_foreach(sightings, i, sighting) {
		if (i < SIGHTINGS_SHOWN)
			show_sighting(sighting);
	}
	if (count > SIGHTINGS_SHOWN) {
		sg_print_name("of");
		printf("and %lld more\n", (long long)count - SIGHTINGS_SHOWN);
	}
	if (flaw(key) != NULL)
		sg_print_field("note", flaw(key));
}

static const char *change_text(const char *kind)
{
	if (strcmp(kind, "new") == 0)
		return "ANOTHER KEY than before";
	return strcmp(kind, "revoked") == 0 ? "REVOKED" : "trusted, and NOT SHOWN any more";
}

void sg_show_key_changes(const json_t *changes, const char *when_empty)
{
	static const char *const headers[] = { "JID", "KEY", "WHAT", "SINCE" };
	struct sg_table table;
	const json_t *change;
	size_t i;

	sg_table_start(&table, sizeof(headers) / sizeof(headers[0]), headers);
	json_array_foreach(changes, i, change) {
		const char *cells[] = { sg_member(change, "jid", "-"),
			sg_member(change, "name", "-"), change_text(sg_member(change, "kind", "")),
			sg_member(change, "at", "-") };

		sg_table_row(&table, cells);
	}
	sg_table_print(&table, when_empty);
}
