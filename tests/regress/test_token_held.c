/*
 * Tokens that are pulled out and come back, and what becomes of the PIN; signatures that wait for a touch.
 * Between our code and a real SoftHSM, single functions are replaced.
 */
#include "token_module.h"

#include <pthread.h>

#include "clock.h"
#include "cond.h"
#include "held.h"
#include "issue.h"
#include "keygen.h"
#include "login.h"
#include "token_find.h"
#include "token_host.h"
#include "token_memory.h"
#include "touch.h"
#include "watch.h"

static struct {
	atomic_int gone, removable, logins, sessions, signs, looks, infos;
	atomic_int sign_ms; /* that a signature takes */
	atomic_int hang;    /* signatures do not end */
	char other_serial;  /* another token is in the slot */
	CK_RV login_fault;
	CK_RV sign_fault; /* once */
} faults;

static CK_SLOT_ID alpha_slot;

static CK_RV fake_slots(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_ULONG i, kept = 0;
	CK_RV rv;

	faults.looks++;
	rv = real->C_GetSlotList(present, slots, count);
	if (!faults.gone || rv != CKR_OK || slots == NULL)
		return rv;
	for (i = 0; i < *count; i++) {
		if (slots[i] != alpha_slot)
			slots[kept++] = slots[i];
	}
	*count = kept;
	return CKR_OK;
}

static CK_RV fake_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	CK_RV rv = real->C_GetSlotInfo(slot, info);

	if (rv == CKR_OK && faults.removable)
		info->flags |= CKF_REMOVABLE_DEVICE;
	return rv;
}

static CK_RV fake_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = faults.gone && slot == alpha_slot ? CKR_TOKEN_NOT_PRESENT
						     : real->C_GetTokenInfo(slot, info);

	faults.infos++;
	if (rv == CKR_OK && memcmp(info->label, "alpha ", 6) == 0) {
		alpha_slot = slot;
		if (faults.other_serial)
			memset(info->serialNumber, faults.other_serial, 16);
	}
	return rv;
}

static CK_RV fake_login(
    CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	faults.logins++;
	return faults.login_fault ? faults.login_fault : real->C_Login(session, user, pin, len);
}

static CK_RV fake_sign(
    CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *value, CK_ULONG *value_len)
{
	CK_RV fault = faults.sign_fault;
	const struct timespec moment = { 0, 10000000 };
	int64_t end = sg_clock_ms() + faults.sign_ms;

	faults.signs++;
	while (faults.hang || sg_clock_ms() < end)
		nanosleep(&moment, NULL);
	faults.sign_fault = CKR_OK;
	if (faults.gone)
		fault = CKR_DEVICE_REMOVED;
	return fault ? fault : real->C_Sign(session, data, len, value, value_len);
}

