#include "session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "call.h"

/* The upper 12 bits of every handle say which generation it is of. */
#define GENERATION_SHIFT (8 * sizeof(CK_ULONG) - 12)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* protects sessions and the two counts */
static struct sg_fault_session **sessions;		 /* those that are closed serve again */
static size_t session_count, session_room;
static atomic_ulong generation;
static _Atomic uint64_t known_pin; /* a hash; 0: nobody is logged in */

static CK_ULONG mask(void)
{
	return atomic_load(&generation) << GENERATION_SHIFT;
}

static struct sg_fault_session *session_take(void)
{
	struct sg_fault_session **more;
	size_t i;

	for (i = 0; i < session_count; i++) {
		if (!sessions[i]->is_open)
			return sessions[i];
	}
	if (session_count == session_room) {
		more = realloc(sessions, (session_room + 64) * sizeof(*sessions));
		if (more == NULL)
			return NULL;
		sessions = more;
		session_room += 64;
	}
	sessions[session_count] = calloc(1, sizeof(**sessions));
	return sessions[session_count] != NULL ? sessions[session_count++] : NULL;
}

struct sg_fault_session *sg_fault_session_new(CK_SESSION_HANDLE handle, CK_SLOT_ID slot)
{
	struct sg_fault_session *session;

	pthread_mutex_lock(&lock);
	session = session_take();
	if (session != NULL) {
		sg_fault_session_want(session, NULL, 0);
		*session = (struct sg_fault_session){
			.outer = handle ^ mask(), .handle = handle, .slot = slot, .is_open = 1
		};
	}
	pthread_mutex_unlock(&lock);
	return session;
}

struct sg_fault_session *sg_fault_session_find(CK_SESSION_HANDLE outer)
{
	struct sg_fault_session *found = NULL;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < session_count && found == NULL; i++) {
		if (sessions[i]->is_open && sessions[i]->outer == outer)
			found = sessions[i];
	}
	pthread_mutex_unlock(&lock);
	return found;
}

void sg_fault_session_close(struct sg_fault_session *session)
{
	pthread_mutex_lock(&lock);
	session->is_open = 0;
	pthread_mutex_unlock(&lock);
}

void sg_fault_sessions_close_slot(CK_SLOT_ID slot)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < session_count; i++) {
		if (sessions[i]->slot == slot)
			sessions[i]->is_open = 0;
	}
	pthread_mutex_unlock(&lock);
}

CK_OBJECT_HANDLE sg_fault_object_out(CK_OBJECT_HANDLE real)
{
	return real == CK_INVALID_HANDLE ? real : real ^ mask();
}

CK_OBJECT_HANDLE sg_fault_object_in(CK_OBJECT_HANDLE outer)
{
	return outer == CK_INVALID_HANDLE ? outer : outer ^ mask();
}

void sg_fault_attributes_free(CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ULONG i;

	for (i = 0; i < count; i++)
		free(attributes[i].pValue);
	free(attributes);
}

void sg_fault_session_want(struct sg_fault_session *session, CK_ATTRIBUTE *wanted, CK_ULONG count)
{
	sg_fault_attributes_free(session->wanted, session->wanted_count);
	session->wanted = wanted;
	session->wanted_count = count;
}

void sg_fault_sessions_lose(void)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < session_count; i++) {
		if (sessions[i]->is_open && sg_fault_real != NULL)
			sg_fault_real->C_CloseAllSessions(sessions[i]->slot);
		sg_fault_session_want(sessions[i], NULL, 0);
	}
	for (i = 0; i < session_count; i++)
		sessions[i]->is_open = 0;
	pthread_mutex_unlock(&lock);
	atomic_fetch_add(&generation, 1);
	atomic_store(&known_pin, 0);
}

void sg_fault_sessions_logout(void)
{
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < session_count; i++) {
		if (sessions[i]->is_open)
			sg_fault_real->C_Logout(sessions[i]->handle);
	}
	pthread_mutex_unlock(&lock);
	atomic_store(&known_pin, 0);
}

void sg_fault_sessions_free(void)
{
	while (session_count > 0) {
		sg_fault_session_want(sessions[--session_count], NULL, 0);
		free(sessions[session_count]);
	}
	free(sessions);
	sessions = NULL;
	session_room = 0;
}

/* FNV-1a from a start that differs in every process. Never 0. */
static uint64_t hash(const CK_BYTE *pin, CK_ULONG len)
{
	uint64_t sum = UINT64_C(14695981039346656037) ^ (uintptr_t)&known_pin;
	CK_ULONG i;

	for (i = 0; i < len; i++)
		sum = (sum ^ pin[i]) * UINT64_C(1099511628211);
	return sum | 1;
}

void sg_fault_pin_note(const CK_BYTE *pin, CK_ULONG len)
{
	atomic_store(&known_pin, pin != NULL ? hash(pin, len) : 0);
}

int sg_fault_pin_is(const CK_BYTE *pin, CK_ULONG len)
{
	/* Typed at the reader itself: nothing is known of it. */
	return pin == NULL || atomic_load(&known_pin) == hash(pin, len);
}
