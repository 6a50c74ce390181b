/* Slots, tokens, sessions and PINs. */
#include "inner.h"

#include <string.h>

#include "state.h"

#define real sg_fault_real /* the wrapped module */

#define PIN_FLAGS (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)

CK_RV sg_fault_C_Initialize(void *args)
{
	return sg_fault_start(args);
}

CK_RV sg_fault_C_Finalize(void *args)
{
	return sg_fault_stop(args);
}

CK_RV sg_fault_C_GetInfo(CK_INFO *info)
{
	return real->C_GetInfo(info);
}

/* ---- slots ---- */

CK_RV sg_fault_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *n)
{
	if (!present || !sg_fault_state_is_removed() || n == NULL)
		return real->C_GetSlotList(present, slots, n);
	*n = 0;
	return CKR_OK;
}

CK_RV sg_fault_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	CK_RV rv = real->C_GetSlotInfo(slot, info);

	if (rv == CKR_OK && sg_fault_script_now()->removable)
		info->flags |= CKF_REMOVABLE_DEVICE | CKF_HW_SLOT;
	if (rv == CKR_OK && sg_fault_state_is_removed())
		info->flags &= ~CKF_TOKEN_PRESENT;
	return rv;
}

static CK_RV first_slot(CK_SLOT_ID *slot)
{
	CK_SLOT_ID slots[64];
	CK_ULONG n = sizeof(slots) / sizeof(slots[0]);
	CK_RV rv = real->C_GetSlotList(CK_FALSE, slots, &n);

	if (rv == CKR_OK && n == 0)
		return CKR_NO_EVENT;
	*slot = slots[0];
	return rv;
}

/* One for each time that the token went or came. */
CK_RV sg_fault_C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved)
{
	static _Atomic int was_removed;

	if (!sg_fault_script_now()->events)
		return real->C_WaitForSlotEvent(flags, slot, reserved);
	for (;;) {
		int is_removed;

		if (!sg_fault_is_initialized())
			return CKR_CRYPTOKI_NOT_INITIALIZED;
		is_removed = sg_fault_state_is_removed();
		if (is_removed != was_removed) {
			was_removed = is_removed;
			return first_slot(slot);
		}
		if (flags & CKF_DONT_BLOCK)
			return CKR_NO_EVENT;
		sg_fault_nap();
	}
}

/* ---- tokens ---- */

static unsigned long wrong_tries(CK_SLOT_ID slot, CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE])
{
	CK_TOKEN_INFO info;

	if (real->C_GetTokenInfo(slot, &info) != CKR_OK)
		memset(info.serialNumber, ' ', sizeof(info.serialNumber));
	memcpy(serial, info.serialNumber, SG_FAULT_SERIAL_SIZE);
	sg_fault_state_serial(serial);
	return sg_fault_state_wrong(serial);
}

static CK_FLAGS pin_flags(unsigned long wrong, unsigned long tries)
{
	if (wrong >= tries)
		return CKF_USER_PIN_LOCKED;
	return (wrong > 0 ? CKF_USER_PIN_COUNT_LOW : 0) |
	    (wrong + 1 == tries ? CKF_USER_PIN_FINAL_TRY : 0);
}

CK_RV sg_fault_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE];
	CK_RV rv;

	if (sg_fault_state_is_removed())
		return CKR_TOKEN_NOT_PRESENT;
	rv = real->C_GetTokenInfo(slot, info);
	if (rv != CKR_OK || !(info->flags & CKF_TOKEN_INITIALIZED))
		return rv;
	sg_fault_state_serial(info->serialNumber);
	if (script->read_only)
		info->flags |= CKF_WRITE_PROTECTED;
	if (script->pin_tries > 0) {
		info->flags &= ~PIN_FLAGS;
		if (!script->pin_silent)
			info->flags |= pin_flags(wrong_tries(slot, serial), script->pin_tries);
	}
	return rv;
}

CK_RV sg_fault_C_InitToken(CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG len, CK_BYTE *label)
{
	if (sg_fault_state_is_removed())
		return CKR_TOKEN_NOT_PRESENT;
	if (sg_fault_script_now()->read_only)
		return CKR_TOKEN_WRITE_PROTECTED;
	return real->C_InitToken(slot, pin, len, label);
}

/* ---- mechanisms ---- */

int sg_fault_is_refused(CK_MECHANISM_TYPE type, int listed)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	size_t i;

	for (i = 0; i < script->refusal_count; i++) {
		if (script->refusals[i].type == type && !(listed && script->refusals[i].late))
			return 1;
	}
	return 0;
}

CK_RV sg_fault_C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *n)
{
	CK_ULONG i, left = 0;
	CK_RV rv;

	if (sg_fault_state_is_removed())
		return CKR_TOKEN_NOT_PRESENT;
	rv = real->C_GetMechanismList(slot, types, n);
	/* The number alone may be larger than what comes then. */
	if (rv != CKR_OK || types == NULL)
		return rv;
	for (i = 0; i < *n; i++) {
		if (!sg_fault_is_refused(types[i], 1))
			types[left++] = types[i];
	}
	*n = left;
	return rv;
}

