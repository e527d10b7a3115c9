# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# Requests, which do not depend on the processor: sourced, not run.  Prints lines
#
#	count DEVICES TARGET SNAPSHOTS LOAD DEPTH OPERATIONS WHAT VALUE

# counted NAME LOAD DEPTH: what a load costs, until everything is written
counted()
{
	local name=$1 load=$2 depth=$3 ops prefix

	wanted "$kind $target $snapshots $name" || return
	ops=$(operations "$load")
	"${target}_up" "$snapshots" || exit 1
	sleep 1.5
	requests_begin
	replay "$load" /dev/mapper/vol "$depth" || exit 1
	sleep 1.5
	requests_end
	prefix="count $kind $target $snapshots $name $depth $ops"
	echo "$prefix live-reads $(requests "$READS" "$live")"
	echo "$prefix live-writes $(requests "$WRITES" "$live")"
	# shellcheck disable=SC2086	# words are meant to be split
	{
		echo "$prefix diff-reads $(requests "$READS" $meta $cows)"
		echo "$prefix diff-writes $(requests "$WRITES" $meta $cows)"
		echo "$prefix diff-fua $(requests "$FUA_WRITES" $meta $cows)"
		echo "$prefix diff-flushes $(requests "$FLUSHES" $meta $cows)"
		echo "$prefix diff-bytes $(request_bytes "$WRITES" $meta $cows)"
		echo "$prefix all-bytes $(request_bytes "$WRITES" $live $meta $cows)"
	}
	"${target}_down" "$snapshots"
}

# counts TARGET SNAPSHOTS
counts()
{
	local many=1024

	target=$1
	snapshots=$2
	[ "$target" = cowprotect ] && many=4096
	[ -z "$quick" ] || many=$((many / 4))
	counted first "write-4096-1024-65536-random" 1
	counted first "write-4096-$many-65536-random" 32
	counted first-64k "write-65536-$((many / 4))-65536-sequential" 4
	counted first-1m "write-1048576-$((many / 64))-1048576-sequential" 4
	counted first-sync "sync-4096-256-65536-random" 1
}
