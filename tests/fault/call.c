#include "call.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "session.h"
#include "state.h"

#define NAP_MS 10

CK_FUNCTION_LIST *sg_fault_real;

static void *library;
static int log_fd = -1;
static int is_prepared; /* log, state and script are there */
static atomic_int is_initialized;
static struct sg_fault_script none; /* where none was read */
static _Atomic(struct sg_fault_script *) script = &none;
static _Thread_local int corrupt; /* the call that this thread is in is to spoil its signature */
static atomic_ulong epoch, login_epoch; /* that the wrapped module is brought up to */

/* Calls share it; closing what was lost, starting and stopping exclude them. */
static pthread_rwlock_t calls = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t reading =
    PTHREAD_MUTEX_INITIALIZER; /* one thread at a time reads a script */

static const char *setting(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && *value != 0 ? value : NULL;
}

static void say(const struct sg_fault_call *call, const char *what, unsigned line)
{
	char at[32] = "";

	if (line > 0)
		snprintf(at, sizeof(at), " line %u", line);
	if (log_fd >= 0)
		dprintf(log_fd, "%ld %lu %s %s%s\n", (long)getpid(), call->number,
		    sg_fault_fn_name(call->fn), what, at);
}

/* A script that is wrong is told even where no log is kept. */
static void complain(const char *text)
{
	dprintf(log_fd >= 0 ? log_fd : STDERR_FILENO, "%ld 0 script %s\n", (long)getpid(), text);
}

/* ---- scripts ---- */

const struct sg_fault_script *sg_fault_script_now(void)
{
	return atomic_load(&script);
}

static int script_load(void)
{
	struct sg_fault_script *new = sg_fault_script_read(setting("SIGNET_FAULT_SCRIPT"));

	if (new == NULL)
		return -1;
	new->older = atomic_load(&script);
	if (*new->error)
		complain(new->error);
	else
		sg_fault_state_script(new);
	atomic_store(&script, new);
	return 0;
}

/* -1: no memory, or the script is no good. */
static int script_refresh(void)
{
	int err = 0;

	pthread_mutex_lock(&reading);
	if (sg_fault_script_is_stale(atomic_load(&script), setting("SIGNET_FAULT_SCRIPT")))
		err = script_load();
	pthread_mutex_unlock(&reading);
	return err != 0 || *sg_fault_script_now()->error ? -1 : 0;
}

static int prepare_alone(void)
{
	const char *log = setting("SIGNET_FAULT_LOG");
	char error[256];

	if (is_prepared)
		return 0;
	if (log != NULL && log_fd < 0)
		log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (sg_fault_state_open(setting("SIGNET_FAULT_STATE"), error, sizeof(error)) != 0) {
		complain(error);
		return -1;
	}
	if (script_load() != 0) {
		sg_fault_state_close();
		return -1;
	}
	atomic_store(&epoch, sg_fault_state_epoch());
	atomic_store(&login_epoch, sg_fault_state_login_epoch());
	is_prepared = 1;
	return 0;
}

static int prepare(void)
{
	int err;

	pthread_mutex_lock(&reading);
	err = prepare_alone();
	pthread_mutex_unlock(&reading);
	return err;
}

/* After C_Finalize, and when the library is unloaded without one. */
static void __attribute__((destructor)) release(void)
{
	struct sg_fault_script *old, *next;

	for (old = atomic_exchange(&script, &none); old != &none; old = next) {
		next = old->older;
		free(old);
	}
	sg_fault_sessions_free();
	sg_fault_state_close();
	if (log_fd >= 0)
		close(log_fd);
	log_fd = -1;
	is_prepared = 0;
}

/* ---- start and stop ---- */

int sg_fault_is_initialized(void)
{
	return atomic_load(&is_initialized);
}

