/*
 * The provider knows no RSA and no EC. A key is the public EVP_PKEY of the ordinary provider and a
 * callback; everything public (sizes, group, export, match) is asked of that public key. A signature
 * context carries a shadow context that would *verify* with the public key: it parses and checks
 * every parameter (padding names or numbers, salt length words, MGF1, digest) and computes the
 * AlgorithmIdentifier. Only the collecting of the content and the callback are done here.
 *
 * libcrypto finds the provider through the key's own KEYMGMT, in the second round of
 * EVP_DigestSignInit(): the first round tries to export the key to the ordinary provider, which must
 * fail; so export refuses every selection with a private part. There is no sign_init: a ready digest
 * is never signed, because its owner could not see what it is a digest of.
 */
#include "remotekey.h"

#include <stdatomic.h>
#include <string.h>

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/proverr.h>
#include <openssl/rsa.h>

#define RK_NAME	  "signet-remotekey"
#define RK_PROPS  "provider=" RK_NAME
#define RK_OTHERS "provider!=" RK_NAME /* for fetches of our own: anyone but us */
#define RK_SEED	  "signet-seed"	       /* import parameter of sg_remotekey_new() */

#define FAIL(reason, ...) (ERR_raise_data(ERR_LIB_PROV, PROV_R_##reason, __VA_ARGS__), 0)

static OSSL_LIB_CTX *rk_lib;
static OSSL_PROVIDER *rk_default, *rk_self;
static atomic_int rk_live; /* key objects not yet freed */

/* ---- keys: immutable once imported ---- */

struct rk_key {
	atomic_int refs;
	const char *type;	    /* "RSA" or "EC" */
	EVP_PKEY *pub;		    /* of the ordinary provider */
	sg_remotekey_sign_fn *sign; /* NULL: public only */
	void *arg;
};

/* What sg_remotekey_new() hands to rk_import() through libcrypto. */
struct rk_seed {
	EVP_PKEY *pub;
	sg_remotekey_sign_fn *sign;
	void *arg;
};

static void *rk_key_new(const char *type)
{
	struct rk_key *key = OPENSSL_zalloc(sizeof(*key));

	if (key == NULL)
		return NULL;
	atomic_init(&key->refs, 1);
	atomic_fetch_add(&rk_live, 1);
	key->type = type;
	return key;
}

static void *rk_rsa_new(void *provctx)
{
	return rk_key_new("RSA");
}

static void *rk_ec_new(void *provctx)
{
	return rk_key_new("EC");
}

static void rk_key_free(void *object)
{
	struct rk_key *key = object;

	if (key == NULL || atomic_fetch_sub(&key->refs, 1) != 1)
		return;
	EVP_PKEY_free(key->pub);
	OPENSSL_free(key);
	atomic_fetch_sub(&rk_live, 1);
}

static int rk_has(const void *object, int selection)
{
	const struct rk_key *key = object;

	if (key == NULL)
		return 0;
	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && key->sign == NULL)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_ALL) == 0 || key->pub != NULL;
}

static int rk_match(const void *one, const void *other, int selection)
{
	const struct rk_key *a = one, *b = other;

	return a->pub != NULL && b->pub != NULL && EVP_PKEY_eq(a->pub, b->pub) == 1;
}

static int rk_import_seed(struct rk_key *key, const OSSL_PARAM *param)
{
	struct rk_seed seed;

	if (param->data_type != OSSL_PARAM_OCTET_STRING || param->data_size != sizeof(seed))
		return 0;
	memcpy(&seed, param->data, sizeof(seed));
	if (!EVP_PKEY_is_a(seed.pub, key->type) || !EVP_PKEY_up_ref(seed.pub))
		return 0;
	key->pub = seed.pub;
	key->sign = seed.sign;
	key->arg = seed.arg;
	return 1;
}

/* Called with a seed, and by EVP_PKEY_eq() with a public key of another provider; never with
 * somebody's private key. Early 3.0 selects ALL there, so what counts is what came. */
static int rk_import(void *object, int selection, const OSSL_PARAM params[])
{
	struct rk_key *key = object;
	const OSSL_PARAM *seed = OSSL_PARAM_locate_const(params, RK_SEED);
	EVP_PKEY_CTX *ctx;
	OSSL_PARAM *copy;
	int ok;

	if (key->pub != NULL)
		return 0;
	if (seed != NULL)
		return rk_import_seed(key, seed);
	if (OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_D) != NULL ||
	    OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PRIV_KEY) != NULL)
		return 0;
	copy = OSSL_PARAM_dup(params);
	ctx = EVP_PKEY_CTX_new_from_name(NULL, key->type, RK_OTHERS);
	ok = copy != NULL && ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
	    EVP_PKEY_fromdata(ctx, &key->pub, EVP_PKEY_PUBLIC_KEY, copy) > 0;
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(copy);
	return ok;
}

