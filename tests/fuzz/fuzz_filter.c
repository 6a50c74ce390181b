/*
 * What libstrophe sees of a server through signet-xmpp's filter, whatever the server says. The harness
 * is libstrophe: it makes and resets its parser as libstrophe does, and feeds the bytes in pieces.
 *
 * Of the input, the first byte says how to log in and whether that is over, the second how the bytes are
 * cut. A login by SCRAM has a nonce as random as any, so none may ever succeed.
 */
#include "filter.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <expat.h>
#include <strophe.h>

#include "gather.h"
#include "scram.h"
#include "text.h"

#define IN(ns, name)  "urn:ietf:params:xml:ns:xmpp-" ns SG_PARSER_SEPARATOR name
#define STREAMS(name) "http://etherx.jabber.org/streams" SG_PARSER_SEPARATOR name
#define FEATURES      STREAMS("features")
#define STREAM_ERROR  STREAMS("error")

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const XML_Memory_Handling_Suite memory = { malloc, realloc, free };

/* libstrophe's side of one connection. */
static struct {
	enum sg_filter_login login;
	int secured;
	unsigned depth;
	unsigned children; /* of the stanza at hand */
	int in_mechanisms, in_mechanism, mechanisms;
	int in_features, in_stream_error;
	int reset; /* the stanza that ended wants the parser to be reset before more is read */
	char text[64];
	size_t text_len;
} seen;

/* libstrophe acts on these by their names alone, when a child is in the right namespace. */
static void check_stanza(const char *name)
{
	static const char *const stanzas[] = {
		FEATURES,
		STREAM_ERROR,
		IN("tls", "proceed"),
		IN("sasl", "challenge"),
		IN("sasl", "success"),
	};
	const char *separator = strchr(name, SG_PARSER_SEPARATOR[0]);
	const char *local = separator != NULL ? separator + 1 : name;

	for (size_t i = 0; i < sizeof(stanzas) / sizeof(*stanzas); i++)
		assert(strcmp(name, stanzas[i]) == 0 ||
		    strcmp(local, strchr(stanzas[i], SG_PARSER_SEPARATOR[0]) + 1) != 0);
}

static void on_start(void *userdata, const XML_Char *name, const XML_Char **attrs)
{
	size_t count = 0;

	assert(userdata == &seen && !seen.reset);
	seen.depth++;
	assert(seen.depth <= SG_FILTER_DEPTH_MAX + 1);
	while (attrs[2 * count] != NULL)
		count++;
	assert(seen.depth < 2 || count <= SG_FILTER_ATTRS_MAX);
	if (seen.depth == 2) {
		check_stanza(name);
		seen.children = 0;
		seen.in_features = strcmp(name, FEATURES) == 0;
		seen.in_stream_error = strcmp(name, STREAM_ERROR) == 0;
	} else if (seen.depth == 3) {
		seen.children++;
		seen.in_mechanisms =
		    seen.in_features && strcmp(name, IN("sasl", "mechanisms")) == 0;
	} else if (seen.depth == 4 && seen.in_mechanisms) {
		seen.in_mechanism = strcmp(name, IN("sasl", "mechanism")) == 0;
		seen.text_len = 0;
	}
}

/* One mechanism in a connection, of those that are allowed, and over TLS only. */
static void check_mechanism(void)
{
	const struct sg_filter_report *report = sg_filter_report();

	seen.text[seen.text_len] = '\0';
	seen.mechanisms++;
	assert(seen.secured && seen.mechanisms == 1 && report->mechanisms);
	assert(report->mechanism != NULL && strcmp(seen.text, report->mechanism) == 0);
	if (seen.login == SG_FILTER_EXTERNAL)
		assert(strcmp(seen.text, "EXTERNAL") == 0);
	else
		assert(strncmp(seen.text, "SCRAM-SHA-", 10) == 0);
}

/* What was gathered can be read, and what is shown again is whole. */
static void check_gathered(void)
{
	struct sg_arrival arrival = { 0 };
	char *text;

	sg_gather_take(&arrival);
	assert(arrival.as_written == NULL || strlen(arrival.as_written) <= SG_GATHER_WRITTEN_MAX);
	assert(arrival.as_written == NULL ||
	    sg_parser_is_whole(arrival.as_written, strlen(arrival.as_written)));
	text = arrival.tree != NULL ? sg_xml_to_string(arrival.tree) : NULL;
	assert(arrival.tree == NULL || text != NULL);
	free(text);
}

