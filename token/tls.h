/*
 * The signature of a TLS client, and nothing else: what is signed is looked at first.
 */
#ifndef SG_TOKEN_TLS_H
#define SG_TOKEN_TLS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "module.h"
#include "msg.h"

#define SG_TLS_TBS_MAX (256u << 10) /* bytes that one client signs */

enum sg_tls_content {
	SG_TLS_CONTENT_12 = 12,
	SG_TLS_CONTENT_13 = 13,
};

/*
 * Judges the bytes: the content of a TLS 1.3 client's CertificateVerify (RFC 8446 4.4.3), or the
 * handshake messages that one of TLS 1.2 signs (RFC 5246 7.4.8), from ClientHello to
 * ClientKeyExchange, whole and in order (7.3). SG_ERR_FORMAT for anything else, SG_ERR_LIMIT.
 */
SG_MUST_USE int sg_tls_content(const struct sg_blob *tbs, enum sg_tls_content *content);

/*
 * Signs with the scheme, which must fit the content and the key. Gives the signature as it
 * stands in TLS. SG_ERR_FORMAT or SG_ERR_LIMIT for bytes that are none, SG_ERR_UNSUPPORTED for a
 * scheme that TLS does not use there, SG_ERR_MECHANISM for one of another kind of key, what
 * sg_key_find() and sg_sign() say.
 */
SG_MUST_USE int sg_tls_sign(struct sg_module *module, const struct sg_msg_tls_sign *request,
    struct sg_blob *signature, struct sg_msg_error *error);

#endif
