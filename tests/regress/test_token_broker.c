/*
 * signet-token on real SoftHSM with a broker that keeps a book of PINs: who asks whom, in which order, and
 * where PINs do not stay.
 */
#include "token_world.h"

#include <pthread.h>

#include "token_memory.h"
#include "upcall.h"
#include "worker.h"

#define WRONG_PIN "sour-Grass-0815-PIN"
#define NEW_PIN	  "lush-Grass-2342-PIN"

static struct sg_pin_ledger book = {
	.key = { (unsigned char[32]){ 7 }, 32 },
	.salt = { (unsigned char[16]){ 9 }, 16 },
};

static void send_login(uint32_t id, const char *pin)
{
	struct sg_msg_token_login msg = { .token = TEXT("alpha"), .ledger = book };
	int fd = pipe_of(pin);

	assert_int_equal(sg_channel_send(worker.channel, id, SG_MSG_TOKEN_LOGIN, &msg, fd), 0);
	close(fd);
}

/* The next frame, of this type. */
static struct sg_frame next(uint16_t type)
{
	struct sg_frame frame;

	assert_int_equal(sg_channel_recv(worker.channel, &frame), 1);
	assert_int_equal(frame.type, type);
	return frame;
}

/* The worker asks whether a try is written down; gives the id. */
static uint32_t next_try(void)
{
	struct sg_frame frame = next(SG_MSG_PIN_TRY);
	const struct sg_msg_pin_try *try = frame.msg;
	uint32_t id = frame.id;

	assert_true(id >= SG_UPCALL_FIRST_ID);
	assert_int_equal(try->hash.len, SG_PIN_HASH_SIZE);
	assert_non_null(strstr(try->token, "token=alpha"));
	assert_non_null(strstr(try->token, try->serial));
	assert_true(try->flags & SG_TOKEN_PIN_SET);
	sg_frame_clear(&frame);
	return id;
}

static void allow(uint32_t id)
{
	const struct sg_msg_empty ok = { 0 };

	assert_int_equal(sg_channel_send(worker.channel, id, SG_MSG_OK, &ok, -1), 0);
}

static void expect_outcome(uint32_t verdict)
{
	struct sg_frame frame = next(SG_MSG_PIN_OUTCOME);
	const struct sg_msg_pin_outcome *outcome = frame.msg;

	assert_int_equal(frame.id, 0);
	assert_int_equal(outcome->verdict, verdict);
	assert_true(outcome->flags & SG_TOKEN_PIN_SET);
	sg_frame_clear(&frame);
}

static void expect_end(uint32_t id, int code)
{
	struct sg_frame frame;

	assert_int_equal(sg_channel_recv(worker.channel, &frame), 1);
	assert_int_equal(frame.id, id);
	assert_int_equal(frame.type, code == 0 ? SG_MSG_OK : SG_MSG_ERROR);
	if (code != 0)
		assert_int_equal(-(int)((const struct sg_msg_error *)frame.msg)->code, code);
	sg_frame_clear(&frame);
}

static void unlock(const char *pin)
{
	send_login(500, pin);
	allow(next_try());
	expect_outcome(SG_PIN_TAKEN);
	expect_end(500, 0);
}

static void test_written_down_then_tried(void **state)
{
	const struct sg_msg_empty nothing = { 0 };
	struct sg_frame answer;
	uint32_t id;

	send_login(500, WRONG_PIN);
	id = next_try();
	/* Everything else goes on meanwhile. */
	ask(&worker, SG_MSG_TOKEN_LIST, &nothing, SG_MSG_TOKENS, &answer);
	sg_frame_clear(&answer);
	allow(id);
	expect_outcome(SG_PIN_REFUSED);
	expect_end(500, SG_ERR_PIN_WRONG);
	unlock(WORLD_PIN);
}

static void test_a_broker_that_cannot_write(void **state)
{
	struct sg_msg_error full = { .code = -SG_ERR_IO };

	send_login(500, WORLD_PIN);
	assert_int_equal(sg_channel_send(worker.channel, next_try(), SG_MSG_ERROR, &full, -1), 0);
	expect_end(500, SG_ERR_IO);
	/* An answer that nobody waits for is passed over. */
	allow(SG_UPCALL_FIRST_ID | 77);
	unlock(WORLD_PIN);
}

/* More requests than are read ahead, all behind a try whose answer stands behind them. */
static void test_the_answer_behind_many_requests(void **state)
{
	struct sg_msg_csr_make csr = { .key = TEXT("behind"), .jid = TEXT("juliet@example.com") };
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };
	const uint32_t many = SG_WORKER_THREADS + SG_WORKER_QUEUE_MAX + 20;
	struct sg_frame answer;
	uint32_t i, id;

	unlock(WORLD_PIN);
	generate(&worker, TEXT("alpha"), TEXT("behind"), TEXT("p256"));
	ask(&worker, SG_MSG_TOKEN_RELEASE, &ref, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	for (i = 0; i < many; i++)
		assert_int_equal(
		    sg_channel_send(worker.channel, 1000 + i, SG_MSG_CSR_MAKE, &csr, -1), 0);
	id = next_try();
	alarm(30);
	allow(id);
	expect_outcome(SG_PIN_TAKEN);
	for (i = 0; i < many; i++) {
		answer = next(SG_MSG_DER);
		sg_frame_clear(&answer);
	}
	alarm(0);
}

/* ---- memory ---- */

static void expect_copies(const char *text, int copies)
{
	assert_int_equal(memory_copies(worker.pid, text), geteuid() == 0 ? copies : -1);
}

