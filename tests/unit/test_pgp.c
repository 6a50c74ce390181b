#include "proto/pgp.h"

#include <openssl/sha.h>

#include "codecs.h"
#include "pgp_vectors.h"

static void refuse(const struct sg_blob *key, int expected, const char *reason)
{
	struct sg_pgp_form form;
	const char *why;

	assert_int_equal(sg_pgp_key_check(key, &form, &why), expected);
	assert_string_equal(why, reason);
}

static void fingerprints_are_gpgs(void **state)
{
	static const struct {
		const char *file;
		const char *name;
		size_t checks;
	} keys[] = {
		{ "pgp-rsa.pgp", PGP_RSA, 2 },
		{ "pgp-ed25519.pgp", PGP_ED25519, 4 }, /* one of them is embedded */
		{ "pgp-nistp256.pgp", PGP_NISTP256, 1 },
		{ "pgp-brainpool.pgp", PGP_BRAINPOOL, 1 },
		{ "pgp-many.pgp", PGP_MANY, 23 },
		{ "pgp-revoked.pgp", PGP_REVOKED, 2 },
		{ "pgp-expired.pgp", PGP_EXPIRED, 1 },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct sg_blob key = read_vector(keys[i].file);
		unsigned char hash[SHA_DIGEST_LENGTH];
		struct sg_pgp_form form;
		struct sg_blob input;
		const char *why;
		char *hex;

		assert_int_equal(sg_pgp_key_check(&key, &form, &why), 0);
		assert_null(why);
		assert_string_equal(form.name, keys[i].name);
		assert_int_equal(sg_pgp_fingerprint_input(&key, &input), 0);
		SHA1(input.data, input.len, hash);
		assert_memory_equal(hash, form.fingerprint, sizeof(hash));
		sg_blob_clear(&input);
		hex = sg_hex_encode(form.fingerprint, sizeof(form.fingerprint));
		assert_string_equal(hex, keys[i].name);
		assert_int_equal(form.checks, keys[i].checks);
		free(hex);
		sg_blob_clear(&key);
	}
}

static void only_a_key_has_a_fingerprint(void **state)
{
	struct sg_blob key = read_vector("pgp-rsa.pgp"), signature = read_vector("pgp-rsa.sig");
	struct sg_blob cut = { key.data, 100 }, none = { key.data, 0 }, input;

	assert_int_equal(sg_pgp_fingerprint_input(&signature, &input), SG_ERR_FORMAT);
	assert_int_equal(sg_pgp_fingerprint_input(&cut, &input), SG_ERR_FORMAT);
	assert_int_equal(sg_pgp_fingerprint_input(&none, &input), SG_ERR_FORMAT);
	assert_null(input.data);
	sg_blob_clear(&key);
	sg_blob_clear(&signature);
}

static void armour_is_read(void **state)
{
	struct sg_blob key = read_vector("pgp-rsa.pgp"), armoured = read_vector("pgp-rsa.asc");
	struct sg_blob signature = read_vector("pgp-rsa.sig"), read;
	struct sg_blob armoured_signature = read_vector("pgp-rsa.sig.asc");
	const char *why;

	assert_int_equal(sg_pgp_key_read(&armoured, &read, &why), 0);
	assert_true(sg_blob_eq(&read, &key));
	sg_blob_clear(&read);
	assert_int_equal(sg_pgp_key_read(&key, &read, &why), 0);
	assert_true(sg_blob_eq(&read, &key));
	sg_blob_clear(&read);
	assert_int_equal(sg_pgp_signature_read(&armoured_signature, &read, &why), 0);
	sg_blob_clear(&read);
	assert_int_equal(sg_pgp_signature_read(&signature, &read, &why), 0);
	sg_blob_clear(&read);
	assert_true(sg_pgp_is_likely(&armoured) && sg_pgp_is_likely(&key));
	assert_int_equal(sg_pgp_key_read(&armoured_signature, &read, &why), SG_ERR_FORMAT);
	assert_string_equal(why, "ASCII armour of something else");
	assert_int_equal(sg_pgp_signature_read(&armoured, &read, &why), SG_ERR_FORMAT);
	sg_blob_clear(&key);
	sg_blob_clear(&armoured);
	sg_blob_clear(&signature);
	sg_blob_clear(&armoured_signature);
}

