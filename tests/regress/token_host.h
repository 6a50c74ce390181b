/*
 * For tests of signet-token's parts in this process: a broker that notes what it is told.
 */
#ifndef SG_TESTS_TOKEN_HOST_H
#define SG_TESTS_TOKEN_HOST_H

#include <stdatomic.h>

#include "module.h"

static struct {
	int answer; /* to all that is asked */
	atomic_int tries, outcomes;
	unsigned char hash[SG_PIN_HASH_SIZE];
	size_t hash_len;
	uint32_t verdict, by;
	atomic_int events[5]; /* by kind */
	uint32_t pid;	      /* of the last event's caller */
} host;

static int host_ask(void *arg, uint16_t type, const void *msg)
{
	const struct sg_msg_pin_try *try = msg;

	assert_int_equal(type, SG_MSG_PIN_TRY);
	assert_true(try->hash.len <= sizeof(host.hash));
	host.tries++;
	host.by = try->by;
	host.hash_len = try->hash.len;
	memcpy(host.hash, try->hash.data, try->hash.len);
	return host.answer;
}

static void host_tell(void *arg, uint16_t type, const void *msg)
{
	const struct sg_msg_token_event *event = msg;
	const struct sg_msg_pin_outcome *outcome = msg;

	if (type == SG_MSG_TOKEN_EVENT) {
		host.pid = event->caller.pid;
		host.events[event->kind]++;
		return;
	}
	assert_int_equal(type, SG_MSG_PIN_OUTCOME);
	assert_memory_equal(outcome->hash.data, host.hash, host.hash_len);
	assert_int_equal(outcome->by, host.by);
	host.verdict = outcome->verdict;
	host.outcomes++;
}

static void host_start(struct sg_module *of)
{
	static const struct sg_host self = { NULL, host_ask, host_tell, NULL };

	memset(&host, 0, sizeof(host));
	of->host = &self;
}

#endif
