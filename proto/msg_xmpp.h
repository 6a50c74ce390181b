/*
 * The messages (msg.h) to and from signet-xmpp.
 */
#ifndef SG_PROTO_MSG_XMPP_H
#define SG_PROTO_MSG_XMPP_H

#include "msg_part.h"

enum sg_tls_mode {
	SG_TLS_STARTTLS = 0,
	SG_TLS_DIRECT = 1,
};

/* With a certificate: SASL EXTERNAL, and the handshake's signature is asked back by
 * SG_MSG_XMPP_TLS_SIGN. Without one: SCRAM with the password read from the frame's descriptor. */
struct sg_msg_xmpp_connect {
	char *jid;
	char *host;    /* or NULL: as the domain's DNS says */
	uint32_t port; /* 0: as the DNS says, or the default of the mode */
	uint32_t tls_mode;
	char *cafile; /* PEM, or NULL for the system's roots */
	struct sg_blob certificate;
	uint32_t key_abilities; /* enum sg_key_ability */
	uint32_t protocol;	/* enum sg_cert_protocol, as its features told the last time */
};

struct sg_msg_xmpp_online {
	char *jid;	   /* the full JID that was bound */
	char *mechanism;   /* SASL mechanism */
	char *tls_version; /* "TLSv1.3" */
	char *tls_cipher;
};

/* The union of what the domain and the own bare JID announce (C1). It decides from
 * now on by which protocol CCM2_LIST and CCM2_REVOKE go (cert_protocol.h). */
struct sg_msg_xmpp_feature_set {
	char **features;
	uint32_t feature_count;
};

struct sg_msg_ccm2_add {
	char *name;
	struct sg_blob csr;
};

struct sg_ccm2_cert {
	char *name;
	struct sg_blob der;
	char *last_used; /* NULL: never; "": at an unknown time; else XEP-0082 DateTime (C8) */
	char **users;	 /* resources that use it now */
	uint32_t user_count;
};

struct sg_msg_ccm2_certs {
	struct sg_ccm2_cert *certs;
	uint32_t cert_count;
	uint32_t unread; /* entries beside them that could not be read */
};

struct sg_msg_ccm2_revoke {
	char *sha256; /* lower-case hex of the fingerprint */
	uint32_t
	    only_disable; /* XEP-0257: not 0: who is logged in with it stays so; else SG_ERR_UNSUPPORTED */
};

/* XEP-0257: a certificate made here may log in, under this name or one made of it that is free. One
 * that may already is left as it is. */
struct sg_msg_saslcert_append {
	char *name;
	struct sg_blob der;
};

enum sg_key_kind {
	SG_KEYINFO_REFERENCE = 0, /* no key data (K2) */
	SG_KEYINFO_X509 = 1,
	SG_KEYINFO_PGP = 2,
};

struct sg_keyinfo {
	char *name; /* lower-case hex, 40 characters */
	uint32_t kind;
	struct sg_blob data;
	struct sg_signature *signatures; /* each with an issuer */
	uint32_t signature_count;
	char *xml; /* decoded ones: the element as it came, written out again; else NULL */
};

/*
 * Creates and configures the node (K9), then publishes each keyinfo under its name (K10), but none
 * of them to a node that is more open than asked.
 */
struct sg_msg_pep_publish {
	char *access_model;
	char **members; /* bare JIDs: all who are to have an affiliation, beside the owner */
	uint32_t member_count;
	char **groups; /* of the roster: who is in one of them reads by access model roster */
	uint32_t group_count;
	uint32_t
	    renew; /* where the server does not tell its subscribers, a node that is there is made anew */
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
};

/* The same without keys. */
struct sg_msg_pep_configure {
	char *access_model;
	char **members;
	uint32_t member_count;
	char **groups;
	uint32_t group_count;
	uint32_t renew;
};

struct sg_msg_pep_retract {
	char **names;
	uint32_t name_count;
};

struct sg_affiliation {
	char *jid; /* bare */
	char *affiliation;
};

