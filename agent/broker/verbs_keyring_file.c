/* ExportKeyring, ImportKeyring. */
#include "verbs.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api_json.h"
#include "call.h"
#include "events.h"
#include "fingerprint.h"
#include "keyinfo.h"
#include "keyring.h"
#include "text.h"
#include "verbs_keyring.h"
#include "x509.h"
#include "xml.h"

#define EXPORT_KEYS_MAX	 100	      /* in one reply */
#define EXPORT_BYTES_MAX (700u << 10) /* of XML in one reply; a longer keyinfo is left out */
#define IMPORT_KEYS_MAX	 250	      /* in one call: nobody else is answered meanwhile */
#define REFUSED_MAX	 100	      /* that a reply names */

/* ---- ExportKeyring ---- */

struct export
{
	json_t *pubkeys; /* texts */
	json_t *left_out;
	size_t bytes;
	size_t count;
	int64_t last;
	int more;
	const char *jid; /* only of this one */
};

/* The key as somebody would answer a request about the JID (XEP-0189, third party). */
static char *pubkeys_text(const struct sg_keyinfo *keyinfo, const char *jid)
{
	struct sg_xml *root = sg_xml_new("pubkeys", SG_NS_PUBKEY), *element = NULL;
	char *text = NULL;

	if (root != NULL && sg_xml_set_attr(root, "jid", jid) == 0 &&
	    sg_keyinfo_encode(keyinfo, &element) == 0 && sg_xml_add(root, element) == 0)
		text = sg_xml_to_string(root);
	sg_xml_free(root);
	return text;
}

static int was_before(const struct sg_known_key *key, uint32_t at)
{
	for (uint32_t i = 0; i < at; i++) {
		if (strcmp(key->sightings[i].jid, key->sightings[at].jid) == 0)
			return 1;
	}
	return 0;
}

/* One text for each JID of which it was shown or told. */
static int texts_of(
    const struct export *export, const struct sg_known_key *key, json_t *texts, size_t *bytes)
{
	*bytes = 0;
	for (uint32_t i = 0; i < key->sighting_count; i++) {
		const char *jid = key->sightings[i].jid;
		char *text;

		if (was_before(key, i) || (export->jid != NULL && strcmp(export->jid, jid) != 0))
			continue;
		text = pubkeys_text(&key->keyinfo, jid);
		if (text == NULL)
			return SG_ERR_NOMEM;
		*bytes += strlen(text);
		json_array_append_new(texts, json_string(text));
		free(text);
		if (*bytes > EXPORT_BYTES_MAX)
			return SG_ERR_LIMIT;
	}
	return 0;
}

static int export_key(void *arg, struct sg_known_key *key)
{
	struct export *export = arg;
	json_t *texts;
	size_t bytes;
	int err;

	if (export->more || export->count == EXPORT_KEYS_MAX) {
		export->more = 1;
		return 0;
	}
	texts = json_array();
	err = texts_of(export, key, texts, &bytes);
	if (err == SG_ERR_LIMIT) {
		json_array_append_new(export->left_out, json_string(key->keyinfo.name));
		err = 0;
	} else if (err == 0 && export->count > 0 && export->bytes + bytes > EXPORT_BYTES_MAX) {
		export->more = 1;
	} else if (err == 0) {
		json_array_extend(export->pubkeys, texts);
		export->bytes += bytes;
	}
	json_decref(texts);
	if (err == 0 && !export->more) {
		export->count++;
		export->last = key->id;
	}
	return err;
}

static int export_names(struct sg_call *call, const json_t *names, struct export *export)
{
	int err = 0;

	for (size_t i = 0; err == 0 && i < json_array_size(names); i++) {
		char *name = sg_fingerprint_take(json_string_value(json_array_get(names, i)));
		size_t before = export->count;

		err = name != NULL ? sg_store_keyring_get(call->agent->store, name,
					 SG_KNOWN_SIGNATURES, export_key, export)
				   : SG_ERR_NOMEM;
		if (err == 0 && export->count == before && !export->more)
			err = SG_ERR_KEY_ABSENT;
		free(name);
	}
	return err == 0 && export->more ? SG_ERR_LIMIT : err;
}

