#!/bin/bash
# tpm2.sh DIR LABEL: makes a token of tpm2-pkcs11 on the TPM that TPM2TOOLS_TCTI names, with its store in the folder
# DIR, which is emptied first. The user PIN is 1234, the SO PIN 12345678.
#
# The TPM needs a resource manager (/dev/tpmrm0, tpm2-abrmd). Set TPM2_PKCS11_STORE to DIR and TPM2_PKCS11_TCTI to
# the TPM for programs that use the token.
set -euo pipefail
umask 077

if [ $# -ne 2 ] || [ -z "${TPM2TOOLS_TCTI:-}" ]; then
	echo "usage: TPM2TOOLS_TCTI=... tpm2.sh DIR LABEL" >&2
	exit 2
fi
dir=$1
if ! command -v tpm2_ptool >/dev/null; then
	echo "tpm2.sh: tpm2_ptool is not installed (Debian: libtpm2-pkcs11-tools)" >&2
	exit 1
fi
# Only what this script makes is removed: a wrong DIR costs nothing.
if [ -e "$dir" ] && [ ! -e "$dir/tpm2_pkcs11.sqlite3" ] && [ -n "$(ls -A "$dir")" ]; then
	echo "tpm2.sh: $dir is there, and is no folder of mine" >&2
	exit 1
fi
mkdir -p "$dir"
rm -f "$dir/tpm2_pkcs11.sqlite3"
export TPM2_PKCS11_STORE="$dir"

tool() {
	local said
	if ! said=$(tpm2_ptool "$@" 2>&1); then
		echo "tpm2.sh: tpm2_ptool $1:" >&2
		echo "$said" >&2
		exit 1
	fi
}
tool init
# The PINs are the fixture's own: nothing is given away in the argument list.
tool addtoken --pid 1 --label "$2" --sopin 12345678 --userpin 1234
