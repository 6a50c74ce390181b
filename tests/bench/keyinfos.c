/*
 * How many keyinfos a second are parsed and verified on one core, beside the bare RSA verify of OpenSSL.
 *
 *   keyinfos SECONDS ROUNDS
 *
 * Each keyinfo is text of its own with a certificate of its own (RSA-2048) and one signature (RSA-SHA256) by one
 * of ISSUERS certificates; to parse it is sg_xml_parse() and sg_keyinfo_decode(), to verify it sg_verdict_judge()
 * with a result that must be good. Bare is EVP_PKEY_verify() of a hash with the same key, over and over: the
 * work that nobody can save. Both sides take turns. The last line of output is JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "keyinfo.h"
#include "text.h"
#include "verdict.h"
#include "xml.h"

#define ISSUERS	 32
#define SUBJECTS 1000
#define KEYS	 8 /* key pairs; a certificate of its own makes a key of its own */

struct material {
	EVP_PKEY *keys[KEYS], *issuer_key;
	struct sg_keyinfo issuers[ISSUERS];
	char *texts[SUBJECTS];
	size_t lengths[SUBJECTS];
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

/* The keyinfo of the subject's certificate, signed by this issuer. */
static char *keyinfo_text(
    const struct material *made, const struct sg_blob *der, const struct sg_keyinfo *issuer)
{
	struct sg_blob value = sign(made->issuer_key, der);
	char *name = sg_keyinfo_name_x509(der), *data = base64_of(der),
	     *signature = base64_of(&value);
	char *text = NULL;

	check(name != NULL &&
		asprintf(&text,
		    "<keyinfo xmlns='" SG_NS_PUBKEY
		    "'><name>%s</name><x509cert>%s</x509cert><signature>"
		    "<issuer>%s</issuer><value "
		    "method='RSA-SHA256'>%s</value></signature></keyinfo>",
		    name, data, issuer->name, signature) > 0,
	    "no memory");
	free(signature);
	free(data);
	free(name);
	free(value.data);
	return text;
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
	for (int i = 0; i < SUBJECTS; i++) {
		struct sg_blob der = certificate(made->keys[i % KEYS], i + 1);

		made->texts[i] = keyinfo_text(made, &der, &made->issuers[i % ISSUERS]);
		made->lengths[i] = strlen(made->texts[i]);
		free(der.data);
	}
}

/* ---- the two sides ---- */

static void judge(const struct material *made, struct sg_verdict_index *index, int which)
{
	struct sg_xml *element;
	struct sg_keyinfo keyinfo;
	struct sg_verdict verdict;
	const char *why;

	check(sg_xml_parse(made->texts[which], made->lengths[which], &element) == 0, "no XML");
	check(sg_keyinfo_decode(element, &keyinfo, &why) == 0, "no keyinfo");
	sg_xml_free(element);
	check(sg_verdict_judge(&keyinfo, index, time(NULL), &verdict) == 0 &&
		verdict.grade == SG_GRADE_SHA256,
	    "a keyinfo is not good");
	sg_verdict_clear(&verdict);
	sg_layout_clear(&sg_layout_keyinfo, &keyinfo);
}

/* Both give how many a second. The index is made anew for each set of SUBJECTS, as for each fetch. */
static double keyinfo_rate(const struct material *made, double seconds)
{
	double begun = now();
	unsigned done = 0;

	while (now() - begun < seconds) {
		struct sg_verdict_index *index;

		check(sg_verdict_index_new(&index, SUBJECTS) == 0 &&
			sg_verdict_index_add(index, made->issuers, ISSUERS) == 0,
		    "no memory");
		for (int i = 0; i < SUBJECTS; i++)
			judge(made, index, i);
		sg_verdict_index_free(index);
		done += SUBJECTS;
	}
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
