/*
 * A PKCS#11 module used directly: what the agent is compared with.
 *
 *	direct sign MODULE TOKEN PIN-FILE KEY-LABEL THREADS SECONDS
 *	direct fill MODULE TOKEN PIN-FILE COUNT		P-256 key pairs labelled filler-N
 *	direct first MODULE TOKEN PIN-FILE KEY-LABEL	the way to the first signature, timed
 *
 * 'sign' makes what a cross-signature makes: with an RSA key the DigestInfo of SHA-1 and of SHA-256
 * by turns, with an EC key 32 bytes. It prints "ready", begins at a line from its standard input,
 * and prints one JSON object.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <p11-kit/pkcs11.h>

#define WARM_UP	    0.3 /* s, not counted */
#define SAMPLES_MAX (1u << 21)
#define THREADS_MAX 64

static CK_FUNCTION_LIST *f;

struct runner {
	pthread_t thread;
	CK_SESSION_HANDLE session;
	CK_OBJECT_HANDLE key;
	CK_KEY_TYPE type;
	double seconds;
	uint32_t *samples; /* ns */
	size_t sample_count;
	double took;
	unsigned long count, all; /* signatures: those that count, and with those of the warm-up */
};

static void die(const char *what, CK_RV rv)
{
	fprintf(stderr, "direct: %s: 0x%lx\n", what, rv);
	exit(1);
}

static void must(const char *what, CK_RV rv)
{
	if (rv != CKR_OK)
		die(what, rv);
}

