#include "dot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"
#include "text.h"

#define COLUMN_ROWS 16 /* boxes below each other */
#define NAME_SHOWN  8  /* digits of a key's name: to find it, not to compare it */

/* The columns of the picture, from the person to those who are far from him. */
enum column {
	COLUMN_OWN,
	COLUMN_TRUSTED,
	COLUMN_VOUCHED,
	COLUMN_BROKEN,
	COLUMN_STRANGE,
	COLUMN_COUNT,
};

static const struct {
	const char *title;
	const char *mark;
	const char *border;
	const char *head;
} columns[COLUMN_COUNT] = {
	[COLUMN_OWN] = { "You", "&#9733;", "#1b5fa8", "#d5e6f8" },
	[COLUMN_TRUSTED] = { "Trusted", "&#10004;", "#1e7b34", "#d6f0dc" },
	[COLUMN_VOUCHED] = { "Not trusted: friends vouch for them", "?", "#b36b00", "#fdebcf" },
	[COLUMN_BROKEN] = { "Not trusted: broken or refused", "&#10008;", "#b3261e", "#f9dcd9" },
	[COLUMN_STRANGE] = { "Not trusted: nothing leads to them", "&#8211;", "#8a8a8a",
	    "#ececec" },
};

static const struct look {
	const char *verdict;
	const char *mark;
	const char *colour;
	enum column column;
} looks[] = {
	{ "own", "&#9733;", "#1b5fa8", COLUMN_OWN },
	{ "trusted", "&#10004;", "#1e7b34", COLUMN_TRUSTED },
	{ "friend", "&#10004;", "#1e7b34", COLUMN_TRUSTED },
	{ "vouched", "?", "#b36b00", COLUMN_VOUCHED },
	{ "broken", "&#10008;", "#b3261e", COLUMN_BROKEN },
	{ "refused", "&#10008;", "#b3261e", COLUMN_BROKEN },
	{ "unknown", "&#8211;", "#5f5f5f", COLUMN_STRANGE },
};

#define LOOK_UNKNOWN (&looks[sizeof(looks) / sizeof(looks[0]) - 1])

struct node {
	const json_t *key;
	const json_t *path;
	const char *name;
	const char *jid;
	const struct look *look;
	int is_user; /* it has signed another key of its JID, or is the own user key */
	size_t account;
	size_t row; /* inside its box */
};

struct account {
	const char *jid;
	size_t first, count; /* of nodes */
	enum column column;
	int hidden;
};

struct picture {
	struct node *nodes; /* by JID, then as they came */
	size_t node_count;
	struct node **by_name;
	struct account *accounts;
	size_t account_count;
	size_t hidden;
	const json_t *edges;
};

/* ---- text ---- */

static void put_char(struct sg_buf *out, const char *text, size_t len, uint32_t code)
{
	if (code == '&')
		sg_buf_put_str(out, "&amp;");
	else if (code == '<')
		sg_buf_put_str(out, "&lt;");
	else if (code == '>')
		sg_buf_put_str(out, "&gt;");
	else if (code == '"')
		sg_buf_put_str(out, "&quot;");
	else if (code == '\'')
		sg_buf_put_str(out, "&#39;");
	else if (code == '\\')
		sg_buf_put_str(out, "&#92;"); /* DOT has escapes of its own */
	else
		sg_buf_put(out, text, len);
}

void sg_dot_put_text(struct sg_buf *out, const char *text, size_t max)
{
	char *clean = sg_text_clean(text, 0);
	size_t len = clean != NULL ? strlen(clean) : 0, at = 0, shown = 0;

	while (at < len) {
		uint32_t code;
		size_t size = sg_utf8_char(clean + at, len - at, &code);

		if (size == 0)
			break;
		if (shown++ == max) {
			sg_buf_put_str(out, "&#8230;");
			break;
		}
		/* what XML 1.0 has no place for */
		if (code == 0xfffe || code == 0xffff)
			sg_buf_put_str(out, "?");
		else
			put_char(out, clean + at, size, code);
		at += size;
	}
	free(clean);
}

