#include "reader.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define NAMES_MAX 16384 /* of all readers */

/* As winscard.h of pcsc-lite has them. */
#define SCOPE_SYSTEM	    2
#define SHARE_SHARED	    2
#define PROTOCOL_ANY	    3
#define SHARE_DIRECT	    3
#define LEAVE_CARD	    0
#define RESET_CARD	    1
#define NO_CARD		    0x8010000cuL
#define NO_READERS	    0x8010002euL
#define MUTE_CARD	    0x80100066uL
#define UNPOWERED_CARD	    0x80100067uL
#define REMOVED_CARD	    0x80100069uL
#define CARD_PRESENT	    0x0004 /* of a card */
#define STATE_PRESENT	    0x0020 /* of a reader */
#define STATE_EXCLUSIVE	    0x0080
#define STATE_IN_USE	    0x0100
#define STATE_CHANGES_SHIFT 16

struct reader_state {
	const char *name;
	void *user;
	unsigned long current, event;
	unsigned long atr_len;
	unsigned char atr[33];
};

struct io_request {
	unsigned long protocol, size;
};

struct pcsc {
	void *library;
	long context;
	long (*establish)(unsigned long, const void *, const void *, long *);
	long (*release)(long);
	long (*list)(long, const char *, char *, unsigned long *);
	long (*status)(long, unsigned long, struct reader_state *, unsigned long);
	long (*connect)(long, const char *, unsigned long, unsigned long, long *, unsigned long *);
	long (*card_status)(long, char *, unsigned long *, unsigned long *, unsigned long *,
	    unsigned char *, unsigned long *);
	long (*disconnect)(long, unsigned long);
	long (*begin)(long);
	long (*transmit)(long, const struct io_request *, const unsigned char *, unsigned long,
	    struct io_request *, unsigned char *, unsigned long *);
	long (*end)(long, unsigned long);
};

static int symbol(struct pcsc *pcsc, const char *name, void *function)
{
	void *found = dlsym(pcsc->library, name);

	memcpy(function, &found, sizeof(found)); /* no cast makes a function of it */
	return found != NULL;
}

static void pcsc_close(struct pcsc *pcsc)
{
	if (pcsc->library != NULL)
		dlclose(pcsc->library);
	pcsc->library = NULL;
}

/* Whether there is a pcscd, and the module of this process speaks to it. */
static int pcsc_open(struct pcsc *pcsc)
{
	memset(pcsc, 0, sizeof(*pcsc));
	pcsc->library = dlopen("libpcsclite.so.1", RTLD_NOW | RTLD_NOLOAD);
	if (pcsc->library == NULL)
		return 0;
	if (symbol(pcsc, "SCardEstablishContext", &pcsc->establish) &&
	    symbol(pcsc, "SCardReleaseContext", &pcsc->release) &&
	    symbol(pcsc, "SCardListReaders", &pcsc->list) &&
	    symbol(pcsc, "SCardGetStatusChange", &pcsc->status) &&
	    symbol(pcsc, "SCardConnect", &pcsc->connect) &&
	    symbol(pcsc, "SCardStatus", &pcsc->card_status) &&
	    symbol(pcsc, "SCardDisconnect", &pcsc->disconnect) &&
	    symbol(pcsc, "SCardBeginTransaction", &pcsc->begin) &&
	    symbol(pcsc, "SCardTransmit", &pcsc->transmit) &&
	    symbol(pcsc, "SCardEndTransaction", &pcsc->end) &&
	    pcsc->establish(SCOPE_SYSTEM, NULL, NULL, &pcsc->context) == 0)
		return 1;
	pcsc_close(pcsc);
	return 0;
}

static void pcsc_end(struct pcsc *pcsc)
{
	pcsc->release(pcsc->context);
	pcsc_close(pcsc);
}

/* One after the other, an empty one at the end; to be freed. */
static char *readers_list(struct pcsc *pcsc)
{
	unsigned long size = NAMES_MAX;
	char *names = calloc(1, NAMES_MAX + 2);

	if (names != NULL && pcsc->list(pcsc->context, NULL, names, &size) != 0)
		names[0] = '\0';
	return names;
}

/* The reader after this one (NULL: the first) whose name begins so; NULL when there is none. */
static const char *reader_next(const char *names, const char *name, const char *begin)
{
	name = name != NULL ? name + strlen(name) + 1 : names;
	while (name != NULL && *name && strncmp(name, begin, strlen(begin)) != 0)
		name += strlen(name) + 1;
	return name != NULL && *name ? name : NULL;
}

