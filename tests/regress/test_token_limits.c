/*
 * What a module may say at most, before signet-token stops listening: counts and sizes that no real SoftHSM
 * gives. Between our code and one, single functions are replaced.
 */
#include "token_module.h"

#include "list.h"
#include "object.h"
#include "token.h"

#define FIRST_FAKE 100000 /* identifiers of slots that are not there */

/* How much the fake functions give. */
static CK_ULONG slot_count, mechanism_count, object_count, attribute_size;

static CK_RV fake_slots(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_ULONG i;

	for (i = 0; slots != NULL && i < slot_count; i++)
		slots[i] = FIRST_FAKE + i;
	*count = slot_count;
	return CKR_OK;
}

static CK_RV fake_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	memset(info, ' ', sizeof(*info));
	return CKR_OK;
}

/* Each with a serial number of its own. */
static CK_RV fake_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	char serial[17];

	memset(info, ' ', sizeof(*info));
	info->flags = CKF_TOKEN_INITIALIZED;
	snprintf(serial, sizeof(serial), "%016lu", slot);
	memcpy(info->serialNumber, serial, sizeof(info->serialNumber));
	return CKR_OK;
}

static CK_RV fake_mechanism(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
	return CKR_MECHANISM_INVALID;
}

static CK_RV fake_mechanisms(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, CK_ULONG *count)
{
	CK_ULONG i;

	for (i = 0; list != NULL && i < mechanism_count; i++)
		list[i] = i;
	*count = mechanism_count;
	return CKR_OK;
}

static CK_RV fake_find_begin(CK_SESSION_HANDLE session, CK_ATTRIBUTE *wanted, CK_ULONG count)
{
	return CKR_OK;
}

static CK_RV fake_find(
    CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG room, CK_ULONG *count)
{
	for (*count = 0; *count < room && object_count > 0; (*count)++)
		objects[*count] = object_count--;
	return CKR_OK;
}

static CK_RV fake_find_end(CK_SESSION_HANDLE session)
{
	return CKR_OK;
}

static CK_RV fake_attributes(
    CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *at, CK_ULONG count)
{
	CK_ULONG i;

	for (i = 0; i < count; i++) {
		if (at[i].pValue != NULL)
			memset(at[i].pValue, 'x', attribute_size);
		at[i].ulValueLen = attribute_size;
	}
	return CKR_OK;
}

static int module_start(void **state)
{
	slot_count = mechanism_count = object_count = attribute_size = 1;
	module_open();
	fake.C_GetSlotList = fake_slots;
	fake.C_GetSlotInfo = fake_slot_info;
	fake.C_GetTokenInfo = fake_token_info;
	fake.C_GetMechanismInfo = fake_mechanism;
	fake.C_GetMechanismList = fake_mechanisms;
	fake.C_FindObjectsInit = fake_find_begin;
	fake.C_FindObjects = fake_find;
	fake.C_FindObjectsFinal = fake_find_end;
	fake.C_GetAttributeValue = fake_attributes;
	return 0;
}

/* Lists the tokens; they and the first one's mechanisms are so many. */
static int try_list(uint32_t *tokens, uint32_t *mechanisms)
{
	struct sg_msg_tokens answer = { 0 };
	int err;

	sg_layout_clear(&sg_layout_error, &error);
	err = sg_token_list(module, &answer, &error);
	*tokens = answer.token_count;
	*mechanisms = answer.token_count > 0 ? answer.tokens[0].mechanism_count : 0;
	sg_layout_clear(&sg_layout_tokens, &answer);
	return err;
}

static void test_tokens(void **state)
{
	uint32_t tokens, mechanisms;

	slot_count = SG_TOKENS_MAX;
	assert_int_equal(try_list(&tokens, &mechanisms), 0);
	assert_int_equal(tokens, SG_TOKENS_MAX);
	slot_count = SG_TOKENS_MAX + 1;
	assert_int_equal(try_list(&tokens, &mechanisms), SG_ERR_LIMIT);
	slot_count = 2000; /* more slots than a module has */
	assert_int_equal(try_list(&tokens, &mechanisms), SG_ERR_LIMIT);
	slot_count = 1;
	assert_int_equal(try_list(&tokens, &mechanisms), 0);
	assert_int_equal(tokens, 1);
}

static void test_mechanisms(void **state)
{
	uint32_t tokens, mechanisms;

	mechanism_count = 1024;
	assert_int_equal(try_list(&tokens, &mechanisms), 0);
	assert_int_equal(mechanisms, 1024);
	mechanism_count = 1025;
	assert_int_equal(try_list(&tokens, &mechanisms), 0);
	assert_int_equal(tokens, 1); /* the token is there, and nothing is said of them */
	assert_int_equal(mechanisms, 0);
}

static void test_objects(void **state)
{
	CK_OBJECT_HANDLE *handles;
	size_t count;

	object_count = SG_OBJECTS_MAX;
	assert_int_equal(sg_object_find(module, 1, NULL, 0, &handles, &count), CKR_OK);
	assert_int_equal(count, SG_OBJECTS_MAX);
	free(handles);
	object_count = SG_OBJECTS_MAX + 1;
	assert_int_equal(
	    sg_object_find(module, 1, NULL, 0, &handles, &count), CKR_BUFFER_TOO_SMALL);
	assert_null(handles);
}

static void test_attributes(void **state)
{
	CK_ATTRIBUTE at = { CKA_VALUE, NULL, 0 };

	attribute_size = SG_ATTRIBUTE_MAX;
	assert_int_equal(sg_object_read(module, 1, 1, &at, 1), CKR_OK);
	assert_int_equal(at.ulValueLen, SG_ATTRIBUTE_MAX);
	sg_attributes_clear(&at, 1);
	attribute_size = SG_ATTRIBUTE_MAX + 1;
	assert_int_equal(sg_object_read(module, 1, 1, &at, 1), CKR_OK);
	assert_int_equal(at.ulValueLen, 0); /* as if the object had none */
	assert_null(at.pValue);
	sg_attributes_clear(&at, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, module_start, module_stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tokens),
		TEST(test_mechanisms),
		TEST(test_objects),
		TEST(test_attributes),
	};

	return cmocka_run_group_tests_name("token limits", tests, world_start, world_stop);
}
