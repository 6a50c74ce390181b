#include "pgp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "text.h"

/* RFC 4880 4.3 */
enum tag {
	TAG_SIGNATURE = 2,
	TAG_SECRET_KEY = 5,
	TAG_PUBLIC_KEY = 6,
	TAG_SECRET_SUBKEY = 7,
	TAG_USER_ID = 13,
	TAG_PUBLIC_SUBKEY = 14,
	TAG_USER_ATTRIBUTE = 17,
};

/* RFC 4880 5.2.3.1 and, for the issuer's fingerprint, RFC 9580 5.2.3.35 */
enum subpacket {
	SUBPACKET_REVOKER = 12,
	SUBPACKET_ISSUER = 16,
	SUBPACKET_NOTATION = 20,
	SUBPACKET_EMBEDDED = 32,
	SUBPACKET_FINGERPRINT = 33,
};

/* RFC 4880 5.2.1 */
enum signature_type {
	TYPE_KEY_REVOCATION = 0x20,
	TYPE_SUBKEY_REVOCATION = 0x28,
};

/* RFC 4880 9.1 */
enum algorithm {
	ALGORITHM_RSA = 1,
	ALGORITHM_RSA_ENCRYPT = 2,
	ALGORITHM_RSA_SIGN = 3,
	ALGORITHM_ELGAMAL = 16,
	ALGORITHM_DSA = 17,
};

#define VERSION	       4
#define KEY_ID_SIZE    8
#define KEY_BODY_MIN   7 /* version, time, algorithm, something */
#define CRITICAL_BIT   0x80
#define SUBPACKET_TYPE 0x7f
#define REVOKERS_MAX   4 /* keys that may revoke this one, of which more than this are too many */

static int fail(int err, const char *text, const char **why)
{
	*why = text;
	return err;
}

/* ---- packets ---- */

struct packet {
	unsigned tag;
	struct sg_cursor body;
};

/* n bytes, big-endian. */
static int get_number(struct sg_cursor *cur, size_t n, size_t *number)
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
		return get_number(cur, 4, len);
	if (first >= two_octets_end)
		return SG_ERR_FORMAT;
	err = get_number(cur, 1, len);
	*len += (size_t)(first - 192) * 256 + 192;
	return err;
}

/* A length that only the end of the data tells has no place in a key. */
static int get_packet(struct sg_cursor *cur, struct packet *packet)
{
	static const size_t old_sizes[] = { 1, 2, 4 };
	const unsigned char *body;
	uint8_t header;
	size_t len = 0;
	int err = sg_cursor_get_u8(cur, &header);

	*packet = (struct packet){ 0 };
	if (err == 0 && !(header & 0x80))
		err = SG_ERR_FORMAT;
	if (err == 0 && header & 0x40) {
		packet->tag = header & 0x3f;
		err = get_length(cur, 224, &len);
	} else if (err == 0) {
		packet->tag = header >> 2 & 0x0f;
		err =
		    (header & 3) < 3 ? get_number(cur, old_sizes[header & 3], &len) : SG_ERR_FORMAT;
	}
	if (err == 0)
		err = sg_cursor_get(cur, len, &body);
	if (err == 0)
		packet->body = (struct sg_cursor){ body, body + len };
	return err;
}

/* ---- signatures ---- */

/* What a signature packet says of itself. */
struct claims {
	unsigned version;
	unsigned type;
	unsigned hash;
	size_t subpackets;
	size_t embedded;
	int own; /* it names the key as its issuer */
	int critical;
	const unsigned char *revokers[REVOKERS_MAX]; /* fingerprints */
	size_t revoker_count;
	const unsigned char *issuer_id; /* the last that it names: 8 bytes */
};

/* Critical parts whose meaning we and librnp know; a notation's meaning nobody does. */
static int is_known_subpacket(unsigned type)
{
	return type != SUBPACKET_NOTATION &&
	    ((type >= 2 && type <= 7) || type == 9 || (type >= 11 && type <= 12) || type == 16 ||
		(type >= 21 && type <= 33));
}

