#include "keyset.h"

#include <stdlib.h>
#include <string.h>

#include "store.h"

int sg_keyset_add(
    struct sg_msg_keyinfos *set, const struct sg_account *account, const char *fingerprint)
{
	struct sg_store *store = account->agent->store;
	struct sg_msg_signatures signatures = { 0 };
	struct sg_keyinfo *grown;
	struct sg_cert_row cert;
	int err;

	if (fingerprint == NULL)
		return 0;
	err = sg_store_cert_get(store, account->row.jid, fingerprint, &cert);
	if (err != 0)
		return err;
	err = sg_store_signatures_get(store, account->row.jid, cert.name, &signatures);
	if (err != 0)
		goto out;
	grown = reallocarray(set->keyinfos, set->keyinfo_count + 1, sizeof(*grown));
	if (grown == NULL) {
		sg_msg_clear(SG_MSG_SIGNATURES, &signatures);
		err = SG_ERR_NOMEM;
		goto out;
	}
	set->keyinfos = grown;
	grown[set->keyinfo_count++] = (struct sg_keyinfo){
		.name = cert.name,
		.kind = SG_KEYINFO_X509,
		.data = cert.der,
		.signatures = signatures.signatures,
		.signature_count = signatures.signature_count,
	};
	cert.name = NULL;
	cert.der = (struct sg_blob){ NULL, 0 };
out:
	sg_cert_row_clear(&cert);
	return err;
}
