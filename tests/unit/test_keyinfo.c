#include "proto/keyinfo.h"

#include "codecs.h"
#include "pgp_vectors.h"

#define OPEN			 "<keyinfo xmlns='urn:xmpp:tmp:pubkey'>"
#define CLOSE			 "</keyinfo>"
#define NAME(hex)		 "<name>" hex "</name>"
#define OTHER			 "89d099a3428481cc63fe3fa44e7df2d002b4ce44"
#define SIGNATURE(issuer, value) "<signature>" issuer value "</signature>"
#define ISSUER			 "<issuer>" ISSUER_NAME "</issuer>"
#define VALUE			 "<value method='RSA-SHA1'>c2lnbmV0</value>"

static struct sg_blob subject;
static char *subject_base64;

static int read_subject(void **state)
{
	subject = read_vector(VECTOR_SUBJECT);
	subject_base64 = sg_base64_encode(subject.data, subject.len);
	return subject_base64 != NULL ? 0 : -1;
}

static int free_subject(void **state)
{
	sg_blob_clear(&subject);
	free(subject_base64);
	return 0;
}

static int decode_with_why(const char *text, struct sg_keyinfo *keyinfo, const char **why)
{
	struct sg_xml *element = xml_of(text);
	int err = sg_keyinfo_decode(element, keyinfo, why);

	sg_xml_free(element);
	if (err != 0) {
		assert_non_null(*why);
		assert_true(
		    !keyinfo->name && !keyinfo->data.data && !keyinfo->signatures && !keyinfo->xml);
	}
	return err;
}

/* %s in the text stands for the subject's certificate. */
static int decode(const char *format, struct sg_keyinfo *keyinfo, const char **why)
{
	const char *at = strstr(format, "%s");
	char *text;
	int err;

	if (at == NULL)
		return decode_with_why(format, keyinfo, why);
	text = text_of("%.*s%s%s", (int)(at - format), format, subject_base64, at + 2);
	err = decode_with_why(text, keyinfo, why);
	free(text);
	return err;
}

static void accept(const char *format, struct sg_keyinfo *keyinfo)
{
	const char *why = NULL;

	if (decode(format, keyinfo, &why))
		fail_msg("refused: %s: %s", why, format);
}

static void clear(struct sg_keyinfo *keyinfo)
{
	sg_layout_clear(&sg_layout_keyinfo, keyinfo);
}

static void assert_x509(const char *format)
{
	struct sg_keyinfo keyinfo;

	accept(format, &keyinfo);
	assert_string_equal(keyinfo.name, SUBJECT_NAME);
	assert_int_equal(keyinfo.kind, SG_KEYINFO_X509);
	assert_true(sg_blob_eq(&keyinfo.data, &subject));
	clear(&keyinfo);
}

static void refuse(const char *format, int expected, const char *why_expected)
{
	struct sg_keyinfo keyinfo;
	const char *why = NULL;

	assert_int_equal(decode(format, &keyinfo, &why), expected);
	assert_string_equal(why, why_expected);
}

static void the_documents_example_is_read(void **state)
{
	struct sg_blob signature = read_vector(VECTOR_SIGNATURE);
	struct sg_keyinfo keyinfo;

	accept("\n<keyinfo xmlns='urn:xmpp:tmp:pubkey'>\n<name>" SUBJECT_NAME
	       "</name>\n<x509cert>\n"
	       "%s\n</x509cert>\n<signature>\n<issuer>" ISSUER_NAME "</issuer>\n"
	       "<value method='RSA-SHA1'>\n"
	       "E3q/UkjRR3zcZMcIIoE2sSVKUATl26zyzO1Pmoe96p8apW91c3a0KqkQp1ZMBqXX\n"
	       "+e2ImqQ79CKv+9qzXitxx+V4EcniKN0ZsSR+9ZbfflxkOvmBa2rpq9hFE1NYyfuT\n"
	       "fsAZkRhAGlP7P5ELcvhqJ4WL6qBPYQU2NEnbVlcZSbA=\n</value>\n</signature>\n</keyinfo>\n",
	    &keyinfo);
	assert_int_equal(keyinfo.signature_count, 1);
	assert_string_equal(keyinfo.signatures[0].issuer, ISSUER_NAME);
	assert_null(keyinfo.signatures[0].issuer_jid);
	assert_string_equal(keyinfo.signatures[0].method, "RSA-SHA1");
	assert_true(sg_blob_eq(&keyinfo.signatures[0].value, &signature));
	sg_blob_clear(&signature);
	clear(&keyinfo);
}

