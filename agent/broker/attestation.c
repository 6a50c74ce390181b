#include "attestation.h"

#include <stdlib.h>

#include <openssl/x509.h>

#include "accounts.h"
#include "json.h"
#include "log.h"
#include "worker.h"
#include "x509.h"

/* Whether one certificate holds this public key, and the other's key has signed it. */
static int is_sound(
    const struct sg_blob *der, const struct sg_blob *issuer, const struct sg_blob *spki)
{
	X509 *cert = NULL, *signer = NULL;
	int sound = sg_x509_cert_parse(der, &cert) == 0 && sg_x509_holds(cert, spki);

	if (sound && issuer != NULL)
		sound = sg_x509_cert_parse(issuer, &signer) == 0 &&
		    X509_get0_pubkey(signer) != NULL &&
		    X509_verify(cert, X509_get0_pubkey(signer)) == 1;
	X509_free(cert);
	X509_free(signer);
	return sound;
}

static void on_attested(void *arg, const struct sg_msg_error *error, void *answer)
{
	struct sg_call *call = arg;
	const struct sg_key_info *key = sg_key_ref_info(&call->key);
	struct sg_msg_objects *objects = answer;

	if (error != NULL) {
		sg_log(SG_LOG_INFO, "whether the token attests its key is not known: %s",
		    sg_failure_text(error));
	} else if (objects->cert_count > 0 &&
	    is_sound(&objects->certs[0].der,
		objects->cert_count > 1 ? &objects->certs[1].der : NULL, &key->spki)) {
		call->attestation.der = objects->certs[0].der;
		objects->certs[0].der = (struct sg_blob){ NULL, 0 };
		if (objects->cert_count > 1) {
			call->attestation.issuer = objects->certs[1].der;
			objects->certs[1].der = (struct sg_blob){ NULL, 0 };
		}
	}
	call->next(call);
}

void sg_call_attest(struct sg_call *call, sg_verb_fn *next)
{
	const struct sg_key_info *key = sg_key_ref_info(&call->key);
	const struct sg_msg_key_attest msg = {
		.caller = call->caller,
		.token = key->token_uri,
		.spki = key->spki,
	};

	sg_attestation_clear(&call->attestation);
	call->next = next;
	sg_worker_request(call->key.module->worker, SG_MSG_KEY_ATTEST, &msg, -1, SG_TOKEN_SECONDS,
	    on_attested, call);
}

/* The hex of the SHA-256 by which the store names the key; NULL without memory. */
static char *key_name(const struct sg_call *call)
{
	return sg_x509_fingerprint(&sg_key_ref_info(&call->key)->spki, "sha256");
}

void sg_attestation_keep(const struct sg_call *call)
{
	char *name;
	int err;

	if (call->attestation.der.len == 0)
		return;
	name = key_name(call);
	err = name != NULL ? sg_store_attestation_put(call->agent->store, call->account->row.jid,
				 name, &call->attestation)
			   : SG_ERR_NOMEM;
	if (err != 0)
		sg_log(SG_LOG_WARN, "%s: the attestation of its key could not be kept: %s",
		    call->account->row.jid, sg_store_failure(call->agent->store, err));
	free(name);
}

int sg_attestation_kept(struct sg_call *call)
{
	char *name;
	int kept;

	sg_attestation_clear(&call->attestation);
	if (sg_key_ref_info(&call->key)->spki.len == 0)
		return 0;
	name = key_name(call);
	kept = name != NULL &&
	    sg_store_attestation_get(call->agent->store, name, &call->attestation) == 0;
	free(name);
	return kept;
}

json_t *sg_json_attestation(const struct sg_call *call, int kept)
{
	const struct sg_attestation *attestation = &call->attestation;

	if (attestation->der.len == 0)
		return json_null();
	return json_pack("{s:o, s:o, s:b}", "certificate",
	    sg_json_certificate(&attestation->der, NULL), "issuer",
	    attestation->issuer.len > 0 ? sg_json_certificate(&attestation->issuer, NULL)
					: json_null(),
	    "kept", kept);
}
