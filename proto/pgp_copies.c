/* Several copies of one OpenPGP key. */
#include "pgp.h"

#include <string.h>

#include "pgp_packet.h"

/* A packet, as it is to be put behind another one of the key. */
struct carried {
	size_t at;
	const unsigned char *data;
	size_t len;
};

struct carrying {
	const struct sg_blob *key;
	const struct sg_pgp_form *form;
	struct sg_pgp_packet signed_one; /* what the signatures are on that are looked at, ... */
	size_t at;			 /* ... and where it ends in the key; 0: it is not there */
	struct carried list[SG_PGP_CARRIED_MAX];
	size_t count;
};

/* Where the key has this very packet: its end; 0: it has not. */
static size_t find_packet(const struct sg_blob *key, const struct sg_pgp_packet *wanted)
{
	struct sg_cursor cur = { key->data, key->data + key->len };
	size_t len = sg_cursor_left(&wanted->body);
	struct sg_pgp_packet packet;

	while (sg_cursor_left(&cur) > 0 && sg_pgp_packet_get(&cur, &packet) == 0) {
		if (packet.tag == wanted->tag && sg_cursor_left(&packet.body) == len &&
		    memcmp(packet.body.pos, wanted->body.pos, len) == 0)
			return (size_t)(cur.pos - key->data);
	}
	return 0;
}

static unsigned revocation_of(unsigned tag)
{
	switch (tag) {
	case SG_PGP_TAG_PUBLIC_KEY:
		return SG_PGP_KEY_REVOCATION;
	case SG_PGP_TAG_PUBLIC_SUBKEY:
		return SG_PGP_SUBKEY_REVOCATION;
	default:
		return SG_PGP_CERTIFICATION_REVOCATION;
	}
}

/* One that the key says it has made, and that can be checked. */
static int is_to_carry(const struct carrying *carrying, const struct sg_pgp_packet *packet)
{
	struct sg_pgp_claims claims;

	return sg_pgp_claims_get(packet->body, carrying->form->fingerprint, &claims) == 0 &&
	    claims.version == SG_PGP_VERSION && !claims.critical &&
	    (claims.own || claims.issuer_id == NULL) &&
	    claims.type == revocation_of(carrying->signed_one.tag) &&
	    memmem(carrying->key->data, carrying->key->len, packet->body.pos,
		sg_cursor_left(&packet->body)) == NULL;
}

static int look_at(
    struct carrying *carrying, const struct sg_pgp_packet *packet, struct carried whole)
{
	if (packet->tag != SG_PGP_TAG_SIGNATURE) {
		carrying->signed_one = *packet;
		carrying->at = find_packet(carrying->key, packet);
		return 0;
	}
	if (carrying->at == 0 || !is_to_carry(carrying, packet))
		return 0;
	if (carrying->count == SG_PGP_CARRIED_MAX)
		return SG_ERR_LIMIT;
	whole.at = carrying->at;
	carrying->list[carrying->count++] = whole;
	return 0;
}

/* In the order in which they were found, each behind what it is on. */
static int put_in(const struct carrying *carrying, struct sg_blob *united)
{
	const struct sg_blob *key = carrying->key;
	struct sg_cursor cur = { key->data, key->data + key->len };
	struct sg_buf buf = { 0 };
	struct sg_pgp_packet packet;

	for (size_t from = 0; from < key->len && sg_pgp_packet_get(&cur, &packet) == 0;) {
		size_t end = (size_t)(cur.pos - key->data);

		sg_buf_put(&buf, key->data + from, end - from);
		for (size_t i = 0; i < carrying->count; i++) {
			if (carrying->list[i].at == end)
				sg_buf_put(&buf, carrying->list[i].data, carrying->list[i].len);
		}
		from = end;
	}
	if (buf.err != 0) {
		sg_buf_clear(&buf);
		return SG_ERR_NOMEM;
	}
	*united = (struct sg_blob){ buf.data, buf.len };
	return 0;
}

int sg_pgp_carry_revocations(
    const struct sg_blob *key, const struct sg_blob *other, struct sg_blob *united)
{
	struct sg_cursor cur = { other->data, other->data + other->len };
	struct sg_pgp_form form, of_other;
	struct carrying carrying = { .key = key, .form = &form };
	struct sg_pgp_packet packet;
	const char *why;
	int err = sg_pgp_key_check(key, &form, &why);

	*united = (struct sg_blob){ NULL, 0 };
	if (err == 0)
		err = sg_pgp_key_check(other, &of_other, &why);
	if (err == 0 && strcmp(form.name, of_other.name) != 0)
		err = SG_ERR_FORMAT;
	while (err == 0 && sg_cursor_left(&cur) > 0) {
		struct carried whole = { .data = cur.pos };

		err = sg_pgp_packet_get(&cur, &packet);
		whole.len = (size_t)(cur.pos - whole.data);
		if (err == 0)
			err = look_at(&carrying, &packet, whole);
	}
	if (err == 0 && carrying.count > 0)
		err = put_in(&carrying, united);
	if (err == 0 && united->len > 0)
		err = sg_pgp_key_check(united, &form, &why);
	if (err != 0)
		sg_blob_clear(united);
	return err;
}
