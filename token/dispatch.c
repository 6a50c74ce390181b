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

/* One line for each request that uses a key or a PIN: who asked, and what for. A touch is wanted
 * for them. */
static void note(const char *what, const struct sg_caller *caller, const char *name)
{
	sg_touch_caller(caller);
	sg_log(SG_LOG_DEBUG, "%s '%s' for uid %u, pid %u, %s, %s", what, name != NULL ? name : "",
	    caller->uid, caller->pid, caller->exe != NULL ? caller->exe : "?",
	    caller->purpose != NULL ? caller->purpose : "?");
}

static int answer_to(struct sg_module *module, const struct sg_frame *frame,
    union sg_token_answer *answer, uint16_t *type, struct sg_msg_error *error)
{
	const void *msg = frame->msg;
	const struct sg_msg_token_login *login = msg;
	const struct sg_msg_token_ref *ref = msg;
	const struct sg_msg_pin_set *pin_set = msg;
	const struct sg_msg_token_watch *watch = msg;
	const struct sg_msg_key_generate *generate = msg;
	const struct sg_msg_cert_store *store = msg;
	const struct sg_msg_csr_make *csr = msg;
	const struct sg_msg_self_cert_make *self_cert = msg;
	const struct sg_msg_cross_sign *cross = msg;
	const struct sg_msg_tls_sign *tls = msg;
	const struct sg_msg_ca_sign *ca = msg;
	const struct sg_msg_key_probe *probe = msg;
	const struct sg_msg_key_discard *discard = msg;
	const struct sg_msg_cert_discard *cert_discard = msg;
	const struct sg_msg_key_attest *attest = msg;

	*type = SG_MSG_OK;
	switch (frame->type) {
	case SG_MSG_TOKEN_LIST:
		*type = SG_MSG_TOKENS;
		return sg_token_list(module, &answer->tokens, error);
	case SG_MSG_TOKEN_LOGIN:
		note("login", &login->caller, login->token);
		return sg_login(module, login, frame->fd, error);
	case SG_MSG_TOKEN_LOGOUT:
		note("logout", &ref->caller, ref->token);
		return sg_logout(module, ref, error);
	case SG_MSG_TOKEN_RELEASE:
		note("release", &ref->caller, ref->token);
		return sg_release(module, ref, error);
	case SG_MSG_PIN_SET:
		note("new PIN", &pin_set->caller, pin_set->token);
		return sg_pin_set(module, pin_set, frame->fd, error);
	case SG_MSG_TOKEN_WATCH:
		return sg_watch_set(module, watch->on != 0, error);
	case SG_MSG_OBJECT_LIST:
		*type = SG_MSG_OBJECTS;
		return sg_object_list(module, msg, &answer->objects, error);
	case SG_MSG_KEY_GENERATE:
		*type = SG_MSG_OBJECTS;
		note("key generation", &generate->caller, generate->label);
		return sg_key_generate(module, generate, &answer->objects, error);
	case SG_MSG_KEY_DISCARD:
		note("end of a new key", &discard->caller, discard->key);
		return sg_key_discard(module, discard, error);
	case SG_MSG_KEY_PROBE:
		*type = SG_MSG_OBJECTS;
		note("key probe", &probe->caller, probe->key);
		return sg_key_probe(module, probe, &answer->objects, error);
	case SG_MSG_KEY_ATTEST:
		*type = SG_MSG_OBJECTS;
		note("attestation", &attest->caller, attest->token);
		return sg_key_attest(module, attest, &answer->objects, error);
	case SG_MSG_CERT_STORE:
		*type = SG_MSG_OBJECTS;
		note("certificate", &store->caller, store->key);
		return sg_cert_store(module, store, &answer->objects, error);
	case SG_MSG_CERT_DISCARD:
		note("end of a certificate", &cert_discard->caller, cert_discard->key);
		return sg_cert_discard(module, cert_discard, error);
	case SG_MSG_CSR_MAKE:
		*type = SG_MSG_DER;
		note("request", &csr->caller, csr->key);
		return sg_csr_make(module, csr, &answer->der.der, error);
	case SG_MSG_SELF_CERT_MAKE:
		*type = SG_MSG_DER;
		note("self-signed certificate", &self_cert->caller, self_cert->key);
		return sg_self_cert_make(module, self_cert, &answer->der.der, error);
	case SG_MSG_CROSS_SIGN:
		*type = SG_MSG_SIGNATURES;
		note("cross-signature", &cross->caller, cross->key);
		return sg_cross_sign(module, cross, &answer->signatures, error);
	case SG_MSG_TLS_SIGN:
		*type = SG_MSG_DER;
		note("TLS signature", &tls->caller, tls->key);
		return sg_tls_sign(module, tls, &answer->der.der, error);
	case SG_MSG_CA_SIGN:
		*type = SG_MSG_DER;
		note("authority's signature", &ca->caller, ca->key);
		return sg_ca_sign(module, ca, &answer->der.der, error);
	default:
		sg_msg_error_set(
		    error, SG_ERR_UNSUPPORTED, NULL, "no such request: %u", frame->type);
		return SG_ERR_UNSUPPORTED;
	}
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
