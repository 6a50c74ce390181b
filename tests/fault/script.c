#include "script.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 8

struct line {
	struct sg_fault_script *script;
	unsigned number;
	char *words[WORDS_MAX + 1]; /* NULL after the last */
	size_t count;
};

/* Keeps the first thing that is wrong. Gives -1, for the caller to return. */
static int __attribute__((format(printf, 2, 3))) wrong(struct line *line, const char *format, ...)
{
	char *error = line->script->error;
	va_list args;
	int used;

	if (*error)
		return -1;
	used = snprintf(error, sizeof(line->script->error), "line %u: ", line->number);
	va_start(args, format);
	vsnprintf(error + used, sizeof(line->script->error) - (size_t)used, format, args);
	va_end(args);
	return -1;
}

/* Cuts the text into words, in place. */
static int cut(struct line *line, char *text)
{
	line->count = 0;
	for (;;) {
		text += strspn(text, " \t\r\n");
		if (*text == 0 || *text == '#')
			break;
		if (line->count == WORDS_MAX)
			return wrong(line, "more than %d words", WORDS_MAX);
		if (*text == '"') {
			line->words[line->count++] = ++text;
			text += strcspn(text, "\"\r\n");
			if (*text != '"')
				return wrong(line, "a quotation mark is missing");
		} else {
			line->words[line->count++] = text;
			text += strcspn(text, " \t\r\n");
		}
		if (*text != 0)
			*text++ = 0;
	}
	line->words[line->count] = NULL;
	return 0;
}

/* A whole number of at least one; 0 when the text is none. rest: where it ends. */
static unsigned long number(const char *text, char **rest)
{
	unsigned long value = 0;

	*rest = NULL;
	errno = 0;
	if (text != NULL && *text >= '1' && *text <= '9')
		value = strtoul(text, rest, 10);
	return errno != 0 ? 0 : value;
}

static int keep(struct line *line, char *to, size_t size, const char *text)
{
	if (text == NULL || *text == 0)
		return wrong(line, "a text is missing");
	if (strlen(text) >= size)
		return wrong(line, "'%.20s...' is longer than %zu bytes", text, size - 1);
	memcpy(to, text, strlen(text) + 1);
	return 0;
}

/* How many words the rule has after this many; -1 with a complaint unless between the two. */
static int has_words(struct line *line, size_t before, size_t least, size_t most)
{
	size_t more = line->count - before;

	if (more < least)
		return wrong(line, "a word is missing after '%s'", line->words[line->count - 1]);
	if (more > most)
		return wrong(line, "'%s' is one word too many", line->words[before + most]);
	return (int)more;
}

/* ---- rules ---- */

