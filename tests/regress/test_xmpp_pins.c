/*
 * What signet-xmpp relies on and libstrophe does not promise, each pinned by a test of its own,
 * against a server in this process: real TCP, real TLS, and the XMPP written out below.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <strophe.h>

#include "filter.h"
#include "memory.h"
#include "scram.h"
#include "stream.h"
#include "text.h"

#define STREAM                                                                                     \
	"<?xml version='1.0'?><stream:stream xmlns='jabber:client' id='1' version='1.0'"           \
	" xmlns:stream='http://etherx.jabber.org/streams'>"
#define SASL "urn:ietf:params:xml:ns:xmpp-sasl"

/* ---- keys ---- */

static EVP_PKEY *server_key, *client_key;
static X509 *server_cert, *client_cert;
static char cafile[] = "/tmp/signet-pins-XXXXXX";

static X509 *make_cert(EVP_PKEY *key, const char *san)
{
	X509 *cert = X509_new();
	X509_EXTENSION *ext;

	assert_true(X509_set_version(cert, X509_VERSION_3));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(cert), 1));
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(cert), -60));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(cert), 3600));
	assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
	    (const unsigned char *)"pin", -1, -1, 0));
	assert_true(X509_set_issuer_name(cert, X509_get_subject_name(cert)));
	assert_true(X509_set_pubkey(cert, key));
	ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	assert_non_null(ext);
	assert_true(X509_add_ext(cert, ext, -1));
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	return cert;
}

static int setup(void **state)
{
	FILE *file;
	int fd = mkstemp(cafile);

	server_key = EVP_EC_gen("P-256");
	client_key = EVP_EC_gen("P-256");
	server_cert = make_cert(server_key, "DNS:pin.test");
	client_cert = make_cert(client_key, "otherName:1.3.6.1.5.5.7.8.5;UTF8:juliet@pin.test");
	file = fdopen(fd, "w");
	assert_non_null(file);
	assert_true(PEM_write_X509(file, server_cert));
	assert_int_equal(fclose(file), 0);
	return 0;
}

static int teardown(void **state)
{
	unlink(cafile);
	X509_free(server_cert);
	X509_free(client_cert);
	EVP_PKEY_free(server_key);
	EVP_PKEY_free(client_key);
	return 0;
}

/* ---- the password ---- */

#define MASK 0x5a

/* The password is kept masked here, so that only what others keep is found. */
static const char masked[] = "\x3e\x35\x34\x2e\x77\x2d\x35\x28\x28\x23\x77\x38\x3f\x77\x32\x3b\x2a"
			     "\x2a\x23\x77\x63\x6d\x6b";

static size_t unmask(char *out)
{
	size_t len = sizeof(masked) - 1;

	for (size_t i = 0; i < len; i++)
		out[i] = (char)(masked[i] ^ MASK);
	return len;
}

/* ---- the server: one client, in a thread ---- */

struct server {
	int listener;
	uint16_t port;
	pthread_t thread;
	int scram;	    /* offers SCRAM, else EXTERNAL */
	char mechanism[64]; /* what the client chose */
	char nonce[64];	    /* ... for SCRAM */
	char success[700];
	char heard[16384];
	size_t len;
	int sock;
	SSL_CTX *ctx; /* made before the client is there: its hook sees every SSL_CTX */
	SSL *ssl;
};

static int server_read(struct server *server)
{
	char *to = server->heard + server->len;
	size_t room = sizeof(server->heard) - 1 - server->len;
	ssize_t n = server->ssl != NULL ? SSL_read(server->ssl, to, (int)room)
					: recv(server->sock, to, room, 0);

	if (n <= 0)
		return 0;
	server->len += (size_t)n;
	server->heard[server->len] = '\0';
	return 1;
}

/* Waits for the words; gives where they stand in what was heard, and forgets all at the next call. */
static char *server_hear(struct server *server, const char *words)
{
	char *found;

	server->len = 0;
	server->heard[0] = '\0';
	while ((found = strstr(server->heard, words)) == NULL)
		if (!server_read(server))
			return NULL;
	return found;
}

static void server_say(struct server *server, const char *text)
{
	if (server->ssl != NULL)
		(void)SSL_write(server->ssl, text, (int)strlen(text));
	else
		(void)send(server->sock, text, strlen(text), MSG_NOSIGNAL);
}

static int accept_any(int ok, X509_STORE_CTX *ctx)
{
	return 1;
}

static int server_tls(struct server *server)
{
	SSL_CTX *ctx = server->ctx;

	SSL_CTX_use_certificate(ctx, server_cert);
	SSL_CTX_use_PrivateKey(ctx, server_key);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, accept_any);
	server->ssl = SSL_new(ctx);
	SSL_set_fd(server->ssl, server->sock);
	return SSL_accept(server->ssl) == 1;
}

