#include "proto/pep_node.h"

#include "codecs.h"

#include "proto/pep.h"

#define NODE	     "urn:xmpp:tmp:pubkey"
#define OWN	     "juliet@capulet.lit"
#define OWNER(inner) "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>" inner "</pubsub>"
#define FORM(inner)                                                                                \
	OWNER("<configure node='" NODE "'><x xmlns='jabber:x:data' type='form'>" inner             \
	      "</x></configure>")
#define VALUE(var, value) "<field var='pubsub#" var "'><value>" value "</value></field>"
#define OPTION(value)	  "<option label='" value "'><value>" value "</value></option>"
#define LIST(inner)	  OWNER("<affiliations node='" NODE "'>" inner "</affiliations>")
#define HAS(jid, what)	  "<affiliation jid='" jid "' affiliation='" what "'/>"

static int read_config(const char *text, struct sg_msg_pep_node *shown)
{
	struct sg_xml *payload = xml_of(text);
	int err;

	*shown = (struct sg_msg_pep_node){ 0 };
	err = sg_pep_config_decode(payload, NODE, shown);
	sg_xml_free(payload);
	if (err != 0)
		assert_true(!shown->exists && !shown->access_model && !shown->offered);
	return err;
}

static int read_members(const char *text, struct sg_msg_pep_node *shown)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_pep_members_decode(payload, NODE, OWN, shown);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!shown->members && shown->member_count == 0);
	return err;
}

static void the_owner_asks(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_pep_config_ask_encode(NODE, &payload), 0);
	assert_xml(payload, OWNER("<configure node='" NODE "'/>"));
	assert_int_equal(sg_pep_members_ask_encode(NODE, &payload), 0);
	assert_xml(payload, OWNER("<affiliations node='" NODE "'/>"));
	assert_int_equal(sg_pep_delete_encode(NODE, &payload), 0);
	assert_xml(payload, OWNER("<delete node='" NODE "'/>"));
	assert_int_equal(sg_pep_retract_encode(NODE, "a", &payload), 0);
	assert_xml(payload,
	    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><retract node='" NODE
	    "' notify='true'><item id='a'/></retract></pubsub>");
}

static void k9_what_the_server_holds_is_read(void **state)
{
	struct sg_msg_pep_node shown;

	assert_int_equal(
	    read_config(
		FORM(
		    "<title>t</title><field var='FORM_TYPE' type='hidden'><value>f</value>"
		    "</field><field/>" VALUE("max_items", "max") VALUE(
			"persist_items", "true") VALUE("send_last_published_item",
			"never") "<field var='pubsub#access_model' type='list-single'>" OPTION("ope"
											       "n")
			OPTION("whitelist")
			    OPTION("secret") "<option/><value> whitelist\n</value></field>"),
		&shown),
	    0);
	assert_int_equal(shown.exists, 1);
	assert_string_equal(shown.node, NODE);
	assert_string_equal(shown.access_model, "whitelist");
	assert_string_equal(shown.max_items, "max");
	assert_string_equal(shown.send_last, "never");
	assert_int_equal(shown.persist_items, 1);
	assert_int_equal(shown.offered_count, 2);
	assert_string_equal(shown.offered[1], "whitelist");
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	assert_int_equal(read_config(FORM(VALUE("persist_items", "0")), &shown), 0);
	assert_int_equal(shown.exists, 1);
	assert_null(shown.access_model);
	assert_int_equal(shown.persist_items, 0);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
}

static void what_is_no_form_of_this_node_is_refused(void **state)
{
	static const char *const texts[] = {
		"<pubsub xmlns='http://jabber.org/protocol/pubsub'/>",
		OWNER(""),
		OWNER("<configure/>"),
		OWNER("<configure node='other'><x xmlns='jabber:x:data'/></configure>"),
		OWNER("<configure node='" NODE "'/>"),
		OWNER("<configure node='" NODE "'><x/></configure>"),
		OWNER("<configure node='" NODE "'><x xmlns='jabber:x:data'/></configure>"
		      "<configure node='" NODE "'><x xmlns='jabber:x:data'/></configure>"),
		FORM(VALUE("access_model", "open") VALUE("access_model", "whitelist")),
		FORM(VALUE("max_items", "1") VALUE("max_items", "2")),
	};
	struct sg_msg_pep_node shown;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(read_config(texts[i], &shown), SG_ERR_FORMAT);
}