static void both_element_names_are_read(void **state)
{
	static const char *const pgp_elements[] = { "pgpdata", "openpgp" };
	struct sg_blob key = read_vector("pgp-rsa.pgp");
	char *base64 = sg_base64_encode(key.data, key.len), *text;
	struct sg_keyinfo keyinfo;

	assert_x509(OPEN NAME(SUBJECT_NAME) "<x509cert>%s</x509cert>" CLOSE);
	assert_x509(OPEN NAME(SUBJECT_NAME) "<x509>%s</x509>" CLOSE);
	assert_x509(OPEN "<x509cert>%s</x509cert>" NAME(SUBJECT_NAME) CLOSE);
	for (size_t i = 0; i < sizeof(pgp_elements) / sizeof(pgp_elements[0]); i++) {
		text = text_of(OPEN NAME(PGP_RSA) "<%s> %s\n</%s>" CLOSE, pgp_elements[i], base64,
		    pgp_elements[i]);
		accept(text, &keyinfo);
		assert_int_equal(keyinfo.kind, SG_KEYINFO_PGP);
		assert_true(sg_blob_eq(&keyinfo.data, &key));
		assert_string_equal(keyinfo.name, PGP_RSA);
		clear(&keyinfo);
		free(text);
	}
	free(base64);
	sg_blob_clear(&key);
}

/* K2 for OpenPGP: the name is the fingerprint, and what is no public key is refused. */
static void test_k2_openpgp_names_must_be_the_keys(void **state)
{
	struct sg_blob key = read_vector("pgp-rsa.pgp");
	char *base64 = sg_base64_encode(key.data, key.len), *text;
	struct sg_keyinfo keyinfo;

	text = text_of(OPEN NAME(PGP_NISTP256) "<pgpdata>%s</pgpdata>" CLOSE, base64);
	refuse(text, SG_ERR_KEYINFO, "the name is not the OpenPGP key's fingerprint");
	free(text);
	text = text_of(OPEN NAME("3B723825A061F1876EF5AABCECDBC601976D1B57") "<pgpdata>%s"
									     "</pgpdata>" CLOSE,
	    base64);
	accept(text, &keyinfo);
	assert_string_equal(keyinfo.name, PGP_RSA);
	clear(&keyinfo);
	free(text);
	free(base64);
	key.data[0] = 0x95; /* the tag of a secret key */
	base64 = sg_base64_encode(key.data, key.len);
	text = text_of(OPEN NAME(PGP_RSA) "<pgpdata>%s</pgpdata>" CLOSE, base64);
	refuse(text, SG_ERR_KEYINFO,
	    "it holds a SECRET key: nothing of it was taken; export the public key alone");
	free(text);
	free(base64);
	sg_blob_clear(&key);
	refuse(OPEN NAME(OTHER) "<pgpdata>c2lnbmV0</pgpdata>" CLOSE, SG_ERR_KEYINFO,
	    "OpenPGP packets that are cut or malformed");
}

static void two_keys_are_refused(void **state)
{
	static const char why[] = "more than one key element";

	refuse(OPEN NAME(SUBJECT_NAME) "<x509cert>%s</x509cert><x509cert>c2lnbmV0</x509cert>" CLOSE,
	    SG_ERR_KEYINFO, why);
	refuse(OPEN NAME(SUBJECT_NAME) "<x509cert>%s</x509cert><x509>c2lnbmV0</x509>" CLOSE,
	    SG_ERR_KEYINFO, why);
	refuse(OPEN NAME(SUBJECT_NAME) "<pgpdata>c2lnbmV0</pgpdata><x509cert>%s</x509cert>" CLOSE,
	    SG_ERR_KEYINFO, why);
	refuse(OPEN NAME(OTHER) "<openpgp>c2lnbmV0</openpgp><pgpdata/>" CLOSE, SG_ERR_KEYINFO, why);
}

