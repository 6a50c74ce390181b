#include "proto/ccm2.h"

#include "codecs.h"

#define ADD(inner)                                                                                 \
	"<add-certificate-request xmlns='urn:xmpp:ccm2:add-cert:0'>" inner                         \
	"</add-certificate-request>"
#define ADDED(inner)                                                                               \
	"<add-certificate-result xmlns='urn:xmpp:ccm2:add-cert:0'>" inner                          \
	"</add-certificate-result>"
#define LIST(inner)                                                                                \
	"<list-of-certificates xmlns='urn:xmpp:ccm2:list-certs:0'>" inner "</"                     \
	"list-of-certificates>"
#define REVOKE(inner)                                                                              \
	"<revoke-certificate xmlns='urn:xmpp:ccm2:revoke-cert:0'>" inner "</revoke-certificate>"
#define CSR(base64)  "<x509certificate-signing-request>" base64 "</x509certificate-signing-request>"
#define CERT(base64) "<x509certificate>" base64 "</x509certificate>"

static char signet[] = "signet";

static struct sg_blob blob_signet(void)
{
	return (struct sg_blob){ (unsigned char *)signet, 6 }; /* c2lnbmV0 */
}

/* ---- C3 ---- */

static int add_decode(const char *text, struct sg_msg_ccm2_add *add)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_ccm2_add_decode(payload, add);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!add->name && !add->csr.data && add->csr.len == 0);
	return err;
}

static void assert_add(const char *text, const char *name)
{
	struct sg_msg_ccm2_add add;
	struct sg_blob expected = blob_signet();

	assert_int_equal(add_decode(text, &add), 0);
	assert_string_equal(add.name, name);
	assert_true(sg_blob_eq(&add.csr, &expected));
	sg_msg_clear(SG_MSG_CCM2_ADD, &add);
}

static void add_is_emitted_without_line_breaks(void **state)
{
	struct sg_msg_ccm2_add add = { (char *)(uintptr_t) "Mobile <Client>", { 0 } };
	struct sg_xml *payload;
	char *text, *base64;

	add.csr = (struct sg_blob){ calloc(1, 600), 600 };
	base64 = many('A', 800);
	text = text_of(ADD("<name>Mobile &lt;Client&gt;</name>" CSR("%s")), base64);
	assert_int_equal(sg_ccm2_add_encode(&add, &payload), 0);
	assert_xml(payload, text);
	free(text);
	free(base64);
	sg_blob_clear(&add.csr);
}

static void a_name_may_be_empty(void **state)
{
	struct sg_msg_ccm2_add add = { NULL, blob_signet() };
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_add_encode(&add, &payload), 0);
	assert_xml(payload, ADD("<name/>" CSR("c2lnbmV0")));
	assert_add(ADD("<name/>" CSR("c2lnbmV0")), "");
}

static void add_is_accepted_with_white_space(void **state)
{
	assert_add(ADD("<name>Mobile Client</name>" CSR("c2lnbmV0")), "Mobile Client");
	assert_add(ADD(" <name> n </name>\n" CSR("\n c2ln\n\tbm V0\r\n ")), " n ");
	/* order and unknown elements do not count */
	assert_add(ADD(CSR("c2lnbmV0") "<x/><x/><name>n</name><name xmlns='urn:x'/>"), "n");
}

/* That it is a certificate where a request belongs is for the authority to see. */
static void the_drafts_example_is_read(void **state)
{
	struct sg_blob issuer = read_vector(VECTOR_ISSUER);
	char *base64 = sg_base64_encode(issuer.data, issuer.len);
	char *text = text_of(ADD("<name>Mobile Client</name>" CSR("%s")), base64);
	struct sg_msg_ccm2_add add;
	X509_REQ *csr;

	assert_int_equal(add_decode(text, &add), 0);
	assert_true(sg_blob_eq(&add.csr, &issuer));
	assert_int_equal(sg_x509_csr_parse(&add.csr, &csr), SG_ERR_FORMAT);
	sg_msg_clear(SG_MSG_CCM2_ADD, &add);
	sg_blob_clear(&issuer);
	free(base64);
	free(text);
}

