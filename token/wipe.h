/*
 * PINs that others leave behind: a module copies the PIN that it is given to its heap and its stack, and frees
 * it as it is.
 *
 * In a process that links this, all memory that is freed is wiped.
 */
#ifndef SG_TOKEN_WIPE_H
#define SG_TOKEN_WIPE_H

#define SG_WIPE_STACK 65536 /* bytes below the caller's frame */

/* Wipes what calls that have returned left on this thread's stack. */
void sg_wipe_stack(void);

#endif
