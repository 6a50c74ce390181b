/*
 * The PKCS#11 module that this process works with: loaded by p11-kit, called raw.
 *
 * libp11 is not used. With 0.4.12, which Debian 12 has, a token that has gone makes it wait for
 * ever, one Ed25519 key on a token hides all the others, generated keys are extractable, and the
 * PIN stays in plain heap after logout.
 */
#ifndef SG_TOKEN_MODULE_H
#define SG_TOKEN_MODULE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <p11-kit/pkcs11.h>

#include "error.h"
#include "msg.h"

#define SG_TOKENS_MAX	 256 /* tokens that a process remembers */
#define SG_KEY_CACHE_MAX 64  /* selectors whose key is remembered: key_find.h */

struct sg_token;
struct sg_key;

/* The way to the broker for what is no answer. Any thread may call these. */
struct sg_host {
	void *arg;
	/* Our own request, which is answered with SG_MSG_OK; sg_upcall_ask() tells how it fails. */
	int (*ask)(void *arg, uint16_t type, const void *msg);
	void (*tell)(void *arg, uint16_t type, const void *msg);
	/* Answers a request in the place of its thread, which must not answer any more. */
	void (*fail)(void *arg, uint32_t id, const struct sg_msg_error *error);
};

struct sg_watch;

struct sg_key_slot {
	char *selector;
	struct sg_key *key; /* a reference */
};

/*
 * Locks are taken in this order: a token's login_lock, its cure_lock, its turn (turn.h), its
 * secret_lock, its signing, the module's lock, a token's lock. objects, cache_lock and a token's
 * held_lock are innermost: no other lock is taken while they are held. Who wants to be alone in the
 * module (gate.h) holds none but login_lock and cure_lock; who waits for those, for a turn or for a
 * person waits outside.
 */
struct sg_module {
	CK_FUNCTION_LIST *f;
	/* C_GetInfo, for URIs that name the module's library; zero when it says nothing. */
	CK_INFO library;
	int is_proxy;		    /* p11-kit's proxy for the system's configuration */
	int is_own;		    /* initialised here, and not by p11-kit */
	char *init;		    /* what it is given as it starts, or NULL */
	atomic_ulong service;	    /* sg_reader_service() as it was started; 0: there was none */
	atomic_uint starts;	    /* grows when it is started anew: handles mean nothing then */
	int authority;		    /* --role authority */
	const struct sg_host *host; /* NULL: there is nobody to talk to */
	struct sg_watch *watch;	    /* NULL: nobody looks at the slots by himself */
	atomic_int watch_on;	    /* the broker wants to know of tokens that come and go */
	atomic_int spent;	    /* it is to be loaded anew: see renew.h */

	pthread_mutex_t lock; /* for adding tokens, and lets one thread at a time scan */
	struct sg_token *tokens[SG_TOKENS_MAX]; /* never freed before the module is */
	atomic_size_t token_count;		/* so many may be read without the lock */

	/* Searches share it; creating and destroying objects excludes them. */
	pthread_rwlock_t objects;

	pthread_mutex_t cache_lock; /* protects the cache */
	struct sg_key_slot cache[SG_KEY_CACHE_MAX];
	size_t cache_next;
};

/*
 * Loads and initialises "system" or the module at a path. A path is allowed only when the real file
 * lies in one of the folders (colon-separated), and neither the file nor its folder can be written
 * by anybody but root and us. init is NULL, or what a module at a path is given as it starts
 * (C_Initialize's pReserved: NSS wants to be told its database). SG_ERR_MODULE with the error
 * filled, SG_ERR_NOMEM. *may_pass: it may do in another process, for nothing but C_Initialize failed.
 */
SG_MUST_USE int sg_module_open(const char *name, const char *dirs, const char *init,
    struct sg_module **module, int *may_pass, struct sg_msg_error *error);

/* Finalises the module and starts it anew: all sessions and handles are gone. No other thread is in
 * it (gate.h). SG_ERR_MODULE: it cannot be used any more. */
SG_MUST_USE int sg_module_restart(struct sg_module *module);

/* Wipes the PINs of all tokens, and waits for nobody. Other threads may still be in the module. */
void sg_module_wipe(struct sg_module *module);

/* Finalises the module and frees everything. No other thread uses it any more. */
void sg_module_close(struct sg_module *module);

#endif
