/*
 * One call from the outside: counted, held against the script, let through to the wrapped module or not, logged.
 */
#ifndef SG_FAULT_CALL_H
#define SG_FAULT_CALL_H

#include "script.h"

/* The wrapped module, once C_Initialize has been called. */
extern CK_FUNCTION_LIST *sg_fault_real;

struct sg_fault_call {
	enum sg_fault_fn fn;
	unsigned long number; /* among all calls since the script was read */
	CK_RV rv;
	int is_locked;
	int is_abandoned; /* it is failed, and made all the same so that its operation ends */
};

/* 1: the call is to be made, and its result put into rv; 0: rv is what it gives. */
int sg_fault_call_enter(struct sg_fault_call *call, enum sg_fault_fn fn);

/* After either: does what the script says of it afterwards, logs it, and gives the result. */
CK_RV sg_fault_call_leave(struct sg_fault_call *call);

/* Whether this thread's call is to spoil the signature that it gives. */
int sg_fault_call_is_corrupt(void);

/* The script that holds now; it stays as it is until C_Finalize. */
const struct sg_fault_script *sg_fault_script_now(void);

/* For a call that waits outside of the wrapped module: sleeps a moment, then takes note of a new script and of what
 * happened to the token. */
void sg_fault_nap(void);
int sg_fault_is_initialized(void);

/* What C_Initialize and C_Finalize do, besides what the wrapped module does. */
CK_RV sg_fault_start(void *args);
CK_RV sg_fault_stop(void *args);

#endif
