#include "authority/service.h"

#include <sys/stat.h>
#include <unistd.h>

#include <sqlite3.h>

#include "authority/file.h"
#include "authority/logins.h"
#include "capture.h"
#include "ccm2.h"
#include "codecs.h"

#define JULIET	   "juliet@xmpp.test"
#define REQUESTS   50
#define STANZA_MAX (512u << 10) /* what Prosody takes from a component */

/* A service without a token: there is no signet-token beside a test. */
struct world {
	char folder[64];
	struct sg_authority_config config;
	struct sg_service service;
};

static char *path_in(struct world *world, const char *name)
{
	return text_of("%s/%s", world->folder, name);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct sg_authority_config *config = &world->config;

	snprintf(world->folder, sizeof(world->folder), "/tmp/signet-service-XXXXXX");
	assert_non_null(mkdtemp(world->folder));
	config->module = strdup("/nonexistent/module.so");
	config->token = strdup("token");
	config->key = strdup("key");
	config->pin_file = path_in(world, "pin");
	config->ledger = path_in(world, "ledger.db");
	config->crl = path_in(world, "crl.pem");
	config->revoked = path_in(world, "revoked");
	config->logins = path_in(world, "logins");
	config->certificates_per_account = 1;
	config->lifetime_hours = 24;
	config->requests_per_minute = REQUESTS;
	config->subject_keys = ~0u;
	world->service.config = config;
	assert_int_equal(sg_ledger_open(config->ledger, &world->service.ledger), 0);
	assert_int_equal(sg_signer_new(config, &world->service.signer), 0);
	assert_int_equal(sg_policy_new(config, &world->service.policy), 0);
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	struct sg_authority_config *config = &world->config;

	sg_signer_free(world->service.signer);
	sg_policy_free(world->service.policy);
	sg_ledger_close(world->service.ledger);
	remove(config->ledger);
	remove(config->revoked);
	remove(config->logins);
	assert_int_equal(remove(world->folder), 0); /* nothing else was written */
	sg_authority_config_clear(config);
	free(world);
	return 0;
}

/* Asks as juliet; gives the payload's text, or the condition of the error. */
static char *ask(struct world *world, int set, struct sg_xml *payload)
{
	struct sg_answer answer = { 0 };
	struct capture capture;
	char *text;

	assert_non_null(payload);
	capture_begin(&capture);
	sg_service_request(&world->service, JULIET, set, payload, &answer);
	sg_service_flush(&world->service);
	assert_int_equal(answer.later, 0);
	assert_non_null(strstr(capture_end(&capture), "account=" JULIET));
	assert_true(!answer.type == !answer.condition);
	assert_true(!answer.type == !answer.text);
	if (answer.type != NULL)
		text = strdup(answer.condition);
	else
		text = answer.payload != NULL ? sg_xml_to_string(answer.payload) : strdup("");
	sg_xml_free(answer.payload);
	sg_xml_free(payload);
	return text;
}

static void assert_ask(struct world *world, int set, struct sg_xml *payload, const char *expected)
{
	char *text = ask(world, set, payload);

	assert_string_equal(text, expected);
	free(text);
}

/* len bytes that begin with the number, in juliet's ledger; gives the SHA-256 in hex. */
static char *add(struct world *world, uint32_t number, size_t len, time_t not_after)
{
	unsigned char serial[SG_SERIAL_LEN] = { 1, (unsigned char)(number >> 8),
		(unsigned char)number };
	unsigned char csr[32] = { (unsigned char)(number >> 8), (unsigned char)number };
	struct sg_blob der = { calloc(1, len), len };
	char *name = many('\'', SG_CCM2_NAME_MAX), *sha256;
	struct sg_ledger_entry entry = {
		.serial = serial,
		.account = JULIET,
		.name = name,
		.der = &der,
		.csr_sha256 = csr,
		.issued_at = NOW,
		.not_after = not_after,
	};

	memcpy(der.data, serial, sizeof(serial));
	assert_int_equal(sg_ledger_add(world->service.ledger, &entry, 1, 1000), 0);
	assert_int_equal(entry.outcome, SG_LEDGER_ADDED);
	sha256 = sg_x509_fingerprint(&der, "sha256");
	sg_blob_clear(&der);
	free(name);
	return sha256;
}

static struct sg_xml *list_request(void)
{
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_list_request_encode(&payload), 0);
	return payload;
}

static struct sg_xml *revoke_request(const char *sha256)
{
	struct sg_xml *payload;

	assert_int_equal(sg_ccm2_revoke_encode(sha256, &payload), 0);
	return payload;
}

