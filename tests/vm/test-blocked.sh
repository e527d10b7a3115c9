# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A protected volume whose diff area fails: nothing is lost, nothing is stuck.
#
# vm: --disk live,size=64M --disk diff,size=256M
# plan: 27

. /guest/lib.sh

map_diff
bad="0 $sectors error"

break_diff()
{
	dmsetup load diff --table "$bad"
	dmsetup suspend --noflush diff
	dmsetup resume --noudevsync diff
}

mend_diff()
{
	dmsetup load diff --table "$good"
	dmsetup suspend --noflush diff
	dmsetup resume --noudevsync diff
}

# A write that ends when it is let go
write_in_background()
{
	fill /dev/mapper/vol "$1" "$2" 64 &
	writer=$!
}

blocked_with_io()
{
	state_is vol blocked && [ "$(held vol)" -gt 0 ]
}

fill "$live" 1
before=$(sum "$live")
live vol "$live" "$diff" 8 format
message vol protect
id=$(message vol create_snapshot)
snapshot snap "$live" "$diff" "$id"
fill /dev/mapper/vol 7000 0 1024

events=$(dmsetup info -c --noheadings -o events vol)
break_diff
write_in_background 8000 2048
check "a failed copy blocks the volume" wait_for blocked_with_io
check "the fault has a word" fails is "$(fault vol)" none
check "an event was raised" test "$(dmsetup info -c --noheadings -o events vol)" -gt "$events"
check "the log names volume, cause and remedy" eval 'dmesg | grep -q "cowprotect: vol: blocked.*send clear"'
check "the writer waits" kill -0 $writer
check "a status is answered" eval 'dmsetup status vol > /dev/null && dmsetup table vol > /dev/null'
check "messages are answered" eval 'timeout 20 dmsetup message vol 0 list > /dev/null'
check "clear with the cause still there fails" fails timeout 90 dmsetup message vol 0 clear
check "and releases nothing" kill -0 $writer

check "a noflush suspend does not wait" timeout 20 dmsetup suspend --noflush --nolockfs vol
check "messages are answered meanwhile" eval 'timeout 20 dmsetup message vol 0 list > /dev/null'
check "a resume does not either" timeout 20 dmsetup resume --noudevsync vol
check "the writer waits again" wait_for blocked_with_io
dmsetup load vol --table "$(live_table "$live" "$diff" 8)"
check "a reload and noflush suspend do not wait" eval '
	timeout 20 dmsetup suspend --noflush --nolockfs vol &&
	timeout 20 dmsetup resume --noudevsync vol'
check "it is still blocked" wait_for blocked_with_io

mend_diff
check "after the repair clear is carried out" message vol clear
check "the writer ends" wait_for fails kill -0 $writer
check "well" wait $writer
check "the volume is active" wait_for state_is vol active
check "the snapshot has lost nothing" is "$(sum /dev/mapper/snap)" "$before"

break_diff
message vol blocked_io error
check "with error_if_blocked a write fails" fails fill /dev/mapper/vol 9000 4096 64
check "and a read" fails dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct
message vol blocked_io hold
write_in_background 9000 8192
check "without, a write is held" wait_for blocked_with_io
dmsetup remove snap
check "remove --force does not wait" eval '
	timeout 30 dmsetup remove --force --noudevsync vol || ! dmsetup info vol 2> /dev/null | grep -q cowprotect'
check "the writer ends with an error" eval 'wait_for fails kill -0 $writer; ! wait $writer'
wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
check "the module can be removed" wait_for rmmod dm_cowprotect

mend_diff
modprobe dm_cowprotect
check "what was preserved is there afterwards" eval '
	live vol "$live" "$diff" 8 && snapshot snap "$live" "$diff" "$id" &&
	is "$(sum /dev/mapper/snap)" "$before"'
