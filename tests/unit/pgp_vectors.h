/*
 * The OpenPGP vectors (tests/unit/vectors/make-pgp.sh), with the fingerprints that gpg shows.
 */
#ifndef SG_TESTS_PGP_VECTORS_H
#define SG_TESTS_PGP_VECTORS_H

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/pgp_key.h"

#define PGP_RSA	      "3b723825a061f1876ef5aabcecdbc601976d1b57"
#define PGP_ED25519   "fdb0e740bd571c34513cb2d3f18475af1c81da36"
#define PGP_NISTP256  "57cb2cfd4cfcdb8be2374382a70d474d1205c7cf"
#define PGP_BRAINPOOL "b054591815de5a46c9a950f4aab3f6d6fc5ec170"
#define PGP_MANY      "7d5090c4905eb3717efbd80be59b1aefb720055e"
#define PGP_REVOKED   "6279aab28ed25ad9f2464043de51c5c5d0137070"
#define PGP_EXPIRED   "db2451272152b3b5f3ca36398e131e229976a3f1"

#define PGP_AT ((time_t)1735689600) /* 2025-01-01: after all that the vectors hold */

/* The program of this very build: a test is BUILD/tests/unit/NAME. */
static inline void use_signet_pgp(void)
{
	static char path[PATH_MAX + 32];
	ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);

	for (int up = 0; up < 3 && len > 0; up++) {
		path[len] = '\0';
		len = (ssize_t)(strrchr(path, '/') - path);
	}
	snprintf(path + (len > 0 ? len : 0), 32, "/bin/signet-pgp");
	sg_pgp_set_program(path);
}

#endif
