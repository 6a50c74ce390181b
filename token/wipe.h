/*
 * PINs that others leave behind: a module copies the PIN that it is given to its heap and its
 * stack, and frees it as it is.
 *
 * In a process that links this, all memory that is freed or moved while a module has a PIN, or is
 * told to forget one, is wiped, whichever thread does it. At other times it is not, for signatures
 * free much. So a copy that a module makes in a login, keeps, and frees in some later call is not
 * covered: the end of the process is the end of that one, which the broker brings about once
 * nothing is unlocked there.
 */
#ifndef SG_TOKEN_WIPE_H
#define SG_TOKEN_WIPE_H

#define SG_WIPE_STACK 65536 /* bytes below the caller's frame */

/* Around the calls that give a module a PIN, and those that end a login. They may be nested. */
void sg_wipe_begin(void);
void sg_wipe_end(void);

/* Wipes what calls that have returned left on this thread's stack. */
void sg_wipe_stack(void);

#endif
