#include "ccm2.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cert_elements.h"
#include "log.h"
#include "text.h"

/* ---- add ---- */

int sg_ccm2_add_encode(const struct sg_msg_ccm2_add *add, struct sg_xml **payload)
{
	struct sg_xml *root;
	int err;

	*payload = NULL;
	root = sg_xml_new("add-certificate-request", SG_NS_CCM2_ADD);
	if (root == NULL)
		return SG_ERR_NOMEM;
	err = sg_cert_put_name(root, add->name);
	if (err == 0)
		err = sg_cert_put_der(root, "x509certificate-signing-request", &add->csr);
	return sg_xml_hand_over(err, root, payload);
}

int sg_ccm2_add_decode(const struct sg_xml *payload, struct sg_msg_ccm2_add *add)
{
	const struct sg_xml *name;
	int err;

	*add = (struct sg_msg_ccm2_add){ 0 };
	if (!sg_xml_is(payload, "add-certificate-request", SG_NS_CCM2_ADD))
		return SG_ERR_FORMAT;
	err = sg_xml_only(payload, "name", NULL, &name);
	if (err == 0 && name == NULL)
		err = SG_ERR_FORMAT;
	if (err == 0)
		err = sg_cert_take_text(name, SG_CCM2_NAME_MAX, &add->name);
	if (err == 0)
		err = sg_cert_take_der(payload, "x509certificate-signing-request", &add->csr);
	if (err != 0)
		sg_msg_clear(SG_MSG_CCM2_ADD, add);
	return err;
}

int sg_ccm2_added_encode(const struct sg_blob *der, struct sg_xml **payload)
{
	struct sg_xml *root;

	*payload = NULL;
	root = sg_xml_new("add-certificate-result", SG_NS_CCM2_ADD);
	if (root == NULL)
		return SG_ERR_NOMEM;
	return sg_xml_hand_over(sg_cert_put_der(root, "x509certificate", der), root, payload);
}

int sg_ccm2_added_decode(const struct sg_xml *payload, struct sg_blob *der)
{
	*der = (struct sg_blob){ 0 };
	if (!sg_xml_is(payload, "add-certificate-result", SG_NS_CCM2_ADD))
		return SG_ERR_FORMAT;
	return sg_cert_take_der(payload, "x509certificate", der);
}

/* ---- list ---- */

int sg_ccm2_list_request_encode(struct sg_xml **payload)
{
	*payload = sg_xml_new("list-certificates-request", SG_NS_CCM2_LIST);
	return *payload != NULL ? 0 : SG_ERR_NOMEM;
}

/* Two digits as a number, -1 for anything else. */
static int two_digits(const char *text)
{
	if (!isdigit((unsigned char)text[0]) || !isdigit((unsigned char)text[1]))
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* Seconds east of UTC of an XEP-0082 zone designator; 0 when it is not one. */
static int zone_offset(const char *text, int *offset)
{
	int hours, minutes;

	*offset = 0;
	if (strcmp(text, "Z") == 0)
		return 1;
	if (strlen(text) != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':')
		return 0;
	hours = two_digits(text + 1);
	minutes = two_digits(text + 4);
	if (hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
		return 0;
	*offset = (hours * 60 + minutes) * (text[0] == '-' ? -60 : 60);
	return 1;
}

/*
 * Reads an XEP-0082 DateTime and writes it as UTC in whole seconds; 0 when it is not one.
 * "2006-12-19T16:39:57-08:00" becomes "2006-12-20T00:39:57Z".
 */
static int normalise_time(const char *text, char out[32])
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	struct tm tm = { 0 }, date = { 0 };
	int offset;
	time_t when;

	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != form[i])
			return 0;
	}
	tm.tm_year = two_digits(text) * 100 + two_digits(text + 2) - 1900;
	tm.tm_mon = two_digits(text + 5) - 1;
	tm.tm_mday = two_digits(text + 8);
	tm.tm_hour = two_digits(text + 11);
	tm.tm_min = two_digits(text + 14);
	tm.tm_sec = two_digits(text + 17);
	date.tm_year = tm.tm_year;
	date.tm_mon = tm.tm_mon;
	date.tm_mday = tm.tm_mday;
	timegm(&date); /* makes a day of the next month out of February 30 */
	if (date.tm_mon != tm.tm_mon || date.tm_mday != tm.tm_mday || tm.tm_hour > 23 ||
	    tm.tm_min > 59 || tm.tm_sec > 60)
		return 0;
	text += sizeof(form) - 1;
	if (*text == '.') {
		size_t digits = strspn(text + 1, "0123456789");

		if (digits == 0)
			return 0;
		text += 1 + digits;
	}
	if (!zone_offset(text, &offset))
		return 0;
	when = timegm(&tm) - offset;
	return gmtime_r(&when, &tm) != NULL && strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

