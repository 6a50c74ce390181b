/* Objects, keys and what is signed with them. */
#include "inner.h"

#include <stdlib.h>
#include <string.h>

#define real sg_fault_real /* the wrapped module */

#define SESSION_OR_RETURN(session, s)                                                              \
	struct sg_fault_session *session = sg_fault_session_find(s);                               \
                                                                                                   \
	if (session == NULL)                                                                       \
	return CKR_SESSION_HANDLE_INVALID

/* ---- attributes that a script replaces ---- */

/* The label that the wrapped module has for it; "" when it has none. */
static void label_of(
    CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, char label[SG_FAULT_ATTRIBUTE_MAX + 1])
{
	CK_ATTRIBUTE at = { CKA_LABEL, label, SG_FAULT_ATTRIBUTE_MAX };
	CK_RV rv = real->C_GetAttributeValue(handle, object, &at, 1);

	label[rv == CKR_OK && at.ulValueLen <= SG_FAULT_ATTRIBUTE_MAX ? at.ulValueLen : 0] = 0;
}

/* The identifier of an object with this label, looked up in a session of its own. */
static int id_of(CK_SLOT_ID slot, const struct sg_fault_override *override,
    CK_BYTE id[SG_FAULT_ATTRIBUTE_MAX], CK_ULONG *len)
{
	CK_BYTE label[SG_FAULT_ATTRIBUTE_MAX];
	CK_ATTRIBUTE wanted = { CKA_LABEL, label, override->len };
	CK_ATTRIBUTE at = { CKA_ID, id, SG_FAULT_ATTRIBUTE_MAX };
	CK_OBJECT_HANDLE object;
	CK_SESSION_HANDLE session;
	CK_ULONG found = 0;
	CK_RV rv;

	memcpy(label, override->value, override->len);
	if (real->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
		return 0;
	rv = real->C_FindObjectsInit(session, &wanted, 1);
	if (rv == CKR_OK) {
		rv = real->C_FindObjects(session, &object, 1, &found);
		real->C_FindObjectsFinal(session);
	}
	if (rv == CKR_OK && found == 1)
		rv = real->C_GetAttributeValue(session, object, &at, 1);
	real->C_CloseSession(session);
	*len = at.ulValueLen;
	return rv == CKR_OK && found == 1;
}

/* What an object with this label shows for an attribute: 1 when the script says so. */
static int override_get(struct sg_fault_session *session, const char *label, CK_ATTRIBUTE_TYPE type,
    CK_BYTE value[SG_FAULT_ATTRIBUTE_MAX], CK_ULONG *len)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	size_t i;

	for (i = 0; i < script->override_count; i++) {
		const struct sg_fault_override *override = &script->overrides[i];

		if (override->type != type || strcmp(override->label, label) != 0)
			continue;
		if (override->kind == SG_FAULT_ID_OF)
			return id_of(session->slot, override, value, len);
		memcpy(value, override->value, override->len);
		*len = override->len;
		return 1;
	}
	return 0;
}

static int has_override(CK_ATTRIBUTE_TYPE type)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	size_t i;

	for (i = 0; i < script->override_count; i++) {
		if (script->overrides[i].type == type)
			return 1;
	}
	return 0;
}

