/*
 * Text for people. Whatever came from outside (labels, names, JIDs, messages) is printed so that a
 * terminal does nothing but show it.
 */
#ifndef SG_CLI_PRINT_H
#define SG_CLI_PRINT_H

#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "error.h"

/*
 * The text with invalid UTF-8 replaced by U+FFFD and, unless keep_controls, what cannot be seen
 * (sg_utf8_is_hidden()) escaped: \n, \x1b, \u202e, \U000e0041. New string, NULL without memory.
 */
char *sg_text_clean(const char *text, int keep_controls);

/* Prints it clean. */
void sg_print_text(FILE *out, const char *text);

#define SG_FIELD_COLUMN 14 /* at which values stand */

/* "name:   ", as far as that column; a longer name has one blank behind it. */
void sg_print_name(const char *name);

/* "name:   value", a line; nothing when the value is NULL. */
void sg_print_field(const char *name, const char *value);

/* The same for a member of an object, when it is a string that is there. */
void sg_print_member(const char *name, const json_t *object, const char *member);

/* A line with a fingerprint (hex digits), in groups made for reading; before stands before it. */
void sg_print_fingerprint(FILE *out, const char *before, const char *hex);

/* The string member of an object, or the other text when it is absent or null. */
const char *sg_member(const json_t *object, const char *member, const char *otherwise);

/* The strings of an array joined by ", "; a new string ("-" when empty), NULL without memory. */
char *sg_member_list(const json_t *object, const char *member);

/* The same as the value of a field. */
void sg_print_member_list(const char *name, const json_t *object, const char *member);

/* A word of the API, and what a person reads in its place. */
struct sg_word {
	const char *word;
	const char *text;
};

/* The word's text; a word that is not among them stays as it is. */
const char *sg_word_text(const char *word, const struct sg_word *words, size_t count);

#define SG_WORD_TEXT(word, words) sg_word_text(word, words, sizeof(words) / sizeof((words)[0]))

/* Indented by 2, with a new line, on standard output. */
void sg_print_json(const json_t *value);

/* The same in one line. */
void sg_print_json_line(const json_t *value);

/*
 * A table: cells are copied; columns are as wide as their widest cell. Zero-initialise it. A row
 * takes `columns` strings (NULL and "" print "-"). Printing also frees.
 */
#define SG_TABLE_COLUMNS_MAX 8

struct sg_table {
	size_t columns;
	char **cells;
	size_t cell_count;
	size_t room;
	int failed; /* no memory: the table prints what it has */
};

void sg_table_start(struct sg_table *table, size_t columns, const char *const *headers);
void sg_table_row(struct sg_table *table, const char *const *cells);

/* When there is no row below the headers, prints the sentence instead. */
void sg_table_print(struct sg_table *table, const char *when_empty);

#endif