static CK_RV fake_open(
    CK_SLOT_ID slot, CK_FLAGS flags, void *arg, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
{
	CK_RV rv = faults.gone && slot == alpha_slot
	    ? CKR_TOKEN_NOT_PRESENT
	    : real->C_OpenSession(slot, flags, arg, notify, session);

	faults.sessions += rv == CKR_OK;
	return rv;
}

static CK_RV fake_close(CK_SESSION_HANDLE session)
{
	faults.sessions--;
	return real->C_CloseSession(session);
}

static int begin(void **state)
{
	memset(&faults, 0, sizeof(faults));
	faults.removable = 1;
	module_open();
	fake.C_GetSlotList = fake_slots;
	fake.C_GetSlotInfo = fake_slot_info;
	fake.C_GetTokenInfo = fake_token_info;
	fake.C_Login = fake_login;
	fake.C_Sign = fake_sign;
	fake.C_OpenSession = fake_open;
	fake.C_CloseSession = fake_close;
	host_start(module);
	assert_int_equal(sg_watch_start(module), 0);
	assert_int_equal(sg_touch_start(), 0);
	return 0;
}

static int end(void **state)
{
	struct timespec deadline = sg_cond_deadline(5000);

	assert_int_equal(sg_watch_stop(module, &deadline), 1);
	sg_touch_stop();
	return module_stop(state);
}

static int login_as(char *token, uint32_t returns)
{
	struct sg_msg_token_login msg = { .token = token,
		.returns = returns,
		.ledger = { .key = { (unsigned char[16]){ 1 }, 16 },
		    .salt = { (unsigned char[16]){ 2 }, 16 },
		    .tries_max = 3 } };
	int fd = pipe_of(WORLD_PIN), err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_login(module, &msg, fd, &error);
	close(fd);
	return err;
}

static int try_csr(char *key)
{
	struct sg_msg_csr_make msg = { .key = key, .jid = TEXT("juliet@example.com") };
	struct sg_msg_error own = { 0 };
	struct sg_blob der = { 0 };
	int err;

	err = sg_csr_make(module, &msg, &der, &own);
	sg_blob_clear(&der);
	sg_layout_clear(&sg_layout_error, &own);
	return err;
}

/* Unlocked, with a key on it; made once. */
static char *key_on(char *token, char *label, uint32_t returns)
{
	struct sg_msg_key_generate msg = {
		.token = token, .label = label, .algorithm = TEXT("p256")
	};
	struct sg_msg_objects objects = { 0 };
	int err;

	assert_int_equal(login_as(token, returns), 0);
	err = sg_key_generate(module, &msg, &objects, &error);
	assert_true(err == 0 || err == SG_ERR_ARG);
	sg_layout_clear(&sg_layout_error, &error);
	sg_layout_clear(&sg_layout_objects, &objects);
	return label;
}

#define KEY TEXT("pkcs11:token=alpha;object=held")

static void alpha_key(uint32_t returns)
{
	key_on(TEXT("alpha"), TEXT("held"), returns);
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 1);
}

/* Until it has happened, 2 s at most. */
static int comes(atomic_int *count, int wanted)
{
	const struct timespec moment = { 0, 5000000 };
	int64_t end = sg_clock_ms() + 2000;

	while (*count < wanted && sg_clock_ms() < end)
		nanosleep(&moment, NULL);
	return *count >= wanted;
}

static struct sg_token *alpha(void)
{
	struct sg_token *token;

	assert_int_equal(sg_token_find(module, TEXT("alpha"), &token, &error), 0);
	return token;
}

/* ---- removal ---- */

static void test_removal_is_noticed_by_itself(void **state)
{
	struct sg_token *token;

	alpha_key(0);
	token = alpha();
	assert_true(sg_held_is(token));
	faults.gone = 1;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_LOCKED], 1));
	assert_false(sg_held_is(token));
	faults.gone = 0;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 1);
	assert_int_equal(host.events[SG_EVENT_TOKEN_OUT] + host.events[SG_EVENT_TOKEN_IN], 0);
}

static void test_the_same_token_returns(void **state)
{
	struct sg_token *token;

	alpha_key(1);
	token = alpha();
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_equal(try_csr(KEY), SG_ERR_KEY_ABSENT);
	assert_true(sg_held_is(token));
	faults.gone = 0;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
	assert_int_equal(host.tries, 2); /* that one was written down, too */
	assert_int_equal(host.outcomes, 2);
	assert_int_equal(host.events[SG_EVENT_TOKEN_LOCKED], 0);
	/* Again, and found by a key that is remembered. */
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 0;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 3);
}

/* What is held for a token that is away is wiped when it is locked. */
static void test_a_token_that_is_away_is_locked(void **state)
{
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") }, no = { .token = TEXT("gamma") };
	struct sg_token *token;

	alpha_key(1);
	token = alpha();
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	assert_true(sg_held_is(token));
	assert_int_equal(sg_logout(module, &ref, &error), 0);
	assert_false(sg_held_is(token));
	assert_int_equal(sg_logout(module, &ref, &error), 0);
	assert_int_equal(sg_logout(module, &no, &error), SG_ERR_TOKEN_ABSENT);
	faults.gone = 0;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 1);
}

/* Known by a lock that no module holds. */
static void test_a_wipe_waits_for_no_lock(void **state)
{
	struct sg_token *token;

	alpha_key(1);
	token = alpha();
	pthread_mutex_lock(&module->lock);
	pthread_mutex_lock(&token->lock);
	assert_true(sg_token_known_wipe(module, "pkcs11:token=alpha"));
	assert_false(sg_token_known_wipe(module, "pkcs11:token=gamma"));
	pthread_mutex_unlock(&token->lock);
	pthread_mutex_unlock(&module->lock);
	assert_false(sg_held_is(token));
}

