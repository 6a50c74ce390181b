#include "keyring.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "events.h"
#include "forged.h"
#include "log.h"
#include "text.h"

#define SLICE		 64   /* keys of one transaction: some milliseconds, ... */
#define SLICE_SIGNATURES 1000 /* ... with as many signatures on them, but for the last of them */
#define EVENTS_MAX	 16   /* of one kind that one lesson tells one by one */

struct lesson {
	TAILQ_ENTRY(lesson) entry;
	struct sg_keyring *keyring;
	struct event *next; /* the next slice */
	int begun;
	struct sg_witness witness;
	char *jid;
	char *told_by;
	struct sg_msg_keyinfos keyinfos;
	int borrows; /* those */
	uint32_t at;
	int whole;
	char **names; /* sorted: of whole those that the node shows, else those that it does not */
	uint32_t name_count;
	int64_t looked; /* up to which key it was looked for what is to be retracted */
	char **gone; /* names that are retracted now, of which is told when that is written down */
	uint32_t gone_count;
	struct sg_lesson_sum sum;
	uint32_t told[SG_NEWS_COUNT];
	sg_lesson_fn *done;
	void *arg;
};

struct sg_keyring {
	struct sg_agent *agent;
	/* In the order in which they came, of which the first is being learned: an event that came
	 * after a whole node must not be taken for a key that the node does not show. */
	TAILQ_HEAD(lesson_list, lesson) lessons;
};

int sg_keyring_new(struct sg_agent *agent, struct sg_keyring **keyring)
{
	*keyring = calloc(1, sizeof(**keyring));
	if (*keyring == NULL)
		return SG_ERR_NOMEM;
	(*keyring)->agent = agent;
	TAILQ_INIT(&(*keyring)->lessons);
	return 0;
}

