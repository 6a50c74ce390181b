#include "saslcert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ccm2.h"
#include "cert_elements.h"
#include "layout.h"
#include "log.h"

#define NUMBER_DIGITS 6 /* that a name is counted on from */

int sg_saslcert_append_encode(const char *name, const struct sg_blob *der, struct sg_xml **payload)
{
	struct sg_xml *root = sg_xml_new("append", SG_NS_SASLCERT);
	int err;

	*payload = NULL;
	if (root == NULL)
		return SG_ERR_NOMEM;
	err = sg_cert_put_name(root, name);
	if (err == 0)
		err = sg_cert_put_der(root, "x509cert", der);
	return sg_xml_hand_over(err, root, payload);
}

int sg_saslcert_items_request_encode(struct sg_xml **payload)
{
	*payload = sg_xml_new("items", SG_NS_SASLCERT);
	return *payload != NULL ? 0 : SG_ERR_NOMEM;
}

/* An item without a name could not be named when it is revoked. */
static int decode_item(const struct sg_xml *item, struct sg_ccm2_cert *cert)
{
	const struct sg_xml *name;
	int err = sg_xml_only(item, "name", NULL, &name);

	if (err == 0 && name == NULL)
		err = SG_ERR_FORMAT;
	if (err == 0)
		err = sg_cert_take_text(name, SG_SASLCERT_NAME_MAX, &cert->name);
	if (err == 0)
		err = sg_cert_take_der(item, "x509cert", &cert->der);
	if (err == 0)
		err = sg_cert_take_users(item, cert);
	return err;
}

int sg_saslcert_items_decode(const struct sg_xml *payload, struct sg_msg_ccm2_certs *certs)
{
	const struct sg_xml *child;
	int err;

	*certs = (struct sg_msg_ccm2_certs){ 0 };
	if (!sg_xml_is(payload, "items", SG_NS_SASLCERT))
		return SG_ERR_FORMAT;
	err = sg_cert_make_room(payload, "item", SG_NS_SASLCERT, certs);
	if (err != 0)
		return err;
	for (child = sg_xml_first(payload); child != NULL; child = sg_xml_next(child)) {
		struct sg_ccm2_cert *cert;

		if (!sg_xml_is(child, "item", SG_NS_SASLCERT))
			continue;
		cert = &certs->certs[certs->cert_count];
		err = decode_item(child, cert);
		if (err == SG_ERR_NOMEM)
			break;
		if (err == 0) {
			certs->cert_count++;
			continue;
		}
		certs->unread++;
		sg_layout_clear(&sg_layout_ccm2_cert, cert);
	}
	if (certs->unread > 0)
		sg_log(SG_LOG_WARN,
		    "certificate list: %u items are ignored: no name and certificate",
		    (unsigned)certs->unread);
	if (err != SG_ERR_NOMEM)
		return 0;
	certs->cert_count++; /* with what there was of the last one */
	sg_msg_clear(SG_MSG_CCM2_CERTS, certs);
	return err;
}

int sg_saslcert_revoke_encode(const char *name, int only_disable, struct sg_xml **payload)
{
	struct sg_xml *root = sg_xml_new(only_disable ? "disable" : "revoke", SG_NS_SASLCERT);

	int err;

	*payload = NULL;
	if (root == NULL)
		return SG_ERR_NOMEM;
	err = strlen(name) <= SG_SASLCERT_NAME_MAX ? sg_xml_put(root, "name", name, NULL)
						   : SG_ERR_LIMIT;
	return sg_xml_hand_over(err, root, payload);
}

static int is_taken(const struct sg_msg_ccm2_certs *certs, const char *name)
{
	for (uint32_t i = 0; i < certs->cert_count; i++) {
		if (strcmp(certs->certs[i].name, name) == 0)
			return 1;
	}
	return 0;
}

/* The length of the text without " 2" or a higher number at its end, which goes to *count; 1 without one. */
static int stem_of(const char *text, unsigned *count)
{
	const char *space = strrchr(text, ' ');
	const char *digits = space != NULL ? space + 1 : "";
	size_t len = strspn(digits, "0123456789");

	*count = 1;
	if (len == 0 || len > NUMBER_DIGITS || digits[len] != '\0' || digits[0] == '0' ||
	    strcmp(digits, "1") == 0)
		return (int)strlen(text);
	*count = (unsigned)strtoul(digits, NULL, 10);
	return (int)(space - text);
}

/* The text's first bytes, at most so many, and the suffix, which fit into a name together; no character (UTF-8) is cut. */
static char *fitting(const char *text, int len, const char *suffix)
{
	const int room = SG_CCM2_NAME_MAX - (int)strlen(suffix);
	char *made;

	if (len > room)
		for (len = room; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
			len--;
	return asprintf(&made, "%.*s%s", len, text, suffix) < 0 ? NULL : made;
}

int sg_saslcert_free_name(
    const char *text, const struct sg_msg_ccm2_certs *certs, unsigned *number, char **name)
{
	unsigned count;
	int stem = stem_of(text, &count);
	char suffix[16];
	char *made;

	*name = NULL;
	for (;; (*number)++) {
		(void)snprintf(suffix, sizeof(suffix), " %u", count + *number - 1);
		made = *number == 1 ? fitting(text, (int)strlen(text), "")
				    : fitting(text, stem, suffix);
		if (made == NULL)
			return SG_ERR_NOMEM;
		if (!is_taken(certs, made))
			break;
		free(made);
	}
	*name = made;
	return 0;
}
