#!/bin/sh
# Runs a program that fails one call after another, in parts side by side that have every so manieth call each.
# Shows the sum of what they print; all of it when one failed, or when they are not all the calls up to the last.
set -u
parts=3
first=${SIGNET_FAULT_FIRST:-1}
logs=$(mktemp -d)
running=''
# shellcheck disable=SC2086 # a list of processes, which a shell's interrupt does not reach
trap 'kill $running 2>/dev/null; rm -rf "$logs"' EXIT
trap 'exit 130' HUP INT TERM
for program; do
	running='' status=0 i=0
	while [ "$i" -lt "$parts" ]; do
		SIGNET_FAULT_FIRST=$((first + i)) SIGNET_FAULT_STEP=$parts "$program" >"$logs/$i" 2>&1 &
		running="$running $!" i=$((i + 1))
	done
	for process in $running; do
		wait "$process" || status=1
	done
	running=''
	# Each says the last call that it made fail, and how many.
	cat "$logs"/* | awk -v parts="$parts" -v first="$first" '
	    /^fault: [0-9]+ calls, [0-9]+ failed once each: all held$/ {
		said++
		failed += $4
		last = $2 > last ? $2 : last
	    }
	    END {
		held = said == parts && failed == last - first + 1
		printf "fault: %d calls, %d failed once each: %s\n", last, failed, held ? "all held" : "not all held"
		exit !held
	    }' || status=1
	if [ "$status" != 0 ]; then
		cat "$logs"/*
		exit 1
	fi
done