#define GROUPS(values) "<field var='pubsub#roster_groups_allowed'>" values "</field>"
#define GROUP(name)    "<value>" name "</value>"

/* As they stand, sorted; what cannot be read makes the whole form unreadable, for it lets people in. */
static void k9_the_groups_that_may_read_are_read(void **state)
{
	char *longest = many('g', SG_PEP_GROUP_MAX), *longer = many('g', SG_PEP_GROUP_MAX + 1);
	struct sg_msg_pep_node shown;
	struct sg_buf values = { 0 };
	char *text;

	assert_int_equal(read_config(FORM(VALUE("access_model", "roster")), &shown), 0);
	assert_int_equal(shown.groups_told, 0);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	assert_int_equal(read_config(FORM(GROUPS(OPTION("Work") "<value/>")), &shown), 0);
	assert_int_equal(shown.groups_told, 1);
	assert_int_equal(shown.group_count, 0);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	assert_int_equal(read_config(FORM(GROUPS(GROUP("b &amp; c") GROUP(" a "))), &shown), 0);
	assert_int_equal(shown.group_count, 2);
	assert_string_equal(shown.groups[0], " a ");
	assert_string_equal(shown.groups[1], "b & c");
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	assert_int_equal(
	    read_config(FORM(GROUPS(GROUP("a")) GROUPS(GROUP("b"))), &shown), SG_ERR_FORMAT);
	text = text_of(FORM(GROUPS(GROUP("%s"))), longest);
	assert_int_equal(read_config(text, &shown), 0);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	free(text);
	text = text_of(FORM(GROUPS(GROUP("a") GROUP("%s"))), longer);
	assert_int_equal(read_config(text, &shown), SG_ERR_FORMAT);
	free(text);
	for (int i = 0; i < SG_PEP_GROUPS_MAX; i++)
		sg_buf_put_str(&values, GROUP("a"));
	sg_buf_put_u8(&values, 0);
	text = text_of(FORM(GROUPS("%s")), (char *)values.data);
	assert_int_equal(read_config(text, &shown), 0);
	assert_int_equal(shown.group_count, SG_PEP_GROUPS_MAX);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	free(text);
	text = text_of(FORM(GROUPS("%s" GROUP("a"))), (char *)values.data);
	assert_int_equal(read_config(text, &shown), SG_ERR_LIMIT);
	free(text);
	sg_buf_clear(&values);
	free(longest);
	free(longer);
}

static void long_and_many_values_are_not_kept(void **state)
{
	char *big = many('x', 65), *text = text_of(FORM(VALUE("max_items", "%s")), big);
	struct sg_msg_pep_node shown;
	struct sg_buf options = { 0 };

	assert_int_equal(read_config(text, &shown), 0);
	assert_null(shown.max_items);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
	free(text);
	free(big);
	for (int i = 0; i <= SG_PEP_OFFERED_MAX; i++)
		sg_buf_put_str(&options, OPTION("open"));
	sg_buf_put_u8(&options, 0);
	text = text_of(FORM("<field var='pubsub#access_model'>%s</field>"), (char *)options.data);
	assert_int_equal(read_config(text, &shown), SG_ERR_LIMIT);
	free(text);
	sg_buf_clear(&options);
}

