#include "token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckr.h"
#include "event.h"
#include "held.h"
#include "ledger.h"
#include "reader.h"
#include "stay.h"

#define SLOTS_MAX 1024

static int same_field(const unsigned char *a, const unsigned char *b, size_t len)
{
	return memcmp(a, b, len) == 0;
}

static int is_same(const CK_TOKEN_INFO *a, const CK_TOKEN_INFO *b)
{
	return same_field(a->serialNumber, b->serialNumber, sizeof(a->serialNumber)) &&
	    same_field(a->label, b->label, sizeof(a->label)) &&
	    same_field(a->manufacturerID, b->manufacturerID, sizeof(a->manufacturerID)) &&
	    same_field(a->model, b->model, sizeof(a->model));
}

static int is_same_token(const struct sg_token *token, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
	const CK_TOKEN_INFO *own = &token->identity;

	if (!is_same(own, info))
		return 0;
	/* Without a serial number (blank tokens have none), the slot tells them apart. */
	return info->serialNumber[0] > ' ' || token->slot == slot;
}

static struct sg_token *token_new(
    struct sg_module *module, CK_SLOT_ID slot, const CK_TOKEN_INFO *info)
{
	struct sg_token *token = calloc(1, sizeof(*token));

	if (token == NULL)
		return NULL;
	token->module = module;
	token->identity = *info;
	token->slot = slot;
	token->epoch = 1;
	token->pin_left = SG_TRIES_UNKNOWN;
	token->uri = sg_uri_token(info);
	token->label = sg_text_padded(info->label, sizeof(info->label));
	token->serial = sg_text_padded(info->serialNumber, sizeof(info->serialNumber));
	if (token->uri == NULL || token->label == NULL || token->serial == NULL) {
		free(token->uri);
		free(token->label);
		free(token->serial);
		free(token);
		return NULL;
	}
	pthread_mutex_init(&token->login_lock, NULL);
	pthread_mutex_init(&token->secret_lock, NULL);
	pthread_mutex_init(&token->cure_lock, NULL);
	pthread_rwlock_init(&token->signing, NULL);
	pthread_mutex_init(&token->held_lock, NULL);
	pthread_mutex_init(&token->lock, NULL);
	pthread_cond_init(&token->session_back, NULL);
	return token;
}

void sg_token_free(struct sg_token *token)
{
	if (token == NULL)
		return;
	sg_held_clear(&token->held);
	pthread_mutex_destroy(&token->login_lock);
	pthread_mutex_destroy(&token->secret_lock);
	pthread_mutex_destroy(&token->cure_lock);
	pthread_rwlock_destroy(&token->signing);
	pthread_mutex_destroy(&token->held_lock);
	pthread_mutex_destroy(&token->lock);
	pthread_cond_destroy(&token->session_back);
	free(token->uri);
	free(token->label);
	free(token->serial);
	free(token);
}

static uint32_t abilities_of(struct sg_module *module, CK_SLOT_ID slot)
{
	static const struct {
		CK_MECHANISM_TYPE mechanism;
		uint32_t ability;
	} table[] = {
		{ CKM_RSA_PKCS, SG_KEY_RSA_PKCS1 },
		{ CKM_SHA1_RSA_PKCS, SG_KEY_RSA_PKCS1_SHA1 },
		{ CKM_SHA256_RSA_PKCS, SG_KEY_RSA_PKCS1_SHA256 },
		{ CKM_RSA_PKCS_PSS, SG_KEY_RSA_PSS },
		{ CKM_ECDSA, SG_KEY_ECDSA },
		{ CKM_SHA256_RSA_PKCS_PSS, SG_KEY_RSA_PSS_HASHED },
		{ CKM_ECDSA_SHA256, SG_KEY_ECDSA_HASHED },
	};
	uint32_t abilities = 0;
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		CK_MECHANISM_INFO info;
		CK_RV rv;

		rv = module->f->C_GetMechanismInfo(slot, table[i].mechanism, &info);
		/* A call that failed says nothing: what is missing will be refused when it is
		 * used. */
		if (rv == CKR_OK ? (info.flags & CKF_SIGN) != 0 : rv != CKR_MECHANISM_INVALID)
			abilities |= table[i].ability;
	}
	return abilities;
}