static void put_name(struct sg_buf *out, const char *name)
{
	sg_dot_put_text(out, name != NULL ? name : "-", NAME_SHOWN);
}

/* The day of a time. */
static void put_day(struct sg_buf *out, const char *time)
{
	char day[11];

	(void)snprintf(day, sizeof(day), "%s", time);
	sg_dot_put_text(out, day, sizeof(day));
}

/* ---- laying out ---- */

static const struct look *look_of(const char *verdict)
{
	for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
		if (strcmp(looks[i].verdict, verdict) == 0)
			return &looks[i];
	}
	return LOOK_UNKNOWN;
}

static int is_own(const struct node *node)
{
	return strncmp(sg_member(node->key, "role", ""), "own", 3) == 0;
}

static int compare_nodes(const void *a, const void *b)
{
	const struct node *left = a, *right = b;
	int order = is_own(right) - is_own(left);

	if (order == 0)
		order = strcmp(left->jid, right->jid);
	if (order == 0)
		order = right->is_user - left->is_user;
	if (order == 0)
		order = (left->look > right->look) - (left->look < right->look);
	return order != 0 ? order : strcmp(left->name, right->name);
}

static int compare_names(const void *a, const void *b)
{
	const struct node *const *left = a, *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

static struct node *node_find(const struct picture *picture, const char *name)
{
	struct node wanted = { .name = name };
	const struct node *key = &wanted;
	struct node **found;

	if (picture->node_count == 0)
		return NULL;
	found = bsearch(
	    &key, picture->by_name, picture->node_count, sizeof(struct node *), compare_names);
	return found != NULL ? *found : NULL;
}

static void index_names(struct picture *picture)
{
	for (size_t i = 0; i < picture->node_count; i++)
		picture->by_name[i] = &picture->nodes[i];
	qsort(picture->by_name, picture->node_count, sizeof(struct node *), compare_names);
}

static void take_nodes(struct picture *picture, const json_t *keys)
{
	const json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		const json_t *path = json_object_get(key, "path");
		const char *claim =
		    json_string_value(json_array_get(json_object_get(path, "claims"), 0));

		picture->nodes[picture->node_count++] = (struct node){
			.key = key,
			.path = path,
			.name = sg_member(key, "name", ""),
			.jid = sg_member(path, "jid", claim != NULL ? claim : ""),
			.look = look_of(sg_member(path, "verdict", "")),
			.is_user = strcmp(sg_member(key, "role", ""), "own_user") == 0,
		};
	}
}

/* Who signs keys of his own JID is a user key, as far as can be seen. */
static void mark_users(struct picture *picture)
{
	const json_t *edge;
	size_t i;

	json_array_foreach(picture->edges, i, edge) {
		struct node *issuer = node_find(picture, sg_member(edge, "issuer", ""));
		const struct node *subject = node_find(picture, sg_member(edge, "subject", ""));

		if (issuer != NULL && subject != NULL && issuer != subject &&
		    strcmp(issuer->jid, subject->jid) == 0)
			issuer->is_user = 1;
	}
}

static void take_accounts(struct picture *picture)
{
	struct account *account = NULL;
	size_t strangers = 0;

	for (size_t i = 0; i < picture->node_count; i++) {
		struct node *node = &picture->nodes[i];
		enum column column = is_own(node) ? COLUMN_OWN : node->look->column;

		if (account == NULL || strcmp(account->jid, node->jid) != 0) {
			account = &picture->accounts[picture->account_count++];
			*account = (struct account){
				.jid = node->jid, .first = i, .column = COLUMN_STRANGE
			};
		}
		node->account = picture->account_count - 1;
		node->row = account->count++;
		if (column < account->column)
			account->column = column;
	}
	for (size_t i = 0; i < picture->account_count; i++) {
		account = &picture->accounts[i];
		if (account->column >= COLUMN_BROKEN && ++strangers > SG_DOT_STRANGERS_MAX) {
			account->hidden = 1;
			picture->hidden++;
		}
	}
}

