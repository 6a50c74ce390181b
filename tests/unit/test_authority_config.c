#include "authority/config.h"

#include <unistd.h>

#include "authority/profile.h"
#include "capture.h"
#include "codecs.h"

#define COMPONENT "[component]\njid = ccm.xmpp.test\nsecret-file = /s\n"
#define AUTHORITY "[authority]\ndomains = xmpp.test Other.Test\n"
#define TOKEN	  "[token]\nmodule = /m.so\ntoken = t\nkey = k\n"
#define PIN	  "pin-file = /pin\n"
#define FILES	  "[files]\nledger = /l\ncrl = /c\nrevoked = /r\nlogins = /g\n"
#define ALL	  COMPONENT AUTHORITY TOKEN PIN FILES

static int read_text(const char *text, struct sg_authority_config *config, struct capture *capture)
{
	char path[] = "/tmp/signet-authority-XXXXXX";
	int fd = mkstemp(path), err;

	memset(config, 0, sizeof(*config));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	capture_begin(capture);
	err = sg_authority_config_read(path, config);
	capture_end(capture);
	if (err != 0)
		assert_non_null(strstr(capture->text, path));
	unlink(path);
	return err;
}

static void everything_has_its_place(void **state)
{
	struct sg_authority_config config;
	struct capture capture;

	assert_int_equal(read_text(ALL, &config, &capture), 0);
	assert_string_equal(config.jid, "ccm.xmpp.test");
	assert_string_equal(config.host, "127.0.0.1");
	assert_int_equal(config.port, 5347);
	assert_string_equal(config.secret_file, "/s");
	assert_string_equal(config.domains[0], "xmpp.test");
	assert_string_equal(config.domains[1], "other.test");
	assert_null(config.domains[2]);
	assert_int_equal(config.lifetime_hours, 365 * 24);
	assert_int_equal(config.requests_per_minute, 60);
	assert_null(config.accounts);
	assert_null(config.refused_accounts);
	assert_int_equal(config.certificates_per_account, 20);
	assert_int_equal(config.subject_keys, SG_SUBJECT_KEYS_DEFAULT);
	assert_string_equal(config.module, "/m.so");
	assert_null(config.module_dirs);
	assert_string_equal(config.token, "t");
	assert_string_equal(config.key, "k");
	assert_string_equal(config.pin_file, "/pin");
	assert_string_equal(config.ledger, "/l");
	assert_string_equal(config.crl, "/c");
	assert_string_equal(config.revoked, "/r");
	assert_string_equal(config.logins, "/g");
	assert_null(config.metrics);
	sg_authority_config_clear(&config);
	assert_null(config.logins);
}

static void metrics_are_for_this_machine_alone(void **state)
{
	static const char *const good[] = { "127.0.0.1:9633", "127.1.2.3:1", "[::1]:65535", "/m" };
	static const char *const bad[] = { "0.0.0.0:9633", "10.0.0.1:9633", "[::]:9633", "[::1]",
		"localhost:9633", "9633", ":9633", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536",
		"127.0.0.1:+1", "m" };
	struct sg_authority_config config;
	struct capture capture;
	char *text;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		text = text_of(ALL "[metrics]\nlisten = %s\n", good[i]);
		assert_int_equal(read_text(text, &config, &capture), 0);
		assert_string_equal(config.metrics, good[i]);
		sg_authority_config_clear(&config);
		free(text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		text = text_of(ALL "[metrics]\nlisten = %s\n", bad[i]);
		assert_int_equal(read_text(text, &config, &capture), SG_ERR_CONFIG);
		assert_non_null(strstr(capture.text, "[metrics]"));
		sg_authority_config_clear(&config);
		free(text);
	}
}

static void numbers_and_lists(void **state)
{
	struct sg_authority_config config;
	struct capture capture;

	assert_int_equal(
	    read_text(COMPONENT "host = ::1\nport = 65535\n" AUTHORITY
				"lifetime-days = 3650\ncertificates-per-account = 1\n"
				"requests-per-minute = 60000\n"
				"accounts = Alice@xmpp.test\tbob@xmpp.test\n"
				"refused-accounts = /etc/refused accounts\n"
				"key-algorithms = p256  ed25519 rsa3072\n" TOKEN PIN FILES,
		&config, &capture),
	    0);
	assert_int_equal(config.port, 65535);
	assert_int_equal(config.lifetime_hours, 3650 * 24);
	assert_int_equal(config.requests_per_minute, 60000);
	assert_string_equal(config.accounts[0], "alice@xmpp.test");
	assert_string_equal(config.accounts[1], "bob@xmpp.test");
	assert_null(config.accounts[2]);
	assert_string_equal(config.refused_accounts[0], "/etc/refused accounts");
	assert_null(config.refused_accounts[1]);
	assert_int_equal(config.certificates_per_account, 1);
	assert_int_equal(config.subject_keys,
	    SG_SUBJECT_KEY_P256 | SG_SUBJECT_KEY_ED25519 | SG_SUBJECT_KEY_RSA3072);
	sg_authority_config_clear(&config);
	assert_int_equal(read_text(COMPONENT AUTHORITY TOKEN "module-dirs = /a:/b\n" PIN FILES,
			     &config, &capture),
	    0);
	assert_string_equal(config.module_dirs, "/a:/b");
	sg_authority_config_clear(&config);
	assert_int_equal(read_text(COMPONENT AUTHORITY "lifetime-hours = 1\n" TOKEN PIN FILES,
			     &config, &capture),
	    0);
	assert_int_equal(config.lifetime_hours, 1);
	sg_authority_config_clear(&config);
}

