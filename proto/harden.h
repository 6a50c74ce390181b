/*
 * What every process of ours does first, in every run mode.
 */
#ifndef SG_PROTO_HARDEN_H
#define SG_PROTO_HARDEN_H

#include "error.h"

/*
 * No core dump, no ptrace by the own user, umask 077, SIGPIPE ignored, descriptors 0-2 open.
 * SG_ERR_INTERNAL (then the process must not go on).
 */
SG_MUST_USE int sg_harden_process(void);

#endif
