/*
 * libsignet-fault.so: a PKCS#11 module that wraps another and makes it fail as it is told. signet-fault(7) is its
 * manual; in short:
 *
 *   SIGNET_FAULT_MODULE  the module that is wrapped
 *   SIGNET_FAULT_SCRIPT  what goes wrong, a rule a line; read at C_Initialize and whenever the file has changed
 *   SIGNET_FAULT_STATE   a file for what outlives a process: PIN counters, a token that is out, calls counted
 *   SIGNET_FAULT_LOG     a line for each call: process, number, function, result
 *
 * It needs a C library, the wrapped module and nothing else; to build it, p11-kit's pkcs11.h. The folder can be
 * copied into another project as it is.
 *
 * How a call goes: the wrapper made here for each function enters it (call.c), which counts it and does what the
 * script says of it; then the function itself, most by the macros below, those with more to do in token.c
 * and object.c; then it is left, which does what the script says of it afterwards and logs it.
 */
#include "inner.h"

#define real sg_fault_real /* the wrapped module */

/* ---- functions that are handed on ---- */

#define NOTHING(name, params, args)

/* translate: what becomes of other arguments than the session. */
#define HANDED_ON(name, params, args, translate)                                                   \
	static CK_RV sg_fault_##name params                                                        \
	{                                                                                          \
		struct sg_fault_session *session = sg_fault_session_find(s);                       \
                                                                                                   \
		if (session == NULL)                                                               \
			return CKR_SESSION_HANDLE_INVALID;                                         \
		translate;                                                                         \
		s = session->handle;                                                               \
		return real->name args;                                                            \
	}

#define PASS(name, params, args)   HANDED_ON(name, params, args, )
#define OBJECT(name, params, args) HANDED_ON(name, params, args, o = sg_fault_object_in(o))
#define INIT(name, params, args)                                                                   \
	static CK_RV sg_fault_##name params                                                        \
	{                                                                                          \
		struct sg_fault_session *session = sg_fault_session_find(s);                       \
                                                                                                   \
		if (session == NULL)                                                               \
			return CKR_SESSION_HANDLE_INVALID;                                         \
		if (m != NULL && sg_fault_is_refused(m->mechanism, 0))                             \
			return CKR_MECHANISM_INVALID;                                              \
		s = session->handle;                                                               \
		o = sg_fault_object_in(o);                                                         \
		return real->name args;                                                            \
	}

SG_FAULT_FUNCTIONS(NOTHING, PASS, OBJECT, INIT)

/* ---- the functions that are called from outside ---- */

#define OUTER(name, params, args)                                                                  \
	static CK_RV name##_outer params                                                           \
	{                                                                                          \
		struct sg_fault_call call;                                                         \
                                                                                                   \
		if (sg_fault_call_enter(&call, SG_FN_##name))                                      \
			call.rv = sg_fault_##name args;                                            \
		else if (call.is_abandoned)                                                        \
			(void)sg_fault_##name args;                                                \
		return sg_fault_call_leave(&call);                                                 \
	}

SG_FAULT_FUNCTIONS(OUTER, OUTER, OUTER, OUTER)

#define ENTRY(name, params, args) .name = name##_outer,

static CK_FUNCTION_LIST list = { .version = { CRYPTOKI_VERSION_MAJOR, CRYPTOKI_VERSION_MINOR },
	.C_GetFunctionList = C_GetFunctionList,
	SG_FAULT_FUNCTIONS(ENTRY, ENTRY, ENTRY, ENTRY) };

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out)
{
	if (out == NULL)
		return CKR_ARGUMENTS_BAD;
	*out = &list;
	return CKR_OK;
}