static void test_no_pin_stays_in_memory(void **state)
{
	struct sg_msg_csr_make csr = { .key = TEXT("behind"), .jid = TEXT("juliet@example.com") };
	struct sg_msg_token_ref ref = { .token = TEXT("alpha") };
	struct sg_frame answer;

	send_login(500, WRONG_PIN "\n");
	allow(next_try());
	expect_outcome(SG_PIN_REFUSED);
	expect_end(500, SG_ERR_PIN_WRONG);
	expect_copies(WRONG_PIN, 0);
	unlock(WORLD_PIN "\n");
	ask_der(&worker, SG_MSG_CSR_MAKE, &csr, "csr");
	expect_copies(WORLD_PIN, 1); /* held, and found by this search */
	ask(&worker, SG_MSG_TOKEN_RELEASE, &ref, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	expect_copies(WORLD_PIN, 1);
	ask(&worker, SG_MSG_TOKEN_LOGOUT, &ref, SG_MSG_OK, &answer);
	sg_frame_clear(&answer);
	expect_copies(WORLD_PIN, 0);
	expect_copies(WRONG_PIN, 0);
}

static void set_pin(const char *lines)
{
	struct sg_msg_pin_set msg = { .token = TEXT("alpha"), .ledger = book };
	int fd = pipe_of(lines);

	assert_int_equal(sg_channel_send(worker.channel, 600, SG_MSG_PIN_SET, &msg, fd), 0);
	close(fd);
	allow(next_try());
	expect_outcome(SG_PIN_TAKEN);
	expect_end(600, 0);
}

static void test_no_new_pin_stays_in_memory(void **state)
{
	set_pin(WORLD_PIN "\n" NEW_PIN "\n");
	expect_copies(WORLD_PIN, 0);
	expect_copies(NEW_PIN, 0);
	unlock(NEW_PIN);
	set_pin(NEW_PIN "\n" WORLD_PIN "\n");
	expect_copies(WORLD_PIN, 0);
	expect_copies(NEW_PIN, 0);
}

/* ---- a broker that says nothing ---- */

static int note_id(void *arg, uint32_t id, uint16_t type, const void *msg)
{
	*(uint32_t *)arg = id;
	return 0;
}

static int refuse_to_send(void *arg, uint32_t id, uint16_t type, const void *msg)
{
	return SG_ERR_IO;
}

static void test_waits_are_bounded(void **state)
{
	static struct sg_upcalls calls;
	uint32_t id = 0, later = 0;
	struct sg_frame late = { .type = SG_MSG_OK, .fd = -1 };

	sg_upcalls_init(&calls);
	assert_int_equal(
	    sg_upcall_ask(&calls, note_id, &id, SG_MSG_PIN_TRY, NULL, 50), SG_ERR_TIMEOUT);
	assert_true(id >= SG_UPCALL_FIRST_ID);
	late.id = id;
	sg_upcall_answer(&calls, &late); /* too late: not for the next one */
	assert_int_equal(
	    sg_upcall_ask(&calls, note_id, &later, SG_MSG_PIN_TRY, NULL, 50), SG_ERR_TIMEOUT);
	assert_int_not_equal(id, later);
	assert_int_equal(
	    sg_upcall_ask(&calls, refuse_to_send, NULL, SG_MSG_PIN_TRY, NULL, 50), SG_ERR_IO);
	sg_upcalls_stop(&calls);
	assert_int_equal(
	    sg_upcall_ask(&calls, note_id, &id, SG_MSG_PIN_TRY, NULL, 50000), SG_ERR_IO);
}

static struct sg_upcalls crowded;

static void *ask_for_ever(void *arg)
{
	uint32_t id;

	return (void *)(intptr_t)sg_upcall_ask(&crowded, note_id, &id, SG_MSG_PIN_TRY, NULL, 60000);
}

static size_t crowd(void)
{
	size_t i, count = 0;

	pthread_mutex_lock(&crowded.lock);
	for (i = 0; i < SG_UPCALL_MAX; i++)
		count += crowded.calls[i].id != 0;
	pthread_mutex_unlock(&crowded.lock);
	return count;
}

static void test_upcalls_have_a_limit(void **state)
{
	const struct timespec moment = { 0, 1000000 };
	pthread_t threads[SG_UPCALL_MAX];
	uint32_t id;
	void *err;
	size_t i;

	sg_upcalls_init(&crowded);
	for (i = 0; i < SG_UPCALL_MAX; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_for_ever, NULL), 0);
	while (crowd() < SG_UPCALL_MAX)
		nanosleep(&moment, NULL);
	assert_int_equal(
	    sg_upcall_ask(&crowded, note_id, &id, SG_MSG_PIN_TRY, NULL, 50), SG_ERR_LIMIT);
	sg_upcalls_stop(&crowded);
	for (i = 0; i < SG_UPCALL_MAX; i++) {
		assert_int_equal(pthread_join(threads[i], &err), 0);
		assert_int_equal((int)(intptr_t)err, SG_ERR_IO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_written_down_then_tried, start, stop),
		cmocka_unit_test_setup_teardown(test_a_broker_that_cannot_write, start, stop),
		cmocka_unit_test_setup_teardown(test_the_answer_behind_many_requests, start, stop),
		cmocka_unit_test_setup_teardown(test_no_pin_stays_in_memory, start, stop),
		cmocka_unit_test_setup_teardown(test_no_new_pin_stays_in_memory, start, stop),
		cmocka_unit_test(test_waits_are_bounded),
		cmocka_unit_test(test_upcalls_have_a_limit),
	};

	return cmocka_run_group_tests_name("token broker", tests, world_start, world_stop);
}
