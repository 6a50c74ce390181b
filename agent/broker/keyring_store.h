/*
 * The keyring in the store: every key of others that was ever seen, who showed or told it, its
 * signatures as they came, and what the person decided of it (K15). Nothing of it is kept in
 * memory; what is looked up is indexed.
 *
 * A certificate is known by its name (K2) and the SHA-256 of its data: two that claim one name are
 * two. An OpenPGP key is known by its name, which is that of the primary key; one copy of it is kept
 * (store_copies.h), and the decision is on all of them. A reference (no key data) is a key without
 * SHA-256, until its data comes. The account's own certificates are no part of it.
 *
 * Functions fail as store.h says. In store_keyring.c is what was seen, in store_known.c what is known, in
 * store_decisions.c the person's decisions and the changes that wait.
 */
#ifndef SG_BROKER_KEYRING_STORE_H
#define SG_BROKER_KEYRING_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "path.h"
#include "store.h"

/*
 * Limits, so that nobody fills the disk. Of one JID: what it showed itself. Above, what was not
 * seen for longest goes, but for keys that the person has decided on; when all was seen just now,
 * what is new is refused. Of one sender: what he told of others and of himself (K13, K14). Above,
 * his oldest goes, and nothing else; above the limit of a day, what is new is refused. Of all
 * senders together: above, the oldest goes of the one who takes the most room, for names of senders
 * cost nothing.
 */
#define SG_KEYRING_JID_ROWS    10000
#define SG_KEYRING_JID_BYTES   (64 << 20)
#define SG_KEYRING_TOLD_ROWS   1000
#define SG_KEYRING_TOLD_BYTES  (16 << 20)
#define SG_KEYRING_TOLD_DAY    200 /* new ones within 24 hours */
#define SG_KEYRING_ALL_ROWS    20000
#define SG_KEYRING_ALL_BYTES   (256 << 20)
#define SG_KEYRING_KEYINFO_MAX (8 << 20) /* bytes of one keyinfo; a longer one is refused */
#define SG_KEYRING_CHANGES_JID 100	 /* changes of one JID that wait to be looked at */
#define SG_KEYRING_STAMP_S     60 /* that a key was seen again is written down once in this time */

/* How a key became known. What is up to SG_SIGHT_DIRECT came from the JID itself. */
enum sg_sight {
	SG_SIGHT_NODE = 0,   /* on the JID's node */
	SG_SIGHT_EVENT = 1,  /* a notification of that node (K11) */
	SG_SIGHT_DIRECT = 2, /* a resource of the JID answered a request (K12) */
	SG_SIGHT_THIRD = 3,  /* a third party answered a request (K13) */
	SG_SIGHT_PUSH = 4,   /* in a message, also of the JID itself (K14) */
	SG_SIGHT_IMPORT = 5, /* out of a file */
	SG_SIGHT_COUNT,
};

enum sg_decision {
	SG_DECISION_NONE = 0,
	SG_DECISION_TRUSTED = 1,
	SG_DECISION_DISTRUSTED = 2,
};

/* ---- what was seen ---- */

struct sg_witness {
	const char *jid; /* bare: whose keys they are said to be */
	enum sg_sight source;
	const char *told_by; /* SG_SIGHT_THIRD, SG_SIGHT_PUSH: bare; else NULL */
	int64_t now;
	int known; /* sg_store_keyring_is_known() before any of them: another key is a change */
};

/* Whether the JID itself shows it. */
int sg_witness_shows(const struct sg_witness *witness);

enum sg_learnt {
	SG_LEARNT_NOTHING,  /* this source has told it before */
	SG_LEARNT_SIGHTING, /* it had not, but the key of this JID was known */
	SG_LEARNT_KEY,	    /* the first time that this is said to be a key of the JID */
	SG_LEARNT_CHANGE, /* ... and the JID itself showed others before: it waits to be looked at */
	SG_LEARNT_OWN,	  /* a certificate of an account of ours: not kept */
	SG_LEARNT_REFUSED, /* by a limit, or its name is not that of its data: not kept */
	/* A flag beside the others: the key was known, and is revoked now. */
	SG_LEARNT_REVOKED = 16,
};