static CK_RV library_open(void)
{
	const char *path = setting("SIGNET_FAULT_MODULE");
	CK_RV (*list)(CK_FUNCTION_LIST **) = NULL;
	void *symbol;

	library = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
	symbol = library != NULL ? dlsym(library, "C_GetFunctionList") : NULL;
	memcpy(&list, &symbol, sizeof(list));
	if (list != NULL && list(&sg_fault_real) == CKR_OK)
		return CKR_OK;
	complain(path != NULL ? "SIGNET_FAULT_MODULE is no PKCS#11 module"
			      : "SIGNET_FAULT_MODULE is not set");
	if (library != NULL)
		dlclose(library);
	library = NULL;
	return CKR_ARGUMENTS_BAD;
}

static void library_close(void)
{
	sg_fault_real = NULL;
	if (library != NULL)
		dlclose(library);
	library = NULL;
}

CK_RV sg_fault_start(void *args)
{
	CK_RV rv;

	if (sg_fault_is_initialized())
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	rv = library_open();
	if (rv != CKR_OK)
		return rv;
	rv = sg_fault_real->C_Initialize(args);
	if (rv == CKR_OK)
		atomic_store(&is_initialized, 1);
	else
		library_close();
	return rv;
}

CK_RV sg_fault_stop(void *args)
{
	CK_RV rv = sg_fault_real->C_Finalize(args);

	if (rv == CKR_OK) {
		atomic_store(&is_initialized, 0);
		sg_fault_sessions_lose();
		library_close();
	}
	return rv;
}

/* ---- what happens to a token ---- */

/* Carries out in the wrapped module what happened to the token, also by another process. Waits for the calls that are
 * in it: not for who is in one. */
static void sync_token(void)
{
	if (!sg_fault_is_initialized() ||
	    (atomic_load(&epoch) == sg_fault_state_epoch() &&
		atomic_load(&login_epoch) == sg_fault_state_login_epoch()))
		return;
	pthread_rwlock_wrlock(&calls);
	if (atomic_load(&login_epoch) != sg_fault_state_login_epoch()) {
		atomic_store(&login_epoch, sg_fault_state_login_epoch());
		sg_fault_sessions_logout();
	}
	if (atomic_load(&epoch) != sg_fault_state_epoch()) {
		atomic_store(&epoch, sg_fault_state_epoch());
		sg_fault_sessions_lose();
	}
	pthread_rwlock_unlock(&calls);
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = NAP_MS * 1000000L }, NULL);
}

void sg_fault_nap(void)
{
	nap();
	if (sg_fault_is_initialized() && script_refresh() == 0)
		sync_token();
}

static unsigned long clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * 1000 + (unsigned long)now.tv_nsec / 1000000;
}

/* A token that is pulled while somebody waits for it ends the wait. */
static void be_slow(unsigned long ms)
{
	unsigned long before = sg_fault_state_epoch(), end = clock_ms() + ms;

	while (clock_ms() < end && sg_fault_state_epoch() == before) {
		nap();
		if (script_refresh() != 0)
			break;
	}
}

/* Until somebody writes another script. */
static void hang(void)
{
	const struct sg_fault_script *now = sg_fault_script_now();

	while (sg_fault_script_now() == now) {
		nap();
		(void)script_refresh();
	}
}

