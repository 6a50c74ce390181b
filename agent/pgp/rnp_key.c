#include "rnp_key.h"

#include <stdlib.h>
#include <string.h>

#include <rnp/rnp.h>
#include <rnp/rnp_err.h>

#include "text.h"

/* As for X.509 keys: smaller ones are within reach, larger ones only cost time. */
#define MODULUS_BITS_MIN 1024
#define MODULUS_BITS_MAX 8192

struct sg_rnp_key {
	rnp_ffi_t ffi;
	rnp_ffi_t lenient; /* where weak signatures count: for revocations alone; or NULL */
	rnp_key_handle_t primary;
	char *fingerprint;    /* of the primary key, as librnp has it */
	unsigned revocations; /* enum sg_pgp_revocation: what any copy claims */
	struct sg_msg_pgp_facts facts;
};

int sg_rnp_begin(void)
{
	rnp_ffi_t ffi = NULL;

	if (rnp_ffi_create(&ffi, "GPG", "GPG") != RNP_SUCCESS)
		return SG_ERR_INTERNAL;
	return rnp_ffi_destroy(ffi) == RNP_SUCCESS ? 0 : SG_ERR_INTERNAL;
}

void sg_rnp_key_free(struct sg_rnp_key *key)
{
	if (key == NULL)
		return;
	rnp_key_handle_destroy(key->primary);
	rnp_buffer_destroy(key->fingerprint);
	if (key->ffi != NULL)
		rnp_ffi_destroy(key->ffi);
	if (key->lenient != NULL)
		rnp_ffi_destroy(key->lenient);
	sg_msg_clear(SG_MSG_PGP_FACTS, &key->facts);
	free(key);
}

struct sg_msg_pgp_facts *sg_rnp_key_facts(struct sg_rnp_key *key)
{
	return &key->facts;
}

/* ---- facts ---- */

/* A user id that the key has signed and not revoked, as text that can be shown: a new string; NULL
 * for another. */
static char *user_id_text(rnp_uid_handle_t uid)
{
	bool valid = false, revoked = true;
	void *data = NULL;
	char *text = NULL;
	uint32_t type;
	size_t len = 0;

	if (rnp_uid_get_type(uid, &type) == RNP_SUCCESS && type == RNP_USER_ID &&
	    rnp_uid_is_valid(uid, &valid) == RNP_SUCCESS && valid &&
	    rnp_uid_is_revoked(uid, &revoked) == RNP_SUCCESS && !revoked &&
	    rnp_uid_get_data(uid, &data, &len) == RNP_SUCCESS && len <= SG_PGP_USER_ID_MAX) {
		text = strndup(data != NULL ? data : "", len);
		if (text != NULL)
			sg_utf8_clean(text);
	}
	rnp_buffer_destroy(data);
	return text;
}

static int take_user_ids(struct sg_rnp_key *key)
{
	struct sg_msg_pgp_facts *facts = &key->facts;
	size_t count = 0;

	if (rnp_key_get_uid_count(key->primary, &count) != RNP_SUCCESS || count == 0)
		return 0;
	facts->user_ids = calloc(count, sizeof(*facts->user_ids));
	if (facts->user_ids == NULL)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		rnp_uid_handle_t uid = NULL;

		if (rnp_key_get_uid_handle_at(key->primary, i, &uid) != RNP_SUCCESS)
			continue;
		facts->user_ids[facts->user_id_count] = user_id_text(uid);
		facts->user_id_count += facts->user_ids[facts->user_id_count] != NULL;
		rnp_uid_handle_destroy(uid);
	}
	return 0;
}

/* When a key of this time that lives so long ends, in the facts' form. */
static uint32_t end_of(uint32_t created, uint32_t lifetime)
{
	uint64_t end = (uint64_t)created + lifetime;

	if (lifetime == 0)
		return 0;
	return end < UINT32_MAX ? (uint32_t)end : UINT32_MAX;
}

/* Whether librnp, with the rules of this ffi, has the key as revoked; so it is, too, when it does not say. */
static int is_revoked_in(rnp_ffi_t ffi, rnp_key_handle_t key)
{
	rnp_key_handle_t same = NULL;
	char *fingerprint = NULL;
	bool revoked = true;

	if (ffi == NULL)
		return 0;
	if (rnp_key_get_fprint(key, &fingerprint) == RNP_SUCCESS &&
	    rnp_locate_key(ffi, "fingerprint", fingerprint, &same) == RNP_SUCCESS && same != NULL &&
	    rnp_key_is_revoked(same, &revoked) != RNP_SUCCESS)
		revoked = true;
	rnp_key_handle_destroy(same);
	rnp_buffer_destroy(fingerprint);
	return revoked;
}