static void refuse_armour(const char *text, int expected, const char *reason)
{
	struct sg_blob file = blob_of(text, strlen(text)), key;
	const char *why;

	assert_int_equal(sg_pgp_key_read(&file, &key, &why), expected);
	assert_string_equal(why, reason);
	assert_null(key.data);
	sg_blob_clear(&file);
}

static void bad_armour_is_refused(void **state)
{
	static const char cut[] = "ASCII armour that is cut or malformed";
	char *big = many(' ', SG_PGP_FILE_MAX + 1);

	refuse_armour("", SG_ERR_FORMAT, "neither binary OpenPGP nor ASCII armour");
	refuse_armour("a key", SG_ERR_FORMAT, "neither binary OpenPGP nor ASCII armour");
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----", SG_ERR_FORMAT, cut);
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n", SG_ERR_FORMAT, cut);
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2ln\n=abcd\n", SG_ERR_FORMAT, cut);
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 1\nc2ln\n-----END PGP "
		      "PUBLIC KEY BLOCK-----\n",
	    SG_ERR_FORMAT, cut); /* no empty line after the headers */
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2*n\n-----END PGP PUBLIC KEY "
		      "BLOCK-----\n",
	    SG_ERR_FORMAT, "ASCII armour that is no Base64");
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2ln\n-----END PGP PUBLIC KEY "
		      "BLOCK-----\n-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
	    SG_ERR_FORMAT, "more than one armoured block");
	refuse_armour("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2ln\n-----END PGP PUBLIC KEY "
		      "BLOCK-----\n",
	    SG_ERR_FORMAT, "OpenPGP packets that are cut or malformed");
	refuse_armour(big, SG_ERR_LIMIT, "more than 512 KiB");
	free(big);
}

static void secret_keys_are_refused(void **state)
{
	static const char why[] =
	    "it holds a SECRET key: nothing of it was taken; export the public key alone";
	struct sg_blob key = read_vector("pgp-ed25519.pgp"), subkey = key;
	struct sg_blob copy = blob_of(key.data, key.len);

	/* a primary key's tag becomes that of a secret one */
	assert_int_equal(copy.data[0], 0x98);
	copy.data[0] = 0x94;
	refuse(&copy, SG_ERR_DENIED, why);
	sg_blob_clear(&copy);
	copy = blob_of(subkey.data, subkey.len);
	for (size_t i = 1; i < copy.len; i++) {
		if (copy.data[i] == 0xb8 && copy.data[i + 2] == 4) { /* a subkey */
			copy.data[i] = 0x9c;
			break;
		}
	}
	refuse(&copy, SG_ERR_DENIED, why);
	sg_blob_clear(&copy);
	sg_blob_clear(&key);
	refuse_armour("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nc2ln\n-----END PGP PRIVATE KEY "
		      "BLOCK-----\n",
	    SG_ERR_DENIED, why);
}

/* Cut anywhere, a key is refused or, at the end of a packet, still of the same name. */
static void truncated_keys_are_refused(void **state)
{
	struct sg_blob key = read_vector("pgp-ed25519.pgp");
	size_t whole = 0;

	for (size_t len = 0; len < key.len; len++) {
		struct sg_blob cut = { malloc(len + !len), len }; /* exact, for the sanitizer */
		struct sg_pgp_form form;
		const char *why;
		int err;

		memcpy(cut.data, key.data, len);
		err = sg_pgp_key_check(&cut, &form, &why);
		if (err == 0) {
			assert_string_equal(form.name, PGP_ED25519);
			whole++;
		} else {
			assert_int_equal(err, SG_ERR_FORMAT);
			assert_non_null(why);
		}
		free(cut.data);
	}
	assert_int_equal(whole, 6); /* after each of its packets but the last */
	sg_blob_clear(&key);
}

/* ---- packets made by hand ---- */

static void put_packet(struct sg_buf *buf, unsigned tag, const void *body, size_t len)
{
	sg_buf_put_u8(buf, (uint8_t)(0xc0 | tag));
	sg_buf_put_u8(buf, 255);
	sg_buf_put_u32(buf, (uint32_t)len);
	sg_buf_put(buf, body, len);
}

static void refuse_buf(struct sg_buf *buf, int expected, const char *reason)
{
	struct sg_blob key = { buf->data, buf->len };

	assert_int_equal(buf->err, 0);
	if (expected == 0) {
		struct sg_pgp_form form;
		const char *why;

		assert_int_equal(sg_pgp_key_check(&key, &form, &why), 0);
	} else {
		refuse(&key, expected, reason);
	}
	sg_buf_clear(buf);
}

