/*
 * The allocator that libstrophe and its XML parser get: every block is wiped when it is given back
 * or moved. libstrophe copies the password into strings of its own and frees them unwiped, and
 * forgets blocks of a login that is cut off.
 */
#ifndef SG_XMPP_MEMORY_H
#define SG_XMPP_MEMORY_H

#include <stdint.h>

#include <strophe.h>

extern const xmpp_mem_t sg_memory_wiping;

/* A point in time; and giving back every block that was made after it and still is there. */
uint64_t sg_memory_mark(void);
void sg_memory_release(uint64_t mark);

/* Wipes what calls that have returned may have left on the stack below the caller. */
void sg_memory_wipe_stack(void);

#endif
