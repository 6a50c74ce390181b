#include "tls.h"

#include <string.h>

#include "key_find.h"
#include "sign.h"

/* ---- TLS 1.3 ---- */

#define PAD_SIZE 64

static const char context_13[] = "TLS 1.3, client CertificateVerify"; /* its NUL is signed too */

static int is_content_13(const struct sg_blob *tbs)
{
	static const size_t hash_sizes[] = { 32, 48, 64 };
	size_t i;

	if (tbs->len < PAD_SIZE + sizeof(context_13) ||
	    memcmp(tbs->data + PAD_SIZE, context_13, sizeof(context_13)) != 0)
		return 0;
	for (i = 0; i < PAD_SIZE; i++) {
		if (tbs->data[i] != 0x20)
			return 0;
	}
	for (i = 0; i < sizeof(hash_sizes) / sizeof(hash_sizes[0]); i++) {
		if (tbs->len == PAD_SIZE + sizeof(context_13) + hash_sizes[i])
			return 1;
	}
	return 0;
}

/* ---- TLS 1.2 ---- */

enum handshake {
	HS_CLIENT_HELLO = 1,
	HS_SERVER_HELLO = 2,
	HS_CERTIFICATE = 11,
	HS_SERVER_KEY_EXCHANGE = 12,
	HS_CERTIFICATE_REQUEST = 13,
	HS_SERVER_HELLO_DONE = 14,
	HS_CLIENT_KEY_EXCHANGE = 16,
	HS_CERTIFICATE_STATUS = 22, /* RFC 6066 8 */
	HS_SUPPLEMENTAL_DATA = 23,  /* RFC 4680 2 */
};

/* The order of RFC 5246 7.3 up to the client's CertificateVerify. */
static const struct {
	unsigned char type;
	int optional;
} order_12[] = {
	{ HS_CLIENT_HELLO, 0 },
	{ HS_SERVER_HELLO, 0 },
	{ HS_SUPPLEMENTAL_DATA, 1 },
	{ HS_CERTIFICATE, 1 },
	{ HS_CERTIFICATE_STATUS, 1 },
	{ HS_SERVER_KEY_EXCHANGE, 1 },
	{ HS_CERTIFICATE_REQUEST, 0 },
	{ HS_SERVER_HELLO_DONE, 0 },
	{ HS_SUPPLEMENTAL_DATA, 1 },
	{ HS_CERTIFICATE, 0 },
	{ HS_CLIENT_KEY_EXCHANGE, 0 },
};

