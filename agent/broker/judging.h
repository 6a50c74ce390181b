/*
 * Judging many keys for a call, in slices: a set may hold thousands, and no turn of the loop may be long for them.
 */
#ifndef SG_BROKER_JUDGING_H
#define SG_BROKER_JUDGING_H

#include <jansson.h>

#include "accounts.h"
#include "msg.h"

#define SG_JUDGING_SLICE_MS 5 /* of one turn, and as long as one check may take */

/* Checks of signatures for one set. Each is cheap, and they are made in slices. */
#define SG_JUDGING_CHECKS_MAX 20000

/* A key whose keyinfo is longer, or has more signatures, has no place in a reply and is not judged. */
#define SG_JUDGING_KEYINFO_MAX	  (512u << 10)
#define SG_JUDGING_SIGNATURES_MAX 4000

struct sg_judging;

/* Takes the next key over, a PublicKey of the API: SG_JUDGED_NEXT; SG_JUDGED_WAIT: for sg_judging_resume();
 * SG_JUDGED_END: no other is wanted. */
enum sg_judged {
	SG_JUDGED_NEXT,
	SG_JUDGED_WAIT,
	SG_JUDGED_END,
};
typedef enum sg_judged sg_judged_fn(void *arg, json_t *key);

/* The end, called once and from the loop; the judging is freed after it. err: 0, SG_ERR_IO, SG_ERR_NOMEM. */
typedef void sg_judging_end_fn(void *arg, int err);

/*
 * Judges the keys one after the other, by each other, the account's own certificates and the keyring. The keys are
 * borrowed until the end. SG_ERR_NOMEM: nothing is called.
 */
SG_MUST_USE int sg_judging_start(struct sg_account *account, const struct sg_msg_keyinfos *keys,
    sg_judged_fn *each, sg_judging_end_fn *end, void *arg, struct sg_judging **judging);

/* Goes on, from the loop. */
void sg_judging_resume(struct sg_judging *judging);

/* Before its end, without calling it. NULL is fine. */
void sg_judging_free(struct sg_judging *judging);

#endif