static void a_bad_value_is_named(void **state)
{
	static const char *const bad[] = {
		"[component]\nport = 0\n",
		"[component]\nport = 65536\n",
		"[component]\nport = 1x\n",
		"[component]\nport = -1\n",
		"[component]\nport =\n",
		"[component]\njid =\n",
		"[component]\njid = a\njid = b\n",
		"[component]\nunknown = 1\n",
		"[token]\nmodule-dirs = lib\n",
		"[component]\nport = 1\nport = 2\n",
		"[authority]\nlifetime-days = 1\nlifetime-days = 1\n",
		"[authority]\ncertificates-per-account = 1\ncertificates-per-account = 2\n",
		"[authority]\nkey-algorithms = rsa\nkey-algorithms = p256\n",
		"[authority]\ndomains = a\ndomains = b\n",
		"[authority]\nlifetime-days = 3651\n",
		"[authority]\nlifetime-days = 0\n",
		"[authority]\nlifetime-hours = 0\n",
		"[authority]\nlifetime-hours = 87601\n",
		"[authority]\nlifetime-days = 1\nlifetime-hours = 1\n",
		"[authority]\nlifetime-hours = 1\nlifetime-days = 1\n",
		"[authority]\nrequests-per-minute = 0\n",
		"[authority]\nrequests-per-minute = 60001\n",
		"[authority]\naccounts =\n",
		"[authority]\naccounts = xmpp.test\n",
		"[authority]\naccounts = alice@xmpp.test/phone\n",
		"[authority]\naccounts = alice@xmpp.test bob\n",
		"[authority]\naccounts = a@b\naccounts = /a\n",
		"[authority]\nrefused-accounts = a@b\nrefused-accounts = a@b\n",
		"[authority]\ncertificates-per-account = 1001\n",
		"[authority]\nkey-algorithms = rsa dsa\n",
		"[authority]\nkey-algorithms =\n",
		"[authority]\ndomains =\n",
		"[authority]\ndomains = a@b\n",
		"[authority]\ndomains = b/c\n",
		"[token]\npin-credential = ../x\n",
		"[component]\nsecret-credential = ../x\n",
		"[unknown]\njid = x\n",
	};
	struct sg_authority_config config;
	struct capture capture;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (read_text(bad[i], &config, &capture) != SG_ERR_CONFIG)
			fail_msg("%s", bad[i]);
		/* not refused for what is missing beside it */
		if (strstr(capture.text, "bad value, or set twice") == NULL)
			fail_msg("%s: %s", bad[i], capture.text);
		sg_authority_config_clear(&config);
	}
	assert_int_equal(read_text("[component]\njid = CCM.xmpp.test\n" AUTHORITY TOKEN PIN FILES
				   "[component]\nsecret-file = /s\n",
			     &config, &capture),
	    SG_ERR_CONFIG);
	assert_non_null(strstr(capture.text, "lower case"));
	sg_authority_config_clear(&config);
}

static void a_missing_setting_is_named(void **state)
{
	static const struct {
		const char *text;
		const char *name;
	} cases[] = {
		{ AUTHORITY TOKEN PIN FILES, "'jid' in the section [component]" },
		{ COMPONENT TOKEN PIN FILES, "'domains' in the section [authority]" },
		{ COMPONENT AUTHORITY PIN FILES,
		    "unknown setting" }, /* stands in another section */
		{ COMPONENT AUTHORITY TOKEN FILES, "'pin-file' in the section [token]" },
		{ COMPONENT AUTHORITY TOKEN PIN, "'ledger' in the section [files]" },
	};
	struct sg_authority_config config;
	struct capture capture;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(read_text(cases[i].text, &config, &capture), SG_ERR_CONFIG);
		if (strstr(capture.text, cases[i].name) == NULL)
			fail_msg("'%s' is not in '%s'", cases[i].name, capture.text);
		sg_authority_config_clear(&config);
	}
}

