#include "public_keys.h"

#include "json.h"
#include "stored_keys.h"
#include "verdict.h"

static json_t *judge_each(const struct sg_msg_keyinfos *set, struct sg_verdict_index *index)
{
	json_t *array = json_array();

	for (uint32_t i = 0; i < set->keyinfo_count; i++) {
		json_t *key = sg_json_judged_key(&set->keyinfos[i], index);

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
		array = judge_each(set, index);
	sg_verdict_index_free(index);
	sg_msg_clear(SG_MSG_KEYINFOS, &known);
	return array;
}