static void a_list_ends_before_the_server_would_drop_us(void **state)
{
	struct world *world = *state;
	time_t now = time(NULL);
	struct sg_msg_ccm2_certs certs;
	struct sg_xml *tree;
	char *text;

	for (uint32_t i = 0; i < 300; i++) /* the first ones are expired, the last one is not */
		free(add(world, i, 2000, i == 0 ? now + DAY : now - DAY));
	text = ask(world, 0, list_request());
	assert_in_range(strlen(text), STANZA_MAX / 2, STANZA_MAX - 4096);
	tree = xml_of(text);
	assert_int_equal(sg_ccm2_list_decode(tree, &certs), 0);
	assert_in_range(certs.cert_count, 20, 299);
	assert_int_equal(certs.certs[0].der.data[2], 0); /* what can be used comes first */
	assert_int_equal(certs.certs[1].der.data[2], 299 & 255);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	sg_xml_free(tree);
	free(text);
}

/* The last entry that fits, and the first one already, with as many users as the logins file can hold. */
static void users_are_counted_before_they_are_listed(void **state)
{
	struct world *world = *state;
	time_t now = time(NULL);
	char *resource = many('\'', SG_LOGINS_RESOURCE_MAX), *text;
	FILE *file = fopen(world->config.logins, "w");
	struct sg_msg_ccm2_certs certs;
	struct sg_xml *tree;

	assert_non_null(file);
	for (uint32_t i = 0; i < 40; i++) {
		char *sha256 = add(world, i, 2000, now + DAY);

		fprintf(file, "%s\t2026-01-02T03:04:05Z", sha256);
		for (uint32_t k = 0; k < SG_LOGINS_RESOURCES_MAX; k++)
			fprintf(file, "\t%s", resource);
		fputs("\n", file);
		free(sha256);
	}
	assert_int_equal(fclose(file), 0);
	text = ask(world, 0, list_request());
	assert_in_range(strlen(text), STANZA_MAX / 2, STANZA_MAX - 4096);
	tree = xml_of(text);
	assert_int_equal(sg_ccm2_list_decode(tree, &certs), 0);
	assert_in_range(certs.cert_count, 2, 39);
	for (uint32_t i = 0; i < certs.cert_count; i++)
		assert_in_range(certs.certs[i].user_count, 1, SG_LOGINS_RESOURCES_MAX - 1);
	sg_msg_clear(SG_MSG_CCM2_CERTS, &certs);
	sg_xml_free(tree);
	free(text);
	free(resource);
}

static void types_and_elements(void **state)
{
	struct world *world = *state;
	char *zeros = many('0', 64);

	assert_ask(world, 1, list_request(), "bad-request");
	assert_ask(world, 0, revoke_request(zeros), "bad-request");
	assert_ask(world, 1, revoke_request(zeros), "item-not-found");
	free(zeros);
	assert_ask(world, 0, xml_of("<x xmlns='" SG_NS_CCM2_LIST "'/>"), "bad-request");
	assert_ask(world, 1, xml_of("<x xmlns='" SG_NS_CCM2_REVOKE "'/>"), "bad-request");
	assert_ask(world, 1, xml_of("<x xmlns='" SG_NS_CCM2_ADD "'/>"), "bad-request");
	assert_ask(world, 0, list_request(), "<list-of-certificates xmlns='" SG_NS_CCM2_LIST "'/>");
}

static struct sg_xml *add_request(void)
{
	const struct recipe recipe = { .jids = { JULIET } };
	EVP_PKEY *key = EVP_EC_gen("P-256");
	struct sg_msg_ccm2_add request = { .csr = make_csr(&recipe, key) };
	struct sg_xml *payload;

	request.name = strdup("phone");
	assert_int_equal(sg_ccm2_add_encode(&request, &payload), 0);
	sg_msg_clear(SG_MSG_CCM2_ADD, &request);
	EVP_PKEY_free(key);
	return payload;
}

static void who_asks_too_often_can_still_revoke(void **state)
{
	struct world *world = *state;
	char *zeros = many('0', 64);

	for (int i = 0; i < REQUESTS; i++)
		assert_ask(world, 0, list_request(),
		    "<list-of-certificates xmlns='" SG_NS_CCM2_LIST "'/>");
	assert_ask(world, 0, list_request(), "resource-constraint");
	assert_ask(world, 1, add_request(), "resource-constraint");
	assert_ask(world, 1, revoke_request(zeros), "item-not-found");
	free(zeros);
}

