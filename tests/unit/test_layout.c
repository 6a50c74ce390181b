#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "layout.h"

struct inner {
	char *name;
	uint32_t number;
};

struct outer {
	uint32_t number;
	char *text;
	char *absent;
	struct sg_blob blob;
	struct inner inner;
	struct inner *items;
	uint32_t item_count;
	char **strings;
	uint32_t string_count;
};

static const struct sg_field inner_fields[] = {
	{ SG_FIELD_STR, offsetof(struct inner, name), 0, NULL },
	{ SG_FIELD_U32, offsetof(struct inner, number), 0, NULL },
};
static const struct sg_layout inner_layout = { sizeof(struct inner), inner_fields, 2 };

static const struct sg_field outer_fields[] = {
	{ SG_FIELD_U32, offsetof(struct outer, number), 0, NULL },
	{ SG_FIELD_STR, offsetof(struct outer, text), 0, NULL },
	{ SG_FIELD_STR, offsetof(struct outer, absent), 0, NULL },
	{ SG_FIELD_BLOB, offsetof(struct outer, blob), 0, NULL },
	{ SG_FIELD_STRUCT, offsetof(struct outer, inner), 0, &inner_layout },
	{ SG_FIELD_LIST, offsetof(struct outer, items), offsetof(struct outer, item_count),
	    &inner_layout },
	{ SG_FIELD_STRS, offsetof(struct outer, strings), offsetof(struct outer, string_count),
	    NULL },
};
static const struct sg_layout outer_layout = { sizeof(struct outer), outer_fields, 7 };

static char hey[] = "hey", empty[] = "", umlaut[] = "\xc3\xbc";
static unsigned char blob_bytes[] = { 0, 1, 2 };
static struct inner items[2] = { { hey, 1 }, { NULL, 0xffffffff } };
static char *strings[2] = { umlaut, empty };
static const struct outer sample = {
	.number = 0x01020304,
	.text = empty,
	.blob = { blob_bytes, sizeof(blob_bytes) },
	.inner = { hey, 7 },
	.items = items,
	.item_count = 2,
	.strings = strings,
	.string_count = 2,
};

/* The sample, byte by byte as the header says. */
static const char wire[] = "\x01\x02\x03\x04"
			   "\x01\x00\x00\x00\x00"
			   "\x00"
			   "\x00\x00\x00\x03\x00\x01\x02"
			   "\x01\x00\x00\x00\x03hey\x00\x00\x00\x07"
			   "\x00\x00\x00\x02"
			   "\x01\x00\x00\x00\x03hey\x00\x00\x00\x01"
			   "\x00\xff\xff\xff\xff"
			   "\x00\x00\x00\x02"
			   "\x01\x00\x00\x00\x02\xc3\xbc"
			   "\x01\x00\x00\x00\x00";
#define WIRE_SIZE (sizeof(wire) - 1)

static int decode(const void *bytes, size_t len, struct outer *object, size_t *left)
{
	/* A copy of its own size, so that a read past it is seen by the sanitizer. */
	unsigned char *copy = malloc(len > 0 ? len : 1);
	struct sg_cursor cur = { copy, copy + len };
	int err;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memset(object, 0xa5, sizeof(*object));
	err = sg_layout_decode(&outer_layout, &cur, object);
	if (left != NULL)
		*left = sg_cursor_left(&cur);
	free(copy);
	return err;
}

static void assert_zero(const struct outer *object)
{
	const unsigned char *bytes = (const unsigned char *)object;

	for (size_t i = 0; i < sizeof(*object); i++)
		assert_int_equal(bytes[i], 0);
}

static void encodes_as_written(void **state)
{
	struct sg_buf buf = { 0 };

	assert_int_equal(sg_layout_encode(&outer_layout, &sample, &buf), 0);
	assert_int_equal(buf.len, WIRE_SIZE);
	assert_memory_equal(buf.data, wire, WIRE_SIZE);
	sg_buf_clear(&buf);
}

static void decodes_what_it_encodes(void **state)
{
	struct outer object;
	size_t left;

	assert_int_equal(decode(wire, sizeof(wire), &object, &left), 0);
	assert_int_equal(left, 1); /* the NUL of the literal: who calls decides on trailing bytes */
	assert_int_equal(object.number, 0x01020304);
	assert_string_equal(object.text, "");
	assert_null(object.absent);
	assert_int_equal(object.blob.len, 3);
	assert_memory_equal(object.blob.data, blob_bytes, 3);
	assert_string_equal(object.inner.name, "hey");
	assert_int_equal(object.item_count, 2);
	assert_string_equal(object.items[0].name, "hey");
	assert_null(object.items[1].name);
	assert_int_equal(object.items[1].number, 0xffffffff);
	assert_int_equal(object.string_count, 2);
	assert_string_equal(object.strings[0], umlaut);
	assert_string_equal(object.strings[1], "");
	sg_layout_clear(&outer_layout, &object);
	assert_zero(&object);
	sg_layout_clear(&outer_layout, &object); /* and once more is fine */
}

