#include "layout.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

/* The pointers and counts of a struct are read by memcpy: their C types differ, their form does not. */
static void *get_pointer(const void *object, size_t offset)
{
	void *value;

	memcpy(&value, (const char *)object + offset, sizeof(value));
	return value;
}

static void set_pointer(void *object, size_t offset, void *value)
{
	memcpy((char *)object + offset, &value, sizeof(value));
}

static uint32_t get_u32(const void *object, size_t offset)
{
	uint32_t value;

	memcpy(&value, (const char *)object + offset, sizeof(value));
	return value;
}

static void set_u32(void *object, size_t offset, uint32_t value)
{
	memcpy((char *)object + offset, &value, sizeof(value));
}

static size_t item_size(const struct sg_field *field)
{
	return field->kind == SG_FIELD_STRS ? sizeof(char *) : field->inner->size;
}

/* ---- encode ---- */

static int put_len(struct sg_buf *out, size_t len)
{
	if (len > SG_BUF_MAX)
		return SG_ERR_LIMIT;
	sg_buf_put_u32(out, (uint32_t)len);
	return 0;
}

/* Refuses what the peer would refuse: one bad string must cost one answer, not the channel. */
static int put_str(struct sg_buf *out, const char *text)
{
	size_t len;

	if (text == NULL) {
		sg_buf_put_u8(out, 0);
		return 0;
	}
	len = strlen(text);
	if (!sg_utf8_is_valid(text, len))
		return SG_ERR_FORMAT;
	sg_buf_put_u8(out, 1);
	if (put_len(out, len) != 0)
		return SG_ERR_LIMIT;
	sg_buf_put(out, text, len);
	return 0;
}

static int put_blob(struct sg_buf *out, const struct sg_blob *blob)
{
	if (put_len(out, blob->len) != 0)
		return SG_ERR_LIMIT;
	sg_buf_put(out, blob->data, blob->len);
	return 0;
}

static int put_list(struct sg_buf *out, const struct sg_field *field, const void *object)
{
	uint32_t count = get_u32(object, field->count_offset);
	const char *items = get_pointer(object, field->offset);
	int err = 0;

	sg_buf_put_u32(out, count);
	for (uint32_t i = 0; i < count && err == 0 && out->err == 0; i++) {
		const void *item = items + i * item_size(field);

		if (field->kind == SG_FIELD_LIST) {
			err = sg_layout_encode(field->inner, item, out);
			continue;
		}
		item = get_pointer(item, 0);
		err = item != NULL ? put_str(out, item) : SG_ERR_FORMAT;
	}
	return err;
}

int sg_layout_encode(const struct sg_layout *layout, const void *object, struct sg_buf *out)
{
	int err = 0;

	for (size_t i = 0; i < layout->field_count && err == 0; i++) {
		const struct sg_field *field = &layout->fields[i];
		const void *at = (const char *)object + field->offset;

		switch (field->kind) {
		case SG_FIELD_U32:
			sg_buf_put_u32(out, get_u32(object, field->offset));
			break;
		case SG_FIELD_STR:
			err = put_str(out, get_pointer(object, field->offset));
			break;
		case SG_FIELD_BLOB:
			err = put_blob(out, at);
			break;
		case SG_FIELD_STRUCT:
			err = sg_layout_encode(field->inner, at, out);
			break;
		case SG_FIELD_LIST:
		case SG_FIELD_STRS:
			err = put_list(out, field, object);
			break;
		}
	}
	return err != 0 ? err : out->err;
}

/* ---- decode ---- */

/* The fewest bytes in which a struct can stand; layouts are few and shallow, so it is not kept. */
static size_t smallest_size(const struct sg_layout *layout)
{
	size_t size = 0;

	for (size_t i = 0; i < layout->field_count; i++) {
		const struct sg_field *field = &layout->fields[i];

		if (field->kind == SG_FIELD_STRUCT)
			size += smallest_size(field->inner);
		else
			size += field->kind == SG_FIELD_STR ? 1 : 4;
	}
	return size;
}

static int get_bytes(struct sg_cursor *cur, const unsigned char **data, size_t *len)
{
	uint32_t value;
	int err = sg_cursor_get_u32(cur, &value);

	*len = value;
	return err != 0 ? err : sg_cursor_get(cur, value, data);
}

