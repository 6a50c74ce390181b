#include "memory.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

/* Stands before each block; as large as the strictest alignment. */
union head {
	struct {
		size_t room; /* bytes after the head */
	} block;
	max_align_t align;
};

#define STACK_WIPED (64u << 10) /* libstrophe's loop, parser and SCRAM stay within a few KiB */

static void *wiping_alloc(size_t size, void *userdata)
{
	union head *head;

	if (size > SIZE_MAX - sizeof(*head))
		return NULL;
	head = malloc(sizeof(*head) + size);
	if (head == NULL)
		return NULL;
	head->block.room = size;
	return head + 1;
}

static void wiping_free(void *data, void *userdata)
{
	union head *head = data;

	if (head == NULL)
		return;
	head--;
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
	moved = wiping_alloc(size, userdata);
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

__attribute__((noinline)) void sg_memory_wipe_stack(void)
{
	unsigned char room[STACK_WIPED];

	OPENSSL_cleanse(room, sizeof(room));
}
