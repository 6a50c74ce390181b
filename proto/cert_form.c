#include "cert_form.h"

#include <openssl/asn1.h>
#include <openssl/x509.h>

#include "x509.h"

enum tag {
	TAG_BOOLEAN = 0x01,
	TAG_INTEGER = 0x02,
	TAG_BITS = 0x03,
	TAG_OCTETS = 0x04,
	TAG_NULL = 0x05,
	TAG_OID = 0x06,
	TAG_UTF8 = 0x0c,
	TAG_PRINTABLE = 0x13,
	TAG_IA5 = 0x16,
	TAG_UTC_TIME = 0x17,
	TAG_TIME = 0x18,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
	TAG_VERSION = 0xa0,    /* [0] */
	TAG_EXTENSIONS = 0xa3, /* [3] */
};

/* What is left to be read of one value. */
struct der {
	const unsigned char *pos, *end;
};

static int peek(const struct der *der)
{
	return der->pos < der->end ? *der->pos : -1;
}

/* The next value, if it has this tag and its length is in the one form that DER has for it. */
static int take(struct der *der, int tag, struct der *value)
{
	size_t left = (size_t)(der->end - der->pos), len, bytes = 0;

	if (left < 2 || der->pos[0] != tag)
		return 0;
	len = der->pos[1];
	if (len >= 0x80) {
		bytes = len & 0x7f;
		if (bytes == 0 || bytes > 3 || left < 2 + bytes || der->pos[2] == 0)
			return 0;
		len = 0;
		for (size_t i = 0; i < bytes; i++)
			len = len << 8 | der->pos[2 + i];
		if (len < 0x80)
			return 0;
	}
	if (len > left - 2 - bytes)
		return 0;
	value->pos = der->pos + 2 + bytes;
	value->end = value->pos + len;
	der->pos = value->end;
	return 1;
}

static int is_over(const struct der *der)
{
	return der->pos == der->end;
}

static int take_integer(struct der *der)
{
	struct der value;

	if (!take(der, TAG_INTEGER, &value) || is_over(&value))
		return 0;
	return value.end - value.pos == 1 ||
	    !((value.pos[0] == 0 && value.pos[1] < 0x80) ||
		(value.pos[0] == 0xff && value.pos[1] >= 0x80));
}

static int take_oid(struct der *der)
{
	struct der value;
	int begins = 1;

	if (!take(der, TAG_OID, &value) || is_over(&value) || value.end[-1] >= 0x80)
		return 0;
	for (; !is_over(&value); value.pos++) {
		if (begins && *value.pos == 0x80)
			return 0;
		begins = *value.pos < 0x80;
	}
	return 1;
}

/* A string of whole bytes. */
static int take_bits(struct der *der)
{
	struct der value;

	return take(der, TAG_BITS, &value) && value.end - value.pos > 1 && value.pos[0] == 0;
}

/* Its parameters are nothing, NULL or an object identifier: those of RSA and EC keys. */
static int take_algorithm(struct der *der)
{
	struct der value, nothing;

	if (!take(der, TAG_SEQUENCE, &value) || !take_oid(&value))
		return 0;
	if (peek(&value) == TAG_NULL && (!take(&value, TAG_NULL, &nothing) || !is_over(&nothing)))
		return 0;
	if (peek(&value) == TAG_OID && !take_oid(&value))
		return 0;
	return is_over(&value);
}

static int take_ascii(struct der *der)
{
	struct der value;
	int tag = peek(der);

	if ((tag != TAG_UTF8 && tag != TAG_PRINTABLE && tag != TAG_IA5) || !take(der, tag, &value))
		return 0;
	for (; !is_over(&value); value.pos++)
		if (*value.pos >= 0x80)
			return 0;
	return 1;
}

/* Relative names of one part each. */
static int take_name(struct der *der)
{
	struct der name, set, part;

	if (!take(der, TAG_SEQUENCE, &name))
		return 0;
	while (!is_over(&name)) {
		if (!take(&name, TAG_SET, &set) || !take(&set, TAG_SEQUENCE, &part) ||
		    !is_over(&set) || !take_oid(&part) || !take_ascii(&part) || !is_over(&part))
			return 0;
	}
	return 1;
}

static int take_time(struct der *der, struct sg_blob *whole)
{
	struct der value;
	union {
		const unsigned char *in;
		unsigned char *out;
	} begin = { .in = der->pos }; /* blobs are not const; this one is only read */
	int tag = peek(der);

	if ((tag != TAG_UTC_TIME && tag != TAG_TIME) || !take(der, tag, &value))
		return 0;
	*whole = (struct sg_blob){ begin.out, (size_t)(der->pos - begin.in) };
	return 1;
}

static int take_validity(struct der *der, struct sg_cert_form *form)
{
	struct der value;

	return take(der, TAG_SEQUENCE, &value) && take_time(&value, &form->not_before) &&
	    take_time(&value, &form->not_after) && is_over(&value);
}

