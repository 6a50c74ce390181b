#include "proto/saslcert.h"

#include "codecs.h"
#include "proto/ccm2.h"
#include "proto/cert_protocol.h"

#define ITEMS(inner) "<items xmlns='urn:xmpp:saslcert:1'>" inner "</items>"
#define CERT(base64) "<x509cert>" base64 "</x509cert>"
#define ITEM(inner)  "<item>" inner CERT("c2lnbmV0") "</item>"

static char signet[] = "signet";

static struct sg_blob blob_signet(void)
{
	return (struct sg_blob){ (unsigned char *)signet, 6 }; /* c2lnbmV0 */
}

static int items_decode(const char *text, struct sg_msg_ccm2_certs *certs)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_saslcert_items_decode(payload, certs);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!certs->certs && certs->cert_count == 0);
	return err;
}

/* ---- append ---- */

static void append_is_emitted_without_line_breaks(void **state)
{
	struct sg_blob der = { calloc(1, 600), 600 };
	char *base64 = many('A', 800);
	char *text = text_of("<append xmlns='urn:xmpp:saslcert:1'><name>Mobile &lt;Client&gt;"
			     "</name>" CERT("%s") "</append>",
	    base64);
	struct sg_xml *payload;

	assert_int_equal(sg_saslcert_append_encode("Mobile <Client>", &der, &payload), 0);
	assert_xml(payload, text);
	sg_blob_clear(&der);
	free(base64);
	free(text);
}

