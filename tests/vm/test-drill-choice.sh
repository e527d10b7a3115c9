# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The drill, as in test-drill-device.sh, where no repair brings everything back: another
# activation has used the diff area, or what was damaged cannot be put back.  Then the
# operator chooses, and is told what the choice costs.
#
# vm: --disk live,size=4M --disk diff,size=32M --disk other,size=32M --disk copy,size=4M --timeout 1500
# plan: 34
# tool: cowprotect

. /guest/lib.sh
. /guest/drill.sh

other=$(disk other)
copy=$(disk copy)
drill_devices

# blocked_for_now: by a first write, which waits too
blocked_for_now()
{
	cowprotect replace-diff data - > /dev/null
	write_next
	early=$writer
	wait_for blocked
}

# Somebody puts another volume's diff device in its place
break_stranger()
{
	moved=1
	blocked_for_now
	exchange data-diff "0 $sectors linear $other 0"
	dmesg --clear
	cowprotect clear data
}

repair_stranger() { :; }

# image FILE, put_image FILE: all of the diff device
image()
{
	dd if="$device" of="$1" bs=1M iflag=direct status=none
}

put_image()
{
	dd if="$1" of="$device" bs=1M oflag=direct conv=notrunc status=none
}

# Another machine has used the area, without a write.  This kernel would not let the
# same area be active twice, so what that one leaves is made before.
break_taken()
{
	cowprotect deactivate data
	image /tmp/before
	again "$device" && again "$device" && cowprotect deactivate data
	image /tmp/after
	put_image /tmp/before
	activate
	blocked_for_now
	put_image /tmp/after
	cowprotect replace-diff data "$device"
	dmesg --clear
	cowprotect clear data
}

repair_taken() { :; }

# It cannot be put back
break_damage()
{
	cowprotect deactivate data
	new_volume --protect
	again "$device"
	first=$(($(first_segment) / 8))
	dd if=/dev/urandom of="$device" bs=4k seek=$first count=$((sectors / 8 - first)) \
		oflag=direct status=none
}

repair_damage() { :; }

new_volume --protect
check "a volume" is "$(state data)" active
cowprotect format --live "$copy" "$other" > /dev/null
drill stranger external-writer
check "the write before ended well, too" wait "$early"
moved=

# What has no other way is said, too: the choice is the operator's.
how="status, without what waits"
cause=taken
break_taken > /dev/null 2>&1
write_next
said "the volume is blocked" wait_for blocked
said "by external-writer" is "$(fault data)" external-writer
chosen="or let what waits fail"
said "who follows it mends it" follow_status
said "what waited has failed" [ "$ended" -ne 0 ]
said "the volume is active" is "$(state data) $(fault data)" "active none"
said "no snapshot has lost anything" nothing_lost
said "a write is carried out" eval 'write_next; wait $writer && written'

given_up()
{
	how="status, without the snapshots"
	"break_$cause" > /dev/null 2>&1
	write_next
	said "the volume is blocked" wait_for blocked
	chosen="or lose all snapshots"
	said "who follows it mends it" follow_status
	said "the writer ends well" eval 'wait_for fails kill -0 $writer && wait $writer'
	said "what it wrote is there" written
	chosen=nothing
}

given_up
said "a new snapshot holds" new_beginning
cause=damage
given_up
said "a new snapshot holds" new_beginning

check "deactivate" cowprotect deactivate data
