# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# In the guest of tests/rotation/run:	guest.sh ROTATIONS SEED ORDER...
# 20 checks for each order.

. /guest/lib.sh

rotations=$1
seed=$2
shift 2

# Retained; and rotations after which memory must not grow any more
SNAPSHOTS=24
WARM=30
# What the diff area is to hold: MiB
ROOM=192
# Chunks a segment (256 blocks, of which header, summaries and ring are 15)
SLOTS=241
# Segments beside those that are full of what is needed, when all is at rest: that which
# the oldest epoch shares with one that is gone, that which was open when the volume was
# closed, the open one, and four of the index: two that the run of all old records may
# lie across, and those that its two writers go on with
OTHERS=7
# One of so many segments is kept free by moving chunks, before there is need
CLEANER=16
# Of the room, what can be used to the last: per cent
USABLE=90
# The kernel's own, here and there, between two looks: KiB
MEMORY_NOISE=2048

# rotation COMMAND...: what it prints is kept, and told
rotation()
{
	/usr/bin/rotation /tmp/model "$live" "$diff" "$@" > /tmp/rotation.out 2>&1
	local status=$?
	cat /tmp/rotation.out
	return $status
}

# told NAME COMMAND...: a check, with what it says
told()
{
	check "$@"
	grep '^#' /tmp/check.out
}

at_most() { [ "$1" -le "$2" ] || { echo "$1 instead of at most $2"; false; }; }
within() { at_least "$1" "$2" && at_most "$1" "$3"; }
at_least() { [ "$1" -ge "$2" ] || { echo "$1 instead of at least $2"; false; }; }

used() { word vol 5 | cut -d / -f 1; }
total() { word vol 5 | cut -d / -f 2; }
events() { dmsetup info -c --noheadings -o events vol; }

# Writes that ended on the diff device
writes() { awk '{ print $5 }' "/sys/class/block/${diff##*/}/stat"; }

# A pass begins when the volume was idle for two seconds: no write for four
quiet()
{
	local before
	before=$(writes)
	sleep 4
	is "$(writes)" "$before"
}

# KiB that nobody has, when what can be given back has been
settled_memory()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
	echo 1 > /proc/sys/vm/compact_memory
	local before
	before=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	sleep 2
	memory=$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)
	[ $((memory - before)) -le 64 ] && [ $((before - memory)) -le 64 ]
}

memory_now()
{
	WAIT_LIMIT=60 wait_for settled_memory
	echo "# $memory KiB of memory are available, $(word vol 11) bytes of the volume's"
}

# under_load WHAT: of these messages nine of ten were answered while writes were under way
under_load()
{
	awk -v what="$1" '
		$2 == what { all = $3; under = $4 }
		END { print "# " under " of " all " " what; exit !(all && under >= .9 * all) }
	' /tmp/rotation.out
}

# What the segments of copies hold, as the manifest says
live_counts()
{
	cowprotect dump --json "$diff" | awk -F : '
		/"kind"/ { copies = /log|moved|listed/ }
		/"live"/ && copies { sum += $2 }
		END { print sum + 0 }'
}

activate() { live vol "$live" "$diff" 8; }
clean() { cowprotect check "$diff"; }

# settle: nothing is left to be dropped.  Records in memory become a run, those of the
# current epoch old ones, and the deletion of one from the middle asks for a pass.
settle()
{
	dmsetup remove vol && activate && rotation turn && WAIT_LIMIT=120 wait_for quiet
}

rotate()
{
	local order=$1 most before

	blank "$diff"
	live vol "$live" "$diff" 8 format
	check "$order: the area holds $ROOM MiB" \
		at_least "$(total)" $((ROOM * 256))
	check "$order: and hardly more" at_most "$(total)" $((ROOM * 256 + SLOTS))
	check "$order: nothing is used" is "$(used)" 0
	message vol protect
	rotation fill "$seed" || return

	told "$order: $WARM rotations" rotation rotate $WARM $SNAPSHOTS "$order"
	memory_now
	warm=$memory
	bytes=$(word vol 11)
	before=$(events)
	start=$SECONDS
	told "$order: $((rotations - WARM)) rotations, none of which waits for room" \
		rotation rotate $((rotations - WARM)) $SNAPSHOTS "$order"
	echo "# in $((SECONDS - start)) s"
	told "$order: snapshots are made under load" under_load creations
	told "$order: and deleted" under_load deletions
	check "$order: the state never changed" is "$(events)" "$before"
	check "$order: the volume's memory is what it was" is "$(word vol 11)" "$bytes"
	memory_now
	check "$order: and the machine's" at_least "$memory" $((warm - MEMORY_NOISE))
	check "$order: all snapshots show what they must" rotation verify

	check "$order: the area comes to rest" settle
	rotation needed > /tmp/needed || return
	read -r needed copies < /tmp/needed
	most=$((needed + SLOTS - 1 + OTHERS * SLOTS))
	[ "$order" = oldest ] || most=$(($(total) - $(total) / CLEANER))
	echo "# chunks used $(used)/$(total), needed $needed"
	check "$order: space used is what is needed, but for whole segments" at_most "$(used)" $most
	dmsetup remove vol
	check "$order: the copies in the area are those needed" within "$(live_counts)" "$needed" "$copies"
	echo "# $(live_counts) copies, $needed to $copies needed"
	check "$order: the area is sound" clean

	activate
	told "$order: $USABLE % of the room can be needed" \
		rotation grow $(($(total) * USABLE / 100))
	check "$order: all snapshots show what they must" rotation verify
	check "$order: all are deleted" rotation delete
	echo "# chunks used $(used)/$(total)"
	dmsetup remove vol
	activate
	check "$order: nothing is used" is "$(used)" 0
	dmsetup remove vol
	check "$order: the area is sound" clean
}

live=$(disk live)
diff=$(disk diff)
for order; do
	rotate "$order"
done
