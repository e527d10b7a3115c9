# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Every allocation fails that is made with the module's code on the stack, by the
# kernel's fault injection: the module's own, and those of the block layer, the
# drivers and the core that it calls.  What a volume does once it is active goes on.
#
# vm: --disk live,size=32M --disk diff,size=128M
# tool: cowprotect
# kernel: debug
# plan: 29

. /guest/lib.sh

inject=/sys/kernel/debug
many=1000000000

# Where the module's code is: the stack filter's range
module_text()
{
	start=$(cat /sys/module/dm_cowprotect/sections/.text)
	size=$(sed -n 's/^dm_cowprotect \([0-9]*\) .*/\1/p' /proc/modules)
	end=$(printf '0x%x' $((start + size)))
}

# With sleeping allocations too, at any order, for as long as it is on
arm()
{
	local kind
	module_text
	for kind in failslab fail_page_alloc; do
		echo "$start" > "$inject/$kind/require-start"
		echo "$end" > "$inject/$kind/require-end"
		echo N > "$inject/$kind/ignore-gfp-wait"
		echo 0 > "$inject/$kind/verbose"
		echo 1 > "$inject/$kind/interval"
		echo "$many" > "$inject/$kind/times"
	done
	echo 0 > "$inject/fail_page_alloc/min-order"
}

failing()
{
	echo "$1" > "$inject/failslab/probability"
	echo "$1" > "$inject/fail_page_alloc/probability"
}

# Allocations that failed so far, of both kinds
hits()
{
	echo $((2 * many - $(cat "$inject/failslab/times") - $(cat "$inject/fail_page_alloc/times")))
}

# hit_since HITS NAME: some did, or what went well proves nothing
hit_since()
{
	local now
	now=$(hits)
	check "$2" test "$now" -gt "$1"
	echo "#	$((now - $1)) allocations failed"
}

# All of the volume, in the background
overwrite()
{
	fill /dev/mapper/vol "$1" &
	writer=$!
}

ended_well()
{
	wait "$writer" && is "$(state vol)" active && is "$(fault vol)" none
}

live=$(disk live)
diff=$(disk diff)
fill "$live" 1
first=$(sum "$live")

check "a live volume is made" live vol "$live" "$diff" 8 format cache_kib 64
arm
failing 100
hit=$(hits)
check "no volume is made without memory" fails timeout 20 dmsetup create other --noudevsync \
	--table "$(live_table "$live" "$diff" 8)"
hit_since "$hit" "that failed allocations"

# ---- creation, writes, reads ----
hit=$(hits)
# shellcheck disable=SC2034	# in an eval
events=$(cat /sys/kernel/uevent_seqnum)
check "a snapshot is made" eval 'id1=$(message vol create_snapshot one) && [ "$id1" = 1 ]'
check "protection mode is set" message vol protect
hit_since "$hit" "all that failed allocations"
failing 0
check "the events that found no memory are told later" wait_for \
	eval '[ "$(cat /sys/kernel/uevent_seqnum)" -gt "$events" ]'
check "its device is made" snapshot snap1 "$live" "$diff" 1
failing 100

hit=$(hits)
overwrite 5000
wait "$writer"
check "overwriting the volume ends well" ended_well
check "the snapshot shows what was there" is "$(sum /dev/mapper/snap1)" "$first"
check "and small pieces of it" eval '
	[ "$(dd if=/dev/mapper/snap1 bs=512 iflag=direct count=256 status=none | sha256sum)" = \
	  "$(numbers 1 128 | sha256sum)" ]'
hit_since "$hit" "all that failed allocations"

# ---- creation and deletion while it is written to ----
hit=$(hits)
overwrite 900000
check "a second snapshot is made meanwhile" message vol create_snapshot two
check "the first one still shows the beginning" is "$(sum /dev/mapper/snap1)" "$first"
check "the writes end well" ended_well
dmsetup remove snap1
overwrite 70000
check "the first snapshot is deleted meanwhile" message vol delete_snapshot 1
check "a checkpoint is written" message vol checkpoint
check "the writes end well" ended_well
hit_since "$hit" "that failed allocations"
check "the list shows one" is "$(message vol list | wc -l)" 1

# ---- growth ----
total()
{
	word vol 5 | cut -d / -f 2
}
memory=$(word vol 11)
chunks=$(total)
host resize diff 256M > /dev/null
has_grown()
{
	[ "$(blockdev --getsize64 "$diff")" -eq $((256 << 20)) ]
}
wait_for has_grown
hit=$(hits)
check "growth without memory is refused" fails message vol grow
check "and nothing has changed" eval 'is "$(total)" "$chunks" && is "$(word vol 11)" "$memory"'
hit_since "$hit" "that failed allocations"
failing 0
check "with memory it succeeds" message vol grow
check "there is more room" test "$(total)" -gt "$chunks"
check "and the bound is another" fails is "$(word vol 11)" "$memory"

# ---- afterwards ----
# shellcheck disable=SC2034	# likewise
third=$(sum /dev/mapper/vol)
snapshot snap2 "$live" "$diff" 2
second=$(sum /dev/mapper/snap2)
dmsetup remove snap2
dmsetup remove vol
check "the area is sound" cowprotect check "$diff"
live vol "$live" "$diff" 8 protect
check "all is there at the next activation" eval '
	is "$(state vol)" active && is "$(sum /dev/mapper/vol)" "$third" &&
	[ "$(message vol list | wc -l)" = 1 ]'
snapshot snap2 "$live" "$diff" 2
check "and in the snapshot that was made without memory" is "$(sum /dev/mapper/snap2)" "$second"
dmsetup remove snap2
dmsetup remove vol