static void upper_case_names_are_lowered(void **state)
{
	assert_x509(
	    OPEN NAME("571B23D99892F4566017426E92C377288ED6C983") "<x509cert>%s</x509cert>" CLOSE);
	assert_x509(OPEN NAME(
	    "\n 571b23D99892f4566017426e92c377288ed6c983\t") "<x509cert>%s</x509cert>" CLOSE);
}

static void names_must_be_the_keys(void **state)
{
	static const char form[] = "the name is not 40 hex digits";

	refuse(OPEN NAME(ISSUER_NAME) "<x509cert>%s</x509cert>" CLOSE, SG_ERR_KEYINFO,
	    "the name is not the certificate's fingerprint");
	/* one bit */
	refuse(
	    OPEN NAME("571b23d99892f4566017426e92c377288ed6c982") "<x509cert>%s</x509cert>" CLOSE,
	    SG_ERR_KEYINFO, "the name is not the certificate's fingerprint");
	refuse(OPEN "<x509cert>%s</x509cert>" CLOSE, SG_ERR_KEYINFO, "no name");
	refuse(OPEN NAME(SUBJECT_NAME) NAME(SUBJECT_NAME) "<x509cert>%s</x509cert>" CLOSE,
	    SG_ERR_KEYINFO, "more than one name");
	refuse(OPEN NAME("") CLOSE, SG_ERR_KEYINFO, form);
	refuse(OPEN NAME("julietX509cert1hash") CLOSE, SG_ERR_KEYINFO, form);
	refuse(OPEN NAME(SUBJECT_NAME "00") CLOSE, SG_ERR_KEYINFO, form);
	refuse(OPEN NAME("571b23d99892f4566017426e92c377288ed6c98") CLOSE, SG_ERR_KEYINFO, form);
	refuse(OPEN NAME("571b23d9 9892f4566017426e92c377288ed6c983") CLOSE, SG_ERR_KEYINFO, form);
	refuse(OPEN NAME("571b23d99892f4566017426e92c377288ed6c98g") CLOSE, SG_ERR_KEYINFO, form);
}

static void no_data_is_a_reference(void **state)
{
	struct sg_keyinfo keyinfo;

	accept(OPEN NAME(OTHER) SIGNATURE(ISSUER, VALUE) CLOSE, &keyinfo);
	assert_int_equal(keyinfo.kind, SG_KEYINFO_REFERENCE);
	assert_string_equal(keyinfo.name, OTHER);
	assert_null(keyinfo.data.data);
	assert_int_equal(keyinfo.signature_count, 1);
	clear(&keyinfo);
}

static void bad_key_data_is_refused(void **state)
{
	refuse(OPEN NAME(OTHER) "<x509cert>c2ln*mV0</x509cert>" CLOSE, SG_ERR_KEYINFO,
	    "key data that is not Base64");
	refuse(OPEN NAME(OTHER) "<pgpdata/>" CLOSE, SG_ERR_KEYINFO, "key data that is not Base64");
	refuse(OPEN NAME(OTHER) "<x509cert>c2lnbmV0</x509cert>" CLOSE, SG_ERR_KEYINFO,
	    "no X.509 certificate in DER");
	refuse("<keyinfo xmlns='urn:x'>" NAME(OTHER) CLOSE, SG_ERR_KEYINFO, "no keyinfo element");
	refuse("<key xmlns='urn:xmpp:tmp:pubkey'/>", SG_ERR_KEYINFO, "no keyinfo element");
}

