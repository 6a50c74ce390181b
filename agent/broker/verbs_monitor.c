/* Monitor. */
#include "verbs.h"

#include "call.h"
#include "events.h"

void sg_verb_monitor(struct sg_call *call)
{
	if (!call->more)
		sg_call_fail_with(call, SG_ERR_ARG, "more",
		    "Monitor answers again and again: it is called with \"more\" alone");
	else
		sg_events_monitor(call);
}