static const unsigned char material[] = { 4, 0, 0, 0, 0, 22, 1, 2 };

static const unsigned char other[] = { 4, 0, 0, 0, 1, 22, 1, 2 };

static struct sg_buf start(void)
{
	struct sg_buf buf = { 0 };

	put_packet(&buf, 6, material, sizeof(material));
	return buf;
}

/* Each count is accepted at its limit and refused one past it. */
static void counts_are_limited(void **state)
{
	static const unsigned char third[] = { 4, 0x13, 22, 8, 0, 0, 0, 0, 1, 2, 3 };
	static const struct {
		unsigned tag;
		size_t max;
		const char *why;
	} rows[] = {
		{ 13, SG_PGP_USER_IDS_MAX, "an OpenPGP key with more than 100 user ids" },
		{ 17, SG_PGP_USER_IDS_MAX, "an OpenPGP key with more than 100 user ids" },
		{ 14, SG_PGP_SUBKEYS_MAX, "an OpenPGP key with more than 32 subkeys" },
		{ 2, SG_PGP_PACKETS_MAX - 1, "an OpenPGP key of more than 2000 packets" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (size_t over = 0; over < 2; over++) {
			struct sg_buf buf = start();

			for (size_t k = 0; k < rows[i].max + over; k++) {
				if (rows[i].tag == 2)
					put_packet(&buf, 2, third, sizeof(third));
				else
					put_packet(&buf, rows[i].tag, other, sizeof(other));
			}
			refuse_buf(&buf, over ? SG_ERR_LIMIT : 0, rows[i].why);
		}
	}
}

/* librnp takes nothing of such a key, and says so of the copies beside it, too. */
static void a_key_that_is_a_subkey_of_itself_is_refused(void **state)
{
	struct sg_buf buf = start();

	put_packet(&buf, 14, material, sizeof(material));
	refuse_buf(&buf, SG_ERR_FORMAT, "an OpenPGP key that is a subkey of itself");
}

/* A number of so many bits. */
static void put_number(struct sg_buf *buf, size_t bits)
{
	sg_buf_put_u8(buf, (uint8_t)(bits >> 8));
	sg_buf_put_u8(buf, (uint8_t)bits);
	for (size_t i = 0; i < (bits + 7) / 8; i++)
		sg_buf_put_u8(buf, 0xff);
}

/* A key of this algorithm with two numbers, as a primary key or, with another before it, as a subkey. */
static struct sg_buf start_numbers(unsigned tag, uint8_t algorithm, size_t first, size_t second)
{
	const unsigned char head[] = { 4, 0, 0, 0, 2, algorithm };
	struct sg_buf buf = { 0 }, body = { 0 };

	if (tag == 14)
		buf = start();
	sg_buf_put(&body, head, sizeof(head));
	put_number(&body, first);
	put_number(&body, second);
	put_packet(&buf, tag, body.data, body.len);
	sg_buf_clear(&body);
	return buf;
}

/* Before anybody reckons with them. */
static void bits_are_limited(void **state)
{
	static const struct {
		uint8_t algorithm;
		size_t first, second;
	} rows[] = {
		{ 1, SG_PGP_BITS_MAX, SG_PGP_EXPONENT_BITS_MAX },
		{ 2, SG_PGP_BITS_MAX, SG_PGP_EXPONENT_BITS_MAX },
		{ 3, SG_PGP_BITS_MAX, SG_PGP_EXPONENT_BITS_MAX },
		{ 16, SG_PGP_BITS_MAX, SG_PGP_BITS_MAX },
		{ 17, SG_PGP_DSA_BITS_MAX, SG_PGP_DSA_ORDER_MAX },
	};
	static const char why[] = "an OpenPGP key of more bits than are reckoned with";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (unsigned tag = 6; tag <= 14; tag += 8) {
			struct sg_buf buf =
			    start_numbers(tag, rows[i].algorithm, rows[i].first, rows[i].second);

			refuse_buf(&buf, 0, NULL);
			buf = start_numbers(
			    tag, rows[i].algorithm, rows[i].first + 1, rows[i].second);
			refuse_buf(&buf, SG_ERR_LIMIT, why);
			buf = start_numbers(
			    tag, rows[i].algorithm, rows[i].first, rows[i].second + 1);
			refuse_buf(&buf, SG_ERR_LIMIT, why);
		}
	}
}