/* What a part in the signed area says; what is beside it, anybody may have put there. */
static void take_subpacket(const unsigned char *body, size_t len, int is_signed,
    const unsigned char *fingerprint, struct claims *claims)
{
	unsigned type = body[0] & SUBPACKET_TYPE;
	const unsigned char *id = NULL;

	if (is_signed && (body[0] & CRITICAL_BIT) && !is_known_subpacket(type))
		claims->critical = 1;
	claims->embedded += type == SUBPACKET_EMBEDDED;
	if (is_signed && type == SUBPACKET_REVOKER && len == 3 + SG_PGP_FINGERPRINT_SIZE &&
	    (body[1] & 0x80) && claims->revoker_count < REVOKERS_MAX)
		claims->revokers[claims->revoker_count++] = body + 3;
	if (type == SUBPACKET_ISSUER && len == 1 + KEY_ID_SIZE)
		id = body + 1;
	else if (type == SUBPACKET_FINGERPRINT && len == 2 + SG_PGP_FINGERPRINT_SIZE)
		id = body + 2 + SG_PGP_FINGERPRINT_SIZE - KEY_ID_SIZE;
	if (id == NULL)
		return;
	claims->issuer_id = id;
	if (fingerprint != NULL)
		claims->own |= memcmp(id, fingerprint + SG_PGP_FINGERPRINT_SIZE - KEY_ID_SIZE,
				   KEY_ID_SIZE) == 0;
}

static int get_subpackets(
    struct sg_cursor *cur, int is_signed, const unsigned char *fingerprint, struct claims *claims)
{
	const unsigned char *area, *body;
	struct sg_cursor subpackets;
	size_t area_len, len;

	if (get_number(cur, 2, &area_len) != 0 || sg_cursor_get(cur, area_len, &area) != 0)
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

/* Of versions that we do not know, nothing is said: they count for nothing. */
static int get_claims(
    struct sg_cursor body, const unsigned char *fingerprint, struct claims *claims)
{
	const unsigned char *head;
	uint8_t version;
	int err = sg_cursor_get_u8(&body, &version);

