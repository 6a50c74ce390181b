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
	SG_COPY_TAKE,	 /* the new one, or united, in its place */
	SG_COPY_REVOKED, /* the new one, which tells that the key is revoked where the other did not */
	SG_COPY_REFUSE, /* neither is there anything to be learned of the new one: it is not readable,
			 * claims a revocation that is none, or its sender may have no more judged now */
};

/*
 * What may be judged for one sender within a time, as checks (sg_pgp_load_cost()), before anything of it is: what it
 * costs to look at a copy and at the one that is there. A stranger's names cost nothing: all who have shown no key and
 * have none that is trusted share one purse, and take nothing from others. Above, what is told is refused, and of
 * what a JID shows it is chosen as if there were no judge.
 */
#define SG_PURSE_S	   60
#define SG_PURSE_SENDER	   1000
#define SG_PURSE_STRANGERS 300

/*
 * Which is to be kept: this copy, which was seen or told, or the one that the store has of the key; key 0: none.
 *
 * The newest of the key's own person is: of the JID that it is trusted for, shown or told by itself, or in a file. Where
 * it is not trusted, and several JIDs show it or tell that it is their own, it is that of the JID that a file says, or
 * that it names by a user id that it has signed; else the one that has more that counts.
 * What a JID shows goes before what it tells, and both before what others tell of it.
 *
 * No revocation of the key, a subkey or a user id that the key has signed itself is lost or hidden by that: it is
 * taken from anybody, and put to the copy that is kept (united: its bytes, owned; empty where one of the two is kept
 * as it is). One of the key that nobody can check is taken from its own person alone. Where OpenPGP keys cannot be
 * judged now, the own person's copy is taken unless it lacks a revocation of the key that the other claims. Where
 * it is taken from who shows it, what he showed elsewhere of the key before is dropped. SG_ERR_IO, SG_ERR_NOMEM.
 */
SG_MUST_USE int sg_store_copy_choose(struct sg_store *store, const struct sg_witness *witness,
    int64_t key, const struct sg_blob *came, enum sg_copy_choice *choice, struct sg_blob *united);

#endif
