#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "buf.h"

static void puts_what_it_is_given(void **state)
{
	struct sg_buf buf = { 0 };

	sg_buf_put_u8(&buf, 0xab);
	sg_buf_put_u32(&buf, 0x01020304);
	sg_buf_put_str(&buf, "hey");
	sg_buf_put(&buf, NULL, 0);
	sg_buf_printf(&buf, "%d-%s", 42, "x");
	assert_int_equal(buf.err, 0);
	assert_int_equal(buf.len, 12);
	assert_memory_equal(buf.data, "\xab\x01\x02\x03\x04hey42-x", 12);
	sg_buf_clear(&buf);
	assert_null(buf.data);
	assert_int_equal(buf.len, 0);
}

static void grows_over_any_step(void **state)
{
	struct sg_buf buf = { 0 };

	for (int i = 0; i < 100000; i++)
		sg_buf_put_u8(&buf, (uint8_t)i);
	assert_int_equal(buf.err, 0);
	assert_int_equal(buf.len, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(buf.data[i], (uint8_t)i);
	sg_buf_clear(&buf);
}

static void consumes_from_the_front(void **state)
{
	struct sg_buf buf = { 0 };

	sg_buf_consume(&buf, 0);
	sg_buf_put_str(&buf, "abcdef");
	sg_buf_consume(&buf, 2);
	assert_int_equal(buf.len, 4);
	assert_memory_equal(buf.data, "cdef", 4);
	sg_buf_consume(&buf, 4);
	assert_int_equal(buf.len, 0);
	sg_buf_clear(&buf);
}

static void limit_is_kept_and_remembered(void **state)
{
	struct sg_buf buf = { 0 };
	char *block = calloc(1, SG_BUF_MAX);

	assert_non_null(block);
	sg_buf_put(&buf, block, SG_BUF_MAX);
	assert_int_equal(buf.err, 0);
	assert_int_equal(buf.len, SG_BUF_MAX);
	sg_buf_put_u8(&buf, 1);
	assert_int_equal(buf.err, SG_ERR_LIMIT);
	sg_buf_consume(&buf, 1);
	sg_buf_put_u8(&buf, 1); /* writes nothing once it failed */
	assert_int_equal(buf.len, SG_BUF_MAX - 1);
	sg_buf_printf(&buf, "%d", 1);
	assert_int_equal(buf.len, SG_BUF_MAX - 1);
	assert_null(sg_buf_steal(&buf, NULL));
	assert_null(buf.data);
	assert_int_equal(buf.err, 0);
	sg_buf_put(&buf, block, (size_t)-1);
	assert_int_equal(buf.err, SG_ERR_LIMIT);
	sg_buf_clear(&buf);
	free(block);
}

static void steal_hands_over_a_string(void **state)
{
	struct sg_buf buf = { 0 };
	size_t len = 99;
	char *text = sg_buf_steal(&buf, &len);

	assert_string_equal(text, "");
	assert_int_equal(len, 0);
	free(text);
	for (size_t i = 0; i < 600; i++)
		sg_buf_put_u8(&buf, 'x');
	text = sg_buf_steal(&buf, &len);
	assert_int_equal(len, 600);
	assert_int_equal(strlen(text), 600);
	assert_null(buf.data);
	free(text);
}

static void blobs_own_copies(void **state)
{
	struct sg_blob a = { 0 }, b = { 0 };

	assert_true(sg_blob_eq(&a, &b));
	assert_int_equal(sg_blob_set(&a, "hello", 5), 0);
	assert_false(sg_blob_eq(&a, &b));
	assert_int_equal(sg_blob_set(&b, "hellO", 5), 0);
	assert_false(sg_blob_eq(&a, &b));
	assert_int_equal(sg_blob_set(&b, a.data, a.len), 0);
	assert_true(a.data != b.data);
	assert_true(sg_blob_eq(&a, &b));
	assert_int_equal(sg_blob_set(&b, b.data + 1, 3), 0); /* a part of itself */
	assert_memory_equal(b.data, "ell", 3);
	assert_int_equal(sg_blob_set(&b, NULL, 0), 0);
	assert_null(b.data);
	sg_blob_clear(&a);
	assert_null(a.data);
	assert_int_equal(a.len, 0);
}

static void cursor_stays_in_its_bounds(void **state)
{
	static const unsigned char bytes[] = { 1, 0xff, 2, 3, 4, 5 };
	struct sg_cursor cur = { bytes, bytes + sizeof(bytes) };
	const unsigned char *data = bytes;
	uint32_t u32;
	uint8_t u8;

	assert_int_equal(sg_cursor_get_u8(&cur, &u8), 0);
	assert_int_equal(u8, 1);
	assert_int_equal(sg_cursor_get_u32(&cur, &u32), 0);
	assert_int_equal(u32, 0xff020304);
	assert_int_equal(sg_cursor_left(&cur), 1);
	u32 = 7;
	assert_int_equal(sg_cursor_get_u32(&cur, &u32), SG_ERR_FORMAT);
	assert_int_equal(u32, 0);
	assert_int_equal(sg_cursor_get(&cur, 2, &data), SG_ERR_FORMAT);
	assert_null(data);
	assert_int_equal(sg_cursor_get(&cur, (size_t)-1, &data), SG_ERR_FORMAT);
	assert_int_equal(sg_cursor_left(&cur), 1); /* nothing was moved */
	assert_int_equal(sg_cursor_get(&cur, 1, &data), 0);
	assert_ptr_equal(data, bytes + 5);
	assert_int_equal(sg_cursor_get_u8(&cur, &u8), SG_ERR_FORMAT);
	assert_int_equal(sg_cursor_get(&cur, 0, &data), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(puts_what_it_is_given),
		cmocka_unit_test(grows_over_any_step),
		cmocka_unit_test(consumes_from_the_front),
		cmocka_unit_test(limit_is_kept_and_remembered),
		cmocka_unit_test(steal_hands_over_a_string),
		cmocka_unit_test(blobs_own_copies),
		cmocka_unit_test(cursor_stays_in_its_bounds),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
