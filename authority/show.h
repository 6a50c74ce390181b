/*
 * Certificates of the ledger for an operator: as text, and as JSON.
 */
#ifndef SG_AUTHORITY_SHOW_H
#define SG_AUTHORITY_SHOW_H

#include <time.h>

#include <jansson.h>

#include "ledger.h"

/* "2026-01-31T23:59:59Z", valid until the next call. */
const char *sg_show_time(time_t when);

/* All that is known of it; NULL without memory. */
json_t *sg_show_json(const struct sg_ledger_row *row, time_t now);

/* A line: state, end, beginning of the fingerprint, account, name. */
void sg_show_line(const struct sg_ledger_row *row, time_t now);

/* A line for each thing that is known of it, and the certificate (PEM). */
void sg_show_whole(const struct sg_ledger_row *row, time_t now);

#endif