/* One flipped bit anywhere in the certificate gives another name, or no certificate. */
static void no_flipped_bit_keeps_the_name(void **state)
{
	static const char head[] = OPEN NAME(SUBJECT_NAME) "<x509cert>";

	for (size_t i = 0; i < subject.len; i++) {
		struct sg_keyinfo keyinfo;
		const char *why;
		char *base64, *text;

		subject.data[i] ^= (unsigned char)(1 << i % 8);
		base64 = sg_base64_encode(subject.data, subject.len);
		subject.data[i] ^= (unsigned char)(1 << i % 8);
		text = text_of("%s%s</x509cert>" CLOSE, head, base64);
		assert_int_equal(decode_with_why(text, &keyinfo, &why), SG_ERR_KEYINFO);
		free(text);
		free(base64);
	}
}

static void unknown_elements_are_ignored(void **state)
{
	assert_x509(OPEN "<x/>text" NAME(
	    SUBJECT_NAME) "<name xmlns='urn:x'>n</name><x509cert>%s<y/>"
			  "</x509cert><x509cert xmlns='urn:x'/><signature xmlns='urn:x'/>" CLOSE);
}

/* ---- signatures ---- */

static void every_part_of_a_signature_is_kept(void **state)
{
	struct sg_keyinfo keyinfo;

	accept(OPEN NAME(SUBJECT_NAME) "<x509cert>%s</x509cert>" SIGNATURE(
		   "<issuer jid='Romeo@Montague.example/orchard'> "
		   "428B1358A286430F628DA23FB33DDAF6E474F5C5 "
		   "</issuer>",
		   VALUE) SIGNATURE("<value>\nc2ln bmV0\n</value><x/>", ISSUER)
		   SIGNATURE(ISSUER, "<value method='ROT-13'>c2lnbmV0</value>")
		       SIGNATURE(ISSUER, "<value method=''>c2lnbmV0</value>") CLOSE,
	    &keyinfo);
	assert_int_equal(keyinfo.signature_count, 4);
	assert_string_equal(keyinfo.signatures[0].issuer, ISSUER_NAME);
	assert_string_equal(keyinfo.signatures[0].issuer_jid, "romeo@montague.example");
	assert_string_equal(keyinfo.signatures[0].method, "RSA-SHA1");
	assert_memory_equal(keyinfo.signatures[0].value.data, "signet", 6);
	assert_string_equal(keyinfo.signatures[1].issuer, ISSUER_NAME);
	assert_null(keyinfo.signatures[1].issuer_jid);
	assert_null(keyinfo.signatures[1].method);
	assert_string_equal(keyinfo.signatures[2].method, "ROT-13");
	assert_string_equal(keyinfo.signatures[3].method, "");
	clear(&keyinfo);
}

static void an_ill_formed_signature_is_dropped_alone(void **state)
{
	static const char *const bad[] = {
		"<signature/>",
		SIGNATURE(ISSUER, ""),
		SIGNATURE("", VALUE),
		SIGNATURE(ISSUER ISSUER, VALUE),
		SIGNATURE(ISSUER, VALUE VALUE),
		SIGNATURE("<issuer/>", VALUE),
		SIGNATURE("<issuer>" ISSUER_NAME "0</issuer>", VALUE),
		SIGNATURE("<issuer jid='@'>" ISSUER_NAME "</issuer>", VALUE),
		SIGNATURE("<issuer jid=''>" ISSUER_NAME "</issuer>", VALUE),
		SIGNATURE(ISSUER, "<value method='RSA-SHA1'/>"),
		SIGNATURE(ISSUER, "<value method='RSA-SHA1'>c2l</value>"),
		SIGNATURE(ISSUER,
		    "<value method='RSA-SHA1-RSA-SHA1-RSA-SHA1-RSA-SHA1-RSA-SHA1-RSA-SHA1"
		    "-RSA-SHA1-RSA-SHA1-'>c2lnbmV0</value>"),
		SIGNATURE("<issuer xmlns='urn:x'>" ISSUER_NAME "</issuer>", VALUE),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = text_of(OPEN NAME(SUBJECT_NAME) "<x509cert>%s</x509cert>%s%s%s" CLOSE,
		    subject_base64, bad[i], SIGNATURE(ISSUER, VALUE), bad[i]);
		struct sg_keyinfo keyinfo;

		accept(text, &keyinfo);
		assert_int_equal(keyinfo.signature_count, 1);
		assert_string_equal(keyinfo.signatures[0].issuer, ISSUER_NAME);
		assert_string_equal(keyinfo.signatures[0].method, "RSA-SHA1");
		clear(&keyinfo);
		free(text);
		text = text_of(OPEN NAME(SUBJECT_NAME) "%s" CLOSE, bad[i]);
		accept(text, &keyinfo);
		assert_int_equal(keyinfo.signature_count, 0);
		clear(&keyinfo);
		free(text);
	}
}