static enum sg_pgp_revoked revoked_how(const struct sg_rnp_key *key)
{
	if (is_revoked_in(key->ffi, key->primary) || is_revoked_in(key->lenient, key->primary))
		return SG_PGP_REVOKED;
	return key->revocations & (SG_PGP_REVOKES_CRITICAL | SG_PGP_REVOKES_DESIGNATED)
	    ? SG_PGP_REVOKED_UNCHECKED
	    : SG_PGP_NOT_REVOKED;
}

static uint32_t count_subkeys(const struct sg_rnp_key *key)
{
	rnp_key_handle_t primary = key->primary;
	size_t count = 0;
	uint32_t good = 0;

	if (rnp_key_get_subkey_count(primary, &count) != RNP_SUCCESS)
		return 0;
	for (size_t i = 0; i < count; i++) {
		rnp_key_handle_t subkey = NULL;
		bool valid = false;

		if (rnp_key_get_subkey_at(primary, i, &subkey) == RNP_SUCCESS &&
		    rnp_key_is_valid(subkey, &valid) == RNP_SUCCESS)
			good += valid && !is_revoked_in(key->lenient, subkey);
		rnp_key_handle_destroy(subkey);
	}
	return good;
}

static int take_facts(struct sg_rnp_key *key, uint32_t at)
{
	struct sg_msg_pgp_facts *facts = &key->facts;
	bool valid = false, expired = false;
	uint32_t lifetime = 0;

	if (rnp_key_is_valid(key->primary, &valid) != RNP_SUCCESS ||
	    rnp_key_is_expired(key->primary, &expired) != RNP_SUCCESS ||
	    rnp_key_get_creation(key->primary, &facts->created) != RNP_SUCCESS ||
	    rnp_key_get_expiration(key->primary, &lifetime) != RNP_SUCCESS)
		return SG_ERR_FORMAT;
	facts->expires = end_of(facts->created, lifetime);
	facts->revoked = revoked_how(key);
	facts->subkeys = count_subkeys(key);
	facts->expired =
	    expired || facts->created > at || (facts->expires != 0 && facts->expires < at);
	facts->valid = valid && !facts->expired && facts->revoked == SG_PGP_NOT_REVOKED;
	return take_user_ids(key);
}

/* ---- loading ---- */

/* What librnp cannot read of a key, it leaves out; whatever lacks a signature then, is not valid. */
static int import(rnp_ffi_t ffi, const struct sg_blob *copy)
{
	rnp_input_t input = NULL;
	rnp_result_t result = rnp_input_from_memory(&input, copy->data, copy->len, false);

	if (result == RNP_SUCCESS)
		result = rnp_import_keys(
		    ffi, input, RNP_LOAD_SAVE_PUBLIC_KEYS | RNP_LOAD_SAVE_PERMISSIVE, NULL);
	rnp_input_destroy(input);
	if (result == RNP_ERROR_OUT_OF_MEMORY)
		return SG_ERR_NOMEM;
	return result == RNP_SUCCESS ? 0 : SG_ERR_FORMAT;
}

/* A copy that librnp takes nothing of is no reason to lose the others. */
static int import_all(rnp_ffi_t ffi, const struct sg_msg_pgp_key *copies)
{
	int best = SG_ERR_FORMAT;

	for (uint32_t i = 0; i < copies->copy_count; i++) {
		int err = import(ffi, &copies->copies[i].data);

		if (err == SG_ERR_NOMEM)
			return err;
		if (err == 0)
			best = 0;
	}
	return best;
}

/* Whoever can forge a revocation by weak hashes, would do better to forge something else: those that librnp
 * lets count no more still tell that the owner has given the key up. */
static int load_lenient(struct sg_rnp_key *key, const struct sg_msg_pgp_key *copies)
{
	static const char *const weak[] = { "MD5", "SHA1", "RIPEMD160" };

	if (!(key->revocations & SG_PGP_REVOKES_WEAK))
		return 0;
	if (rnp_ffi_create(&key->lenient, "GPG", "GPG") != RNP_SUCCESS ||
	    rnp_set_timestamp(key->lenient, copies->at) != RNP_SUCCESS)
		return SG_ERR_NOMEM;
	for (size_t i = 0; i < sizeof(weak) / sizeof(weak[0]); i++) {
		if (rnp_add_security_rule(key->lenient, RNP_FEATURE_HASH_ALG, weak[i],
			RNP_SECURITY_OVERRIDE | RNP_SECURITY_VERIFY_KEY, 0,
			RNP_SECURITY_DEFAULT) != RNP_SUCCESS)
			return SG_ERR_FORMAT;
	}
	return import_all(key->lenient, copies);
}