static int picture_init(struct picture *picture, const json_t *keys, const json_t *edges)
{
	size_t count = json_array_size(keys);

	*picture = (struct picture){
		.nodes = calloc(count + 1, sizeof(*picture->nodes)),
		.by_name = calloc(count + 1, sizeof(struct node *)),
		.accounts = calloc(count + 1, sizeof(*picture->accounts)),
		.edges = edges,
	};
	if (picture->nodes == NULL || picture->by_name == NULL || picture->accounts == NULL)
		return SG_ERR_NOMEM;
	take_nodes(picture, keys);
	index_names(picture);
	mark_users(picture);
	qsort(picture->nodes, count, sizeof(*picture->nodes), compare_nodes);
	index_names(picture);
	take_accounts(picture);
	return 0;
}

static void picture_clear(struct picture *picture)
{
	free(picture->nodes);
	free(picture->by_name);
	free(picture->accounts);
}

/* ---- why a key is what it is ---- */

static const json_t *last_step(const struct node *node)
{
	const json_t *steps = json_object_get(node->path, "steps");
	size_t count = json_array_size(steps);

	return count > 0 ? json_array_get(steps, count - 1) : NULL;
}

static const json_t *broken_step(const struct node *node)
{
	const json_t *step;
	size_t i;

	json_array_foreach(json_object_get(node->path, "steps"), i, step) {
		if (sg_member(step, "breaks", NULL) != NULL)
			return step;
	}
	return NULL;
}

/* Whose key made the last signature: its JID, without one its name. */
static void put_issuer(struct sg_buf *out, const json_t *step)
{
	const char *jid = sg_member(step, "issuer_jid", NULL);

	if (jid != NULL)
		sg_dot_put_text(out, jid, SG_DOT_TEXT_MAX);
	else
		put_name(out, sg_member(step, "issuer", NULL));
}

/* Signed by a key that nothing leads to; his own other key is told by its name. */
static void put_unknown(
    struct sg_buf *out, const struct picture *picture, const struct node *node, const json_t *step)
{
	const struct node *issuer = node_find(picture, sg_member(step, "issuer", ""));

	sg_buf_put_str(out, "signed by ");
	if (issuer != NULL && issuer->account == node->account)
		put_name(out, issuer->name);
	else
		put_issuer(out, step);
	if (issuer != NULL && strcmp(issuer->look->verdict, "refused") == 0)
		sg_buf_put_str(out, ", which you refused");
	else if (issuer != NULL && issuer->look->column < COLUMN_BROKEN)
		sg_buf_put_str(out, ": too far from you");
	else if (issuer == NULL || issuer->account != node->account)
		sg_buf_put_str(out, ", a stranger");
}

static void put_break(
    struct sg_buf *out, const struct picture *picture, const struct node *node, const json_t *step)
{
	static const struct {
		const char *breaks;
		const char *text;
	} words[] = {
		{ "refused", "refused by you" },
		{ "revoked", "revoked" },
		{ "retracted", "taken back by its owner" },
		{ "not_yet_valid", "not valid yet" },
		{ "unknown_method", "signed by an unknown method" },
		{ "signature_refused", "its signature may not count" },
		{ "unchecked", "not checked" },
		{ "issuer_missing", "signed by a key that is not at hand" },
	};
	const char *breaks = sg_member(step, "breaks", "");
	const char *subject = sg_member(step, "subject", "");

	if (strcmp(subject, node->name) != 0) {
		sg_buf_put_str(out, "by ");
		put_name(out, subject);
		sg_buf_put_str(out, ": ");
	}
	if (strcmp(breaks, "expired") == 0) {
		sg_buf_put_str(out, "expired on ");
		put_day(out, sg_member(step, "not_after", ""));
	} else if (strcmp(breaks, "bad_signature") == 0) {
		sg_buf_put_str(out, "FORGED signature of ");
		put_issuer(out, step);
	} else if (strcmp(breaks, "issuer_unknown") == 0 || strcmp(breaks, "too_far") == 0) {
		put_unknown(out, picture, node, step);
	} else {
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (strcmp(words[i].breaks, breaks) == 0)
				sg_buf_put_str(out, words[i].text);
		}
	}
}

