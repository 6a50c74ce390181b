#include "untouched.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

static void remove_at(struct sg_module *module, size_t i)
{
	sg_msg_clear(SG_MSG_TOKEN_EVENT, &module->untouched[i].event);
	module->untouched_count--;
	memmove(&module->untouched[i], &module->untouched[i + 1],
	    (module->untouched_count - i) * sizeof(*module->untouched));
}

/* Whether all that the event has was copied. */
static int event_copy(struct sg_msg_token_event *copy, const struct sg_msg_token_event *event)
{
	const struct {
		char **copy;
		const char *text;
	} texts[] = {
		{ &copy->token, event->token },
		{ &copy->label, event->label },
		{ &copy->serial, event->serial },
		{ &copy->caller.exe, event->caller.exe },
		{ &copy->caller.purpose, event->caller.purpose },
	};
	int whole = 1;

	*copy = (struct sg_msg_token_event){
		.kind = event->kind,
		.caller = { .uid = event->caller.uid, .pid = event->caller.pid },
	};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		*texts[i].copy = sg_text_copy(texts[i].text);
		whole = whole && (*texts[i].copy != NULL || texts[i].text == NULL);
	}
	return whole;
}

void sg_untouched_note(struct sg_module *module, const struct sg_msg_token_event *event)
{
	struct sg_untouched *list;

	if (module->untouched_count == SG_UNTOUCHED_MAX)
		return;
	list = reallocarray(module->untouched, module->untouched_count + 1, sizeof(*list));
	if (list == NULL)
		return;
	module->untouched = list;
	list += module->untouched_count++;
	list->since = time(NULL);
	if (!event_copy(&list->event, event))
		remove_at(module, module->untouched_count - 1);
}

void sg_untouched_over(struct sg_module *module, const struct sg_msg_token_event *event)
{
	const char *token = event->token != NULL ? event->token : "";

	for (size_t i = 0; i < module->untouched_count; i++) {
		const struct sg_msg_token_event *wanted = &module->untouched[i].event;

		if (wanted->caller.pid == event->caller.pid &&
		    strcmp(wanted->token != NULL ? wanted->token : "", token) == 0) {
			remove_at(module, i);
			return;
		}
	}
}

void sg_untouched_clear(struct sg_module *module)
{
	while (module->untouched_count > 0)
		remove_at(module, module->untouched_count - 1);
	free(module->untouched);
	module->untouched = NULL;
}