static void who_may_read_is_read(void **state)
{
	struct sg_msg_pep_node shown = { 0 };

	assert_int_equal(
	    read_members(
		LIST(HAS(OWN, "owner") HAS("romeo@montague.lit", "member") HAS("abc@x.lit/resource",
		    "publisher") HAS("ROMEO@Montague.lit", "member") HAS("b@x.lit", "outcast")
			HAS("c@x.lit", "none") HAS("d@x.lit", "publish-only") "<x/>"),
		&shown),
	    0);
	assert_int_equal(shown.affiliation_count, 5);
	assert_string_equal(shown.affiliations[0].jid, "abc@x.lit");
	assert_string_equal(shown.affiliations[0].affiliation, "publisher");
	assert_string_equal(shown.affiliations[1].affiliation, "outcast");
	assert_string_equal(shown.affiliations[2].affiliation, "publish-only");
	assert_int_equal(shown.member_count, 2);
	assert_string_equal(shown.members[0], "abc@x.lit");
	assert_string_equal(shown.members[1], "romeo@montague.lit");
	/* One that cannot be read may stand for anybody. */
	assert_int_equal(read_members(LIST(HAS("@", "member")), &shown), SG_ERR_FORMAT);
	assert_int_equal(read_members(LIST("<affiliation jid='a@b'/>"), &shown), SG_ERR_FORMAT);
	assert_int_equal(
	    read_members(LIST("<affiliation affiliation='member'/>"), &shown), SG_ERR_FORMAT);
	assert_int_equal(read_members(OWNER("<affiliations/>"), &shown), SG_ERR_FORMAT);
	assert_int_equal(read_members(LIST(""), &shown), 0);
	assert_int_equal(shown.member_count, 0);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
}

static void members_are_limited(void **state)
{
	struct sg_msg_pep_node shown = { 0 };
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text,
	    "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><affiliations node='" NODE
	    "'>");
	for (int i = 0; i <= SG_PEP_MEMBERS_MAX; i++)
		sg_buf_put_str(&text, HAS("a@b", "member"));
	sg_buf_put_str(&text, "</affiliations></pubsub>");
	sg_buf_put_u8(&text, 0);
	assert_int_equal(read_members((char *)text.data, &shown), SG_ERR_LIMIT);
	sg_buf_clear(&text);
}

static void only_changes_of_members_are_sent(void **state)
{
	char a[] = "a@x.lit", b[] = "b@x.lit", c[] = "c@x.lit", own[] = OWN, bad[] = "c@x.lit/r";
	char member[] = "member", publisher[] = "publisher", outcast[] = "outcast";
	char *now[] = { a, b }, *wanted[] = { b, c }, *wrong[] = { bad }, *self[] = { own };
	struct sg_affiliation held[] = { { a, member }, { b, member } };
	struct sg_msg_pep_node shown = { .affiliations = held, .affiliation_count = 2 };
	struct sg_xml *payload;

	assert_int_equal(sg_pep_members_encode(NODE, OWN, &shown, wanted, 2, &payload), 0);
	assert_xml(payload, LIST(HAS("a@x.lit", "none") HAS("c@x.lit", "member")));
	assert_int_equal(sg_pep_members_encode(NODE, OWN, &shown, now, 2, &payload), 0);
	assert_null(payload);
	assert_int_equal(sg_pep_members_encode(NODE, OWN, &shown, wrong, 1, &payload), SG_ERR_ARG);
	assert_int_equal(sg_pep_members_encode(NODE, OWN, &shown, self, 1, &payload), SG_ERR_ARG);
	assert_int_equal(
	    sg_pep_members_encode(NODE, OWN, &shown, wanted, SG_PEP_MEMBERS_MAX + 1, &payload),
	    SG_ERR_LIMIT);
	assert_null(payload);
	/* Who is to read is not to write; who is shut out stays so. */
	held[0].affiliation = outcast;
	held[1].affiliation = publisher;
	assert_int_equal(sg_pep_members_encode(NODE, OWN, &shown, wanted, 2, &payload), 0);
	assert_xml(payload, LIST(HAS("b@x.lit", "member") HAS("c@x.lit", "member")));
}

#define SUBSCRIBED(inner) OWNER("<subscriptions node='" NODE "'>" inner "</subscriptions>")
#define ONE(jid, what)	  "<subscription jid='" jid "' subscription='" what "'/>"
#define ONE_OF(node, jid) "<subscription node='" node "' jid='" jid "' subscription='subscribed'/>"

