#include "key_cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS 256

struct entry {
	TAILQ_ENTRY(entry) in_bucket;
	TAILQ_ENTRY(entry) by_age;
	char *selector;
	struct sg_module *module;
	unsigned process;      /* of the module's worker, that found it */
	struct sg_buf objects; /* SG_MSG_OBJECTS, as in a frame */
	unsigned char spki_sha256[SG_SPKI_SHA256_SIZE];
	size_t spki_sha256_len;
};

TAILQ_HEAD(entry_list, entry);

struct sg_key_cache {
	struct entry_list buckets[BUCKETS];
	struct entry_list ages; /* the one that was put first stands first */
	size_t count;
};

static struct entry_list *bucket_of(struct sg_key_cache *cache, const char *selector)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	for (const unsigned char *c = (const unsigned char *)selector; *c != '\0'; c++)
		hash = (hash ^ *c) * 16777619u;
	return &cache->buckets[hash % BUCKETS];
}

static void entry_free(struct entry *entry)
{
	free(entry->selector);
	sg_buf_clear(&entry->objects);
	free(entry);
}

static void entry_drop(struct sg_key_cache *cache, struct entry *entry)
{
	TAILQ_REMOVE(bucket_of(cache, entry->selector), entry, in_bucket);
	TAILQ_REMOVE(&cache->ages, entry, by_age);
	cache->count--;
	entry_free(entry);
}

static struct entry *entry_find(struct sg_key_cache *cache, const char *selector)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, bucket_of(cache, selector), in_bucket) {
		if (strcmp(entry->selector, selector) == 0)
			return entry;
	}
	return NULL;
}

int sg_key_cache_new(struct sg_key_cache **cache)
{
	struct sg_key_cache *made = calloc(1, sizeof(*made));

	*cache = made;
	if (made == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < BUCKETS; i++)
		TAILQ_INIT(&made->buckets[i]);
	TAILQ_INIT(&made->ages);
	return 0;
}

void sg_key_cache_free(struct sg_key_cache *cache)
{
	if (cache == NULL)
		return;
	sg_key_cache_flush(cache, NULL);
	free(cache);
}

static void put_one(struct sg_key_cache *cache, const char *selector, const struct sg_key_ref *key)
{
	struct entry *entry = entry_find(cache, selector);

	if (entry != NULL)
		entry_drop(cache, entry);
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return;
	entry->selector = strdup(selector);
	entry->module = key->module;
	entry->process = sg_worker_starts(key->module->worker);
	memcpy(entry->spki_sha256, key->spki_sha256, key->spki_sha256_len);
	entry->spki_sha256_len = key->spki_sha256_len;
	if (entry->selector == NULL ||
	    sg_layout_encode(sg_msg_layout(SG_MSG_OBJECTS), &key->objects, &entry->objects) != 0) {
		entry_free(entry);
		return;
	}
	if (cache->count >= SG_KEY_CACHE_MAX)
		entry_drop(cache, TAILQ_FIRST(&cache->ages));
	TAILQ_INSERT_HEAD(bucket_of(cache, selector), entry, in_bucket);
	TAILQ_INSERT_TAIL(&cache->ages, entry, by_age);
	cache->count++;
}

void sg_key_cache_put(
    struct sg_key_cache *cache, const char *selector, const struct sg_key_ref *key)
{
	const struct sg_key_info *info = sg_key_ref_info(key);

	if ((info->abilities & SG_KEY_PRIVATE_SEEN) == 0 || info->uri == NULL)
		return;
	put_one(cache, selector, key);
	if (strcmp(selector, info->uri) != 0)
		put_one(cache, info->uri, key);
}

int sg_key_cache_get(struct sg_key_cache *cache, const char *selector, struct sg_key_ref *key)
{
	struct entry *entry = entry_find(cache, selector);
	struct sg_cursor cursor;

	memset(key, 0, sizeof(*key));
	if (entry == NULL)
		return 0;
	sg_worker_look(entry->module->worker);
	cursor =
	    (struct sg_cursor){ entry->objects.data, entry->objects.data + entry->objects.len };
	if (sg_worker_pid(entry->module->worker) == 0 ||
	    sg_worker_starts(entry->module->worker) != entry->process ||
	    sg_layout_decode(sg_msg_layout(SG_MSG_OBJECTS), &cursor, &key->objects) != 0) {
		entry_drop(cache, entry);
		return 0;
	}
	key->module = entry->module;
	memcpy(key->spki_sha256, entry->spki_sha256, entry->spki_sha256_len);
	key->spki_sha256_len = entry->spki_sha256_len;
	return 1;
}

void sg_key_cache_flush(struct sg_key_cache *cache, const struct sg_module *module)
{
	struct entry *entry = TAILQ_FIRST(&cache->ages);

	while (entry != NULL) {
		struct entry *next = TAILQ_NEXT(entry, by_age);

		if (module == NULL || entry->module == module)
			entry_drop(cache, entry);
		entry = next;
	}
}