static int encode_users(const struct sg_ccm2_cert *cert, struct sg_xml *entry)
{
	struct sg_xml *users;
	int err;

	if (cert->user_count == 0)
		return 0;
	if (cert->user_count > SG_CCM2_USERS_MAX)
		return SG_ERR_LIMIT;
	err = sg_xml_put(entry, "users", NULL, &users);
	for (uint32_t i = 0; err == 0 && i < cert->user_count; i++)
		err = sg_xml_put(users, "resource", cert->users[i], NULL);
	return err;
}

static int encode_entry(const struct sg_ccm2_cert *cert, struct sg_xml *list)
{
	struct sg_xml *entry;
	char time[32] = "";
	int err;

	if (cert->last_used != NULL && *cert->last_used && !normalise_time(cert->last_used, time))
		return SG_ERR_FORMAT;
	err = sg_xml_put(list, "x509certificate", NULL, &entry);
	if (err == 0 && cert->last_used != NULL)
		err = sg_xml_set_attr(entry, "last-used", time);
	if (err == 0)
		err = sg_cert_put_name(entry, cert->name);
	if (err == 0)
		err = sg_cert_put_der(entry, "x509cert", &cert->der);
	if (err == 0)
		err = encode_users(cert, entry);
	return err;
}

int sg_ccm2_list_encode(const struct sg_msg_ccm2_certs *certs, struct sg_xml **payload)
{
	struct sg_xml *root;
	int err = 0;

	*payload = NULL;
	if (certs->cert_count > SG_CCM2_LIST_MAX)
		return SG_ERR_LIMIT;
	root = sg_xml_new("list-of-certificates", SG_NS_CCM2_LIST);
	if (root == NULL)
		return SG_ERR_NOMEM;
	for (uint32_t i = 0; err == 0 && i < certs->cert_count; i++)
		err = encode_entry(&certs->certs[i], root);
	return sg_xml_hand_over(err, root, payload);
}

/* C8: a time that cannot be read still says that the certificate was used. */
static int decode_last_used(const char *text, struct sg_ccm2_cert *cert, unsigned *unread)
{
	char time[32] = "";

	if (text == NULL)
		return 0;
	if (*text && !normalise_time(text, time)) {
		(*unread)++;
		time[0] = '\0';
	}
	cert->last_used = strdup(time);
	return cert->last_used != NULL ? 0 : SG_ERR_NOMEM;
}

static int decode_entry(const struct sg_xml *entry, struct sg_ccm2_cert *cert, unsigned *unread)
{
	const struct sg_xml *name;
	int err;

	err = decode_last_used(sg_xml_attr(entry, "last-used"), cert, unread);
	if (err == 0)
		err = sg_xml_only(entry, "name", NULL, &name);
	if (err == 0 && name != NULL)
		err = sg_cert_take_text(name, SG_CCM2_NAME_MAX, &cert->name);
	else if (err == 0 && (cert->name = strdup("")) == NULL)
		err = SG_ERR_NOMEM;
	if (err == 0)
		err = sg_cert_take_der(entry, "x509cert", &cert->der);
	if (err == 0)
		err = sg_cert_take_users(entry, cert);
	return err;
}