static void crash(int signal_number)
{
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

/* ---- rules ---- */

static int is_reached(const struct sg_fault_rule *rule, size_t index, enum sg_fault_fn fn)
{
	unsigned long count;

	if (rule->fn != SG_FN_ANY && rule->fn != fn)
		return 0;
	count = sg_fault_state_reach(index);
	return rule->nth == 0 || count == rule->nth || (rule->onwards && count > rule->nth);
}

static void act(struct sg_fault_call *call, const struct sg_fault_rule *rule)
{
	static const char *const names[] = { "! remove", "! insert", "! lose sessions",
		"! lose login", "! fail", "! slow", "! hang", "! crash", "! corrupt" };

	say(call, names[rule->action], rule->line);
	switch (rule->action) {
	case SG_FAULT_FAIL:
		call->rv = rule->rv;
		break;
	case SG_FAULT_SLOW:
		be_slow(rule->ms);
		break;
	case SG_FAULT_HANG:
		hang();
		break;
	case SG_FAULT_CRASH:
		crash(rule->signal_number);
		break;
	case SG_FAULT_CORRUPT:
		corrupt = 1;
		break;
	default:
		sg_fault_state_event(rule->action, rule->serial);
	}
}

static void apply(struct sg_fault_call *call, enum sg_fault_when when)
{
	const struct sg_fault_script *now = sg_fault_script_now();
	size_t i;

	for (i = 0; i < now->rule_count; i++) {
		if (now->rules[i].when == when && is_reached(&now->rules[i], i, call->fn))
			act(call, &now->rules[i]);
	}
}

/* ---- calls ---- */

static int has_session(enum sg_fault_fn fn)
{
	return fn >= SG_FN_C_InitPIN && fn != SG_FN_C_OpenSession &&
	    fn != SG_FN_C_CloseAllSessions && fn != SG_FN_C_WaitForSlotEvent;
}

/* A call that fails ends its operation, in every module. */
static int ends_operation(enum sg_fault_fn fn)
{
	return fn == SG_FN_C_Sign || fn == SG_FN_C_SignFinal || fn == SG_FN_C_SignRecover ||
	    fn == SG_FN_C_Verify || fn == SG_FN_C_VerifyFinal || fn == SG_FN_C_VerifyRecover ||
	    fn == SG_FN_C_Encrypt || fn == SG_FN_C_EncryptFinal || fn == SG_FN_C_Decrypt ||
	    fn == SG_FN_C_DecryptFinal || fn == SG_FN_C_Digest || fn == SG_FN_C_DigestFinal;
}

static int enter(struct sg_fault_call *call)
{
	unsigned long before;

	if (script_refresh() != 0) {
		call->rv = CKR_ARGUMENTS_BAD;
		return 0;
	}
	call->number = sg_fault_state_call();
	sync_token();
	before = sg_fault_state_epoch();
	apply(call, SG_FAULT_ON);
	sync_token();
	if (call->rv == CKR_OK && has_session(call->fn) && before != sg_fault_state_epoch() &&
	    sg_fault_state_is_removed())
		call->rv = CKR_DEVICE_REMOVED;
	return call->rv == CKR_OK;
}

int sg_fault_call_is_corrupt(void)
{
	return corrupt;
}

int sg_fault_call_enter(struct sg_fault_call *call, enum sg_fault_fn fn)
{
	int go_on;

	*call = (struct sg_fault_call){ .fn = fn };
	corrupt = 0;
	if (fn != SG_FN_C_Initialize && !sg_fault_is_initialized())
		call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	else if (fn == SG_FN_C_Initialize && prepare() != 0)
		call->rv = CKR_ARGUMENTS_BAD;
	if (call->rv != CKR_OK)
		return 0;
	go_on = enter(call);
	call->is_abandoned = !go_on && ends_operation(fn);
	if ((!go_on && !call->is_abandoned) || fn == SG_FN_C_WaitForSlotEvent)
		return go_on;
	if (fn == SG_FN_C_Initialize || fn == SG_FN_C_Finalize)
		pthread_rwlock_wrlock(&calls);
	else
		pthread_rwlock_rdlock(&calls);
	call->is_locked = 1;
	/* Somebody may have finalised the module meanwhile. */
	if (fn != SG_FN_C_Initialize && !sg_fault_is_initialized()) {
		call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
		go_on = call->is_abandoned = 0;
	}
	return go_on;
}

CK_RV sg_fault_call_leave(struct sg_fault_call *call)
{
	const int is_over =
	    call->fn == SG_FN_C_Finalize && call->is_locked && !sg_fault_is_initialized();
	char text[24];

	if (call->is_locked)
		pthread_rwlock_unlock(&calls);
	if (call->number > 0) {
		apply(call, SG_FAULT_AFTER);
		sync_token();
	}
	say(call, sg_fault_rv_name(call->rv, text), 0);
	if (is_over)
		release();
	return call->rv;
}
