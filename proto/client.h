/*
 * The client side of the agent's API: Varlink over a Unix socket (proto/PROTOCOL.api).
 */
#ifndef SG_PROTO_CLIENT_H
#define SG_PROTO_CLIENT_H

#include <stddef.h>

#include <jansson.h>

#include "error.h"

#define SG_API_MESSAGE_MAX (1u << 20) /* bytes of one message, both ways */
#define SG_API_DEPTH_MAX   32
#define SG_API_FDS_MAX	   4 /* descriptors with one call */

struct sg_client;

/* Where the agent listens: SIGNET_SOCK, else $XDG_RUNTIME_DIR/signet/agent.sock, else
 * /run/user/UID/signet/agent.sock. New string or NULL. */
char *sg_client_socket_path(void);

/* Connects to path, or to sg_client_socket_path() when it is NULL. SG_ERR_AGENT_ABSENT,
 * SG_ERR_DENIED (the socket belongs to another user, or may not be used), SG_ERR_IO: errno says
 * why. SG_ERR_NOMEM. */
SG_MUST_USE int sg_client_connect(const char *path, struct sg_client **client);
void sg_client_free(struct sg_client *client);

/*
 * Sends a call. The parameters are taken over (NULL: none). The descriptors go with its first byte
 * and stay the caller's. more: progress replies are wanted. SG_ERR_LIMIT, with nothing sent, when the
 * message is too long or the descriptors are too many; SG_ERR_IO when the agent went away;
 * SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_client_call(struct sg_client *client, const char *method, json_t *parameters,
    const int *fds, size_t fd_count, int more);

/*
 * Waits for the next reply: *parameters is new; *error is a new string with the error's full
 * name, or NULL; *continues is 1 when more replies follow. An error is the call's last reply,
 * and its fields are *parameters (an empty object when it has none). SG_ERR_IO when the agent
 * went away, SG_ERR_FORMAT for what is no reply, SG_ERR_LIMIT for one too long or too deep,
 * SG_ERR_NOMEM; then both are NULL, and the connection is of no more use.
 */
SG_MUST_USE int sg_client_reply(
    struct sg_client *client, json_t **parameters, char **error, int *continues);

/* The same without waiting: SG_ERR_BUSY when no whole reply is there yet. */
SG_MUST_USE int sg_client_reply_now(
    struct sg_client *client, json_t **parameters, char **error, int *continues);

/*
 * The socket, to wait at with poll(2) after SG_ERR_BUSY of sg_client_reply_now(); not before, for a
 * reply may have come together with an earlier one. It stays the client's.
 */
int sg_client_fd(const struct sg_client *client);

#endif