static void names_free(char **names, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static void lesson_free(struct lesson *lesson)
{
	if (lesson->next != NULL)
		event_free(lesson->next);
	names_free(lesson->names, lesson->name_count);
	names_free(lesson->gone, lesson->gone_count);
	if (!lesson->borrows)
		sg_msg_clear(SG_MSG_KEYINFOS, &lesson->keyinfos);
	free(lesson->jid);
	free(lesson->told_by);
	free(lesson);
}

/* Ends the lesson, and lets the next one begin. */
static void finish(struct lesson *lesson, int err)
{
	static const struct timeval at_once = { 0, 0 };
	struct sg_keyring *keyring = lesson->keyring;

	if (lesson->sum.refused > 0)
		sg_log(SG_LOG_WARN, "keyring: %u keys of %s were not kept", lesson->sum.refused,
		    lesson->jid);
	if (err != 0)
		sg_log(SG_LOG_WARN, "keyring: the keys of %s could not be kept: %s",
		    lesson->jid != NULL ? lesson->jid : "",
		    sg_store_failure(lesson->keyring->agent->store, err));
	TAILQ_REMOVE(&keyring->lessons, lesson, entry);
	if (!TAILQ_EMPTY(&keyring->lessons))
		evtimer_add(TAILQ_FIRST(&keyring->lessons)->next, &at_once);
	if (lesson->done != NULL)
		lesson->done(lesson->arg, err, &lesson->sum);
	lesson_free(lesson);
}

void sg_keyring_free(struct sg_keyring *keyring)
{
	struct lesson *lesson;

	if (keyring == NULL)
		return;
	while ((lesson = TAILQ_FIRST(&keyring->lessons)) != NULL)
		finish(lesson, SG_ERR_WORKER);
	free(keyring);
}

/* ---- telling ---- */

static const char *news_text(enum sg_news news)
{
	switch (news) {
	case SG_NEWS_KEY_NEW:
		return "has another key than before";
	case SG_NEWS_KEY_RETRACTED:
		return "does not show this key any more";
	case SG_NEWS_KEY_REVOKED:
		return "has a key that is revoked now";
	default:
		return "a key that was not known";
	}
}

/* Some are told one by one; that there are more is told once. */
static void tell(struct lesson *lesson, enum sg_news news, const char *name)
{
	struct sg_agent *agent = lesson->keyring->agent;

	lesson->told[news]++;
	if (lesson->told[news] <= EVENTS_MAX)
		sg_events_tell_key(agent, news, lesson->jid, name, NULL);
	else if (lesson->told[news] == EVENTS_MAX + 1)
		sg_events_tell_key(
		    agent, news, lesson->jid, NULL, "and more of the kind, not told one by one");
	if (news != SG_NEWS_KEY_SEEN && lesson->told[news] <= EVENTS_MAX)
		sg_log(SG_LOG_WARN, "keyring: %s %s: %s", lesson->jid, news_text(news), name);
}

static void take_outcome(
    struct lesson *lesson, const struct sg_keyinfo *keyinfo, enum sg_learnt learnt)
{
	if (learnt & SG_LEARNT_REVOKED)
		tell(lesson, SG_NEWS_KEY_REVOKED, keyinfo->name);
	learnt &= ~SG_LEARNT_REVOKED;
	switch (learnt) {
	case SG_LEARNT_NOTHING:
	case SG_LEARNT_SIGHTING:
		lesson->sum.known++;
		break;
	case SG_LEARNT_KEY:
	case SG_LEARNT_CHANGE:
		lesson->sum.added++;
		tell(lesson, learnt == SG_LEARNT_CHANGE ? SG_NEWS_KEY_NEW : SG_NEWS_KEY_SEEN,
		    keyinfo->name);
		break;
	case SG_LEARNT_OWN:
		lesson->sum.own++;
		break;
	default:
		lesson->sum.refused++;
		break;
	}
}

/* ---- slices ---- */

/* Whether the key is retracted now. */
static int is_gone(void *arg, const char *name)
{
	struct lesson *lesson = arg;
	int listed = lesson->name_count > 0 &&
	    bsearch(&name, lesson->names, lesson->name_count, sizeof(*lesson->names),
		sg_text_compare) != NULL;
	int gone = lesson->whole ? !listed : listed;
	char **grown;

	if (!gone)
		return 0;
	grown = reallocarray(lesson->gone, (size_t)lesson->gone_count + 1, sizeof(*grown));
	if (grown == NULL)
		return SG_ERR_NOMEM;
	lesson->gone = grown;
	grown[lesson->gone_count] = strdup(name);
	return grown[lesson->gone_count++] != NULL ? 1 : SG_ERR_NOMEM;
}

/* An OpenPGP key may have to be judged, which takes time by how long it is: some milliseconds for 1 KiB at worst. */
static uint32_t weight_of(const struct sg_keyinfo *keyinfo)
{
	uint32_t judging = keyinfo->kind == SG_KEYINFO_PGP ? (uint32_t)(keyinfo->data.len / 8) : 0;

	return keyinfo->signature_count + judging;
}

/* How many keys the next slice has. */
static uint32_t slice_count(const struct lesson *lesson)
{
	uint32_t left = lesson->keyinfos.keyinfo_count - lesson->at;
	uint32_t count = 0, weight = 0;

	while (count < left && count < SLICE && weight < SLICE_SIGNATURES)
		weight += weight_of(&lesson->keyinfos.keyinfos[lesson->at + count++]);
	return count;
}

/* By others than the JID itself, or by a message. */
static int is_told(const struct lesson *lesson)
{
	return lesson->witness.source == SG_SIGHT_THIRD || lesson->witness.source == SG_SIGHT_PUSH;
}

/* Keeps one slice, of which nothing is needed any more then, unless it is borrowed. Gives 1 when there are more. */
static int slice(struct lesson *lesson)
{
	struct sg_store *store = lesson->keyring->agent->store;
	struct sg_keyinfo *first = lesson->keyinfos.keyinfos + lesson->at;
	uint32_t count = slice_count(lesson);
	enum sg_learnt learnt[SLICE];
	unsigned checks = SG_FORGED_CHECKS_MAX;
	int err = 0;

	for (uint32_t i = 0; is_told(lesson) && err == 0 && i < count; i++)
		err = sg_forged_drop(store, &first[i], &checks);
	if (err == 0)
		err = sg_store_keyring_put(store, &lesson->witness, first, count, learnt);
	for (uint32_t i = 0; err == 0 && i < count; i++)
		take_outcome(lesson, &first[i], learnt[i]);
	for (uint32_t i = 0; !lesson->borrows && i < count; i++)
		sg_layout_clear(&sg_layout_keyinfo, &first[i]);
	lesson->at += count;
	return err == 0 && lesson->at < lesson->keyinfos.keyinfo_count ? 1 : err;
}

/* Looks at some of what the node has shown. Gives 1 when there is more. */
static int retract(struct lesson *lesson)
{
	int err = sg_store_keyring_retract(lesson->keyring->agent->store, lesson->jid,
	    lesson->witness.now, &lesson->looked, is_gone, lesson);

	for (uint32_t i = 0; err >= 0 && i < lesson->gone_count; i++)
		tell(lesson, SG_NEWS_KEY_RETRACTED, lesson->gone[i]);
	names_free(lesson->gone, lesson->gone_count);
	lesson->gone = NULL;
	lesson->gone_count = 0;
	return err;
}

static void work(struct lesson *lesson)
{
	static const struct timeval at_once = { 0, 0 };
	struct sg_store *store = lesson->keyring->agent->store;
	int err = 0;

	if (!lesson->begun)
		err = sg_store_keyring_is_known(store, lesson->jid, &lesson->witness.known);
	lesson->begun = 1;
	if (err == 0 && lesson->at < lesson->keyinfos.keyinfo_count)
		err = slice(lesson);
	if (err == 0 && (lesson->whole || lesson->name_count > 0))
		err = retract(lesson);
	if (err == 1)
		evtimer_add(lesson->next, &at_once);
	else
		finish(lesson, err);
}

static void on_next(evutil_socket_t fd, short what, void *arg)
{
	work(arg);
}

/* ---- learning ---- */

/* The names that decide what is retracted. */
static int take_names(struct lesson *lesson, const struct sg_lesson *given)
{
	uint32_t count = given->whole ? lesson->keyinfos.keyinfo_count : given->retracted_count;

	lesson->whole = given->whole;
	lesson->names = calloc((size_t)count + 1, sizeof(*lesson->names));
	if (lesson->names == NULL)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; i < count; i++) {
		const char *name =
		    given->whole ? lesson->keyinfos.keyinfos[i].name : given->retracted[i];

		if (name == NULL)
			continue;
		lesson->names[lesson->name_count] = strdup(name);
		if (lesson->names[lesson->name_count] == NULL)
			return SG_ERR_NOMEM;
		lesson->name_count++;
	}
	qsort(lesson->names, lesson->name_count, sizeof(*lesson->names), sg_text_compare);
	return 0;
}