/* Whether the JID itself has ever shown a key; SG_ERR_IO. */
SG_MUST_USE int sg_store_keyring_is_known(struct sg_store *store, const char *jid, int *known);

/* Keeps what was seen, in one transaction; learnt has room for count. SG_ERR_IO, SG_ERR_NOMEM:
 * nothing of it is kept. */
SG_MUST_USE int sg_store_keyring_put(struct sg_store *store, const struct sg_witness *witness,
    const struct sg_keyinfo *keyinfos, size_t count, enum sg_learnt *learnt);

/*
 * Calls fn with the name of each key that the node of the JID has shown and not yet retracted;
 * where it gives 1, the key is retracted now. One that is trusted waits to be looked at. It looks at
 * SG_RETRACT_SLICE keys after *after, at first 0, and gives 1 when there may be others after the *after that it sets.
 * fn's error (negative) ends it, and nothing of this call is changed. SG_ERR_IO.
 */
#define SG_RETRACT_SLICE 128
typedef int sg_retract_fn(void *arg, const char *name);
SG_MUST_USE int sg_store_keyring_retract(struct sg_store *store, const char *jid, int64_t now,
    int64_t *after, sg_retract_fn *fn, void *arg);

/* Keys out of a file that the person gave: each is said to be the JID's beside it. As put, but for
 * the limits. */
struct sg_import {
	const char *jid;
	const struct sg_keyinfo *keyinfo;
};
SG_MUST_USE int sg_store_keyring_import(struct sg_store *store, const struct sg_import *imports,
    size_t count, int64_t now, enum sg_learnt *learnt);

/* ---- what is known ---- */

struct sg_sighting {
	char *jid;
	uint32_t source; /* enum sg_sight */
	char *told_by;	 /* or NULL */
	int64_t first;
	int64_t last;
	int64_t retracted; /* 0: not */
};

#define SG_KNOWN_SIGHTINGS_MAX 50 /* that are read of one key */

/*
 * Who showed or told a keyinfo, the best first. Whose key it is: those in its certificate, and whose the person says
 * it is. When that names nobody (OpenPGP, too), everybody is taken for it of what he shows or tells of himself.
 */
enum sg_known_rank {
	SG_KNOWN_SHOWN = 0,    /* those whose key it is: on their node, or when asked */
	SG_KNOWN_IMPORTED = 1, /* a file */
	SG_KNOWN_TOLD = 2,     /* those whose key it is, in messages, or when asked for another's */
	SG_KNOWN_ANSWERED = 3, /* others who were asked */
	SG_KNOWN_ELSEWHERE = 4, /* others, on their node or when asked for theirs */
	SG_KNOWN_PUSHED = 5,	/* others, in messages */
	SG_KNOWN_RANKS,
};

/*
 * Different keyinfos, whose signatures are put together: by rank; of one rank, what is retracted comes last; first
 * come those of people of whom a key is trusted; then what is shown, the newest first, and what was told, the oldest
 * first, so that whoever tells more later hides nothing. Of each rank the first, and of the others, rank by rank,
 * what fits into so many bytes.
 */
#define SG_KNOWN_KEYINFOS_MAX 20
#define SG_KNOWN_SHOWN_BYTES  (16 << 20) /* of the first two ranks each */
#define SG_KNOWN_TOLD_BYTES   (64 << 10) /* of each of the others */

struct sg_known_key {
	int64_t id; /* in the order in which they became known */
	/* With its signatures, when they were asked for, by rank, each once; xml is the best keyinfo
	 * as it came, or NULL. */
	struct sg_keyinfo keyinfo;
	struct sg_path_teller *tellers; /* of each signature; the ranks are enum sg_known_rank */
	uint32_t shown_signatures;	/* how many of them are SG_KNOWN_SHOWN */
	char *sha256;			/* of the data; NULL: a reference */
	int64_t first;
	int64_t last;
	uint32_t decision;	       /* enum sg_decision */
	int64_t decided;	       /* 0: never */
	char *decided_for;	       /* SG_DECISION_TRUSTED: whose it is; else NULL */
	int retracted;		       /* a node has shown it, and none shows it now */
	struct sg_sighting *sightings; /* those of the JID itself first, then the newest */
	uint32_t sighting_count;
	uint32_t sighting_total; /* of which those are the first */
};
void sg_known_key_clear(struct sg_known_key *key);

