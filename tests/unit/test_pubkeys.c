#include "proto/pubkeys.h"

#include "codecs.h"

#include "proto/keyinfo.h"

#define NODE		  "urn:xmpp:tmp:pubkey"
#define A40		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40		  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define UPPER_A40	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define PUBKEYS(inner)	  "<pubkeys xmlns='" NODE "'>" inner "</pubkeys>"
#define ABOUT(jid, inner) "<pubkeys xmlns='" NODE "' jid='" jid "'>" inner "</pubkeys>"
#define FPRINT(name)	  "<fprint>" name "</fprint>"
#define KEYINFO(name)	  "<keyinfo><name>" name "</name></keyinfo>"

static int decode_ask(const char *text, struct sg_msg_keys_wanted *wanted)
{
	struct sg_xml *element = xml_of(text);
	int err = sg_pubkeys_ask_decode(element, wanted);

	sg_xml_free(element);
	if (err != 0)
		assert_true(!wanted->about && !wanted->names && wanted->name_count == 0);
	return err;
}

static int decode(const char *text, char **about, struct sg_msg_keyinfos *keyinfos)
{
	struct sg_xml *element = xml_of(text);
	int err = sg_pubkeys_decode(element, about, keyinfos);

	sg_xml_free(element);
	if (err != 0)
		assert_true(!*about && !keyinfos->keyinfos && keyinfos->refused == 0);
	return err;
}

static void k12_k13_requests_are_written(void **state)
{
	char a[] = A40, b[] = B40;
	char *names[] = { a, b };
	struct sg_xml *payload;

	assert_int_equal(sg_pubkeys_ask_encode(NULL, NULL, 0, &payload), 0);
	assert_xml(payload, "<pubkeys xmlns='" NODE "'/>");
	assert_int_equal(sg_pubkeys_ask_encode("b@m.lit", names, 2, &payload), 0);
	assert_xml(payload, ABOUT("b@m.lit", FPRINT(A40) FPRINT(B40)));
	assert_int_equal(
	    sg_pubkeys_ask_encode(NULL, names, SG_PUBKEYS_NAMES_MAX + 1, &payload), SG_ERR_LIMIT);
	assert_null(payload);
}

static void k12_k13_requests_are_read(void **state)
{
	struct sg_msg_keys_wanted wanted;

	assert_int_equal(decode_ask(PUBKEYS(""), &wanted), 0);
	assert_null(wanted.about);
	assert_int_equal(wanted.name_count, 0);
	sg_msg_clear(SG_MSG_KEYS_WANTED, &wanted);
	assert_int_equal(decode_ask(ABOUT("Benvolio@M.lit/x",
					FPRINT(" " UPPER_A40 "\n") FPRINT(A40) FPRINT(B40) "<x/>"),
			     &wanted),
	    0);
	assert_null(wanted.from);
	assert_string_equal(wanted.about, "benvolio@m.lit");
	assert_int_equal(wanted.name_count, 2);
	assert_string_equal(wanted.names[0], A40);
	assert_string_equal(wanted.names[1], B40);
	sg_msg_clear(SG_MSG_KEYS_WANTED, &wanted);
}

static void k12_malformed_requests_are_refused(void **state)
{
	static const char *const texts[] = {
		"<pubkeys/>",
		"<pubkeys xmlns='urn:xmpp:pubkey:2'/>",
		"<keyinfo xmlns='" NODE "'/>",
		ABOUT("", ""),
		ABOUT("m.lit", ""),
		ABOUT("@", ""),
		PUBKEYS(FPRINT("")),
		PUBKEYS(FPRINT("aa")),
		PUBKEYS(FPRINT(A40 "aa")),
		PUBKEYS(FPRINT(A40) FPRINT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaag")),
		PUBKEYS(KEYINFO(A40)),
	};
	struct sg_msg_keys_wanted wanted;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(decode_ask(texts[i], &wanted), SG_ERR_FORMAT);
}

static char *repeated(const char *what, int count)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<pubkeys xmlns='" NODE "'>");
	for (int i = 0; i < count; i++)
		sg_buf_put_str(&text, what);
	sg_buf_put_str(&text, "</pubkeys>");
	return sg_buf_steal(&text, NULL);
}

