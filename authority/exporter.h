/*
 * A text for monitoring, to whoever asks by HTTP on this machine: GET /metrics, one answer a connection.
 *
 * Asking costs the service next to nothing, whatever is sent: a request has SG_EXPORTER_REQUEST_MAX bytes and
 * SG_EXPORTER_MS, there are SG_EXPORTER_CLIENTS_MAX connections, of which the oldest goes when one more comes,
 * and nothing waits for any of them. Without a connection there is no wake-up.
 */
#ifndef SG_AUTHORITY_EXPORTER_H
#define SG_AUTHORITY_EXPORTER_H

#include <poll.h>

#include "buf.h"
#include "error.h"

#define SG_EXPORTER_REQUEST_MAX 4096
#define SG_EXPORTER_MS		5000
#define SG_EXPORTER_CLIENTS_MAX 8
#define SG_EXPORTER_FDS		(1 + SG_EXPORTER_CLIENTS_MAX)

struct sg_exporter;

/* Writes the text; the buffer's err says that it could not. */
typedef void sg_exporter_fn(void *arg, struct sg_buf *text);

/*
 * Whether this can be listened on: NULL, or a sentence for a person. "127.0.0.1:9633", "[::1]:9633" (loopback
 * addresses alone), or the absolute path of a socket.
 */
const char *sg_exporter_refusal(const char *where);

/*
 * Listens. The socket of a path gets mode 0660, and takes the place of one that nobody listens on any more.
 * SG_ERR_CONFIG for what sg_exporter_refusal() refuses, SG_ERR_IO; both logged. SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_exporter_new(
    const char *where, sg_exporter_fn *fn, void *arg, struct sg_exporter **exporter);

/* Ends all connections, and removes the socket of a path. NULL is fine. */
void sg_exporter_free(struct sg_exporter *exporter);

/* Fills the array with what to wait for (fd -1: nothing), and gives the longest time to wait in
 * milliseconds, -1 for any time. NULL is fine. */
int sg_exporter_prepare(struct sg_exporter *exporter, struct pollfd pfds[SG_EXPORTER_FDS]);

/* Takes new connections, reads, answers, ends what is too old. NULL is fine. */
void sg_exporter_step(struct sg_exporter *exporter, const struct pollfd pfds[SG_EXPORTER_FDS]);

#endif
