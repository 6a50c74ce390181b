#!/bin/sh
# Runs cmocka programs, four side by side, for some wait more than they work: a line for each, all that a failing one
# said, and the sum. Where CI=true a skipped test counts as failed, unless NO_SKIPS is empty (a sanitizer keeps some from
# running).
set -u
number() {
	sed -n "s/^\[  $1 *\] \([0-9]*\) test(s).*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}
if [ "$1" = --one ]; then # with the folder of logs, and the program
	name=$(basename "$3") log=$2/$(basename "$3")
	if "$3" >"$log" 2>&1; then status=0; else status=$?; fi
	good=$(number PASSED) bad=$(number FAILED) left=$(number SKIPPED)
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "${CI:-}" != true ] || [ -z "${NO_SKIPS:-}" ] || bad=$((bad + left))
	echo "$name: $good passed, $bad failed, $left skipped"
	echo "$name $good $bad $left" >>"$2/sums"
	exit 0
fi
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
printf '%s\n' "$@" | xargs -P 4 -n 1 sh "$0" --one "$logs"
passed=0 failed=0 skipped=0 ran=0
while read -r name good bad left; do
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left)) ran=$((ran + 1))
	[ "$bad" = 0 ] || cat "$logs/$name"
done <"$logs/sums"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ] && [ "$ran" = $# ]