static void both_are_limited(void **state)
{
	struct sg_msg_keys_wanted wanted;
	struct sg_msg_keyinfos keyinfos;
	char *about, *text = repeated(FPRINT(A40), SG_PUBKEYS_NAMES_MAX);

	assert_int_equal(decode_ask(text, &wanted), 0);
	assert_int_equal(wanted.name_count, 1);
	sg_msg_clear(SG_MSG_KEYS_WANTED, &wanted);
	free(text);
	text = repeated(FPRINT(A40), SG_PUBKEYS_NAMES_MAX + 1);
	assert_int_equal(decode_ask(text, &wanted), SG_ERR_LIMIT);
	free(text);
	text = repeated(KEYINFO(A40), SG_PUBKEYS_KEYS_MAX);
	assert_int_equal(decode(text, &about, &keyinfos), 0);
	assert_int_equal(keyinfos.keyinfo_count, 1);
	assert_int_equal(keyinfos.refused, SG_PUBKEYS_KEYS_MAX - 1);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	free(text);
	text = repeated(KEYINFO(A40), SG_PUBKEYS_KEYS_MAX + 1);
	assert_int_equal(decode(text, &about, &keyinfos), SG_ERR_LIMIT);
	free(text);
}

static void keys_are_written_and_read_again(void **state)
{
	char a[] = A40, b[] = B40;
	struct sg_keyinfo keys[] = { { .name = a }, { .name = b } };
	struct sg_msg_keyinfos keyinfos;
	struct sg_xml *payload;
	char *about, *text;

	assert_int_equal(sg_pubkeys_encode("b@m.lit", keys, 2, &payload), 0);
	text = sg_xml_to_string(payload);
	sg_xml_free(payload);
	assert_string_equal(text, ABOUT("b@m.lit", KEYINFO(A40) KEYINFO(B40)));
	assert_int_equal(decode(text, &about, &keyinfos), 0);
	free(text);
	assert_string_equal(about, "b@m.lit");
	assert_int_equal(keyinfos.keyinfo_count, 2);
	assert_string_equal(keyinfos.keyinfos[1].name, B40);
	free(about);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	assert_int_equal(
	    sg_pubkeys_encode(NULL, keys, SG_PUBKEYS_KEYS_MAX + 1, &payload), SG_ERR_LIMIT);
	/* What fits, and what is a byte too long: Base64 of 3 bytes is 4. */
	keys[1].kind = SG_KEYINFO_PGP;
	assert_int_equal(sg_blob_set(&keys[1].data, text = many('x', 153000), 153000), 0);
	free(text);
	assert_int_equal(sg_pubkeys_encode(NULL, keys, 2, &payload), 0);
	sg_xml_free(payload);
	assert_int_equal(sg_blob_set(&keys[1].data, text = many('x', 153600), 153600), 0);
	free(text);
	assert_int_equal(sg_pubkeys_encode(NULL, keys, 2, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	sg_blob_clear(&keys[1].data);
	keys[1].kind = SG_KEYINFO_REFERENCE;
	keys[1].name = NULL;
	assert_int_equal(sg_pubkeys_encode(NULL, keys, 2, &payload), SG_ERR_KEYINFO);
	assert_null(payload);
}

static void k1_k2_a_bad_keyinfo_is_counted_and_the_rest_kept(void **state)
{
	struct sg_msg_keyinfos keyinfos;
	char *about;

	assert_int_equal(
	    decode(PUBKEYS(KEYINFO("x") KEYINFO(A40) "<keyinfo/>" KEYINFO(
		       A40) "<keyinfo><name>" B40 "</name><x509cert>*</x509cert></keyinfo>"
			    "<keyinfo><name>" B40 "</name><pgpdata>aa==</pgpdata>"
			    "<x509>aa==</x509></keyinfo><x/>"),
		&about, &keyinfos),
	    0);
	assert_null(about);
	assert_int_equal(keyinfos.keyinfo_count, 1);
	assert_int_equal(keyinfos.refused, 5);
	sg_msg_clear(SG_MSG_KEYINFOS, &keyinfos);
	assert_int_equal(decode(ABOUT("nobody", KEYINFO(A40)), &about, &keyinfos), SG_ERR_FORMAT);
	assert_int_equal(decode("<x xmlns='" NODE "'/>", &about, &keyinfos), SG_ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(k12_k13_requests_are_written),
		cmocka_unit_test(k12_k13_requests_are_read),
		cmocka_unit_test(k12_malformed_requests_are_refused),
		cmocka_unit_test(both_are_limited),
		cmocka_unit_test(keys_are_written_and_read_again),
		cmocka_unit_test(k1_k2_a_bad_keyinfo_is_counted_and_the_rest_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
