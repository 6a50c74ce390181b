#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "msg.h"

/* Which struct a type has, as msg.h says. */
static const struct {
	uint16_t type;
	size_t size;
} types[] = {
	{ SG_MSG_OK, sizeof(struct sg_msg_empty) },
	{ SG_MSG_ERROR, sizeof(struct sg_msg_error) },
	{ SG_MSG_TOKEN_LIST, sizeof(struct sg_msg_empty) },
	{ SG_MSG_TOKEN_LOGIN, sizeof(struct sg_msg_token_login) },
	{ SG_MSG_TOKEN_LOGOUT, sizeof(struct sg_msg_token_ref) },
	{ SG_MSG_KEY_GENERATE, sizeof(struct sg_msg_key_generate) },
	{ SG_MSG_OBJECT_LIST, sizeof(struct sg_msg_object_list) },
	{ SG_MSG_CERT_STORE, sizeof(struct sg_msg_cert_store) },
	{ SG_MSG_CSR_MAKE, sizeof(struct sg_msg_csr_make) },
	{ SG_MSG_SELF_CERT_MAKE, sizeof(struct sg_msg_self_cert_make) },
	{ SG_MSG_CROSS_SIGN, sizeof(struct sg_msg_cross_sign) },
	{ SG_MSG_TLS_SIGN, sizeof(struct sg_msg_tls_sign) },
	{ SG_MSG_CA_SIGN, sizeof(struct sg_msg_ca_sign) },
	{ SG_MSG_TOKEN_RELEASE, sizeof(struct sg_msg_token_ref) },
	{ SG_MSG_PIN_SET, sizeof(struct sg_msg_pin_set) },
	{ SG_MSG_KEY_PROBE, sizeof(struct sg_msg_key_probe) },
	{ SG_MSG_TOKEN_WATCH, sizeof(struct sg_msg_token_watch) },
	{ SG_MSG_CANCEL, sizeof(struct sg_msg_cancel) },
	{ SG_MSG_KEY_DISCARD, sizeof(struct sg_msg_key_discard) },
	{ SG_MSG_CERT_DISCARD, sizeof(struct sg_msg_cert_discard) },
	{ SG_MSG_KEY_ATTEST, sizeof(struct sg_msg_key_attest) },
	{ SG_MSG_TOKENS, sizeof(struct sg_msg_tokens) },
	{ SG_MSG_OBJECTS, sizeof(struct sg_msg_objects) },
	{ SG_MSG_DER, sizeof(struct sg_msg_der) },
	{ SG_MSG_SIGNATURES, sizeof(struct sg_msg_signatures) },
	{ SG_MSG_TOKEN_EVENT, sizeof(struct sg_msg_token_event) },
	{ SG_MSG_PIN_TRY, sizeof(struct sg_msg_pin_try) },
	{ SG_MSG_PIN_OUTCOME, sizeof(struct sg_msg_pin_outcome) },
	{ SG_MSG_XMPP_CONNECT, sizeof(struct sg_msg_xmpp_connect) },
	{ SG_MSG_XMPP_DISCONNECT, sizeof(struct sg_msg_empty) },
	{ SG_MSG_XMPP_FEATURES, sizeof(struct sg_msg_empty) },
	{ SG_MSG_CCM2_ADD, sizeof(struct sg_msg_ccm2_add) },
	{ SG_MSG_CCM2_LIST, sizeof(struct sg_msg_empty) },
	{ SG_MSG_CCM2_REVOKE, sizeof(struct sg_msg_ccm2_revoke) },
	{ SG_MSG_PEP_PUBLISH, sizeof(struct sg_msg_pep_publish) },
	{ SG_MSG_PEP_FETCH, sizeof(struct sg_msg_pep_fetch) },
	{ SG_MSG_PEP_CONFIGURE, sizeof(struct sg_msg_pep_configure) },
	{ SG_MSG_PEP_SHOW, sizeof(struct sg_msg_empty) },
	{ SG_MSG_PEP_RETRACT, sizeof(struct sg_msg_pep_retract) },
	{ SG_MSG_KEYS_ASK, sizeof(struct sg_msg_keys_ask) },
	{ SG_MSG_KEYS_SEND, sizeof(struct sg_msg_keys_send) },
	{ SG_MSG_DIRECT_POLICY, sizeof(struct sg_msg_direct_policy) },
	{ SG_MSG_PEP_LOOK, sizeof(struct sg_msg_pep_fetch) },
	{ SG_MSG_SASLCERT_APPEND, sizeof(struct sg_msg_saslcert_append) },
	{ SG_MSG_XMPP_ONLINE, sizeof(struct sg_msg_xmpp_online) },
	{ SG_MSG_XMPP_FEATURE_SET, sizeof(struct sg_msg_xmpp_feature_set) },
	{ SG_MSG_CCM2_CERTS, sizeof(struct sg_msg_ccm2_certs) },
	{ SG_MSG_KEYINFOS, sizeof(struct sg_msg_keyinfos) },
	{ SG_MSG_PEP_NODE, sizeof(struct sg_msg_pep_node) },
	{ SG_MSG_KEYS_SENT, sizeof(struct sg_msg_keys_sent) },
	{ SG_MSG_XMPP_OFFLINE, sizeof(struct sg_msg_error) },
	{ SG_MSG_XMPP_TLS_SIGN, sizeof(struct sg_msg_tls_sign) },
	{ SG_MSG_KEYS_SEEN, sizeof(struct sg_msg_keys_seen) },
	{ SG_MSG_KEYS_WANTED, sizeof(struct sg_msg_keys_wanted) },
	{ SG_MSG_PGP_KEY, sizeof(struct sg_msg_pgp_key) },
	{ SG_MSG_PGP_VERIFY, sizeof(struct sg_msg_pgp_verify) },
	{ SG_MSG_PGP_FACTS, sizeof(struct sg_msg_pgp_facts) },
	{ SG_MSG_PGP_VERDICT, sizeof(struct sg_msg_pgp_verdict) },
};
#define TYPE_COUNT (sizeof(types) / sizeof(types[0]))