static void test_another_token_gets_nothing(void **state)
{
	struct sg_token *token;

	alpha_key(1);
	token = alpha();
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 0;
	faults.other_serial = '7';
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 1);
	assert_true(sg_held_is(token)); /* it waits for its own */
	faults.other_serial = 0;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
}

static void test_swapped_between_two_looks(void **state)
{
	alpha_key(1);
	faults.other_serial = '7';
	assert_int_equal(login_as(TEXT("pkcs11:token=alpha;serial=7777777777777777"), 0), 0);
	assert_int_equal(faults.logins, 2); /* its own PIN, asked for */
	faults.other_serial = 0;
}

static void test_without_a_serial_number_nothing_is_kept(void **state)
{
	struct sg_token *token;

	faults.other_serial = ' ';
	alpha_key(1);
	token = alpha();
	faults.gone = 1;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_LOCKED], 1));
	assert_false(sg_held_is(token));
}

static void test_a_pin_that_is_refused_on_return(void **state)
{
	struct sg_token *token;

	alpha_key(1);
	token = alpha();
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 0;
	faults.login_fault = CKR_PIN_INCORRECT;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 2);
	assert_int_equal(host.verdict, SG_PIN_REFUSED);
	assert_int_equal(host.events[SG_EVENT_TOKEN_LOCKED], 1);
	assert_false(sg_held_is(token));
	faults.login_fault = CKR_OK;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 2);
}

/* A device that fails in the login costs tries as counted, and stops short of the last one. */
static void test_a_device_that_is_not_ready_on_return(void **state)
{
	alpha_key(1);
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 0;
	faults.login_fault = CKR_DEVICE_ERROR;
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
	faults.login_fault = CKR_OK;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 3);
	faults.gone = 1;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 0;
	faults.login_fault = CKR_DEVICE_ERROR;
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 5);
	assert_int_equal(host.events[SG_EVENT_TOKEN_LOCKED], 1);
}

/* A device that fails at the login says nothing of the PIN: it is not tried by each call that follows. */
static void test_a_login_in_vain_is_the_last(void **state)
{
	alpha_key(0);
	faults.sign_fault = CKR_DEVICE_ERROR;
	faults.login_fault = CKR_DEVICE_ERROR;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 2);
	assert_false(sg_held_is(alpha()));
	assert_int_equal(host.events[SG_EVENT_TOKEN_LOCKED], 1);
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_equal(faults.logins, 2);
	faults.login_fault = CKR_OK;
}

static void test_nothing_is_tried_again_that_cannot_be_written_down(void **state)
{
	alpha_key(1);
	host.answer = SG_ERR_TIMEOUT;
	faults.sign_fault = CKR_DEVICE_REMOVED;
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 1);
	host.answer = 0;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
}

static void test_a_reader_that_starts_over(void **state)
{
	alpha_key(0);
	faults.sign_fault = CKR_GENERAL_ERROR;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
	/* What is no reader has nothing to start over. */
	faults.removable = 0;
	alpha();
	faults.sign_fault = CKR_GENERAL_ERROR;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
}

/* Without pcscd no slot can be listed: no PIN is tried on nothing, and none is lost by it. */
static CK_RV no_slots(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	return CKR_DEVICE_ERROR;
}

static void test_slots_that_cannot_be_listed(void **state)
{
	struct sg_token *token;

	alpha_key(0);
	token = alpha();
	fake.C_GetSlotList = no_slots;
	faults.sign_fault = CKR_DEVICE_ERROR;
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
	assert_int_not_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 1);
	assert_true(sg_held_is(token));
	fake.C_GetSlotList = fake_slots;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
	/* When they can be listed, and it is not there, it was pulled out meanwhile. */
	fake.C_GetSlotList = no_slots;
	faults.sign_fault = CKR_DEVICE_ERROR;
	assert_int_not_equal(try_csr(KEY), 0);
	faults.gone = 1;
	fake.C_GetSlotList = fake_slots;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_LOCKED], 1));
	assert_false(sg_held_is(token));
}

