/*
 * Any bytes as a document: what parses is written, parses again and is written the same.
 */
#include "xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_xml *root, *again;
	char *text, *text_again;

	if (sg_xml_parse((const char *)data, size, &root))
		return 0;
	text = sg_xml_to_string(root);
	sg_xml_free(root);
	/* the written form can be longer than the limits let in */
	if (text && strlen(text) <= SG_XML_BYTES_MAX) {
		if (sg_xml_parse(text, strlen(text), &again))
			abort();
		text_again = sg_xml_to_string(again);
		sg_xml_free(again);
		if (!text_again || strcmp(text, text_again) != 0)
			abort();
		free(text_again);
	}
	free(text);
	return 0;
}
