/*
 * The calls that are more than handed on: what a script says of them is done in these.
 */
#ifndef SG_FAULT_INNER_H
#define SG_FAULT_INNER_H

#include "call.h"
#include "session.h"

#define OWN(name, params, args) CK_RV sg_fault_##name params;
#define NONE(name, params, args)
SG_FAULT_FUNCTIONS(OWN, NONE, NONE, NONE)
#undef OWN
#undef NONE

/* Whether a mechanism is refused when it is used; listed: when somebody asks whether it is there. */
int sg_fault_is_refused(CK_MECHANISM_TYPE type, int listed);

#endif