/* ---- release ---- */

static void test_release(void **state)
{
	struct sg_msg_token_ref one = { .token = TEXT("alpha") }, all = { .token = TEXT("") };

	alpha_key(0);
	assert_true(faults.sessions > 0);
	assert_int_equal(sg_release(module, &one, &error), 0);
	assert_int_equal(faults.sessions, 0);
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(faults.logins, 2);
	assert_int_equal(sg_release(module, &all, &error), 0);
	assert_int_equal(faults.sessions, 0);
	assert_int_equal(sg_logout(module, &one, &error), 0);
	assert_int_equal(try_csr(KEY), SG_ERR_PIN_NEEDED);
}

/* ---- what a module leaves behind ---- */

/* In so many places that what runs later does not cover them all. */
static CK_RV careless_login(
    CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
	CK_UTF8CHAR on_stack[16384];
	char *on_heap[100];
	size_t i;

	for (i = 0; i + len < sizeof(on_stack); i += 64)
		memcpy(on_stack + i, pin, len);
	for (i = 0; i < 100; i++) {
		on_heap[i] = calloc(1, 100 + 50 * i);
		assert_non_null(on_heap[i]);
		memcpy(on_heap[i] + 64, pin, len);
		on_heap[i] = realloc(on_heap[i], 200 + 70 * i);
		assert_non_null(on_heap[i]);
	}
	for (i = 0; i < 100; i++)
		free(on_heap[i]);
	return real->C_Login(session, user, on_stack, len);
}

/* A copy of this process, for the PIN to be looked for in; the copy has none of the secrets. */
static int copies_here(void)
{
	int copies, status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		for (;;)
			pause();
	}
	copies = memory_copies(pid, WORLD_PIN);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return copies;
}

#ifdef __SANITIZE_ADDRESS__
#define HEAP_IS_OURS 0
#else
#define HEAP_IS_OURS 1
#endif

static void test_a_careless_module(void **state)
{
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };

	if (!HEAP_IS_OURS || geteuid() != 0)
		skip();
	assert_int_equal(copies_here(), 0);
	fake.C_Login = careless_login;
	assert_int_equal(login_as(TEXT("alpha"), 0), 0);
	assert_int_equal(copies_here(), 0);
	assert_int_equal(sg_logout(module, &ref, &error), 0);
}

/* ---- the thread that looks ---- */

static void test_nobody_looks_without_need(void **state)
{
	const struct timespec while_ = { 1, 300000000 };
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };
	int looks;

	faults.removable = 0;
	alpha_key(0);
	looks = faults.looks;
	nanosleep(&while_, NULL);
	assert_int_equal(faults.looks, looks);
	faults.removable = 1;
	alpha(); /* seen now; locked, it has nothing to lose */
	assert_int_equal(sg_logout(module, &ref, &error), 0);
	looks = faults.looks;
	nanosleep(&while_, NULL);
	assert_int_equal(faults.looks, looks);
}

static void test_a_look_costs_the_card_nothing(void **state)
{
	const struct timespec while_ = { 2, 600000000 };
	int looks, infos;

	alpha_key(0);
	assert_true(comes(&faults.looks, faults.looks + 1));
	looks = faults.looks;
	infos = faults.infos;
	nanosleep(&while_, NULL);
	assert_in_range(faults.looks - looks, 4, 6); /* two calls each second */
	assert_true(faults.infos - infos <= 3);	     /* of the first look, at most */
}

static void test_tokens_that_come_and_go(void **state)
{
	assert_int_equal(sg_watch_set(module, 1, &error), 0);
	assert_int_equal(host.events[SG_EVENT_TOKEN_IN], 0);
	faults.gone = 1;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_OUT], 1));
	faults.gone = 0;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_IN], 1));
	assert_int_equal(host.events[SG_EVENT_TOKEN_LOCKED], 0);
	assert_int_equal(sg_watch_set(module, 0, &error), 0);
	faults.gone = 1;
	assert_false(comes(&host.events[SG_EVENT_TOKEN_OUT], 2));
}