static int action_parse(struct line *line, size_t at, struct sg_fault_rule *rule)
{
	static const struct {
		const char *name;
		enum sg_fault_action action;
		size_t least, most;
	} actions[] = { { "remove", SG_FAULT_REMOVE, 0, 0 }, { "insert", SG_FAULT_INSERT, 0, 1 },
		{ "lose", SG_FAULT_LOSE_SESSIONS, 1, 1 }, { "fail", SG_FAULT_FAIL, 1, 1 },
		{ "slow", SG_FAULT_SLOW, 1, 1 }, { "hang", SG_FAULT_HANG, 0, 0 },
		{ "crash", SG_FAULT_CRASH, 0, 1 }, { "corrupt", SG_FAULT_CORRUPT, 0, 0 } };
	const char *name = line->words[at], *word = name != NULL ? line->words[at + 1] : NULL;
	char *rest;
	size_t i;

	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (name != NULL && strcmp(name, actions[i].name) == 0)
			break;
	}
	if (i == sizeof(actions) / sizeof(actions[0]))
		return wrong(line, "'%s' is no action", name != NULL ? name : "");
	if (has_words(line, at + 1, actions[i].least, actions[i].most) < 0)
		return -1;
	rule->action = actions[i].action;
	if (rule->when == SG_FAULT_NOW && rule->action >= SG_FAULT_FAIL)
		return wrong(line, "'%s' is nothing that happens now", name);
	if (rule->action == SG_FAULT_CORRUPT &&
	    (rule->when != SG_FAULT_ON || rule->fn != SG_FN_C_Sign))
		return wrong(line, "'%s' is only for 'on C_Sign'", name);
	switch (rule->action) {
	case SG_FAULT_INSERT:
		return word == NULL ? 0 : keep(line, rule->serial, sizeof(rule->serial), word);
	case SG_FAULT_LOSE_SESSIONS:
		if (strcmp(word, "login") == 0)
			rule->action = SG_FAULT_LOSE_LOGIN;
		else if (strcmp(word, "sessions") != 0)
			return wrong(line, "'%s' is neither 'sessions' nor 'login'", word);
		return 0;
	case SG_FAULT_FAIL:
		if (sg_fault_rv_find(word, &rule->rv) != 0 || rule->rv == CKR_OK)
			return wrong(line, "'%s' is no CKR_ of a failure", word);
		return 0;
	case SG_FAULT_SLOW:
		rule->ms = number(word, &rest);
		return rule->ms == 0 || *rest != 0
		    ? wrong(line, "'%s' is no number of milliseconds", word)
		    : 0;
	case SG_FAULT_CRASH:
		rule->signal_number = word != NULL && strcmp(word, "segv") == 0 ? SIGSEGV : SIGABRT;
		if (word != NULL && strcmp(word, "segv") != 0 && strcmp(word, "abort") != 0)
			return wrong(line, "'%s' is neither 'abort' nor 'segv'", word);
		return 0;
	default:
		return 0;
	}
}

static int rule_parse(struct line *line, enum sg_fault_when when)
{
	struct sg_fault_script *script = line->script;
	struct sg_fault_rule *rule = &script->rules[script->rule_count];
	char *rest;
	size_t at = 1;
	int fn;

	if (script->rule_count == SG_FAULT_RULES_MAX)
		return wrong(line, "more than %d rules", SG_FAULT_RULES_MAX);
	rule->line = line->number;
	rule->when = when;
	if (when != SG_FAULT_NOW) {
		if (has_words(line, at, 2, WORDS_MAX) < 0)
			return -1;
		fn = sg_fault_fn_find(line->words[at++]);
		if (fn < 0)
			return wrong(line, "'%s' is no function", line->words[at - 1]);
		rule->fn = (enum sg_fault_fn)fn;
		rule->nth = number(line->words[at], &rest);
		if (rule->nth > 0) {
			rule->onwards = strcmp(rest, "+") == 0;
			if (*rest != 0 && !rule->onwards)
				return wrong(line, "'%s' is no number of a call", line->words[at]);
			at++;
		}
	}
	if (action_parse(line, at, rule) != 0)
		return -1;
	script->rule_count++;
	return 0;
}

static int on_parse(struct line *line)
{
	return rule_parse(line, SG_FAULT_ON);
}

static int after_parse(struct line *line)
{
	return rule_parse(line, SG_FAULT_AFTER);
}

static int now_parse(struct line *line)
{
	return rule_parse(line, SG_FAULT_NOW);
}

/* ---- settings ---- */

static struct sg_fault_override *override_new(
    struct line *line, const char *label, CK_ATTRIBUTE_TYPE type)
{
	struct sg_fault_script *script = line->script;
	struct sg_fault_override *override = &script->overrides[script->override_count];

	if (script->override_count == SG_FAULT_SETTINGS_MAX) {
		wrong(line, "more than %d attributes", SG_FAULT_SETTINGS_MAX);
		return NULL;
	}
	if (keep(line, override->label, sizeof(override->label), label) != 0)
		return NULL;
	override->type = type;
	script->override_count++;
	return override;
}

