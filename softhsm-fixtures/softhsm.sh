#!/bin/bash
# softhsm.sh DIR LABEL...: makes SoftHSM tokens from nothing in the folder DIR, which is emptied first.
#
# Prints the path of the configuration; set SOFTHSM2_CONF to it. Any user can do this, any number of times
# side by side: nothing outside DIR is touched. The user PIN is 1234, the SO PIN 12345678; other ones are read
# from the files that SOFTHSM_PIN_FILE and SOFTHSM_SO_PIN_FILE name.
set -euo pipefail
umask 077

if [ $# -lt 2 ]; then
	echo "usage: softhsm.sh DIR LABEL..." >&2
	exit 2
fi
dir=$1
shift

for module in /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so \
	/usr/lib/*/pkcs11/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so /usr/lib64/softhsm/libsofthsm2.so; do
	[ -e "$module" ] && break
done
if [ ! -e "$module" ]; then
	echo "softhsm.sh: SoftHSM is not installed (Debian: softhsm2)" >&2
	exit 1
fi

# Only what this script makes is removed: a wrong DIR costs nothing.
if [ -e "$dir" ] && [ ! -e "$dir/softhsm2.conf" ] && [ -n "$(ls -A "$dir")" ]; then
	echo "softhsm.sh: $dir is there, and is no folder of mine" >&2
	exit 1
fi
rm -rf "$dir/tokens" "$dir/softhsm2.conf"
mkdir -p "$dir/tokens"
dir=$(cd "$dir" && pwd)

cat >"$dir/softhsm2.conf" <<END
directories.tokendir = $dir/tokens
objectstore.backend = file
objectstore.umask = 0077
log.level = ERROR
slots.removable = false
END
export SOFTHSM2_CONF="$dir/softhsm2.conf"

# PINs go through the environment, never through an argument list, which everybody can read; softhsm2-util
# takes them as arguments or from a terminal alone.
first_line() {
	local line
	IFS= read -r line <"$1" || [ -n "$line" ]
	printf '%s' "$line"
}
export SIGNET_FIXTURE_PIN=1234 SIGNET_FIXTURE_SO_PIN=12345678
[ -z "${SOFTHSM_PIN_FILE:-}" ] || SIGNET_FIXTURE_PIN=$(first_line "$SOFTHSM_PIN_FILE")
[ -z "${SOFTHSM_SO_PIN_FILE:-}" ] || SIGNET_FIXTURE_SO_PIN=$(first_line "$SOFTHSM_SO_PIN_FILE")

tool() {
	local said
	if ! said=$(pkcs11-tool --module "$module" --so-pin env:SIGNET_FIXTURE_SO_PIN "$@" 2>&1); then
		echo "softhsm.sh: pkcs11-tool $*:" >&2
		echo "$said" >&2
		exit 1
	fi
}

# The slot with the blank token is numbered by how many tokens there are.
made=0
for label in "$@"; do
	tool --init-token --slot "$made" --label "$label"
	tool --init-pin --login --login-type so --token-label "$label" --new-pin env:SIGNET_FIXTURE_PIN
	made=$((made + 1))
done
echo "$SOFTHSM2_CONF"
