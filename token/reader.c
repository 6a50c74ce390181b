#include "reader.h"

#include <dlfcn.h>
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
	char *names, *held = NULL;
	const char *name;

	if (!pcsc_open(&pcsc))
		return NULL;
	names = readers_list(&pcsc);
	for (name = names; name != NULL && *name && held == NULL; name += strlen(name) + 1) {
		if (is_used(&pcsc, name, STATE_EXCLUSIVE))
			held = strdup(name);
	}
	free(names);
	pcsc_end(&pcsc);
	return held;
}

enum sg_reader_state sg_reader_state(const char *reader, unsigned long *changes)
{
	struct pcsc pcsc;
	const char *name;
	char *names;
	enum sg_reader_state found = SG_READER_NONE;

	*changes = 0;
	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return SG_READER_UNKNOWN;
	names = readers_list(&pcsc);
	for (name = names; name != NULL && *name && found == SG_READER_NONE;
	     name += strlen(name) + 1) {
		struct reader_state state = { .name = name };

		if (strncmp(name, reader, strlen(reader)) != 0 ||
		    pcsc.status(pcsc.context, 0, &state, 1) != 0)
			continue;
		found = state.event & STATE_PRESENT ? SG_READER_CARD : SG_READER_EMPTY;
		*changes = state.event >> STATE_CHANGES_SHIFT;
	}
	free(names);
	pcsc_end(&pcsc);
	return found;
}

/* Whether there are handles to it and none can work: nothing was agreed on with it. It is not woken. */
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

/* Gives 0, or why it cannot be had. */
static unsigned long card_touch(struct pcsc *pcsc, const char *name, unsigned long how)
{
	unsigned long protocol;
	long card, rv;

	rv = pcsc->connect(pcsc->context, name, SHARE_SHARED, PROTOCOL_ANY, &card, &protocol);
	if (rv == 0)
		rv = pcsc->disconnect(card, how);
	return (unsigned long)rv & 0xffffffff;
}

/* Gives 1 when it is there, anew. pcscd may not have noticed yet that it is gone: a reset shows it. */
static int card_reset(struct pcsc *pcsc, const char *name)
{
	unsigned long rv = card_touch(pcsc, name, RESET_CARD);

	if (rv == 0)
		rv = card_touch(pcsc, name, LEAVE_CARD);
	if (rv == NO_CARD || rv == MUTE_CARD || rv == REMOVED_CARD || rv == UNPOWERED_CARD)
		return SG_ERR_TOKEN_ABSENT;
	return rv == 0;
}

static int reset(const char *reader, int only_deaf)
{
	struct pcsc pcsc;
	const char *name;
	int done = 0, one;
	char *names;

	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return 0;
	names = readers_list(&pcsc);
	for (name = names; name != NULL && *name; name += strlen(name) + 1) {
		if (strncmp(name, reader, strlen(reader)) == 0 &&
		    (!only_deaf || is_deaf(&pcsc, name))) {
			one = card_reset(&pcsc, name);
			done = one != 0 ? one : done;
		}
	}
	free(names);
	pcsc_end(&pcsc);
	return done;
}

int sg_reader_wake(const char *name)
{
	return reset(name, 1) == 1;
}

int sg_reader_reset(const char *name)
{
	return reset(name, 0) < 0 ? SG_ERR_TOKEN_ABSENT : 0;
}

/* ---- the PIN of a PIV card ---- */

#define SW_OK	   0x9000
#define SW_LEFT	   0x63c0 /* and the number */
#define SW_BLOCKED 0x6983

/* Gives the status word, or -1 when the card does not answer. */
static int status_of(struct pcsc *pcsc, long card, unsigned long protocol,
    const unsigned char *command, unsigned long len)
{
	const struct io_request request = { protocol, sizeof(request) };
	unsigned char answer[258];
	unsigned long size = sizeof(answer);

	if (pcsc->transmit(card, &request, command, len, NULL, answer, &size) != 0 || size < 2)
		return -1;
	return answer[size - 2] << 8 | answer[size - 1];
}

/* SP 800-73-4 part 2, 3.2.1: VERIFY without a PIN asks how many tries are left, and costs none. */
static int piv_ask(struct pcsc *pcsc, long card, unsigned long protocol, int *tries)
{
	static const unsigned char ask[] = { 0x00, 0x20, 0x00, 0x80 };
	static const unsigned char select[] = { 0x00, 0xa4, 0x04, 0x00, 0x05, 0xa0, 0x00, 0x00,
		0x03, 0x08 };
	int status = status_of(pcsc, card, protocol, ask, sizeof(ask));

	/* Another program has selected another applet: the PIV applet's login is gone already. */
	if (status >= 0 && status != SW_OK && status != SW_BLOCKED &&
	    (status & 0xfff0) != SW_LEFT) {
		status = status_of(pcsc, card, protocol, select, sizeof(select));
		if (status >= 0)
			status = status_of(pcsc, card, protocol, ask, sizeof(ask));
	}
	if (status < 0)
		return SG_ERR_IO;
	if (status == SW_OK)
		*tries = SG_READER_VERIFIED;
	else if (status == SW_BLOCKED)
		*tries = 0;
	else if ((status & 0xfff0) == SW_LEFT)
		*tries = status & 0xf;
	else
		return SG_ERR_UNSUPPORTED;
	return 0;
}

static int piv_tries(struct pcsc *pcsc, const char *name, int *tries)
{
	unsigned long protocol = 0;
	int err = SG_ERR_IO;
	long card;

	if (pcsc->connect(pcsc->context, name, SHARE_SHARED, PROTOCOL_ANY, &card, &protocol) != 0)
		return SG_ERR_IO;
	if (pcsc->begin(card) == 0) {
		err = piv_ask(pcsc, card, protocol, tries);
		pcsc->end(card, LEAVE_CARD);
	}
	pcsc->disconnect(card, LEAVE_CARD);
	return err;
}

int sg_reader_piv_tries(const char *reader, int *tries)
{
	int err = SG_ERR_UNSUPPORTED, one;
	struct pcsc pcsc;
	const char *name;
	char *names;

	*tries = SG_READER_VERIFIED;
	if (reader == NULL || !*reader || !pcsc_open(&pcsc))
		return err;
	names = readers_list(&pcsc);
	err = SG_ERR_IO;
	for (name = names; name != NULL && *name; name += strlen(name) + 1) {
		if (strncmp(name, reader, strlen(reader)) != 0)
			continue;
		/* Its name was cut off, and fits several: the fewest count. */
		one = SG_READER_VERIFIED;
		err = piv_tries(&pcsc, name, &one);
		if (err != 0)
			break;
		if (one < *tries)
			*tries = one;
	}
	free(names);
	pcsc_end(&pcsc);
	return err;
}
