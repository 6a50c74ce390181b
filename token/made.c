#include "made.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

struct made {
	struct sg_token *token; /* NULL: the place is free */
	char *uri;
	struct sg_blob id, label;
	uint32_t pid;
	char *purpose;
};

static struct {
	pthread_mutex_t lock; /* protects the list */
	struct made list[SG_MADE_MAX];
	size_t next;
	atomic_uint count; /* may be read without the lock */
} all = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void forget(struct made *made)
{
	if (made->token != NULL)
		all.count--;
	free(made->uri);
	free(made->purpose);
	sg_blob_clear(&made->id);
	sg_blob_clear(&made->label);
	memset(made, 0, sizeof(*made));
}

static int is_of(const struct made *made, const struct sg_caller *caller)
{
	return caller != NULL && made->pid == caller->pid && caller->purpose != NULL &&
	    strcmp(made->purpose, caller->purpose) == 0;
}

void sg_made_note(struct sg_token *token, const char *uri, const struct sg_blob *id,
    const struct sg_blob *label, const struct sg_caller *caller)
{
	struct made made = { .token = token,
		.uri = sg_text_copy(uri),
		.pid = caller->pid,
		.purpose = sg_text_copy(caller->purpose) };
	struct made *place;

	if (made.uri == NULL || made.purpose == NULL ||
	    sg_blob_set(&made.id, id->data, id->len) != 0 ||
	    sg_blob_set(&made.label, label->data, label->len) != 0) {
		made.token = NULL;
		forget(&made);
		return;
	}
	pthread_mutex_lock(&all.lock);
	place = &all.list[all.next++ % SG_MADE_MAX];
	forget(place);
	*place = made;
	all.count++;
	pthread_mutex_unlock(&all.lock);
}

void sg_made_use(const struct sg_key *key, const struct sg_caller *caller)
{
	size_t i;

	if (atomic_load(&all.count) == 0)
		return;
	pthread_mutex_lock(&all.lock);
	for (i = 0; i < SG_MADE_MAX; i++) {
		struct made *made = &all.list[i];

		if (made->token == key->token && sg_blob_eq(&made->id, &key->info.id) &&
		    !is_of(made, caller))
			forget(made);
	}
	pthread_mutex_unlock(&all.lock);
}

int sg_made_take(const char *uri, const struct sg_caller *caller, struct sg_token **token,
    struct sg_blob *id, struct sg_blob *label)
{
	size_t i;

	*token = NULL;
	memset(id, 0, sizeof(*id));
	memset(label, 0, sizeof(*label));
	pthread_mutex_lock(&all.lock);
	for (i = 0; i < SG_MADE_MAX && *token == NULL; i++) {
		struct made *made = &all.list[i];

		if (made->token == NULL || strcmp(made->uri, uri) != 0 || !is_of(made, caller))
			continue;
		*token = made->token;
		*id = made->id;
		*label = made->label;
		memset(&made->id, 0, sizeof(made->id));
		memset(&made->label, 0, sizeof(made->label));
		forget(made);
	}
	pthread_mutex_unlock(&all.lock);
	return *token != NULL;
}
