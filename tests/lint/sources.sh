#!/bin/sh
# Checks that the Makefile's lists name every source and every test in the tree: a file that nobody builds
# is a test that nobody runs.
set -eu
listed=$(make -s BUILD=build print-sources | tr ' ' '\n' | sort)
tracked=$(git ls-files 'proto/*.c' 'strophe/*.c' 'token/*.c' 'agent/*.c' 'authority/*.c' 'tests/unit/test_*.c' \
    'tests/regress/test_*.c' 'tests/fault/*.c' 'tests/fuzz/*.c' | sort)
[ "$listed" = "$tracked" ] && exit 0
printf 'only in the Makefile or only in the tree:\n'
printf '%s\n%s\n' "$listed" "$tracked" | sort | uniq -u
exit 1
