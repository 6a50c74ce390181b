#include "forged.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>

#include "keyinfo.h"
#include "keyring_store.h"
#include "log.h"
#include "verdict.h"
#include "xml.h"

#define ISSUERS_MAX 4 /* certificates of one name */

/* Those that are known by a name. */
struct issuers {
	char *name;
	struct sg_keyinfo list[ISSUERS_MAX];
	size_t count;
};

static void issuers_clear(struct issuers *issuers)
{
	for (size_t i = 0; i < issuers->count; i++)
		sg_layout_clear(&sg_layout_keyinfo, &issuers->list[i]);
	free(issuers->name);
	memset(issuers, 0, sizeof(*issuers));
}

static int take_known(void *arg, struct sg_known_key *known)
{
	struct issuers *issuers = arg;

	if (known->keyinfo.kind == SG_KEYINFO_X509 && issuers->count < ISSUERS_MAX) {
		issuers->list[issuers->count++] = known->keyinfo;
		memset(&known->keyinfo, 0, sizeof(known->keyinfo));
	}
	return 0;
}

static int take_own(struct sg_store *store, struct issuers *issuers)
{
	struct sg_keyinfo *made = &issuers->list[0];
	struct sg_cert_row row = { 0 };
	char *jid = NULL;
	int err = sg_store_keyring_own(store, issuers->name, &jid);

	if (err == 0)
		err = sg_store_cert_get(store, jid, issuers->name, &row);
	free(jid);
	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	*made = (struct sg_keyinfo){
		.name = row.name,
		.kind = SG_KEYINFO_X509,
		.data = row.der,
	};
	row.name = NULL;
	row.der = (struct sg_blob){ NULL, 0 };
	sg_cert_row_clear(&row);
	issuers->count = 1;
	return 0;
}

/* Unless they are there already: signatures of one issuer mostly come together. */
static int issuers_read(struct sg_store *store, const char *name, struct issuers *issuers)
{
	int err;

	if (issuers->name != NULL && strcmp(issuers->name, name) == 0)
		return 0;
	issuers_clear(issuers);
	issuers->name = strdup(name);
	if (issuers->name == NULL)
		return SG_ERR_NOMEM;
	err = take_own(store, issuers);
	if (err == 0 && issuers->count == 0)
		err = sg_store_keyring_get(store, name, 0, take_known, issuers);
	return err;
}

/* Whether there are some of its issuer's name, and none of them made it. What cannot be looked at now is not known to
 * be forged. */
static int is_forged(const struct issuers *issuers, const struct sg_keyinfo *keyinfo,
    const struct sg_signature *signature, unsigned *checks_left)
{
	for (size_t i = 0; i < issuers->count; i++) {
		if (*checks_left == 0)
			return 0;
		--*checks_left;
		if (sg_verdict_check_keys(
			&issuers->list[i], keyinfo, signature, time(NULL), NULL) != SG_SIG_BAD)
			return 0;
	}
	return issuers->count > 0;
}

static int write_anew(struct sg_keyinfo *keyinfo)
{
	struct sg_xml *element;
	int err = sg_keyinfo_encode(keyinfo, &element);
	char *text = err == 0 ? sg_xml_to_string(element) : NULL;

	if (err != 0)
		return err;
	sg_xml_free(element);
	if (text == NULL)
		return SG_ERR_NOMEM;
	free(keyinfo->xml);
	keyinfo->xml = text;
	return 0;
}

int sg_forged_drop(struct sg_store *store, struct sg_keyinfo *keyinfo, unsigned *checks_left)
{
	struct issuers issuers = { 0 };
	uint32_t kept = 0, count = keyinfo->signature_count;
	int err = 0;

	if (keyinfo->kind == SG_KEYINFO_REFERENCE || count == 0)
		return 0;
	ERR_set_mark();
	for (uint32_t i = 0; i < count; i++) {
		struct sg_signature *signature = &keyinfo->signatures[i];

		if (err == 0)
			err = issuers_read(store, signature->issuer, &issuers);
		if (err == 0 && is_forged(&issuers, keyinfo, signature, checks_left)) {
			sg_layout_clear(&sg_layout_signature, signature);
			continue;
		}
		if (kept != i) {
			keyinfo->signatures[kept] = *signature;
			memset(signature, 0, sizeof(*signature));
		}
		kept++;
	}
	ERR_pop_to_mark();
	issuers_clear(&issuers);
	keyinfo->signature_count = kept;
	if (kept == count)
		return err;
	sg_log(SG_LOG_INFO, "keyring: %u signatures that were told of %s are none, and left out",
	    count - kept, keyinfo->name);
	return err == 0 ? write_anew(keyinfo) : err;
}
