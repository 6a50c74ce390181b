/*
 * What a key is to the person: a path from what he decided himself to that key, and what breaks it.
 * A pure function over the keys that the caller lays out; it knows no store and no JSON. The table
 * of what counts is in PROTOCOL.xmpp, section 3.
 */
#ifndef SG_PROTO_PATH_H
#define SG_PROTO_PATH_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "error.h"
#include "msg.h"
#include "verdict.h"

enum sg_path_flag {
	SG_PATH_OWN_USER = 1, /* an own user key or OpenPGP key: what it signs, the person signs */
	SG_PATH_OWN_CLIENT = 2, /* another key of his own */
	SG_PATH_TRUSTED = 4,	/* the person compared it and said so */
	SG_PATH_REFUSED = 8,	/* the person said that it is not to be trusted */
	SG_PATH_REVOKED = 16,
	SG_PATH_SIGNED = 32, /* the signatures here are those that the person's own account keeps */
};

/* Who showed or told a signature. The smaller the rank, the more that is worth: whoever has a greater one uses up
 * nothing of his; and those who are of one rank take turns. */
struct sg_path_teller {
	uint8_t rank;
	uint8_t who; /* one of those of this rank */
};

/* A key as it is known; all is borrowed until the graph is freed. */
struct sg_path_key {
	const struct sg_keyinfo *keyinfo;
	const struct sg_path_teller *tellers; /* of each signature; NULL: one, and of no rank */
	const char *const
	    *seen_jids; /* bare JIDs that show it: on their node, or when asked (K12) */
	size_t seen_count;
	const char *const
	    *retracted_jids; /* those whose node has shown it, and does not any more */
	size_t retracted_count;
	const char *trusted_jid; /* whose it is by the person's decision, or NULL */
	unsigned flags;		 /* enum sg_path_flag */
	int64_t first_seen;	 /* 0: not known */
	int64_t decided;	 /* when the person did; 0: not known */
	int64_t not_before,
	    not_after; /* of an OpenPGP key, 0: none; of X.509 it is looked up here */
};

/* What the key is, the best first. */
enum sg_path_verdict {
	SG_PATH_IS_OWN,
	SG_PATH_IS_TRUSTED, /* by the person: he compared it, or his user key signed it */
	SG_PATH_IS_FRIEND,  /* a trusted key of the same JID signed it */
	SG_PATH_IS_VOUCHED, /* a trusted key of somebody else signed it: shown, and not trusted */
	SG_PATH_IS_BROKEN,  /* a path to it is there, and one of its steps does not hold */
	SG_PATH_IS_REFUSED, /* by the person */
	SG_PATH_IS_UNKNOWN, /* nothing that he trusts has signed it */
};

enum sg_path_way {
	SG_PATH_BY_OWN,	      /* the first step: a key of his own */
	SG_PATH_BY_PERSON,    /* the first step: he compared it himself */
	SG_PATH_BY_SIGNATURE, /* of the issuer on the subject */
};

enum sg_path_break {
	SG_PATH_HOLDS,
	SG_PATH_BREAKS_REFUSED,
	SG_PATH_BREAKS_REVOKED,
	SG_PATH_BREAKS_RETRACTED,
	SG_PATH_BREAKS_EXPIRED,
	SG_PATH_BREAKS_NOT_YET_VALID,
	SG_PATH_BREAKS_BAD_SIGNATURE,
	SG_PATH_BREAKS_UNKNOWN_METHOD,
	SG_PATH_BREAKS_SIGNATURE_REFUSED, /* one that may not count: of OpenPGP, or SHA-1 that is off */
	SG_PATH_BREAKS_UNCHECKED,	  /* all the checks that may be made were made before */
	SG_PATH_BREAKS_ISSUER_MISSING, /* no key with the issuer's name is at hand */
	SG_PATH_BREAKS_ISSUER_UNKNOWN, /* nothing leads to the issuer */
	SG_PATH_BREAKS_TOO_FAR,	       /* the issuer makes no other key trusted */
};

