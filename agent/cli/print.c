#include "print.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "buf.h"
#include "text.h"

#define REPLACEMENT 0xfffd

/* Takes one character; a byte that is none counts as U+FFFD. */
static uint32_t utf8_take(const char **pos)
{
	uint32_t code = 0;
	size_t len = sg_utf8_char(*pos, strnlen(*pos, 4), &code);

	*pos += len > 0 ? len : 1;
	return len > 0 ? code : REPLACEMENT;
}

static void put_escaped(struct sg_buf *buf, uint32_t c)
{
	if (c == '\n')
		sg_buf_put_str(buf, "\\n");
	else if (c == '\t')
		sg_buf_put_str(buf, "\\t");
	else if (c == '\r')
		sg_buf_put_str(buf, "\\r");
	else if (c < 0x80)
		sg_buf_printf(buf, "\\x%02x", (unsigned)c);
	else if (c < 0x10000)
		sg_buf_printf(buf, "\\u%04x", (unsigned)c);
	else
		sg_buf_printf(buf, "\\U%08x", (unsigned)c);
}

char *sg_text_clean(const char *text, int keep_controls)
{
	const char *pos = text;
	struct sg_buf buf = { 0 };

	while (*pos != '\0') {
		const char *start = pos;
		uint32_t c = utf8_take(&pos);

		if (c == REPLACEMENT)
			sg_buf_put_str(&buf, "\xef\xbf\xbd");
		else if (!keep_controls && sg_utf8_is_hidden(c))
			put_escaped(&buf, c);
		else
			sg_buf_put(&buf, start, (size_t)(pos - start));
	}
	return sg_buf_steal(&buf, NULL);
}

void sg_print_text(FILE *out, const char *text)
{
	char *clean = sg_text_clean(text, 0);

	fputs(clean != NULL ? clean : "?", out);
	free(clean);
}

void sg_print_name(const char *name)
{
	int rest = SG_FIELD_COLUMN - 1 - (int)strlen(name);

	printf("%s:%*s", name, rest > 0 ? rest : 1, "");
}

void sg_print_field(const char *name, const char *value)
{
	if (value == NULL)
		return;
	sg_print_name(name);
	sg_print_text(stdout, value);
	putchar('\n');
}

const char *sg_member(const json_t *object, const char *member, const char *otherwise)
{
	const char *text = json_string_value(json_object_get(object, member));

	return text != NULL ? text : otherwise;
}

void sg_print_member(const char *name, const json_t *object, const char *member)
{
	sg_print_field(name, sg_member(object, member, NULL));
}

void sg_print_fingerprint(FILE *out, const char *before, const char *hex)
{
	size_t len = strlen(hex);

	fputs(before, out);
	for (size_t i = 0; i < len; i += 4)
		fprintf(out, "%s%.4s", i == 0 ? "" : i % 20 == 0 ? "  " : " ", hex + i);
	fputc('\n', out);
}

char *sg_member_list(const json_t *object, const char *member)
{
	const json_t *list = json_object_get(object, member), *entry;
	struct sg_buf buf = { 0 };
	size_t i;

	json_array_foreach(list, i, entry) {
		if (i > 0)
			sg_buf_put_str(&buf, ", ");
		if (json_is_string(entry))
			sg_buf_put_str(&buf, json_string_value(entry));
	}
	if (buf.len == 0)
		sg_buf_put_str(&buf, "-");
	return sg_buf_steal(&buf, NULL);
}

void sg_print_member_list(const char *name, const json_t *object, const char *member)
{
	char *text = sg_member_list(object, member);

	sg_print_field(name, text);
	free(text);
}

const char *sg_word_text(const char *word, const struct sg_word *words, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(word, words[i].word) == 0)
			return words[i].text;
	}
	return word;
}

void sg_print_json(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
	putchar('\n');
}

void sg_print_json_line(const json_t *value)
{
	(void)json_dumpf(value, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
}

/* Columns of the terminal that clean text takes. */
static size_t text_width(const char *text)
{
	const char *pos = text;
	size_t width = 0;

	while (*pos != '\0') {
		int columns = wcwidth((wchar_t)utf8_take(&pos));

		width += columns >= 0 ? (size_t)columns : 1;
	}
	return width;
}

static void table_add(struct sg_table *table, const char *text)
{
	char *cell;

	if (table->failed)
		return;
	if (table->cell_count == table->room) {
		size_t room = table->room == 0 ? 64 : table->room * 2;
		char **cells = reallocarray(table->cells, room, sizeof(*cells));

		if (cells == NULL) {
			table->failed = 1;
			return;
		}
		table->cells = cells;
		table->room = room;
	}
	cell = sg_text_clean(text != NULL && text[0] != '\0' ? text : "-", 0);
	if (cell == NULL) {
		table->failed = 1;
		return;
	}
	table->cells[table->cell_count++] = cell;
}

void sg_table_start(struct sg_table *table, size_t columns, const char *const *headers)
{
	memset(table, 0, sizeof(*table));
	table->columns = columns;
	sg_table_row(table, headers);
}

void sg_table_row(struct sg_table *table, const char *const *cells)
{
	for (size_t i = 0; i < table->columns; i++)
		table_add(table, cells[i]);
}

void sg_table_print(struct sg_table *table, const char *when_empty)
{
	size_t widths[SG_TABLE_COLUMNS_MAX] = { 0 };
	size_t whole = table->cell_count - table->cell_count % table->columns;

	if (whole <= table->columns && !table->failed) {
		puts(when_empty);
		whole = 0;
	}
	for (size_t i = 0; i < whole; i++) {
		size_t width = text_width(table->cells[i]);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t i = 0; i < whole; i++) {
		size_t column = i % table->columns;

		fputs(table->cells[i], stdout);
		if (column + 1 == table->columns)
			putchar('\n');
		else
			printf("%*s", (int)(widths[column] - text_width(table->cells[i]) + 2), "");
	}
	if (table->failed)
		puts("(not enough memory for the rest)");
	for (size_t i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	memset(table, 0, sizeof(*table));
}