/* The challenge to a SCRAM client: its nonce and more, a salt, the rounds. Prepares the proof. */
static void server_challenge(struct server *server, const char *auth)
{
	static const char salt[] = "saltsalt";
	unsigned char signature[SG_SCRAM_SIGNATURE_MAX];
	char first[512], text[300], message[600], password[64], *base64;
	const char *begin = strchr(auth, '>') + 1, *end = strchr(begin, '<');
	size_t signature_len;
	int len = EVP_DecodeBlock(
	    (unsigned char *)first, (const unsigned char *)begin, (int)(end - begin));

	first[len] = '\0';
	snprintf(server->nonce, sizeof(server->nonce), "%s", strstr(first, "r=") + 2);
	snprintf(text, sizeof(text), "r=%sx,s=c2FsdHNhbHQ=,i=4096", server->nonce);
	snprintf(message, sizeof(message), "n=juliet,r=%s,%s,c=biws,r=%sx", server->nonce, text,
	    server->nonce);
	password[unmask(password)] = '\0';
	assert_int_equal(sg_scram_signature("SCRAM-SHA-1", password, (const unsigned char *)salt,
			     strlen(salt), 4096, message, signature, &signature_len),
	    0);
	OPENSSL_cleanse(password, sizeof(password));
	base64 = sg_base64_encode(text, strlen(text));
	snprintf(message, sizeof(message), "<challenge xmlns='" SASL "'>%s</challenge>", base64);
	free(base64);
	base64 = sg_base64_encode(signature, signature_len);
	snprintf(text, sizeof(text), "v=%s", base64);
	free(base64);
	base64 = sg_base64_encode(text, strlen(text));
	snprintf(server->success, sizeof(server->success), "<success xmlns='" SASL "'>%s</success>",
	    base64);
	free(base64);
	server_say(server, message);
	(void)server_hear(server, "</response>");
}

static void server_login(struct server *server)
{
	char *auth, *name;

	if (server_hear(server, "<stream:stream") == NULL)
		return;
	server_say(server,
	    server->scram
		? STREAM "<stream:features><mechanisms xmlns='" SASL "'><mechanism>SCRAM-SHA-1"
			 "</mechanism><mechanism>PLAIN</mechanism></mechanisms></stream:features>"
		: STREAM "<stream:features><mechanisms xmlns='" SASL "'><mechanism>EXTERNAL"
			 "</mechanism></mechanisms></stream:features>");
	auth = server_hear(server, "</auth>");
	if (auth == NULL || (auth = strstr(server->heard, "<auth")) == NULL)
		return;
	name = strstr(auth, "mechanism=");
	sscanf(name + strlen("mechanism="), "%*1[\"']%63[^\"']", server->mechanism);
	if (server->scram)
		server_challenge(server, auth);
	server_say(server, server->scram ? server->success : "<success xmlns='" SASL "'/>");
	if (server_hear(server, "<stream:stream") == NULL)
		return;
	server_say(server,
	    STREAM "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
		   "</stream:features>");
	if (server_hear(server, "</iq>") == NULL)
		return;
	server_say(server,
	    "<iq type='result' id='_xmpp_bind1'><bind "
	    "xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>juliet@pin.test/r</jid>"
	    "</bind></iq>");
	while (server_read(server))
		server->len = 0;
}

static void *server_run(void *arg)
{
	struct server *server = arg;

	server->sock = accept(server->listener, NULL, NULL);
	if (server_tls(server))
		server_login(server);
	SSL_free(server->ssl);
	SSL_CTX_free(server->ctx);
	close(server->sock);
	return NULL;
}

static void server_start(struct server *server, int scram)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);

	memset(server, 0, sizeof(*server));
	server->scram = scram;
	server->ctx = SSL_CTX_new(TLS_server_method());
	server->listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(server->listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(server->listener, 1), 0);
	assert_int_equal(getsockname(server->listener, (struct sockaddr *)&addr, &len), 0);
	server->port = ntohs(addr.sin_port);
	assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static void server_stop(struct server *server)
{
	pthread_join(server->thread, NULL);
	close(server->listener);
}

/* ---- libstrophe itself: the connection behind an SSL, and a certificate that is named late ---- */

struct client {
	xmpp_conn_t *conn;
	void *app_data;
	int asked, connected, ended;
	char path[40];
};

static struct client client;

static int on_certificate_wanted(SSL *ssl, void *arg)
{
	client.asked++;
	client.app_data = SSL_get_app_data(ssl);
	assert_int_equal(SSL_use_certificate(ssl, client_cert), 1);
	assert_int_equal(SSL_use_PrivateKey(ssl, client_key), 1);
	xmpp_conn_set_client_cert(client.conn, client.path, "pkcs11");
	return 1;
}

