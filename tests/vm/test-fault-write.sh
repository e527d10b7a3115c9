# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The diff device fails writes: all of them, or only those that hold old chunks.
#
# vm: --disk live,size=8M --disk diff,size=64M,cache=off --kmod dm-flakey --timeout 900
# plan: 71

. /guest/lib.sh
. /guest/faults.sh

map_diff

break_write()
{
	exchange diff "0 $sectors flakey $under 0 0 3600 1 error_writes"
}

mend_write()
{
	exchange diff "$good"
}

# The fixed places work: the lost mark can be written
break_segments()
{
	local first
	first=$(first_segment)
	exchange diff "0 $first linear $under 0
$first $((sectors - first)) flakey $under $first 0 3600 1 error_writes"
}

mend_segments()
{
	mend_write
}

traced()
{
	grep -q "cowprotect_$1: live [0-9]*:[0-9]* $2" /sys/kernel/tracing/trace
}

protected write cow-write-failure
echo 1 > /sys/kernel/tracing/events/cowprotect/enable
normal write cow-write-failure unmarked
check "a batch is traced" traced batch "batch [0-9]* chunks [1-9]"
check "a fault is traced" traced fault "fault cow-write-failure error -5"
check "a checkpoint is traced" traced checkpoint "generation [1-9][0-9]* error 0"
normal segments cow-write-failure marked
stop_listening
dmsetup remove diff
check "the module can be removed" wait_for rmmod dm_cowprotect
