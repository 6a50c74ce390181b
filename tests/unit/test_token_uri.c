/* Selectors by RFC 7512, and the URIs that are given out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "uri.h"

static void padded(unsigned char *field, size_t len, const char *text)
{
	memset(field, ' ', len);
	memcpy(field, text, strlen(text));
}

static CK_TOKEN_INFO token_info(const char *label, const char *serial)
{
	CK_TOKEN_INFO info = { .flags = CKF_TOKEN_INITIALIZED };

	padded(info.label, sizeof(info.label), label);
	padded(info.serialNumber, sizeof(info.serialNumber), serial);
	padded(info.manufacturerID, sizeof(info.manufacturerID), "Acme");
	padded(info.model, sizeof(info.model), "One");
	return info;
}

static const CK_SLOT_INFO slot = { .slotDescription = "Reader 1                        "
						      "                                " };

static const CK_INFO library = { .manufacturerID = "Maker                           ",
	.libraryDescription = "Lib One                         ",
	.libraryVersion = { 2, 6 } };

/* 0 or the error's code. */
static int parse(const char *text, struct sg_selector **selector)
{
	struct sg_msg_error error = { 0 };
	int err = sg_selector_parse(text, selector, &error);

	assert_int_equal(-(int)error.code, err);
	if (err < 0)
		assert_null(*selector);
	sg_layout_clear(&sg_layout_error, &error);
	return err;
}

static int fails(const char *text)
{
	struct sg_selector *selector;
	int err = parse(text, &selector);

	sg_selector_free(selector);
	return err;
}

static int is_token(const char *text, const CK_TOKEN_INFO *info)
{
	struct sg_selector *selector;
	int found;

	assert_int_equal(parse(text, &selector), 0);
	found = sg_selector_is_token(selector, &library, 7, &slot, info);
	sg_selector_free(selector);
	return found;
}

static void test_tokens(void **state)
{
	CK_TOKEN_INFO info = token_info("my token", "123");

	assert_true(is_token("my token", &info));
	assert_false(is_token("my", &info));
	assert_false(is_token("my token ", &info));
	assert_false(is_token("My token", &info));
	assert_true(is_token("pkcs11:", &info));
	assert_true(is_token("pkcs11:token=my%20token", &info));
	assert_true(
	    is_token("pkcs11:token=my%20token;serial=123;manufacturer=Acme;model=One", &info));
	assert_true(is_token("pkcs11:serial=123?pin-source=file:/run/pin", &info));
	assert_false(is_token("pkcs11:serial=1234", &info));
	assert_true(is_token("pkcs11:slot-id=7", &info));
	assert_false(is_token("pkcs11:slot-id=8", &info));
	assert_true(is_token("pkcs11:library-manufacturer=Maker", &info));
	assert_true(is_token("pkcs11:library-description=Lib%20One;token=my%20token", &info));
	assert_true(is_token("pkcs11:library-version=2.6", &info));
	assert_false(is_token("pkcs11:library-manufacturer=Make", &info));
	assert_false(is_token("pkcs11:library-description=Lib%20Two", &info));
	assert_false(is_token("pkcs11:library-version=2.5", &info));
	info.flags = 0;
	assert_false(is_token("my token", &info));
	assert_false(is_token("pkcs11:serial=123", &info));
}