static void every_type_has_its_struct(void **state)
{
	size_t found = 0;

	for (uint32_t type = 0; type <= UINT16_MAX; type++) {
		const struct sg_layout *layout = sg_msg_layout((uint16_t)type);

		if (layout == NULL)
			continue;
		assert_true(found < TYPE_COUNT);
		assert_int_equal(types[found].type, type);
		assert_int_equal(types[found].size, layout->size);
		found++;
	}
	assert_int_equal(found, TYPE_COUNT);
}

/* Marks the bytes of the struct that some field covers; no byte may be covered twice. */
static void cover(unsigned char *map, size_t offset, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(map[offset + i], 0);
		map[offset + i] = 1;
	}
}

/* Every member of a struct must be a field: what no field covers may only be padding, which is four
 * bytes behind a uint32_t, before a pointer or at the end. */
static void check_cover(const struct sg_layout *layout)
{
	static const size_t sizes[] = {
		[SG_FIELD_U32] = sizeof(uint32_t),
		[SG_FIELD_STR] = sizeof(char *),
		[SG_FIELD_BLOB] = sizeof(struct sg_blob),
		[SG_FIELD_LIST] = sizeof(void *),
		[SG_FIELD_STRS] = sizeof(char **),
	};
	unsigned char *map = calloc(1, layout->size);

	assert_non_null(map);
	for (size_t i = 0; i < layout->field_count; i++) {
		const struct sg_field *field = &layout->fields[i];

		if (field->kind == SG_FIELD_LIST || field->kind == SG_FIELD_STRS)
			cover(map, field->count_offset, sizeof(uint32_t));
		if (field->kind == SG_FIELD_STRUCT || field->kind == SG_FIELD_LIST)
			check_cover(field->inner);
		cover(map, field->offset,
		    field->kind == SG_FIELD_STRUCT ? field->inner->size : sizes[field->kind]);
	}
	for (size_t i = 0; i < layout->size && layout->field_count > 0; i++) {
		if (!map[i])
			assert_true(i % 8 >= 4 && map[i - i % 8]);
	}
	free(map);
}

static void every_member_is_a_field(void **state)
{
	for (size_t i = 0; i < TYPE_COUNT; i++)
		check_cover(sg_msg_layout(types[i].type));
}

/* Fills every field with a value of its own. */
static void fill(const struct sg_layout *layout, void *object, unsigned *seed)
{
	for (size_t i = 0; i < layout->field_count; i++) {
		const struct sg_field *field = &layout->fields[i];
		char *at = (char *)object + field->offset;
		uint32_t count = 3, number = 0x01000000u + ++*seed;
		char *text = NULL;
		void *list;

		assert_true(asprintf(&text, "value %u \xc3\xbc", *seed) > 0);
		switch (field->kind) {
		case SG_FIELD_U32:
			memcpy(at, &number, sizeof(number));
			break;
		case SG_FIELD_STR:
			memcpy(at, &text, sizeof(text));
			text = NULL;
			break;
		case SG_FIELD_BLOB:
			assert_int_equal(sg_blob_set((void *)at, text, strlen(text)), 0);
			break;
		case SG_FIELD_STRUCT:
			fill(field->inner, at, seed);
			break;
		case SG_FIELD_LIST:
			list = calloc(count, field->inner->size);
			for (uint32_t n = 0; n < count; n++)
				fill(field->inner, (char *)list + n * field->inner->size, seed);
			memcpy(at, &list, sizeof(list));
			memcpy((char *)object + field->count_offset, &count, sizeof(count));
			break;
		case SG_FIELD_STRS:
			list = calloc(count, sizeof(char *));
			for (uint32_t n = 0; n < count; n++)
				((char **)list)[n] = strdup(text);
			memcpy(at, &list, sizeof(list));
			memcpy((char *)object + field->count_offset, &count, sizeof(count));
			break;
		}
		free(text);
	}
}

