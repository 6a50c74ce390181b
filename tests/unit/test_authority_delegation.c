#include "authority/delegation.h"

#include "capture.h"
#include "codecs.h"

#define NS "urn:xmpp:ccm2:list-certs:0"

static char *const domains[] = { (char[]){ "xmpp.test" }, (char[]){ "other.test" }, NULL };
static const char *const namespaces[] = { NS, "urn:xmpp:ccm2:add-cert:0", NULL };

struct seen {
	int calls;
	char account[64];
	int set;
	int refuse;
	int later;  /* the answer is put off */
	int is_cut; /* the stanza was too large, and this is left of it */
};

static void give(struct seen *seen, struct sg_answer *answer)
{
	answer->later = 0;
	answer->payload = sg_xml_new("told", NS);
	if (seen->refuse)
		sg_answer_error(answer, "wait", "resource-constraint", "No <more> now.");
}

static void on_request(
    void *arg, const char *account, int set, const struct sg_xml *payload, struct sg_answer *answer)
{
	struct seen *seen = arg;

	seen->calls++;
	snprintf(seen->account, sizeof(seen->account), "%s", account);
	seen->set = set;
	assert_true(sg_xml_is(payload, "ask", NS));
	if (seen->later)
		answer->later = 1;
	else
		give(seen, answer);
}

/* Gives the reply as text, or NULL; to be freed. */
static char *answer(struct seen *seen, const char *text)
{
	struct sg_delegation delegation = {
		.jid = "ccm.xmpp.test",
		.domains = domains,
		.namespaces = namespaces,
		.fn = on_request,
		.arg = seen,
	};
	struct sg_xml *iq = xml_of(text), *reply;
	struct sg_answer own = { 0 };
	struct capture capture;
	char *out;
	int err;

	capture_begin(&capture);
	err = sg_delegation_answer(&delegation, iq, !seen->is_cut, &own, &reply);
	if (own.later) {
		assert_int_equal(err, 1);
		assert_null(reply);
		give(seen, &own);
		err = sg_delegation_finish(&delegation, iq, &own, &reply);
	}
	capture_end(&capture);
	assert_int_equal(err, 0);
	sg_xml_free(iq);
	if (reply == NULL)
		return NULL;
	out = sg_xml_to_string(reply);
	sg_xml_free(reply);
	return out;
}

static void assert_answer(struct seen *seen, char *request, const char *expected)
{
	char *reply = answer(seen, request);

	assert_non_null(reply);
	assert_string_equal(reply, expected);
	free(reply);
	free(request);
}

#define OUTER_FROM(from)                                                                           \
	"<iq xmlns='jabber:component:accept' type='set' id='o' from='" from                        \
	"' to='ccm.xmpp.test'><delegation xmlns='urn:xmpp:delegation:%d'><forwarded "              \
	"xmlns='urn:xmpp:forward:0'>%s</forwarded></delegation></iq>"
#define OUTER OUTER_FROM("xmpp.test")
#define INNER(attributes)                                                                          \
	"<iq xmlns='jabber:client' id='i' type='get' " attributes "><ask xmlns='" NS "'/></iq>"
#define REPLY(version, inner)                                                                      \
	"<iq type='result' id='o' to='xmpp.test' from='ccm.xmpp.test'><delegation "                \
	"xmlns='urn:xmpp:delegation:" version "'><forwarded xmlns='urn:xmpp:forward:0'>" inner     \
	"</forwarded></delegation></iq>"
#define JULIET "from='juliet@xmpp.test/balcony'"
#define FORBIDDEN(addresses)                                                                       \
	"<iq xmlns='jabber:client' type='error' id='i' " addresses                                 \
	"><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "       \
	"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Only an account&apos;s own "    \
	"certificates can be managed.</text></error></iq>"

