#include "keyset.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "keyinfo.h"
#include "pgp.h"
#include "x509.h"
#include "xml.h"

void sg_keyset_clear(struct sg_keyset *set)
{
	for (size_t i = 0; i < set->count; i++)
		sg_layout_clear(&sg_layout_keyinfo, &set->keys[i]);
	for (size_t i = 0; i < set->refused_count; i++)
		free(set->refused[i].name);
	free(set->dropped);
	free(set->keys);
	free(set->refused);
	memset(set, 0, sizeof(*set));
}

/* Room for one more; the array doubles at each power of two. */
static void *grow(void *array, size_t count, size_t size)
{
	if ((count & (count - 1)) != 0)
		return array;
	return reallocarray(array, count == 0 ? 1 : count * 2, size);
}

/* Takes over the keyinfo; dropped: how many of its signatures could not be read. */
static int add_key(struct sg_keyset *set, struct sg_keyinfo *key, size_t dropped)
{
	struct sg_keyinfo *keys = grow(set->keys, set->count, sizeof(*keys));
	size_t *counts = keys != NULL ? grow(set->dropped, set->count, sizeof(*counts)) : NULL;

	if (keys != NULL)
		set->keys = keys;
	if (counts == NULL) {
		sg_layout_clear(&sg_layout_keyinfo, key);
		return SG_ERR_NOMEM;
	}
	set->dropped = counts;
	set->dropped[set->count] = dropped;
	set->keys[set->count++] = *key;
	memset(key, 0, sizeof(*key));
	return 0;
}

static int add_refusal(struct sg_keyset *set, const struct sg_xml *element, const char *reason)
{
	const struct sg_xml *name = sg_xml_child(element, "name", NULL);
	struct sg_refusal *refused = grow(set->refused, set->refused_count, sizeof(*refused));

	if (refused == NULL)
		return SG_ERR_NOMEM;
	set->refused = refused;
	refused += set->refused_count++;
	refused->name = name != NULL ? sg_xml_text(name) : NULL;
	refused->reason = reason;
	return 0;
}

/* The decoder drops a signature that cannot be read (K6); who judges a file must hear of it. */
static size_t count_dropped(const struct sg_xml *element, const struct sg_keyinfo *key)
{
	size_t count = 0;

	for (const struct sg_xml *child = sg_xml_first(element); child != NULL;
	     child = sg_xml_next(child))
		count += sg_xml_is(child, "signature", SG_NS_PUBKEY) != 0;
	return count - key->signature_count;
}

static int add_keyinfo(struct sg_keyset *set, const struct sg_xml *element, const char *item_id)
{
	struct sg_keyinfo key = { 0 };
	const char *why = NULL;
	int err = sg_keyinfo_decode(element, &key, &why);

	if (err == SG_ERR_NOMEM)
		return err;
	/* K10; of either case, as the name itself (K2) */
	if (err == 0 && item_id != NULL && strcasecmp(item_id, key.name) != 0) {
		err = SG_ERR_KEYINFO;
		why = "the id of its item is not its name";
	}
	if (err == 0)
		return add_key(set, &key, count_dropped(element, &key));
	sg_layout_clear(&sg_layout_keyinfo, &key);
	return add_refusal(set, element, why != NULL ? why : sg_err_text(err));
}

/* The depth is bounded by the parser (SG_XML_DEPTH_MAX). */
static int collect(
    struct sg_keyset *set, const struct sg_xml *element, const char *item_id, const char **why)
{
	int err = 0;

	if (sg_xml_is(element, "keyinfo", SG_NS_PUBKEY)) {
		if (set->count + set->refused_count < SG_KEYSET_MAX)
			return add_keyinfo(set, element, item_id);
		*why = "it holds too many keys";
		return SG_ERR_LIMIT;
	}
	item_id = strcmp(sg_xml_name(element), "item") == 0 ? sg_xml_attr(element, "id") : NULL;
	for (const struct sg_xml *child = sg_xml_first(element); err == 0 && child != NULL;
	     child = sg_xml_next(child))
		err = collect(set, child, item_id, why);
	return err;
}

int sg_keyset_add_xml(struct sg_keyset *set, const struct sg_blob *text, const char **why)
{
	struct sg_xml *root = NULL;
	int err = sg_xml_parse((const char *)text->data, text->len, &root);

	*why = err == SG_ERR_LIMIT ? "it is too large or too deep" : "it is not well-formed XML";
	if (err == 0)
		err = collect(set, root, NULL, why);
	sg_xml_free(root);
	return err;
}

static int add_certificate(struct sg_keyset *set, const struct sg_blob *der)
{
	struct sg_keyinfo key = { .kind = SG_KEYINFO_X509 };
	int err = sg_blob_set(&key.data, der->data, der->len);

	if (err != 0)
		return err;
	key.name = sg_keyinfo_name_x509(der);
	if (key.name == NULL) {
		sg_layout_clear(&sg_layout_keyinfo, &key);
		return SG_ERR_NOMEM;
	}
	return add_key(set, &key, 0);
}

static int add_pem(struct sg_keyset *set, const struct sg_blob *data, const char **why)
{
	BIO *bio = data->len <= INT32_MAX ? BIO_new_mem_buf(data->data, (int)data->len) : NULL;
	size_t before = set->count;
	int err = bio != NULL ? 0 : SG_ERR_NOMEM;
	X509 *cert;

	while (err == 0 && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		struct sg_blob der = { 0 };

		err = set->count < SG_KEYSET_MAX ? sg_x509_cert_der(cert, &der) : SG_ERR_LIMIT;
		if (err == 0)
			err = add_certificate(set, &der);
		sg_blob_clear(&der);
		X509_free(cert);
	}
	*why = "it holds no certificate that can be read";
	if (err == 0 &&
	    (set->count == before || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE))
		err = SG_ERR_FORMAT;
	ERR_clear_error();
	BIO_free(bio);
	return err;
}

static int add_pgp(struct sg_keyset *set, const struct sg_blob *data, const char **why)
{
	struct sg_keyinfo key = { .kind = SG_KEYINFO_PGP };
	struct sg_pgp_form form;
	int err = sg_pgp_key_read(data, &key.data, why);

	if (err == 0)
		err = sg_pgp_key_check(&key.data, &form, why);
	if (err == 0 && (key.name = strdup(form.name)) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		return add_key(set, &key, 0);
	sg_layout_clear(&sg_layout_keyinfo, &key);
	return err;
}

int sg_keyset_is_xml(const struct sg_blob *data)
{
	size_t start = 0;

	while (start < data->len && strchr(" \t\r\n", data->data[start]) != NULL)
		start++;
	return start < data->len && (data->data[start] == '<' || data->data[start] == 0xef);
}

int sg_keyset_add_issuer(struct sg_keyset *set, const struct sg_blob *data, const char **why)
{
	static const char pem[] = "-----BEGIN ";
	X509 *cert = NULL;
	int err;

	if (sg_keyset_is_xml(data))
		return sg_keyset_add_xml(set, data, why);
	if (sg_pgp_is_likely(data))
		return add_pgp(set, data, why);
	if (memmem(data->data, data->len, pem, sizeof(pem) - 1) != NULL)
		return add_pem(set, data, why);
	*why = "it is neither a certificate, an OpenPGP key nor a keyinfo";
	err = sg_x509_cert_parse(data, &cert);
	X509_free(cert);
	return err == 0 ? add_certificate(set, data) : err;
}
