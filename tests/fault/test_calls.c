/*
 * The token side of the main job, through a real signet-token on its channel, with every PKCS#11 call failed once:
 * first call 1, then on a fresh token call 2, and so on until the job has fewer calls than that. Each time: an
 * answer to every request before the deadline, an error with a name or none, a worker that ends well (and, with a
 * sanitizer, without a leak), no half of a key pair and no certificate without its key on the token, and the same
 * job without a fault then completes on the same token.
 *
 * SIGNET_FAULT_ALL: each call with each of three results, not one of them in turn. SIGNET_FAULT_FIRST: begins
 * with this call. SIGNET_FAULT_STEP: only every so manieth one from there on (calls.sh runs such parts side by
 * side). SIGNET_FAULT_VERBOSE: says what each failure came to.
 */
#include "tests/regress/token_world.h"

#include <dlfcn.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <p11-kit/pkcs11.h>

#define DEADLINE_S  30
#define OBJECTS_MAX 32

static const char *const results[] = { "CKR_DEVICE_ERROR", "CKR_GENERAL_ERROR",
	"CKR_SESSION_HANDLE_INVALID" };
static unsigned complaints;
static char fault_module[256], fault_dir[256];

/* Of the run at hand. */
static struct {
	unsigned long nth;
	const char *result;
	struct worker worker;
	int error;		 /* of the first request that failed */
	char message[256];	 /* its sentence */
	const char *step;	 /* that request */
	int is_dead;		 /* the worker answers no more */
	struct sg_blob certs[2]; /* of the client key and the user key */
} run_now;

