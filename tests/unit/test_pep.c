#include "proto/pep.h"

#include "codecs.h"

#include "proto/keyinfo.h"

#define NODE	      "urn:xmpp:tmp:pubkey"
#define PUBSUB(inner) "<pubsub xmlns='http://jabber.org/protocol/pubsub'>" inner "</pubsub>"
#define ITEMS(inner)  PUBSUB("<items node='" NODE "'>" inner "</items>")
#define FORM(type, access, more)                                                                   \
	"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"             \
	"<value>http://jabber.org/protocol/pubsub#" type "</value></field>"                        \
	"<field var='pubsub#access_model'><value>" access "</value></field>"                       \
	"<field var='pubsub#persist_items'><value>1</value></field>" more "</x>"
#define CONFIG_MORE                                                                                \
	"<field var='pubsub#send_last_published_item'><value>never</value></field>"                \
	"<field var='pubsub#max_items'><value>max</value></field>"                                 \
	"<field var='pubsub#publish_model'><value>publishers</value></field>"
#define CONFIG(access) FORM("node_config", access, CONFIG_MORE)

#define A40		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40		"bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define KEYINFO(name)	"<keyinfo xmlns='" NODE "'><name>" name "</name></keyinfo>"
#define ITEM(id, inner) "<item id='" id "'>" inner "</item>"

static void the_node_is_created_with_its_configuration(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_pep_create_encode(NODE, "presence", NULL, 0, &payload), 0);
	assert_xml(payload,
	    PUBSUB("<create node='" NODE "'/><configure>" CONFIG("presence") "</configure>"));
}

static void an_existing_node_is_configured(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_pep_configure_encode(NODE, "whitelist", NULL, 0, &payload), 0);
	assert_xml(payload,
	    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='" NODE
	    "'>" CONFIG("whitelist") "</configure></pubsub>");
}

