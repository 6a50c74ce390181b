#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "log.h"
#include "store.h"

#define CARD_TRIES_MAX 16 /* that a card can tell of (SP 800-73), or that its PIN is verified */

struct sg_ledgers {
	unsigned char key[SG_LEDGER_KEY_SIZE];
	/* The last PIN that a token took: by and hash; serial is the token's name here. */
	struct sg_msg_pin_outcome taken;
};

/* ---- the key ---- */

static int key_refuse(const char *path, const char *why, int err)
{
	sg_log(SG_LOG_ERROR,
	    "%s %s: without it no PIN is known to be wrong. Put it right, or move it away for a "
	    "new one",
	    path, why);
	return err;
}

/* Either the whole key is in the file, or there is no file. */
static int key_make(const char *path, unsigned char key[SG_LEDGER_KEY_SIZE])
{
	int fd;

	if (RAND_bytes(key, SG_LEDGER_KEY_SIZE) != 1)
		return SG_ERR_INTERNAL;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && write(fd, key, SG_LEDGER_KEY_SIZE) == SG_LEDGER_KEY_SIZE && fsync(fd) == 0) {
		close(fd);
		return 0;
	}
	if (fd >= 0) {
		close(fd);
		unlink(path);
	}
	return key_refuse(path, "cannot be written", SG_ERR_IO);
}

static int key_read(const char *path, int fd, unsigned char key[SG_LEDGER_KEY_SIZE])
{
	unsigned char more;
	struct stat st;

	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return key_refuse(path, "is no file", SG_ERR_IO);
	if (st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return key_refuse(
		    path, "is not ours, or open to others (mode 0600)", SG_ERR_DENIED);
	if (read(fd, key, SG_LEDGER_KEY_SIZE) != SG_LEDGER_KEY_SIZE || read(fd, &more, 1) != 0)
		return key_refuse(path, "is damaged", SG_ERR_IO);
	return 0;
}

int sg_ledgers_new(const char *key_path, struct sg_ledgers **ledgers)
{
	struct sg_ledgers *made = calloc(1, sizeof(*made));
	int fd, err;

	*ledgers = NULL;
	if (made == NULL)
		return SG_ERR_NOMEM;
	fd = open(key_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		err = key_read(key_path, fd, made->key);
		close(fd);
	} else if (errno == ENOENT) {
		err = key_make(key_path, made->key);
	} else {
		err = key_refuse(key_path, "cannot be opened", SG_ERR_IO);
	}
	if (err != 0) {
		sg_ledgers_free(made);
		return err;
	}
	*ledgers = made;
	return 0;
}

void sg_ledgers_free(struct sg_ledgers *ledgers)
{
	if (ledgers == NULL)
		return;
	OPENSSL_cleanse(ledgers->key, sizeof(ledgers->key));
	sg_msg_clear(SG_MSG_PIN_OUTCOME, &ledgers->taken);
	free(ledgers);
}

/* ---- ledgers ---- */

const char *sg_ledger_name(const char *serial, const char *uri)
{
	if (serial != NULL && serial[strspn(serial, "0")] != '\0')
		return serial;
	return uri != NULL ? uri : "";
}

static int ledger_make(const struct sg_agent *agent, const char *serial, uint32_t by)
{
	unsigned char bytes[SG_LEDGER_SALT_SIZE];
	const struct sg_blob salt = { bytes, sizeof(bytes) };

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return SG_ERR_INTERNAL;
	return sg_store_ledger_make(agent->store, serial, by, &salt);
}

static int ledger_row(
    const struct sg_agent *agent, const char *serial, uint32_t by, struct sg_ledger_row *row)
{
	int err = sg_store_ledger_get(agent->store, serial, by, row);

	if (err == SG_ERR_KEY_ABSENT)
		err = ledger_make(agent, serial, by);
	else
		return err;
	return err == 0 ? sg_store_ledger_get(agent->store, serial, by, row) : err;
}

/* After how many wrong PINs it locks, or 0 when that is not to be counted. What the token's flags
 * say here is of the user PIN alone. */
static uint32_t tries_max(const struct sg_agent *agent, const struct sg_token_info *token,
    uint32_t by, const struct sg_ledger_row *row)
{
	if (row->told != 0 || (by == SG_PIN_USER && (token->flags & SG_LEDGER_TELLING) != 0))
		return 0;
	return sg_config_pin_policy(&agent->config, token->label, token->serial).pin_tries;
}

/* As its owner says. */
static int never_locks(const struct sg_agent *agent, const struct sg_token_info *token)
{
	return sg_config_pin_policy(&agent->config, token->label, token->serial).pin_tries == 0;
}

/* One more try of a PIN that may be right costs nothing there, and no person may be near. */
static void unsure_drop(struct sg_pin_ledger *ledger)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < ledger->wrong_count; i++) {
		if (ledger->wrong[i].unsure == 0)
			ledger->wrong[kept++] = ledger->wrong[i];
		else
			sg_blob_clear(&ledger->wrong[i].hash);
	}
	ledger->wrong_count = kept;
}

