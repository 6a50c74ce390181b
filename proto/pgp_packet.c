#include "pgp_packet.h"

#include <string.h>

#include "pgp.h"

/* RFC 4880 5.2.3.1 and, for the issuer's fingerprint, RFC 9580 5.2.3.35 */
enum subpacket {
	SUBPACKET_REVOKER = 12,
	SUBPACKET_ISSUER = 16,
	SUBPACKET_NOTATION = 20,
	SUBPACKET_EMBEDDED = 32,
	SUBPACKET_FINGERPRINT = 33,
};

#define CRITICAL_BIT   0x80
#define SUBPACKET_TYPE 0x7f

/* ---- packets ---- */

int sg_pgp_number_get(struct sg_cursor *cur, size_t n, size_t *number)
{
	const unsigned char *bytes;
	int err = sg_cursor_get(cur, n, &bytes);

	*number = 0;
	for (size_t i = 0; err == 0 && i < n; i++)
		*number = *number << 8 | bytes[i];
	return err;
}

/* RFC 4880 4.2.2 and 5.2.3.1: both write lengths in this way, but where a packet may have a partial
 * length, a subpacket has a longer two-octet one. */
static int get_length(struct sg_cursor *cur, unsigned two_octets_end, size_t *len)
{
	uint8_t first;
	int err = sg_cursor_get_u8(cur, &first);

	*len = first;
	if (err != 0 || first < 192)
		return err;
	if (first == 255)
		return sg_pgp_number_get(cur, 4, len);
	if (first >= two_octets_end)
		return SG_ERR_FORMAT;
	err = sg_pgp_number_get(cur, 1, len);
	*len += (size_t)(first - 192) * 256 + 192;
	return err;
}

int sg_pgp_packet_get(struct sg_cursor *cur, struct sg_pgp_packet *packet)
{
	static const size_t old_sizes[] = { 1, 2, 4 };
	const unsigned char *body;
	uint8_t header;
	size_t len = 0;
	int err = sg_cursor_get_u8(cur, &header);

	*packet = (struct sg_pgp_packet){ 0 };
	if (err == 0 && !(header & 0x80))
		err = SG_ERR_FORMAT;
	if (err == 0 && header & 0x40) {
		packet->tag = header & 0x3f;
		err = get_length(cur, 224, &len);
	} else if (err == 0) {
		packet->tag = header >> 2 & 0x0f;
		err = (header & 3) < 3 ? sg_pgp_number_get(cur, old_sizes[header & 3], &len)
				       : SG_ERR_FORMAT;
	}
	if (err == 0)
		err = sg_cursor_get(cur, len, &body);
	if (err == 0)
		packet->body = (struct sg_cursor){ body, body + len };
	return err;
}

/* ---- signatures ---- */

/* Critical parts whose meaning we and librnp know; a notation's meaning nobody does. */
static int is_known_subpacket(unsigned type)
{
	return type != SUBPACKET_NOTATION &&
	    ((type >= 2 && type <= 7) || type == 9 || (type >= 11 && type <= 12) || type == 16 ||
		(type >= 21 && type <= 33));
}

/* What a part in the signed area says; what is beside it, anybody may have put there. */
static void take_subpacket(const unsigned char *body, size_t len, int is_signed,
    const unsigned char *fingerprint, struct sg_pgp_claims *claims)
{
	unsigned type = body[0] & SUBPACKET_TYPE;
	const unsigned char *id = NULL;

	if (is_signed && (body[0] & CRITICAL_BIT) && !is_known_subpacket(type))
		claims->critical = 1;
	claims->embedded += type == SUBPACKET_EMBEDDED;
	if (is_signed && type == SUBPACKET_REVOKER && len == 3 + SG_PGP_FINGERPRINT_SIZE &&
	    (body[1] & 0x80) && claims->revoker_count < SG_PGP_REVOKERS_MAX)
		claims->revokers[claims->revoker_count++] = body + 3;
	if (type == SUBPACKET_ISSUER && len == 1 + SG_PGP_KEY_ID_SIZE)
		id = body + 1;
	else if (type == SUBPACKET_FINGERPRINT && len == 2 + SG_PGP_FINGERPRINT_SIZE)
		id = body + 2 + SG_PGP_FINGERPRINT_SIZE - SG_PGP_KEY_ID_SIZE;
	if (id == NULL)
		return;
	claims->issuer_id = id;
	if (fingerprint != NULL)
		claims->own |=
		    memcmp(id, fingerprint + SG_PGP_FINGERPRINT_SIZE - SG_PGP_KEY_ID_SIZE,
			SG_PGP_KEY_ID_SIZE) == 0;
}

static int get_subpackets(struct sg_cursor *cur, int is_signed, const unsigned char *fingerprint,
    struct sg_pgp_claims *claims)
{
	const unsigned char *area, *body;
	struct sg_cursor subpackets;
	size_t area_len, len;

	if (sg_pgp_number_get(cur, 2, &area_len) != 0 || sg_cursor_get(cur, area_len, &area) != 0)
		return SG_ERR_FORMAT;
	subpackets = (struct sg_cursor){ area, area + area_len };
	while (sg_cursor_left(&subpackets) > 0) {
		if (++claims->subpackets > SG_PGP_SUBPACKETS_MAX)
			return SG_ERR_LIMIT;
		if (get_length(&subpackets, 255, &len) != 0 || len == 0 ||
		    sg_cursor_get(&subpackets, len, &body) != 0)
			return SG_ERR_FORMAT;
		take_subpacket(body, len, is_signed, fingerprint, claims);
	}
	return 0;
}

int sg_pgp_claims_get(
    struct sg_cursor body, const unsigned char *fingerprint, struct sg_pgp_claims *claims)
{
	const unsigned char *head;
	uint8_t version;
	int err = sg_cursor_get_u8(&body, &version);

	*claims = (struct sg_pgp_claims){ .version = version };
	if (err != 0 || version != SG_PGP_VERSION) {
		/* RFC 4880 5.2.2: who signed stands at a fixed place in version 3 */
		if (err == 0 && version == 3 && fingerprint != NULL &&
		    sg_cursor_get(&body, 6 + SG_PGP_KEY_ID_SIZE, &head) == 0)
			claims->own =
			    memcmp(head + 6,
				fingerprint + SG_PGP_FINGERPRINT_SIZE - SG_PGP_KEY_ID_SIZE,
				SG_PGP_KEY_ID_SIZE) == 0;
		return err;
	}
	if (sg_cursor_get(&body, 3, &head) != 0)
		return SG_ERR_FORMAT;
	claims->type = head[0];
	claims->hash = head[2];
	err = get_subpackets(&body, 1, fingerprint, claims);
	if (err == 0)
		err = get_subpackets(&body, 0, fingerprint, claims);
	if (err == 0 && sg_cursor_left(&body) < 3) /* two bytes of the hash, and a value */
		err = SG_ERR_FORMAT;
	return err;
}