static void export_reply(struct sg_call *call, const struct export *export, int err)
{
	if (err == SG_ERR_KEY_ABSENT) {
		sg_call_advise(call, err, "`signet keyring list` shows the keys that are known.");
		sg_call_fail_with(call, err, "names", "one of these keys is not known");
	} else if (err != 0) {
		sg_call_fail_code(call, err, NULL);
	} else {
		sg_call_reply(call,
		    json_pack("{s:O, s:O, s:o}", "pubkeys", export->pubkeys, "left_out",
			export->left_out, "next", sg_json_next(export->more, export->last)));
	}
}

void sg_verb_export_keyring(struct sg_call *call)
{
	const json_t *names = json_object_get(call->parameters, "names");
	const char *of = sg_call_string(call, "jid");
	char *jid = of != NULL ? sg_jid_bare(of) : NULL;
	struct export export = { .pubkeys = json_array(), .left_out = json_array(), .jid = jid };
	struct sg_keyring_query query = { .jid = jid, .max = EXPORT_KEYS_MAX + 1 };
	int err;

	if (of != NULL && jid == NULL) {
		sg_call_fail_with(call, SG_ERR_ARG, "jid", "\"%s\" is no JID", of);
	} else if (sg_call_take_after(call, &query.after)) {
		err = json_is_array(names) ? export_names(call, names, &export)
					   : sg_store_keyring_list(call->agent->store, &query,
						 SG_KNOWN_SIGNATURES, export_key, &export);
		export_reply(call, &export, err);
	}
	json_decref(export.pubkeys);
	json_decref(export.left_out);
	free(jid);
}

/* ---- ImportKeyring ---- */

struct import {
	struct sg_store *store;
	struct sg_keyinfo *keyinfos;
	size_t keyinfo_count;
	struct sg_import *list; /* a key may be there once for each of its JIDs */
	char **jids;		/* those of the list */
	size_t count;
	json_t *refused;
	json_int_t refused_count;
};

static void import_clear(struct import *import)
{
	for (size_t i = 0; i < import->keyinfo_count; i++)
		sg_layout_clear(&sg_layout_keyinfo, &import->keyinfos[i]);
	for (size_t i = 0; i < import->count; i++)
		free(import->jids[i]);
	free(import->keyinfos);
	free(import->list);
	free(import->jids);
	json_decref(import->refused);
}

static void import_refuse(struct import *import, const char *name, const char *reason)
{
	import->refused_count++;
	if (json_array_size(import->refused) < REFUSED_MAX)
		json_array_append_new(import->refused,
		    json_pack("{s:o, s:s}", "name", sg_json_text(name), "reason", reason));
}

/* The JID's, whose key it is said to be. */
static int import_as(struct import *import, const struct sg_keyinfo *keyinfo, const char *jid)
{
	if (import->count == IMPORT_KEYS_MAX)
		return SG_ERR_LIMIT;
	import->jids[import->count] = strdup(jid);
	if (import->jids[import->count] == NULL)
		return SG_ERR_NOMEM;
	import->list[import->count] = (struct sg_import){ import->jids[import->count], keyinfo };
	import->count++;
	return 0;
}

/* A certificate says itself whose it is, when nobody else does. */
static int import_as_certified(struct import *import, const struct sg_keyinfo *keyinfo)
{
	char **jids = NULL;
	X509 *cert = NULL;
	int err = 0, any = 0;

	if (keyinfo->kind == SG_KEYINFO_X509 && sg_x509_cert_parse(&keyinfo->data, &cert) == 0 &&
	    sg_x509_cert_jids(cert, &jids, NULL) == 0) {
		for (size_t i = 0; err == 0 && jids[i] != NULL; i++) {
			char *bare = sg_jid_bare(jids[i]);

			if (bare != NULL) {
				err = import_as(import, keyinfo, bare);
				any = 1;
			}
			free(bare);
		}
	}
	if (!any)
		import_refuse(import, keyinfo->name,
		    "neither it nor the file says whose it is: give the JID");
	sg_strv_free(jids);
	X509_free(cert);
	return err;
}

static int import_keyinfo(struct import *import, const struct sg_xml *element, const char *jid)
{
	struct sg_keyinfo *keyinfo;
	const char *why = NULL;
	int err;

	if (import->keyinfo_count == IMPORT_KEYS_MAX)
		return SG_ERR_LIMIT;
	keyinfo = &import->keyinfos[import->keyinfo_count];
	err = sg_keyinfo_decode(element, keyinfo, &why);
	if (err == SG_ERR_NOMEM)
		return err;
	if (err != 0) {
		const struct sg_xml *name = sg_xml_child(element, "name", NULL);
		char *text = name != NULL ? sg_xml_text(name) : NULL;

		import_refuse(import, text, why != NULL ? why : sg_err_text(err));
		free(text);
		return 0;
	}
	import->keyinfo_count++;
	return jid != NULL ? import_as(import, keyinfo, jid) : import_as_certified(import, keyinfo);
}

