/*
 * The allocator that libstrophe and its XML parser get: every block is wiped when it is given back
 * or moved. libstrophe copies the password into strings of its own and frees them unwiped.
 */
#ifndef SG_XMPP_MEMORY_H
#define SG_XMPP_MEMORY_H

#include <strophe.h>

extern const xmpp_mem_t sg_memory_wiping;

/* Wipes what calls that have returned may have left on the stack below the caller. */
void sg_memory_wipe_stack(void);

#endif