/* Refuses quietly: libcrypto tries this at every start of a signature. */
static int rk_export(void *object, int selection, OSSL_CALLBACK *callback, void *arg)
{
	struct rk_key *key = object;

	if (key->pub == NULL || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
		return 0;
	return EVP_PKEY_export(key->pub, EVP_PKEY_PUBLIC_KEY, callback, arg);
}

/* A private number is refused aloud: OpenSSL 3.0 takes one that nobody filled in for an answer. */
static int rk_get_params(void *object, OSSL_PARAM params[])
{
	struct rk_key *key = object;

	for (const OSSL_PARAM *param = params; param->key != NULL; param++)
		if (strcmp(param->key, OSSL_PKEY_PARAM_PRIV_KEY) == 0 ||
		    strcmp(param->key, OSSL_PKEY_PARAM_RSA_D) == 0 ||
		    strncmp(param->key, "rsa-", 4) == 0)
			return 0;
	return key->pub != NULL && EVP_PKEY_get_params(key->pub, params);
}

static const OSSL_PARAM *rk_gettable(void *provctx)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	return table;
}

/* The manual calls these advisory, but 3.x voids a method that has export or import without them. */
static const OSSL_PARAM *rk_rsa_types(int selection)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_END,
	};

	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : table;
}

static const OSSL_PARAM *rk_ec_types(int selection)
{
	static const OSSL_PARAM table[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_END,
	};

	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 ? NULL : table;
}

static const char *rk_rsa_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

static const char *rk_ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* ---- signatures ---- */

struct rk_sign {
	struct rk_key *key;
	EVP_MD_CTX *shadow; /* owns params */
	EVP_PKEY_CTX *params;
	unsigned char *tbs; /* the content so far */
	size_t tbs_len;
};

static void *rk_sign_new(void *provctx, const char *propq)
{
	return OPENSSL_zalloc(sizeof(struct rk_sign));
}

static void rk_sign_clear(struct rk_sign *ctx)
{
	EVP_MD_CTX_free(ctx->shadow);
	ctx->shadow = NULL;
	ctx->params = NULL;
	OPENSSL_free(ctx->tbs);
	ctx->tbs = NULL;
	ctx->tbs_len = 0;
}

static void rk_sign_free(void *object)
{
	struct rk_sign *ctx = object;

	if (ctx == NULL)
		return;
	rk_sign_clear(ctx);
	rk_key_free(ctx->key);
	OPENSSL_free(ctx);
}

/* EVP_DigestSignFinal() signs with a duplicate. */
static void *rk_sign_dup(void *object)
{
	struct rk_sign *from = object, *to = OPENSSL_zalloc(sizeof(*to));
	int ok = to != NULL;

	if (ok && from->key != NULL) {
		atomic_fetch_add(&from->key->refs, 1);
		to->key = from->key;
	}
	if (ok && from->shadow != NULL)
		ok = (to->shadow = EVP_MD_CTX_new()) != NULL &&
		    EVP_MD_CTX_copy_ex(to->shadow, from->shadow) &&
		    (to->params = EVP_MD_CTX_get_pkey_ctx(to->shadow)) != NULL;
	if (ok && from->tbs_len > 0) {
		to->tbs = OPENSSL_memdup(from->tbs, from->tbs_len);
		to->tbs_len = from->tbs_len;
		ok = to->tbs != NULL;
	}
	if (!ok) {
		rk_sign_free(to);
		to = NULL;
	}
	return to;
}

/* The low octet of the TLS SignatureScheme's families: RFC 8446 4.2.3. */
static int rk_digest_number(const EVP_MD *md)
{
	static const struct {
		const char *name;
		int number;
	} digests[] = { { "SHA256", 4 }, { "SHA384", 5 }, { "SHA512", 6 } };

	for (size_t i = 0; md != NULL && i < sizeof(digests) / sizeof(*digests); i++)
		if (EVP_MD_is_a(md, digests[i].name))
			return digests[i].number;
	return 0;
}