static void malformed_adds_are_refused(void **state)
{
	static const char *const texts[] = {
		ADD(""),
		ADD(CSR("c2lnbmV0")),
		ADD("<name>n</name>"),
		ADD("<name/><name/>" CSR("c2lnbmV0")),
		ADD("<name/>" CSR("c2lnbmV0") CSR("c2lnbmV0")),
		ADD("<name/>" CSR("")),
		ADD("<name/>" CSR("c2lnbmV")),
		ADD("<name/>" CSR("c2ln*mV0")),
		ADD("<name/>" CERT("c2lnbmV0")),
		ADD("<name/><x509certificate-signing-request xmlns='urn:x'>c2lnbmV0"
		    "</x509certificate-signing-request>"),
		"<add-certificate-request xmlns='urn:x'/>",
		ADDED("<name/>" CSR("c2lnbmV0")),
	};
	struct sg_msg_ccm2_add add;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(add_decode(texts[i], &add), SG_ERR_FORMAT);
}

static void names_and_requests_are_limited(void **state)
{
	struct sg_msg_ccm2_add add = { many('n', SG_CCM2_NAME_MAX), { 0 } };
	struct sg_msg_ccm2_add again;
	struct sg_xml *payload;

	add.csr = (struct sg_blob){ calloc(1, SG_CCM2_DER_MAX + 1), SG_CCM2_DER_MAX };
	assert_int_equal(sg_ccm2_add_encode(&add, &payload), 0);
	assert_int_equal(sg_ccm2_add_decode(payload, &again), 0);
	assert_string_equal(again.name, add.name);
	assert_true(sg_blob_eq(&again.csr, &add.csr));
	sg_msg_clear(SG_MSG_CCM2_ADD, &again);
	sg_xml_free(payload);

	add.csr.len++;
	assert_int_equal(sg_ccm2_add_encode(&add, &payload), SG_ERR_LIMIT);
	assert_null(payload);
	char *base64 = sg_base64_encode(add.csr.data, add.csr.len);
	char *text = text_of(ADD("<name/>" CSR("%s")), base64);
	assert_int_equal(add_decode(text, &again), SG_ERR_LIMIT);
	sg_msg_clear(SG_MSG_CCM2_ADD, &add);
	free(text);
	free(base64);

	char *name = many('n', SG_CCM2_NAME_MAX + 1);
	text = text_of(ADD("<name>%s</name>" CSR("c2lnbmV0")), name);
	assert_int_equal(add_decode(text, &add), SG_ERR_LIMIT);
	add = (struct sg_msg_ccm2_add){ name, blob_signet() };
	assert_int_equal(sg_ccm2_add_encode(&add, &payload), SG_ERR_LIMIT);
	free(text);
	free(name);
}

static void a_name_that_xml_cannot_carry_is_refused(void **state)
{
	struct sg_msg_ccm2_add add = { (char *)(uintptr_t) "a\x01", blob_signet() };
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_add_encode(&add, &payload), SG_ERR_FORMAT);
	assert_null(payload);
	add = (struct sg_msg_ccm2_add){ NULL, { 0 } };
	assert_int_equal(sg_ccm2_add_encode(&add, &payload), SG_ERR_FORMAT);
}

/* ---- C4 ---- */

static void the_result_goes_both_ways(void **state)
{
	struct sg_blob der = blob_signet(), again;
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_added_encode(&der, &payload), 0);
	assert_int_equal(sg_ccm2_added_decode(payload, &again), 0);
	assert_true(sg_blob_eq(&der, &again));
	sg_blob_clear(&again);
	assert_xml(payload, ADDED(CERT("c2lnbmV0")));
	der.len = 0;
	assert_int_equal(sg_ccm2_added_encode(&der, &payload), SG_ERR_FORMAT);
}

static void malformed_results_are_refused(void **state)
{
	static const char *const texts[] = { ADDED(""), ADDED(CERT("")), ADDED(CERT("c2l")),
		ADDED(CERT("c2lnbmV0") CERT("c2lnbmV0")), ADD(CERT("c2lnbmV0")) };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct sg_xml *payload = xml_of(texts[i]);
		struct sg_blob der;

		assert_int_equal(sg_ccm2_added_decode(payload, &der), SG_ERR_FORMAT);
		assert_null(der.data);
		sg_xml_free(payload);
	}
}

/* ---- C7, C8 ---- */

static int list_decode(const char *text, struct sg_msg_ccm2_certs *certs)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_ccm2_list_decode(payload, certs);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!certs->certs && certs->cert_count == 0);
	return err;
}

static void the_list_request_is_emitted(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_list_request_encode(&payload), 0);
	assert_xml(payload, "<list-certificates-request xmlns='urn:xmpp:ccm2:list-certs:0'/>");
}

