/*
 * The account's stream: one libstrophe connection at a time, from connecting to its end.
 */
#ifndef SG_XMPP_STREAM_H
#define SG_XMPP_STREAM_H

#include <poll.h>

#include "error.h"
#include "gather.h"
#include "msg.h"
#include "remotekey.h"
#include "secret.h"
#include "xml.h"

/* All are called from sg_stream_run(), never from inside libstrophe, but for those with a stanza. */
struct sg_stream_events {
	/* Logged in, and a resource bound. */
	void (*online)(void *arg, const struct sg_msg_xmpp_online *online);
	/*
	 * The connection is gone. was_online: it had been logged in. why->code is 0 when it was
	 * closed by sg_stream_close(). The callee may take strings out of *why by zeroing them.
	 */
	void (*offline)(void *arg, int was_online, struct sg_msg_error *why);
	/*
	 * One came. Of a presence, and of one over the limits of filter.h, there is the head alone.
	 */
	void (*iq)(void *arg, const struct sg_arrival *iq);
	void (*message)(void *arg, const struct sg_arrival *message);
	void (*presence)(void *arg, const struct sg_arrival *presence);
};

struct sg_stream;

/* Once in the process. sign makes the TLS client's signatures. SG_ERR_NOMEM, SG_ERR_INTERNAL. */
SG_MUST_USE int sg_stream_new(struct sg_stream **stream, const struct sg_stream_events *events,
    sg_remotekey_sign_fn *sign, void *arg);
void sg_stream_free(struct sg_stream *stream);

/*
 * Starts to connect: with the certificate (SASL EXTERNAL), else with the password (SCRAM), which is
 * copied into libstrophe and wiped there as soon as the login is over. Name lookup happens here and
 * blocks. On failure *error is filled and its code returned; no event follows then.
 */
SG_MUST_USE int sg_stream_connect(struct sg_stream *stream,
    const struct sg_msg_xmpp_connect *connect, const struct sg_secret *password,
    struct sg_msg_error *error);

/* Says goodbye to the server; offline follows, soon or at the latest after two seconds. */
void sg_stream_close(struct sg_stream *stream);

int sg_stream_is_online(const struct sg_stream *stream);
int sg_stream_is_idle(const struct sg_stream *stream); /* no connection at all */

/* The own JIDs while online: as it was bound, and bare. */
const char *sg_stream_full_jid(const struct sg_stream *stream);
const char *sg_stream_bare_jid(const struct sg_stream *stream);

/* Queues a stanza. SG_ERR_OFFLINE, SG_ERR_NOMEM, SG_ERR_LIMIT (too much is queued already). */
SG_MUST_USE int sg_stream_send(struct sg_stream *stream, const struct sg_xml *stanza);

/* The same with a stanza that is text already, and whole. */
SG_MUST_USE int sg_stream_send_text(struct sg_stream *stream, const char *stanza);

/* What to wait for: pfd->fd is -1 without a connection; *timeout_ms is -1 for no limit. */
void sg_stream_poll(const struct sg_stream *stream, struct pollfd *pfd, int *timeout_ms);

/* Does what can be done now. */
void sg_stream_run(struct sg_stream *stream);

#endif
