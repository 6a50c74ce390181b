#include "dispatch.h"

#include <stddef.h>
#include <string.h>

#include "attest.h"
#include "ca.h"
#include "cert.h"
#include "cross.h"
#include "gate.h"
#include "issue.h"
#include "keygen.h"
#include "list.h"
#include "log.h"
#include "login.h"
#include "pin_set.h"
#include "probe.h"
#include "renew.h"
#include "tls.h"
#include "token.h"
#include "token_find.h"
#include "touch.h"
#include "watch.h"

int sg_dispatch_waits(uint16_t type)
{
	return type == SG_MSG_TOKEN_LOGIN || type == SG_MSG_PIN_SET;
}

int sg_dispatch_ends(struct sg_module *module, const struct sg_frame *frame)
{
	const struct sg_msg_token_ref *ref = frame->msg;

	if (frame->type == SG_MSG_TOKEN_LOGOUT && module != NULL)
		sg_token_known_wipe(module, ref->token);
	return frame->type == SG_MSG_TOKEN_LOGOUT || frame->type == SG_MSG_TOKEN_RELEASE;
}

/* What is the same for all requests but for names. */
struct row {
	uint16_t answer;  /* its type */
	const char *what; /* is asked for, in the log; NULL: what uses neither a key nor a PIN */
	size_t caller,
	    name; /* where these stand in the message: who asks, and of which token or key */
};