static void the_list_is_emitted(void **state)
{
	char *users[] = { (char *)(uintptr_t) "Phone", (char *)(uintptr_t) "Tablet & co" };
	struct sg_ccm2_cert certs[] = {
		{ (char *)(uintptr_t) "Mobile", blob_signet(),
		    (char *)(uintptr_t) "2026-01-02T03:04:05Z", users, 2 },
		{ (char *)(uintptr_t) "Laptop", blob_signet(), (char *)(uintptr_t) "", NULL, 0 },
		{ NULL, blob_signet(), NULL, NULL, 0 },
	};
	struct sg_msg_ccm2_certs list = { .certs = certs, .cert_count = 3 };
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_list_encode(&list, &payload), 0);
	assert_xml(payload,
	    LIST("<x509certificate last-used='2026-01-02T03:04:05Z'><name>Mobile</name>"
		 "<x509cert>c2lnbmV0</x509cert><users><resource>Phone</resource>"
		 "<resource>Tablet &amp; co</resource></users></x509certificate>"
		 "<x509certificate last-used=''><name>Laptop</name>"
		 "<x509cert>c2lnbmV0</x509cert></x509certificate>"
		 "<x509certificate><name/><x509cert>c2lnbmV0</x509cert></x509certificate>"));
	certs[0].last_used = (char *)(uintptr_t) "yesterday";
	assert_int_equal(sg_ccm2_list_encode(&list, &payload), SG_ERR_FORMAT);
	assert_null(payload);
}

static void both_spellings_are_read(void **state)
{
	struct sg_msg_ccm2_certs certs;

	assert_int_equal(list_decode(LIST(""), &certs), 0);
	assert_int_equal(certs.cert_count, 0);
	assert_int_equal(
	    list_decode("<list-of-certficiates xmlns='urn:xmpp:ccm2:list-certs:0'><x509certificate>"
			"<name>n</name><x509cert>c2lnbmV0</x509cert></x509certificate>"
			"</list-of-certficiates>",
		&certs),
	    0);
	assert_int_equal(certs.cert_count, 1);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	assert_int_equal(list_decode("<list-of-certs xmlns='urn:xmpp:ccm2:list-certs:0'/>", &certs),
	    SG_ERR_FORMAT);
	assert_int_equal(
	    list_decode("<list-of-certificates xmlns='urn:x'/>", &certs), SG_ERR_FORMAT);
}

/* The draft's example, its certificates filled in. */
static void the_drafts_list_is_read(void **state)
{
	struct sg_msg_ccm2_certs certs;

	assert_int_equal(
	    list_decode(
		LIST("<x509certificate last-used=''> <name>Mobile Client</name> <x509cert> "
		     "c2ln bmV0 </x509cert> <users> <resource>Phone</resource> "
		     "<resource>Watch</resource> <x/> </users> "
		     "</x509certificate> <x509certificate last-used=''> <name>Laptop</name> "
		     "<x509cert> c2lnbmV0 </x509cert> </x509certificate> <x509certificate> "
		     "<name>Desktop</name> <x509cert> c2lnbmV0 </x509cert><users/> "
		     "</x509certificate><unknown/>"),
		&certs),
	    0);
	assert_int_equal(certs.cert_count, 3);
	assert_string_equal(certs.certs[0].name, "Mobile Client");
	assert_string_equal(certs.certs[0].last_used, "");
	assert_int_equal(certs.certs[0].user_count, 2);
	assert_string_equal(certs.certs[0].users[0], "Phone");
	assert_string_equal(certs.certs[0].users[1], "Watch");
	assert_memory_equal(certs.certs[0].der.data, "signet", 6);
	assert_string_equal(certs.certs[1].last_used, "");
	assert_int_equal(certs.certs[1].user_count, 0);
	assert_string_equal(certs.certs[2].name, "Desktop");
	assert_null(certs.certs[2].last_used);
	assert_int_equal(certs.certs[2].user_count, 0);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
}

static void assert_last_used(const char *text, const char *expected)
{
	char *list = text_of(LIST("<x509certificate last-used='%s'><x509cert>c2lnbmV0</x509cert>"
				  "</x509certificate>"),
	    text);
	struct sg_msg_ccm2_certs certs;

	assert_int_equal(list_decode(list, &certs), 0);
	assert_string_equal(certs.certs[0].last_used, expected);
	assert_string_equal(certs.certs[0].name, ""); /* none is an empty one */
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	free(list);
}

