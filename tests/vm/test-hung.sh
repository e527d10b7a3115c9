# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A diff device that neither completes nor fails its I/O: a suspended mapped
# device is one.
#
# vm: --disk live,size=64M --disk diff,size=256M --timeout 900
# plan: 19

. /guest/lib.sh

live=$(disk live)
under=$(disk diff)
dmsetup create diff --noudevsync --table "0 $(blockdev --getsz "$under") linear $under 0"
diff=/dev/mapper/diff

blocked_with_io()
{
	state_is vol blocked && [ "$(held vol)" -gt 0 ]
}

write_in_background()
{
	fill /dev/mapper/vol "$1" "$2" 64 &
	writer=$!
}

fill "$live" 1
before=$(sum "$live")
live vol "$live" "$diff" 8 format diff_timeout_secs 2
message vol protect
id=$(message vol create_snapshot)
snapshot snap "$live" "$diff" "$id"
fill /dev/mapper/vol 5000 0 256

dmsetup suspend --noflush --nolockfs diff
write_in_background 6000 1024
check "a hung diff device is a fault" wait_for blocked_with_io
check "its word is timeout" is "$(fault vol)" timeout
check "messages are answered" eval 'timeout 20 dmsetup message vol 0 list > /dev/null'
check "a noflush suspend does not wait" timeout 20 dmsetup suspend --noflush --nolockfs vol
check "nor a resume" timeout 20 dmsetup resume --noudevsync vol
check "the writer waits" wait_for blocked_with_io
check "clear comes back while it hangs" eval 'timeout 80 dmsetup message vol 0 clear; [ $? -ne 124 ]'
check "and releases nothing" eval 'kill -0 $writer'
dmsetup resume --noudevsync diff
check "when it answers again clear is carried out" wait_for message vol clear
check "the writer ends well" wait $writer
check "the snapshot has lost nothing" is "$(sum /dev/mapper/snap)" "$before"

dmsetup suspend --noflush --nolockfs diff
write_in_background 7000 4096
wait_for blocked_with_io
dmsetup remove snap
check "the volume is removed while it hangs" eval '
	timeout 40 dmsetup remove --force --noudevsync vol || ! dmsetup table vol 2> /dev/null | grep -q cowprotect'
wait $writer
wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
check "the module cannot be removed meanwhile" fails rmmod dm_cowprotect
dmsetup create vol --noudevsync --table "$(live_table "$live" "$diff" 8 diff_timeout_secs 2)" &
# shellcheck disable=SC2034	# in what check evaluates
creator=$!
check "a new live volume is made while it hangs" eval 'wait_for fails kill -0 $creator && wait $creator'
check "it waits for the one before to let go of the diff device" is "$(state vol)" recovering
dmsetup resume --noudevsync diff
check "when it answers again the volume becomes active" wait_for state_is vol active
check "the snapshot has lost nothing" eval '
	snapshot snap "$live" "$diff" "$id" && is "$(sum /dev/mapper/snap)" "$before"'
dmsetup remove snap
dmsetup remove vol
check "the devices are free" wait_for dmsetup remove diff
check "the module can be removed" wait_for rmmod dm_cowprotect
