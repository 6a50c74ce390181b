/*
 * Time that only goes forward, for deadlines: neither a person nor the network sets it.
 */
#ifndef SG_PROTO_CLOCK_H
#define SG_PROTO_CLOCK_H

#include <stdint.h>

/* Milliseconds since some moment before the start. */
int64_t sg_clock_ms(void);

#endif