static void paths_are_absolute(void **state)
{
	static const struct {
		const char *good, *instead, *refused; /* NULL: taken */
	} cases[] = {
		{ "secret-file = /s", "secret-file = etc/s", "secret-file = etc/s" },
		{ "pin-file = /pin", "pin-file = pin", "pin-file = pin" },
		{ "ledger = /l", "ledger = ledger.db", "ledger = ledger.db" },
		{ "crl = /c", "crl = ./c", "crl = ./c" },
		{ "revoked = /r", "revoked = ../r", "revoked = ../r" },
		{ "logins = /g", "logins = ~/g", "logins = ~/g" },
		{ "ledger = /l", "ledger = host=/run dbname=signet", NULL },
		{ "ledger = /l", "ledger = postgres:///signet", NULL },
	};
	struct sg_authority_config config;
	struct capture capture;
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *good = strstr(ALL, cases[i].good);

		assert_non_null(good);
		snprintf(text, sizeof(text), "%.*s%s%s", (int)(good - ALL), ALL, cases[i].instead,
		    good + strlen(cases[i].good));
		assert_int_equal(read_text(text, &config, &capture),
		    cases[i].refused != NULL ? SG_ERR_CONFIG : 0);
		if (cases[i].refused != NULL) {
			assert_non_null(strstr(capture.text, cases[i].refused));
			assert_non_null(strstr(capture.text, "must begin with '/'"));
		}
		sg_authority_config_clear(&config);
	}
}

static void files_that_are_the_same_are_refused(void **state)
{
	static const char *const cases[][2] = {
		{ "ledger = /l\ncrl = /c\nrevoked = /c\nlogins = /g\n", "'crl' and 'revoked'" },
		{ "ledger = /l\ncrl = /c\nrevoked = /r\nlogins = /r\n", "'revoked' and 'logins'" },
		{ "ledger = /l\ncrl = /l\nrevoked = /r\nlogins = /g\n", "'ledger' and 'crl'" },
		{ "ledger = /l\ncrl = //r\nrevoked = /r\nlogins = /g\n", "'crl' and 'revoked'" },
		{ "ledger = /l\ncrl = /c\nrevoked = /usr/../r\nlogins = /r\n",
		    "'revoked' and 'logins'" },
	};
	struct sg_authority_config config;
	struct capture capture;
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s[files]\n%s", COMPONENT AUTHORITY TOKEN PIN,
		    cases[i][0]);
		assert_int_equal(read_text(text, &config, &capture), SG_ERR_CONFIG);
		assert_non_null(strstr(capture.text, cases[i][1]));
		sg_authority_config_clear(&config);
	}
}

#define NO_SECRET   "[component]\njid = ccm.xmpp.test\nsecret-credential = secret\n"
#define CREDENTIALS NO_SECRET AUTHORITY TOKEN "pin-credential = pin\n" FILES

static void pin_and_secret_can_be_credentials(void **state)
{
	struct sg_authority_config config;
	struct capture capture;

	setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1);
	assert_int_equal(read_text(CREDENTIALS, &config, &capture), 0);
	assert_string_equal(config.pin_file, "/run/credentials/x/pin");
	assert_string_equal(config.secret_file, "/run/credentials/x/secret");
	sg_authority_config_clear(&config);
	/* beside the unit: where its credentials are */
	unsetenv("CREDENTIALS_DIRECTORY");
	assert_int_equal(read_text(CREDENTIALS, &config, &capture), 0);
	assert_string_equal(config.pin_file, "/run/credentials/signet-authority.service/pin");
	sg_authority_config_clear(&config);
	assert_int_equal(read_text(COMPONENT AUTHORITY TOKEN PIN "pin-credential = pin\n" FILES,
			     &config, &capture),
	    SG_ERR_CONFIG);
	sg_authority_config_clear(&config);
	assert_int_equal(
	    read_text(COMPONENT "secret-credential = s\n", &config, &capture), SG_ERR_CONFIG);
	sg_authority_config_clear(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_has_its_place),
		cmocka_unit_test(metrics_are_for_this_machine_alone),
		cmocka_unit_test(numbers_and_lists),
		cmocka_unit_test(a_bad_value_is_named),
		cmocka_unit_test(a_missing_setting_is_named),
		cmocka_unit_test(paths_are_absolute),
		cmocka_unit_test(files_that_are_the_same_are_refused),
		cmocka_unit_test(pin_and_secret_can_be_credentials),
	};

	return cmocka_run_group_tests_name("authority_config", tests, NULL, NULL);
}