/* Every keyinfo, wherever it stands; it is the JID's that the pubkeys around it name. The depth is
 * bounded by the parser. */
static int import_walk(struct import *import, const struct sg_xml *element, const char *jid)
{
	char *named = NULL;
	int err = 0;

	if (sg_xml_is(element, "keyinfo", SG_NS_PUBKEY))
		return import_keyinfo(import, element, jid);
	if (sg_xml_is(element, "pubkeys", SG_NS_PUBKEY) && sg_xml_attr(element, "jid") != NULL) {
		named = sg_jid_bare(sg_xml_attr(element, "jid"));
		if (named == NULL) {
			import_refuse(import, NULL, "the jid of its pubkeys is no JID");
			return 0;
		}
		jid = named;
	}
	for (const struct sg_xml *child = sg_xml_first(element); err == 0 && child != NULL;
	     child = sg_xml_next(child))
		err = import_walk(import, child, jid);
	free(named);
	return err;
}

static void import_keep(struct sg_call *call, struct import *import)
{
	enum sg_learnt *learnt = calloc(import->count + 1, sizeof(*learnt));
	json_int_t added = 0, known = 0, own = 0;
	int err = learnt != NULL ? sg_store_keyring_import(import->store, import->list,
				       import->count, time(NULL), learnt)
				 : SG_ERR_NOMEM;

	for (size_t i = 0; err == 0 && i < import->count; i++) {
		if (learnt[i] & SG_LEARNT_REVOKED)
			sg_events_tell_key(call->agent, SG_NEWS_KEY_REVOKED, import->list[i].jid,
			    import->list[i].keyinfo->name, NULL);
		learnt[i] &= ~SG_LEARNT_REVOKED;
		added += learnt[i] == SG_LEARNT_KEY;
		known += learnt[i] == SG_LEARNT_NOTHING || learnt[i] == SG_LEARNT_SIGHTING;
		own += learnt[i] == SG_LEARNT_OWN;
		if (learnt[i] == SG_LEARNT_REFUSED)
			import_refuse(import, import->list[i].keyinfo->name,
			    "its name is not that of its data");
	}
	if (err != 0)
		sg_call_fail_code(call, err, NULL);
	else
		sg_call_reply(call,
		    json_pack("{s:I, s:I, s:I, s:O, s:I}", "added", added, "known", known, "own",
			own, "refused", import->refused, "refused_count", import->refused_count));
	free(learnt);
}

void sg_verb_import_keyring(struct sg_call *call)
{
	const char *text = sg_call_string(call, "keyinfos"), *of = sg_call_string(call, "jid");
	char *jid = of != NULL ? sg_jid_bare(of) : NULL;
	struct import import = {
		.store = call->agent->store,
		.keyinfos = calloc(IMPORT_KEYS_MAX, sizeof(struct sg_keyinfo)),
		.list = calloc(IMPORT_KEYS_MAX, sizeof(struct sg_import)),
		.jids = calloc(IMPORT_KEYS_MAX, sizeof(char *)),
		.refused = json_array(),
	};
	struct sg_xml *root = NULL;
	int err = SG_ERR_NOMEM;

	if (import.keyinfos == NULL || import.list == NULL || import.jids == NULL) {
		sg_call_fail_code(call, err, NULL);
	} else if (of != NULL && jid == NULL) {
		sg_call_fail_with(call, SG_ERR_ARG, "jid", "\"%s\" is no JID", of);
	} else if ((err = sg_xml_parse(text, strlen(text), &root)) != 0) {
		sg_call_fail_with(call, err == SG_ERR_NOMEM ? err : SG_ERR_KEYINFO, "keyinfos",
		    "the keyinfos are no well-formed XML, or too deep or too many");
	} else if ((err = import_walk(&import, root, jid)) != 0) {
		sg_call_fail_with(call, err, "keyinfos",
		    "more than %d keys came in one call: nothing was kept", IMPORT_KEYS_MAX);
	} else {
		import_keep(call, &import);
	}
	sg_xml_free(root);
	import_clear(&import);
	free(jid);
}
