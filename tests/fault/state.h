/*
 * What is true of the token beside what the wrapped module thinks: whether it is there, which one it is, its
 * PIN counter; and how often each rule of the script has been reached. Kept in the file SIGNET_FAULT_STATE,
 * mapped by all processes that share it; without one, in this process alone.
 */
#ifndef SG_FAULT_STATE_H
#define SG_FAULT_STATE_H

#include "script.h"

/* Opens or makes the file; path may be NULL. On failure -1 with the reason. */
int sg_fault_state_open(const char *path, char *error, size_t size);
void sg_fault_state_close(void);

/* Takes note of a script that was read: counting begins anew, and what it says of now happens, unless this
 * very file did so already in another process or an earlier one. */
void sg_fault_state_script(const struct sg_fault_script *script);

/* Counts a call, of any function; a time that a rule was reached. The first is 1. */
unsigned long sg_fault_state_call(void);
unsigned long sg_fault_state_reach(size_t rule);

/* Makes an event of the token happen. Every session and handle is stale then, or the login is gone:
 * call.c carries that out. */
void sg_fault_state_event(enum sg_fault_action action, const char *serial);
int sg_fault_state_is_removed(void);
unsigned long sg_fault_state_epoch(void);	/* grows when sessions are lost */
unsigned long sg_fault_state_login_epoch(void); /* grows when the login is */

/* Puts the serial number of the token that is there in place of the real one, if it is another's. */
void sg_fault_state_serial(CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE]);

/* Wrong tries since the last right one, of the token with this serial number; 0 where there is no more room
 * to keep them. */
unsigned long sg_fault_state_wrong(const CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE]);
void sg_fault_state_wrong_set(const CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE], unsigned long wrong);

#endif
