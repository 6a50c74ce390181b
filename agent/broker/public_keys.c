#include "public_keys.h"

#include "json.h"
#include "stored_keys.h"
#include "store.h"
#include "verdict.h"

/* A name without key data: the key of this name, when it is known (K2); its data are *found. */
static void resolve(
    const struct sg_account *account, struct sg_keyinfo *keyinfo, struct sg_blob *found)
{
	uint32_t kind;

	if (keyinfo->kind != SG_KEYINFO_REFERENCE || keyinfo->name == NULL ||
	    sg_store_key_get(
		account->agent->store, account->row.jid, keyinfo->name, &kind, found) != 0)
		return;
	keyinfo->kind = kind;
	keyinfo->data = *found;
}

static json_t *judge_each(const struct sg_account *account, const struct sg_msg_keyinfos *set,
    struct sg_verdict_index *index)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < set->keyinfo_count; i++) {
		struct sg_blob found = { NULL, 0 };
		struct sg_keyinfo keyinfo = set->keyinfos[i];
		json_t *key;

		resolve(account, &keyinfo, &found);
		key = sg_json_judged_key(&keyinfo, index);
		sg_blob_clear(&found);
		if (key == NULL) {
			json_decref(array);
			return NULL;
		}
		json_array_append_new(array, key);
	}
	return array;
}

json_t *sg_public_keys(const struct sg_account *account, const struct sg_msg_keyinfos *set)
{
	struct sg_msg_keyinfos known;
	struct sg_verdict_index *index;
	json_t *array = NULL;

	if (sg_stored_keys_issuers(&known, account, set) != 0)
		return NULL;
	if (sg_verdict_index_new(&index, SG_VERDICT_CHECKS_MAX) == 0 &&
	    sg_verdict_index_add(index, set->keyinfos, set->keyinfo_count) == 0 &&
	    sg_verdict_index_add(index, known.keyinfos, known.keyinfo_count) == 0)
		array = judge_each(account, set, index);
	sg_verdict_index_free(index);
	sg_msg_clear(SG_MSG_KEYINFOS, &known);
	return array;
}