/* The own node as the server has it, not as we asked for it. NULL or empty is what it does not tell. */
struct sg_msg_pep_node {
	uint32_t exists; /* 0: there is none, and nothing else is set */
	char *node;
	char *access_model;
	uint32_t persist_items;
	char *max_items; /* a number, or "max" */
	char *send_last; /* "never", "on_sub", "on_sub_and_presence" */
	char **offered;	 /* the access models that the server has */
	uint32_t offered_count;
	uint32_t groups_told; /* 0: the form does not say which groups of the roster may read */
	char **groups;	      /* sorted; they let nobody in by another access model than roster */
	uint32_t group_count;
	char *publish_model; /* "publishers", or others may write */
	char **members; /* who may read by affiliation, the owner left out: bare JIDs, sorted */
	uint32_t member_count;
	struct sg_affiliation *affiliations; /* all but none, the owner left out, sorted */
	uint32_t affiliation_count;
	uint32_t subscribers_told; /* 0: the server does not list the subscriptions */
	char *
	    *subscribers; /* whom the access model does not let read: JIDs as the server has them */
	uint32_t subscriber_count;
	uint32_t
	    uncertain; /* subscribers that nobody can list, and the node could not be made anew */
	uint32_t made_anew; /* it was removed, with all that stood in it */
	uint32_t published; /* of PEP_PUBLISH: how many keyinfos went to the node */
};

struct sg_msg_pep_fetch {
	char *jid;
	char **names; /* none: all */
	uint32_t name_count;
};

struct sg_msg_keyinfos {
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
	uint32_t
	    refused; /* items that were not a good keyinfo (K1, K2); each has a line in the log */
	/* 1: others of the same answer follow, in a frame of the same id. Only in answers to PEP_FETCH. */
	uint32_t more;
	/* Only in answers to KEYS_ASK: how many clients were asked, and how many of them did not answer in time; the
	 * first error (at most one), when none of them answered well. */
	uint32_t asked, silent;
	struct sg_msg_error *errors;
	uint32_t error_count;
};

/* ---- keys that go from client to client (K12, K13, K14) ---- */

/*
 * to: a full JID, or a bare one: then each resource of which we have a presence is asked, and what
 * they answer is put together. SG_ERR_KEY_ABSENT when no resource is known.
 */
struct sg_msg_keys_ask {
	char *to;
	char *about;  /* NULL: the own keys of to (K12); else what to knows of this JID (K13) */
	char **names; /* none: all */
	uint32_t name_count;
};

/* In a message (K14). about NULL: they are the sender's. */
struct sg_msg_keys_send {
	char *to;
	char *about;
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
};

/* revealed: to one who does not get our presence, and so learns from it which resource we are. */
struct sg_msg_keys_sent {
	uint32_t revealed;
};

/* Who is answered; the own resources are, too, but by NOBODY. */
enum sg_direct_mode {
	SG_DIRECT_OWN = 0,
	SG_DIRECT_CONTACTS = 1, /* and who is subscribed to our presence */
	SG_DIRECT_LIST = 2,	/* these JIDs */
	SG_DIRECT_NOBODY = 3,	/* not even the own resources */
};

/*
 * After each login. Before it, nobody is answered, and no presence is sent. watch: presence is sent,
 * with a negative priority, and events are asked for by it (K11).
 */
struct sg_msg_direct_policy {
	uint32_t mode; /* enum sg_direct_mode */
	char **jids;   /* SG_DIRECT_LIST: bare JIDs */
	uint32_t jid_count;
	uint32_t watch;
};

enum sg_seen_source {
	SG_SEEN_EVENT = 0, /* a notification of the node of from (K11) */
	SG_SEEN_PUSH = 1,  /* a message of from (K14) */
};

struct sg_msg_keys_seen {
	char *from;	 /* bare */
	char *about;	 /* a push about another JID, bare; else NULL */
	uint32_t source; /* enum sg_seen_source */
	struct sg_keyinfo *keyinfos;
	uint32_t keyinfo_count;
	uint32_t refused; /* as of sg_msg_keyinfos */
	char **retracted; /* an event: names that are no longer on the node */
	uint32_t retracted_count;
};

/*
 * Somebody who may ask wants keys: the own ones, or (about) what is known openly of another. SG_MSG_ERROR
 * with SG_ERR_KEY_ABSENT: nothing is known of them; with any other code: as if nobody were there.
 */
struct sg_msg_keys_wanted {
	char *from;   /* full */
	char *about;  /* bare, or NULL */
	char **names; /* lower-case hex; none: all */
	uint32_t name_count;
};

#endif