static void times_are_read_as_utc(void **state)
{
	static const char *const bad[] = { "yesterday", "2026-01-02", "2026-01-02T03:04:05",
		"2026-01-02T03:04:05ZZ", "2026-01-02T03:04:05.Z", "2026-01-02 03:04:05Z",
		"2026-13-02T03:04:05Z", "2026-02-30T03:04:05Z", "2026-00-02T03:04:05Z",
		"2026-01-00T03:04:05Z", "2026-01-32T03:04:05Z", "2026-01-02T24:04:05Z",
		"2026-01-02T03:60:05Z", "2026-01-02T03:04:61Z", "2026-01-02T03:04:05+1:00",
		"2026-01-02T03:04:05+15:00", "2026-01-02T03:04:05+01:60",
		"2026-01-02T03:04:05*01:00", " ", "20260102T03:04:05" };

	assert_last_used("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z");
	assert_last_used("2026-01-02T03:04:05.123456Z", "2026-01-02T03:04:05Z");
	assert_last_used("2006-12-19T16:39:57-08:00", "2006-12-20T00:39:57Z");
	assert_last_used("2006-03-01T00:30:00+05:30", "2006-02-28T19:00:00Z");
	assert_last_used("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z");
	assert_last_used("2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_last_used(bad[i], "");
}

static void malformed_entries_are_refused(void **state)
{
	static const char *const texts[] = {
		LIST("<x509certificate/>"),
		LIST("<x509certificate><name>n</name></x509certificate>"),
		LIST("<x509certificate><name>n</name><x509cert> ... </x509cert></x509certificate>"),
		LIST("<x509certificate><x509cert>c2lnbmV0</x509cert></x509certificate>"
		     "<x509certificate "
		     "last-used=''><name>n</name><users><resource>r</resource></users>"
		     "<x509cert>c2l</x509cert></x509certificate>"),
		LIST("<x509certificate><name/><name/><x509cert>c2lnbmV0</x509cert></"
		     "x509certificate>"),
		LIST("<x509certificate><x509cert>c2lnbmV0</x509cert><users/><users/></"
		     "x509certificate>"),
	};
	struct sg_msg_ccm2_certs certs;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(list_decode(texts[i], &certs), SG_ERR_FORMAT);
}

/* Entries of a list, as many as said. */
static char *entries(size_t count)
{
	struct sg_buf text = { 0 };

	sg_buf_put_str(&text, "<list-of-certificates xmlns='urn:xmpp:ccm2:list-certs:0'>");
	for (size_t i = 0; i < count; i++)
		sg_buf_printf(&text,
		    "<x509certificate><name>%zu</name><x509cert>c2lnbmV0</x509cert>"
		    "</x509certificate>",
		    i);
	sg_buf_put_str(&text, "</list-of-certificates>");
	return sg_buf_steal(&text, NULL);
}

static void lists_are_limited(void **state)
{
	char *fits = entries(SG_CCM2_LIST_MAX), *limit = entries(SG_CCM2_LIST_MAX + 1);
	struct sg_msg_ccm2_certs certs;
	struct sg_xml *payload;

	assert_int_equal(list_decode(limit, &certs), SG_ERR_LIMIT);
	assert_int_equal(list_decode(fits, &certs), 0);
	assert_int_equal(certs.cert_count, SG_CCM2_LIST_MAX);
	assert_string_equal(certs.certs[SG_CCM2_LIST_MAX - 1].name, "9999");
	assert_int_equal(sg_ccm2_list_encode(&certs, &payload), 0);
	assert_xml(payload, fits);
	certs.cert_count++; /* refused before it is looked at */
	assert_int_equal(sg_ccm2_list_encode(&certs, &payload), SG_ERR_LIMIT);
	certs.cert_count--;
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	free(fits);
	free(limit);
}

static int decode_with_users(size_t count, size_t len)
{
	struct sg_buf text = { 0 };
	struct sg_msg_ccm2_certs certs;
	char *resource = many('r', len), *string;
	int err;

	sg_buf_put_str(&text,
	    "<list-of-certificates xmlns='urn:xmpp:ccm2:list-certs:0'>"
	    "<x509certificate><x509cert>c2lnbmV0</x509cert><users>");
	for (size_t i = 0; i < count; i++)
		sg_buf_printf(&text, "<resource>%s</resource>", resource);
	sg_buf_put_str(&text, "</users></x509certificate></list-of-certificates>");
	string = sg_buf_steal(&text, NULL);
	err = list_decode(string, &certs);
	if (err == 0) {
		assert_int_equal(certs.certs[0].user_count, count);
		sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	}
	free(string);
	free(resource);
	return err;
}

static void users_and_sizes_are_limited(void **state)
{
	struct sg_ccm2_cert cert = { NULL, blob_signet(), NULL, NULL, SG_CCM2_USERS_MAX + 1 };
	struct sg_msg_ccm2_certs list = { .certs = &cert, .cert_count = 1 }, certs;
	struct sg_xml *payload;
	char *name = many('n', SG_CCM2_NAME_MAX + 1);
	char *text = text_of(LIST("<x509certificate><name>%s</name><x509cert>c2lnbmV0</x509cert>"
				  "</x509certificate>"),
	    name);

	assert_int_equal(decode_with_users(SG_CCM2_USERS_MAX, 1), 0);
	assert_int_equal(decode_with_users(SG_CCM2_USERS_MAX + 1, 1), SG_ERR_LIMIT);
	assert_int_equal(decode_with_users(1, SG_CCM2_RESOURCE_MAX), 0);
	assert_int_equal(decode_with_users(1, SG_CCM2_RESOURCE_MAX + 1), SG_ERR_LIMIT);
	assert_int_equal(sg_ccm2_list_encode(&list, &payload), SG_ERR_LIMIT);
	assert_int_equal(list_decode(text, &certs), SG_ERR_LIMIT);
	free(text);
	free(name);
	struct sg_blob der = { calloc(1, SG_CCM2_DER_MAX + 1), SG_CCM2_DER_MAX + 1 };
	char *base64 = sg_base64_encode(der.data, der.len);
	text = text_of(LIST("<x509certificate><x509cert>%s</x509cert></x509certificate>"), base64);
	assert_int_equal(list_decode(text, &certs), SG_ERR_LIMIT);
	free(text);
	free(base64);
	sg_blob_clear(&der);
}

/* ---- C9 ---- */

#define SHA1_HEX   "428b1358a286430f628da23fb33ddaf6e474f5c5"
#define SHA256_HEX "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define SHA512_HEX SHA256_HEX SHA256_HEX

static int revoke_decode(const char *text, struct sg_ccm2_fingerprint *fingerprint)
{
	struct sg_xml *payload = xml_of(text);
	int err = sg_ccm2_revoke_decode(payload, fingerprint);

	sg_xml_free(payload);
	if (err != 0)
		assert_true(!fingerprint->hash && fingerprint->len == 0);
	return err;
}

static void assert_revoke(const char *text, const char *hash, const char *hex)
{
	struct sg_ccm2_fingerprint fingerprint;
	char *value;

	assert_int_equal(revoke_decode(text, &fingerprint), 0);
	assert_string_equal(fingerprint.hash, hash);
	value = sg_hex_encode(fingerprint.value, fingerprint.len);
	assert_string_equal(value, hex);
	free(value);
}

static void revoke_is_emitted_with_sha_256(void **state)
{
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_revoke_encode(SHA256_HEX, &payload), 0);
	assert_xml(payload, REVOKE("<fingerprint hash='sha-256'>" SHA256_HEX "</fingerprint>"));
	assert_int_equal(
	    sg_ccm2_revoke_encode(
		"BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD", &payload),
	    0);
	assert_xml(payload, REVOKE("<fingerprint hash='sha-256'>" SHA256_HEX "</fingerprint>"));
	assert_int_equal(sg_ccm2_revoke_encode(SHA1_HEX, &payload), SG_ERR_FORMAT);
	assert_null(payload);
	assert_int_equal(sg_ccm2_revoke_encode(SHA512_HEX, &payload), SG_ERR_FORMAT);
	assert_int_equal(sg_ccm2_revoke_encode("", &payload), SG_ERR_FORMAT);
	assert_int_equal(sg_ccm2_revoke_encode("x", &payload), SG_ERR_FORMAT);
}

