#include "serve.h"

#include <stdlib.h>
#include <sys/socket.h>

#include "channel.h"
#include "rnp_key.h"

#define KEYS_MAX 16 /* loaded at once: many signatures are by few keys */

struct entry {
	struct sg_msg_pgp_key copies; /* what it was made of */
	struct sg_rnp_key *key;
	uint64_t used;
};

struct server {
	struct sg_channel *channel;
	struct entry entries[KEYS_MAX];
	uint64_t now; /* counts requests */
};

static void entry_clear(struct entry *entry)
{
	sg_rnp_key_free(entry->key);
	sg_msg_clear(SG_MSG_PGP_KEY, &entry->copies);
	*entry = (struct entry){ .key = NULL };
}

static int is_same(const struct sg_msg_pgp_key *a, const struct sg_msg_pgp_key *b)
{
	if (a->at != b->at || a->copy_count != b->copy_count)
		return 0;
	for (uint32_t i = 0; i < a->copy_count; i++) {
		if (!sg_blob_eq(&a->copies[i].data, &b->copies[i].data))
			return 0;
	}
	return 1;
}

/* The loaded key of these copies, which are taken over when it is new. */
static int find_key(struct server *server, struct sg_msg_pgp_key *copies, struct sg_rnp_key **key)
{
	struct entry *oldest = &server->entries[0];
	int err;

	for (size_t i = 0; i < KEYS_MAX; i++) {
		struct entry *entry = &server->entries[i];

		if (entry->key != NULL && is_same(&entry->copies, copies)) {
			entry->used = ++server->now;
			*key = entry->key;
			return 0;
		}
		if (entry->used < oldest->used)
			oldest = entry;
	}
	err = sg_rnp_key_load(copies, key);
	if (err != 0)
		return err;
	entry_clear(oldest);
	*oldest = (struct entry){ .copies = *copies, .key = *key, .used = ++server->now };
	*copies = (struct sg_msg_pgp_key){ 0 };
	return 0;
}

static int send_error(struct server *server, uint32_t id, int code)
{
	const struct sg_msg_error error = { .code = (uint32_t)-code };

	return sg_channel_send(server->channel, id, SG_MSG_ERROR, &error, -1);
}

static int answer(struct server *server, const struct sg_frame *frame)
{
	struct sg_msg_pgp_verify *verify = frame->msg;
	struct sg_msg_pgp_verdict verdict;
	struct sg_rnp_key *key;
	int err;

	if (frame->type != SG_MSG_PGP_KEY && frame->type != SG_MSG_PGP_VERIFY)
		return SG_ERR_FORMAT;
	err = find_key(server, frame->type == SG_MSG_PGP_KEY ? frame->msg : &verify->key, &key);
	if (err == SG_ERR_NOMEM)
		return err;
	if (err != 0)
		return send_error(server, frame->id, err);
	if (frame->type == SG_MSG_PGP_KEY)
		return sg_channel_send(
		    server->channel, frame->id, SG_MSG_PGP_FACTS, sg_rnp_key_facts(key), -1);
	sg_rnp_key_verify(key, &verify->subject, &verify->value, &verdict);
	return sg_channel_send(server->channel, frame->id, SG_MSG_PGP_VERDICT, &verdict, -1);
}

int sg_pgp_serve(int sock)
{
	const struct timeval idle = { .tv_sec = SG_PGP_IDLE_MS / 1000 };
	struct server server = { .channel = NULL };
	struct sg_frame frame;
	int err =
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle)) == 0 ? 0 : SG_ERR_IO;

	if (err == 0)
		err = sg_channel_new(&server.channel, sock);
	while (err == 0 && (err = sg_channel_recv(server.channel, &frame)) == 1) {
		err = answer(&server, &frame);
		sg_frame_clear(&frame);
	}
	for (size_t i = 0; i < KEYS_MAX; i++)
		entry_clear(&server.entries[i]);
	sg_channel_free(server.channel);
	return err == SG_ERR_TIMEOUT ? 0 : err;
}
