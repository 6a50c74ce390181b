/*
 * What the tests of paths share: people ("actors") with a key each, what they sign, and the usual cast of three.
 */
#ifndef SG_TESTS_PATH_CAST_H
#define SG_TESTS_PATH_CAST_H

#include "proto/path.h"

#include "codecs.h"

#include "proto/keyinfo.h"

#define JULIET	 "juliet@capulet.example"
#define ROMEO	 "romeo@montague.example"
#define MERCUTIO "mercutio@verona.example"
#define CHECKS	 1000
#define MANY	 10000
#define POOL	 6

/* A few keys for all: a certificate of another serial number is another key to XEP-0189. */
static EVP_PKEY *pool[POOL], *rsa;

static inline int set_up(void **state)
{
	for (int i = 0; i < POOL; i++)
		pool[i] = EVP_EC_gen("P-256");
	rsa = EVP_RSA_gen(2048);
	return rsa != NULL ? 0 : -1;
}

static inline int tear_down(void **state)
{
	for (int i = 0; i < POOL; i++)
		EVP_PKEY_free(pool[i]);
	EVP_PKEY_free(rsa);
	return 0;
}

/* ---- keys and signatures ---- */

struct actor {
	EVP_PKEY *key;
	struct sg_keyinfo keyinfo;
	struct sg_path_key entry;
};

static long serial;

static inline void actor_make(
    struct actor *actor, EVP_PKEY *key, unsigned flags, struct recipe recipe)
{
	recipe.cn = "x";
	recipe.serial = ++serial;
	*actor = (struct actor){ .key = key };
	actor->keyinfo.kind = SG_KEYINFO_X509;
	actor->keyinfo.data = make_cert(&recipe, key);
	actor->keyinfo.name = sg_keyinfo_name_x509(&actor->keyinfo.data);
	actor->entry.flags = flags;
	actor->entry.keyinfo = &actor->keyinfo;
}

static inline void actor_init(struct actor *actor, EVP_PKEY *key, const char *jid, unsigned flags)
{
	actor_make(actor, key, flags, (struct recipe){ .jids = { jid } });
}

static inline void actor_clear(struct actor *actor)
{
	sg_layout_clear(&sg_layout_keyinfo, &actor->keyinfo);
}

static inline void put_signature(
    struct actor *subject, const char *issuer, const char *method, struct sg_blob value)
{
	struct sg_keyinfo *keyinfo = &subject->keyinfo;
	uint32_t count = keyinfo->signature_count;

	if ((count & (count - 1)) == 0)
		keyinfo->signatures = reallocarray(
		    keyinfo->signatures, count != 0 ? 2 * count : 1, sizeof(struct sg_signature));
	assert_non_null(keyinfo->signatures);
	keyinfo->signatures[keyinfo->signature_count++] = (struct sg_signature){ strdup(issuer),
		NULL, method != NULL ? strdup(method) : NULL, value };
}

/* by the method that the issuer's key has; SHA-1 for RSA when weak */
static inline void cross_sign_with(const struct actor *issuer, struct actor *subject, int weak)
{
	int is_rsa = EVP_PKEY_get_base_id(issuer->key) == EVP_PKEY_RSA;
	const char *method = !is_rsa ? "ECDSA-SHA256" : weak ? "RSA-SHA1" : "RSA-SHA256";

	put_signature(subject, issuer->keyinfo.name, method,
	    sign(issuer->key, weak ? EVP_sha1() : EVP_sha256(), &subject->keyinfo.data));
}

static inline void cross_sign(const struct actor *issuer, struct actor *subject)
{
	cross_sign_with(issuer, subject, 0);
}

static inline void forge(const struct actor *issuer, struct actor *subject)
{
	put_signature(subject, issuer->keyinfo.name, "ECDSA-SHA256",
	    sign(pool[POOL - 1], EVP_sha256(), &subject->keyinfo.data));
}

static inline struct sg_path_graph *graph_of(
    struct actor *const *actors, size_t count, size_t checks_max)
{
	struct sg_path_graph *graph;

	assert_int_equal(sg_path_graph_new(&graph, NOW, checks_max), 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(sg_path_graph_add(graph, &actors[i]->entry), 0);
	return graph;
}

static inline struct sg_path judge(struct sg_path_graph *graph, const struct actor *actor)
{
	struct sg_path path;

	assert_int_equal(sg_path_judge(graph, actor->keyinfo.name, &path), 0);
	return path;
}

static inline void assert_step(const struct sg_path_step *step, enum sg_path_way way,
    const struct actor *issuer, const struct actor *subject, enum sg_path_break breaks)
{
	assert_int_equal(step->way, way);
	if (issuer == NULL)
		assert_null(step->issuer);
	else
		assert_string_equal(step->issuer, issuer->keyinfo.name);
	assert_string_equal(step->subject, subject->keyinfo.name);
	assert_int_equal(step->breaks, breaks);
}

/* ---- the usual cast ---- */

/* Juliet's own keys, Romeo's, and Mercutio's. Nothing is signed or decided. */
struct cast {
	struct actor mine, my_client, romeo, romeos_client, mercutio, mercutios_client;
	struct sg_path_graph *graph;
};

#define CAST_SIZE 6

static inline void cast_list(struct cast *cast, struct actor *list[CAST_SIZE])
{
	struct actor *const all[CAST_SIZE] = { &cast->mine, &cast->my_client, &cast->romeo,
		&cast->romeos_client, &cast->mercutio, &cast->mercutios_client };

	memcpy(list, all, sizeof(all));
}

static inline void cast_init(struct cast *cast)
{
	*cast = (struct cast){ 0 };
	actor_init(&cast->mine, pool[0], JULIET, SG_PATH_OWN_USER);
	actor_init(&cast->my_client, pool[1], JULIET, SG_PATH_OWN_CLIENT);
	actor_init(&cast->romeo, pool[2], ROMEO, 0);
	actor_init(&cast->romeos_client, pool[3], ROMEO, 0);
	actor_init(&cast->mercutio, pool[4], MERCUTIO, 0);
	actor_init(&cast->mercutios_client, pool[1], MERCUTIO, 0);
}

/* The graph of what the cast is by now. */
static inline void cast_graph(struct cast *cast)
{
	struct actor *list[CAST_SIZE];

	cast_list(cast, list);
	sg_path_graph_free(cast->graph);
	cast->graph = graph_of(list, CAST_SIZE, CHECKS);
}

static inline struct sg_path cast_judge(struct cast *cast, const struct actor *actor)
{
	cast_graph(cast);
	return judge(cast->graph, actor);
}

static inline enum sg_path_verdict cast_verdict(struct cast *cast, const struct actor *actor)
{
	return cast_judge(cast, actor).verdict;
}

static inline void cast_clear(struct cast *cast)
{
	struct actor *list[CAST_SIZE];

	cast_list(cast, list);
	sg_path_graph_free(cast->graph);
	for (int i = 0; i < CAST_SIZE; i++)
		actor_clear(list[i]);
}

#endif
