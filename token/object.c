#include "object.h"

#include <stdlib.h>
#include <string.h>

#define FIND_AT_ONCE 256

CK_RV sg_object_find_locked(struct sg_module *module, CK_SESSION_HANDLE session,
    CK_ATTRIBUTE *wanted, CK_ULONG wanted_count, CK_OBJECT_HANDLE **handles, size_t *count)
{
	CK_FUNCTION_LIST *f = module->f;
	CK_OBJECT_HANDLE *list = NULL;
	size_t n = 0;
	CK_RV rv;

	*handles = NULL;
	*count = 0;
	rv = f->C_FindObjectsInit(session, wanted, wanted_count);
	if (rv != CKR_OK)
		return rv;
	for (;;) {
		CK_OBJECT_HANDLE *grown;
		CK_ULONG got = 0;

		rv = CKR_BUFFER_TOO_SMALL;
		if (n > SG_OBJECTS_MAX)
			break;
		rv = CKR_HOST_MEMORY;
		grown = reallocarray(list, n + FIND_AT_ONCE, sizeof(*list));
		if (grown == NULL)
			break;
		list = grown;
		rv = f->C_FindObjects(session, list + n, FIND_AT_ONCE, &got);
		if (rv != CKR_OK || got == 0)
			break;
		n += got;
	}
	f->C_FindObjectsFinal(session);
	if (rv != CKR_OK) {
		free(list);
		return rv;
	}
	*handles = list;
	*count = n;
	return CKR_OK;
}

CK_RV sg_object_find(struct sg_module *module, CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted,
    CK_ULONG wanted_count, CK_OBJECT_HANDLE **handles, size_t *count)
{
	CK_RV rv;

	pthread_rwlock_rdlock(&module->objects);
	rv = sg_object_find_locked(module, session, wanted, wanted_count, handles, count);
	pthread_rwlock_unlock(&module->objects);
	return rv;
}

/* These say that single attributes could not be had; the others are there. */
static int is_partial(CK_RV rv)
{
	return rv == CKR_OK || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_ATTRIBUTE_SENSITIVE;
}

static void value_clear(CK_ATTRIBUTE *attribute)
{
	free(attribute->pValue);
	attribute->pValue = NULL;
	attribute->ulValueLen = 0;
}

CK_RV sg_object_read(struct sg_module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ULONG i;
	CK_RV rv;

	for (i = 0; i < count; i++) {
		attributes[i].pValue = NULL;
		attributes[i].ulValueLen = 0;
	}
	rv = module->f->C_GetAttributeValue(session, object, attributes, count);
	if (!is_partial(rv))
		return rv;
	for (i = 0; i < count; i++) {
		/* One that cannot be had says CK_UNAVAILABLE_INFORMATION, which is over the
		 * limit. */
		if (attributes[i].ulValueLen == 0 || attributes[i].ulValueLen > SG_ATTRIBUTE_MAX) {
			attributes[i].ulValueLen = 0;
			continue;
		}
		attributes[i].pValue = calloc(1, attributes[i].ulValueLen);
		if (attributes[i].pValue == NULL)
			return CKR_HOST_MEMORY;
	}
	/* One by one: with a buffer of nothing beside, some modules fail the whole call. */
	for (i = 0; i < count; i++) {
		if (attributes[i].pValue == NULL)
			continue;
		rv = module->f->C_GetAttributeValue(session, object, &attributes[i], 1);
		if (!is_partial(rv))
			return rv;
		if (rv != CKR_OK)
			value_clear(&attributes[i]);
	}
	return CKR_OK;
}

static CK_RV has_value(struct sg_module *module, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
    const struct sg_blob *value, int *has)
{
	CK_ATTRIBUTE at = { CKA_VALUE, NULL, 0 };
	struct sg_blob got;
	CK_RV rv;

	rv = sg_object_read(module, session, object, &at, 1);
	got = (struct sg_blob){ at.pValue, at.ulValueLen };
	*has = rv == CKR_OK && sg_blob_eq(&got, value);
	sg_attributes_clear(&at, 1);
	return rv;
}

CK_RV sg_object_sweep_locked(struct sg_module *module, CK_SESSION_HANDLE session,
    CK_ATTRIBUTE *wanted, CK_ULONG wanted_count, const struct sg_blob *value)
{
	CK_OBJECT_HANDLE *handles = NULL;
	CK_RV rv, worst = CKR_OK;
	size_t i, count = 0;

	rv = sg_object_find_locked(module, session, wanted, wanted_count, &handles, &count);
	if (rv != CKR_OK)
		return rv;
	for (i = 0; i < count; i++) {
		int has = 1;

		if (value != NULL)
			rv = has_value(module, session, handles[i], value, &has);
		if (rv == CKR_OK && has)
			rv = module->f->C_DestroyObject(session, handles[i]);
		/* The others go all the same. */
		if (rv != CKR_OK && rv != CKR_OBJECT_HANDLE_INVALID)
			worst = rv;
		rv = CKR_OK;
	}
	free(handles);
	return worst;
}

void sg_attributes_clear(CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_ULONG i;

	for (i = 0; i < count; i++)
		value_clear(&attributes[i]);
}

int sg_attribute_bool(const CK_ATTRIBUTE *attribute)
{
	return attribute->ulValueLen == sizeof(CK_BBOOL) &&
	    *(const CK_BBOOL *)attribute->pValue != CK_FALSE;
}

CK_ULONG sg_attribute_ulong(const CK_ATTRIBUTE *attribute, CK_ULONG or_else)
{
	CK_ULONG value;

	if (attribute->ulValueLen != sizeof(value))
		return or_else;
	memcpy(&value, attribute->pValue, sizeof(value));
	return value;
}