/* A signature of this type that says to be by the key of this fingerprint. */
static void put_own(struct sg_buf *buf, const unsigned char *fingerprint, unsigned char type)
{
	unsigned char signature[] = { 4, type, 1, 8, 0, 0, 0, 10, 9, 16, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		2, 0, 1, 1 };

	memcpy(signature + 10, fingerprint + 12, 8);
	put_packet(buf, 2, signature, sizeof(signature));
}

static struct sg_buf start_curve(unsigned algorithm, size_t bits)
{
	unsigned char body[256] = { 4, 0, 0, 0, 1, (unsigned char)algorithm, 1, 'x',
		(unsigned char)(bits >> 8), (unsigned char)bits, 4 };
	struct sg_buf buf = { 0 };

	put_packet(&buf, 6, body, 10 + (bits + 7) / 8);
	return buf;
}

/* The dearer a check, the fewer signatures of its own: how much dearer was measured. */
static void the_work_for_one_key_is_limited(void **state)
{
	static const char why[] = "an OpenPGP key whose signatures take too long to check";
	const struct {
		unsigned algorithm;
		size_t first, second; /* bits */
		size_t weight;
	} rows[] = {
		{ 1, 4096, 17, 4 }, { 1, 8192, 17, 16 }, { 17, 2048, 256, 3 }, { 17, 4096, 256, 9 },
		{ 19, 2 * 384 + 3, 0, 2 }, /* P-384, brainpoolP384r1 */
		{ 19, 2 * 512 + 3, 0, 4 }, /* brainpoolP512r1 */
		{ 19, 2 * 528 + 3, 0, 4 }, /* P-521 */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t max = SG_PGP_WORK_MAX / rows[i].weight;

		for (size_t over = 0; over < 3; over++) {
			if (over == 1 && max == SG_PGP_KEY_CHECKS_MAX)
				continue; /* that many are too many anyway */
			struct sg_buf buf = rows[i].second != 0
			    ? start_numbers(6, rows[i].algorithm, rows[i].first, rows[i].second)
			    : start_curve(rows[i].algorithm, rows[i].first);
			struct sg_blob key = { buf.data, buf.len };
			struct sg_pgp_form form;
			const char *reason;

			assert_int_equal(sg_pgp_key_check(&key, &form, &reason), 0);
			/* whatever has a weak revocation is checked twice */
			for (size_t k = 0; k < (over == 2 ? max / 2 : max) + (over == 1); k++)
				put_own(&buf, form.fingerprint, 0x13);
			if (over == 2)
				put_packet(&buf, 2, "\x04\x28\x01\x02\0\0\0\0abcd", 12);
			if (over == 2)
				put_own(&buf, form.fingerprint, 0x13);
			refuse_buf(&buf, over ? SG_ERR_LIMIT : 0, over ? why : NULL);
		}
	}
}

/* librnp checks these revocations whoever says to have made them, and hashes what is signed each time. */
static void what_librnp_does_counts(void **state)
{
	static const unsigned char types[] = { 0x20, 0x30 };
	struct sg_pgp_form form;
	struct sg_blob key;
	const char *why;
	char *text = many('x', 130 << 10);
	struct sg_buf buf = start();

	for (size_t i = 0; i < sizeof(types); i++) {
		put_own(&buf, (const unsigned char *)"nobody at all is this", types[i]);
		put_own(&buf, (const unsigned char *)"nobody at all is this", 0x13);
	}
	key = (struct sg_blob){ buf.data, buf.len };
	assert_int_equal(sg_pgp_key_check(&key, &form, &why), 0);
	assert_int_equal(form.checks, 2);
	assert_int_equal(form.work, 2);
	put_packet(&buf, 17, text, 130 << 10);
	for (size_t i = 0; i < 10; i++)
		put_own(&buf, form.fingerprint, 0x13);
	key = (struct sg_blob){ buf.data, buf.len };
	assert_int_equal(sg_pgp_key_check(&key, &form, &why), 0);
	assert_int_equal(form.work, 2 + 10 + 20);
	sg_buf_clear(&buf);
	free(text);
}

