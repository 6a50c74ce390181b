#include "held.h"

#include <string.h>

#include <openssl/crypto.h>

void sg_held_clear(struct sg_held *held)
{
	sg_secret_free(held->pin);
	OPENSSL_cleanse(held, sizeof(*held));
}

void sg_held_set(struct sg_token *token, struct sg_held *held)
{
	pthread_mutex_lock(&token->held_lock);
	sg_held_clear(&token->held);
	token->held = *held;
	token->held_out = 0;
	pthread_mutex_unlock(&token->held_lock);
	memset(held, 0, sizeof(*held));
}

int sg_held_take(struct sg_token *token, struct sg_held *held)
{
	pthread_mutex_lock(&token->held_lock);
	*held = token->held;
	memset(&token->held, 0, sizeof(token->held));
	token->held_out = held->pin != NULL;
	token->held_out_returns = held->returns;
	pthread_mutex_unlock(&token->held_lock);
	return held->pin != NULL;
}

void sg_held_give(struct sg_token *token, struct sg_held *held)
{
	pthread_mutex_lock(&token->held_lock);
	if (token->held_out) {
		token->held = *held;
		memset(held, 0, sizeof(*held));
	}
	token->held_out = 0;
	pthread_mutex_unlock(&token->held_lock);
	sg_held_clear(held);
}

int sg_held_wipe(struct sg_token *token)
{
	int was;

	pthread_mutex_lock(&token->held_lock);
	was = token->held_out || token->held.pin != NULL;
	token->held_out = 0;
	sg_held_clear(&token->held);
	pthread_mutex_unlock(&token->held_lock);
	return was;
}

int sg_held_is(struct sg_token *token)
{
	int is;

	pthread_mutex_lock(&token->held_lock);
	is = token->held_out || token->held.pin != NULL;
	pthread_mutex_unlock(&token->held_lock);
	return is;
}

int sg_held_returns(struct sg_token *token)
{
	int returns;

	pthread_mutex_lock(&token->held_lock);
	returns = token->held_out ? token->held_out_returns : token->held.returns;
	pthread_mutex_unlock(&token->held_lock);
	return returns;
}
