#!/bin/sh
# Everything a machine can say about the sources without running them. 'make lint' has built them before.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
step() {
	name=$1
	shift
	if "$@"; then echo "lint: $name: ok"; else echo "lint: $name: FAILED" && failed=$((failed + 1)); fi
}
c_files=$(git ls-files '*.c' '*.h')
sources=$(git ls-files 'proto/*.c' 'strophe/*.c' 'token/*.c' 'agent/*.c' 'authority/*.c')
flags="-std=gnu11 -D_GNU_SOURCE -DSG_VERSION=\"lint\" -DSG_MODULE_DIRS=\"/\" -DSG_LIBEXECDIR=\"/\" -DSG_SYSCONFDIR=\"/etc\" \
-Iproto -Istrophe -Ibuild/lint-gcc/gen $(pkg-config --cflags p11-kit-1 libassuan libstrophe libpq)"

queue_h=$(echo '#include <sys/queue.h>' | ${CC:-gcc} -E - | sed -n 's/.*"\(.*sys\/queue.h\)".*/\1/p' | head -n 1)

tidy() {
	# One file a process: given several, clang-tidy 14 finds uninitialised va_lists that are none.
	# shellcheck disable=SC2086,SC2016 # the lists are lists; the inner shell expands
	printf '%s\n' $sources | xargs -P "$(nproc)" -n 1 sh -c \
	    'flags=$1; shift; clang-tidy --quiet --warnings-as-errors="*" "$@" -- $flags 2>/dev/null' tidy "$flags"
}

# 'make fuzz' takes long, so nobody would see for a while that the code has left one of them behind.
fuzzers() {
	for file; do
		clang -std=gnu11 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wno-unused-parameter -Werror \
		    -Iproto -Istrophe -Iagent/xmpp "$file" || return 1
	done
}

erlang() {
	beams=$(mktemp -d) && erlc -Werror +warn_unused_vars +warn_shadow_vars +warn_obsolete_guard \
	    -pa /usr/lib/*/ejabberd-23.01/ebin -o "$beams" "$@"
	status=$?
	rm -r "$beams"
	return $status
}

# shellcheck disable=SC2086,SC2046
{
	step 'clang-format' clang-format --dry-run --Werror $c_files
	step 'lists of sources' sh tests/lint/sources.sh
	step 'direction of dependencies' python3 tests/lint/direction.py
	step 'interface against code' python3 tests/lint/interface.py
	step 'rows against tests' python3 tests/lint/rows.py
	step 'cppcheck' cppcheck --quiet --error-exitcode=1 --enable=warning,portability --inline-suppr \
	    --suppress=missingIncludeSystem --suppress=unknownMacro --suppress=normalCheckLevelMaxBranches \
	    --include="$queue_h" -Ibuild/lint-gcc/gen -j "$(nproc)" -D_GNU_SOURCE -DSG_VERSION='"0"' \
	    -DSG_MODULE_DIRS='"/"' -DSG_LIBEXECDIR='"/"' -DSG_SYSCONFDIR='"/etc"' -Iproto -Istrophe $sources
	step 'clang-tidy' tidy
	step 'fuzzers' fuzzers $(git ls-files 'tests/fuzz/*.c')
	step 'shellcheck' shellcheck $(git ls-files '*.sh') .ci/run
	step 'pyflakes' pyflakes3 $(git ls-files '*.py')
	step 'luacheck' luacheck --quiet $(git ls-files '*.lua')
	step 'erlc' erlang $(git ls-files '*.erl')
	step 'mandoc' mandoc -T lint -W warning $(git ls-files 'man/*.[1-8]')
	step 'manual against command line' sh tests/lint/check-man.sh build/lint-gcc/bin/signet
}
echo "lint: $failed steps failed"
[ "$failed" = 0 ]