static int lesson_fill(struct lesson *lesson, const struct sg_lesson *given)
{
	struct sg_agent *agent = lesson->keyring->agent;

	lesson->jid = strdup(given->jid);
	lesson->told_by = sg_text_copy(given->told_by);
	lesson->next = evtimer_new(agent->base, on_next, lesson);
	if (lesson->jid == NULL || lesson->next == NULL ||
	    (given->told_by != NULL && lesson->told_by == NULL))
		return SG_ERR_NOMEM;
	lesson->witness = (struct sg_witness){
		.jid = lesson->jid,
		.source = given->source,
		.told_by = lesson->told_by,
		.now = time(NULL),
	};
	return take_names(lesson, given);
}

void sg_keyring_learn(struct sg_agent *agent, const struct sg_lesson *given,
    struct sg_msg_keyinfos *keyinfos, sg_lesson_fn *done, void *arg)
{
	static const struct sg_lesson_sum nothing = { 0 };
	struct lesson *lesson = calloc(1, sizeof(*lesson));
	int err;

	if (lesson == NULL) {
		if (!given->borrows)
			sg_msg_clear(SG_MSG_KEYINFOS, keyinfos);
		if (done != NULL)
			done(arg, SG_ERR_NOMEM, &nothing);
		return;
	}
	lesson->keyring = agent->keyring;
	lesson->keyinfos = *keyinfos;
	lesson->borrows = given->borrows;
	if (!lesson->borrows)
		memset(keyinfos, 0, sizeof(*keyinfos));
	lesson->done = done;
	lesson->arg = arg;
	TAILQ_INSERT_TAIL(&agent->keyring->lessons, lesson, entry);
	err = lesson_fill(lesson, given);
	if (err != 0)
		finish(lesson, err);
	else if (TAILQ_FIRST(&agent->keyring->lessons) == lesson)
		work(lesson);
}

/* ---- the words of the API ---- */

const char *sg_sight_name(uint32_t source)
{
	static const char *const names[SG_SIGHT_COUNT] = {
		[SG_SIGHT_NODE] = "node",
		[SG_SIGHT_EVENT] = "event",
		[SG_SIGHT_DIRECT] = "direct",
		[SG_SIGHT_THIRD] = "third",
		[SG_SIGHT_PUSH] = "push",
		[SG_SIGHT_IMPORT] = "import",
	};

	return source < SG_SIGHT_COUNT ? names[source] : "import";
}

const char *sg_decision_name(uint32_t decision)
{
	static const char *const names[] = {
		[SG_DECISION_NONE] = "undecided",
		[SG_DECISION_TRUSTED] = "trusted",
		[SG_DECISION_DISTRUSTED] = "distrusted",
	};

	return decision < sizeof(names) / sizeof(names[0]) ? names[decision] : "undecided";
}