/* With access roster alone; and no longer than servers take. */
static void k9_the_groups_that_may_read_are_said(void **state)
{
	char a[] = "A & B", c[] = " c", *groups[] = { a, c }, *many[64];
	char text[SG_PEP_CONFIG_MAX / 64 + 1];
	struct sg_xml *payload;

	assert_int_equal(sg_pep_configure_encode(NODE, "roster", groups, 2, &payload), 0);
	assert_xml(payload,
	    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='" NODE
	    "'>" FORM("node_config", "roster",
		CONFIG_MORE "<field var='pubsub#roster_groups_allowed'><value>A &amp; B</value>"
			    "<value> c</value></field>") "</configure></pubsub>");
	assert_int_equal(sg_pep_create_encode(NODE, "presence", groups, 2, &payload), 0);
	assert_xml(payload,
	    PUBSUB("<create node='" NODE "'/><configure>" CONFIG("presence") "</configure>"));
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	for (size_t i = 0; i < 64; i++)
		many[i] = text;
	assert_int_equal(sg_pep_create_encode(NODE, "roster", many, 60, &payload), 0);
	sg_xml_free(payload);
	assert_int_equal(sg_pep_create_encode(NODE, "roster", many, 64, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	assert_int_equal(sg_pep_configure_encode(NODE, "roster", many, 64, &payload), SG_ERR_LIMIT);
	assert_null(payload);
}

static void an_item_is_published_under_guard(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(
	    sg_pep_publish_encode(NODE, A40, "presence", xml_of(KEYINFO(A40)), &payload), 0);
	assert_xml(payload,
	    PUBSUB("<publish node='" NODE
		   "'>" ITEM(A40, KEYINFO(A40)) "</publish><publish-options>" FORM(
		       "publish-options", "presence", "") "</publish-options>"));
}

/* Exactly as long as it may be, and a byte longer. */
static void test_k9_a_published_item_is_limited(void **state)
{
	struct sg_xml *payload, *item = xml_of("<a/>");
	char *text = calloc(SG_PEP_PUBLISH_MAX + 1, 1), *whole;

	assert_non_null(text);
	assert_int_equal(sg_xml_add_text(item, "x", 1), 0);
	assert_int_equal(sg_pep_publish_encode(NODE, A40, "open", item, &payload), 0);
	whole = sg_xml_to_string(payload);
	sg_xml_free(payload);
	memset(text, 'x', SG_PEP_PUBLISH_MAX - strlen(whole) + 1);
	free(whole);
	item = xml_of("<a/>");
	assert_int_equal(sg_xml_add_text(item, text, strlen(text)), 0);
	assert_int_equal(sg_pep_publish_encode(NODE, A40, "open", item, &payload), 0);
	sg_xml_free(payload);
	item = xml_of("<a/>");
	text[strlen(text)] = 'x';
	assert_int_equal(sg_xml_add_text(item, text, strlen(text)), 0);
	assert_int_equal(sg_pep_publish_encode(NODE, A40, "open", item, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	free(text);
}

static void an_unknown_access_model_is_refused(void **state)
{
	static const char *const good[] = { "open", "presence", "roster", "authorize",
		"whitelist" };
	static const char *const bad[] = { "", "Open", "public", "presence " };
	struct sg_xml *payload;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(sg_pep_configure_encode(NODE, good[i], NULL, 0, &payload), 0);
		sg_xml_free(payload);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(sg_pep_create_encode(NODE, bad[i], NULL, 0, &payload), SG_ERR_ARG);
		assert_int_equal(
		    sg_pep_configure_encode(NODE, bad[i], NULL, 0, &payload), SG_ERR_ARG);
		assert_int_equal(
		    sg_pep_publish_encode(NODE, A40, bad[i], xml_of("<a/>"), &payload), SG_ERR_ARG);
		assert_null(payload);
	}
	assert_int_equal(
	    sg_pep_publish_encode(NODE, "\x01", "open", xml_of("<a/>"), &payload), SG_ERR_FORMAT);
	assert_null(payload);
}

static void items_are_asked_for(void **state)
{
	char a[] = A40, digits[] = "0123456789012345678901234567890123456789";
	char *names[] = { a, digits };
	struct sg_xml *payload;

	assert_int_equal(sg_pep_items_encode(NODE, NULL, 0, &payload), 0);
	assert_xml(payload, PUBSUB("<items node='" NODE "'/>"));
	assert_int_equal(sg_pep_items_encode(NODE, names, 2, &payload), 0);
	assert_xml(payload,
	    ITEMS("<item id='" A40 "'/><item id='AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'/>"
		  "<item id='0123456789012345678901234567890123456789'/>"));
	assert_int_equal(
	    sg_pep_items_encode(NODE, names, SG_PEP_ITEMS_MAX + 1, &payload), SG_ERR_LIMIT);
	assert_null(payload);
}

static int decode(const char *text, struct sg_msg_keyinfos *keyinfos)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_pep_items_decode(payload, NODE, keyinfos);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!keyinfos->keyinfos && keyinfos->keyinfo_count == 0);
	return err;
}

static void items_are_read(void **state)
{
	struct sg_msg_keyinfos keyinfos;

	assert_int_equal(
	    decode(
		ITEMS(ITEM(A40, KEYINFO(A40)) "<x/>" ITEM(B40, " " KEYINFO(B40) " ")), &keyinfos),
	    0);
	assert_int_equal(keyinfos.keyinfo_count, 2);
	assert_int_equal(keyinfos.refused, 0);
	assert_string_equal(keyinfos.keyinfos[0].name, A40);
	assert_string_equal(keyinfos.keyinfos[1].name, B40);
	assert_string_equal(keyinfos.keyinfos[1].xml, KEYINFO(B40));
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	/* the name is lowered, and the id with it */
	assert_int_equal(decode(ITEMS(ITEM("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
				    KEYINFO("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"))),
			     &keyinfos),
	    0);
	assert_int_equal(keyinfos.keyinfo_count, 1);
	assert_string_equal(keyinfos.keyinfos[0].name, A40);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
}

static void no_items_is_an_empty_result(void **state)
{
	struct sg_msg_keyinfos keyinfos;

	assert_int_equal(decode(ITEMS(""), &keyinfos), 0);
	assert_int_equal(keyinfos.keyinfo_count, 0);
	assert_int_equal(keyinfos.refused, 0);
}

static void a_bad_item_is_counted_and_the_rest_kept(void **state)
{
	static const char *const bad[] = {
		ITEM(A40, ""),
		ITEM(A40, "text"),
		ITEM(B40, KEYINFO(A40)),
		ITEM("current", KEYINFO(A40)),
		"<item>" KEYINFO(A40) "</item>",
		ITEM(A40, KEYINFO(A40) KEYINFO(A40)),
		ITEM(A40, KEYINFO("x")),
		ITEM(A40, "<keyinfo xmlns='urn:x'><name>" A40 "</name></keyinfo>"),
		ITEM(A40,
		    "<keyinfo xmlns='" NODE "'><name>" A40 "</name><x509cert>c2lnbmV0"
		    "</x509cert></keyinfo>"),
		ITEM(A40,
		    "<keyinfo xmlns='" NODE "'><name>" A40 "</name><x509cert>*"
		    "</x509cert></keyinfo>"),
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char *text = text_of(ITEMS("%s%s%s"), bad[i], ITEM(B40, KEYINFO(B40)), bad[i]);
		struct sg_msg_keyinfos keyinfos;

		assert_int_equal(decode(text, &keyinfos), 0);
		assert_int_equal(keyinfos.keyinfo_count, 1);
		assert_int_equal(keyinfos.refused, 2);
		assert_string_equal(keyinfos.keyinfos[0].name, B40);
		sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
		free(text);
	}
}

static void what_is_no_result_of_this_node_is_refused(void **state)
{
	static const char *const texts[] = {
		PUBSUB("<items node='" NODE "'/><items node='" NODE "'/>"),
		"<pubsub xmlns='urn:x'/>",
		PUBSUB(""),
		PUBSUB("<items/>"),
		PUBSUB("<items node='urn:other'/>"),
		PUBSUB("<items xmlns='urn:x' node='" NODE "'/>"),
		"<items xmlns='http://jabber.org/protocol/pubsub' node='" NODE "'/>",
	};
	struct sg_msg_keyinfos keyinfos;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(decode(texts[i], &keyinfos), SG_ERR_FORMAT);
}

static int decode_many(size_t count, struct sg_msg_keyinfos *keyinfos)
{
	struct sg_buf text = { 0 };
	char *string;
	int err;

	sg_buf_put_str(
	    &text, "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='" NODE "'>");
	for (size_t i = 0; i < count; i++)
		sg_buf_put_str(&text, ITEM(A40, KEYINFO(A40)));
	sg_buf_put_str(&text, "</items></pubsub>");
	string = sg_buf_steal(&text, NULL);
	err = decode(string, keyinfos);
	free(string);
	return err;
}

static void items_are_limited(void **state)
{
	struct sg_msg_keyinfos keyinfos;

	assert_int_equal(decode_many(SG_PEP_ITEMS_MAX, &keyinfos), 0);
	assert_int_equal(keyinfos.keyinfo_count, SG_PEP_ITEMS_MAX);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	assert_int_equal(decode_many(SG_PEP_ITEMS_MAX + 1, &keyinfos), SG_ERR_LIMIT);
}

/* ---- events ---- */

#define EVENT(inner) "<event xmlns='http://jabber.org/protocol/pubsub#event'>" inner "</event>"
#define NEWS(inner)  EVENT("<items node='" NODE "'>" inner "</items>")

static int decode_event(const char *text, struct sg_msg_keys_seen *seen)
{
	struct sg_xml *event = xml_of(text);
	int err = sg_pep_event_decode(event, NODE, seen);

	sg_xml_free(event);
	if (err != 0)
		assert_true(!seen->keyinfos && !seen->retracted && seen->refused == 0);
	return err;
}

static void k11_events_are_read(void **state)
{
	struct sg_msg_keys_seen seen;

	assert_int_equal(
	    decode_event(
		NEWS(ITEM(A40, KEYINFO(A40)) ITEM(
		    A40, KEYINFO(B40)) "<retract id='BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB'/>"
				       "<retract id='x'/><retract/>"),
		&seen),
	    0);
	assert_int_equal(seen.source, SG_SEEN_EVENT);
	assert_null(seen.from);
	assert_int_equal(seen.keyinfo_count, 1);
	assert_string_equal(seen.keyinfos[0].name, A40);
	assert_int_equal(seen.refused, 2);
	assert_int_equal(seen.retracted_count, 1);
	assert_string_equal(seen.retracted[0], B40);
	sg_msg_clear(SG_MSG_KEYS_SEEN, &seen);
	assert_int_equal(decode_event(EVENT("<purge node='" NODE "'/>"), &seen), 0);
	assert_int_equal(seen.keyinfo_count + seen.retracted_count + seen.refused, 0);
	assert_int_equal(decode_event(EVENT("<delete node='" NODE "'/>"), &seen), 0);
}

static void what_is_no_event_of_this_node_is_refused(void **state)
{
	static const char *const texts[] = {
		"<event/>",
		EVENT(""),
		EVENT("<items/>"),
		EVENT("<items node='other'/>"),
		EVENT("<configuration node='" NODE "'/>"),
		EVENT("<items xmlns='urn:x' node='" NODE "'/>"),
		EVENT("<items node='" NODE "'/><items node='" NODE "'/>"),
		ITEMS(""),
	};
	struct sg_msg_keys_seen seen;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(decode_event(texts[i], &seen), SG_ERR_FORMAT);
}

static void events_are_limited(void **state)
{
	static const char *const kinds[] = { "<item/>", "<retract id='" A40 "'/>" };
	struct sg_msg_keys_seen seen;

	for (size_t k = 0; k < 2; k++) {
		struct sg_buf text = { 0 };

		sg_buf_put_str(&text,
		    "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='" NODE
		    "'>");
		for (int i = 0; i <= SG_PEP_ITEMS_MAX; i++)
			sg_buf_put_str(&text, kinds[k]);
		sg_buf_put_str(&text, "</items></event>");
		sg_buf_put_u8(&text, 0);
		assert_int_equal(decode_event((char *)text.data, &seen), SG_ERR_LIMIT);
		sg_buf_clear(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_node_is_created_with_its_configuration),
		cmocka_unit_test(an_existing_node_is_configured),
		cmocka_unit_test(k9_the_groups_that_may_read_are_said),
		cmocka_unit_test(an_item_is_published_under_guard),
		cmocka_unit_test(test_k9_a_published_item_is_limited),
		cmocka_unit_test(an_unknown_access_model_is_refused),
		cmocka_unit_test(items_are_asked_for),
		cmocka_unit_test(items_are_read),
		cmocka_unit_test(no_items_is_an_empty_result),
		cmocka_unit_test(a_bad_item_is_counted_and_the_rest_kept),
		cmocka_unit_test(what_is_no_result_of_this_node_is_refused),
		cmocka_unit_test(items_are_limited),
		cmocka_unit_test(k11_events_are_read),
		cmocka_unit_test(what_is_no_event_of_this_node_is_refused),
		cmocka_unit_test(events_are_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
