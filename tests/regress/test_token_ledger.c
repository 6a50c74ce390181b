/*
 * The book of PINs: what is tried, what is not, and what the broker hears of it. A real SoftHSM whose
 * C_Login is counted, and a broker that answers as a test wants.
 */
#include "token_module.h"

#include <pthread.h>
#include <sys/socket.h>

#include "login.h"
#include "pin_set.h"
#include "scripted_pinentry.h"
#include "token_host.h"

static struct {
	atomic_int logins, so_logins, set_pins;
	CK_RV login_fault;
	CK_FLAGS flags;
} faults;

static CK_RV fake_login(
    CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	if (user == CKU_SO)
		faults.so_logins++;
	else
		faults.logins++;
	return faults.login_fault ? faults.login_fault : real->C_Login(session, user, pin, len);
}

static CK_RV fake_set_pin(CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG old_len,
    CK_UTF8CHAR *new, CK_ULONG new_len)
{
	faults.set_pins++;
	return real->C_SetPIN(session, old, old_len, new, new_len);
}

static CK_RV fake_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = real->C_GetTokenInfo(slot, info);

	if (rv == CKR_OK)
		info->flags |= faults.flags;
	return rv;
}

static unsigned char key_bytes[32] = "the key of the book, 32 bytes...";
static unsigned char salt_bytes[16] = "salt of a token.";
static struct sg_pin_hash wrong[4];
static struct sg_pin_ledger book;

static int begin(void **state)
{
	memset(&faults, 0, sizeof(faults));
	module_open();
	fake.C_Login = fake_login;
	fake.C_SetPIN = fake_set_pin;
	fake.C_GetTokenInfo = fake_token_info;
	host_start(module);
	book = (struct sg_pin_ledger){ .key = { key_bytes, sizeof(key_bytes) },
		.salt = { salt_bytes, sizeof(salt_bytes) },
		.wrong = wrong };
	return 0;
}

static int try_login(const char *pin)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha"), .ledger = book };
	int fd = pipe_of(pin), err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_login(module, &msg, fd, &error);
	close(fd);
	return err;
}

static void lock(void)
{
	struct sg_msg_token_ref msg = { .token = TEXT("alpha") };

	assert_int_equal(sg_logout(module, &msg, &error), 0);
}

/* What the broker would do. */
static void write_down_wrong(void)
{
	static unsigned char hashes[4][SG_PIN_HASH_SIZE];

	memcpy(hashes[book.wrong_count], host.hash, SG_PIN_HASH_SIZE);
	wrong[book.wrong_count].hash =
	    (struct sg_blob){ hashes[book.wrong_count], SG_PIN_HASH_SIZE };
	wrong[book.wrong_count].unsure = 0;
	book.wrong_count++;
}

static void write_down_unsure(void)
{
	write_down_wrong();
	wrong[book.wrong_count - 1].unsure = 1;
}

static void test_a_try_is_written_down_first(void **state)
{
	assert_int_equal(try_login(WORLD_PIN), 0);
	assert_int_equal(host.tries, 1);
	assert_int_equal(host.outcomes, 1);
	assert_int_equal(host.verdict, SG_PIN_TAKEN);
	assert_int_equal(faults.logins, 1);
	assert_int_equal(host.hash_len, SG_PIN_HASH_SIZE);
	lock();
	/* Nothing is tried that could not be written down. */
	host.answer = SG_ERR_IO;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_IO);
	assert_non_null(strstr(error.message, "nothing was tried"));
	assert_int_equal(faults.logins, 1);
	assert_int_equal(host.outcomes, 1);
}

static void test_without_a_book_nobody_is_asked(void **state)
{
	book = (struct sg_pin_ledger){ 0 };
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	assert_int_equal(try_login(WORLD_PIN), 0);
	assert_int_equal(faults.logins, 3);
	assert_int_equal(host.tries + host.outcomes, 0);
}

