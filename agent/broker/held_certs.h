/*
 * What is known of an account's client certificates: by the store, by the server's list (C7) and by the
 * tokens that are in reach, one entry for each certificate; and the token that has the key of each, also
 * where that token is not there and never took the certificate.
 */
#ifndef SG_BROKER_HELD_CERTS_H
#define SG_BROKER_HELD_CERTS_H

#include "accounts.h"
#include "ask_all.h"

/* Where the key of a certificate is. */
enum sg_key_place {
	SG_KEY_UNKNOWN = 0, /* on no token that we know of */
	SG_KEY_GONE,	    /* no more on its token, which is in reach */
	SG_KEY_AWAY,	    /* its token is not in reach */
	SG_KEY_HIDDEN,	    /* its token is locked or does not answer, and does not show it */
	SG_KEY_HERE,
};

struct sg_held_cert {
	char *sha256;
	char *name;  /* SHA-1, the keyinfo name */
	char *label; /* the server's name for it, or NULL */
	struct sg_blob der;
	char *spki_sha256;
	int64_t not_after; /* seconds since 1970 */
	int is_current;
	int is_stored;
	int is_revoked;	   /* as the store has it */
	int is_leaving;	   /* its revocation was asked for, and the server has not answered yet */
	const char *unfit; /* why the account may not have it (C4), or NULL; static */
	int is_listed;
	int is_object; /* it lies on a token that is in reach */
	enum sg_key_place key;
	/* URIs of the key, or of the certificate beside it, as far as they are known: first the one that key
	 * tells of; NULL-terminated. */
	char **places;
};

struct sg_held_certs {
	struct sg_held_cert **certs; /* in the order of their SHA-256 */
	size_t count;
	size_t room;
};
void sg_held_certs_clear(struct sg_held_certs *held);

/* The one with this SHA-256 or name (lower-case hex), or NULL. Borrowed. */
struct sg_held_cert *sg_held_certs_find(const struct sg_held_certs *held, const char *fingerprint);

/*
 * Adds the client certificates of the store, with their places. SG_ERR_IO, SG_ERR_NOMEM, here and
 * below. What is no certificate is passed over.
 */
SG_MUST_USE int sg_held_certs_add_stored(
    struct sg_held_certs *held, const struct sg_account *account);

/* Adds those that the server lists; *unread counts what is no certificate. */
SG_MUST_USE int sg_held_certs_add_listed(struct sg_held_certs *held,
    const struct sg_account *account, const struct sg_msg_ccm2_certs *certs, uint32_t *unread);

/*
 * What the modules answered to the questions for their tokens and for all objects. Adds what was issued
 * for the account and lies beside a key on a token; what is self-signed may be somebody's user
 * certificate, and is not added for lying there. Then sets the key of every entry, which is
 * SG_KEY_AWAY or SG_KEY_UNKNOWN until then.
 */
SG_MUST_USE int sg_held_certs_add_tokens(struct sg_held_certs *held,
    const struct sg_account *account, const struct sg_module_answer *tokens, size_t token_count,
    const struct sg_module_answer *objects, size_t object_count);

/* Whether a token is meant that has, or had, the key: by its serial, its label or a URI. */
int sg_held_cert_is_on(const struct sg_held_cert *cert, const char *token);

/* Whether the token of this object is the one meant. */
int sg_place_is_on(const char *uri, const char *token);

/* The label and the serial of the token in a URI of an object: new strings, or NULL. */
char *sg_place_label(const char *uri);
char *sg_place_serial(const char *uri);

#endif