static int64_t now_ns(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

static double cpu_seconds(void)
{
	struct rusage use;

	getrusage(RUSAGE_SELF, &use);
	return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	    (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static void load(const char *path)
{
	CK_C_INITIALIZE_ARGS args = { .flags = CKF_OS_LOCKING_OK };
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	CK_C_GetFunctionList get = NULL;

	if (module != NULL)
		*(void **)&get = dlsym(module, "C_GetFunctionList");
	if (get == NULL) {
		fprintf(stderr, "direct: %s\n", dlerror());
		exit(1);
	}
	must("C_GetFunctionList", get(&f));
	must("C_Initialize", f->C_Initialize(&args));
}

static CK_SLOT_ID find_token(const char *label)
{
	CK_SLOT_ID slots[64];
	CK_ULONG count = 64;
	CK_TOKEN_INFO info;

	must("C_GetSlotList", f->C_GetSlotList(CK_TRUE, slots, &count));
	for (CK_ULONG i = 0; i < count; i++) {
		if (f->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
		    memcmp(info.label, label, strlen(label)) == 0 &&
		    (strlen(label) == sizeof(info.label) || info.label[strlen(label)] == ' '))
			return slots[i];
	}
	die(label, CKR_TOKEN_NOT_PRESENT);
	return 0;
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot)
{
	CK_SESSION_HANDLE session = 0;

	must("C_OpenSession",
	    f->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	return session;
}

static void login(CK_SESSION_HANDLE session, const char *pin_path)
{
	CK_UTF8CHAR pin[256] = { 0 };
	FILE *file = fopen(pin_path, "r");
	CK_RV rv;

	if (file == NULL || fgets((char *)pin, sizeof(pin), file) == NULL)
		die(pin_path, CKR_PIN_INVALID);
	fclose(file);
	pin[strcspn((char *)pin, "\n")] = '\0';
	rv = f->C_Login(session, CKU_USER, pin, strlen((char *)pin));
	if (rv != CKR_USER_ALREADY_LOGGED_IN)
		must("C_Login", rv);
}

static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, char *label, CK_KEY_TYPE *type)
{
	CK_OBJECT_CLASS private = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE match[] = { { CKA_CLASS, &private, sizeof(private) },
		{ CKA_LABEL, label, strlen(label) } };
	CK_ATTRIBUTE wanted = { CKA_KEY_TYPE, type, sizeof(*type) };
	CK_OBJECT_HANDLE key = CK_INVALID_HANDLE;
	CK_ULONG count = 0;

	must("C_FindObjectsInit", f->C_FindObjectsInit(session, match, 2));
	must("C_FindObjects", f->C_FindObjects(session, &key, 1, &count));
	must("C_FindObjectsFinal", f->C_FindObjectsFinal(session));
	if (count != 1)
		die(label, CKR_KEY_HANDLE_INVALID);
	must("C_GetAttributeValue", f->C_GetAttributeValue(session, key, &wanted, 1));
	return key;
}

static void sign_once(const struct runner *runner, unsigned long turn)
{
	static const CK_BYTE sha1[15] =
	    "\x30\x21\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00\x04\x14";
	static const CK_BYTE sha256[19] =
	    "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20";
	CK_MECHANISM mechanism = { runner->type == CKK_RSA ? CKM_RSA_PKCS : CKM_ECDSA, NULL, 0 };
	CK_BYTE input[sizeof(sha256) + 32] = { 0 }, value[1024];
	CK_ULONG len = 32, value_len = sizeof(value);

	if (runner->type == CKK_RSA && turn % 2 == 0) {
		memcpy(input, sha1, sizeof(sha1));
		len = sizeof(sha1) + 20;
	} else if (runner->type == CKK_RSA) {
		memcpy(input, sha256, sizeof(sha256));
		len = sizeof(sha256) + 32;
	}
	memcpy(input + len - sizeof(turn), &turn, sizeof(turn)); /* another digest each time */
	must("C_SignInit", f->C_SignInit(runner->session, &mechanism, runner->key));
	must("C_Sign", f->C_Sign(runner->session, input, len, value, &value_len));
}

static void *run(void *arg)
{
	struct runner *runner = arg;
	int64_t begin = now_ns() + (int64_t)(WARM_UP * 1e9), started = 0;
	int64_t end = begin + (int64_t)(runner->seconds * 1e9), before, at = now_ns();

	for (unsigned long turn = 0; at < end; turn++) {
		before = at;
		sign_once(runner, turn);
		runner->all++;
		at = now_ns();
		if (before < begin)
			continue;
		if (started == 0)
			started = before;
		if (runner->sample_count < SAMPLES_MAX)
			runner->samples[runner->sample_count++] = (uint32_t)(at - before);
		runner->count++;
	}
	runner->took = (double)(at - started) / 1e9;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return left < right ? -1 : left > right;
}

static void sign(char **argv)
{
	static struct runner runners[THREADS_MAX];
	int threads = atoi(argv[6]);
	CK_SLOT_ID slot = find_token(argv[3]);
	unsigned long count = 0, all = 0;
	double rate = 0, cpu;

	if (threads < 1 || threads > THREADS_MAX)
		die("THREADS", CKR_ARGUMENTS_BAD);
	for (int i = 0; i < threads; i++) {
		struct runner *runner = &runners[i];

		runner->session = open_session(slot);
		if (i == 0)
			login(runner->session, argv[4]);
		runner->key = find_key(runner->session, argv[5], &runner->type);
		runner->seconds = atof(argv[7]);
		runner->samples = calloc(SAMPLES_MAX, sizeof(*runner->samples));
		if (runner->samples == NULL)
			die("memory", CKR_HOST_MEMORY);
	}
	puts("ready");
	fflush(stdout);
	if (getchar() != '\n')
		exit(1);
	cpu = cpu_seconds();
	for (int i = 0; i < threads; i++) {
		if (pthread_create(&runners[i].thread, NULL, run, &runners[i]) != 0)
			die("thread", CKR_HOST_MEMORY);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(runners[i].thread, NULL);
		count += runners[i].count;
		all += runners[i].all;
		rate += (double)runners[i].count / runners[i].took;
	}
	cpu = (cpu_seconds() - cpu) / (double)all * 1e6;
	qsort(runners[0].samples, runners[0].sample_count, sizeof(uint32_t), compare);
	printf("{\"count\": %lu, \"rate\": %.1f, \"cpu_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": "
	       "%.1f}\n",
	    count, rate, cpu, runners[0].samples[runners[0].sample_count / 2] / 1000.0,
	    runners[0].samples[runners[0].sample_count * 99 / 100] / 1000.0);
}

static void fill(char **argv)
{
	static CK_BYTE p256[] = { 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07 };
	static CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
	CK_MECHANISM mechanism = { CKM_EC_KEY_PAIR_GEN, NULL, 0 };
	CK_SESSION_HANDLE session = open_session(find_token(argv[3]));
	uint32_t count = (uint32_t)atoi(argv[5]);

	login(session, argv[4]);
	for (uint32_t i = 0; i < count; i++) {
		char label[32];
		size_t len = (size_t)snprintf(label, sizeof(label), "filler-%u", i);
		uint32_t id = i | 1u << 31;
		CK_ATTRIBUTE public[] = { { CKA_TOKEN, &yes, 1 }, { CKA_LABEL, label, len },
			{ CKA_ID, &id, sizeof(id) }, { CKA_VERIFY, &yes, 1 },
			{ CKA_PRIVATE, &no, 1 }, { CKA_EC_PARAMS, p256, sizeof(p256) } };
		CK_ATTRIBUTE private[] = { { CKA_TOKEN, &yes, 1 }, { CKA_LABEL, label, len },
			{ CKA_ID, &id, sizeof(id) }, { CKA_SIGN, &yes, 1 },
			{ CKA_PRIVATE, &yes, 1 }, { CKA_SENSITIVE, &yes, 1 },
			{ CKA_EXTRACTABLE, &no, 1 } };
		CK_OBJECT_HANDLE pair[2];

		must("C_GenerateKeyPair",
		    f->C_GenerateKeyPair(
			session, &mechanism, public, 6, private, 7, &pair[0], &pair[1]));
	}
}

static void first(char **argv, int64_t begin)
{
	struct runner runner = { .session = open_session(find_token(argv[3])) };

	login(runner.session, argv[4]);
	runner.key = find_key(runner.session, argv[5], &runner.type);
	sign_once(&runner, 0);
	printf("{\"ms\": %.2f}\n", (double)(now_ns() - begin) / 1e6);
}

int main(int argc, char **argv)
{
	int64_t begin = now_ns();

	if (argc < 6) {
		fprintf(stderr, "direct: sign|fill|first MODULE TOKEN PIN-FILE ...\n");
		return 2;
	}
	load(argv[2]);
	if (strcmp(argv[1], "sign") == 0 && argc == 8)
		sign(argv);
	else if (strcmp(argv[1], "fill") == 0 && argc == 6)
		fill(argv);
	else if (strcmp(argv[1], "first") == 0 && argc == 6)
		first(argv, begin);
	else
		return 2;
	f->C_Finalize(NULL);
	return 0;
}
