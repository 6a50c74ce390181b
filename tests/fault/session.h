/*
 * Sessions and handles as they are seen from outside. When a token is pulled or its sessions are lost, none of
 * the handles given out before means anything any more, though the wrapped module may use its numbers again.
 */
#ifndef SG_FAULT_SESSION_H
#define SG_FAULT_SESSION_H

#include "script.h"

struct sg_fault_session {
	CK_SESSION_HANDLE outer, handle; /* handle: the wrapped module's */
	CK_SLOT_ID slot;
	int is_open;
	/* What a search looks for beyond what the wrapped module was told; owned. */
	CK_ATTRIBUTE *wanted;
	CK_ULONG wanted_count;
	/* The signature that was begun wants the PIN again, and has got it. */
	int needs_pin, has_pin;
};

/* NULL: no memory. The session lives until C_Finalize, open or not. */
struct sg_fault_session *sg_fault_session_new(CK_SESSION_HANDLE handle, CK_SLOT_ID slot);

/* NULL: there is none any more. */
struct sg_fault_session *sg_fault_session_find(CK_SESSION_HANDLE outer);

/* Its handle, or those of all in the slot, are no good any more; closing them in the wrapped module is the caller's. */
void sg_fault_session_close(struct sg_fault_session *session);
void sg_fault_sessions_close_slot(CK_SLOT_ID slot);

/* An object's handle as it is seen from outside, and the wrapped module's; CK_INVALID_HANDLE stays what it is. */
CK_OBJECT_HANDLE sg_fault_object_out(CK_OBJECT_HANDLE real);
CK_OBJECT_HANDLE sg_fault_object_in(CK_OBJECT_HANDLE outer);

/* Takes over what a search is to look for, NULL for nothing. */
void sg_fault_session_want(struct sg_fault_session *session, CK_ATTRIBUTE *wanted, CK_ULONG count);

/* Frees the array and its values. */
void sg_fault_attributes_free(CK_ATTRIBUTE *attributes, CK_ULONG count);

/* Closes all, in the wrapped module too; nothing given out before is good any more. No other call runs. */
void sg_fault_sessions_lose(void);

/* Logs out of every token. No other call runs. */
void sg_fault_sessions_logout(void);

/* Frees all, open or not. No other call runs. */
void sg_fault_sessions_free(void);

/* The PIN of the login that stands, known again without being kept. NULL is none to note, and none to know: one that
 * was typed at the reader. */
void sg_fault_pin_note(const CK_BYTE *pin, CK_ULONG len);
int sg_fault_pin_is(const CK_BYTE *pin, CK_ULONG len);

#endif
