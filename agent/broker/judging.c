#include "judging.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/event.h>

#include "clock.h"
#include "json.h"
#include "log.h"
#include "store.h"
#include "verdict.h"

/* A key of the keyring that may have signed one of the set. */
struct known {
	struct known *next;
	struct sg_keyinfo keyinfo;
};

struct sg_judging {
	struct sg_account *account;
	const struct sg_msg_keyinfos *keys;
	struct event *next;
	struct sg_verdict_index *index;
	struct known *known;
	time_t now;
	uint32_t indexed;  /* keys that are in the index */
	uint32_t at;	   /* the key that is judged, ... */
	uint32_t searched; /* ... of whose signatures so many issuers were looked for ... */
	int self_searched; /* ... and what else is known by its name */
	struct sg_keyinfo
	    key; /* it, with the data that a reference stands for; borrowed, but for ... */
	struct sg_blob found; /* ... these */
	struct sg_judgement *judgement;
	int waits;
	sg_judged_fn *each;
	sg_judging_end_fn *end;
	void *arg;
};

void sg_judging_free(struct sg_judging *judging)
{
	if (judging == NULL)
		return;
	if (judging->next != NULL)
		event_free(judging->next);
	sg_judgement_free(judging->judgement);
	sg_blob_clear(&judging->found);
	sg_verdict_index_free(judging->index);
	while (judging->known != NULL) {
		struct known *known = judging->known;

		judging->known = known->next;
		sg_layout_clear(&sg_layout_keyinfo, &known->keyinfo);
		free(known);
	}
	sg_account_unref(judging->account);
	free(judging);
}

/* ---- issuers ---- */

/* Adds the key of this name to the index, when it is known and not there. */
static int look_up(struct sg_judging *judging, const char *name)
{
	struct sg_store *store = judging->account->agent->store;
	struct known *known;
	int err = name != NULL ? sg_verdict_index_wants(judging->index, name) : 0;

	if (err <= 0)
		return err;
	known = calloc(1, sizeof(*known));
	if (known == NULL)
		return SG_ERR_NOMEM;
	known->next = judging->known;
	judging->known = known;
	err = sg_store_key_get(
	    store, judging->account->row.jid, name, &known->keyinfo.kind, &known->keyinfo.data);
	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	known->keyinfo.name = strdup(name);
	return known->keyinfo.name != NULL
	    ? sg_verdict_index_add(judging->index, &known->keyinfo, 1)
	    : SG_ERR_NOMEM;
}

/* ---- steps: each is short, and gives 1 when there is more to do ---- */

/* A name without key data stands for the key of this name, when one is known (K2). */
static int resolve(struct sg_judging *judging)
{
	uint32_t kind;
	int err = sg_store_key_get(judging->account->agent->store, judging->account->row.jid,
	    judging->key.name, &kind, &judging->found);

	if (err != 0)
		return err == SG_ERR_KEY_ABSENT ? 0 : err;
	judging->key.kind = kind;
	judging->key.data = judging->found;
	return 0;
}

static int key_begin(struct sg_judging *judging, const struct sg_keyinfo *given)
{
	const struct sg_keyinfo *key = &judging->key;

	if (!judging->self_searched) {
		judging->self_searched = 1;
		judging->key = *given;
		if (key->kind == SG_KEYINFO_REFERENCE && key->name != NULL)
			return resolve(judging);
		return key->kind == SG_KEYINFO_PGP ? look_up(judging, key->name) : 0;
	}
	if (judging->searched < key->signature_count)
		return look_up(judging, key->signatures[judging->searched++].issuer);
	return sg_judgement_new(key, judging->index, judging->now, &judging->judgement);
}

static void key_over(struct sg_judging *judging)
{
	sg_judgement_free(judging->judgement);
	judging->judgement = NULL;
	sg_blob_clear(&judging->found);
	judging->searched = 0;
	judging->self_searched = 0;
	judging->at++;
}

static int key_tell(struct sg_judging *judging)
{
	json_t *object =
	    sg_json_public_key(&judging->key, sg_judgement_verdict(judging->judgement));
	enum sg_judged judged;

	key_over(judging);
	if (object == NULL)
		return SG_ERR_NOMEM;
	judged = judging->each(judging->arg, object);
	judging->waits = judged == SG_JUDGED_WAIT;
	return judged == SG_JUDGED_END ? 0 : 1;
}

static int is_too_long(const struct sg_keyinfo *key)
{
	return key->signature_count > SG_JUDGING_SIGNATURES_MAX ||
	    (key->xml != NULL && strlen(key->xml) > SG_JUDGING_KEYINFO_MAX);
}

static int step(struct sg_judging *judging)
{
	const struct sg_keyinfo *key;
	int err;

	if (judging->indexed < judging->keys->keyinfo_count) {
		key = &judging->keys->keyinfos[judging->indexed++];
		/* what is known of an OpenPGP key goes before the copies that came, however many */
		err = key->kind == SG_KEYINFO_PGP ? look_up(judging, key->name) : 0;
		if (err == 0)
			err = sg_verdict_index_add(judging->index, key, 1);
		return err == 0 ? 1 : err;
	}
	if (judging->at == judging->keys->keyinfo_count)
		return 0;
	key = &judging->keys->keyinfos[judging->at];
	if (judging->judgement == NULL && is_too_long(key)) {
		sg_log(SG_LOG_INFO, "the key %s is too long for a reply", key->name);
		key_over(judging);
		return 1;
	}
	if (judging->judgement == NULL) {
		err = key_begin(judging, key);
		return err == 0 ? 1 : err;
	}
	err = sg_judgement_go_on(judging->judgement);
	return err == 0 ? key_tell(judging) : err;
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
	struct sg_judging *judging = arg;
	int64_t until = sg_clock_ms() + SG_JUDGING_SLICE_MS;
	int more;

	do
		more = step(judging);
	while (more == 1 && !judging->waits && sg_clock_ms() < until);
	if (more == 1 && !judging->waits)
		sg_judging_resume(judging);
	if (more == 1)
		return;
	judging->end(judging->arg, more);
	sg_judging_free(judging);
}

void sg_judging_resume(struct sg_judging *judging)
{
	static const struct timeval at_once = { 0, 0 };

	judging->waits = 0;
	if (evtimer_add(judging->next, &at_once) != 0)
		abort(); /* the call would wait for ever */
}

int sg_judging_start(struct sg_account *account, const struct sg_msg_keyinfos *keys,
    sg_judged_fn *each, sg_judging_end_fn *end, void *arg, struct sg_judging **made)
{
	struct sg_judging *judging = *made = calloc(1, sizeof(*judging));

	if (judging == NULL)
		return SG_ERR_NOMEM;
	judging->account = sg_account_ref(account);
	judging->keys = keys;
	judging->each = each;
	judging->end = end;
	judging->arg = arg;
	judging->now = time(NULL);
	judging->next = evtimer_new(account->agent->base, on_next, judging);
	if (judging->next == NULL ||
	    sg_verdict_index_new(&judging->index, SG_JUDGING_CHECKS_MAX) != 0) {
		sg_judging_free(judging);
		*made = NULL;
		return SG_ERR_NOMEM;
	}
	sg_judging_resume(judging);
	return 0;
}
