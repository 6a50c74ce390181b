/*
 * The end of a module's process when nothing needs it. A module may keep a copy of the PIN on its
 * heap until C_Finalize (ykcs11 2.2 does), and the card's connection as well (ykcs11 and OpenSC
 * do), so that neither C_Logout nor C_CloseSession is the end of them: the end of signet-token is.
 * The next call starts it anew.
 */
#ifndef SG_BROKER_REST_H
#define SG_BROKER_REST_H

#include <event2/event.h>

#include "tokens.h"

/*
 * A token of the module was locked: ends its process in good order, at once when no other token of
 * it is unlocked and nothing runs there, else as soon as that is so. It stays when a token was
 * removed while somebody monitors, for the return is to be told.
 */
void sg_rest_locked(struct sg_module *module);

/*
 * A token (NULL: all of the module) is to be free for other programs: the process ends at once,
 * calls that are at work fail with SG_ERR_RELEASED, and what is unlocked is locked. Not where
 * another token of the module is unlocked, or a call works with another one: gives why not, a new
 * string, "another of its tokens is unlocked"; else NULL, and then the module is not watched either
 * until a call starts it.
 */
SG_MUST_USE char *sg_rest_released(struct sg_module *module, const struct sg_token_info *token);

/* Whether the process of a module of tokens that can be taken out has been ended as above or for want
 * of use, and none was started since; or will be, unless it is used again. */
int sg_rest_is_on(const struct sg_module *module);

/* Whether the module's process, which runs, may be ended for the next to list the slots anew:
 * nobody misses it, and that was not done within the last 2 s (module->restarted). */
int sg_rest_may_reload(const struct sg_module *module);

/*
 * Before a person is told what tokens there are: some modules list their slots once only, and such
 * a one shows a blank token, of which another program may have made something since. Its process is
 * ended when it may be.
 */
void sg_rest_reload(struct sg_module *module);

/*
 * For struct sg_worker_spec: nothing is asked of the worker any more. The argument is the struct
 * sg_module. Where a token can be taken out and nothing is unlocked, the process ends 2 s later,
 * unless it is used again or somebody monitors: some modules keep the card connected as long as
 * they are loaded, in the way of programs that want it for themselves. The second one is for the
 * event of that.
 */
void sg_rest_idle(void *module);
void sg_rest_unused(evutil_socket_t fd, short what, void *module);

#endif