static void test_bad_books(void **state)
{
	book.salt.len = 15;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_ARG);
	book.salt.len = 16;
	book.key.len = 15;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_ARG);
	book.key = (struct sg_blob){ (unsigned char[65]){ 1 }, 65 };
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_ARG);
	assert_int_equal(faults.logins, 0);
}

static void test_a_wrong_pin_is_not_tried_again(void **state)
{
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	assert_int_equal(host.verdict, SG_PIN_REFUSED);
	write_down_wrong();
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	assert_non_null(strstr(error.message, "refused this PIN before"));
	assert_int_equal(faults.logins, 1);
	assert_int_equal(host.tries, 1);
	assert_int_equal(try_login("not that PIN"), SG_ERR_PIN_WRONG);
	assert_int_equal(faults.logins, 2);
	assert_int_equal(try_login(WORLD_PIN), 0);
	lock();
	/* Another token's salt: another hash. */
	memcpy(salt_bytes, "SALT", 4);
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	memcpy(salt_bytes, "salt", 4);
	assert_int_equal(faults.logins, 4);
}

static void test_the_last_try_as_counted(void **state)
{
	book.tries_max = 3;
	book.tries = 1;
	assert_int_equal(try_login("wrong"), SG_ERR_PIN_WRONG);
	assert_int_equal(error.tries_left, 1);
	book.tries = 2;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_DENIED);
	assert_non_null(strstr(error.message, "as counted"));
	assert_int_equal(error.tries_left, 1);
	assert_int_equal(faults.logins, 1);
	book.tries_max = 0; /* the flags tell */
	assert_int_equal(try_login(WORLD_PIN), 0);
}

static void test_a_failing_device_says_nothing_of_the_pin(void **state)
{
	faults.login_fault = CKR_DEVICE_REMOVED;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_TOKEN_ABSENT);
	assert_int_equal(host.tries, 1);
	assert_int_equal(host.outcomes, 1); /* it has answered all the same */
	assert_int_equal(host.verdict, SG_PIN_UNSAID);
	faults.login_fault = CKR_PIN_LOCKED;
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_PIN_LOCKED);
	assert_int_equal(host.verdict, SG_PIN_BLOCKED);
}

#define NEW_PIN "another-PIN-0815"
#define SO_PIN	"12345678" /* softhsm.sh's */

static int set_pin(uint32_t by, const char *lines)
{
	struct sg_msg_pin_set msg = { .token = TEXT("alpha"), .by = by, .ledger = book };
	int fd = pipe_of(lines), err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_pin_set(module, &msg, fd, &error);
	close(fd);
	return err;
}

/* ---- a person ---- */

static int ask_person(const char *const *answers)
{
	struct sg_msg_token_login msg = {
		.token = TEXT("alpha"), .source = SG_PIN_PINENTRY, .ledger = book
	};
	int fd = pinentry_begin(answers), err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_login(module, &msg, fd, &error);
	pinentry_finish(fd);
	return err;
}

static void test_a_person_insists(void **state)
{
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	write_down_wrong();
	/* Told so, another one is entered. */
	assert_int_equal(ask_person((const char *[]){ "not the PIN", WORLD_PIN, NULL }), 0);
	assert_int_equal(faults.logins, 2);
	assert_non_null(strstr(pinentry.seen, "refused this one before"));
	lock();
	/* Or the same again: it is tried. */
	assert_int_equal(
	    ask_person((const char *[]){ "not the PIN", "not the PIN", NULL }), SG_ERR_PIN_WRONG);
	assert_int_equal(pinentry.questions, 2);
	assert_int_equal(faults.logins, 3);
	/* An end to questions. */
	assert_int_equal(try_login("nor this"), SG_ERR_PIN_WRONG);
	write_down_wrong();
	assert_int_equal(
	    ask_person((const char *[]){ "not the PIN", "nor this", "not the PIN", NULL }),
	    SG_ERR_PIN_WRONG);
	assert_int_equal(pinentry.questions, 3);
	assert_int_equal(faults.logins, 4);
}

