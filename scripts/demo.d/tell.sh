# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# How the demo's story is printed: sourced by story.sh.

title()
{
	printf '\n\n=== %s ===\n' "$*"
}

# Prose, of any number of words
tell()
{
	printf '\n'
	echo "$*" | tr -s '\n\t' ' ' | fmt -w 79
}

# run COMMAND: a command as a user would type it, and what it answers.  One that
# fails is a failed check.
run()
{
	local status
	printf '\n    $ %s\n' "$1"
	( eval "$1" ) 2>&1 | sed 's/^/    /'
	status=${PIPESTATUS[0]}
	[ "$status" -eq 0 ] || echo "not ok - '$1' ends with exit status $status"
	return "$status"
}

# must NAME COMMAND...: a check without which the rest makes no sense
must()
{
	check "$@" | tee /tmp/must
	! grep -q '^not ok' /tmp/must || exit 1
}