static void put_why(struct sg_buf *out, const struct picture *picture, const struct node *node)
{
	const json_t *step = last_step(node), *broken = broken_step(node);
	const char *verdict = sg_member(node->path, "verdict", "");

	if (broken != NULL) {
		put_break(out, picture, node, broken);
	} else if (strcmp(verdict, "own") == 0) {
		sg_buf_put_str(out, node->is_user ? "your user key" : "your client key");
	} else if (strcmp(verdict, "vouched") == 0) {
		sg_buf_put_str(out, "only ");
		put_issuer(out, step);
		sg_buf_put_str(out, " vouches for it");
	} else if (strcmp(verdict, "friend") == 0) {
		sg_buf_put_str(out, "signed by ");
		put_name(out, sg_member(step, "issuer", NULL));
	} else if (strcmp(verdict, "trusted") == 0) {
		sg_buf_put_str(out,
		    strcmp(sg_member(step, "way", ""), "person") == 0 ? "compared by you"
								      : "signed by you");
	} else {
		sg_buf_put_str(out, "unsigned");
	}
	if (strcmp(sg_member(node->path, "grade", ""), "sha1") == 0)
		sg_buf_put_str(out, " (SHA-1 only: weaker)");
}

/* ---- boxes ---- */

static void put_row(struct sg_buf *out, const struct picture *picture, const struct node *node)
{
	const json_t *claims = json_object_get(node->path, "claims"), *claim;
	const char *kind = sg_member(node->key, "kind", "");
	size_t i;

	sg_buf_printf(out,
	    "<TR><TD PORT=\"k%zu\" ALIGN=\"LEFT\"><FONT COLOR=\"%s\"><B>%s</B> %s<FONT "
	    "FACE=\"DejaVu Sans Mono,monospace\">",
	    node->row, node->look->colour, node->look->mark, node->is_user ? "" : "&#160;&#160;");
	put_name(out, node->name);
	sg_buf_put_str(out, "</FONT>");
	if (strcmp(kind, "pgp") == 0)
		sg_buf_put_str(out, " OpenPGP");
	sg_buf_put_str(out, " <FONT POINT-SIZE=\"8\">");
	put_why(out, picture, node);
	json_array_foreach(claims, i, claim) {
		const char *jid = json_string_value(claim);

		if (jid == NULL || strcmp(jid, node->jid) == 0 ||
		    picture->accounts[node->account].column == COLUMN_OWN)
			continue;
		sg_buf_put_str(out, "; ALSO CLAIMED by ");
		sg_dot_put_text(out, jid, SG_DOT_TEXT_MAX);
		break;
	}
	sg_buf_put_str(out, "</FONT></FONT></TD></TR>\n");
}

static void put_account(struct sg_buf *out, const struct picture *picture, size_t at)
{
	const struct account *account = &picture->accounts[at];
	size_t shown = account->count < SG_DOT_KEYS_MAX ? account->count : SG_DOT_KEYS_MAX;

	sg_buf_printf(out,
	    "a%zu [label=<<TABLE BORDER=\"1\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"2\" "
	    "COLOR=\"%s\" BGCOLOR=\"white\"><TR><TD PORT=\"h\" ALIGN=\"LEFT\" "
	    "BGCOLOR=\"%s\"><B>%s ",
	    at, columns[account->column].border, columns[account->column].head,
	    columns[account->column].mark);
	sg_dot_put_text(out, account->jid[0] != '\0' ? account->jid : "(no JID)", SG_DOT_TEXT_MAX);
	sg_buf_put_str(out, "</B></TD></TR>\n");
	for (size_t i = 0; i < shown; i++)
		put_row(out, picture, &picture->nodes[account->first + i]);
	if (shown < account->count)
		sg_buf_printf(out, "<TR><TD ALIGN=\"LEFT\">and %zu more keys</TD></TR>\n",
		    account->count - shown);
	sg_buf_put_str(out, "</TABLE>>];\n");
}

/* A column is one of Graphviz's ranks, or several when it is long: each begins with a point that
 * nobody sees, and these are chained, since arrows do not count. */
