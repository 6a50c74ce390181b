#include "ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "buf.h"
#include "print.h"
#include "tty.h"

int sg_ask_yes(struct sg_cli *cli, const char *format, ...)
{
	struct sg_buf question = { 0 };
	char *raw = NULL, *clean = NULL, *text = NULL;
	va_list args;
	int answer;

	if (sg_args_has(&cli->args, SG_OPT_YES))
		return 0;
	if (!sg_cli_interactive(cli) || sg_args_has(&cli->args, SG_OPT_JSON))
		return sg_cli_fail(cli, SG_ERR_ARG, "Give --yes when it is really meant.",
		    "this needs a 'yes', and nobody can be asked");
	va_start(args, format);
	if (vasprintf(&raw, format, args) < 0)
		raw = NULL;
	va_end(args);
	clean = raw != NULL ? sg_text_clean(raw, 0) : NULL;
	if (clean != NULL)
		sg_buf_printf(&question, "%s\nType 'yes': ", clean);
	text = sg_buf_steal(&question, NULL);
	answer = clean != NULL && text != NULL ? sg_tty_confirm(text) : SG_ERR_NOMEM;
	free(raw);
	free(clean);
	free(text);
	if (answer == 0)
		return sg_cli_fail(
		    cli, SG_ERR_DENIED, "Nothing was changed.", "the answer was not 'yes'");
	return answer == 1 ? 0 : answer;
}