/* libssl calls this as a probe as well: what is not supported must be refused here. */
static int rk_sign_init(void *object, const char *mdname, void *key, const OSSL_PARAM params[])
{
	struct rk_sign *ctx = object;
	EVP_MD *md;
	int ok;

	rk_sign_clear(ctx);
	if (key != NULL) {
		atomic_fetch_add(&((struct rk_key *)key)->refs, 1);
		rk_key_free(ctx->key);
		ctx->key = key;
	}
	if (ctx->key == NULL || ctx->key->sign == NULL || ctx->key->pub == NULL)
		return FAIL(NOT_A_PRIVATE_KEY, RK_NAME);
	if (mdname == NULL || *mdname == '\0')
		mdname = "SHA256";
	md = EVP_MD_fetch(NULL, mdname, RK_OTHERS);
	ok = rk_digest_number(md) != 0 && (ctx->shadow = EVP_MD_CTX_new()) != NULL &&
	    EVP_DigestVerifyInit_ex(
		ctx->shadow, &ctx->params, mdname, NULL, RK_OTHERS, ctx->key->pub, params) > 0;
	EVP_MD_free(md);
	if (!ok)
		rk_sign_clear(ctx);
	return ok ? 1 : FAIL(INVALID_DIGEST, "%s for " RK_NAME, mdname);
}

static int rk_sign_update(void *object, const unsigned char *data, size_t len)
{
	struct rk_sign *ctx = object;
	unsigned char *grown;

	if (ctx->shadow == NULL)
		return 0;
	if (len == 0)
		return 1;
	if (len > SG_REMOTEKEY_TBS_MAX - ctx->tbs_len)
		return FAIL(INVALID_INPUT_LENGTH, RK_NAME ": more than is signed here");
	grown = OPENSSL_realloc(ctx->tbs, ctx->tbs_len + len);
	if (grown == NULL)
		return 0;
	memcpy(grown + ctx->tbs_len, data, len);
	ctx->tbs = grown;
	ctx->tbs_len += len;
	return 1;
}

/* PSS as TLS has it: MGF1 with the same digest, a salt as long as the digest. */
static int rk_pss_is_tls(struct rk_sign *ctx, const EVP_MD *md)
{
	const EVP_MD *mgf = NULL;
	int salt = 0;

	if (EVP_PKEY_CTX_get_rsa_pss_saltlen(ctx->params, &salt) <= 0 ||
	    EVP_PKEY_CTX_get_rsa_mgf1_md(ctx->params, &mgf) <= 0)
		return 0;
	if (EVP_MD_get_type(mgf) != EVP_MD_get_type(md))
		return FAIL(INVALID_MGF1_MD, RK_NAME);
	if (salt != RSA_PSS_SALTLEN_DIGEST && salt != EVP_MD_get_size(md))
		return FAIL(INVALID_SALT_LENGTH, RK_NAME);
	return 1;
}

/* The SignatureScheme out of the shadow's parameters, or 0. */
static uint16_t rk_scheme(struct rk_sign *ctx)
{
	const EVP_MD *md = NULL;
	int padding = 0, number;

	if (EVP_PKEY_CTX_get_signature_md(ctx->params, &md) <= 0 ||
	    (number = rk_digest_number(md)) == 0)
		return (uint16_t)FAIL(INVALID_DIGEST, RK_NAME);
	if (strcmp(ctx->key->type, "EC") == 0)
		return (uint16_t)(number << 8 | 0x03); /* ecdsa_*_sha* */
	if (EVP_PKEY_CTX_get_rsa_padding(ctx->params, &padding) <= 0)
		return 0;
	if (padding == RSA_PKCS1_PADDING)
		return (uint16_t)(number << 8 | 0x01); /* rsa_pkcs1_sha* */
	if (padding == RSA_PKCS1_PSS_PADDING)
		return rk_pss_is_tls(ctx, md) ? (uint16_t)(0x0800 | number) : 0; /* rsa_pss_rsae_ */
	return (uint16_t)FAIL(ILLEGAL_OR_UNSUPPORTED_PADDING_MODE, RK_NAME);
}

static int rk_sign_content(struct rk_sign *ctx, unsigned char *sig, size_t *sig_len, size_t room)
{
	size_t max = (size_t)EVP_PKEY_get_size(ctx->key->pub), len = max;
	uint16_t scheme = rk_scheme(ctx);
	unsigned char *out;
	int ok;

	if (scheme == 0 || (out = OPENSSL_zalloc(max)) == NULL)
		return 0;
	ok = ctx->key->sign(ctx->key->arg, scheme, ctx->tbs, ctx->tbs_len, out, &len) == 0 &&
	    len > 0 && len <= max && (strcmp(ctx->key->type, "RSA") != 0 || len == max);
	if (!ok)
		ok = FAIL(FAILED_TO_SIGN, RK_NAME ": the key's owner did not sign");
	else if (len > room)
		ok = FAIL(OUTPUT_BUFFER_TOO_SMALL, RK_NAME);
	if (ok) {
		memcpy(sig, out, len);
		*sig_len = len;
	}
	OPENSSL_free(out);
	return ok;
}

