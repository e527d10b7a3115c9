# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The volume is activated without its diff area, which arrives in a reload: in
# time, too late.
#
# vm: --disk live,size=8M --disk diff,size=64M
# plan: 35

. /guest/lib.sh
. /guest/faults.sh

live=$(disk live)
diff=$(disk diff)
under=$diff

# without OPTION...: the volume that was made before, without its diff area
without()
{
	dmsetup create vol --noudevsync --table "$(live_table "$live" - 8 "$@")"
}

arrives()
{
	exchange vol "$(live_table "$live" "$diff" 8 "$@")"
}

missing_and_said()
{
	check "$name: the volume is $1" wait_for state_is vol "$1"
	check "$name: the fault is diff-area-missing" is "$(fault vol)" diff-area-missing
}

new_volume protected
end_volume

name="missing, protected, held"
listen
without protect
missing_and_said blocked
check "$name: event, uevent and log say so" told blocked diff-area-missing \
	"blocked, I/O is held, the snapshots are safe; fault diff-area-missing \\(error -19\\): attach the diff device, then reload the table with it"
write_next
dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
check "$name: writes and reads are held" wait_for eval '[ "$(held vol)" -ge 2 ]'
check "$name: clear releases nothing" eval '! message vol clear && kill -0 $writer && kill -0 $reader'
check "$name: a reload without it does not wait, and releases nothing" eval '
	exchange vol "$(live_table "$live" - 8 protect)" && wait_for blocked_with_io &&
	kill -0 $writer && kill -0 $reader'
arrives protect
check "$name: when it arrives the volume becomes active" wait_for state_is vol active
check "$name: the writer ends well" eval 'wait $writer && written'
check "$name: so does the reader" wait $reader
check "$name: the snapshot has lost nothing" safe
end_volume

name="missing, protected, failed"
without error_if_blocked
missing_and_said blocked
check "$name: a write fails" eval 'write_next; fails wait $writer'
check "$name: a read fails" read_fails
arrives
check "$name: when it arrives the volume becomes active" wait_for state_is vol active
check "$name: a write is carried out" eval 'write_next; wait $writer && written'
check "$name: the snapshot has lost nothing" safe
end_volume

name="missing, protected, taken away"
without
write_next
wait_for blocked_with_io
check "$name: remove --force does not wait" eval '
	timeout 30 dmsetup remove --force --noudevsync vol ||
	! dmsetup table vol 2> /dev/null | grep -q cowprotect'
check "$name: the writer ends with an error" eval 'wait_for fails kill -0 $writer; fails wait $writer'
wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
check "$name: the module can be removed" wait_for rmmod dm_cowprotect
modprobe dm_cowprotect

name="missing, normal, in time"
listen
without noprotect error_if_blocked diff_wait_secs 600
missing_and_said waiting
check "$name: event, uevent and log say so" told waiting diff-area-missing \
	"waiting, normal mode, fault diff-area-missing \\(error -19\\): attach the diff device"
write_next
check "$name: a write waits" wait_for eval '[ "$(held vol)" -gt 0 ] && kill -0 $writer'
check "$name: reads do not" dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct
arrives noprotect
check "$name: when it arrives the writer ends well" eval 'wait $writer && written'
check "$name: the snapshot has lost nothing" eval 'state_is vol active && safe'
end_volume

name="missing, normal, too late"
listen
without noprotect diff_wait_secs 600
write_next
wait_for eval '[ "$(held vol)" -gt 0 ]'
exchange vol "$(live_table "$live" - 8 noprotect diff_wait_secs 2)"
check "$name: the writer ends well, after the wait of the newest table" eval 'wait_for fails kill -0 $writer; wait $writer && written'
check "$name: the snapshots are lost" state_is vol lost
check "$name: event, uevent and log say so" told lost diff-area-missing \
	"snapshots given up \\(not yet marked\\), fault diff-area-missing \\(error -19\\)"
check "$name: the mark is unmarked" is "$(mark)" unmarked
arrives noprotect
check "$name: when it arrives it is marked" wait_for eval '[ "$(mark)" = marked ]'
end_volume
check "$name: they are lost after a restart too" eval 'activate && state_is vol lost && is "$(mark)" marked'
end_volume
without noprotect diff_wait_secs 0
write_next
wait $writer
arrives noprotect
check "$name: reset is a new beginning" eval '
	wait_for message vol reset && state_is vol none && id=$(message vol create_snapshot) && before=$(sum /dev/mapper/vol) &&
	write_next && wait $writer && safe'
end_volume
stop_listening
check "the module can be removed" wait_for rmmod dm_cowprotect