	*claims = (struct claims){ .version = version };
	if (err != 0 || version != VERSION) {
		/* RFC 4880 5.2.2: who signed stands at a fixed place in version 3 */
		if (err == 0 && version == 3 && fingerprint != NULL &&
		    sg_cursor_get(&body, 6 + KEY_ID_SIZE, &head) == 0)
			claims->own =
			    memcmp(head + 6, fingerprint + SG_PGP_FINGERPRINT_SIZE - KEY_ID_SIZE,
				KEY_ID_SIZE) == 0;
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

int sg_pgp_signature_check(
    const struct sg_blob *value, struct sg_pgp_signature *signature, const char **why)
{
	struct sg_cursor cur = { value->data, value->data + value->len };
	struct packet packet;
	struct claims claims;
	int err;

	*signature = (struct sg_pgp_signature){ 0 };
	*why = NULL;
	if (value->len > SG_PGP_SIGNATURE_MAX)
		return fail(SG_ERR_LIMIT, "an OpenPGP signature of more than 64 KiB", why);
	if (value->len == 0 || get_packet(&cur, &packet) != 0 || packet.tag != TAG_SIGNATURE)
		return fail(SG_ERR_FORMAT, "no OpenPGP signature packet", why);
	if (sg_cursor_left(&cur) > 0)
		return fail(SG_ERR_FORMAT, "more than one OpenPGP packet", why);
	err = get_claims(packet.body, NULL, &claims);
	if (err == SG_ERR_LIMIT)
		return fail(err, "an OpenPGP signature of more than 100 subpackets", why);
	if (err != 0)
		return fail(err, "an OpenPGP signature that is cut or malformed", why);
	if (claims.version != VERSION)
		return fail(
		    SG_ERR_UNSUPPORTED, "an OpenPGP signature that is not of version 4", why);
	signature->type = claims.type;
	signature->hash = claims.hash;
	signature->critical = claims.critical;
	return 0;
}

/* ---- keys ---- */

/* How many there are of each so far. */
struct counts {
	size_t packets;
	size_t user_ids;
	size_t subkeys;
	struct sg_cursor primary; /* its body */
	const unsigned char *revokers[REVOKERS_MAX];
	size_t revoker_count;
	const unsigned char *foreign[REVOKERS_MAX]; /* key ids of others that claim to revoke it */
	size_t foreign_count;
};

/* RFC 4880 12.2 */
static int fingerprint_of(const struct sg_cursor *body, struct sg_pgp_form *form)
{
	size_t len = sg_cursor_left(body);
	const unsigned char head[] = { 0x99, (unsigned char)(len >> 8), (unsigned char)len };
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	char *name = NULL;

	if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, head, sizeof(head)) == 1 &&
	    EVP_DigestUpdate(ctx, body->pos, len) == 1 &&
	    EVP_DigestFinal_ex(ctx, form->fingerprint, NULL) == 1)
		name = sg_hex_encode(form->fingerprint, sizeof(form->fingerprint));
	EVP_MD_CTX_free(ctx);
	if (name != NULL)
		memcpy(form->name, name, sizeof(form->name));
	free(name);
	return form->name[0] != '\0' ? 0 : SG_ERR_NOMEM;
}

int sg_pgp_fingerprint_input(const struct sg_blob *key, struct sg_blob *input)
{
	struct sg_cursor cur = { key->data, key->data + key->len };
	struct packet packet;
	size_t len;

	*input = (struct sg_blob){ NULL, 0 };
	if (get_packet(&cur, &packet) != 0 || packet.tag != TAG_PUBLIC_KEY)
		return SG_ERR_FORMAT;
	len = sg_cursor_left(&packet.body);
	if (len > SG_PGP_MATERIAL_MAX)
		return SG_ERR_FORMAT;
	input->data = malloc(3 + len);
	if (input->data == NULL)
		return SG_ERR_NOMEM;
	input->len = 3 + len;
	input->data[0] = 0x99;
	input->data[1] = (unsigned char)(len >> 8);
	input->data[2] = (unsigned char)len;
	memcpy(input->data + 3, packet.body.pos, len);
	return 0;
}

/*
 * How long the numbers are, before anybody reckons with them: whoever makes a key of a stranger's may make it
 * as dear as the form lets him. Of curves librnp has a list.
 */
static int check_numbers(struct sg_cursor body, struct sg_pgp_form *form)
{
	const unsigned char *bytes;
	uint8_t algorithm;
	size_t bits;
	int is_rsa, is_dsa;

	if (sg_cursor_get(&body, 5, &bytes) != 0 || sg_cursor_get_u8(&body, &algorithm) != 0)
		return SG_ERR_FORMAT;
	is_rsa = algorithm == ALGORITHM_RSA || algorithm == ALGORITHM_RSA_ENCRYPT ||
	    algorithm == ALGORITHM_RSA_SIGN;
	is_dsa = algorithm == ALGORITHM_DSA;
	if (!is_rsa && !is_dsa && algorithm != ALGORITHM_ELGAMAL)
		return 0;
	for (size_t i = 0; sg_cursor_left(&body) > 0; i++) {
		if (get_number(&body, 2, &bits) != 0 ||
		    sg_cursor_get(&body, (bits + 7) / 8, &bytes) != 0)
			return SG_ERR_FORMAT;
		if (bits > (is_dsa ? SG_PGP_DSA_BITS_MAX : SG_PGP_BITS_MAX) ||
		    (is_rsa && i == 1 && bits > SG_PGP_EXPONENT_BITS_MAX) ||
		    (is_dsa && i == 1 && bits > SG_PGP_DSA_ORDER_MAX))
			return SG_ERR_LIMIT;
		if (bits > form->bits)
			form->bits = bits;
	}
	return 0;
}

static int check_material(const struct packet *packet, struct sg_pgp_form *form, const char **why)
{
	size_t len = sg_cursor_left(&packet->body);
	int err;

	if (len < KEY_BODY_MIN)
		return fail(SG_ERR_FORMAT, "an OpenPGP key that is cut", why);
	if (packet->body.pos[0] != VERSION)
		return fail(SG_ERR_UNSUPPORTED, "an OpenPGP key that is not of version 4", why);
	if (len > SG_PGP_MATERIAL_MAX)
		return fail(SG_ERR_LIMIT, "OpenPGP key material of more than 8 KiB", why);
	err = check_numbers(packet->body, form);
	if (err == SG_ERR_LIMIT)
		return fail(err, "an OpenPGP key of more bits than are reckoned with", why);
	return err == 0 ? 0 : fail(err, "an OpenPGP key that is cut", why);
}

/* librnp takes none of a key with such a one. */
static int check_subkey(const struct packet *packet, const struct counts *counts,
    struct sg_pgp_form *form, const char **why)
{
	size_t len = sg_cursor_left(&packet->body);