static char *with_signatures(size_t count)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, OPEN NAME(OTHER));
	for (size_t i = 0; i < count; i++)
		sg_buf_put_str(&text, SIGNATURE(ISSUER, VALUE));
	sg_buf_put_str(&text, CLOSE);
	return sg_buf_steal(&text, NULL);
}

static void signatures_are_limited(void **state)
{
	char *fits = with_signatures(SG_KEYINFO_SIGNATURES_MAX);
	char *limit = with_signatures(SG_KEYINFO_SIGNATURES_MAX + 1);
	struct sg_keyinfo keyinfo;
	struct sg_xml *element;

	accept(fits, &keyinfo);
	assert_int_equal(keyinfo.signature_count, SG_KEYINFO_SIGNATURES_MAX);
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), 0);
	assert_xml(element, fits);
	keyinfo.signature_count++; /* refused before it is looked at */
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_LIMIT);
	keyinfo.signature_count--;
	clear(&keyinfo);
	refuse(limit, SG_ERR_LIMIT, "more than 10000 signatures");
	free(fits);
	free(limit);
}

static void sizes_are_limited(void **state)
{
	struct sg_blob big = { calloc(1, SG_KEYINFO_DATA_MAX + 1), SG_KEYINFO_DATA_MAX + 1 };
	char *base64 = sg_base64_encode(big.data, big.len), *text;
	struct sg_keyinfo keyinfo;

	text = text_of(OPEN NAME(OTHER) "<x509cert>%s</x509cert>" CLOSE, base64);
	refuse(text, SG_ERR_LIMIT, "key data of more than 256 KiB");
	free(text);
	text = text_of(OPEN NAME(OTHER) "<pgpdata>%s</pgpdata>" CLOSE, base64);
	refuse(text, SG_ERR_LIMIT, "key data of more than 256 KiB");
	free(text);
	free(base64);
	base64 = sg_base64_encode(big.data, big.len - 1);
	text = text_of(OPEN NAME(OTHER) "<pgpdata>%s</pgpdata>" CLOSE, base64);
	/* long enough, and no key */
	refuse(text, SG_ERR_KEYINFO, "OpenPGP packets that are cut or malformed");
	free(text);
	free(base64);

	for (size_t over = 0; over < 2; over++) {
		base64 = sg_base64_encode(big.data, SG_KEYINFO_VALUE_MAX + over);
		text =
		    text_of(OPEN NAME(OTHER) SIGNATURE(ISSUER, "<value>%s</value>") CLOSE, base64);
		accept(text, &keyinfo);
		assert_int_equal(keyinfo.signature_count, 1 - over);
		clear(&keyinfo);
		free(text);
		free(base64);
	}
	sg_blob_clear(&big);
}

/* ---- encoding ---- */

static char *text(const char *constant)
{
	return (char *)(uintptr_t)constant;
}