/* Whether the JID's node shows it, and has not taken it back. */
int sg_known_key_is_on_node(const struct sg_known_key *key, const char *jid);

/* The key is cleared after each; what fn takes over it zeroes. fn's first error ends it and is
 * given. fn may use the store. */
typedef int sg_known_key_fn(void *arg, struct sg_known_key *key);

enum sg_known_flag {
	SG_KNOWN_SIGNATURES = 1, /* with keyinfo.signatures and keyinfo.xml */
};

/* Every key with this name or SHA-256 (lower-case hex): two may have one name. None is no error.
 * SG_ERR_IO, SG_ERR_NOMEM. */
SG_MUST_USE int sg_store_keyring_get(struct sg_store *store, const char *fingerprint,
    unsigned flags, sg_known_key_fn *fn, void *arg);

/* What is looked for; the members that are NULL do not limit it. */
struct sg_keyring_query {
	const char *jid;    /* seen or told as a key of this JID */
	const char *search; /* the beginning of a name or SHA-256, else a part of a JID */
	int64_t after;	    /* keys with a greater id */
	size_t max;	    /* so many, the smallest ids first */
};
SG_MUST_USE int sg_store_keyring_list(struct sg_store *store, const struct sg_keyring_query *query,
    unsigned flags, sg_known_key_fn *fn, void *arg);

/*
 * The same; where a text is searched for, SG_KEYRING_SEARCH_MAX keys are looked through in one
 * call: *reached is the id of the last of them, and 0 when there are no more.
 */
#define SG_KEYRING_SEARCH_MAX 20000
SG_MUST_USE int sg_store_keyring_search(struct sg_store *store,
    const struct sg_keyring_query *query, unsigned flags, sg_known_key_fn *fn, void *arg,
    int64_t *reached);

/* Whether it was ever shown or told as a key of this JID. SG_ERR_IO. */
SG_MUST_USE int sg_store_keyring_is_of(
    struct sg_store *store, int64_t id, const char *jid, int *is_of);

/* ---- the person's decisions ---- */

/* jid: whose the key is, of SG_DECISION_TRUSTED; else NULL. SG_ERR_IO. */
SG_MUST_USE int sg_store_keyring_decide(
    struct sg_store *store, int64_t id, enum sg_decision decision, const char *jid, int64_t now);

/* Removes the key with all that is known of it. SG_ERR_IO. */
SG_MUST_USE int sg_store_keyring_forget(struct sg_store *store, int64_t id);

/* The JID of an account of ours whose certificate (by name or SHA-256) or OpenPGP key (by name)
 * this is: a new string. SG_ERR_KEY_ABSENT. */
SG_MUST_USE int sg_store_keyring_own(struct sg_store *store, const char *fingerprint, char **jid);

/* ---- changes that wait to be looked at ---- */

enum sg_change_kind {
	SG_CHANGE_NEW = 0,	 /* the JID shows another key than before */
	SG_CHANGE_RETRACTED = 1, /* the JID does not show a trusted key any more */
	SG_CHANGE_REVOKED = 2,	 /* an OpenPGP key that was known is revoked */
};

struct sg_key_change {
	const char *jid;
	const char *name;
	uint32_t kind; /* enum sg_change_kind */
	int64_t at;
};

/* Those of a JID, or (NULL) all; the oldest first, at most max. The strings are valid during the
 * call. */
typedef int sg_key_change_fn(void *arg, const struct sg_key_change *change);
SG_MUST_USE int sg_store_key_changes(
    struct sg_store *store, const char *jid, size_t max, sg_key_change_fn *fn, void *arg);

/* How many wait. */
SG_MUST_USE int sg_store_key_changes_count(struct sg_store *store, int64_t *count);

/* They were looked at: those of a JID (and of one key), or (NULL) all. */
SG_MUST_USE int sg_store_key_changes_drop(
    struct sg_store *store, const char *jid, const char *name, int64_t *dropped);

#endif
