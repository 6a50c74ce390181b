/*
 * Who may have written or read a file with a secret in it: one rule for PINs and passwords, of
 * the agent, the command line and the authority.
 */
#ifndef SG_PROTO_SECRET_FILE_H
#define SG_PROTO_SECRET_FILE_H

#include "error.h"

/*
 * Checks the open descriptor: a regular file or a pipe, that is ours and closed to all others, or
 * root's, who may let a group (that is how an ACL for one user of a systemd credential shows) but
 * not everybody. SG_ERR_ARG when it is of another kind, SG_ERR_DENIED when it is open to others
 * or somebody else's; *why then goes on after the file's name ("is ...", static). SG_ERR_IO.
 */
SG_MUST_USE int sg_secret_file_check(int fd, const char **why);

#endif