/* Registered once for good; later tests have no client. */
static void on_ctx_new(
    void *parent, void *ptr, CRYPTO_EX_DATA *data, int index, long argl, void *argp)
{
	if (client.conn != NULL)
		SSL_CTX_set_cert_cb(parent, on_certificate_wanted, NULL);
}

static void on_connection(xmpp_conn_t *conn, xmpp_conn_event_t event, int error,
    xmpp_stream_error_t *stream_error, void *userdata)
{
	if (event == XMPP_CONN_CONNECT) {
		client.connected = 1;
		xmpp_disconnect(conn);
	} else if (event == XMPP_CONN_DISCONNECT) {
		client.ended = 1;
	}
}

/* One login by libstrophe alone, without our filter, to its end. */
static void client_run(struct server *server, const char *path, const char *password)
{
	xmpp_ctx_t *ctx;

	memset(&client, 0, sizeof(client));
	xmpp_initialize();
	ctx = xmpp_ctx_new(&sg_memory_wiping, NULL);
	client.conn = xmpp_conn_new(ctx);
	snprintf(client.path, sizeof(client.path), "%s", path);
	xmpp_conn_set_jid(client.conn, "juliet@pin.test");
	xmpp_conn_set_pass(client.conn, password);
	xmpp_conn_set_cafile(client.conn, cafile);
	assert_int_equal(xmpp_conn_set_flags(client.conn, XMPP_CONN_FLAG_LEGACY_SSL), 0);
	assert_int_equal(
	    xmpp_connect_client(client.conn, "127.0.0.1", server->port, on_connection, NULL), 0);
	while (!client.ended)
		xmpp_run_once(ctx, 100);
	server_stop(server);
	assert_true(client.connected);
	if (client.app_data != NULL)
		assert_ptr_equal(client.app_data, client.conn);
	xmpp_conn_release(client.conn);
	client.conn = NULL;
	xmpp_ctx_free(ctx);
}

static void test_late_certificate_and_app_data(void **state)
{
	static struct server server;
	int fd = memfd_create("certificate", 0);
	FILE *file = fdopen(dup(fd), "w");
	char path[40];

	assert_true(PEM_write_X509(file, client_cert));
	assert_int_equal(fclose(file), 0);
	server_start(&server, 0);
	assert_true(SSL_CTX_get_ex_new_index(0, NULL, on_ctx_new, NULL, NULL) >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	client_run(&server, path, NULL);
	assert_int_equal(client.asked, 1);
	assert_non_null(client.app_data);
	assert_string_equal(server.mechanism, "EXTERNAL");
	close(fd);
}

/* ---- libstrophe asks us for its nonce, and writes its SCRAM messages as scram.c supposes ---- */

static void test_nonce_is_ours(void **state)
{
	static struct server server;

	server_start(&server, 1);
	sg_scram_begin("juliet@pin.test", "any");
	client_run(&server, "", "any");
	assert_string_equal(server.mechanism, "SCRAM-SHA-1");
	assert_true(strlen(server.nonce) >= 31);
	assert_string_equal(server.nonce, sg_scram_nonce());
	sg_scram_end();
}

/* ---- our functions of expat come before the library's ---- */

/* A tree of ours, parsed by the same expat, is left alone. */
static void test_other_parsers_pass_through(void **state)
{
	static const char text[] = "<a><b c='d'>e</b></a>";
	struct sg_xml *root;

	assert_int_equal(sg_xml_parse(text, sizeof(text) - 1, &root), 0);
	assert_string_equal(sg_xml_attr(sg_xml_first(root), "c"), "d");
	sg_xml_free(root);
}

/* ---- the password is gone from memory when the login is over ---- */

#define WINDOW (1u << 20)

static unsigned count_in_window(const char *window, size_t len, char key)
{
	size_t want = sizeof(masked) - 1;
	unsigned found = 0;

	for (size_t at = 0; at + want <= len; at++) {
		size_t i = 0;

		while (i < want && window[at + i] == (char)(masked[i] ^ MASK ^ key))
			i++;
		found += i == want;
	}
	return found;
}

/*
 * How often the bytes occur, each XORed with key, in the memory that this process can write to. It is
 * read as another process's would be: a sanitizer does not mind then, and holes cost nothing.
 */
static unsigned count_in_memory(char key)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char *window =
	    mmap(NULL, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long from, to, at;
	unsigned found = 0;
	char line[512], access[5];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 ||
		    strncmp(access, "rw", 2) != 0 || to - from > (1ul << 32))
			continue;
		for (at = from; at < to; at += WINDOW - sizeof(masked)) {
			struct iovec here = { window, WINDOW };
			struct iovec there = { (void *)at, to - at < WINDOW ? to - at : WINDOW };
			ssize_t n;

			if (at <= (unsigned long)window && (unsigned long)window < at + WINDOW)
				continue;
			n = process_vm_readv(getpid(), &here, 1, &there, 1, 0);
			found += n > 0 ? count_in_window(window, (size_t)n, key) : 0;
		}
	}
	fclose(maps);
	munmap(window, WINDOW);
	return found;
}