/* true, false, 0xBYTES or a text. */
static int value_parse(struct line *line, struct sg_fault_override *override, const char *text)
{
	size_t len = strlen(text), i;
	unsigned byte;

	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
		override->value[0] = *text == 't' ? CK_TRUE : CK_FALSE;
		override->len = sizeof(CK_BBOOL);
		return 0;
	}
	if (strncmp(text, "0x", 2) == 0) {
		if (len % 2 != 0 || strspn(text + 2, "0123456789abcdefABCDEF") != len - 2 ||
		    len / 2 - 1 > SG_FAULT_ATTRIBUTE_MAX)
			return wrong(line, "'%.20s' is no hex of up to %d bytes", text,
			    SG_FAULT_ATTRIBUTE_MAX);
		for (i = 2; i < len && sscanf(text + i, "%2x", &byte) == 1; i += 2)
			override->value[override->len++] = (CK_BYTE)byte;
		return 0;
	}
	override->len = len;
	return keep(line, (char *) override->value, sizeof(override->value), text);
}

static int attribute_parse(struct line *line)
{
	struct sg_fault_override *override;
	CK_ATTRIBUTE_TYPE type;

	if (has_words(line, 1, 3, 3) < 0)
		return -1;
	if (sg_fault_attribute_find(line->words[2], &type) != 0)
		return wrong(line, "'%s' is no attribute", line->words[2]);
	override = override_new(line, line->words[1], type);
	return override == NULL ? -1 : value_parse(line, override, line->words[3]);
}

/* Objects labelled from show the label, or the identifier, of those labelled to. */
static int show_as(struct line *line, const char *from, CK_ATTRIBUTE_TYPE type, const char *to)
{
	struct sg_fault_override *override = override_new(line, from, type);

	if (override == NULL)
		return -1;
	override->kind = type == CKA_ID ? SG_FAULT_ID_OF : SG_FAULT_BYTES;
	override->len = strlen(to);
	return keep(line, (char *) override->value, sizeof(override->value), to);
}

static int duplicate_parse(struct line *line)
{
	const char *what = line->words[1];

	if (has_words(line, 1, 3, 3) < 0)
		return -1;
	if (strcmp(what, "label") == 0)
		return show_as(line, line->words[3], CKA_LABEL, line->words[2]);
	if (strcmp(what, "id") == 0)
		return show_as(line, line->words[3], CKA_ID, line->words[2]);
	return wrong(line, "'%s' is neither 'label' nor 'id'", what);
}

static int swap_parse(struct line *line)
{
	const char *one = line->words[1], *two = line->words[2];

	if (has_words(line, 1, 2, 2) < 0)
		return -1;
	return show_as(line, one, CKA_LABEL, two) != 0 || show_as(line, one, CKA_ID, two) != 0 ||
		show_as(line, two, CKA_LABEL, one) != 0 || show_as(line, two, CKA_ID, one) != 0
	    ? -1
	    : 0;
}

static int always_parse(struct line *line)
{
	struct sg_fault_script *script = line->script;
	struct sg_fault_override *override;

	if (has_words(line, 1, 1, 1) < 0)
		return -1;
	override = override_new(line, line->words[1], CKA_ALWAYS_AUTHENTICATE);
	if (override == NULL)
		return -1;
	override->value[0] = CK_TRUE;
	override->len = sizeof(CK_BBOOL);
	return keep(line, script->always[script->always_count++], sizeof(script->always[0]),
	    line->words[1]);
}

static int pin_parse(struct line *line)
{
	char *rest;

	if (has_words(line, 1, 1, 2) < 0)
		return -1;
	line->script->pin_tries = number(line->words[1], &rest);
	if (line->script->pin_tries == 0 || *rest != 0)
		return wrong(line, "'%s' is no number of tries", line->words[1]);
	line->script->pin_silent = line->count == 3;
	if (line->script->pin_silent && strcmp(line->words[2], "silent") != 0)
		return wrong(line, "'%s' is not 'silent'", line->words[2]);
	return 0;
}

