# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# Requests, which do not depend on the processor: sourced, not run.  Prints lines
#
#	count DEVICES TARGET SNAPSHOTS LOAD DEPTH OPERATIONS WHAT VALUE

# dm-cowprotect and dm-thin write a last time a second after a load
requests_settle()
{
	case $target in
	cowprotect | thin) sleep 1.5 ;;
	esac
}

# counted NAME LOAD DEPTH: what a load costs, until everything is written
counted()
{
	local name=$1 load=$2 depth=$3 ops

	wanted "$kind $target $snapshots $name" || return 0
	ops=$(operations "$load")
	fresh
	requests_settle
	requests_begin
	replay "$load" /dev/mapper/vol "$depth" || exit 1
	requests_settle
	requests_end
	gone
	count_lines
}

# Snapshot reads of chunks that were preserved, with nothing of the index in memory
counted_cold()
{
	local name=snapshot-read-cold load=read-4096-1024-65536-random depth=1 ops=1024

	[ "$target" != linear ] && wanted "$kind $target $snapshots $name" || return 0
	fresh
	replay "write-4096-1024-65536-random" /dev/mapper/vol 32 || exit 1
	gone
	"${target}_again" "$snapshots" || exit 1
	requests_begin
	replay "$load" /dev/mapper/snap "$depth" || exit 1
	requests_end
	gone
	count_lines
}

# Of what the caller calls load, name, depth and ops
count_lines()
{
	local prefix="count $kind $target $snapshots $name $depth $ops"

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
}

# counts TARGET SNAPSHOTS
counts()
{
	local many=1024

	target=$1
	snapshots=$2
	[ "$target" = cowprotect ] && many=4096
	[ -z "$quick" ] || many=1024
	counted first "write-4096-1024-65536-random" 1
	counted first "write-4096-$many-65536-random" 32
	counted first-64k "write-65536-$((many / 4))-65536-sequential" 4
	counted first-1m "write-1048576-$((many / 64))-1048576-sequential" 4
	counted first-sync "sync-4096-256-65536-random" 1
	counted_cold
}