/* Closes what no thread works with; busy sessions are closed by who has them. The lock is held. */
static void drop_locked(struct sg_token *token)
{
	CK_FUNCTION_LIST *f = token->module->f;

	while (token->idle_count > 0)
		f->C_CloseSession(token->idle[--token->idle_count]);
	if (token->anchor != CK_INVALID_HANDLE) {
		f->C_CloseSession(token->anchor);
		token->anchor = CK_INVALID_HANDLE;
	}
	token->unlocked = 0;
	token->epoch++;
	pthread_cond_broadcast(&token->session_back);
}

void sg_token_drop(struct sg_token *token, unsigned epoch)
{
	pthread_mutex_lock(&token->lock);
	if (token->epoch == epoch)
		drop_locked(token);
	pthread_mutex_unlock(&token->lock);
}

CK_RV sg_token_logout(struct sg_token *token)
{
	CK_RV rv = CKR_OK;

	pthread_mutex_lock(&token->lock);
	if (token->unlocked)
		rv = token->module->f->C_Logout(token->anchor);
	drop_locked(token);
	pthread_mutex_unlock(&token->lock);
	return rv;
}

void sg_token_unsure(struct sg_token *token)
{
	pthread_mutex_lock(&token->lock);
	token->present = 0;
	drop_locked(token);
	pthread_mutex_unlock(&token->lock);
}

void sg_token_lost(struct sg_token *token, int was_unlocked)
{
	if (sg_held_returns(token))
		return;
	if (sg_held_wipe(token) || was_unlocked)
		sg_event_tell(token, SG_EVENT_TOKEN_LOCKED, NULL);
}

/* What a scan finds changed. */
struct changes {
	struct sg_token *gone[SG_TOKENS_MAX];
	int was_unlocked[SG_TOKENS_MAX]; /* of those */
	size_t gone_count;
	struct sg_token *came[SG_TOKENS_MAX];
	size_t came_count;
	struct sg_token *stale[SG_TOKENS_MAX]; /* what the module says of them is old */
	size_t stale_count;
};

static int is_in(struct sg_token *const *tokens, size_t count, const struct sg_token *token)
{
	size_t i;

	for (i = 0; i < count; i++) {
		if (tokens[i] == token)
			return 1;
	}
	return 0;
}

/* Once each. */
static void stale_add(struct changes *changes, struct sg_token *token)
{
	if (!is_in(changes->stale, changes->stale_count, token))
		changes->stale[changes->stale_count++] = token;
}

static void pad(CK_UTF8CHAR *field, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (field[i] == '\0')
			field[i] = ' ';
	}
}

/* Fields are padded by blanks; tpm2-pkcs11 has NULs, which no URI and no comparison can do with. */
static CK_RV token_info_get(CK_FUNCTION_LIST *f, CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
	CK_RV rv = f->C_GetTokenInfo(slot, info);

	if (sg_ckr_cure(rv) == SG_CURE_SESSION)
		rv = f->C_GetTokenInfo(slot, info);
	if (rv == CKR_OK) {
		pad(info->label, sizeof(info->label));
		pad(info->manufacturerID, sizeof(info->manufacturerID));
		pad(info->model, sizeof(info->model));
		pad(info->serialNumber, sizeof(info->serialNumber));
	}
	return rv;
}

/*
 * Of these three calls, one that failed for a moment is made once more: a token that seems to have
 * gone loses its login and its PIN.
 */
static CK_RV slot_info_get(CK_FUNCTION_LIST *f, CK_SLOT_ID slot, CK_SLOT_INFO *info)
{
	CK_RV rv = f->C_GetSlotInfo(slot, info);

	return sg_ckr_cure(rv) == SG_CURE_SESSION ? f->C_GetSlotInfo(slot, info) : rv;
}