static int get_str(struct sg_cursor *cur, int needed, char **text)
{
	const unsigned char *data = NULL;
	size_t len = 0;
	uint8_t present;

	*text = NULL;
	if (sg_cursor_get_u8(cur, &present) != 0 || present > 1 || (needed && present == 0))
		return SG_ERR_FORMAT;
	if (present == 0)
		return 0;
	if (get_bytes(cur, &data, &len) != 0 || !sg_utf8_is_valid((const char *)data, len))
		return SG_ERR_FORMAT;
	*text = strndup((const char *)data, len);
	return *text != NULL ? 0 : SG_ERR_NOMEM;
}

static int get_blob(struct sg_cursor *cur, struct sg_blob *blob)
{
	const unsigned char *data = NULL;
	size_t len;
	int err = get_bytes(cur, &data, &len);

	return err != 0 ? err : sg_blob_set(blob, data, len);
}

static int decode_fields(const struct sg_layout *layout, struct sg_cursor *cur, void *object);

/* The count in the struct always says how many items are to be cleared. */
static int get_list(const struct sg_field *field, struct sg_cursor *cur, void *object)
{
	size_t size = item_size(field);
	size_t smallest = field->kind == SG_FIELD_STRS ? 5 : smallest_size(field->inner);
	uint32_t count;
	char *items;
	int err = sg_cursor_get_u32(cur, &count);

	if (err != 0)
		return err;
	if (count == 0)
		return 0;
	if (smallest == 0 || count > sg_cursor_left(cur) / smallest)
		return SG_ERR_FORMAT;
	items = calloc(count, size);
	if (items == NULL)
		return SG_ERR_NOMEM;
	set_pointer(object, field->offset, items);
	set_u32(object, field->count_offset, count);
	for (uint32_t i = 0; i < count && err == 0; i++) {
		if (field->kind == SG_FIELD_STRS) {
			char *text;

			err = get_str(cur, 1, &text);
			set_pointer(items + i * size, 0, text);
		} else {
			err = decode_fields(field->inner, cur, items + i * size);
		}
	}
	return err;
}

static int decode_field(const struct sg_field *field, struct sg_cursor *cur, void *object)
{
	char *text;
	uint32_t number;
	int err;

	switch (field->kind) {
	case SG_FIELD_U32:
		err = sg_cursor_get_u32(cur, &number);
		set_u32(object, field->offset, number);
		return err;
	case SG_FIELD_STR:
		err = get_str(cur, 0, &text);
		set_pointer(object, field->offset, text);
		return err;
	case SG_FIELD_BLOB:
		return get_blob(cur, (struct sg_blob *)(void *)((char *)object + field->offset));
	case SG_FIELD_STRUCT:
		return decode_fields(field->inner, cur, (char *)object + field->offset);
	case SG_FIELD_LIST:
	case SG_FIELD_STRS:
		return get_list(field, cur, object);
	}
	return SG_ERR_INTERNAL;
}

static int decode_fields(const struct sg_layout *layout, struct sg_cursor *cur, void *object)
{
	int err = 0;

	for (size_t i = 0; i < layout->field_count && err == 0; i++)
		err = decode_field(&layout->fields[i], cur, object);
	return err;
}

int sg_layout_decode(const struct sg_layout *layout, struct sg_cursor *cur, void *object)
{
	int err;

	memset(object, 0, layout->size);
	err = decode_fields(layout, cur, object);
	if (err != 0)
		sg_layout_clear(layout, object);
	return err;
}

/* ---- clear ---- */

static void clear_list(const struct sg_field *field, void *object)
{
	char *items = get_pointer(object, field->offset);
	uint32_t count = items != NULL ? get_u32(object, field->count_offset) : 0;

	for (uint32_t i = 0; i < count; i++) {
		if (field->kind == SG_FIELD_STRS)
			free(get_pointer(items + i * sizeof(char *), 0));
		else
			sg_layout_clear(field->inner, items + i * field->inner->size);
	}
	free(items);
}

void sg_layout_clear(const struct sg_layout *layout, void *object)
{
	for (size_t i = 0; i < layout->field_count; i++) {
		const struct sg_field *field = &layout->fields[i];
		void *at = (char *)object + field->offset;

		switch (field->kind) {
		case SG_FIELD_U32:
			break;
		case SG_FIELD_STR:
			free(get_pointer(object, field->offset));
			break;
		case SG_FIELD_BLOB:
			sg_blob_clear(at);
			break;
		case SG_FIELD_STRUCT:
			sg_layout_clear(field->inner, at);
			break;
		case SG_FIELD_LIST:
		case SG_FIELD_STRS:
			clear_list(field, object);
			break;
		}
	}
	memset(object, 0, layout->size);
}