static void every_form_of_a_fingerprint_is_read(void **state)
{
	assert_revoke(
	    REVOKE("<fingerprint hash='sha-1'>" SHA1_HEX "</fingerprint>"), "sha-1", SHA1_HEX);
	assert_revoke(REVOKE("<fingerprint hash='sha-256'>" SHA256_HEX "</fingerprint>"), "sha-256",
	    SHA256_HEX);
	assert_revoke(REVOKE("<fingerprint hash='sha-512'>" SHA512_HEX "</fingerprint>"), "sha-512",
	    SHA512_HEX);
	assert_revoke(
	    REVOKE("<fingerprint hash='SHA-1'>" SHA1_HEX "</fingerprint>"), "sha-1", SHA1_HEX);
	/* by length */
	assert_revoke(REVOKE("<fingerprint>" SHA1_HEX "</fingerprint>"), "sha-1", SHA1_HEX);
	assert_revoke(REVOKE("<fingerprint>" SHA256_HEX "</fingerprint>"), "sha-256", SHA256_HEX);
	assert_revoke(REVOKE("<fingerprint>" SHA512_HEX "</fingerprint>"), "sha-512", SHA512_HEX);
	/* upper case, separators, white space around */
	assert_revoke(
	    REVOKE("<fingerprint>\n 428B1358A286430F628DA23FB33DDAF6E474F5C5 \n</fingerprint>"),
	    "sha-1", SHA1_HEX);
	assert_revoke(
	    REVOKE("<fingerprint hash='sha-1'>42:8b:13:58:A2:86:43:0F:62:8d:a2:3f:b3:3d:da:"
		   "f6:e4:74:f5:c5</fingerprint>"),
	    "sha-1", SHA1_HEX);
}