int sg_token_is_of_ykcs11(const CK_TOKEN_INFO *info)
{
	static const char maker[] = "Yubico (www.yubico.com)";

	return memcmp(info->manufacturerID, maker, sizeof(maker) - 1) == 0;
}

static int is_present_in(struct sg_token *token, CK_SLOT_ID slot)
{
	int is;

	pthread_mutex_lock(&token->lock);
	is = token->present && token->slot == slot;
	pthread_mutex_unlock(&token->lock);
	return is;
}

/*
 * ykcs11 shows a key that it could not ask for its serial number, for it was put in just now, as
 * number 0, and goes on so until the card is reset. Such a key is not the token that it seems to
 * be, and none that is to be remembered, unless it is 0 afterwards, too: some keys are set up not
 * to tell.
 */
static CK_RV serial_find(
    struct sg_module *module, CK_SLOT_ID slot, const CK_SLOT_INFO *slot_info, CK_TOKEN_INFO *info)
{
	static const char none[] = "0 ";
	CK_SLOT_ID *slots = NULL;
	CK_ULONG count = 0;
	char *reader;
	size_t i;
	CK_RV rv;

	if (!sg_token_is_of_ykcs11(info) || memcmp(info->serialNumber, none, sizeof(none) - 1) != 0)
		return CKR_OK;
	for (i = 0; i < module->token_count; i++) {
		if (is_same(&module->tokens[i]->identity, info) &&
		    is_present_in(module->tokens[i], slot))
			return CKR_OK;
	}
	reader = sg_text_padded(slot_info->slotDescription, sizeof(slot_info->slotDescription));
	(void)sg_reader_reset(reader);
	free(reader);
	rv = sg_slots_list(module, &slots, &count);
	free(slots);
	return rv == CKR_OK ? token_info_get(module->f, slot, info) : rv;
}

/* Before the token is read: a card that is swapped later is seen to be. */
static void stay_note(const CK_SLOT_INFO *info, struct sg_reader_stay *stay)
{
	char *reader = NULL;

	if (info->flags & CKF_REMOVABLE_DEVICE)
		reader = sg_text_padded(info->slotDescription, sizeof(info->slotDescription));
	sg_reader_stay(reader, stay);
	free(reader);
}

/* Whether the token was found in this stay of its card, as it is from now on where none is
 * known. */
static int stay_take(struct sg_token *token, const struct sg_reader_stay *stay)
{
	int same;

	pthread_mutex_lock(&token->held_lock);
	if (token->stay.service == 0) {
		token->stay = *stay;
		token->gone = 0;
	}
	same = sg_reader_stay_is_same(&token->stay, stay);
	pthread_mutex_unlock(&token->held_lock);
	return same;
}

/*
 * Whether the module knows a card in the slot whose stay is over: what it would say is old, and
 * OpenSC may never come back when it is asked for what was pulled.
 */
static int is_stale(struct sg_module *module, CK_SLOT_ID slot, const struct sg_reader_stay *stay,
    struct changes *changes)
{
	size_t i;
	int found = 0;

	for (i = 0; i < module->token_count; i++) {
		struct sg_token *token = module->tokens[i];
		int is;

		pthread_mutex_lock(&token->held_lock);
		is = token->slot == slot && token->stay.service != 0 &&
		    !sg_reader_stay_is_same(&token->stay, stay);
		pthread_mutex_unlock(&token->held_lock);
		if (is)
			stale_add(changes, token);
		found |= is;
	}
	return found;
}

/* Finds or adds the token that is in the slot now. The module's lock is held. */
static int scan_slot(
    struct sg_module *module, CK_SLOT_ID slot, struct sg_token **found, struct changes *changes)
{
	CK_FUNCTION_LIST *f = module->f;
	struct sg_token *token = NULL;
	struct sg_reader_stay stay;
	CK_SLOT_INFO slot_info;
	CK_TOKEN_INFO info;
	size_t i;