CK_RV sg_fault_C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	if (sg_fault_state_is_removed())
		return CKR_TOKEN_NOT_PRESENT;
	if (sg_fault_is_refused(type, 1))
		return CKR_MECHANISM_INVALID;
	return real->C_GetMechanismInfo(slot, type, info);
}

/* ---- sessions ---- */

CK_RV sg_fault_C_OpenSession(
    CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, CK_SESSION_HANDLE *out)
{
	struct sg_fault_session *session;
	CK_SESSION_HANDLE handle;
	CK_RV rv;

	if (sg_fault_state_is_removed())
		return CKR_TOKEN_NOT_PRESENT;
	if (sg_fault_script_now()->read_only && (flags & CKF_RW_SESSION))
		return CKR_TOKEN_WRITE_PROTECTED;
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	rv = real->C_OpenSession(slot, flags, app, notify, &handle);
	if (rv != CKR_OK)
		return rv;
	session = sg_fault_session_new(handle, slot);
	if (session == NULL) {
		real->C_CloseSession(handle);
		return CKR_HOST_MEMORY;
	}
	*out = session->outer;
	return rv;
}

CK_RV sg_fault_C_CloseSession(CK_SESSION_HANDLE s)
{
	struct sg_fault_session *session = sg_fault_session_find(s);
	CK_RV rv;

	if (session == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	rv = real->C_CloseSession(session->handle);
	if (rv == CKR_OK)
		sg_fault_session_close(session);
	return rv;
}

CK_RV sg_fault_C_CloseAllSessions(CK_SLOT_ID slot)
{
	CK_RV rv = real->C_CloseAllSessions(slot);

	if (rv == CKR_OK)
		sg_fault_sessions_close_slot(slot);
	return rv;
}

/* ---- PINs ---- */

/* Counts a try of the user's PIN: what the token says of it. */
static CK_RV count(CK_SLOT_ID slot, CK_RV rv)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE];
	unsigned long wrong = wrong_tries(slot, serial);

	if (script->pin_tries == 0)
		return rv;
	if (rv == CKR_OK)
		sg_fault_state_wrong_set(serial, 0);
	else if (rv == CKR_PIN_INCORRECT)
		sg_fault_state_wrong_set(serial, ++wrong);
	return rv == CKR_PIN_INCORRECT && wrong >= script->pin_tries ? CKR_PIN_LOCKED : rv;
}

static int is_locked(CK_SLOT_ID slot)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE];

	return script->pin_tries > 0 && wrong_tries(slot, serial) >= script->pin_tries;
}

static CK_RV login_again(struct sg_fault_session *session, const CK_BYTE *pin, CK_ULONG len)
{
	session->has_pin = sg_fault_pin_is(pin, len);
	return session->has_pin ? CKR_OK : CKR_PIN_INCORRECT;
}

CK_RV sg_fault_C_Login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG len)
{
	struct sg_fault_session *session = sg_fault_session_find(s);
	CK_RV rv;

	if (session == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	if (user == CKU_SO)
		return real->C_Login(session->handle, user, pin, len);
	if (is_locked(session->slot))
		return CKR_PIN_LOCKED;
	if (user == CKU_CONTEXT_SPECIFIC && session->needs_pin)
		return count(session->slot, login_again(session, pin, len));
	rv = real->C_Login(session->handle, user, pin, len);
	if (rv == CKR_OK)
		sg_fault_pin_note(pin, len);
	return count(session->slot, rv);
}

CK_RV sg_fault_C_Logout(CK_SESSION_HANDLE s)
{
	struct sg_fault_session *session = sg_fault_session_find(s);

	if (session == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	sg_fault_pin_note(NULL, 0);
	return real->C_Logout(session->handle);
}

CK_RV sg_fault_C_InitPIN(CK_SESSION_HANDLE s, CK_BYTE *pin, CK_ULONG len)
{
	struct sg_fault_session *session = sg_fault_session_find(s);
	CK_RV rv;

	if (session == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	if (sg_fault_script_now()->read_only)
		return CKR_TOKEN_WRITE_PROTECTED;
	rv = real->C_InitPIN(session->handle, pin, len);
	return rv == CKR_OK ? count(session->slot, rv) : rv;
}

/* In a session of the security officer it is not the user's PIN that is tried. */
CK_RV sg_fault_C_SetPIN(
    CK_SESSION_HANDLE s, CK_BYTE *old, CK_ULONG old_len, CK_BYTE *pin, CK_ULONG len)
{
	struct sg_fault_session *session = sg_fault_session_find(s);
	CK_SESSION_INFO info = { 0 };
	CK_RV rv;

	if (session == NULL)
		return CKR_SESSION_HANDLE_INVALID;
	if (sg_fault_script_now()->read_only)
		return CKR_TOKEN_WRITE_PROTECTED;
	real->C_GetSessionInfo(session->handle, &info);
	if (info.state == CKS_RW_SO_FUNCTIONS)
		return real->C_SetPIN(session->handle, old, old_len, pin, len);
	if (is_locked(session->slot))
		return CKR_PIN_LOCKED;
	rv = real->C_SetPIN(session->handle, old, old_len, pin, len);
	if (rv == CKR_OK && info.state == CKS_RW_USER_FUNCTIONS)
		sg_fault_pin_note(pin, len);
	return count(session->slot, rv);
}
