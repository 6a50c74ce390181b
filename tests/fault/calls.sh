#!/bin/sh
# Runs a program that fails one call after another, and shows the sum that it prints; all of it when it failed.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program; do
	if "$program" >"$log" 2>&1; then
		grep '^fault: ' "$log"
	else
		cat "$log"
		exit 1
	fi
done