static void put_column(
    struct sg_buf *out, const struct picture *picture, enum column column, size_t *ranks)
{
	size_t put = 0;

	sg_buf_printf(out,
	    "subgraph cluster_%d {\nlabel=\"%s\"; fontsize=15; fontcolor=\"%s\"; style=rounded; "
	    "color=\"%s\"; penwidth=1.5;\n",
	    (int)column, columns[column].title, columns[column].border, columns[column].border);
	if (column == COLUMN_OWN)
		sg_buf_printf(out,
		    "you [label=<<FONT POINT-SIZE=\"13\" COLOR=\"%s\"><B>YOU</B></FONT>>];\n",
		    columns[column].border);
	for (size_t i = 0; i < picture->account_count; i++) {
		if (picture->accounts[i].column != column || picture->accounts[i].hidden)
			continue;
		if (put++ % COLUMN_ROWS == 0)
			sg_buf_printf(out, "%s{ rank=same; r%zu [shape=point, style=invis];\n",
			    put > 1 ? "}\n" : "", (*ranks)++);
		put_account(out, picture, i);
	}
	if (put > 0 && column == COLUMN_OWN)
		sg_buf_put_str(out, "you;\n");
	if (put > 0 && column == COLUMN_STRANGE && picture->hidden > 0)
		sg_buf_printf(out, "more [label=\"and %zu more accounts\"];\n", picture->hidden);
	sg_buf_put_str(out, put > 0 ? "}\n}\n" : "}\n");
}

static int has_column(const struct picture *picture, enum column column)
{
	for (size_t i = 0; i < picture->account_count; i++) {
		if (picture->accounts[i].column == column)
			return 1;
	}
	return 0;
}

static void put_columns(struct sg_buf *out, const struct picture *picture)
{
	size_t ranks = 0;

	for (int i = 0; i < COLUMN_COUNT; i++) {
		if (i == COLUMN_OWN || has_column(picture, (enum column)i))
			put_column(out, picture, (enum column)i, &ranks);
	}
	for (size_t i = 1; i < ranks; i++)
		sg_buf_printf(
		    out, "r%zu -> r%zu [style=invis, weight=100, constraint=true];\n", i - 1, i);
	if (ranks > 0)
		sg_buf_put_str(out, "{ rank=same; r0; legend; }\n");
}

/* ---- arrows ---- */

static int is_drawn(const struct picture *picture, const struct node *node)
{
	return node != NULL && node->row < SG_DOT_KEYS_MAX &&
	    !picture->accounts[node->account].hidden;
}

/* Whether the signature is the one by which the subject is what it is. */
static int is_carrying(const struct node *subject, const char *issuer, const char *method)
{
	const json_t *step = last_step(subject);

	return step != NULL && strcmp(sg_member(step, "issuer", ""), issuer) == 0 &&
	    strcmp(sg_member(step, "method", ""), method) == 0;
}

struct arrow {
	const char *colour;
	const char *style;
	const char *width;
};

static struct arrow arrow_of(const struct node *subject, const json_t *edge)
{
	const char *verdict = sg_member(edge, "verdict", "");
	int carries =
	    is_carrying(subject, sg_member(edge, "issuer", ""), sg_member(edge, "method", ""));
	struct arrow arrow = { "#d0d0d0", "solid", "0.7" };

	if (strcmp(sg_member(edge, "grade", ""), "sha1") == 0)
		arrow.style = "dashed";
	if (strcmp(verdict, "bad") == 0)
		arrow = (struct arrow){ "#b3261e", "bold", "2" };
	else if (strcmp(verdict, "good") != 0)
		arrow.style = "dotted";
	else if (carries && subject->look->column <= COLUMN_TRUSTED)
		arrow = (struct arrow){ "#1e7b34", arrow.style, "2" };
	else if (carries && subject->look->column == COLUMN_VOUCHED)
		arrow = (struct arrow){ "#e08e0b", arrow.style, "1.4" };
	else if (carries && subject->look->column == COLUMN_BROKEN)
		arrow = (struct arrow){ "#b3261e", arrow.style, "1.2" };
	return arrow;
}