static int message_next(struct sg_cursor *cur, unsigned char *type, struct sg_blob *body)
{
	const unsigned char *head, *data;
	size_t len;

	if (sg_cursor_get(cur, 4, &head) != 0)
		return SG_ERR_FORMAT;
	*type = head[0];
	len = (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
	if (sg_cursor_get(cur, len, &data) != 0)
		return SG_ERR_FORMAT;
	body->data = NULL;
	body->len = len;
	return 0;
}

/* legacy_version 3.3, 32 random bytes, a session id of at most 32, more. */
static int is_client_hello(const struct sg_blob *tbs)
{
	const size_t head = 4, fixed = 2 + 32 + 1;

	return tbs->len > head + fixed && tbs->data[head] == 3 && tbs->data[head + 1] == 3 &&
	    tbs->data[head + fixed - 1] <= 32;
}

static int is_content_12(const struct sg_blob *tbs)
{
	struct sg_cursor cur = { tbs->data, tbs->data + tbs->len };
	const size_t steps = sizeof(order_12) / sizeof(order_12[0]);
	struct sg_blob body;
	unsigned char type;
	size_t step = 0;

	if (!is_client_hello(tbs))
		return 0;
	while (sg_cursor_left(&cur) > 0) {
		if (message_next(&cur, &type, &body) != 0)
			return 0;
		while (step < steps && order_12[step].type != type && order_12[step].optional)
			step++;
		if (step == steps || order_12[step].type != type)
			return 0;
		step++;
	}
	return step == steps;
}

int sg_tls_content(const struct sg_blob *tbs, enum sg_tls_content *content)
{
	if (tbs->len > SG_TLS_TBS_MAX)
		return SG_ERR_LIMIT;
	if (is_content_13(tbs)) {
		*content = SG_TLS_CONTENT_13;
		return 0;
	}
	if (is_content_12(tbs)) {
		*content = SG_TLS_CONTENT_12;
		return 0;
	}
	return SG_ERR_FORMAT;
}

/* ---- schemes ---- */

/* RFC 8446 4.2.3; no SHA-1. In TLS 1.2 an ECDSA scheme names the hash alone. */
static const struct scheme {
	size_t order_13; /* EC: bytes of the curve's order in TLS 1.3 */
	uint32_t number;
	struct sg_sign_how how;
	int only_12;
} schemes[] = {
	{ 0, 0x0401, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA256 }, 1 },
	{ 0, 0x0501, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA384 }, 1 },
	{ 0, 0x0601, { SG_SIGN_RSA_PKCS1, SG_HASH_SHA512 }, 1 },
	{ 0, 0x0804, { SG_SIGN_RSA_PSS, SG_HASH_SHA256 }, 0 },
	{ 0, 0x0805, { SG_SIGN_RSA_PSS, SG_HASH_SHA384 }, 0 },
	{ 0, 0x0806, { SG_SIGN_RSA_PSS, SG_HASH_SHA512 }, 0 },
	{ 32, 0x0403, { SG_SIGN_ECDSA, SG_HASH_SHA256 }, 0 },
	{ 48, 0x0503, { SG_SIGN_ECDSA, SG_HASH_SHA384 }, 0 },
	{ 66, 0x0603, { SG_SIGN_ECDSA, SG_HASH_SHA512 }, 0 },
};

static const struct scheme *scheme_find(uint32_t number)
{
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (schemes[i].number == number)
			return &schemes[i];
	}
	return NULL;
}

static int request_check(const struct sg_msg_tls_sign *request, enum sg_tls_content *content,
    const struct scheme **scheme, struct sg_msg_error *error)
{
	int err = sg_tls_content(&request->tbs, content);

	if (err != 0) {
		sg_msg_error_set(error, err, NULL, "these bytes are not what a TLS client signs");
		return err;
	}
	*scheme = scheme_find(request->scheme);
	if (*scheme == NULL || ((*scheme)->only_12 && *content != SG_TLS_CONTENT_12)) {
		sg_msg_error_set(error, SG_ERR_UNSUPPORTED, NULL,
		    "signature scheme 0x%04x is not used in TLS 1.%d", request->scheme,
		    *content == SG_TLS_CONTENT_13 ? 3 : 2);
		return SG_ERR_UNSUPPORTED;
	}
	return 0;
}

int sg_tls_sign(struct sg_module *module, const struct sg_msg_tls_sign *request,
    struct sg_blob *signature, struct sg_msg_error *error)
{
	const struct scheme *scheme;
	enum sg_tls_content content;
	struct sg_key *key = NULL;
	int err;

	memset(signature, 0, sizeof(*signature));
	err = request_check(request, &content, &scheme, error);
	if (err == 0)
		err = sg_key_find(module, request->key, &request->spki_sha256, &key, error);
	if (err == 0 && content == SG_TLS_CONTENT_13 && key->type == CKK_EC &&
	    key->order_size != scheme->order_13) {
		sg_msg_error_set(error, SG_ERR_MECHANISM, key->info.uri,
		    "signature scheme 0x%04x is for another curve", request->scheme);
		err = SG_ERR_MECHANISM;
	}
	if (err == 0)
		err = sg_sign(key, &scheme->how, &request->tbs, signature, error);
	sg_key_unref(key);
	return err;
}
