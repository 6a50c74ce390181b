/*
 * signet-token on real SoftHSM: keys and certificates.
 */
#include "token_world.h"

#include "cert.h"
#include "keygen.h"

/* ---- keys ---- */

static void test_keys_have_the_whole_template(void **state)
{
	static const char *const algorithms[] = { "rsa2048", "p256", "p384" };
	size_t i, keys;
	char *text;

	for (i = 0; i < 3; i++) {
		char label[16], algorithm[16];

		snprintf(label, sizeof(label), "t-%s", algorithms[i]);
		snprintf(algorithm, sizeof(algorithm), "%s", algorithms[i]);
		generate(&worker, TEXT("alpha"), label, algorithm);
		assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label",
				     "alpha", "--login", "--pin", "env:SIGNET_TEST_PIN",
				     "--list-objects", "--type", "privkey", "--label", label),
		    0);
		text = file_read("out");
		/* Of each: some versions of the tool list the others too. */
		keys = count_of(text, "Private Key Object");
		assert_true(keys > 0);
		assert_int_equal(
		    count_of(text, "sensitive, always sensitive, never extractable, local"), keys);
		if (count_of(text, "Usage:      sign\n") != keys)
			fail_msg("a key is good for more than signing: %s", text);
		free(text);
	}
}

static void expect_generate_error(char *token, char *label, char *algorithm, int code)
{
	struct sg_msg_key_generate msg = { .token = token, .label = label, .algorithm = algorithm };

	ask_error(&worker, SG_MSG_KEY_GENERATE, &msg, -1, code);
}

