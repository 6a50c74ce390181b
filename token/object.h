/*
 * Objects on a token: searching, and reading attributes.
 */
#ifndef SG_TOKEN_OBJECT_H
#define SG_TOKEN_OBJECT_H

#include <stddef.h>

#include <p11-kit/pkcs11.h>

#include "buf.h"
#include "module.h"

#define SG_OBJECTS_MAX	 40000	      /* found by one search */
#define SG_ATTRIBUTE_MAX (256u << 10) /* bytes of one attribute */

/*
 * Searches; gives the handles in a new array. Excluded while an object is made or destroyed:
 * SoftHSM fails searches then. CKR_BUFFER_TOO_SMALL (SG_ERR_LIMIT) beyond SG_OBJECTS_MAX.
 */
CK_RV sg_object_find(struct sg_module *module, CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted,
    CK_ULONG wanted_count, CK_OBJECT_HANDLE **handles, size_t *count);

/* The same for who holds the objects lock for writing. */
CK_RV sg_object_find_locked(struct sg_module *module, CK_SESSION_HANDLE session,
    CK_ATTRIBUTE *wanted, CK_ULONG wanted_count, CK_OBJECT_HANDLE **handles, size_t *count);

/*
 * Destroys all objects on the token that have these attributes (their class among them), and a
 * value (CKA_VALUE) of these bytes if any are named. The objects lock is held for writing. What is
 * gone already is no failure.
 */
CK_RV sg_object_sweep_locked(struct sg_module *module, CK_SESSION_HANDLE session,
    CK_ATTRIBUTE *wanted, CK_ULONG wanted_count, const struct sg_blob *value);

/*
 * Reads attributes: their types are set, pValue and ulValueLen are filled with owned bytes (NULL
 * and 0 for one that the object does not have or does not show). Freed by sg_attributes_clear(),
 * also on failure.
 */
CK_RV sg_object_read(struct sg_module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE *attributes, CK_ULONG count);
void sg_attributes_clear(CK_ATTRIBUTE *attributes, CK_ULONG count);

/* Values that were read: a boolean (absent: 0), a number (absent: or_else). */
int sg_attribute_bool(const CK_ATTRIBUTE *attribute);
CK_ULONG sg_attribute_ulong(const CK_ATTRIBUTE *attribute, CK_ULONG or_else);

#endif