static void put_arrow(struct sg_buf *out, const struct picture *picture, const struct node *from,
    const struct node *to, const struct arrow *arrow)
{
	enum column left = picture->accounts[from->account].column;
	enum column right = picture->accounts[to->account].column;

	sg_buf_printf(out, "a%zu:k%zu:%s -> a%zu:k%zu:%s [color=\"%s\", style=%s, penwidth=%s];\n",
	    from->account, from->row, left <= right ? "e" : "w", to->account, to->row,
	    left < right ? "w" : "e", arrow->colour, arrow->style, arrow->width);
}

static void put_arrows(struct sg_buf *out, const struct picture *picture)
{
	static const struct arrow compared = { "#1e7b34:white:#1e7b34", "solid", "1.4" };
	const json_t *edge;
	size_t i;

	json_array_foreach(picture->edges, i, edge) {
		const struct node *from = node_find(picture, sg_member(edge, "issuer", ""));
		const struct node *to = node_find(picture, sg_member(edge, "subject", ""));
		struct arrow arrow;

		if (!is_drawn(picture, from) || !is_drawn(picture, to) ||
		    from->account == to->account)
			continue;
		arrow = arrow_of(to, edge);
		put_arrow(out, picture, from, to, &arrow);
	}
	/* What the person compared himself has no signature: it comes from him. */
	for (i = 0; i < picture->node_count; i++) {
		const struct node *node = &picture->nodes[i];
		const json_t *step = last_step(node);

		if (!is_drawn(picture, node) || step == NULL ||
		    strcmp(sg_member(step, "way", ""), "person") != 0 ||
		    strcmp(node->look->verdict, "trusted") != 0)
			continue;
		sg_buf_printf(out, "you:e -> a%zu:k%zu:w [color=\"%s\", style=%s, penwidth=%s];\n",
		    node->account, node->row, compared.colour, compared.style, compared.width);
	}
}

static void put_legend(struct sg_buf *out)
{
	sg_buf_put_str(out,
	    "legend [label=<<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"1\" "
	    "CELLPADDING=\"1\"><TR><TD ALIGN=\"LEFT\"><B>Legend</B></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#1e7b34\"><B>&#9552;&#9552;&#9654;</B> you "
	    "compared it</FONT></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#1e7b34\"><B>&#9473;&#9473;&#9654;</B> a "
	    "signature that makes it trusted</FONT></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#b36b00\"><B>&#9473;&#9473;&#9654;</B> "
	    "vouches, and makes nothing trusted</FONT></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#b3261e\"><B>&#9473;&#9473;&#9654;</B> "
	    "a forged signature, or one that does not hold</FONT></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\"><FONT COLOR=\"#8a8a8a\">&#9472;&#9472;&#9654; another "
	    "signature; dashed: SHA-1, dotted: not checked</FONT></TD></TR>\n"
	    "<TR><TD ALIGN=\"LEFT\">Inside a box: the user key, and below it the keys of "
	    "devices</TD></TR></TABLE>>];\n");
}

static void put_picture(struct sg_buf *out, const struct picture *picture)
{
	sg_buf_put_str(out,
	    "digraph signet {\nrankdir=LR; ranksep=0.9; nodesep=0.12; splines=true; newrank=true; "
	    "fontname=\"DejaVu Sans,Verdana,sans-serif\"; bgcolor=\"white\";\n"
	    "node [shape=plain, fontname=\"DejaVu Sans,Verdana,sans-serif\", fontsize=10];\n"
	    "edge [arrowsize=0.6, constraint=false];\n");
	put_legend(out);
	put_columns(out, picture);
	put_arrows(out, picture);
	sg_buf_put_str(out, "}\n");
}

void sg_dot_write(struct sg_buf *out, const json_t *keys, const json_t *edges)
{
	struct picture picture;

	if (picture_init(&picture, keys, edges) == 0)
		put_picture(out, &picture);
	else
		out->err = SG_ERR_NOMEM;
	picture_clear(&picture);
}
