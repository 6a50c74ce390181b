#include "fingerprint.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"

char *sg_fingerprint_take(const char *text)
{
	char *digits = malloc(strlen(text) + 1);
	size_t len = 0;

	if (digits == NULL)
		return NULL;
	for (; *text != '\0'; text++) {
		char c = *text;

		if (strchr(" \t\r\n:-", c) != NULL)
			continue;
		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		digits[len++] = c;
	}
	digits[len] = '\0';
	if ((len != 40 && len != 64) || strspn(digits, "0123456789abcdef") != len)
		digits[0] = '\0';
	return digits;
}

char *sg_call_take_fingerprint(struct sg_call *call, const char *parameter)
{
	char *digits = sg_fingerprint_take(sg_call_string(call, parameter));

	if (digits == NULL) {
		sg_call_fail_code(call, SG_ERR_NOMEM, NULL);
	} else if (digits[0] == '\0') {
		free(digits);
		digits = NULL;
		sg_call_fail_with(call, SG_ERR_ARG, parameter,
		    "a fingerprint is 40 hex digits (the name) or 64 (the SHA-256); blanks and "
		    "colons may stand between them");
	}
	return digits;
}
