#include "rate.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#define MINUTE_US INT64_C(60000000)
#define WAYS	  8 /* places that an account can have */

/* The generic cell rate algorithm: one moment an account says all. */
struct place {
	uint64_t account;
	int64_t used_until_us; /* what it asked for is paid for then; past: an empty place */
};

struct sg_rate {
	int64_t cost_us;	/* of one request */
	unsigned char salt[16]; /* so that nobody can choose whose place an account's name takes */
	struct place places[SG_RATE_ACCOUNTS];
};

int sg_rate_new(unsigned int per_minute, struct sg_rate **rate)
{
	struct sg_rate *self = calloc(1, sizeof(*self));

	*rate = NULL;
	if (self == NULL)
		return SG_ERR_NOMEM;
	self->cost_us = MINUTE_US / per_minute;
	if (RAND_bytes(self->salt, sizeof(self->salt)) != 1) {
		free(self);
		return SG_ERR_INTERNAL;
	}
	*rate = self;
	return 0;
}

void sg_rate_free(struct sg_rate *rate)
{
	free(rate);
}

static uint64_t hash(const struct sg_rate *rate, const char *account)
{
	unsigned char digest[EVP_MAX_MD_SIZE] = { 0 };
	uint64_t number;

	HMAC(EVP_sha256(), rate->salt, sizeof(rate->salt), (const unsigned char *)account,
	    strlen(account), digest, NULL);
	memcpy(&number, digest, sizeof(number));
	return number;
}

/* The account's place, or the one that will be empty first. */
static struct place *place_of(struct sg_rate *rate, uint64_t account)
{
	struct place *ways = &rate->places[account % (SG_RATE_ACCOUNTS / WAYS) * WAYS];
	struct place *found = ways;

	for (size_t i = 0; i < WAYS; i++) {
		if (ways[i].account == account)
			return &ways[i];
		if (ways[i].used_until_us < found->used_until_us)
			found = &ways[i];
	}
	found->account = account;
	found->used_until_us = 0;
	return found;
}

int sg_rate_take(struct sg_rate *rate, const char *account, int64_t now_ms)
{
	struct place *place = place_of(rate, hash(rate, account));
	int64_t now_us = now_ms * 1000;
	int64_t from = place->used_until_us > now_us ? place->used_until_us : now_us;

	if (from + rate->cost_us > now_us + MINUTE_US)
		return 0;
	place->used_until_us = from + rate->cost_us;
	return 1;
}