static int rk_sign_final(void *object, unsigned char *sig, size_t *sig_len, size_t room)
{
	struct rk_sign *ctx = object;

	if (ctx->shadow == NULL)
		return 0;
	if (sig == NULL) {
		*sig_len = (size_t)EVP_PKEY_get_size(ctx->key->pub);
		return 1;
	}
	return rk_sign_content(ctx, sig, sig_len, room);
}

/* One shot: what EVP_DigestSign() calls, that is, libssl. */
static int rk_sign_once(void *object, unsigned char *sig, size_t *sig_len, size_t room,
    const unsigned char *tbs, size_t tbs_len)
{
	if (sig != NULL && !rk_sign_update(object, tbs, tbs_len))
		return 0;
	return rk_sign_final(object, sig, sig_len, room);
}

static int rk_set_params(void *object, const OSSL_PARAM params[])
{
	struct rk_sign *ctx = object;

	return params == NULL ||
	    (ctx->params != NULL && EVP_PKEY_CTX_set_params(ctx->params, params) > 0);
}

static int rk_get_sign_params(void *object, OSSL_PARAM params[])
{
	struct rk_sign *ctx = object;

	return params == NULL ||
	    (ctx->params != NULL && EVP_PKEY_CTX_get_params(ctx->params, params) > 0);
}

static const OSSL_PARAM rk_none[] = { OSSL_PARAM_END };

/* The context is NULL when the method alone is asked. */
static const OSSL_PARAM *rk_settable_sign(void *object, void *provctx)
{
	struct rk_sign *ctx = object;

	return ctx != NULL && ctx->params != NULL ? EVP_PKEY_CTX_settable_params(ctx->params)
						  : rk_none;
}

static const OSSL_PARAM *rk_gettable_sign(void *object, void *provctx)
{
	struct rk_sign *ctx = object;

	return ctx != NULL && ctx->params != NULL ? EVP_PKEY_CTX_gettable_params(ctx->params)
						  : rk_none;
}

/* ---- tables ---- */

#define ENTRY(id, function)                                                                        \
	{                                                                                          \
		OSSL_FUNC_##id, (void (*)(void))(function)                                         \
	}

static const OSSL_DISPATCH rk_rsa_keymgmt[] = {
	ENTRY(KEYMGMT_NEW, rk_rsa_new),
	ENTRY(KEYMGMT_FREE, rk_key_free),
	ENTRY(KEYMGMT_HAS, rk_has),
	ENTRY(KEYMGMT_MATCH, rk_match),
	ENTRY(KEYMGMT_GET_PARAMS, rk_get_params),
	ENTRY(KEYMGMT_GETTABLE_PARAMS, rk_gettable),
	ENTRY(KEYMGMT_IMPORT, rk_import),
	ENTRY(KEYMGMT_IMPORT_TYPES, rk_rsa_types),
	ENTRY(KEYMGMT_EXPORT, rk_export),
	ENTRY(KEYMGMT_EXPORT_TYPES, rk_rsa_types),
	ENTRY(KEYMGMT_QUERY_OPERATION_NAME, rk_rsa_operation),
	{ 0, NULL },
};

static const OSSL_DISPATCH rk_ec_keymgmt[] = {
	ENTRY(KEYMGMT_NEW, rk_ec_new),
	ENTRY(KEYMGMT_FREE, rk_key_free),
	ENTRY(KEYMGMT_HAS, rk_has),
	ENTRY(KEYMGMT_MATCH, rk_match),
	ENTRY(KEYMGMT_GET_PARAMS, rk_get_params),
	ENTRY(KEYMGMT_GETTABLE_PARAMS, rk_gettable),
	ENTRY(KEYMGMT_IMPORT, rk_import),
	ENTRY(KEYMGMT_IMPORT_TYPES, rk_ec_types),
	ENTRY(KEYMGMT_EXPORT, rk_export),
	ENTRY(KEYMGMT_EXPORT_TYPES, rk_ec_types),
	ENTRY(KEYMGMT_QUERY_OPERATION_NAME, rk_ec_operation),
	{ 0, NULL },
};

