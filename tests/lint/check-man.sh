#!/bin/sh
# The manual against the program: every command and long option that --help knows stands in signet(1),
# command by command, and the manual names no other. And the pages against each other: what one says of a page
# of ours (.Xr signet... SECTION) is there, and their dates are of one form.
#
#   check-man.sh [PROGRAM [MANUAL]]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
program=${1:-$top/build/bin/signet}
manual=${2:-$top/man/signet.1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

complain() {
	echo "$1" >&2
	failed=1
}

# The long options that a help text lists, one a line.
listed() {
	sed -n 's/^  --\([a-z-]*\).*/\1/p' | sort -u
}

# "command" and "command<TAB>option" lines of the manual's items: what stands between .It Xo and .Xc.
awk '
	/^\.It Xo$/ { item = 1; command = ""; next }
	/^\.Xc$/ { item = 0 }
	item && /^\.Ic / { command = substr($0, 5); print command }
	item {
		line = $0
		while (match(line, /Fl -[a-z-]+/)) {
			print command "\t" substr(line, RSTART + 4, RLENGTH - 4)
			line = substr(line, RSTART + RLENGTH)
		}
	}
' "$manual" >"$work/manual"
# The options outside the commands: .It Fl lines.
sed -n 's/^\.It Fl -\([a-z-]*\).*/\1/p' "$manual" | sort -u >"$work/global.manual"

"$program" --help >"$work/help"
listed <"$work/help" >"$work/global.help"
diff "$work/global.manual" "$work/global.help" >"$work/diff" ||
	complain "options of every command, manual (<) and --help (>): $(grep '^[<>]' "$work/diff" | tr '\n' ' ')"

# A command is the lower-case words at the start of its line of help.
sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z]*\( [a-z][a-z]*\)*\).*/\1/p' "$work/help" | sort >"$work/commands.help"
grep -v "$(printf '\t')" "$work/manual" | sort >"$work/commands.manual"
[ -s "$work/commands.help" ] || complain "$program --help lists no commands"
diff "$work/commands.manual" "$work/commands.help" >"$work/diff" ||
	complain "commands, manual (<) and --help (>): $(grep '^[<>]' "$work/diff" | tr '\n' ' ')"

while read -r command; do
	# shellcheck disable=SC2086 # a command is one word or more
	"$program" $command --help | listed | grep -vxF -f "$work/global.help" >"$work/help" || :
	awk -F '\t' -v command="$command" '$1 == command && NF == 2 { print $2 }' "$work/manual" |
		sort -u >"$work/options"
	diff "$work/options" "$work/help" >"$work/diff" ||
		complain "$command: manual (<) and --help (>): $(grep '^[<>]' "$work/diff" | tr '\n' ' ')"
done <"$work/commands.help"

for page in "$top"/man/*.[1-8]; do
	name=${page##*/}
	sed -n 's/^\.Xr \(signet[a-z.-]*\) \([0-9]\).*/\1.\2/p' "$page" | sort -u >"$work/references"
	while read -r reference; do
		[ -f "$top/man/$reference" ] || complain "$name: there is no page $reference"
	done <"$work/references"
	head -n 1 "$page" | grep -Eqx '\.Dd [A-Z][a-z]+ [0-9]{1,2}, 2026' ||
		complain "$name: the first line is no date as '.Dd November 21, 2026'"
done
exit "$failed"
