#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api_json.h"
#include "files.h"
#include "keyset.h"
#include "path.h"
#include "path_json.h"
#include "print.h"
#include "show.h"
#include "verdict.h"
#include "xml.h"

/* Signatures of one file that are checked: a person waits for it, and may end it. */
#define CHECKS_MAX 20000

/* How the keys of the file came out together. */
struct tally {
	size_t signatures;
	size_t good_keys;
	size_t strong_keys; /* of those, the ones with more than SHA-1 */
	size_t from_file;   /* good signatures whose issuer came in the file, and was not given */
	size_t unknown_issuer;
	size_t unknown_method;
	size_t unchecked;
	const char
	    *reason; /* why the first that was refused, or could not be judged, does not count */
	size_t dropped;
	const char *bad; /* the name of the first key with a bad signature */
};

/* RFC 3339 in UTC, or a day alone: its first second. */
static int time_parse(const char *text, time_t *at)
{
	static const char *const formats[] = { "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d" };

	for (size_t i = 0; i < 2; i++) {
		struct tm tm = { 0 }, back;
		const char *end = strptime(text, formats[i], &tm);
		int day = tm.tm_mday;

		if (end == NULL || *end != '\0')
			continue;
		*at = timegm(&tm);
		/* strptime() takes February 31. */
		if (gmtime_r(at, &back) != NULL && back.tm_mday == day)
			return 0;
	}
	return SG_ERR_ARG;
}

/* The API's PublicKey, and how many signatures of it were dropped. */
static json_t *key_json(
    const struct sg_keyinfo *key, size_t dropped, const struct sg_verdict *verdict)
{
	json_t *object = sg_json_public_key(key, verdict);

	(void)json_object_set_new(object, "dropped", json_integer((json_int_t)dropped));
	return object;
}

/* ---- judging ---- */

/* What a file is judged by. */
struct bench {
	struct sg_verdict_index *known; /* every key at hand: given, and of the file itself */
	struct sg_verdict_index *given;
	time_t at;
	struct tally tally;
	json_t *keys; /* the outcome */
};

static void count_verdict(
    struct bench *bench, const struct sg_keyinfo *key, const struct sg_verdict *verdict)
{
	struct tally *tally = &bench->tally;

	tally->signatures += verdict->signature_count;
	for (size_t i = 0; i < verdict->signature_count; i++) {
		enum sg_signature_verdict one = verdict->signatures[i];

		tally->unknown_issuer += one == SG_SIG_UNKNOWN_ISSUER;
		tally->unknown_method += one == SG_SIG_UNKNOWN_METHOD;
		tally->unchecked += one == SG_SIG_UNCHECKED && verdict->reasons[i] == NULL;
		if (tally->reason == NULL && (one == SG_SIG_REFUSED || one == SG_SIG_UNCHECKED))
			tally->reason = verdict->reasons[i];
		tally->from_file += one == SG_SIG_GOOD &&
		    !sg_verdict_index_has(bench->given, key->signatures[i].issuer);
	}
	tally->good_keys += verdict->grade == SG_GRADE_SHA1 || verdict->grade == SG_GRADE_SHA256;
	tally->strong_keys += verdict->grade == SG_GRADE_SHA256;
	if (verdict->grade == SG_GRADE_BAD && tally->bad == NULL)
		tally->bad = key->name;
}

static int judge_key(struct bench *bench, const struct sg_keyinfo *key, size_t dropped)
{
	struct sg_verdict verdict;
	int err = sg_verdict_judge(key, bench->known, bench->at, &verdict);

	if (err == 0) {
		count_verdict(bench, key, &verdict);
		bench->tally.dropped += dropped;
		if (json_array_append_new(bench->keys, key_json(key, dropped, &verdict)) != 0)
			err = SG_ERR_NOMEM;
	}
	sg_verdict_clear(&verdict);
	return err;
}

static int judge_all(
    struct bench *bench, const struct sg_keyset *file, const struct sg_keyset *given)
{
	int err = sg_verdict_index_new(&bench->known, CHECKS_MAX);

