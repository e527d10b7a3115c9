# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Freed space is discarded on the diff device, with the option and where the device
# can; the volume does not notice.
#
# vm: --disk live,size=64M --disk diff,size=128M
# tool: cowprotect
# plan: 17

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)

# MiB that the diff device was told to discard
discarded() { awk '{ print int($14 / 2048) }' "/sys/class/block/${diff##*/}/stat"; }

at_least() { [ "$1" -ge "$2" ] || { echo "$1 instead of at least $2"; false; }; }
discarded_since() { at_least $(($(discarded) - before)) "$1"; }

# preserve SEED: 32 MiB, for a new snapshot; sets id and shown
preserve()
{
	shown=$(sum /dev/mapper/vol)
	id=$(message vol create_snapshot)
	fill /dev/mapper/vol "$1" 0 $((32 << 10))
}

shows()
{
	snapshot snap "$live" "$diff" "$1" || return
	is "$(sum /dev/mapper/snap)" "$2"
	local status=$?
	dmsetup remove snap
	return $status
}

fill "$live" 1
live vol "$live" "$diff" 8 format
before=$(discarded)
preserve 1000
message vol delete_snapshot "$id"
check "without the option nothing is discarded" eval '
	wait_for state_is vol none && is "$(discarded)" $before'

check "a reload brings the option" exchange vol "$(live_table "$live" "$diff" 8 discard_freed)"
check "the table tells it" eval 'dmsetup table vol | grep -q " 1 discard_freed$"'
preserve 2000
first=$id
first_shown=$shown
preserve 3000
check "what is needed is not discarded" eval 'discarded_since 0 && shows "$first" "$first_shown"'
message vol delete_snapshot "$first"
check "what the oldest snapshot needed is" wait_for discarded_since 24
check "the other one shows what it must" shows "$id" "$shown"
check "writes go on" fill /dev/mapper/vol 4000
check "it shows that still" shows "$id" "$shown"
before=$(discarded)
message vol delete_snapshot "$id"
check "what the last snapshot needed is discarded" wait_for discarded_since 48
check "the volume has no fault" is "$(fault vol)" none

# Closed in the middle of it, and opened again
preserve 5000
message vol delete_snapshot "$id"
dmsetup remove vol
check "closed at once, the diff area is in order" cowprotect check "$diff"
live vol "$live" "$diff" 8 discard_freed
preserve 6000
check "what comes then is where it should be" shows "$id" "$shown"

# A device that takes none
echo 0 > "/sys/class/block/${diff##*/}/queue/discard_max_bytes"
preserve 7000
before=$(discarded)
used=$(word vol 5)
message vol delete_snapshot $((id - 1))
check "without the device's help room becomes free" wait_for eval '
	[ "$(word vol 5 | cut -d / -f 1)" -lt "${used%/*}" ]'
check "nothing is discarded" is "$(discarded)" "$before"
check "the snapshot shows what it must" shows "$id" "$shown"
check "the volume has no fault" is "$(fault vol)" none
dmsetup remove vol
check "the diff area is in order" cowprotect check "$diff"