#define OF(message, name)                                                                          \
	offsetof(struct sg_msg_##message, caller), offsetof(struct sg_msg_##message, name)

static const struct row rows[] = {
	[SG_MSG_TOKEN_LIST] = { SG_MSG_TOKENS, NULL, 0, 0 },
	[SG_MSG_TOKEN_LOGIN] = { SG_MSG_OK, "login", OF(token_login, token) },
	[SG_MSG_TOKEN_LOGOUT] = { SG_MSG_OK, "logout", OF(token_ref, token) },
	[SG_MSG_TOKEN_RELEASE] = { SG_MSG_OK, "release", OF(token_ref, token) },
	[SG_MSG_TOKEN_WATCH] = { SG_MSG_OK, NULL, 0, 0 },
	[SG_MSG_PIN_SET] = { SG_MSG_OK, "new PIN", OF(pin_set, token) },
	[SG_MSG_OBJECT_LIST] = { SG_MSG_OBJECTS, NULL, 0, 0 },
	[SG_MSG_KEY_GENERATE] = { SG_MSG_OBJECTS, "key generation", OF(key_generate, label) },
	[SG_MSG_KEY_DISCARD] = { SG_MSG_OK, "end of a new key", OF(key_discard, key) },
	[SG_MSG_KEY_PROBE] = { SG_MSG_OBJECTS, "key probe", OF(key_probe, key) },
	[SG_MSG_KEY_ATTEST] = { SG_MSG_OBJECTS, "attestation", OF(key_attest, token) },
	[SG_MSG_CERT_STORE] = { SG_MSG_OBJECTS, "certificate", OF(cert_store, key) },
	[SG_MSG_CERT_DISCARD] = { SG_MSG_OK, "end of a certificate", OF(cert_discard, key) },
	[SG_MSG_CSR_MAKE] = { SG_MSG_DER, "request", OF(csr_make, key) },
	[SG_MSG_SELF_CERT_MAKE] = { SG_MSG_DER, "self-signed certificate",
	    OF(self_cert_make, key) },
	[SG_MSG_CROSS_SIGN] = { SG_MSG_SIGNATURES, "cross-signature", OF(cross_sign, key) },
	[SG_MSG_TLS_SIGN] = { SG_MSG_DER, "TLS signature", OF(tls_sign, key) },
	[SG_MSG_CA_SIGN] = { SG_MSG_DER, "authority's signature", OF(ca_sign, key) },
};

/* One line for each request that uses a key or a PIN: who asked, and what for. A touch is wanted
 * for them. */
static void note(const struct row *row, const char *msg)
{
	const struct sg_caller *caller = (const void *)(msg + row->caller);
	const char *name;

	memcpy(&name, msg + row->name, sizeof(name));
	sg_touch_caller(caller);
	sg_log(SG_LOG_DEBUG, "%s '%s' for uid %u, pid %u, %s, %s", row->what,
	    name != NULL ? name : "", caller->uid, caller->pid,
	    caller->exe != NULL ? caller->exe : "?",
	    caller->purpose != NULL ? caller->purpose : "?");
}

static int perform(struct sg_module *module, const struct sg_frame *frame,
    union sg_token_answer *answer, struct sg_msg_error *error)
{
	const void *msg = frame->msg;
	const struct sg_msg_token_watch *watch = msg;

	switch (frame->type) {
	case SG_MSG_TOKEN_LIST:
		return sg_token_list(module, &answer->tokens, error);
	case SG_MSG_TOKEN_LOGIN:
		return sg_login(module, msg, frame->fd, error);
	case SG_MSG_TOKEN_LOGOUT:
		return sg_logout(module, msg, error);
	case SG_MSG_TOKEN_RELEASE:
		return sg_release(module, msg, error);
	case SG_MSG_TOKEN_WATCH:
		return sg_watch_set(module, watch->on != 0, error);
	case SG_MSG_PIN_SET:
		return sg_pin_set(module, msg, frame->fd, error);
	case SG_MSG_OBJECT_LIST:
		return sg_object_list(module, msg, &answer->objects, error);
	case SG_MSG_KEY_GENERATE:
		return sg_key_generate(module, msg, &answer->objects, error);
	case SG_MSG_KEY_DISCARD:
		return sg_key_discard(module, msg, error);
	case SG_MSG_KEY_PROBE:
		return sg_key_probe(module, msg, &answer->objects, error);
	case SG_MSG_KEY_ATTEST:
		return sg_key_attest(module, msg, &answer->objects, error);
	case SG_MSG_CERT_STORE:
		return sg_cert_store(module, msg, &answer->objects, error);
	case SG_MSG_CERT_DISCARD:
		return sg_cert_discard(module, msg, error);
	case SG_MSG_CSR_MAKE:
		return sg_csr_make(module, msg, &answer->der.der, error);
	case SG_MSG_SELF_CERT_MAKE:
		return sg_self_cert_make(module, msg, &answer->der.der, error);
	case SG_MSG_CROSS_SIGN:
		return sg_cross_sign(module, msg, &answer->signatures, error);
	case SG_MSG_TLS_SIGN:
		return sg_tls_sign(module, msg, &answer->der.der, error);
	case SG_MSG_CA_SIGN:
		return sg_ca_sign(module, msg, &answer->der.der, error);
	default:
		sg_msg_error_set(
		    error, SG_ERR_UNSUPPORTED, NULL, "no such request: %u", frame->type);
		return SG_ERR_UNSUPPORTED;
	}
}

static int answer_to(struct sg_module *module, const struct sg_frame *frame,
    union sg_token_answer *answer, uint16_t *type, struct sg_msg_error *error)
{
	static const struct row none = { SG_MSG_OK, NULL, 0, 0 };
	size_t count = sizeof(rows) / sizeof(rows[0]);
	const struct row *row = frame->type < count ? &rows[frame->type] : &none;

	if (row->what != NULL)
		note(row, frame->msg);
	*type = row->answer;
	return perform(module, frame, answer, error);
}

uint16_t sg_dispatch(struct sg_module *module, const struct sg_msg_error *why,
    const struct sg_frame *frame, union sg_token_answer *answer)
{
	struct sg_msg_error error = { 0 };
	uint16_t type;
	int err;

	memset(answer, 0, sizeof(*answer));
	if (module == NULL) {
		sg_msg_error_set(&answer->error, SG_ERR_MODULE, why->subject, "%s",
		    why->message != NULL ? why->message : sg_err_text(SG_ERR_MODULE));
		return SG_MSG_ERROR;
	}
	sg_touch_request(frame->id);
	sg_gate_enter();
	err = answer_to(module, frame, answer, &type, &error);
	sg_gate_leave();
	sg_touch_request(0);
	sg_touch_caller(NULL);
	if (err == 0) {
		sg_layout_clear(&sg_layout_error, &error);
		return type;
	}
	sg_msg_clear(type, answer);
	memset(answer, 0, sizeof(*answer));
	if (error.code == 0)
		sg_msg_error_set(&error, err, NULL, "%s", sg_err_text(err));
	sg_renew_tell(module, &error);
	answer->error = error;
	return SG_MSG_ERROR;
}
