#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text.h"

#define MAX_BYTES 4096u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Hex, and the other readers of short texts: none may run past the end, what one gives another takes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);
	struct sg_blob blob;
	char *bare;

	if (text == NULL)
		return 0;
	if (sg_hex_decode(text, MAX_BYTES, &blob) == 0) {
		char *again = sg_hex_encode(blob.data, blob.len);

		assert(again != NULL && strlen(again) == 2 * blob.len && blob.len <= MAX_BYTES);
		assert(strchr(text, ':') != NULL || strcasecmp(text, again) == 0);
		free(again);
		sg_blob_clear(&blob);
	} else {
		assert(blob.data == NULL && blob.len == 0);
	}
	bare = sg_jid_bare(text);
	if (bare != NULL) {
		char *twice = sg_jid_bare(bare);

		assert(twice != NULL && strcmp(twice, bare) == 0);
		assert(sg_jid_is_account(bare) == (strchr(bare, '@') != NULL));
		free(twice);
		free(bare);
	}
	sg_utf8_clean(text);
	assert(sg_utf8_is_text(text, size));
	free(text);
	return 0;
}