static void test_refused(void **state)
{
	char *long_text = malloc(SG_URI_MAX + 2);

	assert_int_equal(fails("pkcs11:token"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=%"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=%g0"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a;token=a"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a;;serial=1"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:tok=a"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:library-color=x"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:library-version=new"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:type=nonsense"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a?module-name=x"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a?module-path=/x.so"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a?x-y=z"), SG_ERR_ARG);
	assert_int_equal(fails("PKCS11:token=a;bad"), SG_ERR_ARG);
	assert_int_equal(fails("pkcs11:token=a?pin-value=1234"), SG_ERR_DENIED);
	assert_int_equal(fails("pkcs11:nonsense=1?pin-source=x&pin-value=1234"), SG_ERR_DENIED);
	memset(long_text, 'x', SG_URI_MAX + 1);
	long_text[SG_URI_MAX + 1] = 0;
	assert_int_equal(fails(long_text), SG_ERR_LIMIT);
	long_text[SG_URI_MAX] = 0;
	assert_int_equal(fails(long_text), 0);
	free(long_text);
}

static void test_objects(void **state)
{
	struct sg_selector *selector;
	CK_ATTRIBUTE at[2];

	assert_int_equal(parse("a key", &selector), 0);
	assert_int_equal(sg_selector_template(selector, at), 1);
	assert_int_equal(at[0].type, CKA_LABEL);
	assert_int_equal(at[0].ulValueLen, 5);
	assert_true(sg_selector_means_keys(selector));
	assert_false(sg_selector_names_token(selector));
	sg_selector_free(selector);
	assert_int_equal(parse("pkcs11:token=t;id=%00%ff;object=a;type=public", &selector), 0);
	assert_int_equal(sg_selector_template(selector, at), 2);
	assert_int_equal(at[0].type, CKA_ID);
	assert_memory_equal(at[0].pValue, "\0\xff", 2);
	assert_true(sg_selector_means_keys(selector));
	assert_true(sg_selector_names_token(selector));
	sg_selector_free(selector);
	assert_int_equal(parse("", &selector), 0);
	assert_int_equal(sg_selector_template(selector, at), 0);
	sg_selector_free(selector);
	assert_int_equal(parse("pkcs11:type=private", &selector), 0);
	assert_true(sg_selector_means_keys(selector));
	sg_selector_free(selector);
	assert_int_equal(parse("pkcs11:type=cert", &selector), 0);
	assert_false(sg_selector_means_keys(selector));
	sg_selector_free(selector);
	assert_int_equal(parse("pkcs11:type=secret-key", &selector), 0);
	assert_false(sg_selector_means_keys(selector));
	sg_selector_free(selector);
}

static void test_given_out(void **state)
{
	CK_TOKEN_INFO info = token_info("my token", "123");
	struct sg_blob id = { (unsigned char[]){ 1, 0xab }, 2 };
	struct sg_blob label = { (unsigned char[]){ 'a', ' ', '%', 0xc3, 0xa9 }, 5 };
	struct sg_blob none = { 0 };
	char *text;

	text = sg_uri_token(&info);
	assert_true(is_token(text, &info));
	assert_non_null(strstr(text, "token=my%20token"));
	assert_non_null(strstr(text, "serial=123"));
	assert_non_null(strstr(text, "manufacturer=Acme"));
	assert_non_null(strstr(text, "model=One"));
	free(text);
	text = sg_uri_object(&info, CKO_PRIVATE_KEY, &id, &label);
	assert_int_equal(fails(text), 0);
	assert_non_null(strstr(text, "id=%01%AB"));
	assert_non_null(strstr(text, "object=a%20%25%C3%A9"));
	assert_non_null(strstr(text, "type=private"));
	assert_null(strstr(text, "manufacturer"));
	free(text);
	text = sg_uri_object(&info, CKO_CERTIFICATE, &none, &none);
	assert_non_null(strstr(text, "type=cert"));
	assert_null(strstr(text, "id="));
	free(text);
}

static void padded_is(const char *field, size_t len, const char *wanted)
{
	char *text = sg_text_padded((const unsigned char *)field, len);

	assert_string_equal(text, wanted);
	free(text);
}

static void test_text(void **state)
{
	padded_is("abc  ", 5, "abc");
	padded_is("", 0, "");
	padded_is("   ", 3, "");
	padded_is("a\0\0", 3, "a");
	padded_is("\xc3\xa9 ", 3, "\xc3\xa9");
	padded_is("\xc3 x", 3, "? x");
	padded_is("a\0b", 3, "a?b");
	padded_is("a\033[2J", 5, "a?[2J");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_given_out),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests_name("token uri", tests, NULL, NULL);
}