static void malformed_fingerprints_are_refused(void **state)
{
	static const char *const texts[] = {
		REVOKE(""),
		REVOKE("<fingerprint/>"),
		REVOKE("<fingerprint hash='sha-256'/>"),
		REVOKE("<fingerprint>" SHA1_HEX "0</fingerprint>"),
		REVOKE("<fingerprint>" SHA1_HEX "00</fingerprint>"),
		REVOKE("<fingerprint>" SHA512_HEX "00</fingerprint>"),
		REVOKE("<fingerprint>z" SHA1_HEX "</fingerprint>"),
		REVOKE("<fingerprint>:" SHA1_HEX "</fingerprint>"),
		REVOKE("<fingerprint hash='sha-256'>" SHA1_HEX "</fingerprint>"),
		REVOKE("<fingerprint hash='sha-1'>" SHA256_HEX "</fingerprint>"),
		REVOKE("<fingerprint hash='md5'>00112233445566778899aabbccddeeff</fingerprint>"),
		REVOKE("<fingerprint hash='sha-224'>" SHA1_HEX "</fingerprint>"),
		REVOKE("<fingerprint hash=''>" SHA1_HEX "</fingerprint>"),
		REVOKE("<fingerprint hash='TODO (needed?)'>" SHA256_HEX "</fingerprint>"),
		REVOKE("<fingerprint>" SHA1_HEX "</fingerprint><fingerprint>" SHA1_HEX
		       "</fingerprint>"),
		"<revoke-certificate xmlns='urn:x'><fingerprint>" SHA1_HEX
		"</fingerprint></revoke-certificate>",
	};
	struct sg_ccm2_fingerprint fingerprint;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_int_equal(revoke_decode(texts[i], &fingerprint), SG_ERR_FORMAT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add_is_emitted_without_line_breaks),
		cmocka_unit_test(a_name_may_be_empty),
		cmocka_unit_test(add_is_accepted_with_white_space),
		cmocka_unit_test(the_drafts_example_is_read),
		cmocka_unit_test(malformed_adds_are_refused),
		cmocka_unit_test(names_and_requests_are_limited),
		cmocka_unit_test(a_name_that_xml_cannot_carry_is_refused),
		cmocka_unit_test(the_result_goes_both_ways),
		cmocka_unit_test(malformed_results_are_refused),
		cmocka_unit_test(the_list_request_is_emitted),
		cmocka_unit_test(the_list_is_emitted),
		cmocka_unit_test(both_spellings_are_read),
		cmocka_unit_test(the_drafts_list_is_read),
		cmocka_unit_test(times_are_read_as_utc),
		cmocka_unit_test(malformed_entries_are_refused),
		cmocka_unit_test(lists_are_limited),
		cmocka_unit_test(users_and_sizes_are_limited),
		cmocka_unit_test(revoke_is_emitted_with_sha_256),
		cmocka_unit_test(every_form_of_a_fingerprint_is_read),
		cmocka_unit_test(malformed_fingerprints_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
