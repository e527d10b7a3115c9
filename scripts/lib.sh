# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Shared by the scripts in this directory; sourced, not run.

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${COWPROTECT_CACHE:-$TREE/.cache}

say()
{
	echo "${0##*/}: $*" >&2
}

die()
{
	say "error: $*"
	exit 1
}

# usage_of FILE: the comment block at the top of a script is its usage text
usage_of()
{
	awk 'NR > 2 && !/^#/ { exit } NR > 3 { sub(/^# ?/, ""); print }' "$1"
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo > /dev/null; then
		sudo "$@"
	else
		die "'$*' needs root: run as root or install sudo"
	fi
}

# hash_of WORDS...: a short key that changes when any of the words does
hash_of()
{
	printf '%s\0' "$@" | sha256sum | cut -c1-12
}

# with_lock NAME COMMAND...: one at a time among all trees that share the cache
with_lock()
{
	local name=$1 fd
	shift
	mkdir -p "$CACHE/lock"
	exec {fd}> "$CACHE/lock/$name"
	if ! flock -n "$fd"; then
		say "waiting for another run that makes $name"
		flock "$fd"
	fi
	"$@" {fd}>&-
	local status=$?
	exec {fd}>&-
	return $status
}

# prune PATTERN [DAYS]: entries of the cache that no run has touched for two weeks
prune()
{
	find "$CACHE" -mindepth 1 -maxdepth 1 -name "$1" -mtime "+${2:-14}" \
		-exec rm -rf {} +
}

# apt_update: fetch the package lists, once a run
apt_update()
{
	[ -z "${APT_UPDATED:-}" ] || return 0
	say "fetching the package lists"
	as_root apt-get -q update > /dev/null ||
		die "apt-get update failed: check the network and /etc/apt"
	APT_UPDATED=1
}

apt_lists_present()
{
	[ -n "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -print -quit)" ]
}

# apt_fetch DIR PACKAGE=VERSION...: download packages and unpack them into DIR
apt_fetch()
{
	local dir=$1 debs
	shift
	debs=$(mktemp -d "$CACHE/debs.XXXXXX")
	say "downloading $*"
	if ! apt_download "$debs" "$@"; then
		rm -rf "$debs"
		die "cannot download $*: check the network, then run apt-get update"
	fi
	local deb
	for deb in "$debs"/*.deb; do
		dpkg-deb -x "$deb" "$dir" || die "cannot unpack $deb into $dir"
	done
	rm -rf "$debs"
}

# The lists may name a version that the mirror has replaced meanwhile.  The
# sandbox user of apt cannot write to our directory: root downloads.
apt_download()
{
	local dir=$1
	shift
	(cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@" > /dev/null)
}