	*found = NULL;
	if (slot_info_get(f, slot, &slot_info) != CKR_OK)
		return 0;
	stay_note(&slot_info, &stay);
	if (is_stale(module, slot, &stay, changes))
		return 0;
	if (token_info_get(f, slot, &info) != CKR_OK ||
	    serial_find(module, slot, &slot_info, &info) != CKR_OK)
		return 0; /* pulled out just now */
	for (i = 0; i < module->token_count && token == NULL; i++) {
		if (is_same_token(module->tokens[i], slot, &info))
			token = module->tokens[i];
	}
	if (token == NULL) {
		if (module->token_count == SG_TOKENS_MAX)
			return SG_ERR_LIMIT;
		token = token_new(module, slot, &info);
		if (token == NULL)
			return SG_ERR_NOMEM;
		module->tokens[module->token_count] = token;
		module->token_count++; /* after it can be read */
	}
	if (!stay_take(token, &stay)) {
		stale_add(changes, token);
		return 0;
	}
	pthread_mutex_lock(&token->lock);
	if (token->present && token->slot != slot)
		drop_locked(token);
	if (!token->present || token->slot != slot)
		token->abilities = abilities_of(module, slot);
	if (!token->present)
		changes->came[changes->came_count++] = token;
	pthread_mutex_lock(&token->held_lock);
	token->slot = slot;
	token->slot_info = slot_info;
	token->info = info;
	pthread_mutex_unlock(&token->held_lock);
	token->present = 1;
	pthread_mutex_unlock(&token->lock);
	*found = token;
	return 0;
}

static CK_RV slots_get(CK_FUNCTION_LIST *f, CK_SLOT_ID *slots, CK_ULONG *count)
{
	CK_ULONG room = *count;
	CK_RV rv = f->C_GetSlotList(CK_TRUE, slots, count);

	if (sg_ckr_cure(rv) != SG_CURE_SESSION)
		return rv;
	*count = room;
	return f->C_GetSlotList(CK_TRUE, slots, count);
}

/* Lists the slots with a token; the number may grow between the two calls. */
CK_RV sg_slots_list(struct sg_module *module, CK_SLOT_ID **slots, CK_ULONG *count)
{
	CK_RV rv;
	int i;

	*slots = NULL;
	for (i = 0; i < 4; i++) {
		rv = slots_get(module->f, NULL, count);
		if (rv != CKR_OK)
			return rv;
		if (*count > SLOTS_MAX)
			return CKR_BUFFER_TOO_SMALL; /* SG_ERR_LIMIT */
		free(*slots);
		*slots = calloc(*count + 1, sizeof(**slots));
		if (*slots == NULL)
			return CKR_HOST_MEMORY;
		rv = slots_get(module->f, *slots, count);
		if (rv != CKR_BUFFER_TOO_SMALL)
			break;
	}
	return rv;
}

/* Marks those that are no longer there. The module's lock is held. */
static void mark_gone(
    struct sg_module *module, struct sg_token *const *tokens, size_t count, struct changes *changes)
{
	size_t i;

	for (i = 0; i < module->token_count; i++) {
		struct sg_token *token = module->tokens[i];

		if (is_in(tokens, count, token))
			continue;
		pthread_mutex_lock(&token->lock);
		/* The module has seen that it went, and will read it anew. */
		if (!is_in(changes->stale, changes->stale_count, token))
			sg_stay_forget(token);
		if (token->present || (sg_held_is(token) && !sg_held_returns(token))) {
			token->present = 0;
			changes->was_unlocked[changes->gone_count] = token->unlocked;
			changes->gone[changes->gone_count++] = token;
			drop_locked(token);
		}
		pthread_mutex_unlock(&token->lock);
	}
}

/* No lock is held: events are sent. */
static void changes_tell(const struct sg_module *module, const struct changes *changes)
{
	size_t i;

	for (i = 0; i < changes->gone_count; i++) {
		struct sg_token *token = changes->gone[i];

		if (module->watch_on)
			sg_event_tell(token, SG_EVENT_TOKEN_OUT, NULL);
		sg_token_lost(token, changes->was_unlocked[i]);
	}
	for (i = 0; module->watch_on && i < changes->came_count; i++)
		sg_event_tell(changes->came[i], SG_EVENT_TOKEN_IN, NULL);
}