	if (len == sg_cursor_left(&counts->primary) &&
	    memcmp(packet->body.pos, counts->primary.pos, len) == 0)
		return fail(SG_ERR_FORMAT, "an OpenPGP key that is a subkey of itself", why);
	return check_material(packet, form, why);
}

static int is_weak(unsigned hash)
{
	return hash == SG_PGP_MD5 || hash == SG_PGP_SHA1 || hash == SG_PGP_RIPEMD160;
}

/* What is claimed of revocations; who claims it without a name may be the key itself. */
static void take_revocation(
    const struct claims *claims, struct counts *counts, struct sg_pgp_form *form)
{
	int of_key = claims->type == TYPE_KEY_REVOCATION;
	int own = claims->own || claims->issuer_id == NULL;

	if (claims->own && claims->type != TYPE_KEY_REVOCATION) {
		for (size_t i = 0; i < claims->revoker_count; i++) {
			if (counts->revoker_count < REVOKERS_MAX)
				counts->revokers[counts->revoker_count++] = claims->revokers[i];
		}
	}
	if (!of_key && claims->type != TYPE_SUBKEY_REVOCATION)
		return;
	if (own) {
		if (of_key)
			form->revocations |= SG_PGP_REVOKES;
		if (is_weak(claims->hash))
			form->revocations |= SG_PGP_REVOKES_WEAK;
		if (claims->critical)
			form->revocations |=
			    of_key ? SG_PGP_REVOKES_CRITICAL : SG_PGP_REVOKES_SUBKEY_CRITICAL;
	} else if (of_key && counts->foreign_count < REVOKERS_MAX) {
		counts->foreign[counts->foreign_count++] = claims->issuer_id;
	}
}

static void settle_designated(const struct counts *counts, struct sg_pgp_form *form)
{
	for (size_t i = 0; i < counts->foreign_count; i++) {
		for (size_t k = 0; k < counts->revoker_count; k++) {
			if (memcmp(counts->foreign[i],
				counts->revokers[k] + SG_PGP_FINGERPRINT_SIZE - KEY_ID_SIZE,
				KEY_ID_SIZE) == 0)
				form->revocations |= SG_PGP_REVOKES_DESIGNATED;
		}
	}
}

static int check_signature(
    const struct packet *packet, struct counts *counts, struct sg_pgp_form *form, const char **why)
{
	struct claims claims;
	int err = get_claims(packet->body, form->fingerprint, &claims);

	if (err == SG_ERR_LIMIT)
		return fail(err, "an OpenPGP signature of more than 100 subpackets", why);
	if (err != 0)
		return fail(err, "a signature in the OpenPGP key is cut or malformed", why);
	if (claims.own)
		form->own_signatures += 1 + claims.embedded;
	if (form->own_signatures > SG_PGP_OWN_SIGNATURES_MAX)
		return fail(
		    SG_ERR_LIMIT, "an OpenPGP key with more than 250 signatures of its own", why);
	if (claims.version == VERSION)
		take_revocation(&claims, counts, form);
	return 0;
}

/* The time of a check grows with the square of the bits. */
static int check_work(struct sg_pgp_form *form, const char **why)
{
	const size_t square = (size_t)2048 * 2048;
	size_t weight = form->bits > 2048 ? form->bits * form->bits / square : 1;

	form->work = form->own_signatures * weight;
	return form->work <= SG_PGP_WORK_MAX
	    ? 0
	    : fail(SG_ERR_LIMIT, "an OpenPGP key of so many bits and so many signatures of its own",
		  why);
}

static int check_packet(
    const struct packet *packet, struct counts *counts, struct sg_pgp_form *form, const char **why)
{
	if (packet->tag == TAG_SECRET_KEY || packet->tag == TAG_SECRET_SUBKEY)
		return fail(SG_ERR_DENIED,
		    "it holds a SECRET key: nothing of it was taken; export the public key alone",
		    why);
	if (counts->packets++ == SG_PGP_PACKETS_MAX)
		return fail(SG_ERR_LIMIT, "an OpenPGP key of more than 2000 packets", why);
	if ((packet->tag == TAG_PUBLIC_KEY) != (counts->packets == 1))
		return fail(SG_ERR_FORMAT,
		    counts->packets == 1 ? "no OpenPGP public key" : "more than one OpenPGP key",
		    why);
	switch (packet->tag) {
	case TAG_PUBLIC_SUBKEY:
		if (counts->subkeys++ == SG_PGP_SUBKEYS_MAX)
			return fail(SG_ERR_LIMIT, "an OpenPGP key with more than 32 subkeys", why);
		return check_subkey(packet, counts, form, why);
	case TAG_PUBLIC_KEY:
		counts->primary = packet->body;
		return check_material(packet, form, why);
	case TAG_USER_ID:
		if (sg_cursor_left(&packet->body) > SG_PGP_USER_ID_MAX)
			return fail(SG_ERR_LIMIT, "an OpenPGP user id of more than 2 KiB", why);
		/* fall through */
	case TAG_USER_ATTRIBUTE:
		if (counts->user_ids++ == SG_PGP_USER_IDS_MAX)
			return fail(
			    SG_ERR_LIMIT, "an OpenPGP key with more than 100 user ids", why);
		return 0;
	case TAG_SIGNATURE:
		return check_signature(packet, counts, form, why);
	default:
		return fail(SG_ERR_FORMAT, "a packet that belongs to no OpenPGP public key", why);
	}
}

int sg_pgp_key_check(const struct sg_blob *key, struct sg_pgp_form *form, const char **why)
{
	struct sg_cursor cur = { key->data, key->data + key->len };
	struct counts counts = { 0 };
	int err = 0;

	*form = (struct sg_pgp_form){ .name = "" };
	*why = NULL;
	if (key->len > SG_PGP_KEY_MAX)
		return fail(SG_ERR_LIMIT, "an OpenPGP key of more than 256 KiB", why);
	if (key->len == 0)
		return fail(SG_ERR_FORMAT, "no OpenPGP public key", why);
	while (err == 0 && sg_cursor_left(&cur) > 0) {
		struct packet packet;

		if (get_packet(&cur, &packet) != 0)
			return fail(
			    SG_ERR_FORMAT, "OpenPGP packets that are cut or malformed", why);
		err = check_packet(&packet, &counts, form, why);
		if (err == 0 && counts.packets == 1 &&
		    (err = fingerprint_of(&packet.body, form)) != 0)
			*why = "out of memory";
	}
	if (err != 0)
		return err;
	settle_designated(&counts, form);
	return check_work(form, why);
}

/* ---- files ---- */

static const char armour_begin[] = "-----BEGIN PGP ";

int sg_pgp_is_likely(const struct sg_blob *file)
{
	return file->len > 0 &&
	    (file->data[0] & 0x80 ||
		memmem(file->data, file->len, armour_begin, sizeof(armour_begin) - 1) != NULL);
}

/* The line after this one, or the end of the text. */
static char *line_after(char *line)
{
	char *end = strchr(line, '\n');

	return end != NULL ? end + 1 : line + strlen(line);
}

static int is_empty_line(const char *line)
{
	return line[strspn(line, " \t\r")] == '\n';
}

/*
 * Finds the Base64 of the first armoured block, cuts the text behind it, and gives the title
 * ("PUBLIC KEY BLOCK"). The checksum guards against bad lines on the way, not against anybody, and
 * RFC 9580 6.1 has it ignored.
 */
static char *cut_armour(char *text, const char *title, const char **why)
{
	char *line = strstr(text, armour_begin);
	char *base64, *end;

	if (line == NULL) {
		*why = "neither binary OpenPGP nor ASCII armour";
		return NULL;
	}
	line += sizeof(armour_begin) - 1;
	if (strncmp(line, "PRIVATE KEY", strlen("PRIVATE KEY")) == 0) {
		*why =
		    "it holds a SECRET key: nothing of it was taken; export the public key alone";
		return NULL;
	}
	*why = "ASCII armour of something else";
	if (strncmp(line, title, strlen(title)) != 0)
		return NULL;
	*why = "ASCII armour that is cut or malformed";
	do
		line = line_after(line);
	while (*line != '\0' && !is_empty_line(line));
	base64 = line_after(line);
	for (end = base64; *end != '\0' && *end != '=' && *end != '-';)
		end = line_after(end);
	line = strstr(end, "-----END PGP ");
	if (line == NULL)
		return NULL;
	*why = "more than one armoured block";
	if (strstr(line, armour_begin) != NULL)
		return NULL;
	*end = '\0';
	return base64;
}

/* The bytes of a file, out of their armour. */
static int dearmour(const struct sg_blob *file, const char *title, size_t max,
    struct sg_blob *bytes, const char **why)
{
	char *text, *base64;
	int err;