static void one_form_is_emitted(void **state)
{
	struct sg_signature signatures[] = {
		{ text(ISSUER_NAME), text("romeo@montague.example"), text("RSA-SHA1"),
		    { (unsigned char *)text("signet"), 6 } },
		{ text(ISSUER_NAME), NULL, NULL, { (unsigned char *)text("signet"), 6 } },
	};
	struct sg_keyinfo keyinfo = { text(OTHER), SG_KEYINFO_X509,
		{ (unsigned char *)text("signet"), 6 }, signatures, 2, NULL };
	struct sg_xml *element;

	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), 0);
	assert_xml(element,
	    OPEN NAME(OTHER) "<x509cert>c2lnbmV0</x509cert>" SIGNATURE(
		"<issuer jid='romeo@montague.example'>" ISSUER_NAME "</issuer>", VALUE)
		SIGNATURE(ISSUER, "<value>c2lnbmV0</value>") CLOSE);
	keyinfo.kind = SG_KEYINFO_PGP;
	keyinfo.signature_count = 0;
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), 0);
	assert_xml(element, OPEN NAME(OTHER) "<pgpdata>c2lnbmV0</pgpdata>" CLOSE);
	keyinfo.kind = SG_KEYINFO_REFERENCE;
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), 0);
	assert_xml(element, OPEN NAME(OTHER) CLOSE);
}

static void what_is_no_keyinfo_is_not_emitted(void **state)
{
	struct sg_signature signature = { text(ISSUER_NAME), NULL, NULL,
		{ (unsigned char *)text("signet"), 6 } };
	struct sg_keyinfo keyinfo = { text("ABC"), SG_KEYINFO_REFERENCE, { 0 }, &signature, 1,
		NULL };
	struct sg_xml *element;

	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_KEYINFO);
	assert_null(element);
	keyinfo.name = NULL;
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_KEYINFO);
	keyinfo.name = text(OTHER);
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), 0);
	sg_xml_free(element);
	keyinfo.kind = SG_KEYINFO_X509; /* without data */
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_KEYINFO);
	keyinfo.kind = SG_KEYINFO_REFERENCE;
	signature.issuer = NULL; /* as it comes from the token */
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_KEYINFO);
	signature.issuer = text(ISSUER_NAME);
	signature.method = text("\x01");
	assert_int_equal(sg_keyinfo_encode(&keyinfo, &element), SG_ERR_FORMAT);
	assert_null(element);
}

static void the_element_is_kept_as_it_came(void **state)
{
	struct sg_xml *root = xml_of("<item xmlns='urn:i' xmlns:p='urn:xmpp:tmp:pubkey'><p:keyinfo "
				     "extra='1'><p:name>" OTHER "</p:name><later xmlns='urn:l'/>"
				     "</p:keyinfo></item>");
	struct sg_keyinfo keyinfo;
	const char *why;

	assert_int_equal(sg_keyinfo_decode(sg_xml_first(root), &keyinfo, &why), 0);
	assert_string_equal(keyinfo.xml,
	    "<keyinfo xmlns='urn:xmpp:tmp:pubkey' extra='1'>" NAME(
		OTHER) "<later xmlns='urn:l'/>" CLOSE);
	clear(&keyinfo);
	sg_xml_free(root);
}

static void the_name_is_the_sha1_of_the_certificate(void **state)
{
	char *name = sg_keyinfo_name_x509(&subject);

	assert_string_equal(name, SUBJECT_NAME);
	free(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_documents_example_is_read),
		cmocka_unit_test(both_element_names_are_read),
		cmocka_unit_test(test_k2_openpgp_names_must_be_the_keys),
		cmocka_unit_test(two_keys_are_refused),
		cmocka_unit_test(upper_case_names_are_lowered),
		cmocka_unit_test(names_must_be_the_keys),
		cmocka_unit_test(no_data_is_a_reference),
		cmocka_unit_test(bad_key_data_is_refused),
		cmocka_unit_test(no_flipped_bit_keeps_the_name),
		cmocka_unit_test(unknown_elements_are_ignored),
		cmocka_unit_test(every_part_of_a_signature_is_kept),
		cmocka_unit_test(an_ill_formed_signature_is_dropped_alone),
		cmocka_unit_test(signatures_are_limited),
		cmocka_unit_test(sizes_are_limited),
		cmocka_unit_test(one_form_is_emitted),
		cmocka_unit_test(what_is_no_keyinfo_is_not_emitted),
		cmocka_unit_test(the_element_is_kept_as_it_came),
		cmocka_unit_test(the_name_is_the_sha1_of_the_certificate),
	};

	return cmocka_run_group_tests(tests, read_subject, free_subject);
}