static void test_key_generation_refusals(void **state)
{
	struct sg_msg_key_generate long_id = {
		.token = TEXT("alpha"), .label = TEXT("long id"), .algorithm = TEXT("p256")
	};
	unsigned char id[300] = { 1 };
	char label[SG_KEY_LABEL_MAX + 2];

	generate(&worker, TEXT("alpha"), TEXT("once"), TEXT("p256"));
	expect_generate_error(TEXT("alpha"), TEXT("once"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("twice"), TEXT("rsa1024"), SG_ERR_UNSUPPORTED);
	expect_generate_error(TEXT("alpha"), TEXT(""), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("pkcs11:object=x"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("alpha"), TEXT("two\nlines"), TEXT("p256"), SG_ERR_ARG);
	expect_generate_error(TEXT("beta"), TEXT("locked"), TEXT("p256"), SG_ERR_PIN_NEEDED);
	memset(label, 'l', sizeof(label));
	label[SG_KEY_LABEL_MAX + 1] = 0;
	expect_generate_error(TEXT("alpha"), label, TEXT("p256"), SG_ERR_ARG);
	label[SG_KEY_LABEL_MAX] = 0;
	generate(&worker, TEXT("alpha"), label, TEXT("p256"));
	long_id.id = (struct sg_blob){ id, sizeof(id) };
	ask_error(&worker, SG_MSG_KEY_GENERATE, &long_id, -1, SG_ERR_ARG);
}

static char *generate_for(struct sg_caller caller, char *label)
{
	struct sg_msg_key_generate msg = {
		.caller = caller, .token = TEXT("alpha"), .label = label, .algorithm = TEXT("p256")
	};
	struct sg_frame answer;
	char *uri;

	ask(&worker, SG_MSG_KEY_GENERATE, &msg, SG_MSG_OBJECTS, &answer);
	uri = strdup(((const struct sg_msg_objects *)answer.msg)->keys[0].uri);
	sg_frame_clear(&answer);
	return uri;
}

static void csr_for(struct sg_caller caller, char *uri)
{
	struct sg_msg_csr_make msg = { .caller = caller, .key = uri, .jid = TEXT("a@b.test") };

	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
}

static void expect_discard_error(struct sg_caller caller, char *uri)
{
	struct sg_msg_key_discard msg = { .caller = caller, .key = uri };

	ask_error(&worker, SG_MSG_KEY_DISCARD, &msg, -1, SG_ERR_DENIED);
}

/* A pair goes with the call that made it, and with no other; once somebody else has used it, it
 * stays. */
static void test_new_keys_are_discarded(void **state)
{
	const struct sg_caller maker = { .pid = 7, .purpose = TEXT("NewKey") },
			       other = { .pid = 8, .purpose = TEXT("NewKey") },
			       use = { .pid = 7, .purpose = TEXT("MakeCsr") };
	char *mine = generate_for(maker, TEXT("mine")), *used = generate_for(maker, TEXT("used"));
	struct sg_msg_key_discard msg = { .caller = maker, .key = mine };
	struct sg_msg_csr_make csr = { .key = mine, .jid = TEXT("a@b.test") };
	struct sg_frame answer;

	csr_for(maker, mine);
	csr_for(use, used);
	expect_discard_error(other, mine);
	expect_discard_error(use, mine);
	expect_discard_error(maker, used);
	expect_discard_error(maker, TEXT("mine"));
	expect_discard_error(maker, TEXT(""));
	ask(&worker, SG_MSG_KEY_DISCARD, &msg, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	expect_discard_error(maker, mine);
	ask_error(&worker, SG_MSG_CSR_MAKE, &csr, -1, SG_ERR_KEY_ABSENT);
	csr_for(use, used);
	free(mine);
	free(used);
}

static void expect_csr_error(char *key, char *jid, int code)
{
	struct sg_msg_csr_make msg = { .key = key, .jid = jid };

	ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, code);
}

static void test_key_selectors(void **state)
{
	struct sg_msg_csr_make named = { .key = TEXT("pkcs11:token=alpha;object=double"),
		.jid = TEXT("juliet@example.com") };
	const struct sg_msg_error *error;
	struct sg_msg_csr_make msg = { .key = TEXT("double"), .jid = TEXT("juliet@example.com") };

	login(&worker, TEXT("beta"));
	generate(&worker, TEXT("alpha"), TEXT("double"), TEXT("p256"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	generate(&worker, TEXT("beta"), TEXT("double"), TEXT("p256"));
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_KEY_AMBIGUOUS);
	assert_int_equal(error->candidate_count, 2);
	assert_non_null(strstr(error->candidates[0].uri, "type=private"));
	assert_string_not_equal(error->candidates[0].uri, error->candidates[1].uri);
	assert_null(strstr(error->message, "told apart"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &named, "csr");
	named.key = TEXT("pkcs11:token=alpha;object=double;type=public");
	ask_der(&worker, SG_MSG_CSR_MAKE, &named, "csr");
	expect_csr_error(TEXT("pkcs11:token=alpha;object=double;type=cert"),
	    TEXT("juliet@example.com"), SG_ERR_KEY_ABSENT);
	expect_csr_error(TEXT("pkcs11:object=double;token=alpha;library-manufacturer=Another"),
	    TEXT("juliet@example.com"), SG_ERR_KEY_ABSENT);
	named.key = TEXT("pkcs11:token=alpha;object=double;library-manufacturer=SoftHSM");
	ask_der(&worker, SG_MSG_CSR_MAKE, &named, "csr");
	expect_csr_error(TEXT("nobody"), TEXT("juliet@example.com"), SG_ERR_KEY_ABSENT);
	expect_csr_error(TEXT(""), TEXT("juliet@example.com"), SG_ERR_ARG);
	expect_csr_error(TEXT("double"), TEXT("not a jid"), SG_ERR_ARG);
	expect_csr_error(TEXT("double"), TEXT("juliet@example.com/balcony"), SG_ERR_ARG);
}

static void test_locked_keys_are_seen(void **state)
{
	struct sg_msg_object_list list = { .selector = TEXT("seen") };
	struct sg_msg_csr_make msg = { .key = TEXT("seen"), .jid = TEXT("juliet@example.com") };
	const struct sg_msg_objects *objects;
	const struct sg_msg_error *error;
	struct sg_frame unlocked, locked;

	generate(&worker, TEXT("alpha"), TEXT("seen"), TEXT("rsa2048"));
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &unlocked);
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	logout(&worker, TEXT("alpha"));
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &locked);
	objects = locked.msg;
	assert_int_equal(objects->key_count, 1);
	assert_true(
	    ((const struct sg_msg_objects *)unlocked.msg)->keys[0].abilities & SG_KEY_PRIVATE_SEEN);
	assert_false(objects->keys[0].abilities &
	    (SG_KEY_PRIVATE_SEEN | SG_KEY_SENSITIVE | SG_KEY_EXTRACTABLE | SG_KEY_ALWAYS_AUTH));
	assert_string_equal(
	    objects->keys[0].uri, ((const struct sg_msg_objects *)unlocked.msg)->keys[0].uri);
	assert_true(sg_blob_eq(
	    &objects->keys[0].spki, &((const struct sg_msg_objects *)unlocked.msg)->keys[0].spki));
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_PIN_NEEDED);
	assert_non_null(strstr(error->subject, "token=alpha"));
	login(&worker, TEXT("alpha"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	sg_frame_clear(&unlocked);
	sg_frame_clear(&locked);
}

/* No URI names one of the two: the message must not send anybody to look for it. */
static void test_keys_that_cannot_be_told_apart(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("alike"), .jid = TEXT("juliet@example.com") };
	const struct sg_msg_error *error;
	int i;

	for (i = 0; i < 2; i++)
		assert_int_equal(
		    RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			"--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen", "--key-type",
			"EC:prime256v1", "--label", "alike", "--id", "55"),
		    0);
	error = ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_KEY_AMBIGUOUS);
	assert_non_null(strstr(error->message, "cannot be told apart"));
	assert_non_null(strstr(error->message, "relabel"));
	assert_int_equal(error->candidate_count, 2);
	assert_string_equal(error->candidates[0].uri, error->candidates[1].uri);
}