static int begins_with_a(void *arg, const char *jid)
{
	return jid[0] == 'a';
}

static int read_subscribers(const char *text, struct sg_msg_pep_node *shown)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_pep_subscribers_decode(payload, NODE, begins_with_a, NULL, shown);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!shown->subscribers && !shown->subscribers_told);
	return err;
}

static void k9_who_is_subscribed_and_may_not_read_is_found(void **state)
{
	struct sg_msg_pep_node shown = { 0 };
	struct sg_xml *payload;

	assert_int_equal(
	    read_subscribers(
		SUBSCRIBED(ONE("a@x.lit", "subscribed") ONE("b@x.lit", "subscribed")
			ONE("c@x.lit", "none") ONE("d@x.lit", "pending")
			    ONE("e@x.lit/r", "unconfigured") ONE_OF(NODE, "f@x.lit") "<x/>"),
		&shown),
	    0);
	assert_int_equal(shown.subscribers_told, 1);
	assert_int_equal(shown.subscriber_count, 3);
	assert_int_equal(sg_pep_unsubscribe_encode(NODE, &shown, &payload), 0);
	assert_xml(payload,
	    SUBSCRIBED(ONE("b@x.lit", "none") ONE("e@x.lit/r", "none") ONE("f@x.lit", "none")));
	/* Servers may say the node of each entry alone. */
	assert_int_equal(
	    read_subscribers(
		OWNER("<subscriptions>" ONE_OF(NODE, "b@x.lit") "</subscriptions>"), &shown),
	    0);
	assert_int_equal(shown.subscriber_count, 1);
	assert_int_equal(read_subscribers(SUBSCRIBED(""), &shown), 0);
	assert_true(shown.subscribers_told && shown.subscriber_count == 0);
	assert_int_equal(
	    read_subscribers(SUBSCRIBED(ONE("@", "subscribed")), &shown), SG_ERR_FORMAT);
	assert_int_equal(read_subscribers(SUBSCRIBED("<subscription/>"), &shown), SG_ERR_FORMAT);
	assert_int_equal(
	    read_subscribers(SUBSCRIBED(ONE_OF("other", "b@x.lit")), &shown), SG_ERR_FORMAT);
	assert_int_equal(read_subscribers(OWNER(""), &shown), SG_ERR_FORMAT);
	assert_int_equal(
	    read_subscribers(OWNER("<subscriptions node='other'/>"), &shown), SG_ERR_FORMAT);
	sg_msg_clear(SG_MSG_PEP_NODE, &shown);
}

static void subscribers_are_limited(void **state)
{
	struct sg_msg_pep_node shown = { 0 };
	struct sg_buf text = { 0 };

	sg_buf_put_str(
	    &text, "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><subscriptions>");
	for (int i = 0; i <= SG_PEP_MEMBERS_MAX; i++)
		sg_buf_put_str(&text, ONE("b@x", "subscribed"));
	sg_buf_put_str(&text, "</subscriptions></pubsub>");
	sg_buf_put_u8(&text, 0);
	assert_int_equal(read_subscribers((char *)text.data, &shown), SG_ERR_LIMIT);
	sg_buf_clear(&text);
}

static void k9_which_access_may_have_let_in_others(void **state)
{
	assert_true(sg_pep_lets_in_others("open", "presence"));
	assert_true(sg_pep_lets_in_others("presence", "whitelist"));
	assert_true(sg_pep_lets_in_others("authorize", "roster"));
	assert_true(sg_pep_lets_in_others(NULL, "presence"));
	assert_true(sg_pep_lets_in_others("else", "presence"));
	assert_false(sg_pep_lets_in_others("presence", "presence"));
	assert_false(sg_pep_lets_in_others("whitelist", "presence"));
	assert_false(sg_pep_lets_in_others("presence", "open"));
}

