# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The diff area is full, and grows: in time, too late, not at all.
#
# vm: --disk live,size=32M --disk one,size=24M --disk two,size=24M --disk three,size=24M --timeout 900
# plan: 36

. /guest/lib.sh
. /guest/faults.sh

live=$(disk live)

# More than the area holds
overfill()
{
	write_in_background 900000 512 28672
}

all_written()
{
	cmp -n $((28672 << 10)) <(numbers 900000 28672) \
		<(dd if=/dev/mapper/vol bs=512k skip=1 iflag=direct status=none)
}

# Each time reclaim may still find some room, with what was in memory in a run
no_room_is_left()
{
	local i
	for ((i = 0; i < 20; i++)); do
		message vol grow && message vol clear || return 0
		wait_for blocked_with_io || return 1
	done
	return 1
}

name="full, protected, held"
diff=$(disk one)
under=$diff
new_volume protected
listen
overfill
check "$name: the volume blocks" wait_for blocked_with_io
check "$name: the fault is diff-area-full" is "$(fault vol)" diff-area-full
check "$name: event, uevent and log say so" told blocked diff-area-full \
	"blocked, I/O is held, the snapshots are safe; fault diff-area-full \\(error -28\\): grow the diff device and send grow, or delete snapshots; then send clear"
check "$name: clear with the cause still there fails" fails message vol clear
check "$name: so it does behind grow without more room" no_room_is_left
check "$name: nothing is released" eval 'blocked_with_io && kill -0 $writer'
check "$name: a noflush suspend and resume do not wait" suspend_does_not_wait
check "$name: what was held is held again" wait_for blocked_with_io
check "$name: the snapshot can be read" safe

name="full, protected, failed"
message vol blocked_io error
check "$name: what was held fails" eval 'wait_for fails kill -0 $writer; fails wait $writer'
check "$name: a read fails" read_fails
message vol blocked_io hold

name="full, protected, taken away"
overfill
check "$name: a write is held" wait_for blocked_with_io
check "$name: remove --force does not wait" eval '
	timeout 30 dmsetup remove --force --noudevsync vol ||
	! dmsetup table vol 2> /dev/null | grep -q cowprotect'
check "$name: the writer ends with an error" eval 'wait_for fails kill -0 $writer; fails wait $writer'
wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
check "$name: the module can be removed" wait_for rmmod dm_cowprotect
modprobe dm_cowprotect
check "$name: the volume comes back" eval 'activate && state_is vol active && safe'

name="full, protected, grown"
overfill
check "$name: it is full still" wait_for blocked_with_io
host resize one 64M
check "$name: grow takes the room up" message vol grow
check "$name: clear is carried out" message vol clear
check "$name: the writer ends well" wait $writer
check "$name: what it wrote is there" all_written
check "$name: the volume is active" state_is vol active
check "$name: the snapshot has lost nothing" safe
message vol reset
end_volume

name="full, normal, grown in time"
diff=$(disk two)
under=$diff
new_volume normal
exchange vol "$(live_table "$live" "$diff" 8 grow_wait_secs 600)"
message vol blocked_io error
listen
overfill
check "$name: a write waits" eval 'wait_for state_is vol waiting && kill -0 $writer'
check "$name: event, uevent and log say so" told waiting diff-area-full \
	"waiting, normal mode, fault diff-area-full \\(error -28\\): grow the diff device"
check "$name: reads do not wait" dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct
check "$name: nor do writes that need no copy" fill /dev/mapper/vol 7000 0 256
check "$name: nor does a noflush suspend" suspend_does_not_wait
host resize two 64M
check "$name: the writer ends well" eval 'message vol grow && wait $writer && all_written'
check "$name: the snapshot has lost nothing" eval 'wait_for state_is vol active && safe'
end_volume

name="full, normal, too late"
diff=$(disk three)
under=$diff
new_volume normal
exchange vol "$(live_table "$live" "$diff" 8 grow_wait_secs 2)"
listen
overfill
check "$name: the writer ends well" eval 'wait $writer && all_written'
check "$name: the snapshots are lost" wait_for state_is vol lost
check "$name: event, uevent and log say so" told lost grow-too-slow \
	"snapshots given up, fault grow-too-slow \\(error [-0-9]+\\): send reset"
end_volume
check "$name: they are lost after a restart too" eval 'activate && state_is vol lost && is "$(mark)" marked'
check "$name: reset is a new beginning" eval 'message vol reset && wait_for state_is vol none'
end_volume
stop_listening
check "the module can be removed" wait_for rmmod dm_cowprotect
