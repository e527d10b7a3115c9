# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The drill, as in test-drill-device.sh, of a diff area that is full: it is enlarged, old
# snapshots are deleted, all of them are, or are given up.  And without protection: in
# time, and too late.
#
# The area has room for 9.4 MiB of old chunks, and for 28 MiB when it is enlarged.  A
# write that is more than it holds is of 11 MiB.
#
# vm: --disk live,size=12M --disk diff,size=40M --timeout 1500
# plan: 83
# tool: cowprotect

. /guest/lib.sh
. /guest/drill.sh

drill_devices
small=$((20 * 2048))
TOO_MUCH=11264

# In a small area again: no snapshot, no protection is left of the one before.
fresh()
{
	! dmsetup info data > /dev/null 2>&1 || cowprotect deactivate --release data || return
	exchange space "0 $small linear $under 0" && new_volume "$@" || return
	dmesg --clear
	kib=$TOO_MUCH
}

# clear may find a little room yet, as long as something dead was in memory.
clear_is_in_vain()
{
	local i
	for ((i = 0; i < 20; i++)); do
		if ! cowprotect clear data; then
			wait_for blocked && kill -0 "$writer"
			return
		fi
		wait_for blocked || return
	done
	echo "clear is carried out again and again"
	return 1
}

goes_on_or_blocked()
{
	! kill -0 "$writer" 2> /dev/null || blocked
}

# followed TIMES: one time may not be enough, then it is blocked anew, and says so.
followed()
{
	local i
	for ((i = 1; i <= $1; i++)); do
		"follow_$how"
		wait_for goes_on_or_blocked || return
		kill -0 "$writer" 2> /dev/null || return 0
	done
	echo "blocked still, having followed it $1 times"
	return 1
}

# status_says LINE
status_says()
{
	cowprotect status data > /tmp/status
	grep -qx "$1" /tmp/status || { cat /tmp/status; log_line; return 1; }
}

is_blocked()
{
	write_next
	said "the volume is blocked" wait_for blocked
	said "by diff-area-full" is "$(state data) $(fault data)" "blocked diff-area-full"
	said "the status counts what waits" status_says "  the diff area is full.*; [1-9][0-9]* I/Os wait"
}

# ---- enlarged ----

break_full() { fresh --protect; }
repair_full() { mend_space; }

drill full diff-area-full

# ---- the oldest are deleted: there is nothing to enlarge it with ----

# What the oldest needs is next to nothing, what the next one needs is enough: with
# both gone there is room for the 2 MiB of the third one and the 4.5 MiB that are written.
break_crowded()
{
	fresh --protect || return
	fill /dev/mapper/data 9000 256 4096
	take_snapshot
	fill /dev/mapper/data 9500 256 2048
	take_snapshot
	kib=4608
}

repair_crowded() { :; }

cause=crowded
for how in status log; do
	break_crowded > /dev/null 2>&1
	is_blocked
	said "clear alone releases nothing" clear_is_in_vain
	chosen="or lose the oldest snapshot"
	second=1
	said "who follows it, once for each, mends it" followed 2
	chosen=nothing
	second=
	kept="3 4"
	goes_on
	said "it is protected as before" is "$(mode data)" protected
done

# ---- the newest alone needs more than there is ----

empty()
{
	wait_for state_is data none && is "$(fault data) $(word data 7)" "none 0"
}

# no_snapshot_left MODE
no_snapshot_left()
{
	said "the writer ends well" eval 'wait_for fails kill -0 $writer && wait $writer'
	said "what it wrote is there" written
	said "no snapshot and no fault is left" empty
	said "the mode is $1" is "$(mode data)" "$1"
	kib=64
	said "a new snapshot holds" new_beginning
}

cause=alone
repair_alone() { :; }
how=status
fresh --protect > /dev/null 2>&1
is_blocked
chosen="or lose the oldest snapshot"
said "who follows it, once for each, mends it" followed 2
no_snapshot_left protected

cause=given_up
repair_given_up() { :; }
fresh --protect > /dev/null 2>&1
is_blocked
chosen="or lose all snapshots"
said "who follows it mends it" followed 1
chosen=nothing
no_snapshot_left normal

# ---- without protection ----

cause=waiting
repair_waiting() { mend_space; }
options="grow_wait_secs=3600"
for how in status log; do
	fresh > /dev/null 2>&1
	write_next
	said "the volume waits" wait_for state_is data waiting
	said "for room" status_says "data: waiting, not protected, diff-area-full"
	said "who follows it mends it" "follow_$how"
	goes_on
done

cause=late
options="grow_wait_secs=1"
for how in status log; do
	fresh > /dev/null 2>&1
	write_next
	said "the snapshots are given up" wait_for state_is data lost
	said "by grow-too-slow" status_says "data: lost, not protected, grow-too-slow"
	said "who follows it mends it" "follow_$how"
	no_snapshot_left normal
done

check "deactivate" cowprotect deactivate data
