/*
 * The service manager, if one started us (sd_notify(3)).
 */
#ifndef SG_PROTO_NOTIFY_H
#define SG_PROTO_NOTIFY_H

/* Tells it, once, that we serve. A failure is logged, and no reason to stop. */
void sg_notify_ready(void);

#endif