int sg_ledger_get(const struct sg_agent *agent, const struct sg_token_info *token, uint32_t by,
    struct sg_pin_ledger *ledger)
{
	struct sg_ledger_row row;
	int err;

	memset(ledger, 0, sizeof(*ledger));
	err = ledger_row(agent, sg_ledger_name(token->serial, token->uri), by, &row);
	if (err != 0)
		return err;
	ledger->tries = row.tries;
	ledger->tries_max = tries_max(agent, token, by, &row);
	ledger->salt = row.salt;
	ledger->wrong = row.wrong;
	ledger->wrong_count = row.wrong_count;
	if (never_locks(agent, token))
		unsure_drop(ledger);
	err = sg_blob_set(&ledger->key, agent->ledgers->key, SG_LEDGER_KEY_SIZE);
	if (err != 0)
		sg_ledger_clear(ledger);
	return err;
}

void sg_ledger_clear(struct sg_pin_ledger *ledger)
{
	struct sg_ledger_row row = {
		.salt = ledger->salt, .wrong = ledger->wrong, .wrong_count = ledger->wrong_count
	};

	sg_ledger_row_clear(&row);
	if (ledger->key.data != NULL)
		OPENSSL_cleanse(ledger->key.data, ledger->key.len);
	sg_blob_clear(&ledger->key);
	memset(ledger, 0, sizeof(*ledger));
}

int sg_ledger_try(const struct sg_agent *agent, const struct sg_msg_pin_try *try)
{
	const char *name = sg_ledger_name(try->serial, try->token);
	uint32_t told = (try->flags & SG_LEDGER_TELLING) != 0;
	uint32_t unsure = try->left <= CARD_TRIES_MAX ? SG_PIN_UNSURE_AT(try->left) : 1;
	int err = sg_store_ledger_try(agent->store, name, try->by, &try->hash, unsure, told);

	if (err == SG_ERR_KEY_ABSENT) {
		err = ledger_make(agent, name, try->by);
		if (err == 0)
			err = sg_store_ledger_try(
			    agent->store, name, try->by, &try->hash, unsure, told);
	}
	return err;
}

static void taken_keep(struct sg_ledgers *ledgers, const struct sg_msg_pin_outcome *outcome)
{
	struct sg_msg_pin_outcome *taken = &ledgers->taken;

	sg_msg_clear(SG_MSG_PIN_OUTCOME, taken);
	taken->serial = strdup(sg_ledger_name(outcome->serial, outcome->token));
	taken->by = outcome->by;
	if (taken->serial == NULL ||
	    sg_blob_set(&taken->hash, outcome->hash.data, outcome->hash.len) != 0)
		sg_msg_clear(SG_MSG_PIN_OUTCOME, taken);
}

static void state_read(
    const struct sg_agent *agent, const char *name, uint32_t by, struct sg_ledger_state *state)
{
	struct sg_ledger_row row = { .tries = 0 };

	*state = (struct sg_ledger_state){ .tries = 0 };
	if (sg_store_ledger_get(agent->store, name, by, &row) != 0)
		return;
	state->tries = row.tries;
	state->locked = row.locked != 0;
	state->told = row.told != 0;
	sg_ledger_row_clear(&row);
}

static int was_taken_last(
    const struct sg_ledgers *ledgers, const char *name, uint32_t by, const struct sg_blob *hash)
{
	const struct sg_msg_pin_outcome *taken = &ledgers->taken;

	return taken->serial != NULL && taken->by == by && strcmp(taken->serial, name) == 0 &&
	    hash->len > 0 && taken->hash.len == hash->len &&
	    memcmp(taken->hash.data, hash->data, hash->len) == 0;
}

/* Whether the token's flags tell that this was no try: they were read afterwards and show no
 * failure, and they are known to show one, which those of a TPM never do. Of a token that is gone
 * nothing is known. */
