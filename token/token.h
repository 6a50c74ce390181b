/*
 * Tokens: found by scanning the slots, known again by label, maker, model and serial number,
 * with their sessions and what is kept of a login.
 */
#ifndef SG_TOKEN_TOKEN_H
#define SG_TOKEN_TOKEN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include <p11-kit/pkcs11.h>

#include "error.h"
#include "module.h"
#include "msg.h"
#include "reader.h"
#include "secret.h"
#include "uri.h"

#define SG_SESSIONS_IDLE_MAX 8 /* kept open for each token */

/* What a PIN is known again by (ledger.h); empty where no book is kept. */
struct sg_pin_mark {
	unsigned char hash[SG_PIN_HASH_SIZE];
	size_t len;
	uint32_t left; /* tries that the card told right before it was tried, or SG_TRIES_UNKNOWN */
};

/* A PIN that the token took. */
struct sg_held {
	struct sg_secret *pin; /* NULL: none is held */
	struct sg_pin_mark mark;
	uint32_t tries, tries_max; /* see struct sg_pin_ledger */
	int returns;		   /* held while the token is away, too */
};

/* C_Sign may wait for a touch, and a login for a person at a pinentry or a PIN pad: of the locks
 * below, only login_lock, secret_lock, cure_lock and signing are held in such a call, and they stop
 * nobody but who needs this very token's PIN, or a signature of a token that makes one at a
 * time. */
struct sg_token {
	struct sg_module *module;

	/* Never change. */
	CK_TOKEN_INFO identity; /* as first seen; its flags and counters are of that time */
	char *uri;
	char *label;
	char *serial;

	pthread_mutex_t login_lock;  /* one login at a time; held while a person types */
	pthread_mutex_t secret_lock; /* held while the PIN that is held is at work */
	atomic_uint again_epoch;     /* in which a login with it was made again in vain */
	pthread_mutex_t cure_lock;   /* held by who brings the token back to work */

	pthread_rwlock_t signing; /* shared by signatures; held alone by each where alone is set */
	atomic_int alone;	  /* the module cannot make two at once: see sign.c */
	atomic_uint asked;	  /* so many PINs are entered for it now */
	int turn_taken;		  /* somebody signs whose turn it is: see turn.c */
	atomic_uint failures;	  /* of its device, since it last signed: see renew.c */

	/* Innermost; protects what follows (held.h), and is never held long. */
	pthread_mutex_t held_lock;
	struct sg_held held;
	int held_out; /* it is at work, and was not to be wiped since */
	int held_out_returns;
	struct sg_reader_stay stay; /* of the card, when it was found (stay.h) */
	int gone;		    /* it was seen to go, or is to be found again */

	pthread_mutex_t lock; /* protects all below; never held in a call that waits for a person */
	pthread_cond_t session_back;
	/* These three change under held_lock, too, so that either lock does to read them. */
	CK_SLOT_ID slot;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO info; /* as last seen */
	uint32_t pin_left; /* tries of its PIN, as the card itself told last, or SG_TRIES_UNKNOWN */
	int present;
	uint32_t abilities; /* SG_KEY_RSA_PKCS1 to SG_KEY_ECDSA: what the slot's mechanisms sign */
	int unlocked;	    /* by our own login */
	unsigned epoch;	    /* grows when sessions, handles and login are given up */
	CK_SESSION_HANDLE
	anchor; /* opened before a login and never worked with, so that it stays */
	CK_SESSION_HANDLE idle[SG_SESSIONS_IDLE_MAX];
	size_t idle_count;
	size_t busy_count;
};

/* Tokens that are there now, in a new array (to be freed; the tokens belong to the module). Those
 * that have gone lose login and PIN, if that is not to be held until they return. SG_ERR_LIMIT over
 * SG_TOKENS_MAX in the life of the process or for too many slots, what the module says,
 * SG_ERR_NOMEM. */
SG_MUST_USE int sg_token_scan(
    struct sg_module *module, struct sg_token ***tokens, size_t *count, struct sg_msg_error *error);

/* Whether private keys can be used: unlocked, or a token that asks for no login. */
int sg_token_is_open(struct sg_token *token);
unsigned sg_token_epoch(struct sg_token *token);
uint32_t sg_token_abilities(struct sg_token *token);

/* enum sg_token_flag, as last seen; those of the PIN are of the one that by names. */
uint32_t sg_token_flags(struct sg_token *token, uint32_t by);

/* Reads the token's flags afresh; CKR_TOKEN_NOT_PRESENT when another token is in the slot now. */
CK_RV sg_token_info_read(struct sg_token *token, CK_TOKEN_INFO *info);

/* Sees to it that a card answers that was put in just now (sg_reader_wake()), before the first
 * session: later ones may have seen an empty card. Whether something was wrong. The lock is
 * held. */
int sg_token_wake(struct sg_token *token);

/* After CKR_DEVICE_ERROR: ykcs11 goes on speaking to the applet that another program has selected
 * (gpg's, for one), until the card is reset. Any other token is left alone. SG_ERR_TOKEN_ABSENT
 * when no card is there any more, which ykcs11 does not say, else 0. No lock is held. */
int sg_token_reset(struct sg_token *token);

/* Whether it is in its slot, on a reader that tokens are taken out of, and has a login to lose:
 * whether somebody must look at the slots. */
int sg_token_wants_watch(struct sg_token *token);

/* Whether it is a card as Yubico's module ykcs11 shows it, whose ways differ from all others'. */
int sg_token_is_of_ykcs11(const CK_TOKEN_INFO *info);

/* Whether its slot is one that tokens are taken out of, and the name of that reader, to be freed
 * (reader.h); NULL for other tokens, or without memory. */
int sg_token_is_in_reader(struct sg_token *token);
char *sg_token_reader(struct sg_token *token);

/* Fills a message's token, all but the mechanisms. SG_ERR_NOMEM leaves what has to be cleared. */
SG_MUST_USE int sg_token_describe(struct sg_token *token, struct sg_token_info *info);

/* Gives up sessions and login, if the epoch is still this one: whoever sees the failure first
 * does it. */
void sg_token_drop(struct sg_token *token, unsigned epoch);

/* Logs out, if the login is our own, and gives up sessions and login, whatever C_Logout says. */
CK_RV sg_token_logout(struct sg_token *token);

/* The slots cannot be listed: it is not there until they can. */
void sg_token_unsure(struct sg_token *token);

/* The login was lost, not by request: the PIN is wiped unless it waits for the token's return, and
 * the broker is told. */
void sg_token_lost(struct sg_token *token, int was_unlocked);

/* The slots with a token; to be freed. */
CK_RV sg_slots_list(struct sg_module *module, CK_SLOT_ID **slots, CK_ULONG *count);
void sg_token_free(struct sg_token *token);

#endif