int sg_ccm2_list_decode(const struct sg_xml *payload, struct sg_msg_ccm2_certs *certs)
{
	const struct sg_xml *child;
	unsigned unread = 0;
	int err;

	*certs = (struct sg_msg_ccm2_certs){ 0 };
	/* C7: the second spelling is the draft's */
	if (!sg_xml_is(payload, "list-of-certificates", SG_NS_CCM2_LIST) &&
	    !sg_xml_is(payload, "list-of-certficiates", SG_NS_CCM2_LIST))
		return SG_ERR_FORMAT;
	err = sg_cert_make_room(payload, "x509certificate", SG_NS_CCM2_LIST, certs);
	for (child = sg_xml_first(payload); child != NULL && err == 0; child = sg_xml_next(child)) {
		if (sg_xml_is(child, "x509certificate", SG_NS_CCM2_LIST))
			err = decode_entry(child, &certs->certs[certs->cert_count++], &unread);
	}
	if (unread > 0)
		sg_log(
		    SG_LOG_WARN, "certificate list: %u times of last use are no DateTime", unread);
	if (err != 0)
		sg_msg_clear(SG_MSG_CCM2_CERTS, certs);
	return err;
}

/* ---- revoke ---- */

/* XEP-0300 names. */
static const struct {
	const char *name;
	size_t len;
} hashes[] = {
	{ "sha-1", 20 },
	{ "sha-256", 32 },
	{ "sha-512", 64 },
};

int sg_ccm2_revoke_encode(const char *sha256_hex, struct sg_xml **payload)
{
	struct sg_xml *root, *fingerprint;
	struct sg_blob value;
	char *hex;
	int err;

	*payload = NULL;
	err = sg_hex_decode(sha256_hex, 32, &value);
	if (err != 0)
		return err == SG_ERR_LIMIT ? SG_ERR_FORMAT : err;
	if (value.len != 32) {
		sg_blob_clear(&value);
		return SG_ERR_FORMAT;
	}
	hex = sg_hex_encode(value.data, value.len);
	root = sg_xml_new("revoke-certificate", SG_NS_CCM2_REVOKE);
	err = hex != NULL && root != NULL ? sg_xml_put(root, "fingerprint", hex, &fingerprint)
					  : SG_ERR_NOMEM;
	if (err == 0)
		err = sg_xml_set_attr(fingerprint, "hash", "sha-256");
	sg_blob_clear(&value);
	free(hex);
	return sg_xml_hand_over(err, root, payload);
}

/* C9: the hash as named, or, without a name, by the length. */
static int choose_hash(const char *name, size_t len, const char **hash)
{
	for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
		if (hashes[i].len == len &&
		    (name == NULL || strcasecmp(hashes[i].name, name) == 0)) {
			*hash = hashes[i].name;
			return 0;
		}
	}
	return SG_ERR_FORMAT;
}

int sg_ccm2_revoke_decode(const struct sg_xml *payload, struct sg_ccm2_fingerprint *fingerprint)
{
	const struct sg_xml *element;
	struct sg_blob value = { 0 };
	char *text = NULL;
	int err;

	*fingerprint = (struct sg_ccm2_fingerprint){ 0 };
	if (!sg_xml_is(payload, "revoke-certificate", SG_NS_CCM2_REVOKE))
		return SG_ERR_FORMAT;
	err = sg_xml_only(payload, "fingerprint", NULL, &element);
	if (err == 0 && element == NULL)
		err = SG_ERR_FORMAT;
	if (err != 0)
		goto out;
	text = sg_xml_trimmed_text(element);
	if (text == NULL) {
		err = SG_ERR_NOMEM;
		goto out;
	}
	err = sg_hex_decode(text, sizeof(fingerprint->value), &value);
	if (err == 0)
		err = choose_hash(sg_xml_attr(element, "hash"), value.len, &fingerprint->hash);
	if (err != 0)
		goto out;
	memcpy(fingerprint->value, value.data, value.len);
	fingerprint->len = value.len;
out:
	sg_blob_clear(&value);
	free(text);
	return err == SG_ERR_LIMIT ? SG_ERR_FORMAT : err;
}