static void on_end(void *userdata, const XML_Char *name)
{
	assert(seen.depth > 0 && !seen.reset);
	if (seen.depth == 4 && seen.in_mechanism) {
		check_mechanism();
		seen.in_mechanism = 0;
	}
	if (seen.depth == 3)
		seen.in_mechanisms = 0;
	if (seen.depth == 2) {
		check_gathered();
		assert(!seen.in_stream_error || seen.children > 0); /* libstrophe would crash */
		seen.reset = strcmp(name, IN("tls", "proceed")) == 0 ||
		    strcmp(name, IN("sasl", "success")) == 0;
	}
	seen.depth--;
}

static void on_text(void *userdata, const XML_Char *text, int len)
{
	assert(len > 0 && seen.depth >= 2 && !seen.reset);
	if (!seen.in_mechanism)
		return;
	assert((size_t)len < sizeof(seen.text) - seen.text_len);
	memcpy(seen.text + seen.text_len, text, (size_t)len);
	seen.text_len += (size_t)len;
}

static void handlers(XML_Parser expat)
{
	XML_SetUserData(expat, &seen);
	XML_SetElementHandler(expat, on_start, on_end);
	XML_SetCharacterDataHandler(expat, on_text);
}

/* What is told to a person must be text, and whole. */
static void check_report(void)
{
	const struct sg_filter_report *report = sg_filter_report();

	assert(report->sasl_text[0] == '\0' || sg_utf8_is_text(report->sasl_text, 255));
	assert(report->stream_text[0] == '\0' || sg_utf8_is_text(report->stream_text, 255));
	assert(strspn(report->sasl_condition, "abcdefghijklmnopqrstuvwxyz-") ==
	    strlen(report->sasl_condition));
	assert(strspn(report->stream_condition, "abcdefghijklmnopqrstuvwxyz-") ==
	    strlen(report->stream_condition));
	assert(strlen(report->offered) < sizeof(report->offered));
	assert((report->stopped == 0) == (report->stopped_why == NULL));
	assert(report->stopped == 0 || report->stopped == SG_ERR_LIMIT ||
	    report->stopped == SG_ERR_FORMAT || report->stopped == SG_ERR_AUTH);
	assert(!report->authenticated || report->mechanism != NULL);
	assert(!report->authenticated || seen.login == SG_FILTER_EXTERNAL);
	assert(seen.mechanisms == 0 || report->mechanism != NULL);
}

/* Pieces of 1 to 251 bytes, or all at once. */
static size_t piece(uint8_t *state, size_t left)
{
	size_t len = left;

	if (*state != 0) {
		*state = (uint8_t)(*state * 5u + 1u);
		len = *state % 251u + 1u;
	}
	return len < left ? len : left;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char nonce[32];
	XML_Parser expat;
	uint8_t cut;
	size_t at = 2, len;

	if (size < 3)
		return 0;
	memset(&seen, 0, sizeof(seen));
	seen.login = (data[0] & 1) != 0 ? SG_FILTER_EXTERNAL : SG_FILTER_SCRAM;
	seen.secured = (data[0] & 2) != 0; /* TLS from the start; else after <proceed/> */
	cut = data[1];
	sg_parser_expect(&sg_filter);
	expat = XML_ParserCreate_MM(NULL, &memory, SG_PARSER_SEPARATOR);
	assert(expat != NULL);
	handlers(expat);
	assert(sg_parser_is_attached());
	sg_filter_begin(seen.login);
	sg_scram_begin("juliet@example.org", "password");
	xmpp_rand_nonce(NULL, nonce, sizeof(nonce));
	if (seen.secured)
		sg_filter_secured();
	if ((data[0] & 4) != 0)
		sg_filter_online();
	for (; at < size; at += len) {
		len = piece(&cut, size - at);
		/* never a failure: the filter remembers it, and its owner ends the stream */
		assert(XML_Parse(expat, (const char *)data + at, (int)len, 0) == XML_STATUS_OK);
		assert(sg_filter_report()->fed == at + len - 2);
		check_report();
		if (seen.reset) {
			assert(XML_ParserReset(expat, NULL) == XML_TRUE);
			handlers(expat);
			if (!seen.secured)
				sg_filter_secured();
			seen.secured = 1;
			seen.reset = 0;
			seen.depth = 0;
		}
	}
	XML_ParserFree(expat);
	return 0;
}
