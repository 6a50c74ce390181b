/*
 * A survey of an account's certificates: the store, the server's list and the tokens that are in reach,
 * each as far as it can be had.
 */
#ifndef SG_BROKER_SURVEY_H
#define SG_BROKER_SURVEY_H

#include "call.h"
#include "held_certs.h"
#include "object_answers.h"
#include "reconcile.h"

struct sg_survey {
	struct sg_held_certs held;
	enum sg_list_state list;
	struct sg_msg_error unlisted;	  /* why the list could not be had; code 0: it could */
	json_t *problems;		  /* what is not known, and why: sentences */
	const struct sg_held_cert *spare; /* sg_reconcile_spare() */
	int64_t now;
	/* Of the survey itself: */
	struct sg_call *call;
	struct sg_object_answers objects;
	sg_verb_fn *next;
};

void sg_survey_clear(struct sg_survey *survey);

/*
 * Asks for all of call->account, and goes on with next. The survey is zero, or one that was made before
 * and is made anew; it must stay valid as long as the call. With ask_server the account goes online
 * with the call's password or PIN. The call fails where the account has nothing to log in with
 * (SG_ERR_PASSWORD_NEEDED), or the store cannot be read; whatever else cannot be had is noted in the
 * survey.
 */
void sg_call_survey(
    struct sg_call *call, struct sg_survey *survey, int ask_server, sg_verb_fn *next);

#endif
