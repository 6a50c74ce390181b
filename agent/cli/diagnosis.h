/*
 * Why no agent can be reached, found out without one.
 */
#ifndef SG_CLI_DIAGNOSIS_H
#define SG_CLI_DIAGNOSIS_H

#include <jansson.h>

/*
 * Findings, as of the API's Doctor: where the agent was looked for, at least one problem there, and
 * what else of this machine is known without an agent. path is the socket's, given is --socket's or
 * NULL, err is what sg_client_connect() said of it. A new array, NULL without memory.
 */
json_t *sg_diagnose(const char *path, const char *given, int err);

/* Adds what commands of ours would miss on this machine that no agent needs. */
void sg_diagnose_programs(json_t *findings);

#endif