static int load(struct sg_rnp_key *key, const struct sg_msg_pgp_key *copies)
{
	struct sg_pgp_load cost = { 0 };
	struct sg_pgp_form form;
	const char *why;
	int err;

	for (uint32_t i = 0; i < copies->copy_count; i++) {
		if (sg_pgp_key_check(&copies->copies[i].data, &form, &why) != 0 ||
		    sg_pgp_load_add(&cost, &form) != 0)
			return SG_ERR_FORMAT;
		key->revocations |= form.revocations;
	}
	if (copies->copy_count == 0)
		return SG_ERR_FORMAT;
	if (rnp_ffi_create(&key->ffi, "GPG", "GPG") != RNP_SUCCESS ||
	    rnp_set_timestamp(key->ffi, copies->at) != RNP_SUCCESS)
		return SG_ERR_NOMEM;
	err = import_all(key->ffi, copies);
	if (err == 0 &&
	    (rnp_locate_key(key->ffi, "fingerprint", form.name, &key->primary) != RNP_SUCCESS ||
		key->primary == NULL ||
		rnp_key_get_fprint(key->primary, &key->fingerprint) != RNP_SUCCESS))
		err = SG_ERR_FORMAT;
	if (err == 0)
		err = load_lenient(key, copies);
	if (err == 0 && (key->facts.name = strdup(form.name)) == NULL)
		err = SG_ERR_NOMEM;
	return err == 0 ? take_facts(key, copies->at) : err;
}

int sg_rnp_key_load(const struct sg_msg_pgp_key *copies, struct sg_rnp_key **key)
{
	struct sg_rnp_key *made = calloc(1, sizeof(*made));
	int err;

	*key = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	err = load(made, copies);
	if (err != 0) {
		sg_rnp_key_free(made);
		return err;
	}
	*key = made;
	return 0;
}

/* ---- signatures ---- */

/* librnp's name of a hash; NULL for one that is not looked for. */
static const char *hash_name(unsigned hash)
{
	static const char *const names[] = {
		[SG_PGP_SHA1] = "SHA1",
		[SG_PGP_RIPEMD160] = "RIPEMD160",
		[SG_PGP_SHA256] = "SHA256",
		[SG_PGP_SHA384] = "SHA384",
		[SG_PGP_SHA512] = "SHA512",
		[SG_PGP_SHA224] = "SHA224",
		[SG_PGP_SHA3_256] = "SHA3-256",
		[SG_PGP_SHA3_512] = "SHA3-512",
	};

	return hash < sizeof(names) / sizeof(names[0]) ? names[hash] : NULL;
}

/* Whether librnp's rules let a signature over data, made then, count with this hash. */
static int is_hash_taken(struct sg_rnp_key *key, unsigned hash, uint32_t made)
{
	const char *name = hash_name(hash);
	uint32_t flags = RNP_SECURITY_VERIFY_DATA;
	uint32_t level = RNP_SECURITY_PROHIBITED;

	return name != NULL &&
	    rnp_get_security_rule(
		key->ffi, RNP_FEATURE_HASH_ALG, name, made, &flags, NULL, &level) == RNP_SUCCESS &&
	    level == RNP_SECURITY_DEFAULT;
}

/* An RSA or DSA key of a size that is neither weak nor only slow; librnp has a list of curves. */
static int is_good_size(rnp_key_handle_t signer)
{
	uint32_t bits = 0;
	char *algorithm = NULL;
	int good;

	if (rnp_key_get_alg(signer, &algorithm) != RNP_SUCCESS ||
	    rnp_key_get_bits(signer, &bits) != RNP_SUCCESS)
		bits = 0;
	good = bits > 0;
	if (algorithm != NULL && (strcmp(algorithm, "RSA") == 0 || strcmp(algorithm, "DSA") == 0))
		good = bits >= MODULUS_BITS_MIN && bits <= MODULUS_BITS_MAX;
	rnp_buffer_destroy(algorithm);
	return good;
}

