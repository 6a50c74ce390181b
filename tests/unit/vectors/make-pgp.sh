#!/bin/sh
# Makes the OpenPGP vectors beside this file anew, with gpg: keys of 2024 (RSA: of 2017) without end, signatures of June
# 2024 over xep0189-example3-subject.der, and what is wrong with some. No secret key
# of them is kept.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
GNUPGHOME=$(mktemp -d /tmp/gpgXXXXXX)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
subject=$here/xep0189-example3-subject.der

at() { # at TIME COMMAND...
	time=$1
	shift
	gpg --batch --quiet --yes --no-tty --pinentry-mode loopback --passphrase '' --faked-system-time "$time!" "$@"
}

make_key() { # make_key UID ALGORITHM USAGE [TIME [EXPIRY]]
	at "${4:-20240101T000000}" --quick-gen-key "$1" "$2" "$3" "${5:-never}"
	fingerprint=$(gpg --batch --with-colons --list-keys "=$1" | sed -n 's/^fpr:*\([0-9A-F]*\):.*/\1/p' | head -n 1)
}

public() {
	gpg --batch --export "$fingerprint" >"$here/pgp-$1.pgp"
}

sign() { # sign NAME [TIME [OPTION...]]
	name=$1 when=${2:-20240601T000000}
	shift $(($# > 1 ? 2 : 1))
	at "$when" -u "$fingerprint" "$@" --detach-sign --output "$here/pgp-$name.sig" "$subject"
}

make_key 'Juliet <juliet@capulet.lit>' rsa2048 cert,sign 20170101T000000
at 20170102T000000 --quick-add-uid "$fingerprint" 'xmpp:juliet@capulet.lit'
public rsa
gpg --batch --armor --export "$fingerprint" >"$here/pgp-rsa.asc"
sign rsa
sign rsa-text 20240601T000000 --textmode
sign rsa-sha1-2018 20180601T000000 --digest-algo SHA1
sign rsa-sha1-2024 20240601T000000 --digest-algo SHA1
sign rsa-sha224 20240601T000000 --digest-algo SHA224
sign rsa-short-lived 20240601T000000 --default-sig-expire 1m
at 20240601T000000 -u "$fingerprint" --armor --detach-sign --output "$here/pgp-rsa.sig.asc" "$subject"

make_key 'Romeo <romeo@montague.lit>' ed25519 cert
at 20240101T000000 --quick-add-key "$fingerprint" ed25519 sign never
at 20240101T000000 --quick-add-key "$fingerprint" cv25519 encr never
public ed25519
sign ed25519

make_key 'Nurse' nistp256 cert,sign
public nistp256
sign nistp256

make_key 'Friar' brainpoolP256r1 cert,sign
public brainpool
sign brainpool

make_key 'Many 0 <many@example.org>' ed25519 cert,sign
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do
	at 20240102T0000"$(printf %02d "$i")" --quick-add-uid "$fingerprint" "Many $i <many$i@example.org>"
done
at 20240102T000100 --quick-add-uid "$fingerprint" 'xmpp:m%C3%A4ny@example.org?message'
at 20240102T000101 --quick-add-uid "$fingerprint" "$(printf 'Gr\303\266\303\237e \342\234\223')"
at 20240103T000000 --quick-revoke-uid "$fingerprint" 'Many 7 <many7@example.org>'
public many

make_key 'Revoked' ed25519 cert,sign
public revoked-before
sign revoked
sed 's/^:-----BEGIN/-----BEGIN/' "$GNUPGHOME/openpgp-revocs.d/$fingerprint.rev" >"$GNUPGHOME/revoke.asc"
at 20240701T000000 --import "$GNUPGHOME/revoke.asc"
public revoked

make_key 'Expired' ed25519 cert,sign 20200101T000000 20210101T000000
public expired
sign expired 20200601T000000