/* Whether there is a card in the reader that somebody has in this way. */
static int is_used(struct pcsc *pcsc, const char *name, unsigned long how)
{
	struct reader_state state = { .name = name };

	return pcsc->status(pcsc->context, 0, &state, 1) == 0 && (state.event & STATE_PRESENT) &&
	    (state.event & how);
}

char *sg_reader_taken(void)
{
	struct pcsc pcsc;
	char *names, *taken = NULL;
	const char *name = NULL;

	if (!pcsc_open(&pcsc))
		return NULL;
	names = readers_list(&pcsc);
	while (taken == NULL && (name = reader_next(names, name, "")) != NULL) {
		if (is_used(&pcsc, name, STATE_EXCLUSIVE))
			taken = strdup(name);
	}
	free(names);
	pcsc_end(&pcsc);
	return taken;
}

enum sg_reader_state sg_reader_state(const char *reader, unsigned long *changes)
{
	struct pcsc pcsc;
	const char *name = NULL;
	char *names;
	enum sg_reader_state found = SG_READER_NONE;

	*changes = 0;
	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return SG_READER_UNKNOWN;
	names = readers_list(&pcsc);
	while (found == SG_READER_NONE && (name = reader_next(names, name, reader)) != NULL) {
		struct reader_state state = { .name = name };

		if (pcsc.status(pcsc.context, 0, &state, 1) != 0)
			continue;
		found = state.event & STATE_PRESENT ? SG_READER_CARD : SG_READER_EMPTY;
		*changes = state.event >> STATE_CHANGES_SHIFT;
	}
	free(names);
	pcsc_end(&pcsc);
	return found;
}

/* ---- the pcscd that was there before ---- */

static struct {
	pthread_mutex_t lock; /* protects what follows; held while pcscd answers */
	struct pcsc pcsc;
	int is_open;
	unsigned long number; /* of this connection */
} standing = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The same as readers_list(), or NULL when the connection has ended. libpcsclite asks pcscd for
 * each list, while it tells of a context that it is valid without asking. */
static char *standing_list(void)
{
	unsigned long size = NAMES_MAX;
	char *names = calloc(1, NAMES_MAX + 2);
	unsigned long rv;

	if (names == NULL)
		return NULL;
	rv = (unsigned long)standing.pcsc.list(standing.pcsc.context, NULL, names, &size) &
	    0xffffffff;
	if (rv == 0)
		return names;
	names[0] = '\0';
	if (rv == NO_READERS)
		return names;
	free(names);
	return NULL;
}

/* Gives the list, to be freed, of the pcscd with standing.number; NULL when there is none. The
 * lock is held. */
static char *standing_ask(void)
{
	char *names = standing.is_open ? standing_list() : NULL;

	if (names != NULL)
		return names;
	if (standing.is_open)
		pcsc_end(&standing.pcsc);
	standing.is_open = pcsc_open(&standing.pcsc);
	if (!standing.is_open)
		return NULL;
	standing.number++;
	return standing_list();
}

unsigned long sg_reader_service(void)
{
	unsigned long number = 0;
	char *names;

	pthread_mutex_lock(&standing.lock);
	names = standing_ask();
	if (names != NULL)
		number = standing.number;
	free(names);
	pthread_mutex_unlock(&standing.lock);
	return number;
}

void sg_reader_stay(const char *reader, struct sg_reader_stay *stay)
{
	const char *name = NULL;
	char *names;

	*stay = (struct sg_reader_stay){ 0 };
	if (reader == NULL || !*reader)
		return;
	pthread_mutex_lock(&standing.lock);
	names = standing_ask();
	while ((name = reader_next(names, name, reader)) != NULL) {
		struct reader_state state = { .name = name };

		if (standing.pcsc.status(standing.pcsc.context, 0, &state, 1) != 0) {
			*stay = (struct sg_reader_stay){ 0 };
			break;
		}
		/* Of all that a name which was cut off may mean. */
		stay->service = standing.number;
		stay->changes = stay->changes * 65599 + (state.event >> STATE_CHANGES_SHIFT) * 2 +
		    ((state.event & STATE_PRESENT) != 0);
	}
	free(names);
	pthread_mutex_unlock(&standing.lock);
}

int sg_reader_stay_is_same(const struct sg_reader_stay *a, const struct sg_reader_stay *b)
{
	return a->service == b->service && a->changes == b->changes;
}

/* ---- cards that do not answer ---- */

/* Whether there are handles to it and none can work: nothing was agreed on with it. It is not
 * woken. */
