#include "pgp.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "pgp_packet.h"
#include "text.h"

/* RFC 4880 9.1 */
enum algorithm {
	ALGORITHM_RSA = 1,
	ALGORITHM_RSA_ENCRYPT = 2,
	ALGORITHM_RSA_SIGN = 3,
	ALGORITHM_ELGAMAL = 16,
	ALGORITHM_DSA = 17,
	ALGORITHM_ECDSA = 19,
	ALGORITHM_EDDSA = 22,
	ALGORITHM_SM2 = 99,
};

#define KEY_BODY_MIN 7		 /* version, time, algorithm, something */
#define HASHED_UNIT  (64u << 10) /* bytes that are hashed in the time of one check */

int sg_pgp_fail(int err, const char *text, const char **why)
{
	*why = text;
	return err;
}

/* ---- signatures ---- */

int sg_pgp_signature_check(
    const struct sg_blob *value, struct sg_pgp_signature *signature, const char **why)
{
	struct sg_cursor cur = { value->data, value->data + value->len };
	struct sg_pgp_packet packet;
	struct sg_pgp_claims claims;
	int err;

	*signature = (struct sg_pgp_signature){ 0 };
	*why = NULL;
	if (value->len > SG_PGP_SIGNATURE_MAX)
		return sg_pgp_fail(SG_ERR_LIMIT, "an OpenPGP signature of more than 64 KiB", why);
	if (value->len == 0 || sg_pgp_packet_get(&cur, &packet) != 0 ||
	    packet.tag != SG_PGP_TAG_SIGNATURE)
		return sg_pgp_fail(SG_ERR_FORMAT, "no OpenPGP signature packet", why);
	if (sg_cursor_left(&cur) > 0)
		return sg_pgp_fail(SG_ERR_FORMAT, "more than one OpenPGP packet", why);
	err = sg_pgp_claims_get(packet.body, NULL, &claims);
	if (err == SG_ERR_LIMIT)
		return sg_pgp_fail(err, "an OpenPGP signature of more than 100 subpackets", why);
	if (err != 0)
		return sg_pgp_fail(err, "an OpenPGP signature that is cut or malformed", why);
	if (claims.version != SG_PGP_VERSION)
		return sg_pgp_fail(
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
	const unsigned char *revokers[SG_PGP_REVOKERS_MAX];
	size_t revoker_count;
	const unsigned char
	    *foreign[SG_PGP_REVOKERS_MAX]; /* key ids of others that claim to revoke it */
	size_t foreign_count;
	size_t signed_len; /* of the user id, attribute or subkey that the next signatures are on */
	size_t hashed;	   /* for all signatures */
	size_t weight;	   /* of the dearest check of a signature */
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
	struct sg_pgp_packet packet;
	size_t len;

	*input = (struct sg_blob){ NULL, 0 };
	if (sg_pgp_packet_get(&cur, &packet) != 0 || packet.tag != SG_PGP_TAG_PUBLIC_KEY)
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

/* Numbers of RSA, DSA and Elgamal. */
static int check_numbers(struct sg_cursor body, unsigned algorithm, size_t *longest)
{
	int is_rsa = algorithm == ALGORITHM_RSA || algorithm == ALGORITHM_RSA_ENCRYPT ||
	    algorithm == ALGORITHM_RSA_SIGN;
	int is_dsa = algorithm == ALGORITHM_DSA;
	const unsigned char *bytes;
	size_t bits;

	for (size_t i = 0; sg_cursor_left(&body) > 0; i++) {
		if (sg_pgp_number_get(&body, 2, &bits) != 0 ||
		    sg_cursor_get(&body, (bits + 7) / 8, &bytes) != 0)
			return SG_ERR_FORMAT;
		if (bits > (is_dsa ? SG_PGP_DSA_BITS_MAX : SG_PGP_BITS_MAX) ||
		    (is_rsa && i == 1 && bits > SG_PGP_EXPONENT_BITS_MAX) ||
		    (is_dsa && i == 1 && bits > SG_PGP_DSA_ORDER_MAX))
			return SG_ERR_LIMIT;
		if (bits > *longest)
			*longest = bits;
	}
	return 0;
}

/* Of a curve: its name, and a point, which is as long as the curve's has to be or none. */
static size_t weight_of_curve(struct sg_cursor body)
{
	const unsigned char *name;
	size_t len, bits;

	if (sg_pgp_number_get(&body, 1, &len) != 0 || sg_cursor_get(&body, len, &name) != 0 ||
	    sg_pgp_number_get(&body, 2, &bits) != 0)
		return 1;
	if (bits <= (size_t)2 * 256 + 8)
		return 1;
	return bits <= (size_t)2 * 384 + 8 ? 2 : 4;
}

/*
 * What the key can cost, before anybody reckons with it: whoever makes a key of a stranger's may make it as dear
 * as the form lets him. The weights were measured with librnp 0.16 (Botan 2): RSA with 2048 bits 0.33 ms, 4096 1.2,
 * 8192 4.5; DSA 2048 0.8, 3072 1.5, 4096 2.3; P-256, secp256k1 and brainpool's 256 0.3, 384 0.5 and 0.7, P-521 1.0,
 * brainpoolP512r1 1.3; Ed25519 less.
 */
static int check_cost(struct sg_cursor body, struct counts *counts)
{
	const size_t square = (size_t)2048 * 2048;
	const unsigned char *bytes;
	uint8_t algorithm;
	size_t bits = 0, weight = 1;
	int err = 0;

	if (sg_cursor_get(&body, 5, &bytes) != 0 || sg_cursor_get_u8(&body, &algorithm) != 0)
		return SG_ERR_FORMAT;
	switch (algorithm) {
	case ALGORITHM_RSA:
	case ALGORITHM_RSA_ENCRYPT:
	case ALGORITHM_RSA_SIGN:
		err = check_numbers(body, algorithm, &bits);
		weight = bits > 2048 ? bits * bits / square : 1;
		break;
	case ALGORITHM_DSA:
		err = check_numbers(body, algorithm, &bits);
		weight = 1 + 2 * bits * bits / square;
		break;
	case ALGORITHM_ELGAMAL: /* makes no signature */
		err = check_numbers(body, algorithm, &bits);
		break;
	case ALGORITHM_ECDSA:
	case ALGORITHM_EDDSA:
	case ALGORITHM_SM2:
		weight = weight_of_curve(body);
		break;
	default:
		break;
	}
	if (weight > counts->weight)
		counts->weight = weight;
	return err;
}

static int check_material(
    const struct sg_pgp_packet *packet, struct counts *counts, const char **why)
{
	size_t len = sg_cursor_left(&packet->body);
	int err;

	if (len < KEY_BODY_MIN)
		return sg_pgp_fail(SG_ERR_FORMAT, "an OpenPGP key that is cut", why);
	if (packet->body.pos[0] != SG_PGP_VERSION)
		return sg_pgp_fail(
		    SG_ERR_UNSUPPORTED, "an OpenPGP key that is not of version 4", why);
	if (len > SG_PGP_MATERIAL_MAX)
		return sg_pgp_fail(SG_ERR_LIMIT, "OpenPGP key material of more than 8 KiB", why);
	err = check_cost(packet->body, counts);
	if (err == SG_ERR_LIMIT)
		return sg_pgp_fail(err, "an OpenPGP key of more bits than are reckoned with", why);
	return err == 0 ? 0 : sg_pgp_fail(err, "an OpenPGP key that is cut", why);
}

/* librnp takes none of a key with such a one. */
static int check_subkey(const struct sg_pgp_packet *packet, struct counts *counts, const char **why)
{
	size_t len = sg_cursor_left(&packet->body);

	if (len == sg_cursor_left(&counts->primary) &&
	    memcmp(packet->body.pos, counts->primary.pos, len) == 0)
		return sg_pgp_fail(SG_ERR_FORMAT, "an OpenPGP key that is a subkey of itself", why);
	return check_material(packet, counts, why);
}

static int is_weak(unsigned hash)
{
	return hash == SG_PGP_MD5 || hash == SG_PGP_SHA1 || hash == SG_PGP_RIPEMD160;
}

/* What is claimed of revocations; who claims it without a name may be the key itself. */
static void take_revocation(
    const struct sg_pgp_claims *claims, struct counts *counts, struct sg_pgp_form *form)
{
	int of_key = claims->type == SG_PGP_KEY_REVOCATION;
	int own = claims->own || claims->issuer_id == NULL;

	if (claims->own && claims->type != SG_PGP_KEY_REVOCATION) {
		for (size_t i = 0; i < claims->revoker_count; i++) {
			if (counts->revoker_count < SG_PGP_REVOKERS_MAX)
				counts->revokers[counts->revoker_count++] = claims->revokers[i];
		}
	}
	if (!of_key && claims->type != SG_PGP_SUBKEY_REVOCATION)
		return;
	if (own) {
		if (of_key)
			form->revocations |= SG_PGP_REVOKES;
		if (is_weak(claims->hash))
			form->revocations |= SG_PGP_REVOKES_WEAK;
		if (claims->critical)
			form->revocations |=
			    of_key ? SG_PGP_REVOKES_CRITICAL : SG_PGP_REVOKES_SUBKEY_CRITICAL;
	} else if (of_key && counts->foreign_count < SG_PGP_REVOKERS_MAX) {
		counts->foreign[counts->foreign_count++] = claims->issuer_id;
	}
}

static void settle_designated(const struct counts *counts, struct sg_pgp_form *form)
{
	for (size_t i = 0; i < counts->foreign_count; i++) {
		for (size_t k = 0; k < counts->revoker_count; k++) {
			if (memcmp(counts->foreign[i],
				counts->revokers[k] + SG_PGP_FINGERPRINT_SIZE - SG_PGP_KEY_ID_SIZE,
				SG_PGP_KEY_ID_SIZE) == 0)
				form->revocations |= SG_PGP_REVOKES_DESIGNATED;
		}
	}
}

/* Whether librnp checks it when it loads the key: of these revocations, whoever they say has made them. */
static int is_checked(const struct sg_pgp_claims *claims)
{
	return claims->own || claims->type == SG_PGP_KEY_REVOCATION ||
	    claims->type == SG_PGP_CERTIFICATION_REVOCATION;
}

static int check_signature(const struct sg_pgp_packet *packet, struct counts *counts,
    struct sg_pgp_form *form, const char **why)
{
	struct sg_pgp_claims claims;
	int err = sg_pgp_claims_get(packet->body, form->fingerprint, &claims);

	if (err == SG_ERR_LIMIT)
		return sg_pgp_fail(err, "an OpenPGP signature of more than 100 subpackets", why);
	if (err != 0)
		return sg_pgp_fail(err, "a signature in the OpenPGP key is cut or malformed", why);
	if (is_checked(&claims)) {
		form->checks += 1 + claims.embedded;
		counts->hashed += counts->signed_len;
	}
	if (form->checks > SG_PGP_KEY_CHECKS_MAX)
		return sg_pgp_fail(
		    SG_ERR_LIMIT, "an OpenPGP key with more than 250 signatures to check", why);
	if (claims.version == SG_PGP_VERSION)
		take_revocation(&claims, counts, form);
	return 0;
}

static int check_work(const struct counts *counts, struct sg_pgp_form *form, const char **why)
{
	struct sg_pgp_load load = { 0 };

	form->work = form->checks * counts->weight + counts->hashed / HASHED_UNIT;
	return sg_pgp_load_add(&load, form) == 0
	    ? 0
	    : sg_pgp_fail(
		  SG_ERR_LIMIT, "an OpenPGP key whose signatures take too long to check", why);
}

static int check_packet(const struct sg_pgp_packet *packet, struct counts *counts,
    struct sg_pgp_form *form, const char **why)
{
	if (packet->tag == SG_PGP_TAG_SECRET_KEY || packet->tag == SG_PGP_TAG_SECRET_SUBKEY)
		return sg_pgp_fail(SG_ERR_DENIED,
		    "it holds a SECRET key: nothing of it was taken; export the public key alone",
		    why);
	if (counts->packets++ == SG_PGP_PACKETS_MAX)
		return sg_pgp_fail(SG_ERR_LIMIT, "an OpenPGP key of more than 2000 packets", why);
	if ((packet->tag == SG_PGP_TAG_PUBLIC_KEY) != (counts->packets == 1))
		return sg_pgp_fail(SG_ERR_FORMAT,
		    counts->packets == 1 ? "no OpenPGP public key" : "more than one OpenPGP key",
		    why);
	switch (packet->tag) {
	case SG_PGP_TAG_PUBLIC_SUBKEY:
		if (counts->subkeys++ == SG_PGP_SUBKEYS_MAX)
			return sg_pgp_fail(
			    SG_ERR_LIMIT, "an OpenPGP key with more than 32 subkeys", why);
		counts->signed_len = sg_cursor_left(&packet->body);
		return check_subkey(packet, counts, why);
	case SG_PGP_TAG_PUBLIC_KEY:
		counts->primary = packet->body;
		return check_material(packet, counts, why);
	case SG_PGP_TAG_USER_ID:
		if (sg_cursor_left(&packet->body) > SG_PGP_USER_ID_MAX)
			return sg_pgp_fail(
			    SG_ERR_LIMIT, "an OpenPGP user id of more than 2 KiB", why);
		/* fall through */
	case SG_PGP_TAG_USER_ATTRIBUTE:
		counts->signed_len = sg_cursor_left(&packet->body);
		if (counts->user_ids++ == SG_PGP_USER_IDS_MAX)
			return sg_pgp_fail(
			    SG_ERR_LIMIT, "an OpenPGP key with more than 100 user ids", why);
		return 0;
	case SG_PGP_TAG_SIGNATURE:
		return check_signature(packet, counts, form, why);
	default:
		return sg_pgp_fail(
		    SG_ERR_FORMAT, "a packet that belongs to no OpenPGP public key", why);
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
		return sg_pgp_fail(SG_ERR_LIMIT, "an OpenPGP key of more than 256 KiB", why);
	if (key->len == 0)
		return sg_pgp_fail(SG_ERR_FORMAT, "no OpenPGP public key", why);
	while (err == 0 && sg_cursor_left(&cur) > 0) {
		struct sg_pgp_packet packet;

		if (sg_pgp_packet_get(&cur, &packet) != 0)
			return sg_pgp_fail(
			    SG_ERR_FORMAT, "OpenPGP packets that are cut or malformed", why);
		err = check_packet(&packet, &counts, form, why);
		if (err == 0 && counts.packets == 1 &&
		    (err = fingerprint_of(&packet.body, form)) != 0)
			*why = "out of memory";
	}
	if (err != 0)
		return err;
	settle_designated(&counts, form);
	return check_work(&counts, form, why);
}

/* ---- what keys cost ---- */

/* One with many signatures must not use up the checks that are left for others: each counts, up to so many; and beside
 * that, all count by how long they take. */
#define COST_MAX  16
#define COST_UNIT 16

static size_t work_of(const struct sg_pgp_load *load)
{
	return load->revocations & SG_PGP_REVOKES_WEAK ? 2 * load->work : load->work;
}

/* librnp checks all that is there again, twice, with each copy that it adds. */
int sg_pgp_load_add(struct sg_pgp_load *load, const struct sg_pgp_form *form)
{
	struct sg_pgp_load more = *load;

	more.copies++;
	more.together += form->work;
	more.work += form->work + (load->copies > 0 ? 2 * more.together : 0);
	more.revocations |= form->revocations;
	more.checks += form->checks;
	if (work_of(&more) > (load->copies > 0 ? SG_PGP_COPIES_WORK_MAX : SG_PGP_WORK_MAX))
		return SG_ERR_LIMIT;
	*load = more;
	return 0;
}

size_t sg_pgp_load_cost(const struct sg_pgp_load *load)
{
	size_t checks = load->checks;

	return 1 + (checks < COST_MAX ? checks : COST_MAX) + work_of(load) / COST_UNIT;
}