static void what_is_for_us(void **state)
{
	struct seen seen = { 0 };

	assert_answer(&seen, text_of(OUTER, 2, INNER(JULIET)),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='result' id='i' to='juliet@xmpp.test/balcony'>"
		"<told xmlns='" NS "'/></iq>"));
	assert_string_equal(seen.account, "juliet@xmpp.test");
	assert_int_equal(seen.set, 0);
	assert_answer(&seen, text_of(OUTER, 1, INNER(JULIET " to='juliet@xmpp.test'")),
	    REPLY("1",
		"<iq xmlns='jabber:client' type='result' id='i' to='juliet@xmpp.test/balcony' "
		"from='juliet@xmpp.test'><told xmlns='" NS "'/></iq>"));
	assert_answer(&seen, text_of(OUTER, 2, INNER(JULIET " to='xmpp.test'")),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='result' id='i' to='juliet@xmpp.test/balcony' "
		"from='xmpp.test'><told xmlns='" NS "'/></iq>"));
	assert_answer(&seen, text_of(OUTER, 2, INNER("from='JULIET@xmpp.test'")),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='result' id='i' to='JULIET@xmpp.test'>"
		"<told xmlns='" NS "'/></iq>"));
	assert_string_equal(seen.account, "juliet@xmpp.test");
	assert_int_equal(seen.calls, 4);
}

static void an_error_goes_back_inside(void **state)
{
	struct seen seen = { .refuse = 1 };

	assert_answer(&seen, text_of(OUTER, 2, INNER(JULIET)),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='error' id='i' to='juliet@xmpp.test/balcony'>"
		"<error type='wait'><resource-constraint "
		"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
		"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>No &lt;more&gt; "
		"now.</text></error></iq>"));
}

static void an_answer_that_is_put_off_is_the_same(void **state)
{
	for (int refuse = 0; refuse < 2; refuse++) {
		struct seen now = { .refuse = refuse }, later = { .refuse = refuse, .later = 1 };
		char *request = text_of(OUTER, 1, INNER(JULIET));
		char *expected = answer(&now, request);

		assert_non_null(expected);
		assert_answer(&later, request, expected);
		free(expected);
	}
}

static void what_is_anothers(void **state)
{
	struct seen seen = { 0 };

	assert_answer(&seen,
	    text_of(OUTER, 2, INNER("from='romeo@xmpp.test/orchard' to='juliet@xmpp.test'")),
	    REPLY("2", FORBIDDEN("to='romeo@xmpp.test/orchard' from='juliet@xmpp.test'")));
	assert_answer(&seen, text_of(OUTER, 2, INNER(JULIET " to='juliet@xmpp.test/balcony'")),
	    REPLY("2", FORBIDDEN("to='juliet@xmpp.test/balcony' from='juliet@xmpp.test/balcony'")));
	assert_answer(&seen, text_of(OUTER, 2, INNER(JULIET " to='other.test'")),
	    REPLY("2", FORBIDDEN("to='juliet@xmpp.test/balcony' from='other.test'")));
	/* not an account of the server that delegates */
	assert_answer(&seen, text_of(OUTER, 2, INNER("from='juliet@other.test/x'")),
	    REPLY("2", FORBIDDEN("to='juliet@other.test/x'")));
	assert_answer(&seen, text_of(OUTER, 2, INNER("from='romeo@evil.test/x' to='xmpp.test'")),
	    REPLY("2", FORBIDDEN("to='romeo@evil.test/x' from='xmpp.test'")));
	assert_answer(&seen, text_of(OUTER, 2, INNER("from='xmpp.test'")),
	    REPLY("2", FORBIDDEN("to='xmpp.test'")));
	assert_int_equal(seen.calls, 0);
}

