/*
 * Names of functions, results, mechanisms and attributes, as scripts and logs have them.
 */
#ifndef SG_FAULT_NAMES_H
#define SG_FAULT_NAMES_H

#include "functions.h"

/* "any" is SG_FN_ANY. -1: there is no such function. */
int sg_fault_fn_find(const char *name);
const char *sg_fault_fn_name(enum sg_fault_fn fn);

/* A name, or a number ("0x80000001"). Give 0, or -1 when it is neither. */
int sg_fault_rv_find(const char *name, CK_RV *rv);
int sg_fault_mechanism_find(const char *name, CK_MECHANISM_TYPE *type);
int sg_fault_attribute_find(const char *name, CK_ATTRIBUTE_TYPE *type);

/* Into text when it has no name. */
const char *sg_fault_rv_name(CK_RV rv, char text[24]);

#endif