static int is_deaf(struct pcsc *pcsc, const char *name)
{
	unsigned long size = NAMES_MAX, state = 0, protocol = 0, atr_len = 33;
	unsigned char atr[33];
	char *text = malloc(NAMES_MAX);
	int deaf = 0;
	long card;

	if (text != NULL && is_used(pcsc, name, STATE_IN_USE) &&
	    pcsc->connect(pcsc->context, name, SHARE_DIRECT, 0, &card, &protocol) == 0) {
		deaf =
		    pcsc->card_status(card, text, &size, &state, &protocol, atr, &atr_len) == 0 &&
		    (state & CARD_PRESENT) && protocol == 0;
		pcsc->disconnect(card, LEAVE_CARD);
	}
	free(text);
	return deaf;
}

/* Connects to the card, and leaves it so. Gives 0, or why it cannot be had. */
static unsigned long card_visit(struct pcsc *pcsc, const char *name, unsigned long how)
{
	unsigned long protocol;
	long card, rv;

	rv = pcsc->connect(pcsc->context, name, SHARE_SHARED, PROTOCOL_ANY, &card, &protocol);
	if (rv == 0)
		rv = pcsc->disconnect(card, how);
	return (unsigned long)rv & 0xffffffff;
}

/* Gives 1 when it is there, anew; 0 when nobody knows; SG_ERR_TOKEN_ABSENT. pcscd may not have
 * noticed yet that it is gone: a reset shows it. */
static int card_reset(struct pcsc *pcsc, const char *name)
{
	unsigned long rv = card_visit(pcsc, name, RESET_CARD);

	if (rv == 0)
		rv = card_visit(pcsc, name, LEAVE_CARD);
	if (rv == NO_CARD || rv == MUTE_CARD || rv == REMOVED_CARD || rv == UNPOWERED_CARD)
		return SG_ERR_TOKEN_ABSENT;
	return rv == 0;
}

/* The same for all cards of the reader: what came of the last that anything is known of. */
static int reset(const char *reader, int only_deaf)
{
	struct pcsc pcsc;
	const char *name = NULL;
	int done = 0, one;
	char *names;

	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return 0;
	names = readers_list(&pcsc);
	while ((name = reader_next(names, name, reader)) != NULL) {
		if (only_deaf && !is_deaf(&pcsc, name))
			continue;
		one = card_reset(&pcsc, name);
		done = one != 0 ? one : done;
	}
	free(names);
	pcsc_end(&pcsc);
	return done;
}

int sg_reader_wake(const char *reader)
{
	return reset(reader, 1) == 1;
}

int sg_reader_reset(const char *reader)
{
	return reset(reader, 0) < 0 ? SG_ERR_TOKEN_ABSENT : 0;
}

/* ---- speaking to a card ---- */

struct sg_card {
	struct pcsc *pcsc;
	long handle;
	unsigned long protocol;
};

int sg_card_command(const struct sg_card *card, const unsigned char *command, size_t len)
{
	const struct io_request request = { card->protocol, sizeof(request) };
	unsigned char answer[258];
	unsigned long size = sizeof(answer);

	if (card->pcsc->transmit(card->handle, &request, command, len, NULL, answer, &size) != 0 ||
	    size < 2)
		return SG_ERR_IO;
	return answer[size - 2] << 8 | answer[size - 1];
}

static int transact(struct pcsc *pcsc, const char *name, sg_card_fn *fn, void *arg)
{
	struct sg_card card = { .pcsc = pcsc };
	int err = SG_ERR_IO;

	if (pcsc->connect(
		pcsc->context, name, SHARE_SHARED, PROTOCOL_ANY, &card.handle, &card.protocol) != 0)
		return SG_ERR_IO;
	if (pcsc->begin(card.handle) == 0) {
		err = fn(arg, &card);
		pcsc->end(card.handle, LEAVE_CARD);
	}
	pcsc->disconnect(card.handle, LEAVE_CARD);
	return err;
}

int sg_reader_transact(const char *reader, sg_card_fn *fn, void *arg)
{
	int err = SG_ERR_IO;
	struct pcsc pcsc;
	const char *name = NULL;
	char *names;

	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return SG_ERR_UNSUPPORTED;
	names = readers_list(&pcsc);
	while ((name = reader_next(names, name, reader)) != NULL) {
		err = transact(&pcsc, name, fn, arg);
		if (err != 0)
			break;
	}
	free(names);
	pcsc_end(&pcsc);
	return err;
}