	*bytes = (struct sg_blob){ NULL, 0 };
	*why = NULL;
	if (file->len > SG_PGP_FILE_MAX)
		return fail(SG_ERR_LIMIT, "more than 512 KiB", why);
	if (file->len > 0 && file->data[0] & 0x80)
		return sg_blob_set(bytes, file->data, file->len);
	text = strndup(file->len > 0 ? (const char *)file->data : "", file->len);
	if (text == NULL)
		return fail(SG_ERR_NOMEM, "out of memory", why);
	base64 = cut_armour(text, title, why);
	if (base64 == NULL) {
		err = strstr(*why, "SECRET") != NULL ? SG_ERR_DENIED : SG_ERR_FORMAT;
	} else {
		err = sg_base64_decode(base64, max, bytes);
		*why = err == SG_ERR_LIMIT ? "more bytes in the armour than are taken"
					   : "ASCII armour that is no Base64";
	}
	free(text);
	return err;
}

int sg_pgp_key_read(const struct sg_blob *file, struct sg_blob *key, const char **why)
{
	struct sg_pgp_form form;
	int err = dearmour(file, "PUBLIC KEY BLOCK-----", SG_PGP_KEY_MAX, key, why);

	if (err == 0)
		err = sg_pgp_key_check(key, &form, why);
	if (err != 0)
		sg_blob_clear(key);
	return err;
}

int sg_pgp_signature_read(const struct sg_blob *file, struct sg_blob *value, const char **why)
{
	struct sg_pgp_signature signature;
	int err = dearmour(file, "SIGNATURE-----", SG_PGP_SIGNATURE_MAX, value, why);

	if (err == 0)
		err = sg_pgp_signature_check(value, &signature, why);
	if (err != 0)
		sg_blob_clear(value);
	return err;
}
