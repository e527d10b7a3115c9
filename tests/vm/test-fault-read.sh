# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The diff device fails reads: of the index, when a write has to know whether
# its chunks are preserved; of everything, when the volume is activated.
#
# vm: --disk live,size=8M --disk diff,size=64M --timeout 900
# plan: 59

. /guest/lib.sh
. /guest/faults.sh

map_diff

# A new activation has nothing of the index in memory
prepare_index()
{
	message vol checkpoint
	dmsetup remove vol
	activate
}

break_index()
{
	local first
	first=$(first_segment)
	exchange diff "0 $first linear $under 0
$first $((sectors - first)) error"
}

mend_index()
{
	exchange diff "$good"
}

found_by="write"
protected index io-failure
normal index io-failure marked

# At activation
new_volume protected
dmsetup remove vol
exchange diff "0 $sectors error"
dmsetup create vol --noudevsync --table "$(live_table "$live" "$diff" 8)"
check "activation, protected: an area that cannot be read blocks" wait_for state_is vol blocked
check "activation, protected: the fault is io-failure-during-online" is "$(fault vol)" io-failure-during-online
check "activation, protected: clear with the cause still there fails" fails message vol clear
mend_index
check "activation, protected: after the repair clear is carried out" message vol clear
check "activation, protected: the volume is active" state_is vol active
check "activation, protected: the snapshot has lost nothing" safe
message vol reset
dmsetup remove vol

exchange diff "0 $sectors error"
dmsetup create vol --noudevsync --table "$(live_table "$live" "$diff" 8 noprotect diff_wait_secs 2)"
check "activation, normal: an area that cannot be read is waited for" wait_for state_is vol waiting
check "activation, normal: the fault is io-failure-during-online" is "$(fault vol)" io-failure-during-online
check "activation, normal: reads are not held" \
	dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct
write_next
check "activation, normal: a write ends within the wait" eval 'wait_for fails kill -0 $writer; wait $writer'
check "activation, normal: the snapshots are lost" state_is vol lost
mend_index
end_volume
stop_listening
dmsetup remove diff
check "the module can be removed" wait_for rmmod dm_cowprotect
