#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

#define MAX_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever decodes must encode to the same characters, white space left out: one form per value. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct sg_blob blob;
	char *again;

	if (text == NULL)
		return 0;
	if (sg_base64_decode(text, MAX_BYTES, &blob) != 0) {
		assert(blob.data == NULL && blob.len == 0);
		free(text);
		return 0;
	}
	assert(blob.len > 0 && blob.len <= MAX_BYTES);
	again = sg_base64_encode(blob.data, blob.len);
	assert(again != NULL);
	for (const char *a = text, *b = again;; a++) {
		if (*a == ' ' || (*a >= '\t' && *a <= '\r'))
			continue;
		assert(*a == *b);
		if (*b++ == '\0')
			break;
	}
	free(again);
	sg_blob_clear(&blob);
	free(text);
	return 0;
}