static int is_online, is_offline;

static void on_online(void *arg, const struct sg_msg_xmpp_online *online)
{
	is_online = 1;
	assert_string_equal(online->jid, "juliet@pin.test/r");
	assert_string_equal(online->mechanism, "SCRAM-SHA-1");
}

static void on_offline(void *arg, int was_online, struct sg_msg_error *why)
{
	is_offline = 1;
}

static void on_stanza(void *arg, const struct sg_arrival *arrival)
{
}

static int never_sign(void *arg, uint16_t scheme, const unsigned char *tbs, size_t tbs_len,
    unsigned char *sig, size_t *sig_len)
{
	fail_msg("a signature for a login by password");
	return SG_ERR_INTERNAL;
}

static void run_until(struct sg_stream *stream, const int *done)
{
	struct pollfd pfd;
	int timeout;

	while (!*done && !is_offline) {
		sg_stream_poll(stream, &pfd, &timeout);
		(void)poll(&pfd, 1, timeout);
		sg_stream_run(stream);
	}
}

/* Hands the password over as a broker does, and leaves nothing of it behind. */
static void give_password(struct sg_secret *secret)
{
	char clear[64];
	size_t len = unmask(clear);

	assert_int_equal(sg_secret_append(secret, clear, len), 0);
	OPENSSL_cleanse(clear, sizeof(clear));
}

static void test_password_is_wiped(void **state)
{
	static const struct sg_stream_events events = { on_online, on_offline, on_stanza, on_stanza,
		on_stanza };
	static struct server server;
	struct sg_msg_xmpp_connect connect = { 0 };
	struct sg_msg_error error = { 0 };
	struct sg_stream *stream;
	struct sg_secret *secret;

	server_start(&server, 1);
	assert_int_equal(sg_stream_new(&stream, &events, never_sign, NULL), 0);
	connect.jid = strdup("juliet@pin.test");
	connect.host = strdup("127.0.0.1");
	connect.port = server.port;
	connect.tls_mode = SG_TLS_DIRECT;
	connect.cafile = cafile;
	assert_int_equal(sg_secret_new(&secret), 0);
	give_password(secret);
	assert_int_equal(sg_stream_connect(stream, &connect, secret, &error), 0);
	assert_true(sg_parser_is_attached());
	assert_true(count_in_memory(0) >= 2); /* ours and libstrophe's: the search does find it */
	sg_secret_free(secret);
	run_until(stream, &is_online);
	assert_true(is_online);
	assert_int_equal(count_in_memory(0), 0);
	assert_int_equal(count_in_memory(0x36), 0); /* as HMAC has it on the stack */
	assert_int_equal(count_in_memory(0x5c), 0);
	sg_stream_close(stream);
	run_until(stream, &is_offline);
	sg_stream_free(stream);
	server_stop(&server);
	free(connect.jid);
	free(connect.host);
}

/* A second context's parser does not pass the filter: that must be seen, not believed away. */
static void test_filter_is_missed(void **state)
{
	static const struct sg_stream_events events = { on_online, on_offline, on_stanza, on_stanza,
		on_stanza };
	struct sg_msg_xmpp_connect connect = { 0 };
	struct sg_msg_error error = { 0 };
	struct sg_stream *stream;
	struct sg_secret *secret;

	assert_int_equal(sg_stream_new(&stream, &events, never_sign, NULL), 0);
	connect.jid = strdup("juliet@pin.test");
	connect.host = strdup("127.0.0.1");
	connect.port = 1;
	assert_int_equal(sg_secret_new(&secret), 0);
	assert_int_equal(sg_stream_connect(stream, &connect, secret, &error), SG_ERR_INTERNAL);
	sg_msg_clear(SG_MSG_ERROR, &error);
	sg_secret_free(secret);
	sg_stream_free(stream);
	free(connect.jid);
	free(connect.host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_password_is_wiped),
		cmocka_unit_test(test_filter_is_missed),
		cmocka_unit_test(test_other_parsers_pass_through),
		cmocka_unit_test(test_nonce_is_ours),
		cmocka_unit_test(test_late_certificate_and_app_data),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