static void __attribute__((format(printf, 1, 2))) complain(const char *format, ...)
{
	va_list args;

	complaints++;
	fprintf(stderr, "call %lu failed with %s: ", run_now.nth, run_now.result);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* ---- requests ---- */

/* Waits for the answer to id; whatever else the worker asks is granted, what it tells is skipped. */
static int answer_to(uint32_t id, struct sg_frame *answer)
{
	struct sg_msg_empty empty = { 0 };
	int got;

	for (;;) {
		got = sg_channel_recv(run_now.worker.channel, answer);
		if (got != 1)
			return got == 0 ? SG_ERR_WORKER : got;
		if (answer->id == id)
			return 0;
		if (answer->type == SG_MSG_PIN_TRY)
			got = sg_channel_send(
			    run_now.worker.channel, answer->id, SG_MSG_OK, &empty, -1);
		sg_frame_clear(answer);
		if (got < 0)
			return got;
	}
}

/* 0 with the answer, or the error's code: of the worker, or that there is none any more. */
static int request(
    const char *step, uint16_t type, const void *msg, int fd, struct sg_frame *answer)
{
	uint32_t id = ++run_now.worker.next_id;
	const struct sg_msg_error *error;
	int err;

	memset(answer, 0, sizeof(*answer));
	answer->fd = -1;
	err = run_now.is_dead ? SG_ERR_WORKER
			      : sg_channel_send(run_now.worker.channel, id, type, msg, fd);
	if (err == 0)
		err = answer_to(id, answer);
	if (err != 0 && !run_now.is_dead) {
		run_now.is_dead = 1;
		complain("no answer to %s: %s", step, sg_err_name(err));
	}
	if (err == 0 && answer->type == SG_MSG_ERROR) {
		error = answer->msg;
		err = -(int)error->code;
		if (run_now.error == 0)
			snprintf(run_now.message, sizeof(run_now.message), "%s",
			    error->message != NULL ? error->message : "");
		if (err == SG_ERR_INTERNAL || err >= 0 || error->message == NULL)
			complain("%s: %s, which says nothing", step, sg_err_name(err));
		sg_frame_clear(answer);
	}
	if (err != 0 && run_now.error == 0) {
		run_now.error = err;
		run_now.step = step;
	}
	return err;
}

static int simple(const char *step, uint16_t type, const void *msg)
{
	struct sg_frame answer;
	int err = request(step, type, msg, -1, &answer);

	if (err == 0)
		sg_frame_clear(&answer);
	return err;
}

static int token_login(void)
{
	static unsigned char key[32] = { 1 }, salt[16] = { 2 };
	struct sg_msg_token_login msg = { .token = TEXT("alpha"),
		.ledger = {
		    .key = { key, sizeof(key) }, .salt = { salt, sizeof(salt) }, .tries_max = 3 } };
	struct sg_frame answer;
	int fd = pipe_of(WORLD_PIN "\n"), err;

	err = request("login", SG_MSG_TOKEN_LOGIN, &msg, fd, &answer);
	close(fd);
	if (err == 0)
		sg_frame_clear(&answer);
	return err;
}

/* A key that a job before this one made is good. */
static int key_make(char *label)
{
	struct sg_msg_key_generate msg = {
		.token = TEXT("alpha"), .label = label, .algorithm = TEXT("p256")
	};
	struct sg_msg_object_list list = { .selector = label };
	struct sg_frame answer;
	int err, is_there;

	err = request("listing before key", SG_MSG_OBJECT_LIST, &list, -1, &answer);
	if (err != 0)
		return err;
	is_there = ((const struct sg_msg_objects *)answer.msg)->key_count > 0;
	sg_frame_clear(&answer);
	return is_there ? 0 : simple("key", SG_MSG_KEY_GENERATE, &msg);
}

static int cert_make(char *label, struct sg_blob *cert)
{
	struct sg_msg_self_cert_make make = {
		.key = label, .jid = TEXT("juliet@example.com"), .days = 30
	};
	struct sg_msg_cert_store store = { .key = label, .label = label };
	struct sg_msg_object_list list = { .selector = label };
	const struct sg_msg_objects *objects;
	const struct sg_msg_der *der;
	struct sg_frame answer;
	int err;

	sg_blob_clear(cert);
	err = request("listing before certificate", SG_MSG_OBJECT_LIST, &list, -1, &answer);
	if (err != 0)
		return err;
	objects = answer.msg;
	if (objects->cert_count > 0)
		err = sg_blob_set(cert, objects->certs[0].der.data, objects->certs[0].der.len);
	sg_frame_clear(&answer);
	if (err != 0 || cert->len > 0)
		return err;
	err = request("certificate", SG_MSG_SELF_CERT_MAKE, &make, -1, &answer);
	if (err != 0)
		return err;
	der = answer.msg;
	err = sg_blob_set(cert, der->der.data, der->der.len);
	sg_frame_clear(&answer);
	store.der = *cert;
	return err != 0 ? err : simple("storing the certificate", SG_MSG_CERT_STORE, &store);
}

static int tls_sign(void)
{
	unsigned char tbs[64 + 34 + 32];
	struct sg_msg_tls_sign msg = {
		.key = TEXT("client"), .scheme = 0x0403, .tbs = { tbs, sizeof(tbs) }
	};

	memset(tbs, 0x20, sizeof(tbs));
	memcpy(tbs + 64, "TLS 1.3, client CertificateVerify", 34);
	return simple("TLS signature", SG_MSG_TLS_SIGN, &msg);
}

/* All steps, or up to the first that fails. */
static int job(void)
{
	struct sg_msg_token_ref alpha = { .token = TEXT("alpha") };
	struct sg_msg_csr_make csr = { .key = TEXT("client"), .jid = TEXT("juliet@example.com") };
	struct sg_msg_cross_sign cross = {
		.key = TEXT("user"), .kind = SG_SUBJECT_X509, .sha1 = 1
	};
	struct sg_msg_object_list all = { .selector = TEXT("") };
	struct sg_msg_empty empty = { 0 };
	int err;

	run_now.error = 0;
	run_now.message[0] = 0;
	err = simple("token list", SG_MSG_TOKEN_LIST, &empty);
	if (err == 0)
		err = token_login();
	if (err == 0)
		err = key_make(TEXT("client"));
	if (err == 0)
		err = key_make(TEXT("user"));
	if (err == 0)
		err = cert_make(TEXT("user"), &run_now.certs[1]);
	if (err == 0)
		err = simple("request", SG_MSG_CSR_MAKE, &csr);
	if (err == 0)
		err = cert_make(TEXT("client"), &run_now.certs[0]);
	if (err == 0)
		err = tls_sign();
	cross.subject = run_now.certs[0];
	if (err == 0)
		err = simple("cross-signature", SG_MSG_CROSS_SIGN, &cross);
	if (err == 0)
		err = simple("listing", SG_MSG_OBJECT_LIST, &all);
	if (err == 0)
		err = simple("logout", SG_MSG_TOKEN_LOGOUT, &alpha);
	return err;
}

/* ---- what is on the token, as SoftHSM itself tells in this process ---- */

struct object {
	CK_OBJECT_CLASS class;
	CK_BYTE id[64];
	CK_ULONG id_len;
};

static size_t objects_read(struct object objects[OBJECTS_MAX])
{
	CK_OBJECT_HANDLE handles[OBJECTS_MAX];
	CK_SESSION_HANDLE session;
	CK_FUNCTION_LIST *f;
	CK_SLOT_ID slots[8];
	CK_ULONG n = 8, i;
	CK_RV (*list)(CK_FUNCTION_LIST **);
	void *library = dlopen(world_module, RTLD_NOW | RTLD_LOCAL), *symbol;

	assert_non_null(library);
	symbol = dlsym(library, "C_GetFunctionList");
	memcpy(&list, &symbol, sizeof(list));
	assert_int_equal(list(&f), CKR_OK);
	assert_int_equal(
	    f->C_Initialize(&(CK_C_INITIALIZE_ARGS){ .flags = CKF_OS_LOCKING_OK }), CKR_OK);
	assert_int_equal(f->C_GetSlotList(CK_TRUE, slots, &n), CKR_OK);
	assert_int_equal(
	    f->C_OpenSession(slots[0], CKF_SERIAL_SESSION, NULL, NULL, &session), CKR_OK);
	assert_int_equal(
	    f->C_Login(session, CKU_USER, (CK_BYTE[]){ WORLD_PIN }, strlen(WORLD_PIN)), CKR_OK);
	assert_int_equal(f->C_FindObjectsInit(session, NULL, 0), CKR_OK);
	assert_int_equal(f->C_FindObjects(session, handles, OBJECTS_MAX, &n), CKR_OK);
	f->C_FindObjectsFinal(session);
	for (i = 0; i < n; i++) {
		CK_ATTRIBUTE at[] = { { CKA_CLASS, &objects[i].class, sizeof(CK_OBJECT_CLASS) },
			{ CKA_ID, objects[i].id, sizeof(objects[i].id) } };

		assert_int_equal(f->C_GetAttributeValue(session, handles[i], at, 2), CKR_OK);
		objects[i].id_len = at[1].ulValueLen;
	}
	f->C_Finalize(NULL);
	dlclose(library);
	return n;
}

static size_t count_like(
    const struct object *objects, size_t n, CK_OBJECT_CLASS class, const struct object *like)
{
	size_t i, count = 0;

	for (i = 0; i < n; i++)
		count += objects[i].class == class &&
		    (like == NULL ||
			(objects[i].id_len == like->id_len &&
			    memcmp(objects[i].id, like->id, like->id_len) == 0));
	return count;
}

/* Whole key pairs with at most their one certificate. done: just those of the job. */
static void token_check(int done)
{
	struct object objects[OBJECTS_MAX];
	size_t n = objects_read(objects), i;
	size_t privates = count_like(objects, n, CKO_PRIVATE_KEY, NULL);

	for (i = 0; i < n; i++) {
		if (count_like(objects, n, CKO_PRIVATE_KEY, &objects[i]) != 1 ||
		    count_like(objects, n, CKO_PUBLIC_KEY, &objects[i]) != 1 ||
		    count_like(objects, n, CKO_CERTIFICATE, &objects[i]) > 1) {
			complain("something half-done is on the token after '%s': %zu objects, %zu "
				 "private keys",
			    run_now.step != NULL ? run_now.step : "", n, privates);
			return;
		}
	}
	if (done && (n != 6 || privates != 2))
		complain("%zu objects are on the token instead of 6", n);
}

/* ---- the loop ---- */

static void token_fresh(void)
{
	char conf[256];
	int len;

	assert_int_equal(RUN("rm", "-rf", path_of("run")), 0);
	assert_int_equal(RUN("mkdir", path_of("run")), 0);
	assert_int_equal(RUN("cp", "-a", path_of("hsm/tokens"), path_of("run/tokens")), 0);
	len = snprintf(conf, sizeof(conf),
	    "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
	    path_of("run/tokens"));
	file_write("run/softhsm2.conf", conf, (size_t)len);
	setenv("SOFTHSM2_CONF", path_of("run/softhsm2.conf"), 1);
}

static void script_write(const char *text)
{
	file_write("script", text, strlen(text));
}

static void worker_up(void)
{
	struct timeval limit = { .tv_sec = DEADLINE_S };

	run_now.is_dead = 0;
	worker_start_with(&run_now.worker, "agent", fault_module, fault_dir);
	assert_int_equal(setsockopt(sg_channel_fd(run_now.worker.channel), SOL_SOCKET, SO_RCVTIMEO,
			     &limit, sizeof(limit)),
	    0);
}

static void worker_down(void)
{
	int status;

	if (run_now.is_dead)
		kill(run_now.worker.pid, SIGKILL);
	status = worker_stop(&run_now.worker);
	if (status != 0 && !run_now.is_dead)
		complain("the worker ended with %d after '%s'", status,
		    run_now.step != NULL ? run_now.step : "");
}

static int was_reached(void)
{
	char *log = file_read("log");
	int found = strstr(log, "! fail") != NULL;

	free(log);
	return found;
}

/* Whether there was such a call. */
static int round_of(unsigned long nth, const char *result)
{
	char script[64];
	int err, reached;

	run_now.nth = nth;
	run_now.result = result;
	run_now.step = NULL;
	token_fresh();
	file_write("log", "", 0);
	snprintf(script, sizeof(script), "on any %lu fail %s\n", nth, result);
	script_write(script);
	worker_up();
	err = job();
	reached = was_reached();
	if (getenv("SIGNET_FAULT_VERBOSE") != NULL && err != 0)
		fprintf(stderr, "call %lu failed with %s: %s: %s: %s\n", nth, result, run_now.step,
		    sg_err_name(err), run_now.message);
	if (err != 0 && !reached)
		complain("without a fault %s gave %s: %s", run_now.step, sg_err_name(err),
		    run_now.message);
	if (reached)
		token_check(err == 0);
	/* A module that could not be started is started again with a new process. */
	if (err == SG_ERR_MODULE || run_now.is_dead) {
		worker_down();
		script_write("# nothing more\n");
		worker_up();
	}
	if (reached && job() != 0)
		complain("then the job without a fault: %s gave %s: %s", run_now.step,
		    sg_err_name(run_now.error), run_now.message);
	worker_down();
	if (reached || was_reached())
		token_check(1);
	return reached || was_reached();
}

static unsigned long number_from(const char *name)
{
	const char *text = getenv(name);

	return text != NULL ? strtoul(text, NULL, 10) : 1;
}

static void test_every_call_fails_once(void **state)
{
	unsigned long nth = number_from("SIGNET_FAULT_FIRST"), failed = 0, last = 0;
	unsigned long step = number_from("SIGNET_FAULT_STEP");
	int all = getenv("SIGNET_FAULT_ALL") != NULL, reached = 1;
	size_t i;

	assert_true(nth > 0 && step > 0);
	for (; reached; nth += step) {
		reached = 0;
		for (i = 0; i < (all ? 3 : 1); i++)
			reached |= round_of(nth, results[(nth + i) % 3]);
		if (reached)
			last = nth;
		failed += reached != 0;
	}
	sg_blob_clear(&run_now.certs[0]);
	sg_blob_clear(&run_now.certs[1]);
	fprintf(stderr, "fault: %lu calls, %lu failed once each: %s\n", last, failed,
	    complaints == 0 ? "all held" : "not all held");
	assert_int_equal(complaints, 0);
	assert_true(last > 100);
}

static int fault_start(void **state)
{
	const char *build = getenv("BUILD");
	char path[256], whole[PATH_MAX];

	if (world_start(state) != 0 ||
	    RUN("softhsm-fixtures/softhsm.sh", path_of("hsm"), "alpha") != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/lib/libsignet-fault.so", build != NULL ? build : "build");
	assert_non_null(realpath(path, whole));
	assert_true(strlen(whole) < sizeof(fault_module));
	memcpy(fault_module, whole, strlen(whole) + 1);
	memcpy(fault_dir, whole, strlen(whole) + 1);
	*strrchr(fault_dir, '/') = 0;
	/* It says of each call what it makes of it; SIGNET_FAULT_VERBOSE shows what came of it. */
	setenv("SIGNET_LOG", "error", 0);
	setenv("SIGNET_FAULT_MODULE", world_module, 1);
	setenv("SIGNET_FAULT_SCRIPT", path_of("script"), 1);
	setenv("SIGNET_FAULT_LOG", path_of("log"), 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_call_fails_once) };

	return cmocka_run_group_tests_name("every call fails once", tests, fault_start, world_stop);
}
