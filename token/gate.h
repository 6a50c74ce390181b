/*
 * The threads that are at work with the module, and the one that wants it for itself: a module can
 * be started anew only while no other thread is in it.
 *
 * One of these in a process. A thread that waits for a person, or for another thread that may do
 * so, waits outside.
 */
#ifndef SG_TOKEN_GATE_H
#define SG_TOKEN_GATE_H

#include <pthread.h>

#define SG_GATE_MS 250 /* that who wants to be alone waits for all others */

/* This thread works with the module until it leaves; may be nested. Waits while somebody is
 * alone, or wants to be. */
void sg_gate_enter(void);
void sg_gate_leave(void);

/* Outside for a while: gives how deep the thread was inside, for the way back. */
unsigned sg_gate_pause(void);
void sg_gate_resume(unsigned depth);

/* Locks what another thread may hold that is outside, or waits to come in. */
void sg_gate_lock(pthread_mutex_t *lock);

/* Waits until no other thread is inside: 1, and all stay outside until sg_gate_share(); 0 when they
 * do not leave within SG_GATE_MS. */
int sg_gate_alone(void);
void sg_gate_share(void);

#endif