/* Another program removes a key and makes one of the same name: ours follows. */
static void test_key_replaced_by_another_program(void **state)
{
	struct sg_msg_csr_make msg = { .key = TEXT("shared"), .jid = TEXT("juliet@example.com") };
	static const char *const kinds[] = { "privkey", "pubkey" };
	size_t i;

	generate(&worker, TEXT("alpha"), TEXT("shared"), TEXT("p256"));
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	for (i = 0; i < 2; i++)
		assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label",
				     "alpha", "--login", "--pin", "env:SIGNET_TEST_PIN",
				     "--delete-object", "--type", kinds[i], "--label", "shared"),
		    0);
	ask_error(&worker, SG_MSG_CSR_MAKE, &msg, -1, SG_ERR_KEY_ABSENT);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--login", "--pin", "env:SIGNET_TEST_PIN", "--keypairgen",
			     "--key-type", "rsa:2048", "--label", "shared", "--id", "77"),
	    0);
	ask_der(&worker, SG_MSG_CSR_MAKE, &msg, "csr");
	assert_int_equal(RUN("openssl", "req", "-inform", "DER", "-in", path_of("csr"), "-verify",
			     "-noout", "-text"),
	    0);
	assert_true(out_has("(2048 bit)"));
}

/* ---- certificates ---- */

static void test_certificate_store(void **state)
{
	struct sg_msg_self_cert_make make = {
		.key = TEXT("holder"), .jid = TEXT("juliet@example.com"), .days = 30
	};
	struct sg_msg_cert_store store = { .key = TEXT("holder"), .label = TEXT("a certificate") };
	struct sg_msg_object_list list = { .selector = TEXT("holder") };
	const struct sg_msg_objects *objects;
	char label[SG_CERT_LABEL_MAX + 2] = { 0 };
	struct sg_frame answer;
	int i;

	generate(&worker, TEXT("alpha"), TEXT("holder"), TEXT("p256"));
	generate(&worker, TEXT("alpha"), TEXT("other"), TEXT("p256"));
	ask_der(&worker, SG_MSG_SELF_CERT_MAKE, &make, "cert");
	store.der = blob_read("cert");
	for (i = 0; i < 2; i++) {
		ask(&worker, SG_MSG_CERT_STORE, &store, SG_MSG_OBJECTS, &answer);
		objects = answer.msg;
		assert_int_equal(objects->cert_count, 1);
		assert_true(sg_blob_eq(&objects->certs[0].der, &store.der));
		assert_non_null(strstr(objects->certs[0].uri, "type=cert"));
		sg_frame_clear(&answer);
	}
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &answer);
	objects = answer.msg;
	assert_int_equal(objects->cert_count, 1);
	assert_true(sg_blob_eq(&objects->certs[0].id, &objects->keys[0].id));
	sg_frame_clear(&answer);
	list.selector = TEXT("pkcs11:type=cert;object=a%20certificate");
	ask(&worker, SG_MSG_OBJECT_LIST, &list, SG_MSG_OBJECTS, &answer);
	assert_int_equal(((const struct sg_msg_objects *)answer.msg)->cert_count, 0);
	sg_frame_clear(&answer);
	memset(label, 'l', SG_CERT_LABEL_MAX + 1);
	store.label = label;
	ask_error(&worker, SG_MSG_CERT_STORE, &store, -1, SG_ERR_ARG);
	label[SG_CERT_LABEL_MAX] = 0;
	ask(&worker, SG_MSG_CERT_STORE, &store, SG_MSG_OBJECTS, &answer); /* there already */
	sg_frame_clear(&answer);
	store.key = TEXT("other");
	ask_error(&worker, SG_MSG_CERT_STORE, &store, -1, SG_ERR_CERT_MISMATCH);
	store.der.len--;
	ask_error(&worker, SG_MSG_CERT_STORE, &store, -1, SG_ERR_FORMAT);
	sg_blob_clear(&store.der);
	assert_int_equal(RUN("pkcs11-tool", "--module", world_module, "--token-label", "alpha",
			     "--list-objects", "--type", "cert"),
	    0);
	assert_true(out_has("subject:    DN: CN=juliet@example.com"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    test_keys_have_the_whole_template, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_key_generation_refusals, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_new_keys_are_discarded, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_key_selectors, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_locked_keys_are_seen, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(
		    test_key_replaced_by_another_program, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(
		    test_keys_that_cannot_be_told_apart, start_unlocked, stop),
		cmocka_unit_test_setup_teardown(test_certificate_store, start_unlocked, stop),
	};

	return cmocka_run_group_tests_name("token keys", tests, world_start, world_stop);
}
