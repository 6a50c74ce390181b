/* Connect, with a key other than that of the current certificate. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts.h"
#include "call.h"
#include "call_key.h"
#include "held_certs.h"
#include "json.h"
#include "switching.h"
#include "text.h"

static void held_free(void *state)
{
	sg_held_certs_clear(state);
	free(state);
}

/* The account's certificates as the store has them; 0 when the call has failed. */
static int take_held(struct sg_call *call)
{
	struct sg_held_certs *held = calloc(1, sizeof(*held));
	int err = SG_ERR_NOMEM;

	if (held != NULL) {
		call->state = held;
		call->state_free = held_free;
		err = sg_held_certs_add_stored(held, call->account);
	}
	if (err != 0)
		sg_call_fail_code(call, err, call->account->row.jid);
	return err == 0;
}

/* Of the certificates for the call's key, the one that is valid longest; or NULL. */
static const struct sg_held_cert *cert_of_key(struct sg_call *call)
{
	const struct sg_held_certs *held = call->state;
	const struct sg_blob hash = sg_call_key_spki_sha256(call);
	char *spki_sha256 = sg_hex_encode(hash.data, hash.len);
	const struct sg_held_cert *best = NULL;

	for (size_t i = 0; spki_sha256 != NULL && i < held->count; i++) {
		const struct sg_held_cert *cert = held->certs[i];

		if (cert->is_revoked || strcmp(cert->spki_sha256, spki_sha256) != 0 ||
		    cert->not_after < (int64_t)time(NULL))
			continue;
		if (best == NULL || cert->not_after > best->not_after)
			best = cert;
	}
	free(spki_sha256);
	return best;
}

static void reply_account(struct sg_call *call)
{
	sg_call_reply(call, json_pack("{s:o}", "account", sg_json_account(call->account)));
}

static void key_found(struct sg_call *call)
{
	const struct sg_key_info *key = sg_key_ref_info(&call->key);
	const struct sg_held_cert *cert = cert_of_key(call);

	if (cert == NULL) {
		sg_call_advise(call, SG_ERR_KEY_ABSENT,
		    "`signet enrol --spare` gets a certificate for it; `signet cert list --diff` "
		    "shows those that there are.");
		sg_call_fail_with(call, SG_ERR_KEY_ABSENT, key->uri,
		    "%s has no valid certificate for the key \"%s\"", call->account->row.jid,
		    key->label != NULL ? key->label : key->uri);
		return;
	}
	call->next = reply_account;
	sg_account_switch(call->account, &call->caller, &call->pin, key->uri, cert->sha256,
	    sg_call_continue, call);
}

void sg_verb_connect_with_key(struct sg_call *call)
{
	if (call->password_fd >= 0)
		sg_call_fail_with(
		    call, SG_ERR_ARG, "key", "either a password or a key is to log in, not both");
	else if (take_held(call))
		sg_call_use_key(call, sg_call_string(call, "key"), key_found);
}