static int take_key(struct der *der, struct sg_cert_form *form)
{
	struct der value;
	union {
		const unsigned char *in;
		unsigned char *out;
	} begin = { .in = der->pos };

	if (!take(der, TAG_SEQUENCE, &value) || !take_algorithm(&value) || !take_bits(&value) ||
	    !is_over(&value))
		return 0;
	form->spki = (struct sg_blob){ begin.out, (size_t)(der->pos - begin.in) };
	return 1;
}

static int take_extension(struct der *der)
{
	struct der value, inner;

	return take(der, TAG_SEQUENCE, &value) && take_oid(&value) &&
	    (peek(&value) != TAG_BOOLEAN ||
		(take(&value, TAG_BOOLEAN, &inner) && inner.end - inner.pos == 1 &&
		    *inner.pos == 0xff)) &&
	    take(&value, TAG_OCTETS, &inner) && is_over(&value);
}

static int take_extensions(struct der *der)
{
	struct der outer, list;

	if (is_over(der))
		return 1;
	if (!take(der, TAG_EXTENSIONS, &outer) || !take(&outer, TAG_SEQUENCE, &list) ||
	    !is_over(&outer) || is_over(&list))
		return 0;
	while (!is_over(&list))
		if (!take_extension(&list))
			return 0;
	return 1;
}

static int take_version(struct der *der)
{
	struct der value;

	return peek(der) != TAG_VERSION ||
	    (take(der, TAG_VERSION, &value) && take_integer(&value) && is_over(&value));
}

int sg_cert_form_read(const struct sg_blob *blob, struct sg_cert_form *form)
{
	struct der der = { blob->data, blob->data + blob->len };
	struct der cert, tbs;

	*form = (struct sg_cert_form){ .spki = { NULL, 0 } };
	return blob->len > 0 && blob->len <= SG_X509_DER_MAX && take(&der, TAG_SEQUENCE, &cert) &&
	    is_over(&der) && take(&cert, TAG_SEQUENCE, &tbs) && take_algorithm(&cert) &&
	    take_bits(&cert) && is_over(&cert) && take_version(&tbs) && take_integer(&tbs) &&
	    take_algorithm(&tbs) && take_name(&tbs) && take_validity(&tbs, form) &&
	    take_name(&tbs) && take_key(&tbs, form) && take_extensions(&tbs) && is_over(&tbs);
}

/* Two digits, or -1. */
static int two_digits(const unsigned char *text)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return -1;
	return (text[0] - '0') * 10 + (text[1] - '0');
}

/* The form of RFC 5280 4.1.2.5: in UTC, to the second. SG_ERR_FORMAT for another, or what is no date. */
static int read_time(const struct sg_blob *der, time_t *at)
{
	struct der whole = { der->data, der->data + der->len }, value;
	int is_short = peek(&whole) == TAG_UTC_TIME;
	int century, part[6];
	struct tm tm, normal;

	if (!take(&whole, is_short ? TAG_UTC_TIME : TAG_TIME, &value) ||
	    value.end - value.pos != (is_short ? 13 : 15) || value.end[-1] != 'Z')
		return SG_ERR_FORMAT;
	century = is_short ? 0 : two_digits(value.pos);
	for (int i = 0; i < 6; i++) {
		part[i] = two_digits(value.pos + (is_short ? 0 : 2) + 2 * (ptrdiff_t)i);
		if (part[i] < 0 || century < 0)
			return SG_ERR_FORMAT;
	}
	if (is_short)
		century = part[0] < 50 ? 20 : 19;
	tm = (struct tm){ part[5], part[4], part[3], part[2], part[1] - 1,
		century * 100 + part[0] - 1900, 0, 0, 0, 0, NULL };
	normal = tm;
	*at = timegm(&normal);
	return normal.tm_mday == tm.tm_mday && normal.tm_mon == tm.tm_mon &&
		normal.tm_hour == tm.tm_hour && normal.tm_min == tm.tm_min &&
		normal.tm_sec == tm.tm_sec
	    ? 0
	    : SG_ERR_FORMAT;
}

/* As X509_cmp_time(): -1 when it is before, or is, now; 1 after; 0 for what is no time. */
static int compare_time(const struct sg_blob *der, time_t now)
{
	const unsigned char *pos = der->data;
	ASN1_TIME *time;
	time_t at;
	int order;

	if (read_time(der, &at) == 0)
		return at <= now ? -1 : 1;
	time = d2i_ASN1_TIME(NULL, &pos, (long)der->len);
	order = time != NULL ? X509_cmp_time(time, &now) : 0;
	ASN1_TIME_free(time);
	return order;
}

int sg_cert_form_expired(const struct sg_cert_form *form, time_t now)
{
	return compare_time(&form->not_before, now) != -1 ||
	    compare_time(&form->not_after, now - 1) != 1;
}
