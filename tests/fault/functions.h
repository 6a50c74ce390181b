/*
 * Every function of CK_FUNCTION_LIST 2.40 but C_GetFunctionList, in its order: what the wrappers, their names
 * and their numbers are made of.
 *
 *   OWN   is written by hand
 *   PASS  s is a session, the rest goes through as it is
 *   OBJ   s is a session and o an object
 *   INIT  s is a session, m a mechanism that may be refused, o the key
 */
#ifndef SG_FAULT_FUNCTIONS_H
#define SG_FAULT_FUNCTIONS_H

#include <p11-kit/pkcs11.h>

#define S	   CK_SESSION_HANDLE s
#define O	   CK_OBJECT_HANDLE o
#define M	   CK_MECHANISM *m
#define T(t, n)	   CK_ATTRIBUTE *t, CK_ULONG n
#define IN(a, n)   CK_BYTE *a, CK_ULONG n
#define OUT(b, bn) CK_BYTE *b, CK_ULONG *bn

/* clang-format off */
#define SG_FAULT_FUNCTIONS(OWN, PASS, OBJ, INIT)                                                   \
	OWN(C_Initialize, (void *args), (args))                                                    \
	OWN(C_Finalize, (void *args), (args))                                                      \
	OWN(C_GetInfo, (CK_INFO *info), (info))                                                    \
	OWN(C_GetSlotList, (CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *n), (present, slots, n)) \
	OWN(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info), (slot, info))                    \
	OWN(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO *info), (slot, info))                  \
	OWN(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *n), (slot, types, n)) \
	OWN(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info), (slot, type, info)) \
	OWN(C_InitToken, (CK_SLOT_ID slot, IN(pin, len), CK_BYTE *label), (slot, pin, len, label)) \
	OWN(C_InitPIN, (S, IN(pin, len)), (s, pin, len))                                           \
	OWN(C_SetPIN, (S, IN(old, old_len), IN(pin, len)), (s, old, old_len, pin, len))            \
	OWN(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, void *app, CK_NOTIFY notify, CK_SESSION_HANDLE *out), (slot, flags, app, notify, out)) \
	OWN(C_CloseSession, (S), (s))                                                              \
	OWN(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))                                         \
	PASS(C_GetSessionInfo, (S, CK_SESSION_INFO *info), (s, info))                              \
	PASS(C_GetOperationState, (S, OUT(b, bn)), (s, b, bn))                                     \
	OWN(C_SetOperationState, (S, IN(a, n), CK_OBJECT_HANDLE o, CK_OBJECT_HANDLE o2), (s, a, n, o, o2)) \
	OWN(C_Login, (S, CK_USER_TYPE user, IN(pin, len)), (s, user, pin, len))                    \
	OWN(C_Logout, (S), (s))                                                                    \
	OWN(C_CreateObject, (S, T(t, n), CK_OBJECT_HANDLE *out), (s, t, n, out))                   \
	OWN(C_CopyObject, (S, O, T(t, n), CK_OBJECT_HANDLE *out), (s, o, t, n, out))               \
	OBJ(C_DestroyObject, (S, O), (s, o))                                                       \
	OBJ(C_GetObjectSize, (S, O, CK_ULONG *n), (s, o, n))                                       \
	OWN(C_GetAttributeValue, (S, O, T(t, n)), (s, o, t, n))                                    \
	OBJ(C_SetAttributeValue, (S, O, T(t, n)), (s, o, t, n))                                    \
	OWN(C_FindObjectsInit, (S, T(t, n)), (s, t, n))                                            \
	OWN(C_FindObjects, (S, CK_OBJECT_HANDLE *out, CK_ULONG max, CK_ULONG *n), (s, out, max, n)) \
	OWN(C_FindObjectsFinal, (S), (s))                                                          \
	INIT(C_EncryptInit, (S, M, O), (s, m, o))                                                  \
	PASS(C_Encrypt, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                               \
	PASS(C_EncryptUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                         \
	PASS(C_EncryptFinal, (S, OUT(b, bn)), (s, b, bn))                                          \
	INIT(C_DecryptInit, (S, M, O), (s, m, o))                                                  \
	PASS(C_Decrypt, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                               \
	PASS(C_DecryptUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                         \
	PASS(C_DecryptFinal, (S, OUT(b, bn)), (s, b, bn))                                          \
	OWN(C_DigestInit, (S, M), (s, m))                                                          \
	PASS(C_Digest, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                                \
	PASS(C_DigestUpdate, (S, IN(a, n)), (s, a, n))                                             \
	OBJ(C_DigestKey, (S, O), (s, o))                                                           \
	PASS(C_DigestFinal, (S, OUT(b, bn)), (s, b, bn))                                           \
	OWN(C_SignInit, (S, M, O), (s, m, o))                                                      \
	OWN(C_Sign, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                                   \
	PASS(C_SignUpdate, (S, IN(a, n)), (s, a, n))                                               \
	OWN(C_SignFinal, (S, OUT(b, bn)), (s, b, bn))                                              \
	INIT(C_SignRecoverInit, (S, M, O), (s, m, o))                                              \
	PASS(C_SignRecover, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                           \
	INIT(C_VerifyInit, (S, M, O), (s, m, o))                                                   \
	PASS(C_Verify, (S, IN(a, n), IN(b, bn)), (s, a, n, b, bn))                                 \
	PASS(C_VerifyUpdate, (S, IN(a, n)), (s, a, n))                                             \
	PASS(C_VerifyFinal, (S, IN(a, n)), (s, a, n))                                              \
	INIT(C_VerifyRecoverInit, (S, M, O), (s, m, o))                                            \
	PASS(C_VerifyRecover, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                         \
	PASS(C_DigestEncryptUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                   \
	PASS(C_DecryptDigestUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                   \
	PASS(C_SignEncryptUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                     \
	PASS(C_DecryptVerifyUpdate, (S, IN(a, n), OUT(b, bn)), (s, a, n, b, bn))                   \
	OWN(C_GenerateKey, (S, M, T(t, n), CK_OBJECT_HANDLE *out), (s, m, t, n, out))              \
	OWN(C_GenerateKeyPair, (S, M, T(t, n), T(t2, n2), CK_OBJECT_HANDLE *out, CK_OBJECT_HANDLE *out2), (s, m, t, n, t2, n2, out, out2)) \
	OWN(C_WrapKey, (S, M, O, CK_OBJECT_HANDLE o2, OUT(b, bn)), (s, m, o, o2, b, bn))           \
	OWN(C_UnwrapKey, (S, M, O, IN(a, an), T(t, n), CK_OBJECT_HANDLE *out), (s, m, o, a, an, t, n, out)) \
	OWN(C_DeriveKey, (S, M, O, T(t, n), CK_OBJECT_HANDLE *out), (s, m, o, t, n, out))          \
	PASS(C_SeedRandom, (S, IN(a, n)), (s, a, n))                                               \
	PASS(C_GenerateRandom, (S, IN(a, n)), (s, a, n))                                           \
	PASS(C_GetFunctionStatus, (S), (s))                                                        \
	PASS(C_CancelFunction, (S), (s))                                                           \
	OWN(C_WaitForSlotEvent, (CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved), (flags, slot, reserved))
/* clang-format on */

#define SG_FAULT_ENUM(name, params, args) SG_FN_##name,
enum sg_fault_fn {
	SG_FAULT_FUNCTIONS(SG_FAULT_ENUM, SG_FAULT_ENUM, SG_FAULT_ENUM, SG_FAULT_ENUM) SG_FN_COUNT,
	SG_FN_ANY = SG_FN_COUNT,
};
#undef SG_FAULT_ENUM

#endif