static int refuse_parse(struct line *line)
{
	struct sg_fault_script *script = line->script;
	struct sg_fault_refusal *refusal = &script->refusals[script->refusal_count];

	if (has_words(line, 1, 1, 2) < 0)
		return -1;
	if (script->refusal_count == SG_FAULT_SETTINGS_MAX)
		return wrong(line, "more than %d mechanisms", SG_FAULT_SETTINGS_MAX);
	if (sg_fault_mechanism_find(line->words[1], &refusal->type) != 0)
		return wrong(line, "'%s' is no mechanism", line->words[1]);
	refusal->late = line->count == 3;
	if (refusal->late && strcmp(line->words[2], "late") != 0)
		return wrong(line, "'%s' is not 'late'", line->words[2]);
	script->refusal_count++;
	return 0;
}

static int flag_parse(struct line *line, int *flag)
{
	*flag = 1;
	return has_words(line, 1, 0, 0) < 0 ? -1 : 0;
}

static int removable_parse(struct line *line)
{
	return flag_parse(line, &line->script->removable);
}

static int events_parse(struct line *line)
{
	return flag_parse(line, &line->script->events);
}

static int read_only_parse(struct line *line)
{
	return flag_parse(line, &line->script->read_only);
}

static int memory_full_parse(struct line *line)
{
	return flag_parse(line, &line->script->memory_full);
}

static int line_parse(struct line *line)
{
	static const struct {
		const char *word;
		int (*parse)(struct line *line);
	} words[] = { { "now", now_parse }, { "on", on_parse }, { "after", after_parse },
		{ "pin", pin_parse }, { "refuse", refuse_parse }, { "attribute", attribute_parse },
		{ "always-authenticate", always_parse }, { "duplicate", duplicate_parse },
		{ "swap", swap_parse }, { "removable", removable_parse },
		{ "events", events_parse }, { "read-only", read_only_parse },
		{ "memory-full", memory_full_parse } };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(line->words[0], words[i].word) == 0)
			return words[i].parse(line);
	}
	return wrong(line, "'%s' begins no rule", line->words[0]);
}

/* As fgets(), which does not tell how much it has read. Gives 0 at the end. */
static int line_read(FILE *file, char *text, size_t size, size_t *len)
{
	int c = 0;

	*len = 0;
	while (c != '\n' && *len < size - 1 && (c = getc(file)) != EOF)
		text[(*len)++] = (char)c;
	text[*len] = 0;
	return *len > 0;
}

struct sg_fault_script *sg_fault_script_read(const char *path)
{
	struct sg_fault_script *script = calloc(1, sizeof(*script));
	struct line line = { .script = script };
	char text[SG_FAULT_LINE_MAX];
	size_t len = 0;
	FILE *file;

	if (script == NULL || path == NULL)
		return script;
	file = fopen(path, "re");
	if (file == NULL || fstat(fileno(file), &script->identity) != 0)
		snprintf(script->error, sizeof(script->error), "%.200s: %s", path, strerror(errno));
	while (file != NULL && !*script->error && line_read(file, text, sizeof(text), &len)) {
		line.number++;
		if (strlen(text) != len)
			wrong(&line, "a byte is zero");
		else if (len == sizeof(text) - 1)
			wrong(&line, "more than %zu bytes", sizeof(text) - 2);
		else if (cut(&line, text) == 0 && line.count > 0)
			line_parse(&line);
	}
	if (file != NULL)
		fclose(file);
	return script;
}

int sg_fault_script_is_stale(const struct sg_fault_script *script, const char *path)
{
	const struct stat *was = &script->identity;
	struct stat is = { 0 };

	if (path == NULL)
		return 0;
	if (stat(path, &is) != 0)
		memset(&is, 0, sizeof(is));
	return is.st_ino != was->st_ino || is.st_dev != was->st_dev || is.st_size != was->st_size ||
	    is.st_mtim.tv_sec != was->st_mtim.tv_sec || is.st_mtim.tv_nsec != was->st_mtim.tv_nsec;
}