static void cut_anywhere_it_is_refused(void **state)
{
	struct outer object;

	for (size_t len = 0; len < WIRE_SIZE; len++) {
		assert_int_equal(decode(wire, len, &object, NULL), SG_ERR_FORMAT);
		assert_zero(&object);
	}
}

/* Any byte at any place: never a crash, never a leak, and on failure nothing is left behind. */
static void changed_anywhere_it_is_safe(void **state)
{
	for (size_t at = 0; at < WIRE_SIZE; at++) {
		for (int value = 0; value < 256; value++) {
			unsigned char bytes[WIRE_SIZE];
			struct outer object;

			memcpy(bytes, wire, WIRE_SIZE);
			bytes[at] = (unsigned char)value;
			if (decode(bytes, WIRE_SIZE, &object, NULL) == 0)
				sg_layout_clear(&outer_layout, &object);
			assert_zero(&object);
		}
	}
}

static void assert_refused_with(size_t at, const char *bytes, size_t len)
{
	char changed[WIRE_SIZE];
	struct outer object;

	memcpy(changed, wire, WIRE_SIZE);
	memcpy(changed + at, bytes, len);
	assert_int_equal(decode(changed, WIRE_SIZE, &object, NULL), SG_ERR_FORMAT);
	assert_zero(&object);
}

static void bad_values_are_refused(void **state)
{
	assert_refused_with(4, "\x02", 1);		/* neither absent nor present */
	assert_refused_with(5, "\xff\xff\xff\xff", 4);	/* text longer than the rest */
	assert_refused_with(10, "\x00\x10\x00\x00", 4); /* blob longer than the rest */
	assert_refused_with(22, "h\0y", 3);		/* NUL in a string */
	assert_refused_with(22, "h\xffy", 3);		/* not UTF-8 */
	assert_refused_with(29, "\xff\xff\xff\xff", 4); /* counts that the rest cannot hold */
	assert_refused_with(29, "\x00\x00\x00\x08", 4); /* 8 x 5 bytes, 33 are left */
	assert_refused_with(50, "\x7f\xff\xff\xff", 4);
	assert_refused_with(50, "\x00\x00\x00\x03", 4);
	assert_refused_with(54, "\x00", 1); /* an absent string in a list of strings */
}

static void refuses_to_encode_what_would_be_refused(void **state)
{
	static char bad[] = "a\xff";
	char *bad_strings[1] = { NULL };
	struct outer object = { .text = bad };
	struct sg_buf buf = { 0 };

	assert_int_equal(sg_layout_encode(&outer_layout, &object, &buf), SG_ERR_FORMAT);
	sg_buf_clear(&buf);
	object = (struct outer){ .strings = bad_strings, .string_count = 1 };
	assert_int_equal(sg_layout_encode(&outer_layout, &object, &buf), SG_ERR_FORMAT);
	sg_buf_clear(&buf);
}

static void encode_keeps_the_buffer_limit(void **state)
{
	struct sg_blob big = { calloc(1, SG_BUF_MAX + 1), SG_BUF_MAX + 1 };
	struct outer object = { .blob = big };
	struct sg_buf buf = { 0 };

	assert_non_null(big.data);
	assert_int_equal(sg_layout_encode(&outer_layout, &object, &buf), SG_ERR_LIMIT);
	sg_buf_clear(&buf);
	object.blob.len = SG_BUF_MAX; /* fits alone, but not with its length */
	assert_int_equal(sg_layout_encode(&outer_layout, &object, &buf), SG_ERR_LIMIT);
	sg_buf_clear(&buf);
	free(big.data);
}

static void zero_round_trip(void **state)
{
	struct outer object = { 0 };
	struct sg_buf buf = { 0 };

	assert_int_equal(sg_layout_encode(&outer_layout, &object, &buf), 0);
	assert_int_equal(decode(buf.data, buf.len, &object, NULL), 0);
	assert_zero(&object);
	sg_buf_clear(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encodes_as_written),
		cmocka_unit_test(decodes_what_it_encodes),
		cmocka_unit_test(cut_anywhere_it_is_refused),
		cmocka_unit_test(changed_anywhere_it_is_safe),
		cmocka_unit_test(bad_values_are_refused),
		cmocka_unit_test(refuses_to_encode_what_would_be_refused),
		cmocka_unit_test(encode_keeps_the_buffer_limit),
		cmocka_unit_test(zero_round_trip),
	};

	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
