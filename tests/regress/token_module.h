/*
 * For tests of signet-token's parts: a module in this process, with a real SoftHSM behind it, of which a test
 * replaces single functions.
 */
#ifndef SG_TESTS_TOKEN_MODULE_H
#define SG_TESTS_TOKEN_MODULE_H

#include "token_world.h"

#include "module.h"

static struct sg_module *module;
static CK_FUNCTION_LIST *real, fake;
static struct sg_msg_error error; /* of the last try */

static void module_open(void)
{
	if (sg_module_open(world_module, SG_MODULE_DIRS, NULL, &module, &(int){ 0 }, &error) != 0)
		fail_msg("%s", error.message);
	real = module->f;
	fake = *real;
	module->f = &fake;
}

static int module_stop(void **state)
{
	sg_layout_clear(&sg_layout_error, &error);
	module->f = real;
	sg_module_close(module);
	module = NULL;
	return 0;
}

#endif
