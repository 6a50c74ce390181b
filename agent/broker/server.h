/*
 * The listening socket: made here or handed over by socket activation. Lets in only our own user.
 */
#ifndef SG_BROKER_SERVER_H
#define SG_BROKER_SERVER_H

#include "agent.h"

#define SG_SERVER_CLIENTS_MAX 2048

struct sg_server;

/*
 * Listens on path (NULL: sg_client_socket_path()), or on the socket that LISTEN_FDS hands over.
 * SG_ERR_DENIED when the folder is not ours alone or the path names none, SG_ERR_LIMIT when the
 * path is too long for a socket, SG_ERR_IO, also when another agent answers there, each logged;
 * SG_ERR_NOMEM. The process's limit of descriptors is raised for all the clients that may come.
 */
SG_MUST_USE int sg_server_new(struct sg_agent *agent, const char *path, struct sg_server **server);

/* Closes all connections, and removes the socket if it was made here. */
void sg_server_free(struct sg_server *server);

#endif
