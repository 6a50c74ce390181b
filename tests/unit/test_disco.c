#include "proto/disco.h"

#include "codecs.h"

#define QUERY(inner) "<query xmlns='http://jabber.org/protocol/disco#info'>" inner "</query>"

static int decode(const char *text, struct sg_msg_xmpp_feature_set *features)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_disco_result_decode(payload, features);

	sg_xml_free(payload);
	return err;
}

static void a_query_is_emitted(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_disco_info_encode(NULL, &payload), 0);
	assert_xml(payload, "<query xmlns='http://jabber.org/protocol/disco#info'/>");
	assert_int_equal(sg_disco_info_encode("a&b", &payload), 0);
	assert_xml(
	    payload, "<query xmlns='http://jabber.org/protocol/disco#info' node='a&amp;b'/>");
	assert_int_equal(sg_disco_info_encode("\x01", &payload), SG_ERR_FORMAT);
	assert_null(payload);
}

static void a_result_is_emitted(void **state)
{
	static const char *const names[] = { "urn:a", "urn:b" };
	struct sg_xml *payload;

	assert_int_equal(sg_disco_result_encode(NULL, NULL, NULL, names, 2, &payload), 0);
	assert_xml(payload, QUERY("<feature var='urn:a'/><feature var='urn:b'/>"));
	assert_int_equal(
	    sg_disco_result_encode("n", "component", "generic", names, 1, &payload), 0);
	assert_xml(payload,
	    "<query xmlns='http://jabber.org/protocol/disco#info' node='n'>"
	    "<identity category='component' type='generic'/><feature var='urn:a'/></query>");
}

/* C1: what the domain and what the account announces count together. */
static void features_of_several_results_are_one_set(void **state)
{
	struct sg_msg_xmpp_feature_set features = { 0 };

	assert_int_equal(
	    decode(QUERY("<identity category='server' type='im'/><feature var='urn:a'/>"
			 "<feature var='urn:b'/><feature var='urn:a'/>"
			 "<x xmlns='jabber:x:data'/><feature xmlns='urn:x' var='urn:x'/>"),
		&features),
	    0);
	assert_int_equal(
	    decode(QUERY("<feature var='urn:b'/><feature var='urn:c'/>"), &features), 0);
	assert_int_equal(features.feature_count, 3);
	assert_true(sg_disco_has(&features, "urn:a"));
	assert_true(sg_disco_has(&features, "urn:b"));
	assert_true(sg_disco_has(&features, "urn:c"));
	assert_false(sg_disco_has(&features, "urn:x"));
	assert_false(sg_disco_has(&features, "urn"));
	assert_false(sg_disco_has(&features, ""));
	sg_msg_clear(SG_MSG_XMPP_FEATURE_SET, &features);
}

static void malformed_results_are_refused(void **state)
{
	struct sg_msg_xmpp_feature_set features = { 0 };

	assert_int_equal(decode("<query xmlns='urn:x'/>", &features), SG_ERR_FORMAT);
	assert_int_equal(
	    decode("<x xmlns='http://jabber.org/protocol/disco#info'/>", &features), SG_ERR_FORMAT);
	assert_int_equal(decode(QUERY("<feature/>"), &features), SG_ERR_FORMAT);
	assert_int_equal(features.feature_count, 0);
	assert_false(sg_disco_has(&features, "urn:a"));
}

static int decode_many(size_t from, size_t count, struct sg_msg_xmpp_feature_set *features)
{
	struct sg_buf text = { 0 };
	char *string;
	int err;

	sg_buf_put_str(&text, "<query xmlns='http://jabber.org/protocol/disco#info'>");
	for (size_t i = 0; i < count; i++)
		sg_buf_printf(&text, "<feature var='urn:%zu'/>", from + i);
	sg_buf_put_str(&text, "</query>");
	string = sg_buf_steal(&text, NULL);
	err = decode(string, features);
	free(string);
	return err;
}

static void features_are_limited(void **state)
{
	struct sg_msg_xmpp_feature_set features = { 0 };

	assert_int_equal(decode_many(0, SG_DISCO_FEATURES_MAX, &features), 0);
	assert_int_equal(decode_many(0, SG_DISCO_FEATURES_MAX, &features), 0);
	assert_int_equal(features.feature_count, SG_DISCO_FEATURES_MAX);
	assert_int_equal(decode_many(SG_DISCO_FEATURES_MAX, 1, &features), SG_ERR_LIMIT);
	assert_int_equal(features.feature_count, SG_DISCO_FEATURES_MAX);
	sg_msg_clear(SG_MSG_XMPP_FEATURE_SET, &features);
}

/* Computed by hand: SHA-1 of "client/bot//<http://jabber.org/protocol/caps<http://...". */
static void the_verification_string_is_that_of_xep_0115(void **state)
{
	static const char *const features[] = { "http://jabber.org/protocol/caps", SG_NS_DISCO_INFO,
		"urn:xmpp:ping", "urn:xmpp:tmp:pubkey+notify" };
	char *ver = sg_disco_ver("client", "bot", features, 4);

	assert_string_equal(ver, "FlWA271BYCtMD9anH7UCGmCvIxw=");
	free(ver);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_query_is_emitted),
		cmocka_unit_test(a_result_is_emitted),
		cmocka_unit_test(features_of_several_results_are_one_set),
		cmocka_unit_test(malformed_results_are_refused),
		cmocka_unit_test(features_are_limited),
		cmocka_unit_test(the_verification_string_is_that_of_xep_0115),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