static void what_is_appended_is_limited(void **state)
{
	struct sg_blob der = { calloc(1, SG_CCM2_DER_MAX + 1), SG_CCM2_DER_MAX };
	char *name = many('n', SG_CCM2_NAME_MAX + 1);
	struct sg_blob small = blob_signet(), none = { NULL, 0 };
	struct sg_xml *payload;

	assert_int_equal(sg_saslcert_append_encode(name, &small, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	name[SG_CCM2_NAME_MAX] = '\0';
	assert_int_equal(sg_saslcert_append_encode(name, &der, &payload), 0);
	sg_xml_free(payload);
	der.len++;
	assert_int_equal(sg_saslcert_append_encode(name, &der, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	assert_int_equal(sg_saslcert_append_encode("n", &none, &payload), SG_ERR_FORMAT);
	assert_int_equal(sg_saslcert_append_encode("\1", &small, &payload), SG_ERR_FORMAT);
	sg_blob_clear(&der);
	free(name);
}

/* ---- items ---- */

static void the_items_are_asked_for(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_saslcert_items_request_encode(&payload), 0);
	assert_xml(payload, "<items xmlns='urn:xmpp:saslcert:1'/>");
}

static void the_documents_items_are_read(void **state)
{
	struct sg_blob expected = blob_signet();
	struct sg_msg_ccm2_certs certs;

	assert_int_equal(
	    items_decode(ITEMS("<item id='428b'><name>Mobile Client</name>" CERT(
			     "\n c2ln\n bmV0 ") "<users><resource>Phone</resource></users>"
						"</item><x/>" ITEM("<name/>")),
		&certs),
	    0);
	assert_int_equal(certs.cert_count, 2);
	assert_string_equal(certs.certs[0].name, "Mobile Client");
	assert_true(sg_blob_eq(&certs.certs[0].der, &expected));
	assert_int_equal(certs.certs[0].user_count, 1);
	assert_string_equal(certs.certs[0].users[0], "Phone");
	assert_string_equal(certs.certs[1].name, "");
	assert_int_equal(certs.unread, 0);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);

	assert_int_equal(items_decode(ITEMS(""), &certs), 0);
	assert_int_equal(certs.cert_count, 0);
}

/* What other clients put there must not hide the rest. */
static void items_that_cannot_be_read_are_left_out(void **state)
{
	char *long_name = many('n', SG_SASLCERT_NAME_MAX + 1);
	char *long_resource = many('r', SG_CCM2_RESOURCE_MAX + 1);
	char *text = text_of(
	    ITEMS(ITEM("") ITEM("<name>a</name>") ITEM(
		"<name>b</name><name>b</name>") "<item><name>c</name></item>"
						"<item><name>d</name>" CERT("*") "</item>" ITEM(
						    "<name>%s</name>")
						    ITEM("<name>e</name><users><resource>%s</"
							 "resource></users>")
							ITEM("<name>f</name>")),
	    long_name, long_resource);
	struct sg_msg_ccm2_certs certs;

	assert_int_equal(items_decode(text, &certs), 0);
	assert_int_equal(certs.cert_count, 2);
	assert_int_equal(certs.unread, 6);
	assert_string_equal(certs.certs[0].name, "a");
	assert_string_equal(certs.certs[1].name, "f");
	assert_int_equal(certs.certs[1].user_count, 0);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	free(text);
	free(long_name);
	free(long_resource);
}

static void other_answers_are_refused(void **state)
{
	static const char *const texts[] = {
		"<items xmlns='urn:xmpp:saslcert:0'/>",
		"<item xmlns='urn:xmpp:saslcert:1'/>",
		"<list-of-certificates xmlns='urn:xmpp:ccm2:list-certs:0'/>",
	};
	struct sg_msg_ccm2_certs certs;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(items_decode(texts[i], &certs), SG_ERR_FORMAT);
}

static void items_are_limited(void **state)
{
	static const char item[] = ITEM("<name>n</name>");
	struct sg_buf text = { 0 };
	struct sg_msg_ccm2_certs certs;
	struct sg_xml *payload;

	sg_buf_put(&text, "<items xmlns='urn:xmpp:saslcert:1'>", 35);
	for (int i = 0; i < SG_CCM2_LIST_MAX; i++)
		sg_buf_put(&text, item, strlen(item));
	sg_buf_put(&text, "</items>", 8);
	assert_int_equal(sg_xml_parse((const char *)text.data, text.len, &payload), 0);
	assert_int_equal(sg_saslcert_items_decode(payload, &certs), 0);
	assert_int_equal(certs.cert_count, SG_CCM2_LIST_MAX);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	assert_int_equal(sg_xml_add(payload, sg_xml_new("item", NULL)), 0);
	assert_int_equal(sg_saslcert_items_decode(payload, &certs), SG_ERR_LIMIT);
	assert_null(certs.certs);
	sg_xml_free(payload);
	sg_buf_clear(&text);
}

/* ---- disable, revoke ---- */

static void both_ways_to_end_are_emitted(void **state)
{
	char *name = many('n', SG_SASLCERT_NAME_MAX + 1);
	struct sg_xml *payload;

	assert_int_equal(sg_saslcert_revoke_encode("a & b", 0, &payload), 0);
	assert_xml(payload, "<revoke xmlns='urn:xmpp:saslcert:1'><name>a &amp; b</name></revoke>");
	assert_int_equal(sg_saslcert_revoke_encode("a", 1, &payload), 0);
	assert_xml(payload, "<disable xmlns='urn:xmpp:saslcert:1'><name>a</name></disable>");
	assert_int_equal(sg_saslcert_revoke_encode(name, 0, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	free(name);
}

/* ---- names ---- */

static void a_name_is_free_or_gets_a_number(void **state)
{
	char a[] = "pc", b[] = "pc 2", c[] = "pc 4";
	struct sg_ccm2_cert list[] = { { .name = b }, { .name = a }, { .name = c } };
	const struct sg_msg_ccm2_certs certs = { .certs = list, .cert_count = 3 };
	unsigned number = 1;
	char *name;

	assert_int_equal(sg_saslcert_free_name("phone", &certs, &number, &name), 0);
	assert_string_equal(name, "phone");
	assert_int_equal(number, 1);
	free(name);
	assert_int_equal(sg_saslcert_free_name("pc", &certs, &number, &name), 0);
	assert_string_equal(name, "pc 3");
	assert_int_equal(number, 3);
	free(name);
	number = 1;
	assert_int_equal(sg_saslcert_free_name("pc 4", &certs, &number, &name), 0);
	assert_string_equal(name, "pc 5");
	assert_int_equal(number, 2);
	free(name);
	number = 4;
	assert_int_equal(sg_saslcert_free_name("pc", &certs, &number, &name), 0);
	assert_string_equal(name, "pc 5");
	free(name);
}

/* A renewed one would else become "pc 2 2", and so on. */
static void what_is_no_number_is_no_number(void **state)
{
	static const struct {
		const char *text, *next;
	} names[] = {
		{ "pc 2", "pc 3" },
		{ "a b 9", "a b 10" },
		{ "pc 999999", "pc 1000000" },
		{ "pc 1000000", "pc 1000000 2" },
		{ "pc 1", "pc 1 2" },
		{ "pc 02", "pc 02 2" },
		{ "pc 0", "pc 0 2" },
		{ "pc 2x", "pc 2x 2" },
		{ "pc ", "pc  2" },
		{ "2", "2 2" },
		{ " 2", " 3" },
		{ "", " 2" },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct sg_ccm2_cert list[] = { { .name = (char *)(uintptr_t)names[i].text } };
		const struct sg_msg_ccm2_certs certs = { .certs = list, .cert_count = 1 };
		unsigned number = 1;
		char *name;

		assert_int_equal(sg_saslcert_free_name(names[i].text, &certs, &number, &name), 0);
		assert_string_equal(name, names[i].next);
		free(name);
	}
}

/* Somebody else may have given one that is longer: it is cut, but no character is, and the number is not. */
static void a_name_with_its_number_is_limited(void **state)
{
	char *text = many('n', SG_CCM2_NAME_MAX), *long_text = many('m', SG_CCM2_NAME_MAX + 9);
	struct sg_ccm2_cert list[] = { { .name = text } };
	const struct sg_msg_ccm2_certs certs = { .certs = list, .cert_count = 1 };
	unsigned number = 1;
	char *name;

	assert_int_equal(sg_saslcert_free_name(text, &certs, &number, &name), 0);
	assert_int_equal(strlen(name), SG_CCM2_NAME_MAX);
	assert_string_equal(name + SG_CCM2_NAME_MAX - 3, "n 2");
	free(name);
	number = 1;
	memcpy(long_text + SG_CCM2_NAME_MAX - 1, "\xc3\xa4", 2);
	assert_int_equal(sg_saslcert_free_name(long_text, &certs, &number, &name), 0);
	assert_int_equal(strlen(name), SG_CCM2_NAME_MAX - 1);
	assert_memory_equal(name, long_text, SG_CCM2_NAME_MAX - 1);
	free(name);
	free(long_text);
	free(text);
}

/* ---- which protocol ---- */

static uint32_t protocol_of(const char *one, const char *other)
{
	char *features[] = { (char *)(uintptr_t)one, (char *)(uintptr_t)other };
	const struct sg_msg_xmpp_feature_set set = { features, other != NULL ? 2 : 1 };

	return sg_cert_protocol_of(&set);
}

static int can(const char *one, const char *other, const char *feature)
{
	char *features[] = { (char *)(uintptr_t)one, (char *)(uintptr_t)other };
	const struct sg_msg_xmpp_feature_set set = { features, 2 };

	return sg_cert_protocol_can(&set, feature);
}

static void xep_0257_does_all_of_ccm2_where_there_is_none(void **state)
{
	static const char *const all[] = { SG_NS_CCM2_ADD, SG_NS_CCM2_LIST, SG_NS_CCM2_REVOKE };

	for (size_t i = 0; i < 3; i++) {
		assert_true(can("urn:xmpp:ping", SG_NS_SASLCERT, all[i]));
		assert_false(can("urn:xmpp:ping", "urn:xmpp:saslcert:0", all[i]));
		assert_true(can(SG_NS_SASLCERT, all[i], all[i]));
		assert_false(can(SG_NS_SASLCERT, all[i], all[(i + 1) % 3]));
	}
	assert_true(can("urn:xmpp:ping", SG_NS_SASLCERT, "urn:xmpp:ping"));
	assert_false(can(SG_NS_SASLCERT, SG_NS_SASLCERT, "urn:xmpp:ping"));
}

static void ccm2_goes_before_xep_0257(void **state)
{
	assert_int_equal(protocol_of("urn:xmpp:ping", NULL), SG_CERT_PROTOCOL_UNKNOWN);
	assert_int_equal(protocol_of("urn:xmpp:saslcert:0", NULL), SG_CERT_PROTOCOL_UNKNOWN);
	assert_int_equal(protocol_of("urn:xmpp:ping", SG_NS_SASLCERT), SG_CERT_PROTOCOL_SASLCERT);
	assert_int_equal(protocol_of(SG_NS_SASLCERT, SG_NS_CCM2_ADD), SG_CERT_PROTOCOL_CCM2);
	assert_int_equal(protocol_of(SG_NS_SASLCERT, SG_NS_CCM2_LIST), SG_CERT_PROTOCOL_CCM2);
	assert_int_equal(protocol_of(SG_NS_CCM2_REVOKE, SG_NS_SASLCERT), SG_CERT_PROTOCOL_CCM2);
	assert_string_equal(sg_cert_protocol_name(SG_CERT_PROTOCOL_CCM2), "ccm2");
	assert_string_equal(sg_cert_protocol_name(SG_CERT_PROTOCOL_SASLCERT), "saslcert");
	assert_null(sg_cert_protocol_name(SG_CERT_PROTOCOL_UNKNOWN));
	assert_null(sg_cert_protocol_name(7));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(append_is_emitted_without_line_breaks),
		cmocka_unit_test(what_is_appended_is_limited),
		cmocka_unit_test(the_items_are_asked_for),
		cmocka_unit_test(the_documents_items_are_read),
		cmocka_unit_test(items_that_cannot_be_read_are_left_out),
		cmocka_unit_test(other_answers_are_refused),
		cmocka_unit_test(items_are_limited),
		cmocka_unit_test(both_ways_to_end_are_emitted),
		cmocka_unit_test(a_name_is_free_or_gets_a_number),
		cmocka_unit_test(what_is_no_number_is_no_number),
		cmocka_unit_test(a_name_with_its_number_is_limited),
		cmocka_unit_test(ccm2_goes_before_xep_0257),
		cmocka_unit_test(xep_0257_does_all_of_ccm2_where_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