/* With each copy librnp checks all again. */
static void copies_cost_more_than_each(void **state)
{
	struct sg_pgp_form form = { .checks = 100, .work = 100 };
	struct sg_pgp_load load = { 0 };

	assert_int_equal(sg_pgp_load_add(&load, &form), 0);
	assert_int_equal(sg_pgp_load_cost(&load), 1 + 16 + 100 / 16);
	assert_int_equal(sg_pgp_load_add(&load, &form), 0);
	assert_int_equal(load.work, 100 + 100 + 400);
	assert_int_equal(sg_pgp_load_add(&load, &form), SG_ERR_LIMIT);
	assert_int_equal(load.copies, 2);
	form.revocations = SG_PGP_REVOKES_WEAK;
	form.work = form.checks = 1;
	assert_int_equal(sg_pgp_load_add(&load, &form), SG_ERR_LIMIT);
	load = (struct sg_pgp_load){ 0 };
	assert_int_equal(sg_pgp_load_add(&load, &form), 0);
	assert_int_equal(sg_pgp_load_cost(&load), 1 + 1 + 2 / 16);
}

/* ---- copies ---- */

static struct sg_blob carry(const struct sg_buf *key, const struct sg_buf *copy, int expected)
{
	const struct sg_blob base = { key->data, key->len }, came = { copy->data, copy->len };
	struct sg_blob united;

	assert_int_equal(sg_pgp_carry_revocations(&base, &came, &united), expected);
	return united;
}

/* Each goes behind what it is on; what is not there, is there already, or says another issuer, does not go. */
static void revocations_are_carried_from_copy_to_copy(void **state)
{
	static const unsigned char subkey[] = { 4, 0, 0, 0, 2, 22, 1, 2, 3, 4 };
	struct sg_buf key = start(), copy = start(), expected = start();
	struct sg_blob form_key = { key.data, key.len }, united;
	struct sg_pgp_form form;
	const char *why;

	assert_int_equal(sg_pgp_key_check(&form_key, &form, &why), 0);
	put_packet(&key, 13, "a", 1);
	put_packet(&key, 14, subkey, sizeof(subkey));
	united = carry(&key, &copy, 0);
	assert_int_equal(united.len, 0);
	put_own(&copy, form.fingerprint, 0x20);
	put_own(&copy, form.fingerprint, 0x28); /* not on a subkey */
	put_own(&copy, (const unsigned char *)"nobody at all is this", 0x20);
	put_packet(&copy, 13, "b", 1);
	put_own(&copy, form.fingerprint, 0x30);
	put_packet(&copy, 13, "a", 1);
	put_own(&copy, form.fingerprint, 0x13);
	put_own(&copy, form.fingerprint, 0x30);
	put_packet(&copy, 14, subkey, sizeof(subkey));
	put_own(&copy, form.fingerprint, 0x28);
	put_own(&expected, form.fingerprint, 0x20);
	put_packet(&expected, 13, "a", 1);
	put_own(&expected, form.fingerprint, 0x30);
	put_packet(&expected, 14, subkey, sizeof(subkey));
	put_own(&expected, form.fingerprint, 0x28);
	united = carry(&key, &copy, 0);
	assert_int_equal(united.len, expected.len);
	assert_memory_equal(united.data, expected.data, united.len);
	sg_blob_clear(&united);
	united = carry(&expected, &copy, 0);
	assert_int_equal(united.len, 0);
	sg_buf_clear(&expected);
	expected = start_curve(19, 515);
	carry(&expected, &copy, SG_ERR_FORMAT); /* another key */
	sg_buf_clear(&copy);
	copy = start();
	for (unsigned char i = 0; i <= SG_PGP_CARRIED_MAX; i++) {
		unsigned char revocation[] = { 4, 0x20, 1, 8, 0, 0, 0, 0, i, 2, 0, 1, 1 };

		put_packet(&copy, 2, revocation, sizeof(revocation));
		united = carry(&key, &copy, i < SG_PGP_CARRIED_MAX ? 0 : SG_ERR_LIMIT);
		assert_int_equal(united.len > key.len, i < SG_PGP_CARRIED_MAX);
		sg_blob_clear(&united);
	}
	sg_buf_clear(&copy);
	sg_buf_clear(&key);
	sg_buf_clear(&expected);
}

