#include "event.h"

void sg_event_tell(struct sg_token *token, uint32_t kind, const struct sg_caller *caller)
{
	const struct sg_host *host = token->module->host;
	struct sg_msg_token_event msg = {
		.kind = kind, .token = token->uri, .label = token->label, .serial = token->serial
	};

	if (host == NULL || token->module->authority) /* which could not make anything of it */
		return;
	if (caller != NULL)
		msg.caller = *caller;
	host->tell(host->arg, SG_MSG_TOKEN_EVENT, &msg);
}
