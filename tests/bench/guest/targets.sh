# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# The targets that are compared: sourced, not run.  For each TARGET there are
#
#	TARGET_up N	the volume as /dev/mapper/vol, with N snapshots, the last
#			one as /dev/mapper/snap
#	TARGET_down N
#	TARGET_again N	likewise, with what was there when it went down
#	TARGET_create N	one more snapshot, the Nth, while the volume is written to
#	TARGET_uncreate N	N of these go, where they would be in the way
#
# All start from the same devices and have 4 KiB chunks, but dm-thin, whose
# smallest are of 64 KiB.

sectors=$((volume_mib * 2048))

table()
{
	local name=$1
	shift
	dmsetup create "$name" --noudevsync --table "$*"
}

linear_up()
{
	table vol 0 $sectors linear "$live" 0
}

linear_down()
{
	dmsetup remove vol
}

cowprotect_up()
{
	local n id

	blank "$diff"
	table vol 0 $sectors cowprotect "$live" "$diff" 8 1 format || return
	wait_for settled vol || return
	for n in $(seq "$1"); do
		id=$(message vol create_snapshot) || return
	done
	dmsetup create snap --readonly --noudevsync --table "0 $sectors cowprotect-snap $live $diff $id"
}

cowprotect_again()
{
	table vol 0 $sectors cowprotect "$live" "$diff" 8 || return
	until settled vol; do :; done
	dmsetup create snap --readonly --noudevsync --table "0 $sectors cowprotect-snap $live $diff $1"
}

cowprotect_create()
{
	message vol create_snapshot
}

cowprotect_uncreate() { :; }

cowprotect_down()
{
	dmsetup remove snap
	dmsetup remove vol
}

snapshot_up()
{
	local cow

	modprobe dm-snapshot
	for cow in $cows; do
		dd if=/dev/zero of="$cow" bs=4k count=1 oflag=direct status=none
	done
	snapshot_again "$1"
}

# The origin learns of its snapshots' chunks when it is resumed: before, it would have
# a large write copy its first chunk only
snapshot_again()
{
	local n=0 cow

	for cow in $cows; do
		n=$((n + 1))
		[ $n -le "$1" ] || break
		table "cow$n" 0 $sectors snapshot "$live" "$cow" P 8 || return
	done
	table vol 0 $sectors snapshot-origin "$live" || return
	dmsetup rename --noudevsync "cow$1" snap
}

snapshot_create()
{
	dmsetup suspend vol &&
		table "more$1" 0 $sectors snapshot "$live" "$(echo "$cows" | cut -d ' ' -f "$1")" P 8
	dmsetup resume --noudevsync vol
}

snapshot_uncreate()
{
	local n

	for n in $(seq $((snapshots + 1)) $((snapshots + $1))); do
		dmsetup remove "more$n"
	done
}

snapshot_down()
{
	local n

	for n in $(seq $(($1 - 1))); do
		dmsetup remove "cow$n"
	done
	dmsetup remove snap
	dmsetup remove vol
}

thin_up()
{
	local n

	modprobe dm-thin-pool
	dd if=/dev/zero of="$meta" bs=1M count=1 oflag=direct status=none
	table pool 0 "$(blockdev --getsz "$live")" thin-pool "$meta" "$live" 128 0 1 skip_block_zeroing || return
	message pool create_thin 0
	table vol 0 $sectors thin /dev/mapper/pool 0 || return
	touch_device /dev/mapper/vol "$volume_mib"
	for n in $(seq "$1"); do
		thin_create "$n" || return
	done
	table snap 0 $sectors thin /dev/mapper/pool "$1"
}

thin_again()
{
	table pool 0 "$(blockdev --getsz "$live")" thin-pool "$meta" "$live" 128 0 1 skip_block_zeroing &&
		table vol 0 $sectors thin /dev/mapper/pool 0 &&
		table snap 0 $sectors thin /dev/mapper/pool "$1"
}

thin_create()
{
	dmsetup suspend vol && message pool create_snap "$1" 0
	dmsetup resume --noudevsync vol
}

thin_uncreate() { :; }

thin_down()
{
	dmsetup remove snap
	dmsetup remove vol
	dmsetup remove pool
}