static void strangers_cannot_delegate(void **state)
{
	static const char refused[] =
	    "' from='ccm.xmpp.test'><error type='auth'><forbidden "
	    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
	    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>Only "
	    "the servers of the configured domains may hand requests "
	    "over.</text></error></iq>";
	struct seen seen = { 0 };
	char *expected;

	/* a server gets the answer inside, for its account */
	assert_answer(&seen,
	    text_of(OUTER_FROM("evil.test"), 2, INNER("from='juliet@xmpp.test/x'")),
	    "<iq type='result' id='o' to='evil.test' from='ccm.xmpp.test'><delegation "
	    "xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'><iq "
	    "xmlns='jabber:client' type='error' id='i' to='juliet@xmpp.test/x'><error "
	    "type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
	    "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>There are no certificates "
	    "here for accounts of your domain. Ask the operator of your server.</text></error>"
	    "</iq></forwarded></delegation></iq>");
	expected = text_of("<iq type='error' id='o' to='%s%s", "juliet@xmpp.test", refused);
	assert_answer(&seen, text_of(OUTER_FROM("juliet@xmpp.test"), 2, INNER(JULIET)), expected);
	free(expected);
	expected = text_of("<iq type='error' id='o' to='%s%s", "xmpp.test/x", refused);
	assert_answer(&seen, text_of(OUTER_FROM("xmpp.test/x"), 2, INNER(JULIET)), expected);
	free(expected);
	assert_int_equal(seen.calls, 0);
}

#define ERROR_OUT(type, condition)                                                                 \
	"<iq type='error' id='o' to='xmpp.test' from='ccm.xmpp.test'><error type='" type           \
	"'><" condition " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"

#define NOTHING_INSIDE                                                                             \
	"<iq type='error' id='o' to='xmpp.test' from='ccm.xmpp.test'><error type='modify'>"        \
	"<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "                         \
	"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>There is no request in the "    \
	"delegation.</text></error></iq>"

static void forms_that_are_wrong(void **state)
{
	static const char *const inner[] = {
		"",
		INNER(JULIET) INNER(JULIET),
		"<message xmlns='jabber:client' id='i' from='juliet@xmpp.test'/>",
		"<iq xmlns='jabber:server' id='i' type='get' " JULIET "><ask xmlns='" NS "'/></iq>",
		"<iq xmlns='jabber:client' type='get' " JULIET "><ask xmlns='" NS "'/></iq>",
		"<iq xmlns='jabber:client' id='i' type='result' " JULIET "/>",
		"<iq xmlns='jabber:client' id='i' " JULIET "/>",
	};
	struct seen seen = { 0 };

	for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++)
		assert_answer(&seen, text_of(OUTER, 2, inner[i]), NOTHING_INSIDE);
	assert_answer(&seen,
	    text_of("<iq type='set' id='o' from='xmpp.test'><delegation "
		    "xmlns='urn:xmpp:delegation:2'/></iq>"),
	    NOTHING_INSIDE);
	/* versions that do not exist, other namespaces, nothing */
	assert_answer(
	    &seen, text_of(OUTER, 3, INNER(JULIET)), ERROR_OUT("cancel", "service-unavailable"));
	assert_answer(&seen,
	    text_of("<iq type='get' id='o' from='xmpp.test'><x xmlns='urn:y'/></iq>"),
	    ERROR_OUT("cancel", "service-unavailable"));
	assert_answer(&seen, text_of("<iq type='get' id='o' from='xmpp.test'/>"),
	    ERROR_OUT("modify", "bad-request"));
	assert_int_equal(seen.calls, 0);
}

static void inner_payloads_that_are_wrong(void **state)
{
	struct seen seen = { 0 };

	assert_answer(&seen,
	    text_of(OUTER, 2,
		"<iq xmlns='jabber:client' id='i' type='get' " JULIET "><x xmlns='urn:y'/></iq>"),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='error' id='i' to='juliet@xmpp.test/balcony'>"
		"<error type='cancel'><service-unavailable "
		"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"));
	assert_answer(&seen,
	    text_of(OUTER, 2,
		"<iq xmlns='jabber:client' id='i' type='get' " JULIET "><ask xmlns='" NS
		"'/><ask xmlns='" NS "'/></iq>"),
	    REPLY("2",
		"<iq xmlns='jabber:client' type='error' id='i' to='juliet@xmpp.test/balcony'>"
		"<error type='modify'><bad-request "
		"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text "
		"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>One request at a "
		"time.</text></error></iq>"));
	assert_int_equal(seen.calls, 0);
}

