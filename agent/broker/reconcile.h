/*
 * Server, tokens and store side by side: what a certificate is, by what each of them says of it, and the
 * one step that puts it in order. Pure: nothing is asked or changed here.
 */
#ifndef SG_BROKER_RECONCILE_H
#define SG_BROKER_RECONCILE_H

#include "held_certs.h"

/* What is known of the server's list. */
enum sg_list_state {
	SG_LIST_UNKNOWN, /* it could not be had */
	SG_LIST_CUT,	 /* it may go on: what it does not show may be valid all the same */
	SG_LIST_WHOLE,
};

enum sg_cert_state {
	SG_CERT_CURRENT,   /* the account logs in with it */
	SG_CERT_SPARE,	   /* it could, and does not */
	SG_CERT_EXPIRED,   /* its time is over */
	SG_CERT_ORPHAN,	   /* it is of no use: no store or list has it, or no token its key */
	SG_CERT_UNCLAIMED, /* issued for a key of ours, and never received */
	SG_CERT_UNKNOWN,   /* issued for a key that we know nothing of */
	SG_CERT_REVOKED,   /* as we know */
	SG_CERT_REVOKED_ELSEWHERE, /* we held it for valid, and the server does not list it */
	SG_CERT_UNREVOKED,	   /* we know it as revoked, and the server lists it */
	SG_CERT_KEYLESS,	   /* its key is no more on its token */
	SG_CERT_UNSURE,		   /* nobody can tell without the server's list */
	SG_CERT_STATES,
};

/* What puts it in order. */
enum sg_cert_step {
	SG_STEP_NONE,
	SG_STEP_REVOKE, /* signet cert revoke */
	SG_STEP_REMOVE, /* signet cert remove */
	SG_STEP_ADOPT,	/* signet cert adopt */
	SG_STEP_USE,	/* signet account connect --key, with a spare */
	SG_STEP_ENROL,	/* signet enrol, with the same key */
};

struct sg_reconciled {
	enum sg_cert_state state;
	enum sg_cert_step step;
};

/* Judges one certificate at the time now. spare: what sg_reconcile_spare() gives. */
struct sg_reconciled sg_reconcile(const struct sg_held_cert *cert, enum sg_list_state list,
    int64_t now, const struct sg_held_cert *spare);

/*
 * The spare to go on with when the account cannot log in with the certificate that it has: the one that is
 * valid longest of those that the server lists, or may list, and whose key is on a token that is here, or,
 * where there is none, on one that hides it as long as it is locked; or NULL. Borrowed.
 */
const struct sg_held_cert *sg_reconcile_spare(
    const struct sg_held_certs *held, enum sg_list_state list, int64_t now);

/*
 * Whether a list of these certificates may have been ended early: it has as many entries as a list may
 * have, or nearly the size at which an authority ends it (proto/PROTOCOL.xmpp, C8).
 */
int sg_reconcile_is_cut(const struct sg_msg_ccm2_certs *certs);

/* The entry with the certificate of this SHA-256, or NULL. Borrowed. */
const struct sg_ccm2_cert *sg_reconcile_entry(
    const struct sg_msg_ccm2_certs *certs, const char *sha256);

/* Whether the certificate may be valid by the list: it is there, or the list is cut, or some of it could not be read. */
int sg_reconcile_may_list(const struct sg_msg_ccm2_certs *certs, const char *sha256);

/* The word of the API for a state. Static. */
const char *sg_cert_state_name(enum sg_cert_state state);

/* What is to be said of the certificate: a new sentence, or NULL without memory. */
char *sg_reconcile_text(const struct sg_held_cert *cert, enum sg_cert_state state);

/*
 * The command line that takes the step for the certificate, to be typed in a shell as it stands: a new
 * string; NULL for SG_STEP_NONE, and without memory. spare: that of SG_STEP_USE.
 */
char *sg_reconcile_command(enum sg_cert_step step, const char *jid, const struct sg_held_cert *cert,
    const struct sg_held_cert *spare);

#endif