static const OSSL_DISPATCH rk_signature[] = {
	ENTRY(SIGNATURE_NEWCTX, rk_sign_new),
	ENTRY(SIGNATURE_FREECTX, rk_sign_free),
	ENTRY(SIGNATURE_DUPCTX, rk_sign_dup),
	ENTRY(SIGNATURE_DIGEST_SIGN_INIT, rk_sign_init),
	ENTRY(SIGNATURE_DIGEST_SIGN_UPDATE, rk_sign_update),
	ENTRY(SIGNATURE_DIGEST_SIGN_FINAL, rk_sign_final),
	ENTRY(SIGNATURE_DIGEST_SIGN, rk_sign_once),
	ENTRY(SIGNATURE_SET_CTX_PARAMS, rk_set_params),
	ENTRY(SIGNATURE_SETTABLE_CTX_PARAMS, rk_settable_sign),
	ENTRY(SIGNATURE_GET_CTX_PARAMS, rk_get_sign_params),
	ENTRY(SIGNATURE_GETTABLE_CTX_PARAMS, rk_gettable_sign),
	{ 0, NULL },
};

static const OSSL_ALGORITHM *rk_query(void *provctx, int operation, int *no_cache)
{
	static const OSSL_ALGORITHM keymgmts[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", RK_PROPS, rk_rsa_keymgmt, RK_NAME },
		{ "EC:id-ecPublicKey:1.2.840.10045.2.1", RK_PROPS, rk_ec_keymgmt, RK_NAME },
		{ NULL, NULL, NULL, NULL },
	};
	static const OSSL_ALGORITHM signatures[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", RK_PROPS, rk_signature, RK_NAME },
		{ "ECDSA", RK_PROPS, rk_signature, RK_NAME },
		{ NULL, NULL, NULL, NULL },
	};

	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keymgmts;
	return operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int rk_provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **provctx)
{
	static const OSSL_DISPATCH functions[] = {
		ENTRY(PROVIDER_QUERY_OPERATION, rk_query),
		{ 0, NULL },
	};

	*provctx = &rk_live; /* anything but NULL; no function here looks at it */
	*out = functions;
	return 1;
}

/* ---- what the rest of the program calls ---- */

static void rk_unload(void)
{
	if (rk_self != NULL)
		OSSL_PROVIDER_unload(rk_self);
	if (rk_default != NULL)
		OSSL_PROVIDER_unload(rk_default);
	OSSL_LIB_CTX_free(rk_lib);
	rk_self = rk_default = NULL;
	rk_lib = NULL;
}

int sg_remotekey_init(void)
{
	/* "default" is there for the encoders of the public half. */
	if ((rk_lib = OSSL_LIB_CTX_new()) != NULL &&
	    (rk_default = OSSL_PROVIDER_load(rk_lib, "default")) != NULL &&
	    OSSL_PROVIDER_add_builtin(rk_lib, RK_NAME, rk_provider_init) &&
	    (rk_self = OSSL_PROVIDER_load(rk_lib, RK_NAME)) != NULL)
		return 0;
	rk_unload();
	return SG_ERR_INTERNAL;
}

int sg_remotekey_fini(void)
{
	if (atomic_load(&rk_live) != 0) /* a key that outlives its context is a use after free */
		return SG_ERR_INTERNAL;
	rk_unload();
	return 0;
}

int sg_remotekey_new(X509 *cert, sg_remotekey_sign_fn *sign, void *arg, EVP_PKEY **key)
{
	struct rk_seed seed = { X509_get0_pubkey(cert), sign, arg };
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(RK_SEED, &seed, sizeof(seed)),
		OSSL_PARAM_END,
	};
	const char *type = NULL;
	EVP_PKEY_CTX *ctx;
	int err = SG_ERR_INTERNAL;

	*key = NULL;
	if (seed.pub != NULL && EVP_PKEY_is_a(seed.pub, "RSA"))
		type = "RSA";
	else if (seed.pub != NULL && EVP_PKEY_is_a(seed.pub, "EC"))
		type = "EC";
	else
		return SG_ERR_UNSUPPORTED;
	ctx = EVP_PKEY_CTX_new_from_name(rk_lib, type, RK_PROPS);
	if (ctx != NULL && EVP_PKEY_fromdata_init(ctx) > 0 &&
	    EVP_PKEY_fromdata(ctx, key, EVP_PKEY_KEYPAIR, params) > 0)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	return err;
}
