#include "token_find.h"

#include <stdlib.h>
#include <string.h>

#include "held.h"
#include "reader.h"

/* Whether it is meant, as last seen. Waits for no module. */
static int is_token(struct sg_token *token, const struct sg_selector *selector)
{
	int found;

	pthread_mutex_lock(&token->held_lock);
	found = sg_selector_is_token(
	    selector, &token->module->library, token->slot, &token->slot_info, &token->info);
	pthread_mutex_unlock(&token->held_lock);
	return found;
}

int sg_token_known_wipe(struct sg_module *module, const char *text)
{
	struct sg_msg_error error = { 0 };
	struct sg_selector *selector = NULL;
	int known = 0;
	size_t i;

	if (sg_selector_parse(text, &selector, &error) != 0) {
		sg_layout_clear(&sg_layout_error, &error);
		return 0; /* whoever looks for the token says why */
	}
	for (i = 0; i < module->token_count; i++) {
		if (is_token(module->tokens[i], selector)) {
			sg_held_wipe(module->tokens[i]);
			known = 1;
		}
	}
	sg_selector_free(selector);
	return known;
}

int sg_token_match(struct sg_token *token, const struct sg_selector *selector)
{
	int found;

	pthread_mutex_lock(&token->lock);
	found = (token->info.flags & CKF_TOKEN_INITIALIZED) &&
	    sg_selector_match_token(
		selector, &token->module->library, token->slot, &token->slot_info, &token->info);
	pthread_mutex_unlock(&token->lock);
	return found;
}

static int ambiguous(
    struct sg_token *const *tokens, size_t count, const char *text, struct sg_msg_error *error)
{
	size_t i;

	sg_msg_error_set(error, SG_ERR_TOKEN_AMBIGUOUS, text, "%zu tokens match '%s'", count, text);
	error->candidates = calloc(count, sizeof(*error->candidates));
	for (i = 0; error->candidates != NULL && i < count; i++) {
		const unsigned char *serial = tokens[i]->identity.serialNumber;

		error->candidates[i] = (struct sg_candidate){
			.uri = strdup(tokens[i]->uri),
			.label = strdup(tokens[i]->label),
			.serial = sg_text_padded(serial, sizeof(tokens[i]->identity.serialNumber)),
		};
		error->candidate_count++;
	}
	return SG_ERR_TOKEN_AMBIGUOUS;
}

int sg_token_taken_check(struct sg_msg_error *error)
{
	char *reader = sg_reader_taken();

	if (reader == NULL)
		return 0;
	sg_msg_error_set(error, SG_ERR_BUSY, reader,
	    "another program has the card in the reader '%s' for itself alone, so that its token "
	    "cannot be seen: close that program (`gpgconf --kill scdaemon` if it is gpg's), then "
	    "try again",
	    reader);
	free(reader);
	return SG_ERR_BUSY;
}

int sg_token_find(
    struct sg_module *module, const char *text, struct sg_token **token, struct sg_msg_error *error)
{
	struct sg_selector *selector = NULL;
	struct sg_token **tokens = NULL;
	size_t count = 0, i, n = 0;
	int err;

	*token = NULL;
	err = sg_selector_parse(text, &selector, error);
	if (err == 0)
		err = sg_token_scan(module, &tokens, &count, error);
	if (err != 0)
		goto out;
	for (i = 0; i < count; i++) {
		if (is_token(tokens[i], selector))
			tokens[n++] = tokens[i];
	}
	if (n == 1) {
		*token = tokens[0];
	} else if (n == 0) {
		err = sg_token_taken_check(error);
		if (err == 0) {
			err = SG_ERR_TOKEN_ABSENT;
			sg_msg_error_set(
			    error, err, text, "no token '%s' is there", text != NULL ? text : "");
		}
	} else {
		err = ambiguous(tokens, n, text != NULL ? text : "", error);
	}
out:
	sg_selector_free(selector);
	free(tokens);
	return err;
}
