#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <p11-kit/p11-kit.h>

#include "ckr.h"
#include "held.h"
#include "key_find.h"
#include "reader.h"
#include "token.h"

/* Whether only root and we can write to it. */
static int is_safe(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return 0;
	return (st.st_uid == 0 || st.st_uid == geteuid()) && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int dir_is_listed(const char *dir, size_t len, const char *dirs)
{
	char *copy = strdup(dirs), *rest = copy, *item;
	int found = 0;

	while (copy != NULL && !found && (item = strsep(&rest, ":")) != NULL) {
		char *real = *item == '/' ? realpath(item, NULL) : NULL;

		found = real != NULL && strlen(real) == len && memcmp(real, dir, len) == 0;
		free(real);
	}
	free(copy);
	return found;
}

/* Gives the real path, which is what will be loaded. */
static int path_check(const char *path, const char *dirs, char **real, struct sg_msg_error *error)
{
	char *slash;
	int safe;

	*real = *path == '/' ? realpath(path, NULL) : NULL;
	if (*real == NULL) {
		sg_msg_error_set(
		    error, SG_ERR_MODULE, path, "there is no such PKCS#11 module: %s", path);
		return SG_ERR_MODULE;
	}
	slash = strrchr(*real, '/');
	if (!dir_is_listed(*real, (size_t)(slash - *real), dirs)) {
		sg_msg_error_set(error, SG_ERR_MODULE, path,
		    "%s is in none of the folders that PKCS#11 modules may be loaded from", *real);
		return SG_ERR_MODULE;
	}
	safe = is_safe(*real);
	*slash = 0;
	safe = safe && is_safe(*real);
	*slash = '/';
	if (!safe) {
		sg_msg_error_set(error, SG_ERR_MODULE, path,
		    "%s or its folder can be written by others: it is not loaded", *real);
		return SG_ERR_MODULE;
	}
	return 0;
}

static CK_RV initialize_proxy(CK_FUNCTION_LIST *f)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };

	return f->C_Initialize(&args);
}

static int load_proxy(struct sg_module *module, struct sg_msg_error *error)
{
	CK_RV rv;

	rv = C_GetFunctionList(&module->f);
	if (rv == CKR_OK)
		rv = initialize_proxy(module->f);
	if (rv != CKR_OK) {
		module->f = NULL;
		sg_msg_error_set(error, SG_ERR_MODULE, "system",
		    "the system's PKCS#11 modules cannot be started: %s", p11_kit_strerror(rv));
		return SG_ERR_MODULE;
	}
	module->is_proxy = 1;
	return 0;
}

/*
 * p11-kit gives a module what its own configuration says alone. NSS puts a field of its own before
 * pReserved, where all others have that, and wants what follows to be NULL.
 */
static CK_RV initialize_with(CK_FUNCTION_LIST *f, const char *init)
{
	struct {
		CK_C_INITIALIZE_ARGS args;
		void *nss_reserved;
	} args = { .args = { .flags = CKF_OS_LOCKING_OK } };
	char *copy = strdup(init);
	CK_RV rv;

	if (copy == NULL)
		return CKR_HOST_MEMORY;
	args.args.pReserved = copy;
	rv = f->C_Initialize(&args);
	free(copy);
	return rv;
}

/* p11-kit initialises every module with CKF_OS_LOCKING_OK: SoftHSM crashes under threads without
 * it. */
static CK_RV initialize(CK_FUNCTION_LIST *f, const char *init)
{
	return init != NULL ? initialize_with(f, init) : p11_kit_module_initialize(f);
}

static int load_path(struct sg_module *module, const char *path, const char *dirs, const char *init,
    int *may_pass, struct sg_msg_error *error)
{
	char *real = NULL;
	CK_RV rv;
	int err;

	err = path_check(path, dirs, &real, error);
	if (err != 0)
		goto out;
	err = SG_ERR_MODULE;
	module->is_own = init != NULL;
	module->f = p11_kit_module_load(real, module->is_own ? P11_KIT_MODULE_UNMANAGED : 0);
	if (module->f == NULL) {
		sg_msg_error_set(error, err, path, "%s cannot be loaded: %s", real,
		    p11_kit_message() != NULL ? p11_kit_message() : "no reason given");
		goto out;
	}
	rv = initialize(module->f, init);
	/* For a moment, it may be: nobody would ask for this module again. */
	if (sg_ckr_cure(rv) != SG_CURE_NONE)
		rv = initialize(module->f, init);
	if (rv != CKR_OK) {
		sg_msg_error_set(error, err, path, "%s cannot be initialised: %s (%s)", real,
		    p11_kit_strerror(rv), sg_ckr_name(rv));
		p11_kit_module_release(module->f);
		module->f = NULL;
		*may_pass = 1;
		goto out;
	}
	err = 0;
out:
	free(real);
	return err;
}

int sg_module_open(const char *name, const char *dirs, const char *init, struct sg_module **module,
    int *may_pass, struct sg_msg_error *error)
{
	struct sg_module *m = calloc(1, sizeof(*m));
	int err;

	*module = NULL;
	if (m != NULL && init != NULL) {
		m->init = strdup(init);
		if (m->init == NULL) {
			free(m);
			return SG_ERR_NOMEM;
		}
	}
	*may_pass = 0;
	if (m == NULL)
		return SG_ERR_NOMEM;
	p11_kit_be_quiet();
	if (strcmp(name, "system") == 0)
		err = load_proxy(m, error);
	else
		err = load_path(m, name, dirs, init, may_pass, error);
	if (err != 0) {
		free(m->init);
		free(m);
		return err;
	}
	if (m->f->C_GetInfo(&m->library) != CKR_OK)
		memset(&m->library, 0, sizeof(m->library));
	pthread_mutex_init(&m->lock, NULL);
	pthread_mutex_init(&m->cache_lock, NULL);
	pthread_rwlock_init(&m->objects, NULL);
	m->service = sg_reader_service();
	*module = m;
	return 0;
}

static void finalize(struct sg_module *module)
{
	if (module->is_proxy || module->is_own)
		module->f->C_Finalize(NULL);
	else
		p11_kit_module_finalize(module->f);
}

static CK_RV initialize_again(struct sg_module *module)
{
	return module->is_proxy ? initialize_proxy(module->f) : initialize(module->f, module->init);
}

int sg_module_restart(struct sg_module *module)
{
	CK_RV rv;

	finalize(module);
	rv = initialize_again(module);
	if (sg_ckr_cure(rv) != SG_CURE_NONE)
		rv = initialize_again(module);
	module->starts++;
	return rv == CKR_OK ? 0 : SG_ERR_MODULE;
}

void sg_module_wipe(struct sg_module *module)
{
	size_t i;

	for (i = 0; i < module->token_count; i++)
		sg_held_wipe(module->tokens[i]);
}

void sg_module_close(struct sg_module *module)
{
	size_t i;

	if (module == NULL)
		return;
	sg_key_cache_flush(module);
	for (i = 0; i < module->token_count; i++)
		sg_token_free(module->tokens[i]);
	finalize(module);
	if (!module->is_proxy)
		p11_kit_module_release(module->f);
	pthread_mutex_destroy(&module->lock);
	pthread_mutex_destroy(&module->cache_lock);
	pthread_rwlock_destroy(&module->objects);
	free(module->init);
	free(module);
}