/* One step; its strings are the graph's. */
struct sg_path_step {
	enum sg_path_way way;
	const char *issuer;	/* a key's name; NULL but for a signature */
	const char *issuer_jid; /* one who claims that key, or who is said to; or NULL */
	const char *subject;
	const char *method;  /* NULL also for an OpenPGP packet */
	enum sg_grade grade; /* what the method is worth */
	enum sg_path_break breaks;
	int64_t since; /* when the subject was first seen, or decided on; 0: not known */
	int64_t not_before, not_after; /* of the subject; 0: none */
};

#define SG_PATH_STEPS_MAX 4

struct sg_path {
	enum sg_path_verdict verdict;
	const char *jid; /* for whom a path holds, or NULL: for no JID in particular */
	enum sg_grade
	    grade; /* of a path that holds, the weakest of its signatures; NONE: it has none */
	/* From the person to the key. Of several the best: the person's own word before his
	 * signature, SHA-256 before SHA-1, short before long, then by name. When none holds, the
	 * one that would be the best; the step that breaks says why. None: it is unsigned. */
	struct sg_path_step steps[SG_PATH_STEPS_MAX];
	size_t step_count;
};

/* Of one graph. What is above is refused by sg_path_graph_add(). */
#define SG_PATH_KEYS_MAX       20000
#define SG_PATH_SIGNATURES_MAX 200000

/*
 * Checks that are made of signatures by one key on another, of each rank and of SHA-256 or SHA-1: more of them are
 * noise. Those that the person's account keeps come first, then those of the tellers, rank by rank, so that what
 * others tell uses up nothing of what is worth more. Of one rank and issuer, the first of each teller come before the
 * second of any.
 */
#define SG_PATH_PAIR_CHECKS_MAX 8

struct sg_path_graph;

/*
 * An empty graph, judged as of one time. It makes at most checks_max checks of signatures in its life,
 * each once; to load an OpenPGP key counts as sg_pgp_load_cost() says, and is done for those alone on which it
 * depends what a path is worth. SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_path_graph_new(struct sg_path_graph **graph, time_t now, size_t checks_max);
void sg_path_graph_free(struct sg_path_graph *graph); /* NULL is fine */

/*
 * Adds a key. One of a name that is there already adds its signatures, flags and decision to it.
 * SG_ERR_KEYINFO: the data does not have that name (K2). SG_ERR_LIMIT, SG_ERR_NOMEM. The graph is as it was then.
 */
SG_MUST_USE int sg_path_graph_add(struct sg_path_graph *graph, const struct sg_path_key *key);

/* Whether a key of this name was added. */
int sg_path_graph_has(const struct sg_path_graph *graph, const char *name);

/* What the key of this name is. SG_ERR_KEY_ABSENT, SG_ERR_NOMEM. */
SG_MUST_USE int sg_path_judge(struct sg_path_graph *graph, const char *name, struct sg_path *path);

/* How many signatures there are on the key of this name; 0: also when there is no such key. */
size_t sg_path_signature_count(const struct sg_path_graph *graph, const char *name);

/*
 * The signatures on the key of this name, one by one from 0, with what they are: SG_SIG_UNKNOWN_ISSUER
 * when the graph lacks the issuer. SG_ERR_KEY_ABSENT when there is no such key or no more.
 */
SG_MUST_USE int sg_path_signature(struct sg_path_graph *graph, const char *name, size_t index,
    const struct sg_signature **signature, enum sg_signature_verdict *verdict);

/*
 * The bare JIDs that claim the key: those in its certificate or user ids, and those that show it
 * themselves. The list is the graph's, NULL-terminated; NULL without memory, and for no such key.
 */
const char *const *sg_path_claims(struct sg_path_graph *graph, const char *name);

/* How many checks of signatures were made, and how many signatures there are. */
size_t sg_path_graph_checks(const struct sg_path_graph *graph);
size_t sg_path_graph_signatures(const struct sg_path_graph *graph);

/* The words of the API: Path.verdict, PathStep.way, PathStep.breaks (NULL for HOLDS). */
const char *sg_path_verdict_name(enum sg_path_verdict verdict);
const char *sg_path_way_name(enum sg_path_way way);
const char *sg_path_break_name(enum sg_path_break breaks);

#endif