static void sizes_are_limited(void **state)
{
	char *text = many('x', SG_PGP_KEY_MAX);
	struct sg_buf buf;

	text[0] = 4;
	for (size_t over = 0; over < 2; over++) {
		buf = start();
		put_packet(&buf, 13, text, SG_PGP_USER_ID_MAX + over);
		refuse_buf(&buf, over ? SG_ERR_LIMIT : 0, "an OpenPGP user id of more than 2 KiB");
		buf = (struct sg_buf){ 0 };
		put_packet(&buf, 6, text, SG_PGP_MATERIAL_MAX + over);
		refuse_buf(
		    &buf, over ? SG_ERR_LIMIT : 0, "OpenPGP key material of more than 8 KiB");
		buf = start();
		text[0] = 3; /* a signature of a version that nobody looks into */
		put_packet(&buf, 2, text, SG_PGP_KEY_MAX - buf.len - 6 + over);
		text[0] = 4;
		refuse_buf(&buf, over ? SG_ERR_LIMIT : 0, "an OpenPGP key of more than 256 KiB");
	}
	free(text);
}

/* A signature with n unhashed subpackets that name this issuer. */
static void put_signature(struct sg_buf *buf, const unsigned char *fingerprint, size_t n)
{
	struct sg_buf body = { 0 };

	sg_buf_put(&body, "\x04\x13\x16\x08\0\0", 6);
	sg_buf_put_u8(&body, (uint8_t)(n * 10 >> 8));
	sg_buf_put_u8(&body, (uint8_t)(n * 10));
	for (size_t i = 0; i < n; i++) {
		sg_buf_put(&body, "\x09\x10", 2);
		sg_buf_put(&body, fingerprint + 12, 8);
	}
	sg_buf_put(&body, "abc", 3);
	put_packet(buf, 2, body.data, body.len);
	sg_buf_clear(&body);
}

static void checks_and_subpackets_are_limited(void **state)
{
	struct sg_pgp_form form;
	struct sg_blob key;
	const char *why;
	struct sg_buf buf = start();

	key = (struct sg_blob){ buf.data, buf.len };
	assert_int_equal(sg_pgp_key_check(&key, &form, &why), 0);
	sg_buf_clear(&buf);
	for (size_t over = 0; over < 2; over++) {
		buf = start();
		for (size_t i = 0; i < SG_PGP_KEY_CHECKS_MAX + over; i++)
			put_signature(&buf, form.fingerprint, 1);
		refuse_buf(&buf, over ? SG_ERR_LIMIT : 0,
		    "an OpenPGP key with more than 250 signatures to check");
		buf = start();
		put_signature(&buf, form.fingerprint, SG_PGP_SUBPACKETS_MAX + over);
		refuse_buf(&buf, over ? SG_ERR_LIMIT : 0,
		    "an OpenPGP signature of more than 100 subpackets");
	}
}

static void what_is_no_public_key_is_refused(void **state)
{
	static const char malformed[] = "OpenPGP packets that are cut or malformed";
	static const char foreign[] = "a packet that belongs to no OpenPGP public key";
	struct sg_buf buf = { 0 };

	put_packet(&buf, 13, "x", 1);
	refuse_buf(&buf, SG_ERR_FORMAT, "no OpenPGP public key");
	buf = start();
	put_packet(&buf, 6, material, sizeof(material));
	refuse_buf(&buf, SG_ERR_FORMAT, "more than one OpenPGP key");
	for (unsigned tag = 1; tag < 64; tag++) {
		if (strchr("\x02\x05\x06\x07\x0d\x0e\x11", (int)tag) != NULL)
			continue;
		buf = start();
		put_packet(&buf, tag, material, sizeof(material));
		refuse_buf(&buf, SG_ERR_FORMAT, foreign);
	}
	put_packet(&buf, 6, "\x03xxxxxxx", 8);
	refuse_buf(&buf, SG_ERR_UNSUPPORTED, "an OpenPGP key that is not of version 4");
	put_packet(&buf, 6, "\x06xxxxxxx", 8);
	refuse_buf(&buf, SG_ERR_UNSUPPORTED, "an OpenPGP key that is not of version 4");
	put_packet(&buf, 6, material, 6);
	refuse_buf(&buf, SG_ERR_FORMAT, "an OpenPGP key that is cut");
	/* lengths that only the end of the data tells: old form 3, new form partial */
	sg_buf_put(&buf, "\x9b\x04xxxxxxx", 9);
	refuse_buf(&buf, SG_ERR_FORMAT, malformed);
	sg_buf_put(&buf, "\xc6\xe1\x04xxxxxxxxxx", 13);
	refuse_buf(&buf, SG_ERR_FORMAT, malformed);
	sg_buf_put(&buf, "\xc6\xff\xff\xff\xff\xff\x04xxxxxxxxxx", 17);
	refuse_buf(&buf, SG_ERR_FORMAT, malformed);
	sg_buf_put(&buf, "\x19xxx", 4); /* no packet's first bit */
	refuse_buf(&buf, SG_ERR_FORMAT, malformed);
	buf = start();
	put_packet(&buf, 2, "\x04\x13\x16\x08\0\0\0\x05xx", 10);
	refuse_buf(&buf, SG_ERR_FORMAT, "a signature in the OpenPGP key is cut or malformed");
}