static int is_primary(const struct sg_rnp_key *key, rnp_key_handle_t signer)
{
	char *fingerprint = NULL;
	int is = rnp_key_get_fprint(signer, &fingerprint) == RNP_SUCCESS &&
	    strcmp(fingerprint, key->fingerprint) == 0;

	rnp_buffer_destroy(fingerprint);
	return is;
}

/* Why a signature of this key, made then, does not count even if it is by it. */
static enum sg_pgp_reason objection(struct sg_rnp_key *key, rnp_key_handle_t signer, uint32_t made)
{
	uint64_t until = 0;
	uint32_t created = 0;
	bool may_sign = false;

	if (key->facts.revoked == SG_PGP_REVOKED || is_revoked_in(key->lenient, signer))
		return SG_PGP_KEY_REVOKED;
	if (key->facts.revoked != SG_PGP_NOT_REVOKED ||
	    ((key->revocations & SG_PGP_REVOKES_SUBKEY_CRITICAL) && !is_primary(key, signer)))
		return SG_PGP_KEY_REVOKED_UNCHECKED;
	if (rnp_key_get_creation(signer, &created) != RNP_SUCCESS ||
	    rnp_key_valid_till64(signer, &until) != RNP_SUCCESS || made < created || made > until)
		return SG_PGP_KEY_NOT_VALID;
	if (rnp_key_allows_usage(signer, "sign", &may_sign) != RNP_SUCCESS || !may_sign)
		return SG_PGP_KEY_MAY_NOT_SIGN;
	return is_good_size(signer) ? SG_PGP_NO_REASON : SG_PGP_KEY_SIZE;
}

/* What librnp said of the one signature that it verified. */
static void conclude(struct sg_rnp_key *key, unsigned hash, rnp_op_verify_signature_t signature,
    struct sg_msg_pgp_verdict *verdict)
{
	rnp_result_t status = rnp_op_verify_signature_get_status(signature);
	rnp_key_handle_t signer = NULL;
	uint32_t made = 0, lifetime = 0;

	if (status == RNP_ERROR_SIGNATURE_UNKNOWN) {
		verdict->verdict = SG_SIG_UNKNOWN_METHOD;
		return;
	}
	if (rnp_op_verify_signature_get_times(signature, &made, &lifetime) != RNP_SUCCESS ||
	    rnp_op_verify_signature_get_key(signature, &signer) != RNP_SUCCESS)
		return; /* made by another key than the one it names */
	verdict->reason = objection(key, signer, made);
	rnp_key_handle_destroy(signer);
	if (verdict->reason == 0 && !is_hash_taken(key, hash, made))
		verdict->reason =
		    hash == SG_PGP_SHA1 ? SG_PGP_HASH_REFUSED_SHA1 : SG_PGP_HASH_REFUSED;
	if (verdict->reason == 0 && status == RNP_ERROR_SIGNATURE_EXPIRED)
		verdict->reason = SG_PGP_SIGNATURE_EXPIRED;
	if (verdict->reason != 0)
		verdict->verdict = SG_SIG_REFUSED;
	else if (status == RNP_SUCCESS)
		verdict->verdict = SG_SIG_GOOD;
}

void sg_rnp_key_verify(struct sg_rnp_key *key, const struct sg_blob *subject,
    const struct sg_blob *value, struct sg_msg_pgp_verdict *verdict)
{
	rnp_input_t data = NULL, packet = NULL;
	rnp_op_verify_t op = NULL;
	rnp_op_verify_signature_t signature = NULL;
	struct sg_pgp_signature form;
	const char *why;
	size_t count = 0;

	*verdict = (struct sg_msg_pgp_verdict){ .verdict = SG_SIG_UNKNOWN_METHOD };
	if (sg_pgp_signature_check(value, &form, &why) != 0)
		return;
	verdict->verdict = SG_SIG_BAD;
	if (rnp_input_from_memory(&data, subject->data, subject->len, false) == RNP_SUCCESS &&
	    rnp_input_from_memory(&packet, value->data, value->len, false) == RNP_SUCCESS &&
	    rnp_op_verify_detached_create(&op, key->ffi, data, packet) == RNP_SUCCESS) {
		(void)rnp_op_verify_execute(op); /* the signature's own status says more */
		if (rnp_op_verify_get_signature_count(op, &count) == RNP_SUCCESS && count == 1 &&
		    rnp_op_verify_get_signature_at(op, 0, &signature) == RNP_SUCCESS)
			conclude(key, form.hash, signature, verdict);
	}
	rnp_op_verify_destroy(op);
	rnp_input_destroy(data);
	rnp_input_destroy(packet);
}