static int flags_tell_no_try(
    const struct sg_agent *agent, const char *name, uint32_t by, uint32_t flags)
{
	struct sg_ledger_state state;

	if ((flags & SG_TOKEN_PIN_SET) == 0 || (flags & SG_LEDGER_TELLING) != 0)
		return 0;
	state_read(agent, name, by, &state);
	return state.told;
}

/* Who has the right PIN is not to be called for each time that a token is not ready; but somebody
 * may have set another one, so this is for once. */
static int unsaid(
    const struct sg_agent *agent, const char *name, const struct sg_msg_pin_outcome *outcome)
{
	const struct sg_blob *hash = &outcome->hash;

	if (flags_tell_no_try(agent, name, outcome->by, outcome->flags))
		return sg_store_ledger_untried(agent->store, name, outcome->by, hash);
	if (!was_taken_last(agent->ledgers, name, outcome->by, hash))
		return 0;
	sg_msg_clear(SG_MSG_PIN_OUTCOME, &agent->ledgers->taken);
	return sg_store_ledger_forgive(agent->store, name, outcome->by, hash);
}

void sg_ledger_outcome(
    const struct sg_agent *agent, const struct sg_msg_pin_outcome *outcome, int by_person)
{
	const char *name = sg_ledger_name(outcome->serial, outcome->token);
	const struct sg_blob *hash = &outcome->hash;
	int err = 0;

	if ((outcome->flags & SG_LEDGER_TELLING) != 0)
		err = sg_store_ledger_told(agent->store, name, outcome->by);
	if (outcome->verdict == SG_PIN_TAKEN)
		taken_keep(agent->ledgers, outcome);
	if (err == 0 && outcome->verdict == SG_PIN_TAKEN)
		err = sg_store_ledger_good(agent->store, name, outcome->by, hash, by_person);
	else if (err == 0 && outcome->verdict == SG_PIN_REFUSED)
		err = sg_store_ledger_wrong(agent->store, name, outcome->by, hash);
	else if (err == 0 && outcome->verdict == SG_PIN_BLOCKED)
		err = sg_store_ledger_locked(agent->store, name, outcome->by, hash);
	else if (err == 0 && outcome->verdict == SG_PIN_UNTRIED)
		err = sg_store_ledger_untried(agent->store, name, outcome->by, hash);
	else if (err == 0)
		err = unsaid(agent, name, outcome);
	/* The try was counted before, and its PIN is unsure: at worst a person is asked for no
	 * need. */
	if (err != 0)
		sg_log(SG_LOG_WARN, "how the PIN of %s was taken could not be stored", name);
}

void sg_ledger_renew(const struct sg_agent *agent, const struct sg_token_info *token, uint32_t by)
{
	const struct sg_msg_pin_outcome *taken = &agent->ledgers->taken;
	const char *name = sg_ledger_name(token->serial, token->uri);
	int err = sg_store_ledger_clear(agent->store, name, SG_PIN_USER);

	if (err == 0 && by == SG_PIN_USER && taken->by == by && taken->serial != NULL &&
	    strcmp(taken->serial, name) == 0 && taken->hash.len > 0)
		err = sg_store_ledger_wrong(agent->store, name, SG_PIN_USER, &taken->hash);
	if (err != 0)
		sg_log(SG_LOG_WARN, "that %s has a new PIN could not be stored", name);
}

void sg_ledger_look(const struct sg_agent *agent, const struct sg_token_info *token, uint32_t by,
    struct sg_ledger_state *state)
{
	state_read(agent, sg_ledger_name(token->serial, token->uri), by, state);
}

uint32_t sg_ledger_tries_left(const struct sg_agent *agent, const struct sg_token_info *token)
{
	struct sg_ledger_row row = { .tries = 0 };
	uint32_t max;

	if ((token->flags & SG_TOKEN_PIN_LOCKED) != 0)
		return 0;
	if ((token->flags & SG_TOKEN_PIN_FINAL) != 0)
		return 1;
	if ((token->flags & SG_TOKEN_PIN_SET) == 0)
		return SG_TRIES_UNKNOWN;
	if (sg_store_ledger_get(agent->store, sg_ledger_name(token->serial, token->uri),
		SG_PIN_USER, &row) == SG_ERR_IO)
		return SG_TRIES_UNKNOWN;
	max = tries_max(agent, token, SG_PIN_USER, &row);
	if (max > 0)
		max = row.tries < max ? max - row.tries : 0;
	else
		max = SG_TRIES_UNKNOWN;
	sg_ledger_row_clear(&row);
	return max;
}