/* ---- signatures ---- */

static void refuse_signature(const struct sg_blob *value, int expected, const char *reason)
{
	struct sg_pgp_signature signature;
	const char *why;

	assert_int_equal(sg_pgp_signature_check(value, &signature, &why), expected);
	assert_string_equal(why, reason);
}

static void signatures_tell_type_and_hash(void **state)
{
	static const struct {
		const char *file;
		unsigned type, hash;
	} rows[] = {
		{ "pgp-rsa.sig", 0, SG_PGP_SHA512 },
		{ "pgp-rsa-text.sig", 1, SG_PGP_SHA512 },
		{ "pgp-rsa-sha1-2018.sig", 0, SG_PGP_SHA1 },
		{ "pgp-rsa-sha224.sig", 0, SG_PGP_SHA224 },
		{ "pgp-ed25519.sig", 0, SG_PGP_SHA256 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sg_blob value = read_vector(rows[i].file);
		struct sg_pgp_signature signature;
		const char *why;

		assert_int_equal(sg_pgp_signature_check(&value, &signature, &why), 0);
		assert_int_equal(signature.type, rows[i].type);
		assert_int_equal(signature.hash, rows[i].hash);
		sg_blob_clear(&value);
	}
}

static void a_signature_is_one_packet(void **state)
{
	struct sg_blob value = read_vector("pgp-rsa.sig"), key = read_vector("pgp-rsa.pgp");
	struct sg_blob two = blob_of(value.data, value.len);
	struct sg_buf buf = { 0 };

	two.data = realloc(two.data, 2 * value.len);
	two.len = 2 * value.len;
	memcpy(two.data + value.len, value.data, value.len);
	refuse_signature(&two, SG_ERR_FORMAT, "more than one OpenPGP packet");
	refuse_signature(&key, SG_ERR_FORMAT, "no OpenPGP signature packet");
	for (size_t len = 0; len < value.len; len++) {
		struct sg_blob cut = { value.data, len };

		refuse_signature(&cut, SG_ERR_FORMAT, "no OpenPGP signature packet");
	}
	put_packet(&buf, 2, "\x03\x05xxxxxxxxxxxxxxxxx", 19);
	refuse_signature(&(struct sg_blob){ buf.data, buf.len }, SG_ERR_UNSUPPORTED,
	    "an OpenPGP signature that is not of version 4");
	sg_buf_clear(&buf);
	two.data = realloc(two.data, SG_PGP_SIGNATURE_MAX + 1);
	two.len = SG_PGP_SIGNATURE_MAX + 1;
	refuse_signature(&two, SG_ERR_LIMIT, "an OpenPGP signature of more than 64 KiB");
	sg_blob_clear(&two);
	sg_blob_clear(&value);
	sg_blob_clear(&key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fingerprints_are_gpgs),
		cmocka_unit_test(only_a_key_has_a_fingerprint),
		cmocka_unit_test(armour_is_read),
		cmocka_unit_test(bad_armour_is_refused),
		cmocka_unit_test(secret_keys_are_refused),
		cmocka_unit_test(truncated_keys_are_refused),
		cmocka_unit_test(counts_are_limited),
		cmocka_unit_test(a_key_that_is_a_subkey_of_itself_is_refused),
		cmocka_unit_test(bits_are_limited),
		cmocka_unit_test(the_work_for_one_key_is_limited),
		cmocka_unit_test(what_librnp_does_counts),
		cmocka_unit_test(copies_cost_more_than_each),
		cmocka_unit_test(revocations_are_carried_from_copy_to_copy),
		cmocka_unit_test(sizes_are_limited),
		cmocka_unit_test(checks_and_subpackets_are_limited),
		cmocka_unit_test(what_is_no_public_key_is_refused),
		cmocka_unit_test(signatures_tell_type_and_hash),
		cmocka_unit_test(a_signature_is_one_packet),
	};

	return cmocka_run_group_tests_name("pgp", tests, NULL, NULL);
}
