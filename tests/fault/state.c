#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC	   UINT64_C(0x5369674661756c31) /* with the layout's version as its last byte */
#define TOKENS_MAX 16

struct pin {
	CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE];
	int is_used;
	unsigned long wrong;
};

struct shared {
	_Atomic uint64_t magic;
	/* Protected by the lock below. */
	int64_t identity[5]; /* of the script that the counts belong to */
	char serial[SG_FAULT_SERIAL_SIZE + 1];
	struct pin pins[TOKENS_MAX];
	/* Free for all. */
	atomic_ulong calls;
	atomic_ulong reached[SG_FAULT_RULES_MAX];
	atomic_ulong removed, epoch, login_epoch;
};

static struct shared *shared;
static int file = -1;
static pthread_mutex_t lock =
    PTHREAD_MUTEX_INITIALIZER; /* of threads; flock() does it for processes */

static void state_lock(void)
{
	pthread_mutex_lock(&lock);
	while (file >= 0 && flock(file, LOCK_EX) != 0 && errno == EINTR)
		continue;
}

static void state_unlock(void)
{
	if (file >= 0)
		flock(file, LOCK_UN);
	pthread_mutex_unlock(&lock);
}

int sg_fault_state_open(const char *path, char *error, size_t size)
{
	int flags = path != NULL ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
	struct stat st;
	void *map;

	file = path != NULL ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
	if (path != NULL && (file < 0 || flock(file, LOCK_EX) != 0 || fstat(file, &st) != 0))
		goto fail;
	if (path != NULL && st.st_size != 0 && st.st_size != (off_t)sizeof(*shared)) {
		errno = EINVAL;
		goto fail;
	}
	if (path != NULL && ftruncate(file, sizeof(*shared)) != 0)
		goto fail;
	map = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, flags, file, 0);
	if (map == MAP_FAILED)
		goto fail;
	shared = map;
	if (shared->magic == 0)
		shared->magic = MAGIC;
	if (shared->magic != MAGIC) {
		errno = EINVAL;
		goto fail;
	}
	if (file >= 0)
		flock(file, LOCK_UN);
	return 0;
fail:
	snprintf(error, size, "%.200s: %s", path != NULL ? path : "state",
	    errno == EINVAL ? "is no state file" : strerror(errno));
	sg_fault_state_close();
	return -1;
}

void sg_fault_state_close(void)
{
	if (shared != NULL)
		munmap(shared, sizeof(*shared));
	shared = NULL;
	if (file >= 0)
		close(file);
	file = -1;
}

void sg_fault_state_script(const struct sg_fault_script *script)
{
	const struct stat *st = &script->identity;
	int64_t identity[5] = { (int64_t)st->st_dev, (int64_t)st->st_ino, st->st_size,
		st->st_mtim.tv_sec, st->st_mtim.tv_nsec };
	int is_new;
	size_t i;

	state_lock();
	is_new = memcmp(identity, shared->identity, sizeof(identity)) != 0;
	if (is_new) {
		memcpy(shared->identity, identity, sizeof(identity));
		atomic_store(&shared->calls, 0);
		for (i = 0; i < SG_FAULT_RULES_MAX; i++)
			atomic_store(&shared->reached[i], 0);
	}
	state_unlock();
	for (i = 0; is_new && i < script->rule_count; i++) {
		if (script->rules[i].when == SG_FAULT_NOW)
			sg_fault_state_event(script->rules[i].action, script->rules[i].serial);
	}
}

unsigned long sg_fault_state_call(void)
{
	return atomic_fetch_add(&shared->calls, 1) + 1;
}

unsigned long sg_fault_state_reach(size_t rule)
{
	return atomic_fetch_add(&shared->reached[rule], 1) + 1;
}

void sg_fault_state_event(enum sg_fault_action action, const char *serial)
{
	state_lock();
	switch (action) {
	case SG_FAULT_REMOVE:
		atomic_store(&shared->removed, 1);
		atomic_fetch_add(&shared->epoch, 1);
		break;
	case SG_FAULT_INSERT:
		/* Of a token that is there already another takes the place. */
		memcpy(shared->serial, serial, sizeof(shared->serial));
		atomic_store(&shared->removed, 0);
		atomic_fetch_add(&shared->epoch, 1);
		break;
	case SG_FAULT_LOSE_SESSIONS:
		atomic_fetch_add(&shared->epoch, 1);
		break;
	default:
		atomic_fetch_add(&shared->login_epoch, 1);
	}
	state_unlock();
}

int sg_fault_state_is_removed(void)
{
	return atomic_load(&shared->removed) != 0;
}

unsigned long sg_fault_state_epoch(void)
{
	return atomic_load(&shared->epoch);
}

unsigned long sg_fault_state_login_epoch(void)
{
	return atomic_load(&shared->login_epoch);
}

void sg_fault_state_serial(CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE])
{
	state_lock();
	if (shared->serial[0] != 0) {
		memset(serial, ' ', SG_FAULT_SERIAL_SIZE);
		memcpy(serial, shared->serial, strlen(shared->serial));
	}
	state_unlock();
}

/* The lock is held. NULL: there is no room for one more. */
static struct pin *pin_of(const CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE])
{
	size_t i;

	for (i = 0; i < TOKENS_MAX; i++) {
		struct pin *pin = &shared->pins[i];

		if (!pin->is_used)
			memcpy(pin->serial, serial, SG_FAULT_SERIAL_SIZE);
		pin->is_used = 1;
		if (memcmp(pin->serial, serial, SG_FAULT_SERIAL_SIZE) == 0)
			return pin;
	}
	return NULL;
}

unsigned long sg_fault_state_wrong(const CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE])
{
	unsigned long wrong;
	struct pin *pin;

	state_lock();
	pin = pin_of(serial);
	wrong = pin != NULL ? pin->wrong : 0;
	state_unlock();
	return wrong;
}

void sg_fault_state_wrong_set(const CK_UTF8CHAR serial[SG_FAULT_SERIAL_SIZE], unsigned long wrong)
{
	struct pin *pin;

	state_lock();
	pin = pin_of(serial);
	if (pin != NULL)
		pin->wrong = wrong;
	state_unlock();
}
