/*
 * One client's connection: NUL-ended JSON messages and descriptors in, replies out in the order of
 * the calls.
 *
 * Limits: a message of SG_API_MESSAGE_MAX bytes and SG_API_DEPTH_MAX levels; SG_CONN_CALLS_MAX
 * calls at a time (then it is not read from); SG_CONN_OUT_MAX bytes of replies that are not
 * fetched, or SG_CONN_SLOW_SECONDS in which none of them is: it is dropped. With SG_API_MESSAGE_MAX
 * bytes to be fetched it is not read from either. A message that is over a limit or no JSON object
 * gets an error, and nothing that follows it is read, unless only a value in it is what no
 * parameter can be.
 */
#ifndef SG_BROKER_CONN_H
#define SG_BROKER_CONN_H

#include "agent.h"
#include "msg.h"

#define SG_CONN_CALLS_MAX    64
#define SG_CONN_OUT_MAX	     (4u << 20)
#define SG_CONN_SLOW_SECONDS 30
#define SG_CONN_CLOGGED	     (256u << 10) /* bytes with which who has more to tell waits */

struct sg_call;
struct sg_conn;

/*
 * Serves a client on this non-blocking socket, which is taken over, also on failure. ended is
 * called once, from the loop, when the connection is over and freed. SG_ERR_NOMEM.
 */
typedef void sg_conn_ended_fn(void *arg);
SG_MUST_USE int sg_conn_new(struct sg_agent *agent, int sock, const struct sg_caller *peer,
    sg_conn_ended_fn *ended, void *arg, struct sg_conn **conn);

/* Ends it at once, without the call of ended. */
void sg_conn_free(struct sg_conn *conn);

/* The output of one of its calls has grown. */
void sg_conn_call_progress(struct sg_conn *conn);

/* Bytes that the client has not fetched yet, of calls whose turn it is. */
size_t sg_conn_unsent(const struct sg_conn *conn);

/* The call is done; it is freed once its output is on its way. */
void sg_conn_call_done(struct sg_conn *conn, struct sg_call *call);

#endif
