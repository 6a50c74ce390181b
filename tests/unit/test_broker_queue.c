/* Requests that wait for a worker: in turn by process, so many and no more, and whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/broker/queue.h"
#include "msg.h"

struct owner {
	struct sg_waiting waiting;
	char name[16];
};

/* A request of a process that is known by its selector. */
static void put(struct sg_queue *queue, struct owner *owner, uint32_t pid, const char *name)
{
	struct sg_msg_object_list msg = { .caller = { .pid = pid }, .selector = owner->name };

	memset(owner, 0, sizeof(*owner));
	snprintf(owner->name, sizeof(owner->name), "%s", name);
	assert_int_equal(sg_queue_put(queue, &owner->waiting, owner, SG_MSG_OBJECT_LIST, &msg), 0);
}

/* Takes the one whose turn it is: it must be this, with the message that was put. */
static void take(struct sg_queue *queue, const char *name)
{
	struct sg_msg_object_list *msg;
	void *taken;
	struct owner *owner = sg_queue_take(queue, &taken);

	msg = taken;
	assert_non_null(msg);
	assert_string_equal(owner->name, name);
	assert_string_equal(msg->selector, name);
	assert_null(owner->waiting.message.data);
	sg_msg_clear(SG_MSG_OBJECT_LIST, msg);
	free(msg);
}

static void processes_are_served_in_turn(void **state)
{
	static const char *const order[] = { "a1", "b1", "c1", "a2", "b2", "a3" };
	struct owner owners[6];
	struct sg_queue queue;

	sg_queue_init(&queue);
	put(&queue, &owners[0], 1, "a1");
	put(&queue, &owners[1], 1, "a2");
	put(&queue, &owners[2], 1, "a3");
	put(&queue, &owners[3], 2, "b1");
	put(&queue, &owners[4], 2, "b2");
	put(&queue, &owners[5], 3, "c1");
	assert_int_equal(queue.count, 6);
	for (size_t i = 0; i < 6; i++)
		take(&queue, order[i]);
	assert_int_equal(queue.count, 0);
	assert_null(sg_queue_drop(&queue));
}

/* One that comes late is not behind all that another has asked before. */
static void a_late_one_is_not_held_up(void **state)
{
	struct owner owners[5];
	struct sg_queue queue;

	sg_queue_init(&queue);
	put(&queue, &owners[0], 1, "a1");
	put(&queue, &owners[1], 1, "a2");
	put(&queue, &owners[2], 1, "a3");
	take(&queue, "a1");
	take(&queue, "a2");
	put(&queue, &owners[3], 2, "b1");
	put(&queue, &owners[4], 2, "b2");
	take(&queue, "b1");
	take(&queue, "a3");
	take(&queue, "b2");
}

static void so_many_and_no_more(void **state)
{
	static struct owner owners[SG_QUEUE_MAX + 1];
	static const struct sg_msg_empty nothing = { 0 };
	struct sg_queue queue;
	void *msg;

	sg_queue_init(&queue);
	for (size_t i = 0; i < SG_QUEUE_MAX; i++)
		assert_int_equal(sg_queue_put(&queue, &owners[i].waiting, &owners[i],
				     SG_MSG_TOKEN_LIST, &nothing),
		    0);
	assert_int_equal(sg_queue_put(&queue, &owners[SG_QUEUE_MAX].waiting, &owners[SG_QUEUE_MAX],
			     SG_MSG_TOKEN_LIST, &nothing),
	    SG_ERR_LIMIT);
	for (size_t i = 0; i < SG_QUEUE_MAX; i++) {
		assert_ptr_equal(sg_queue_take(&queue, &msg), &owners[i]);
		assert_non_null(msg);
		free(msg);
	}
	assert_null(sg_queue_drop(&queue));
}

static void what_cannot_be_sent_is_not_queued(void **state)
{
	char selector[] = "\xff";
	const struct sg_msg_object_list msg = { .selector = selector };
	struct owner owner = { .name = "" };
	struct sg_queue queue;

	sg_queue_init(&queue);
	assert_int_equal(
	    sg_queue_put(&queue, &owner.waiting, &owner, SG_MSG_OBJECT_LIST, &msg), SG_ERR_FORMAT);
	assert_int_equal(queue.count, 0);
	assert_null(sg_queue_drop(&queue));
	sg_buf_clear(&owner.waiting.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_are_served_in_turn),
		cmocka_unit_test(a_late_one_is_not_held_up),
		cmocka_unit_test(so_many_and_no_more),
		cmocka_unit_test(what_cannot_be_sent_is_not_queued),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
