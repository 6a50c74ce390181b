/* What a TLS client signs, and what only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tls.h"

#define CONTEXT "TLS 1.3, client CertificateVerify"

static unsigned char room[SG_TLS_TBS_MAX + 1];
static struct sg_blob tbs = { room, 0 };

static int judge(int wanted)
{
	enum sg_tls_content content = 0;
	/* Its own memory: a read past the end is seen by a sanitizer. */
	struct sg_blob copy = { malloc(tbs.len ? tbs.len : 1), tbs.len };
	int err;

	memcpy(copy.data, tbs.data, tbs.len);
	err = sg_tls_content(&copy, &content);
	free(copy.data);
	assert_true(err < 0 || content == (enum sg_tls_content)wanted);
	return err;
}

static void make_13(const char *context, size_t context_len, size_t hash_len)
{
	memset(room, 0x20, 64);
	memcpy(room + 64, context, context_len);
	memset(room + 64 + context_len, 'h', hash_len);
	tbs.len = 64 + context_len + hash_len;
}

static void test_13(void **state)
{
	static const size_t sizes[] = { 32, 48, 64 };
	size_t i;

	for (i = 0; i < 3; i++) {
		make_13(CONTEXT, sizeof(CONTEXT), sizes[i]);
		assert_int_equal(judge(SG_TLS_CONTENT_13), 0);
		tbs.len--;
		assert_int_equal(judge(0), SG_ERR_FORMAT);
		tbs.len += 2;
		assert_int_equal(judge(0), SG_ERR_FORMAT);
	}
	make_13(CONTEXT, sizeof(CONTEXT), 0);
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	make_13("TLS 1.3, server CertificateVerify", sizeof(CONTEXT), 32);
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	make_13(CONTEXT "x", sizeof(CONTEXT), 32); /* no NUL */
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	for (i = 0; i < 64; i += 63) {
		make_13(CONTEXT, sizeof(CONTEXT), 32);
		room[i] = 0x21;
		assert_int_equal(judge(0), SG_ERR_FORMAT);
	}
}

/* Messages of these types, each with a body of 40 bytes. */
static void make_12(const char *types)
{
	tbs.len = 0;
	for (; *types; types++) {
		unsigned char *head = room + tbs.len;

		memset(head, 0, 44);
		head[0] = (unsigned char)*types;
		head[3] = 40;
		if (*types == 1)
			head[4] = head[5] = 3;
		tbs.len += 44;
	}
}

static int judge_12(const char *types)
{
	make_12(types);
	return judge(SG_TLS_CONTENT_12);
}

static void test_12(void **state)
{
	assert_int_equal(judge_12("\1\2\13\14\15\16\13\20"), 0);
	assert_int_equal(judge_12("\1\2\13\15\16\13\20"), 0);	    /* RSA key exchange */
	assert_int_equal(judge_12("\1\2\13\26\14\15\16\13\20"), 0); /* OCSP stapled */
	assert_int_equal(judge_12("\1\2\27\13\14\15\16\27\13\20"), 0);
	assert_int_equal(judge_12(""), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\2\13\14\15\16\13\20"), SG_ERR_FORMAT);
	assert_int_equal(
	    judge_12("\1\2\13\14\16\13\20"), SG_ERR_FORMAT); /* not asked for a certificate */
	assert_int_equal(judge_12("\1\2\13\14\15\16\20"), SG_ERR_FORMAT); /* and gave none */
	assert_int_equal(judge_12("\1\2\13\14\15\16\13"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1\2\13\14\15\16\13\20\17"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1\2\13\14\15\16\13\20\20"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1\1\2\13\14\15\16\13\20"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1\2\14\13\15\16\13\20"), SG_ERR_FORMAT);
	assert_int_equal(judge_12("\1\2\13\14\15\16\13\20\24"), SG_ERR_FORMAT);
}

static void test_12_lengths(void **state)
{
	size_t whole, i;

	make_12("\1\2\13\14\15\16\13\20");
	whole = tbs.len;
	for (i = 0; i < whole; i++) {
		tbs.len = i;
		assert_int_equal(judge(0), SG_ERR_FORMAT);
	}
	tbs.len = whole;
	room[whole - 41]++; /* the last message claims one byte more */
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	make_12("\1\2\13\14\15\16\13\20");
	room[1] = 0xff;
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	make_12("\1\2\13\14\15\16\13\20");
	room[5] = 1; /* TLS 1.0 */
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	make_12("\1\2\13\14\15\16\13\20");
	room[4 + 34] = 33; /* session id */
	assert_int_equal(judge(0), SG_ERR_FORMAT);
}

static void test_limit(void **state)
{
	make_12("\1\2\13\14\15\16\13\20");
	tbs.len = SG_TLS_TBS_MAX;
	assert_int_equal(judge(0), SG_ERR_FORMAT);
	tbs.len = SG_TLS_TBS_MAX + 1;
	assert_int_equal(judge(0), SG_ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_13),
		cmocka_unit_test(test_12),
		cmocka_unit_test(test_12_lengths),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests_name("token tls", tests, NULL, NULL);
}