/* A try whose answer never came: a person may make it again, and nothing else does. */
static void test_an_unsure_pin(void **state)
{
	assert_int_equal(try_login(WORLD_PIN), 0);
	lock();
	write_down_unsure();
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_DENIED);
	assert_non_null(strstr(error.message, "no answer came"));
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n" NEW_PIN "\n"), SG_ERR_DENIED);
	assert_int_equal(faults.logins, 1);
	assert_int_equal(host.tries, 1);
	/* Others are not meant. */
	assert_int_equal(try_login("not the PIN"), SG_ERR_PIN_WRONG);
	assert_int_equal(faults.logins, 2);
	/* Asked for once. */
	assert_int_equal(ask_person((const char *[]){ WORLD_PIN, NULL }), 0);
	assert_int_equal(pinentry.questions, 1);
	assert_int_equal(faults.logins, 3);
}

static void test_a_person_decides_on_the_last_try(void **state)
{
	book.tries_max = 3;
	book.tries = 2;
	assert_int_equal(ask_person((const char *[]){ WORLD_PIN, NULL }), 0);
	assert_non_null(strstr(pinentry.seen, "LAST try"));
	lock();
	book.tries_max = 0;
	faults.flags = CKF_USER_PIN_FINAL_TRY;
	assert_int_equal(ask_person((const char *[]){ WORLD_PIN, NULL }), 0);
	assert_non_null(strstr(pinentry.seen, "LAST try"));
}

/* ---- a new PIN ---- */

static void test_new_pin_by_the_old_one(void **state)
{
	assert_int_equal(try_login(WORLD_PIN), 0);
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n" NEW_PIN "\n"), 0);
	assert_int_equal(host.tries, 2);
	assert_int_equal(host.outcomes, 2);
	assert_int_equal(host.verdict, SG_PIN_TAKEN);
	assert_int_equal(host.by, SG_PIN_USER);
	/* Locked now, and the new one alone opens. */
	assert_int_equal(try_login(WORLD_PIN), SG_ERR_PIN_WRONG);
	assert_int_equal(try_login(NEW_PIN), 0);
	lock();
	assert_int_equal(set_pin(SG_PIN_USER, NEW_PIN "\r\n" WORLD_PIN "\r\n"), 0);
	assert_int_equal(try_login(WORLD_PIN), 0);
}

static void test_new_pin_by_the_so_pin(void **state)
{
	assert_int_equal(set_pin(SG_PIN_SO, SO_PIN "\n" NEW_PIN "\n"), 0);
	assert_int_equal(host.by, SG_PIN_SO);
	assert_int_equal(host.verdict, SG_PIN_TAKEN);
	assert_int_equal(try_login(NEW_PIN), 0);
	lock();
	assert_int_equal(set_pin(SG_PIN_SO, "87654321\n" NEW_PIN "\n"), SG_ERR_PIN_WRONG);
	assert_non_null(strstr(error.message, "PUK or SO PIN"));
	assert_int_equal(host.verdict, SG_PIN_REFUSED);
	write_down_wrong();
	assert_int_equal(set_pin(SG_PIN_SO, "87654321\n" NEW_PIN "\n"), SG_ERR_PIN_WRONG);
	assert_int_equal(faults.so_logins, 2);
	assert_int_equal(set_pin(SG_PIN_SO, SO_PIN "\n" WORLD_PIN "\n"), 0);
}

