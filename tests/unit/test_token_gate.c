/*
 * Nobody is in the module beside who is alone there, and who waits elsewhere stands in nobody's way.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gate.h"

#define ROUNDS	500
#define THREADS 4

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static atomic_int inside, failures, alone_count;

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	assert_int_equal(pthread_create(thread, NULL, run, arg), 0);
}

/* Inside until both have come to the barrier a second time. */
static void *stay(void *arg)
{
	sg_gate_enter();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	sg_gate_leave();
	return arg;
}

static void test_another_thread_inside(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	start(&thread, stay, NULL);
	pthread_barrier_wait(&barrier);
	sg_gate_enter();
	assert_int_equal(sg_gate_alone(), 0);
	sg_gate_leave();
	assert_int_equal(sg_gate_alone(), 0);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	assert_int_equal(sg_gate_alone(), 1);
	sg_gate_share();
	pthread_barrier_destroy(&barrier);
}

/* As deep inside as it gets, and then outside for as long as the other has the lock. */
static void *wait_outside(void *arg)
{
	sg_gate_enter();
	sg_gate_enter();
	pthread_barrier_wait(&barrier);
	sg_gate_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	sg_gate_leave();
	sg_gate_leave();
	return arg;
}

static void test_a_thread_that_waits_for_a_lock(void **state)
{
	pthread_t thread;
	int alone = 0;

	(void)state;
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_mutex_lock(&mutex);
	start(&thread, wait_outside, NULL);
	sg_gate_enter();
	pthread_barrier_wait(&barrier);
	while (!alone) /* it may be on its way to the lock still */
		alone = sg_gate_alone();
	sg_gate_share();
	sg_gate_leave();
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
}

static void *work(void *arg)
{
	unsigned depth;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		sg_gate_enter();
		atomic_fetch_add(&inside, 1);
		if (i % 10 == 0) {
			atomic_fetch_sub(&inside, 1);
			if (sg_gate_alone()) {
				if (atomic_load(&inside) != 0)
					atomic_fetch_add(&failures, 1);
				atomic_fetch_add(&alone_count, 1);
				sg_gate_share();
			}
			atomic_fetch_add(&inside, 1);
		} else {
			atomic_fetch_sub(&inside, 1);
			depth = sg_gate_pause();
			sg_gate_resume(depth);
			atomic_fetch_add(&inside, 1);
		}
		atomic_fetch_sub(&inside, 1);
		sg_gate_leave();
	}
	return arg;
}

static void test_many(void **state)
{
	pthread_t threads[THREADS];
	int i;

	(void)state;
	for (i = 0; i < THREADS; i++)
		start(&threads[i], work, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failures), 0);
	assert_true(atomic_load(&alone_count) > 0);
	assert_int_equal(sg_gate_alone(), 1);
	sg_gate_share();
}

/* Functions of ours that tests call without a request. */
static void test_a_thread_that_never_entered(void **state)
{
	(void)state;
	assert_int_equal(sg_gate_pause(), 0);
	sg_gate_resume(0);
	sg_gate_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	assert_int_equal(sg_gate_alone(), 1);
	sg_gate_share();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_another_thread_inside),
		cmocka_unit_test(test_a_thread_that_waits_for_a_lock),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_a_thread_that_never_entered),
	};

	return cmocka_run_group_tests_name("token gate", tests, NULL, NULL);
}