	if (err == 0)
		err = sg_verdict_index_new(&bench->given, 0);
	if (err == 0)
		err = sg_verdict_index_add(bench->given, given->keys, given->count);
	if (err == 0)
		err = sg_verdict_index_add(bench->known, given->keys, given->count);
	if (err == 0)
		err = sg_verdict_index_add(bench->known, file->keys, file->count);
	for (size_t i = 0; err == 0 && i < file->count; i++)
		err = judge_key(bench, &file->keys[i], file->dropped[i]);
	sg_verdict_index_free(bench->known);
	sg_verdict_index_free(bench->given);
	return err;
}

/* ---- why ---- */

/* The keys of the set, as ones that the person trusts when they were given. */
static int graph_add(struct sg_path_graph *graph, const struct sg_keyset *set, unsigned flags)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < set->count; i++) {
		const struct sg_path_key key = { .keyinfo = &set->keys[i], .flags = flags };

		err = sg_path_graph_add(graph, &key);
	}
	return err;
}

/* Adds to each key of the outcome the path to it. */
static int explain_all(struct bench *bench, struct sg_path_graph *graph)
{
	json_t *key;
	size_t i;

	json_array_foreach(bench->keys, i, key) {
		const char *name = sg_member(key, "name", "");
		struct sg_path path;
		int err = sg_path_judge(graph, name, &path);

		if (err != 0)
			return err;
		if (json_object_set_new(key, "path", sg_json_path(graph, name, &path)) != 0)
			return SG_ERR_NOMEM;
	}
	return 0;
}

static int explain(struct sg_cli *cli, struct bench *bench, const struct sg_keyset *file,
    const struct sg_keyset *given)
{
	struct sg_path_graph *graph = NULL;
	int err = sg_path_graph_new(&graph, bench->at, CHECKS_MAX);

	if (err == 0)
		err = graph_add(graph, given, SG_PATH_TRUSTED);
	if (err == 0)
		err = graph_add(graph, file, 0);
	if (err == SG_ERR_LIMIT)
		err = sg_cli_fail(cli, err, "Judge its keys in several files.",
		    "'%s' holds more keys or signatures than --why looks at",
		    cli->args.operands[0]);
	if (err == 0)
		err = explain_all(bench, graph);
	sg_path_graph_free(graph);
	return err;
}

/* The sentence of a file that does not verify; 0 when it does. */
static int conclude(struct sg_cli *cli, const struct sg_keyset *file, const struct tally *tally)
{
	const struct sg_refusal *refused = file->refused;

	if (file->count + file->refused_count == 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO, "Give a keyinfo, or what holds some.",
		    "there is no keyinfo (urn:xmpp:tmp:pubkey) in '%s'", cli->args.operands[0]);
	if (file->refused_count > 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO, NULL,
		    "%zu of %zu keyinfos refused; the first, '%s': %s", file->refused_count,
		    file->count + file->refused_count, refused->name != NULL ? refused->name : "",
		    refused->reason);
	if (tally->bad != NULL)
		return sg_cli_fail_bad_key(cli, tally->bad);
	if (tally->unchecked > 0)
		return sg_cli_fail(cli, SG_ERR_LIMIT, "Judge its keys in several files.",
		    "'%s' holds more than %d signatures to check; %zu were not looked at",
		    cli->args.operands[0], CHECKS_MAX, tally->unchecked);
	if (tally->good_keys > 0)
		return 0;
	if (tally->signatures == 0 && tally->dropped > 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO, "Ask its owner to sign it anew.",
		    "no signature could be checked: %zu cannot be read", tally->dropped);
	if (tally->signatures == 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO,
		    "Compare its name with its owner by another way.",
		    "unsigned: no key in '%s' carries a signature", cli->args.operands[0]);
	if (tally->reason != NULL)
		return sg_cli_fail(cli, SG_ERR_KEYINFO, "Ask its owner to sign it anew.",
		    "no signature counts: %s", tally->reason);
	if (tally->unknown_issuer > 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO,
		    "Give the issuer's certificate or OpenPGP key with --issuer.",
		    "no signature could be checked: the key of its issuer is not at hand");
	if (tally->unknown_method > 0)
		return sg_cli_fail(cli, SG_ERR_KEYINFO,
		    "Ask its owner to sign it by another method.",
		    "no signature could be checked: its method is unknown or does not fit the key");
	return sg_cli_fail(cli, SG_ERR_KEYINFO, "Compare its name with its owner by another way.",
	    "signed by itself alone, and that counts for nothing");
}