int sg_token_scan(
    struct sg_module *module, struct sg_token ***tokens, size_t *count, struct sg_msg_error *error)
{
	struct changes changes;
	struct sg_token **list = NULL;
	size_t n = 0, i;
	CK_SLOT_ID *slots = NULL;
	CK_ULONG slot_count = 0;
	int err = 0;
	CK_RV rv;

	*tokens = NULL;
	*count = 0;
	changes.gone_count = changes.came_count = changes.stale_count = 0;
	sg_stay_renew(module);
	pthread_mutex_lock(&module->lock);
	rv = sg_slots_list(module, &slots, &slot_count);
	if (rv != CKR_OK) {
		err = sg_ckr_fail(error, rv, "C_GetSlotList", NULL);
		goto out;
	}
	list = calloc(slot_count + 1, sizeof(struct sg_token *));
	if (list == NULL) {
		err = SG_ERR_NOMEM;
		goto out;
	}
	for (i = 0; i < slot_count && err == 0; i++) {
		err = scan_slot(module, slots[i], &list[n], &changes);
		if (list[n] != NULL && !is_in(list, n, list[n]))
			n++;
	}
	if (err == 0)
		mark_gone(module, list, n, &changes);
out:
	pthread_mutex_unlock(&module->lock);
	changes_tell(module, &changes);
	free(slots);
	if (err != 0) {
		free(list);
		return err;
	}
	*tokens = list;
	*count = n;
	return 0;
}

int sg_token_is_open(struct sg_token *token)
{
	int open;

	pthread_mutex_lock(&token->lock);
	open = token->unlocked || !(token->info.flags & CKF_LOGIN_REQUIRED);
	pthread_mutex_unlock(&token->lock);
	return open;
}

unsigned sg_token_epoch(struct sg_token *token)
{
	unsigned epoch;

	pthread_mutex_lock(&token->lock);
	epoch = token->epoch;
	pthread_mutex_unlock(&token->lock);
	return epoch;
}

uint32_t sg_token_abilities(struct sg_token *token)
{
	uint32_t abilities;

	pthread_mutex_lock(&token->lock);
	abilities = token->abilities;
	pthread_mutex_unlock(&token->lock);
	return abilities;
}

/* The lock is held. */
static uint32_t flags_of(const struct sg_token *token, uint32_t by)
{
	static const struct {
		CK_FLAGS flag;
		uint32_t ours;
	} table[] = {
		{ CKF_TOKEN_INITIALIZED, SG_TOKEN_INITIALIZED },
		{ CKF_LOGIN_REQUIRED, SG_TOKEN_LOGIN_REQUIRED },
		{ CKF_USER_PIN_INITIALIZED, SG_TOKEN_PIN_SET },
		{ CKF_USER_PIN_COUNT_LOW, SG_TOKEN_PIN_LOW },
		{ CKF_USER_PIN_FINAL_TRY, SG_TOKEN_PIN_FINAL },
		{ CKF_USER_PIN_LOCKED, SG_TOKEN_PIN_LOCKED },
		{ CKF_WRITE_PROTECTED, SG_TOKEN_READ_ONLY },
		{ CKF_PROTECTED_AUTHENTICATION_PATH, SG_TOKEN_PINPAD },
	};
	uint32_t flags = token->unlocked ? SG_TOKEN_UNLOCKED : 0;
	CK_FLAGS seen = sg_ledger_flags(token->info.flags, by);
	size_t i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (seen & table[i].flag)
			flags |= table[i].ours;
	}
	return flags;
}

uint32_t sg_token_flags(struct sg_token *token, uint32_t by)
{
	uint32_t flags;

	pthread_mutex_lock(&token->lock);
	flags = flags_of(token, by);
	pthread_mutex_unlock(&token->lock);
	return flags;
}

