#include "key_names.h"

#include <stdlib.h>

#include "text.h"

#define NAME_LEN 40 /* hex of a SHA-1 */

void sg_key_names_clear(struct sg_key_names *names)
{
	for (uint32_t i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
	*names = (struct sg_key_names){ NULL, 0 };
}

/* With ':' between the bytes or not. */
static int name_read(const char *text, char **name)
{
	struct sg_blob bytes = { NULL, 0 };
	int err = sg_hex_decode(text, NAME_LEN / 2, &bytes);

	*name = NULL;
	if (err == 0 && bytes.len == NAME_LEN / 2 &&
	    (*name = sg_hex_encode(bytes.data, bytes.len)) == NULL)
		err = SG_ERR_NOMEM;
	sg_blob_clear(&bytes);
	if (err == SG_ERR_NOMEM)
		return err;
	return *name != NULL ? 0 : SG_ERR_ARG;
}

int sg_key_names_read(const struct sg_call *call, struct sg_key_names *names)
{
	const json_t *array = json_object_get(call->parameters, "names");
	size_t count = json_array_size(array);
	int err = 0;

	*names = (struct sg_key_names){ .list = calloc(count + 1, sizeof(*names->list)) };
	if (names->list == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; err == 0 && i < count; i++) {
		err = name_read(
		    json_string_value(json_array_get(array, i)), &names->list[names->count]);
		if (err == 0)
			names->count++;
	}
	return err;
}

void sg_key_names_fail(struct sg_call *call, int err)
{
	if (err == SG_ERR_NOMEM)
		sg_call_fail_code(call, err, NULL);
	else
		sg_call_fail_with(call, SG_ERR_ARG, "names",
		    "a key's name is a SHA-1 in hex: %d digits", NAME_LEN);
}

static void state_free(void *state)
{
	sg_key_names_clear(state);
	free(state);
}

int sg_call_take_key_names(struct sg_call *call, uint32_t min)
{
	struct sg_key_names *names = calloc(1, sizeof(*names));
	int err = SG_ERR_NOMEM;

	if (names != NULL) {
		call->state = names;
		call->state_free = state_free;
		err = sg_key_names_read(call, names);
	}
	if (err == 0 && names->count < min)
		err = SG_ERR_ARG;
	if (err != 0)
		sg_key_names_fail(call, err);
	return err == 0;
}
