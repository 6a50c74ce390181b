#!/bin/sh
# Runs cmocka programs: a line for each, all that a failing one said, and the sum. Where CI=true a skipped
# test counts as failed, unless NO_SKIPS is empty (a sanitizer keeps some from running).
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0
number() {
	sed -n "s/^\[  $1 *\] \([0-9]*\) test(s).*/\1/p" "$log" | awk '{ sum += $1 } END { print sum + 0 }'
}
for program; do
	if "$program" >"$log" 2>&1; then status=0; else status=$?; fi
	good=$(number PASSED) bad=$(number FAILED) left=$(number SKIPPED)
	[ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
	[ "${CI:-}" != true ] || [ -z "${NO_SKIPS:-}" ] || bad=$((bad + left))
	passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + left))
	echo "$(basename "$program"): $good passed, $bad failed, $left skipped"
	[ "$bad" = 0 ] || cat "$log"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