static void every_message_round_trips(void **state)
{
	for (size_t i = 0; i < TYPE_COUNT; i++) {
		const struct sg_layout *layout = sg_msg_layout(types[i].type);
		struct sg_buf first = { 0 }, second = { 0 };
		void *object = calloc(1, layout->size);
		unsigned seed = 0;
		struct sg_cursor cur;

		sg_buf_put(
		    &first, "", 1); /* so that it has memory even when the message is empty */
		sg_buf_consume(&first, 1);
		fill(layout, object, &seed);
		assert_int_equal(sg_layout_encode(layout, object, &first), 0);
		sg_msg_clear(types[i].type, object);
		cur = (struct sg_cursor){ first.data, first.data + first.len };
		assert_int_equal(sg_layout_decode(layout, &cur, object), 0);
		assert_int_equal(sg_cursor_left(&cur), 0);
		assert_int_equal(sg_layout_encode(layout, object, &second), 0);
		assert_int_equal(first.len, second.len);
		assert_int_equal(first.len > 0, layout->field_count > 0);
		if (first.len > 0)
			assert_memory_equal(first.data, second.data, first.len);
		sg_msg_clear(types[i].type, object);
		for (size_t len = 0; len < first.len; len++) {
			cur = (struct sg_cursor){ first.data, first.data + len };
			assert_int_equal(sg_layout_decode(layout, &cur, object), SG_ERR_FORMAT);
		}
		sg_buf_clear(&first);
		sg_buf_clear(&second);
		free(object);
	}
}

/* One message byte by byte, so that the order on the wire cannot change unseen. */
static void order_on_the_wire(void **state)
{
	static const char wire[] = "\x00\x00\x00\x01\x00\x00\x00\x02\x00\x01\x00\x00\x00\x01p"
				   "\x01\x00\x00\x00\x01k\x00\x00\x08\x04\x00\x00\x00\x02tb"
				   "\x00\x00\x00\x01h";
	char purpose[] = "p", key[] = "k";
	unsigned char tbs[] = "tb", hash[] = "h";
	struct sg_msg_tls_sign msg = { .caller = { .uid = 1, .pid = 2, .purpose = purpose },
		.key = key,
		.scheme = 0x0804,
		.tbs = { tbs, 2 },
		.spki_sha256 = { hash, 1 } };
	struct sg_buf buf = { 0 };

	assert_int_equal(sg_layout_encode(sg_msg_layout(SG_MSG_TLS_SIGN), &msg, &buf), 0);
	assert_int_equal(buf.len, sizeof(wire) - 1);
	assert_memory_equal(buf.data, wire, buf.len);
	sg_buf_clear(&buf);
}

/* What stands in the book of PINs: one that was refused, and one that nobody knows about. */
static void hashes_on_the_wire(void **state)
{
	static const char wire[] = "\x00\x00\x00\x01k\x00\x00\x00\x01s\x00\x00\x00\x02"
				   "\x00\x00\x00\x01r\x00\x00\x00\x00"
				   "\x00\x00\x00\x01u\x00\x00\x00\x01"
				   "\x00\x00\x00\x02\x00\x00\x00\x03";
	unsigned char key[] = "k", salt[] = "s", refused[] = "r", unsure[] = "u";
	struct sg_pin_hash hashes[] = { { { refused, 1 }, 0 }, { { unsure, 1 }, 1 } };
	struct sg_pin_ledger ledger = { { key, 1 }, { salt, 1 }, hashes, 2, 2, 3 };
	struct sg_buf buf = { 0 };

	assert_int_equal(sg_layout_encode(&sg_layout_pin_ledger, &ledger, &buf), 0);
	assert_int_equal(buf.len, sizeof(wire) - 1);
	assert_memory_equal(buf.data, wire, buf.len);
	sg_buf_clear(&buf);
}

/* ---- the document ---- */

static FILE *document_open(void)
{
	FILE *file = fopen("proto/PROTOCOL.internal", "r");

	assert_non_null(file);
	return file;
}

/* Leaves the file behind the line that names the struct in section 5. */
static void document_find(FILE *file, const char *name)
{
	char line[256];
	int section = 0;

	rewind(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		section |= strcmp(line, "5. Messages\n") == 0;
		line[strcspn(line, " \n")] = '\0';
		if (section && strcmp(line, name) == 0)
			return;
	}
	fail_msg("%s is not in the document", name);
}

