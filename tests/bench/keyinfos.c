/*
 * How many keyinfos a second are parsed and verified on one core, beside the bare RSA verify of OpenSSL.
 *
 *   keyinfos SECONDS ROUNDS
 *
 * Each keyinfo has a certificate of its own (RSA-2048) and one signature (RSA-SHA256) by one of ISSUERS certificates.
 * They come as from a node, SUBJECTS in one text: to parse it is sg_xml_parse() and sg_pep_items_decode(), to verify
 * each sg_verdict_judge() with a result that must be good. Bare is EVP_PKEY_verify() of a hash with the same key, over and over: the
 * work that nobody can save. Both sides take turns. The last line of output is JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "buf.h"
#include "keyinfo.h"
#include "pep.h"
#include "text.h"
#include "verdict.h"
#include "xml.h"

#define ISSUERS	 4
#define SUBJECTS 250 /* as a page has when all keys of a node are fetched */
#define KEYS	 8   /* key pairs; a certificate of its own makes a key of its own */

struct material {
	EVP_PKEY *keys[KEYS], *issuer_key;
	struct sg_keyinfo issuers[ISSUERS];
	struct sg_buf text; /* the items */
};

static void check(int good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "keyinfos: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static struct sg_blob certificate(EVP_PKEY *key, long serial)
{
	X509 *cert = X509_new();
	struct sg_blob der = { NULL, 0 };
	int len;

	check(cert != NULL && X509_set_version(cert, 2) == 1 &&
		ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1 &&
		X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
		    (const unsigned char *)"somebody", -1, -1, 0) == 1 &&
		X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1 &&
		X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
		X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL &&
		X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) > 0,
	    "a certificate cannot be made");
	len = i2d_X509(cert, &der.data);
	check(len > 0, "a certificate cannot be written");
	der.len = (size_t)len;
	X509_free(cert);
	return der;
}

static char *base64_of(const struct sg_blob *data)
{
	char *text = sg_base64_encode(data->data, data->len);

	check(text != NULL, "no memory");
	return text;
}

static struct sg_blob sign(EVP_PKEY *key, const struct sg_blob *data)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	struct sg_blob value = { malloc(512), 512 };

	check(value.data != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, value.data, &value.len, data->data, data->len) == 1,
	    "a signature cannot be made");
	EVP_MD_CTX_free(ctx);
	return value;
}

/* Appends an item with the subject's certificate, signed by this issuer. */
static void put_item(
    struct material *made, const struct sg_blob *der, const struct sg_keyinfo *issuer)
{
	struct sg_blob value = sign(made->issuer_key, der);
	char *name = sg_keyinfo_name_x509(der), *data = base64_of(der),
	     *signature = base64_of(&value);

	check(name != NULL, "no memory");
	sg_buf_printf(&made->text,
	    "<item id='%s'><keyinfo xmlns='" SG_NS_PUBKEY "'><name>%s</name><x509cert>%s</x509cert>"
	    "<signature><issuer>%s</issuer><value method='RSA-SHA256'>%s</value></signature>"
	    "</keyinfo></item>",
	    name, name, data, issuer->name, signature);
	free(signature);
	free(data);
	free(name);
	free(value.data);
}

static void make(struct material *made)
{
	made->issuer_key = EVP_RSA_gen(2048);
	check(made->issuer_key != NULL, "no RSA key can be made");
	for (int i = 0; i < KEYS; i++)
		check((made->keys[i] = EVP_RSA_gen(2048)) != NULL, "no RSA key can be made");
	for (int i = 0; i < ISSUERS; i++) {
		made->issuers[i].kind = SG_KEYINFO_X509;
		made->issuers[i].data = certificate(made->issuer_key, 1000000 + i);
		made->issuers[i].name = sg_keyinfo_name_x509(&made->issuers[i].data);
		check(made->issuers[i].name != NULL, "no memory");
	}
	sg_buf_put_str(
	    &made->text, "<pubsub xmlns='" SG_NS_PUBSUB "'><items node='" SG_NS_PUBKEY "'>");
	for (int i = 0; i < SUBJECTS; i++) {
		struct sg_blob der = certificate(made->keys[i % KEYS], i + 1);

		put_item(made, &der, &made->issuers[i % ISSUERS]);
		free(der.data);
	}
	sg_buf_put_str(&made->text, "</items></pubsub>");
	check(made->text.err == 0, "no memory");
}

/* ---- the two sides ---- */

/* Parses and verifies all of them; the index is made anew, as for each fetch. */
static void judge_all(const struct material *made)
{
	struct sg_verdict_index *index;
	struct sg_msg_keyinfos set;
	struct sg_xml *element;

	check(sg_xml_parse((const char *)made->text.data, made->text.len, &element) == 0, "no XML");
	check(
	    sg_pep_items_decode(element, SG_NS_PUBKEY, &set) == 0 && set.keyinfo_count == SUBJECTS,
	    "no keyinfos");
	sg_xml_free(element);
	check(sg_verdict_index_new(&index, SUBJECTS) == 0 &&
		sg_verdict_index_add(index, made->issuers, ISSUERS) == 0 &&
		sg_verdict_index_add(index, set.keyinfos, set.keyinfo_count) == 0,
	    "no memory");
	for (uint32_t i = 0; i < set.keyinfo_count; i++) {
		struct sg_verdict verdict;

		check(sg_verdict_judge(&set.keyinfos[i], index, time(NULL), &verdict) == 0 &&
			verdict.grade == SG_GRADE_SHA256,
		    "a keyinfo is not good");
		sg_verdict_clear(&verdict);
	}
	sg_verdict_index_free(index);
	sg_msg_clear(SG_MSG_KEYINFOS, &set);
}

/* Both give how many a second. */
static double keyinfo_rate(const struct material *made, double seconds)
{
	double begun = now();
	unsigned done = 0;

	for (; now() - begun < seconds; done += SUBJECTS)
		judge_all(made);
	return done / (now() - begun);
}

static double bare_rate(const struct material *made, double seconds)
{
	unsigned char hash[32];
	unsigned char value[256];
	size_t len = sizeof(value);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(made->issuer_key, NULL);
	double begun;
	unsigned done = 0;

	memset(hash, 7, sizeof(hash));
	check(EVP_PKEY_sign_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_sign(ctx, value, &len, hash, sizeof(hash)) == 1 &&
		EVP_PKEY_verify_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1,
	    "a hash cannot be signed");
	begun = now();
	while (now() - begun < seconds)
		for (int i = 0; i < 1000; i++, done++)
			check(EVP_PKEY_verify(ctx, value, len, hash, sizeof(hash)) == 1, "bad");
	EVP_PKEY_CTX_free(ctx);
	return done / (now() - begun);
}

static int by_size(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return (left > right) - (left < right);
}

static double median(double *list, int count)
{
	qsort(list, (size_t)count, sizeof(*list), by_size);
	return list[count / 2];
}

int main(int argc, char **argv)
{
	static struct material made;
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	int rounds = argc > 2 ? atoi(argv[2]) : 5;
	double ours[100], bare[100], ratios[100];

	check(seconds > 0 && rounds > 0 && rounds <= 100, "usage: keyinfos SECONDS ROUNDS");
	make(&made);
	for (int i = 0; i < rounds; i++) {
		ours[i] = keyinfo_rate(&made, seconds);
		bare[i] = bare_rate(&made, seconds);
		ratios[i] = ours[i] / bare[i];
	}
	printf("{\"keyinfos\": %.0f, \"bare\": %.0f, \"ratio\": %.3f}\n", median(ours, rounds),
	    median(bare, rounds), median(ratios, rounds));
	return 0;
}
