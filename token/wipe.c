#include "wipe.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_uint pins; /* how many are at work in a module */

void sg_wipe_begin(void)
{
	atomic_fetch_add(&pins, 1);
}

void sg_wipe_end(void)
{
	atomic_fetch_sub(&pins, 1);
}

__attribute__((noinline)) void sg_wipe_stack(void)
{
	char room[SG_WIPE_STACK];

	explicit_bzero(room, sizeof(room));
}

/* A sanitizer has an allocator of its own. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SG_WIPE_HEAP 0
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define SG_WIPE_HEAP 0
#endif

#ifndef SG_WIPE_HEAP

/* glibc's, beneath the names that are taken here */
extern void __libc_free(void *data);
extern void *__libc_realloc(void *data, size_t size);

static int is_wiped(void)
{
	return atomic_load_explicit(&pins, memory_order_relaxed) > 0;
}

void free(void *data)
{
	int error = errno;

	if (data == NULL)
		return;
	if (is_wiped())
		explicit_bzero(data, malloc_usable_size(data));
	__libc_free(data);
	errno = error;
}

/* glibc's would free without us what it moves. */
void *realloc(void *data, size_t size)
{
	size_t room;
	void *moved;

	if (!is_wiped())
		return __libc_realloc(data, size);
	room = data != NULL ? malloc_usable_size(data) : 0;
	if (data != NULL && size > 0 && size <= room && size >= room / 2)
		return data;
	if (data != NULL && size == 0) {
		free(data);
		return NULL;
	}
	moved = malloc(size);
	if (moved != NULL && data != NULL) {
		memcpy(moved, data, size < room ? size : room);
		free(data);
	}
	return moved;
}

#endif
