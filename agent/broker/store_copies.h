/*
 * Which copy of an OpenPGP key is kept. Its name is that of the primary key alone, and anybody may put
 * together another copy of it: with less, with more that nobody signed, or with what no program reads. Of
 * each key one copy is kept, so that there is one name, one decision and one verdict.
 */
#ifndef SG_BROKER_STORE_COPIES_H
#define SG_BROKER_STORE_COPIES_H

#include <time.h>

#include "buf.h"
#include "error.h"
#include "keyring_store.h"

enum sg_copy_choice {
	SG_COPY_KEEP,	 /* the one that is there */
	SG_COPY_TAKE,	 /* the new one, in its place */
	SG_COPY_REVOKED, /* the new one, which tells that the key is revoked where the other did not */
	SG_COPY_REFUSE, /* neither is there anything to be learned of the new one: it is not readable, or
			  * claims a revocation that is none */
};

/*
 * Which is to be kept: this copy, which was seen or told, or the one that the store has of the key; key 0: none. What is
 * trusted as a key of another JID, or others show now, is not this JID's alone; what a JID tells of itself goes
 * before what others tell of it. A revocation that the key has signed itself is taken from anybody and never lost
 * again; one that nobody can check is taken from the owner alone. Where OpenPGP keys cannot be judged now, the
 * owner's copy is taken unless it lacks a revocation that the other claims. Where it is taken from the owner, what he
 * showed elsewhere of the key before is dropped. SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_store_copy_choose(struct sg_store *store, const struct sg_witness *witness,
    int64_t key, const struct sg_blob *came, enum sg_copy_choice *choice);

#endif
