#!/bin/sh
# Installs the Debian packages named as arguments, as root or by sudo; says what is missing otherwise.
# No service that a package brings is started. Servers that come new do not start with the system either: the tests
# run private ones, and these would be in each other's way.
set -eu
is_installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

missing=
for package; do
	is_installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif command -v sudo >/dev/null && sudo true; then
	as_root=sudo
else
	echo "make deps: neither root nor sudo; have somebody run this, then call make again:" >&2
	echo "  apt-get install --no-install-recommends$missing" >&2
	exit 1
fi
echo "make deps: installing$missing" >&2
is_installed prosody && disable='' || disable=prosody
is_installed ejabberd || disable="$disable ejabberd epmd"
is_installed postgresql || disable="$disable postgresql"

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	# shellcheck disable=SC2064 # expand now: the trap must know how we became root
	trap "$as_root rm -f $policy" EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi
$as_root env DEBIAN_FRONTEND=noninteractive sh -ec "
	apt-get update -qq
	apt-get install -qq -y --no-install-recommends $missing
	for server in $disable; do
		update-rc.d \$server disable 2>/dev/null || :
		systemctl --quiet disable \$server.service \$server.socket 2>/dev/null || :
	done" >&2