CK_RV sg_token_info_read(struct sg_token *token, CK_TOKEN_INFO *info)
{
	int over = sg_stay_is_over(token);
	CK_RV rv = CKR_TOKEN_NOT_PRESENT;

	pthread_mutex_lock(&token->lock);
	if (token->present && !over)
		rv = token_info_get(token->module->f, token->slot, info);
	if (rv == CKR_OK && !is_same(info, &token->identity))
		rv = CKR_TOKEN_NOT_PRESENT;
	if (rv == CKR_OK) {
		pthread_mutex_lock(&token->held_lock);
		token->info = *info;
		pthread_mutex_unlock(&token->held_lock);
	}
	pthread_mutex_unlock(&token->lock);
	return rv;
}

int sg_token_is_in_reader(struct sg_token *token)
{
	int removable;

	pthread_mutex_lock(&token->held_lock);
	removable = (token->slot_info.flags & CKF_REMOVABLE_DEVICE) != 0;
	pthread_mutex_unlock(&token->held_lock);
	return removable;
}

char *sg_token_reader(struct sg_token *token)
{
	const CK_SLOT_INFO *info = &token->slot_info;
	char *reader = NULL;

	pthread_mutex_lock(&token->held_lock);
	if (info->flags & CKF_REMOVABLE_DEVICE)
		reader = sg_text_padded(info->slotDescription, sizeof(info->slotDescription));
	pthread_mutex_unlock(&token->held_lock);
	return reader;
}

int sg_token_wake(struct sg_token *token)
{
	char *reader = sg_token_reader(token);
	int woken = sg_reader_wake(reader);

	free(reader);
	return woken;
}

int sg_token_reset(struct sg_token *token)
{
	char *reader = sg_token_is_of_ykcs11(&token->identity) ? sg_token_reader(token) : NULL;
	int err = sg_reader_reset(reader);

	free(reader);
	return err;
}

int sg_token_wants_watch(struct sg_token *token)
{
	int present, unlocked;

	pthread_mutex_lock(&token->lock);
	present = token->present;
	unlocked = token->unlocked;
	pthread_mutex_unlock(&token->lock);
	return sg_token_is_in_reader(token) &&
	    ((present && unlocked) || (sg_held_is(token) && (present || !sg_held_returns(token))));
}

static int describe_library(const CK_INFO *library, struct sg_token_info *info)
{
	info->library_manufacturer =
	    sg_text_padded(library->manufacturerID, sizeof(library->manufacturerID));
	info->library_description =
	    sg_text_padded(library->libraryDescription, sizeof(library->libraryDescription));
	if (asprintf(&info->library_version, "%u.%u", library->libraryVersion.major,
		library->libraryVersion.minor) < 0)
		info->library_version = NULL;
	return info->library_manufacturer != NULL && info->library_description != NULL &&
		info->library_version != NULL
	    ? 0
	    : SG_ERR_NOMEM;
}

int sg_token_describe(struct sg_token *token, struct sg_token_info *info)
{
	pthread_mutex_lock(&token->lock);
	info->uri = strdup(token->uri);
	info->label = strdup(token->label);
	info->serial = sg_text_padded(token->info.serialNumber, sizeof(token->info.serialNumber));
	info->manufacturer =
	    sg_text_padded(token->info.manufacturerID, sizeof(token->info.manufacturerID));
	info->model = sg_text_padded(token->info.model, sizeof(token->info.model));
	info->slot = sg_text_padded(
	    token->slot_info.slotDescription, sizeof(token->slot_info.slotDescription));
	info->flags = flags_of(token, SG_PIN_USER);
	if ((token->slot_info.flags & CKF_REMOVABLE_DEVICE) != 0)
		info->flags |= SG_TOKEN_REMOVABLE;
	info->slot_manufacturer = sg_text_padded(
	    token->slot_info.manufacturerID, sizeof(token->slot_info.manufacturerID));
	if (asprintf(&info->slot_id, "%lu", token->slot) < 0)
		info->slot_id = NULL;
	pthread_mutex_unlock(&token->lock);
	if (info->uri == NULL || info->label == NULL || info->serial == NULL ||
	    info->manufacturer == NULL || info->model == NULL || info->slot == NULL ||
	    info->slot_manufacturer == NULL || info->slot_id == NULL)
		return SG_ERR_NOMEM;
	return describe_library(&token->module->library, info);
}