/* The next field of the struct: its kind, and the inner struct's name. */
static int document_field(FILE *file, char kind[16], char inner[64])
{
	char line[256];

	while (fgets(line, sizeof(line), file) != NULL && line[0] == '\t') {
		if (line[1] != ' ' && sscanf(line, " %*[a-z0-9_] %15s %63s", kind, inner) >= 1)
			return 1;
	}
	return 0;
}

static void check_document(const char *name, const struct sg_layout *layout)
{
	static const char *const kinds[] = {
		[SG_FIELD_U32] = "u32",
		[SG_FIELD_STR] = "str",
		[SG_FIELD_BLOB] = "blob",
		[SG_FIELD_STRUCT] = "struct",
		[SG_FIELD_LIST] = "list",
		[SG_FIELD_STRS] = "strs",
	};
	FILE *file = document_open();
	char kind[16], inner[64];

	document_find(file, name);
	for (size_t i = 0; i < layout->field_count; i++) {
		assert_true(document_field(file, kind, inner));
		assert_string_equal(kind, kinds[layout->fields[i].kind]);
		if (layout->fields[i].inner != NULL)
			check_document(inner, layout->fields[i].inner);
	}
	assert_false(document_field(file, kind, inner));
	fclose(file);
}

static void the_document_says_the_same(void **state)
{
	FILE *file = document_open();
	char line[256], name[64];
	unsigned type;
	size_t found = 0;

	while (fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "\t%u  %*[A-Z0-9_] %63[a-z0-9_]", &type, name) != 2)
			continue;
		assert_true(found < TYPE_COUNT);
		assert_int_equal(types[found++].type, type);
		check_document(name, sg_msg_layout((uint16_t)type));
	}
	assert_int_equal(found, TYPE_COUNT);
	fclose(file);
}

/* ---- errors ---- */

static void error_messages(void **state)
{
	struct sg_msg_error error;

	memset(&error, 0, sizeof(error));
	sg_msg_error_set(&error, SG_ERR_PIN_WRONG, "pkcs11:token=a", "tries: %d", 2);
	assert_int_equal(error.code, 25);
	assert_string_equal(error.message, "tries: 2");
	assert_string_equal(error.subject, "pkcs11:token=a");
	assert_null(error.condition);
	assert_int_equal(error.tries_left, SG_TRIES_UNKNOWN);
	assert_int_equal(error.candidate_count, 0);
	sg_msg_clear(SG_MSG_ERROR, &error);
	assert_null(error.message);

	sg_msg_error_set(&error, SG_ERR_IO, NULL, NULL);
	assert_null(error.message);
	assert_null(error.subject);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

/* What a peer or a token said is quoted, and must not make the error itself malformed. */
static void error_messages_quote_safely(void **state)
{
	struct sg_msg_error error = { 0 };
	struct sg_buf buf = { 0 };

	sg_msg_error_set(&error, SG_ERR_STANZA, "a\xff", "said: %s", "\x1b[31m\xc3");
	assert_string_equal(error.subject, "a?");
	assert_string_equal(error.message, "said: ?[31m?");
	assert_int_equal(sg_layout_encode(&sg_layout_error, &error, &buf), 0);
	sg_buf_clear(&buf);
	sg_msg_clear(SG_MSG_ERROR, &error);
}

static void error_codes_of_a_strange_worker(void **state)
{
	static const uint32_t strange[] = { 0, 1001, 0x7fffffff, 0x80000000, 0xffffffff };
	struct sg_msg_error error = { .code = (uint32_t)-SG_ERR_PIN_WRONG };

	assert_int_equal(sg_msg_error_code(&error), SG_ERR_PIN_WRONG);
	for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		error.code = strange[i];
		assert_int_equal(sg_msg_error_code(&error), SG_ERR_INTERNAL);
	}
}

static void clear_of_nothing(void **state)
{
	struct sg_msg_der der = { 0 };

	sg_msg_clear(SG_MSG_DER, NULL);
	sg_msg_clear(SG_MSG_DER, &der);
	sg_msg_clear(9999, &der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_its_struct),
		cmocka_unit_test(every_member_is_a_field),
		cmocka_unit_test(every_message_round_trips),
		cmocka_unit_test(order_on_the_wire),
		cmocka_unit_test(hashes_on_the_wire),
		cmocka_unit_test(the_document_says_the_same),
		cmocka_unit_test(error_messages),
		cmocka_unit_test(error_messages_quote_safely),
		cmocka_unit_test(error_codes_of_a_strange_worker),
		cmocka_unit_test(clear_of_nothing),
	};

	return cmocka_run_group_tests_name("msg", tests, NULL, NULL);
}