static void test_new_pins_that_are_refused(void **state)
{
	char longer[300];

	/* SoftHSM wants 4 to 255. */
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\nabc\n"), SG_ERR_ARG);
	assert_non_null(strstr(error.message, "too short"));
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n"), SG_ERR_FORMAT);
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n\n"), SG_ERR_FORMAT);
	assert_int_equal(set_pin(SG_PIN_USER, "\n" NEW_PIN "\n"), SG_ERR_FORMAT);
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n" NEW_PIN "\nthree\n"), SG_ERR_FORMAT);
	memset(longer, 'x', sizeof(longer));
	memcpy(longer, WORLD_PIN "\n", sizeof(WORLD_PIN));
	longer[sizeof(longer) - 1] = 0;
	assert_int_equal(set_pin(SG_PIN_USER, longer), SG_ERR_LIMIT);
	assert_int_equal(set_pin(2, WORLD_PIN "\n" NEW_PIN "\n"), SG_ERR_ARG);
	assert_int_equal(faults.set_pins + faults.so_logins, 0);
	assert_int_equal(host.tries, 0);
	assert_int_equal(set_pin(SG_PIN_USER, "not the PIN\n" NEW_PIN "\n"), SG_ERR_PIN_WRONG);
	assert_int_equal(host.verdict, SG_PIN_REFUSED);
	write_down_wrong();
	assert_int_equal(set_pin(SG_PIN_USER, "not the PIN\n" NEW_PIN "\n"), SG_ERR_PIN_WRONG);
	/* The old PIN is proven by a login. */
	assert_int_equal(faults.logins, 1);
	assert_int_equal(faults.set_pins, 0);
}

static CK_RV unsupported_set_pin(
    CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG a, CK_UTF8CHAR *new, CK_ULONG b)
{
	return CKR_FUNCTION_NOT_SUPPORTED;
}

static CK_RV picky_set_pin(
    CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG a, CK_UTF8CHAR *new, CK_ULONG b)
{
	return CKR_PIN_INVALID;
}

static void test_modules_that_set_no_pin(void **state)
{
	fake.C_SetPIN = unsupported_set_pin;
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n" NEW_PIN "\n"), SG_ERR_UNSUPPORTED);
	assert_non_null(strstr(error.message, "own tool"));
	fake.C_SetPIN = picky_set_pin;
	assert_int_equal(set_pin(SG_PIN_USER, WORLD_PIN "\n" NEW_PIN "\n"), SG_ERR_ARG);
	assert_non_null(strstr(error.message, "other characters"));
	assert_int_equal(host.verdict, SG_PIN_TAKEN);
}

static void test_new_pin_at_a_pinentry(void **state)
{
	struct sg_msg_pin_set msg = {
		.token = TEXT("alpha"), .source = SG_PIN_PINENTRY, .ledger = book
	};
	int fd;

	fd = pinentry_begin((const char *[]){ WORLD_PIN, NEW_PIN, "slip", NEW_PIN, NEW_PIN, NULL });
	assert_int_equal(sg_pin_set(module, &msg, fd, &error), 0);
	pinentry_finish(fd);
	assert_int_equal(pinentry.questions, 5);
	assert_non_null(strstr(pinentry.seen, "NEW PIN"));
	assert_non_null(strstr(pinentry.seen, "not the same"));
	assert_int_equal(set_pin(SG_PIN_USER, NEW_PIN "\n" WORLD_PIN "\n"), 0);
	/* Given up: nothing was tried. */
	fd = pinentry_begin((const char *[]){ WORLD_PIN, NULL });
	assert_int_equal(sg_pin_set(module, &msg, fd, &error), SG_ERR_PIN_CANCELLED);
	pinentry_finish(fd);
	assert_int_equal(faults.set_pins, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, module_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_try_is_written_down_first),
		TEST(test_without_a_book_nobody_is_asked),
		TEST(test_bad_books),
		TEST(test_a_wrong_pin_is_not_tried_again),
		TEST(test_the_last_try_as_counted),
		TEST(test_a_failing_device_says_nothing_of_the_pin),
		TEST(test_a_person_insists),
		TEST(test_an_unsure_pin),
		TEST(test_a_person_decides_on_the_last_try),
		TEST(test_new_pin_by_the_old_one),
		TEST(test_new_pin_by_the_so_pin),
		TEST(test_new_pins_that_are_refused),
		TEST(test_modules_that_set_no_pin),
		TEST(test_new_pin_at_a_pinentry),
	};

	return cmocka_run_group_tests_name("token ledger", tests, world_start, world_stop);
}