/* What it asks for does not matter: it gets an error, a delegated one inside a result. */
static void what_is_left_of_a_large_one(void **state)
{
	struct seen seen = { .is_cut = 1 };

	assert_answer(&seen, text_of(OUTER, 1, INNER(JULIET)),
	    REPLY("1",
		"<iq xmlns='jabber:client' type='error' id='i' to='juliet@xmpp.test/balcony'>"
		"<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>There is more in "
		"it than belongs there.</text></error></iq>"));
	assert_answer(&seen,
	    text_of("<iq type='get' id='o' from='xmpp.test'>"
		    "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>"),
	    "<iq type='error' id='o' to='xmpp.test' from='ccm.xmpp.test'><error type='modify'>"
	    "<bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
	assert_int_equal(seen.calls, 0);
}

static void what_gets_no_answer(void **state)
{
	static const char *const silent[] = {
		"<iq type='result' id='o' from='xmpp.test'/>",
		"<iq type='error' id='o' from='xmpp.test'><error/></iq>",
		"<iq type='get' from='xmpp.test'><x/></iq>",
		"<iq type='get' id='o'><x/></iq>",
		"<iq/>",
	};
	struct seen seen = { 0 };

	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++)
		assert_null(answer(&seen, silent[i]));
}

#define DISCO(node)                                                                                \
	"<iq type='get' id='o' from='xmpp.test' to='ccm.xmpp.test'><query "                        \
	"xmlns='http://jabber.org/protocol/disco#info'" node "/></iq>"
#define INFO(node, inside)                                                                         \
	"<iq type='result' id='o' to='xmpp.test' from='ccm.xmpp.test'><query "                     \
	"xmlns='http://jabber.org/protocol/disco#info'" node ">" inside "</query></iq>"

static void disco(void **state)
{
	static const char *const nodes[] = {
		"urn:xmpp:delegation:1::" NS,
		"urn:xmpp:delegation:2::" NS,
		"urn:xmpp:delegation:1:bare:" NS,
		"urn:xmpp:delegation:2:bare:" NS,
	};
	static const char *const unknown[] = {
		"urn:xmpp:delegation:2::urn:xmpp:ccm2:list-certs:0x",
		"urn:xmpp:delegation:3::" NS,
		"urn:xmpp:delegation:2:" NS,
		"x",
	};
	struct seen seen = { 0 };
	char *expected;

	for (size_t i = 0; i < 4; i++) {
		expected = text_of(INFO(" node='%s'", "<feature var='" NS "'/>"), nodes[i]);
		assert_answer(&seen, text_of(DISCO(" node='%s'"), nodes[i]), expected);
		free(expected);
		assert_answer(&seen, text_of(DISCO(" node='%s'"), unknown[i]),
		    ERROR_OUT("cancel", "item-not-found"));
	}
	assert_answer(&seen, text_of(DISCO("")),
	    INFO("",
		"<identity category='component' type='generic'/><feature "
		"var='http://jabber.org/protocol/disco#info'/><feature "
		"var='urn:xmpp:delegation:1'/><feature var='urn:xmpp:delegation:2'/>"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_for_us),
		cmocka_unit_test(an_error_goes_back_inside),
		cmocka_unit_test(an_answer_that_is_put_off_is_the_same),
		cmocka_unit_test(what_is_anothers),
		cmocka_unit_test(strangers_cannot_delegate),
		cmocka_unit_test(forms_that_are_wrong),
		cmocka_unit_test(inner_payloads_that_are_wrong),
		cmocka_unit_test(what_is_left_of_a_large_one),
		cmocka_unit_test(what_gets_no_answer),
		cmocka_unit_test(disco),
	};

	return cmocka_run_group_tests_name("authority_delegation", tests, NULL, NULL);
}
