/*
 * Any bytes as an OpenPGP key and as a signature, binary and in armour: what is taken has a name
 * that a keyinfo may have, is taken again, and holds no secret key.
 */
#include "pgp.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keyinfo.h"
#include "pgp_key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_key(const struct sg_blob *key)
{
	struct sg_keyinfo keyinfo = { .kind = SG_KEYINFO_PGP, .data = *key }, again;
	struct sg_pgp_form form;
	struct sg_xml *element;
	const char *why;

	if (sg_pgp_key_check(key, &form, &why) || why || strlen(form.name) != 40 ||
	    form.checks > SG_PGP_KEY_CHECKS_MAX)
		abort();
	keyinfo.name = form.name;
	if (sg_keyinfo_encode(&keyinfo, &element) || sg_keyinfo_decode(element, &again, &why) ||
	    !sg_blob_eq(&again.data, key))
		abort();
	sg_xml_free(element);
	sg_layout_clear(&sg_layout_keyinfo, &again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sg_blob file = { NULL, 0 }, read;
	struct sg_pgp_signature signature;
	const char *why;

	if (sg_blob_set(&file, data, size))
		return 0;
	(void)sg_pgp_is_likely(&file);
	if (sg_pgp_key_read(&file, &read, &why) == 0)
		check_key(&read);
	else if (!why || read.data)
		abort();
	sg_blob_clear(&read);
	if (sg_pgp_signature_read(&file, &read, &why) == 0) {
		if (sg_pgp_signature_check(&read, &signature, &why))
			abort();
		(void)sg_pgp_hash_grade(signature.hash);
	} else if (!why || read.data) {
		abort();
	}
	sg_blob_clear(&read);
	sg_blob_clear(&file);
	return 0;
}