static void an_account_that_is_refused_can_list_and_revoke(void **state)
{
	struct world *world = *state;
	char *refused[] = { (char[]){ JULIET }, NULL };
	char *zeros = many('0', 64);

	world->config.refused_accounts = refused;
	assert_int_equal(sg_policy_reload(world->service.policy), 0);
	assert_ask(world, 1, add_request(), "forbidden");
	assert_ask(world, 0, list_request(), "<list-of-certificates xmlns='" SG_NS_CCM2_LIST "'/>");
	assert_ask(world, 1, revoke_request(zeros), "item-not-found");
	world->config.refused_accounts = NULL;
	free(zeros);
}

static void without_a_token_nothing_is_issued(void **state)
{
	struct world *world = *state;
	struct sg_ledger_stats stats;

	assert_ask(world, 1, add_request(), "internal-server-error");
	assert_int_equal(sg_ledger_stats(world->service.ledger, NOW, &stats), 0);
	assert_int_equal(stats.issued, 0);
	free(add(world, 1, 100, time(NULL) + DAY));
	assert_ask(world, 1, add_request(), "resource-constraint");
}

static void without_a_token_the_revoked_are_kept_out(void **state)
{
	struct world *world = *state;
	char *sha256 = add(world, 1, 100, time(NULL) + DAY);
	char line[80] = "";
	FILE *file;
	time_t before;

	for (int i = 0; i < 2; i++) { /* it stays unanswered until the CRL is there, too */
		before = time(NULL);
		assert_ask(world, 1, revoke_request(sha256), "internal-server-error");
		file = fopen(world->config.revoked, "r");
		assert_non_null(file);
		assert_non_null(fgets(line, sizeof(line), file));
		fclose(file);
		assert_int_equal(strlen(line), 65);
		assert_memory_equal(line, sha256, 64);
		assert_int_equal(world->service.stale, 1);
		assert_in_range(world->service.publish_at, before + 60, time(NULL) + 60);
		assert_int_equal(remove(world->config.revoked), 0);
	}
	assert_ask(world, 0, list_request(), "<list-of-certificates xmlns='" SG_NS_CCM2_LIST "'/>");
	assert_int_equal(sg_file_replace(world->config.revoked, "", 0, 0600), 0);
	free(sha256);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

/* More than what a buffer may hold: written, and read at the next start. */
static void a_list_of_many_revoked_is_written_whole(void **state)
{
	static const int count = SG_BUF_MAX / 65 + 2;
	struct world *world = *state;
	sqlite3 *db;
	char *sql = text_of(
	    "PRAGMA synchronous = OFF;"
	    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) "
	    "INSERT INTO certificate (serial, sha256, sha1, sha512, account, name, der, "
	    "csr_sha256, "
	    "issued_at, not_after, state, revoked_at) SELECT CAST(printf('%%020d', i) AS BLOB), "
	    "printf('%%064d', i), printf('%%040d', i), printf('%%0128d', i), '" JULIET
	    "', '', x'30', "
	    "zeroblob(32), 0, 0, 'revoked', 1 FROM n",
	    count);

	assert_int_equal(sqlite3_open(world->config.ledger, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	free(sql);
	for (int i = 0; i < 2; i++) {
		struct sg_published published = { 0 };

		assert_int_equal(sg_revocation_publish_list(
				     &world->config, world->service.ledger, NOW, &published),
		    0);
		assert_int_equal(published.kept.len, 0);
		sg_published_clear(&published);
		assert_int_equal(size_of(world->config.revoked), (off_t)count * 65);
	}
}

static void last_use_comes_from_the_file_and_stays(void **state)
{
	static const char *const times[] = { "2026-01-02T03:04:05Z", "2026-01-01T03:04:05Z", "" };
	struct world *world = *state;
	char *sha256 = add(world, 1, 100, time(NULL) + DAY), *line, *text;

	for (size_t i = 0; i < 3; i++) {
		line = text_of("%s\t%s\tphone\n", sha256, times[i]);
		assert_int_equal(
		    sg_file_replace(world->config.logins, line, strlen(line), 0600), 0);
		text = ask(world, 0, list_request());
		assert_non_null(strstr(text, "last-used='2026-01-02T03:04:05Z'"));
		assert_int_equal(strstr(text, "<resource>phone</resource>") != NULL, i < 2);
		free(text);
		free(line);
	}
	free(sha256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_list_ends_before_the_server_would_drop_us, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    users_are_counted_before_they_are_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(types_and_elements, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    who_asks_too_often_can_still_revoke, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    an_account_that_is_refused_can_list_and_revoke, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_token_nothing_is_issued, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    without_a_token_the_revoked_are_kept_out, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    a_list_of_many_revoked_is_written_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    last_use_comes_from_the_file_and_stays, setup, teardown),
	};

	umask(077);
	return cmocka_run_group_tests_name("authority_service", tests, NULL, NULL);
}