static void k9_a_node_more_open_than_asked_is_found(void **state)
{
	static const char *const models[] = { "whitelist", "authorize", "roster", "presence",
		"open" };
	char a[] = "a@x.lit", b[] = "b@x.lit", model[16], member[] = "member", owner[] = "owner";
	char outcast[] = "outcast", publishers[] = "publishers", open[] = "open";
	char *one[] = { a };
	struct sg_affiliation held[] = { { a, member }, { b, member } };
	struct sg_msg_pep_node shown = { .exists = 1, .access_model = model, .groups_told = 1 };
	struct sg_msg_pep_configure asked = { .access_model = model };

	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 5; k++) {
			char found[16], wanted[16];

			snprintf(found, sizeof(found), "%s", models[i]);
			snprintf(wanted, sizeof(wanted), "%s", models[k]);
			shown.access_model = found;
			asked.access_model = wanted;
			assert_int_equal(sg_pep_is_more_open(&shown, &asked), i > k);
		}
	}
	/* What the server does not tell may be anything. */
	snprintf(model, sizeof(model), "whitelist");
	asked.access_model = model;
	shown.access_model = NULL;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	shown.exists = 0;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown = (struct sg_msg_pep_node){
		.exists = 1, .access_model = model, .affiliations = held, .affiliation_count = 2
	};
	assert_true(sg_pep_is_more_open(&shown, &asked));
	asked.members = one;
	asked.member_count = 1;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	held[1].affiliation = outcast;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	held[0].affiliation = owner;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	shown.affiliation_count = 0;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown.publish_model = publishers;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown.publish_model = open;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	shown.publish_model = NULL;
	shown.subscribers = one;
	shown.subscriber_count = 1;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	shown.subscriber_count = 0;
	shown.uncertain = 1;
	assert_true(sg_pep_is_more_open(&shown, &asked));
}

static void k9_groups_that_were_not_asked_for_are_more_open(void **state)
{
	char roster[] = "roster", presence[] = "presence", whitelist[] = "whitelist";
	char open[] = "open", a[] = "a", b[] = "b", *held[] = { a, b }, *wanted[] = { b, a };
	struct sg_msg_pep_node shown = { .exists = 1,
		.access_model = roster,
		.groups_told = 1,
		.groups = held,
		.group_count = 2 };
	struct sg_msg_pep_configure asked = {
		.access_model = roster, .groups = wanted, .group_count = 2
	};

	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown.group_count = 1;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown.group_count = 2;
	asked.group_count = 1;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	/* Who is in a group need not see our presence. */
	asked = (struct sg_msg_pep_configure){ .access_model = presence };
	assert_true(sg_pep_is_more_open(&shown, &asked));
	shown.group_count = 0;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	shown.groups_told = 0;
	assert_true(sg_pep_is_more_open(&shown, &asked));
	asked.access_model = open;
	assert_false(sg_pep_is_more_open(&shown, &asked));
	/* They let nobody in by another access model. */
	shown = (struct sg_msg_pep_node){ .exists = 1,
		.access_model = whitelist,
		.groups_told = 1,
		.groups = held,
		.group_count = 2 };
	asked.access_model = whitelist;
	assert_false(sg_pep_is_more_open(&shown, &asked));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_owner_asks),
		cmocka_unit_test(k9_what_the_server_holds_is_read),
		cmocka_unit_test(k9_the_groups_that_may_read_are_read),
		cmocka_unit_test(what_is_no_form_of_this_node_is_refused),
		cmocka_unit_test(long_and_many_values_are_not_kept),
		cmocka_unit_test(who_may_read_is_read),
		cmocka_unit_test(members_are_limited),
		cmocka_unit_test(only_changes_of_members_are_sent),
		cmocka_unit_test(k9_who_is_subscribed_and_may_not_read_is_found),
		cmocka_unit_test(subscribers_are_limited),
		cmocka_unit_test(k9_which_access_may_have_let_in_others),
		cmocka_unit_test(k9_a_node_more_open_than_asked_is_found),
		cmocka_unit_test(k9_groups_that_were_not_asked_for_are_more_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
