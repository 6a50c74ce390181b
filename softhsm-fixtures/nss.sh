#!/bin/bash
# nss.sh DIR: makes an NSS database from nothing in the folder DIR, which is emptied first; its PIN is 1234.
#
# Prints the text that softoken wants at its start: 'init' of a [module] in signet.conf.
set -euo pipefail
umask 077

if [ $# -ne 1 ]; then
	echo "usage: nss.sh DIR" >&2
	exit 2
fi
dir=$1
if ! command -v certutil >/dev/null; then
	echo "nss.sh: certutil is not installed (Debian: libnss3-tools)" >&2
	exit 1
fi
# Only what this script makes is removed: a wrong DIR costs nothing.
if [ -e "$dir" ] && [ ! -e "$dir/key4.db" ] && [ -n "$(ls -A "$dir")" ]; then
	echo "nss.sh: $dir is there, and is no folder of mine" >&2
	exit 1
fi
mkdir -p "$dir"
rm -f "$dir/key4.db" "$dir/cert9.db" "$dir/pkcs11.txt"
dir=$(cd "$dir" && pwd)
echo 1234 >"$dir/pin"
certutil -N -d "sql:$dir" -f "$dir/pin"
echo "configdir='sql:$dir' certPrefix='' keyPrefix='' secmod='secmod.db' flags="
