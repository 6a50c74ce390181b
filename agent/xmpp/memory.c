#include "memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

struct block {
	struct block *prev, *next;
	size_t room; /* bytes after the head */
	uint64_t serial;
};

/* Stands before each block; as large as the strictest alignment. */
union head {
	struct block block;
	max_align_t align;
};

#define STACK_WIPED (64u << 10) /* libstrophe's loop, parser and SCRAM stay within a few KiB */

/* All blocks, in a ring. libstrophe runs in one thread. */
static struct block ring = { &ring, &ring, 0, 0 };
static uint64_t serial;

static void *block_new(size_t size, uint64_t number)
{
	union head *head;

	if (size > SIZE_MAX - sizeof(*head))
		return NULL;
	head = malloc(sizeof(*head) + size);
	if (head == NULL)
		return NULL;
	head->block = (struct block){ ring.prev, &ring, size, number };
	ring.prev->next = &head->block;
	ring.prev = &head->block;
	return head + 1;
}

static void *wiping_alloc(size_t size, void *userdata)
{
	return block_new(size, ++serial);
}

static void wiping_free(void *data, void *userdata)
{
	union head *head = data;

	if (head == NULL)
		return;
	head--;
	head->block.prev->next = head->block.next;
	head->block.next->prev = head->block.prev;
	OPENSSL_cleanse(data, head->block.room);
	free(head);
}

/* Grows by halves: the parser appends to a text a few bytes at a time, and each move is wiped. */
static void *wiping_realloc(void *data, size_t size, void *userdata)
{
	union head *head = data;
	void *moved;

	if (head == NULL)
		return wiping_alloc(size, userdata);
	head--;
	if (size <= head->block.room)
		return data;
	if (size / 2 < head->block.room && size < SIZE_MAX / 2)
		size += size / 2;
	moved = block_new(size, head->block.serial);
	if (moved == NULL)
		return NULL;
	memcpy(moved, data, head->block.room);
	wiping_free(data, userdata);
	return moved;
}

const xmpp_mem_t sg_memory_wiping = {
	.alloc = wiping_alloc,
	.free = wiping_free,
	.realloc = wiping_realloc,
};

uint64_t sg_memory_mark(void)
{
	return serial;
}

void sg_memory_release(uint64_t mark)
{
	struct block *block = ring.next, *next;

	for (; block != &ring; block = next) {
		next = block->next;
		if (block->serial > mark)
			wiping_free((union head *)block + 1, NULL);
	}
}

__attribute__((noinline)) void sg_memory_wipe_stack(void)
{
	unsigned char room[STACK_WIPED];

	OPENSSL_cleanse(room, sizeof(room));
}