/* ---- signatures that take their time ---- */

static void *sign_thread(void *arg)
{
	const struct sg_caller caller = { .pid = 4711 };
	intptr_t err;

	sg_touch_caller(&caller);
	err = try_csr(arg);
	sg_touch_caller(NULL);
	return (void *)err;
}

static void test_touch(void **state)
{
	pthread_t thread;
	void *err;
	int64_t begun;

	alpha_key(0);
	faults.sign_ms = 100;
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(host.events[SG_EVENT_TOUCH_WANTED], 0);
	faults.sign_ms = 700;
	begun = sg_clock_ms();
	assert_int_equal(pthread_create(&thread, NULL, sign_thread, KEY), 0);
	assert_true(comes(&host.events[SG_EVENT_TOUCH_WANTED], 1));
	assert_in_range(sg_clock_ms() - begun, SG_TOUCH_MS, SG_TOUCH_MS + 250);
	assert_int_equal(host.pid, 4711);
	assert_int_equal(host.events[SG_EVENT_TOUCH_OVER], 0);
	assert_int_equal(pthread_join(thread, &err), 0);
	assert_null(err);
	assert_int_equal(host.events[SG_EVENT_TOUCH_OVER], 1);
	assert_int_equal(host.events[SG_EVENT_TOUCH_WANTED], 1);
	/* Once more: the thread that watches had gone to sleep. */
	assert_int_equal(try_csr(KEY), 0);
	assert_int_equal(host.events[SG_EVENT_TOUCH_WANTED], 2);
	assert_int_equal(host.events[SG_EVENT_TOUCH_OVER], 2);
}

/* A signature that does not end, on a token that is gone: all else goes on. */
static void test_a_hanging_signature_holds_up_nobody(void **state)
{
	char *beta = key_on(TEXT("beta"), TEXT("besides"), 0);
	struct sg_msg_token_ref ref = { .token = TEXT("beta") };
	struct sg_token *token;
	pthread_t thread;
	int64_t begun;

	assert_int_equal(try_csr(beta), 0);
	faults.logins = 0;
	alpha_key(0);
	token = alpha();
	faults.hang = 1;
	assert_int_equal(pthread_create(&thread, NULL, sign_thread, KEY), 0);
	assert_true(comes(&host.events[SG_EVENT_TOUCH_WANTED], 1));
	faults.gone = 1;
	assert_true(comes(&host.events[SG_EVENT_TOKEN_LOCKED], 1));
	assert_false(sg_held_is(token));
	begun = sg_clock_ms();
	assert_int_equal(login_as(TEXT("beta"), 0), 0);
	assert_int_equal(login_as(TEXT("alpha"), 0), SG_ERR_TOKEN_ABSENT);
	assert_int_equal(sg_release(module, &ref, &error), 0);
	assert_int_equal(sg_logout(module, &ref, &error), 0);
	assert_true(sg_clock_ms() - begun < 1000);
	faults.hang = 0;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(host.events[SG_EVENT_TOUCH_OVER], 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_removal_is_noticed_by_itself),
		TEST(test_the_same_token_returns),
		TEST(test_a_token_that_is_away_is_locked),
		TEST(test_a_wipe_waits_for_no_lock),
		TEST(test_another_token_gets_nothing),
		TEST(test_swapped_between_two_looks),
		TEST(test_without_a_serial_number_nothing_is_kept),
		TEST(test_a_pin_that_is_refused_on_return),
		TEST(test_a_device_that_is_not_ready_on_return),
		TEST(test_a_login_in_vain_is_the_last),
		TEST(test_nothing_is_tried_again_that_cannot_be_written_down),
		TEST(test_a_reader_that_starts_over),
		TEST(test_slots_that_cannot_be_listed),
		TEST(test_release),
		TEST(test_a_careless_module),
		TEST(test_nobody_looks_without_need),
		TEST(test_a_look_costs_the_card_nothing),
		TEST(test_tokens_that_come_and_go),
		TEST(test_touch),
		TEST(test_a_hanging_signature_holds_up_nobody),
	};

	return cmocka_run_group_tests_name("token held", tests, world_start, world_stop);
}
