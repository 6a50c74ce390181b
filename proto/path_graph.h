/*
 * The keys of a sg_path_graph, and the checks of their signatures. For path*.c alone.
 */
#ifndef SG_PROTO_PATH_GRAPH_H
#define SG_PROTO_PATH_GRAPH_H

#include <openssl/x509.h>

#include "path.h"
#include "pgp_key.h"

struct sg_path_chain;

struct sg_path_link {
	const struct sg_signature *signature;
	uint8_t known; /* whether verdict is */
	uint8_t verdict;
	/* 0: kept by the own account; else its teller's, plus 1; UINT_MAX: told by nobody in particular */
	unsigned rank;
	unsigned who;
};

struct sg_path_node {
	const char *name; /* the keyinfo's */
	struct sg_path_key key;
	struct sg_path_link *links; /* the signatures on it */
	size_t link_count;
	struct sg_blob copies[SG_PGP_COPIES_MAX]; /* of an OpenPGP key, borrowed */
	size_t copy_count;
	int parsed;		       /* whether the following are there */
	X509 *cert;		       /* NULL: it is none, or does not parse */
	char **names;		       /* the bare JIDs in it, NULL-terminated; NULL: none */
	int64_t not_before, not_after; /* 0: none */
	int unloaded;		       /* an OpenPGP key that could not be judged */
	size_t cost;		       /* to load it, unless it was */
	const char **claims;
	const char **seen; /* each JID once; NULL: not looked for yet */
	/* path.c: what it found of this key alone, when the graph was of that age; or NULL */
	struct sg_path_chain *root;
	size_t root_age;
};

struct sg_path_graph {
	void *tree; /* of nodes, by name: tsearch(3) */
	size_t key_count, signature_count;
	size_t age; /* grows by each key that is added */
	size_t checks_left, checks_made;
	time_t now;
};

/* NULL: there is none. */
struct sg_path_node *sg_path_node_find(const struct sg_path_graph *graph, const char *name);

/* The issuer of one of its signatures, or NULL. */
struct sg_path_node *sg_path_node_issuer(
    const struct sg_path_graph *graph, const struct sg_path_node *node, size_t index);

/* Reads the certificate, or loads the OpenPGP key, once; the latter is dear. */
void sg_path_node_parse(struct sg_path_graph *graph, struct sg_path_node *node);

/*
 * The bare JIDs that the key is of, NULL-terminated: those in its certificate, which whoever signs it
 * signs, too. When it has none, and of an OpenPGP key, whose user ids no signature here covers (K4):
 * those that show it themselves. May be an empty list, is never NULL.
 */
const char *const *sg_path_node_jids(struct sg_path_graph *graph, struct sg_path_node *node);

/* Whether one whose key it is has taken it from his node; what others show does not matter. */
int sg_path_node_is_retracted(struct sg_path_graph *graph, struct sg_path_node *node);

/* Whether both are certificates of one key. */
int sg_path_node_is_twin(
    struct sg_path_graph *graph, struct sg_path_node *a, struct sg_path_node *b);

/* What one of its signatures is: checked once, as long as checks are left. */
enum sg_signature_verdict sg_path_node_check(
    struct sg_path_graph *graph, struct sg_path_node *node, size_t index);

#endif