static json_t *refused_json(const struct sg_keyset *file)
{
	json_t *list = json_array();

	for (size_t i = 0; i < file->refused_count; i++)
		(void)json_array_append_new(list,
		    json_pack("{s:o, s:s}", "name", sg_json_text(file->refused[i].name), "reason",
			file->refused[i].reason));
	return list;
}

/* ---- the command ---- */

static int read_file(struct sg_cli *cli, const char *path, int issuer, struct sg_keyset *set)
{
	struct sg_blob data = { 0 };
	const char *why = NULL;
	int err = sg_file_read(cli, path, SG_XML_BYTES_MAX, &data);

	if (err != 0)
		return err;
	err = issuer ? sg_keyset_add_issuer(set, &data, &why) : sg_keyset_add_xml(set, &data, &why);
	if (err != 0 && err != SG_ERR_NOMEM)
		err = sg_cli_fail(cli, SG_ERR_KEYINFO, "Nothing of it was used.",
		    "'%s' cannot be used: %s", path, why);
	sg_blob_clear(&data);
	return err;
}

static int read_issuers(struct sg_cli *cli, struct sg_keyset *given)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < cli->args.repeated_count; i++) {
		const char *path = cli->args.repeated[i].value;
		size_t before = given->count;

		err = read_file(cli, path, 1, given);
		if (err == 0 && (given->count == before || given->refused_count > 0))
			err = sg_cli_fail(cli, SG_ERR_KEYINFO, "Nothing was judged.",
			    "'%s' is no good issuer: %s", path,
			    given->refused_count > 0 ? given->refused[0].reason
						     : "it holds no key");
	}
	return err;
}

/* signet.conf has nothing to say to what is judged without an agent. */
static int take_sha1(struct sg_cli *cli)
{
	const char *text = cli->args.value[SG_OPT_SHA1];
	enum sg_sha1 sha1 = SG_SHA1_VERIFY;

	if (text != NULL && sg_sha1_parse(text, &sha1) != 0)
		return sg_cli_fail(cli, SG_ERR_ARG, "Write off, verify or on.",
		    "'%s' says nothing about SHA-1", text);
	sg_verdict_set_sha1(sha1);
	return 0;
}

int sg_verify(struct sg_cli *cli, json_t **result)
{
	const char *at_text = cli->args.value[SG_OPT_AT];
	struct sg_keyset file = { 0 }, given = { 0 };
	struct bench bench = { .at = time(NULL), .keys = json_array() };
	int err = 0;

	if (at_text != NULL && time_parse(at_text, &bench.at) != 0)
		err = sg_cli_fail(cli, SG_ERR_ARG, "Write it as 2026-01-31T12:00:00Z, in UTC.",
		    "'%s' is no time", at_text);
	if (err == 0)
		err = take_sha1(cli);
	if (err == 0)
		err = read_issuers(cli, &given);
	if (err == 0)
		err = read_file(cli, cli->args.operands[0], 0, &file);
	if (err == 0)
		err = judge_all(&bench, &file, &given);
	if (err == 0 && sg_args_has(&cli->args, SG_OPT_WHY))
		err = explain(cli, &bench, &file, &given);
	if (err == 0) {
		*result = json_pack("{s:O, s:o, s:b, s:b}", "keys", bench.keys, "refused",
		    refused_json(&file), "sha1_only",
		    bench.tally.good_keys > bench.tally.strong_keys, "issuer_from_file",
		    bench.tally.from_file > 0);
		err = *result != NULL ? conclude(cli, &file, &bench.tally) : SG_ERR_NOMEM;
	}
	json_decref(bench.keys);
	sg_keyset_clear(&file);
	sg_keyset_clear(&given);
	return err;
}

void sg_verify_show(const struct sg_cli *cli, const json_t *result)
{
	const json_t *refused = json_object_get(result, "refused"), *refusal;
	size_t i;

	sg_show_public_keys(json_object_get(result, "keys"));
	json_array_foreach(refused, i, refusal) {
		putchar('\n');
		sg_print_field("name", sg_member(refusal, "name", "-"));
		sg_print_member("refused", refusal, "reason");
	}
	if (json_is_true(json_object_get(result, "issuer_from_file")))
		puts("\nThe key of an issuer came with the file itself: compare its name with its "
		     "owner\n"
		     "by another way, or give the certificate that you know with --issuer.");
}
