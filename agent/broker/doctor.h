/*
 * Looking for what keeps tokens from being used, and saying it: what is wrong, of what, and what to
 * do. It looks at what the system is like, what the configuration says, what modules and tokens
 * answer, how accounts fared.
 */
#ifndef SG_BROKER_DOCTOR_H
#define SG_BROKER_DOCTOR_H

#include <jansson.h>

#include "ask_all.h"

enum sg_finding {
	SG_FINDING_GOOD,
	SG_FINDING_NOTE,
	SG_FINDING_PROBLEM,
};

/* Adds a finding to the array; advice may be NULL. */
void sg_doctor_add(json_t *findings, enum sg_finding level, const char *subject, const char *advice,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Whether there is a problem of this subject among them. */
int sg_doctor_has_problem(const json_t *findings, const char *subject);

/* Whether the module could not list its tokens, as is so for cards when pcscd cannot be asked; or
 * has a reader that another program has for itself. */
int sg_doctor_lacks_readers(const struct sg_module_answer *answer);
int sg_doctor_lacks_card(const struct sg_module_answer *answer);

/* Each adds what it finds to the array; the system and the configuration come before the tokens. */
void sg_doctor_system(const struct sg_module_answer *answers, size_t count, json_t *findings);
void sg_doctor_config(const struct sg_agent *agent, json_t *findings);
void sg_doctor_tokens(const struct sg_agent *agent, const struct sg_module_answer *answers,
    size_t count, json_t *findings);
void sg_doctor_keys(const struct sg_agent *agent, const struct sg_module_answer *answers,
    size_t count, json_t *findings);
void sg_doctor_accounts(const struct sg_agent *agent, json_t *findings);

#endif
