/* When a certificate is due: of all lifetimes, and whatever the clock says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "agent/broker/renewal.h"
#include "x509.h"

#define NOW    1800000000
#define MINUTE 60
#define DAY    86400
#define YEAR   (365 * (int64_t)DAY)

static const char no_jitter[] = "0000aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char most_jitter[] =
    "ffffaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

static struct sg_renewal of(int64_t not_before, int64_t lifetime, unsigned at, const char *sha256)
{
	struct sg_renewal renewal = { .not_before = not_before,
		.not_after = not_before + lifetime };

	sg_renewal_set(&renewal, at, sha256);
	return renewal;
}

static void at_its_share_of_any_lifetime(void **state)
{
	static const int64_t lifetimes[] = { 5 * MINUTE, DAY, 90 * DAY, YEAR, 10 * YEAR,
		7000 * YEAR };

	for (size_t i = 0; i < sizeof(lifetimes) / sizeof(lifetimes[0]); i++) {
		struct sg_renewal renewal = of(NOW, lifetimes[i], 66, no_jitter);

		assert_int_equal(renewal.due, NOW + lifetimes[i] * 66 / 100);
		renewal = of(NOW, lifetimes[i], 66, most_jitter);
		assert_true(renewal.due < NOW + lifetimes[i] * 66 / 100);
		assert_true(renewal.due >= NOW + lifetimes[i] * 63 / 100);
	}
}

/* Each has its own moment, between the bounds, and always the same. */
static void the_jitter_is_the_certificates_own(void **state)
{
	int64_t least = INT64_MAX, most = 0;
	char sha256[65];

	for (unsigned i = 0; i < 4096; i++) {
		struct sg_renewal renewal, again;

		snprintf(sha256, sizeof(sha256), "%04x%060x", i * 16, i);
		renewal = of(NOW, YEAR, 66, sha256);
		again = of(NOW, YEAR, 66, sha256);
		assert_int_equal(renewal.due, again.due);
		least = renewal.due < least ? renewal.due : least;
		most = renewal.due > most ? renewal.due : most;
	}
	assert_int_equal(most, NOW + YEAR * 66 / 100);
	assert_true(least < NOW + YEAR * 631 / 1000);
	assert_true(least >= NOW + YEAR * 63 / 100);
}

static void never_before_it_is_valid(void **state)
{
	for (unsigned at = 1; at <= SG_RENEWAL_AT_MAX; at++) {
		struct sg_renewal renewal = of(NOW, DAY, at, most_jitter);

		assert_true(renewal.due > NOW);
		assert_true(renewal.due >= NOW + DAY * (int64_t)at / 200);
		assert_true(renewal.due <= NOW + DAY * (int64_t)at / 100);
		assert_true(renewal.due < renewal.not_after);
	}
}

static void by_whatever_clock(void **state)
{
	struct sg_renewal renewal = of(NOW, 90 * DAY, 66, no_jitter);

	assert_false(sg_renewal_is_due(&renewal, NOW));
	assert_false(sg_renewal_is_due(&renewal, renewal.due - 1));
	assert_true(sg_renewal_is_due(&renewal, renewal.due));
	/* set back to before it was issued, and to where clocks without a battery begin */
	assert_false(sg_renewal_is_due(&renewal, NOW - YEAR));
	assert_false(sg_renewal_is_due(&renewal, 0));
	assert_false(sg_renewal_is_due(&renewal, -YEAR));
	/* far ahead */
	assert_true(sg_renewal_is_due(&renewal, NOW + 30 * YEAR));
	assert_true(sg_renewal_is_due(&renewal, INT64_MAX));
}

static void expired_or_not_yet_valid(void **state)
{
	struct sg_renewal renewal = of(NOW - YEAR, 90 * DAY, 66, no_jitter);

	assert_true(sg_renewal_is_due(&renewal, NOW));
	assert_true(sg_renewal_is_over(&renewal, NOW));
	assert_false(sg_renewal_is_over(&renewal, renewal.not_after));
	renewal = of(NOW + DAY, 90 * DAY, 66, no_jitter);
	assert_false(sg_renewal_is_due(&renewal, NOW));
	assert_false(sg_renewal_is_over(&renewal, NOW));
}

static void a_validity_that_makes_no_sense(void **state)
{
	struct sg_renewal renewal = of(NOW, -DAY, 66, most_jitter);

	assert_int_equal(renewal.due, NOW);
	renewal = of(NOW, 0, 66, most_jitter);
	assert_int_equal(renewal.due, NOW);
	renewal = of(NOW, DAY, 66, ""); /* no hash to take a jitter from */
	assert_int_equal(renewal.due, NOW + (int64_t)DAY * 66 / 100);
}

static struct sg_blob certificate(int64_t not_before, int64_t not_after)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_blob der = { NULL, 0 };
	X509 *cert = X509_new();

	assert_non_null(key);
	assert_non_null(cert);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after));
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(cert), 7), 1);
	assert_int_equal(X509_set_pubkey(cert, key), 1);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(sg_x509_cert_der(cert, &der), 0);
	X509_free(cert);
	EVP_PKEY_free(key);
	return der;
}

static void out_of_a_certificate(void **state)
{
	const int64_t end = 253402300799; /* 99991231235959Z, RFC 5280 4.1.2.5 */
	struct sg_blob der = certificate(NOW, NOW + 90 * DAY), cut;
	struct sg_renewal renewal, again;

	assert_int_equal(sg_renewal_of(&der, 50, &renewal), 0);
	assert_int_equal(renewal.not_before, NOW);
	assert_int_equal(renewal.not_after, NOW + 90 * DAY);
	assert_true(renewal.due > NOW + 42 * DAY && renewal.due <= NOW + 45 * DAY);
	assert_int_equal(sg_renewal_of(&der, 50, &again), 0);
	assert_memory_equal(&renewal, &again, sizeof(renewal));
	cut = (struct sg_blob){ der.data, der.len - 1 };
	assert_int_equal(sg_renewal_of(&cut, 50, &renewal), SG_ERR_FORMAT);
	assert_int_equal(renewal.due, 0);
	sg_blob_clear(&der);
	der = certificate(NOW, end);
	assert_int_equal(sg_renewal_of(&der, 66, &renewal), 0);
	assert_int_equal(renewal.not_after, end);
	assert_true(renewal.due > NOW && renewal.due < end);
	sg_blob_clear(&der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_its_share_of_any_lifetime),
		cmocka_unit_test(the_jitter_is_the_certificates_own),
		cmocka_unit_test(never_before_it_is_valid),
		cmocka_unit_test(by_whatever_clock),
		cmocka_unit_test(expired_or_not_yet_valid),
		cmocka_unit_test(a_validity_that_makes_no_sense),
		cmocka_unit_test(out_of_a_certificate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