/* One attribute of the caller's, by C_GetAttributeValue's rules. */
static CK_RV attribute_put(CK_ATTRIBUTE *at, const CK_BYTE *value, CK_ULONG len)
{
	CK_ULONG room = at->ulValueLen;

	at->ulValueLen = len;
	if (at->pValue == NULL)
		return CKR_OK;
	if (room < len) {
		at->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	memcpy(at->pValue, value, len);
	return CKR_OK;
}

/* Only what the object has of its own is replaced: a public key is not told that it can sign. */
static CK_RV attributes_get(
    struct sg_fault_session *session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *t, CK_ULONG n)
{
	char label[SG_FAULT_ATTRIBUTE_MAX + 1];
	CK_BYTE value[SG_FAULT_ATTRIBUTE_MAX];
	CK_RV rv = CKR_OK, one;
	CK_ATTRIBUTE probe;
	CK_ULONG i, len;

	label_of(session->handle, object, label);
	for (i = 0; i < n; i++) {
		probe = (CK_ATTRIBUTE){ t[i].type, NULL, 0 };
		if (override_get(session, label, t[i].type, value, &len) &&
		    real->C_GetAttributeValue(session->handle, object, &probe, 1) == CKR_OK)
			one = attribute_put(&t[i], value, len);
		else
			one = real->C_GetAttributeValue(session->handle, object, &t[i], 1);
		if (one != CKR_OK)
			rv = one;
	}
	return rv;
}

CK_RV sg_fault_C_GetAttributeValue(
    CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n)
{
	SESSION_OR_RETURN(session, s);

	o = sg_fault_object_in(o);
	if (sg_fault_script_now()->override_count == 0 || t == NULL || n == 0)
		return real->C_GetAttributeValue(session->handle, o, t, n);
	return attributes_get(session, o, t, n);
}

/* ---- searches ---- */

static CK_ATTRIBUTE *attribute_copy(CK_ATTRIBUTE *to, const CK_ATTRIBUTE *from)
{
	to->type = from->type;
	to->ulValueLen = from->ulValueLen;
	to->pValue = malloc(from->ulValueLen + 1);
	if (to->pValue == NULL)
		return NULL;
	memcpy(to->pValue, from->pValue, from->ulValueLen);
	return to;
}

/* What a script may have replaced, the wrapped module is not asked for: that is compared here. */
CK_RV sg_fault_C_FindObjectsInit(CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n)
{
	CK_ATTRIBUTE *plain = NULL, *wanted = NULL;
	CK_ULONG i, plain_count = 0, wanted_count = 0;
	CK_RV rv;
	SESSION_OR_RETURN(session, s);

	if (sg_fault_script_now()->override_count == 0 || t == NULL || n == 0) {
		sg_fault_session_want(session, NULL, 0);
		return real->C_FindObjectsInit(session->handle, t, n);
	}
	plain = calloc(n, sizeof(*plain));
	wanted = calloc(n, sizeof(*wanted));
	for (i = 0; plain != NULL && wanted != NULL && i < n; i++) {
		if (!has_override(t[i].type) || t[i].pValue == NULL)
			plain[plain_count++] = t[i];
		else if (attribute_copy(&wanted[wanted_count], &t[i]) != NULL)
			wanted_count++;
	}
	rv = plain_count + wanted_count != n
	    ? CKR_HOST_MEMORY
	    : real->C_FindObjectsInit(session->handle, plain, plain_count);
	free(plain);
	if (rv == CKR_OK)
		sg_fault_session_want(session, wanted, wanted_count);
	else
		sg_fault_attributes_free(wanted, wanted_count);
	return rv;
}

static int is_wanted(struct sg_fault_session *session, CK_OBJECT_HANDLE object)
{
	CK_BYTE value[SG_FAULT_ATTRIBUTE_MAX];
	CK_ULONG i;

	for (i = 0; i < session->wanted_count; i++) {
		const CK_ATTRIBUTE *wanted = &session->wanted[i];
		CK_ATTRIBUTE at = { wanted->type, value, sizeof(value) };

		if (attributes_get(session, object, &at, 1) != CKR_OK ||
		    at.ulValueLen != wanted->ulValueLen ||
		    memcmp(value, wanted->pValue, at.ulValueLen) != 0)
			return 0;
	}
	return 1;
}

CK_RV sg_fault_C_FindObjects(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *n)
{
	CK_ULONG found, count = 0;
	CK_RV rv = CKR_OK;
	SESSION_OR_RETURN(session, s);

	if (out == NULL || n == NULL)
		return real->C_FindObjects(session->handle, out, max, n);
	while (count < max) {
		/* One by one where some may not count. */
		rv = real->C_FindObjects(session->handle, out + count,
		    session->wanted_count > 0 ? 1 : max - count, &found);
		if (rv != CKR_OK || found == 0)
			break;
		if (session->wanted_count == 0 || is_wanted(session, out[count])) {
			for (; found > 0; found--, count++)
				out[count] = sg_fault_object_out(out[count]);
		}
		if (session->wanted_count == 0)
			break;
	}
	if (rv == CKR_OK)
		*n = count;
	return rv;
}

CK_RV sg_fault_C_FindObjectsFinal(CK_SESSION_HANDLE s)
{
	SESSION_OR_RETURN(session, s);

	sg_fault_session_want(session, NULL, 0);
	return real->C_FindObjectsFinal(session->handle);
}

/* ---- new objects ---- */

/* Whether the token takes what this makes. */
static CK_RV room_for(const CK_ATTRIBUTE *t, CK_ULONG n)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	CK_ULONG i;

	for (i = 0; t != NULL && i < n; i++) {
		if (t[i].type != CKA_TOKEN || t[i].pValue == NULL || t[i].ulValueLen != 1 ||
		    !*(const CK_BBOOL *)t[i].pValue)
			continue;
		if (script->read_only)
			return CKR_TOKEN_WRITE_PROTECTED;
		return script->memory_full ? CKR_DEVICE_MEMORY : CKR_OK;
	}
	return CKR_OK;
}

#define ROOM_OR_RETURN(t, n)                                                                       \
	do {                                                                                       \
		CK_RV room_rv = room_for(t, n);                                                    \
                                                                                                   \
		if (room_rv != CKR_OK)                                                             \
			return room_rv;                                                            \
	} while (0)

#define MECHANISM_OR_RETURN(m)                                                                     \
	do {                                                                                       \
		if ((m) != NULL && sg_fault_is_refused((m)->mechanism, 0))                         \
			return CKR_MECHANISM_INVALID;                                              \
	} while (0)

static CK_RV made(CK_RV rv, CK_OBJECT_HANDLE *out)
{
	if (rv == CKR_OK && out != NULL)
		*out = sg_fault_object_out(*out);
	return rv;
}

CK_RV sg_fault_C_CreateObject(
    CK_SESSION_HANDLE s, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	SESSION_OR_RETURN(session, s);

	ROOM_OR_RETURN(t, n);
	return made(real->C_CreateObject(session->handle, t, n, out), out);
}

CK_RV sg_fault_C_CopyObject(
    CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	SESSION_OR_RETURN(session, s);

	ROOM_OR_RETURN(t, n);
	return made(real->C_CopyObject(session->handle, sg_fault_object_in(o), t, n, out), out);
}

CK_RV sg_fault_C_GenerateKey(
    CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	ROOM_OR_RETURN(t, n);
	return made(real->C_GenerateKey(session->handle, m, t, n, out), out);
}

CK_RV sg_fault_C_GenerateKeyPair(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *t, CK_ULONG n,
    CK_ATTRIBUTE *t2, CK_ULONG n2, CK_OBJECT_HANDLE *out, CK_OBJECT_HANDLE *out2)
{
	CK_RV rv;
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	ROOM_OR_RETURN(t, n);
	ROOM_OR_RETURN(t2, n2);
	rv = real->C_GenerateKeyPair(session->handle, m, t, n, t2, n2, out, out2);
	made(rv, out);
	return made(rv, out2);
}

CK_RV sg_fault_C_UnwrapKey(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE o, CK_BYTE *a,
    CK_ULONG an, CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	ROOM_OR_RETURN(t, n);
	return made(
	    real->C_UnwrapKey(session->handle, m, sg_fault_object_in(o), a, an, t, n, out), out);
}

CK_RV sg_fault_C_DeriveKey(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE o,
    CK_ATTRIBUTE *t, CK_ULONG n, CK_OBJECT_HANDLE *out)
{
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	ROOM_OR_RETURN(t, n);
	return made(real->C_DeriveKey(session->handle, m, sg_fault_object_in(o), t, n, out), out);
}

CK_RV sg_fault_C_WrapKey(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE o,
    CK_OBJECT_HANDLE o2, CK_BYTE *b, CK_ULONG *bn)
{
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	return real->C_WrapKey(
	    session->handle, m, sg_fault_object_in(o), sg_fault_object_in(o2), b, bn);
}

CK_RV sg_fault_C_SetOperationState(
    CK_SESSION_HANDLE s, CK_BYTE *a, CK_ULONG n, CK_OBJECT_HANDLE o, CK_OBJECT_HANDLE o2)
{
	SESSION_OR_RETURN(session, s);

	return real->C_SetOperationState(
	    session->handle, a, n, sg_fault_object_in(o), sg_fault_object_in(o2));
}

CK_RV sg_fault_C_DigestInit(CK_SESSION_HANDLE s, CK_MECHANISM *m)
{
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	return real->C_DigestInit(session->handle, m);
}

/* ---- signatures ---- */

static int is_always(struct sg_fault_session *session, CK_OBJECT_HANDLE object)
{
	const struct sg_fault_script *script = sg_fault_script_now();
	char label[SG_FAULT_ATTRIBUTE_MAX + 1];
	size_t i;

	if (script->always_count == 0)
		return 0;
	label_of(session->handle, object, label);
	for (i = 0; i < script->always_count; i++) {
		if (strcmp(script->always[i], label) == 0)
			return 1;
	}
	return 0;
}

CK_RV sg_fault_C_SignInit(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE o)
{
	CK_RV rv;
	SESSION_OR_RETURN(session, s);

	MECHANISM_OR_RETURN(m);
	o = sg_fault_object_in(o);
	rv = real->C_SignInit(session->handle, m, o);
	session->has_pin = 0;
	session->needs_pin = rv == CKR_OK && is_always(session, o);
	return rv;
}

/* Whether the key still waits for its PIN: the signature is over then, in the wrapped module too. */
static int is_pinless(struct sg_fault_session *session, int ends)
{
	CK_BYTE data[1] = { 0 }, room[4096];
	CK_ULONG len = sizeof(room);
	int wants = session->needs_pin && !session->has_pin;

	if (wants)
		real->C_Sign(session->handle, data, sizeof(data), room, &len);
	if (wants || ends)
		session->needs_pin = session->has_pin = 0;
	return wants;
}

CK_RV sg_fault_C_Sign(CK_SESSION_HANDLE s, CK_BYTE *a, CK_ULONG n, CK_BYTE *b, CK_ULONG *bn)
{
	SESSION_OR_RETURN(session, s);
	CK_RV rv;

	if (is_pinless(session, b != NULL))
		return CKR_USER_NOT_LOGGED_IN;
	rv = real->C_Sign(session->handle, a, n, b, bn);
	if (rv == CKR_OK && b != NULL && *bn > 0 && sg_fault_call_is_corrupt())
		b[*bn - 1] ^= 1;
	return rv;
}

CK_RV sg_fault_C_SignFinal(CK_SESSION_HANDLE s, CK_BYTE *b, CK_ULONG *bn)
{
	SESSION_OR_RETURN(session, s);

	if (is_pinless(session, b != NULL))
		return CKR_USER_NOT_LOGGED_IN;
	return real->C_SignFinal(session->handle, b, bn);
}
