# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Chunks of several sizes, logical blocks of 512 and of 4096 bytes on either
# side, a live volume whose size is no multiple of a chunk, reads of a snapshot
# at odd offsets and into unaligned memory.
#
# vm: --disk a512,size=48M --disk b4k,size=1G,lbs=4096 --disk c4k,size=48M,lbs=4096 --disk d512,size=160M
# plan: 20

. /guest/lib.sh

# compare SECTORS-PER-CHUNK LIVE DIFF BLOCK: one volume, one snapshot, all reads
compare()
{
	local chunk=$1 live=$2 diff=$3 block=$4 sectors id i skip count
	# not a multiple of any chunk above 4 KiB
	sectors=$(($(blockdev --getsz "$live") - 8 * 13))
	wipefs -aq "$diff"
	dd if=/dev/zero of="$diff" bs=1M count=4 oflag=direct status=none
	fill "$live" "$chunk"
	dd if="$live" of=/tmp/before bs=1M count=$((sectors * 512)) iflag=count_bytes,direct status=none

	dmsetup create vol --noudevsync \
		--table "0 $sectors cowprotect $live $diff $chunk 1 format" || return
	wait_for settled vol
	id=$(message vol create_snapshot) || return
	snapshot snap "$live" "$diff" "$id" $sectors || return

	# the last sectors, some in the middle, a stretch across many chunks
	fill /dev/mapper/vol 333333 $((sectors / 2 - 40)) 40
	for i in 1 5 700 2048 9000 9004; do
		fill /dev/mapper/vol $((i * 1000)) $((i * 4)) 4
	done
	fill /dev/mapper/vol 444444 8192 3000

	check "chunk $chunk, $live on $diff: all of it" cmp /dev/mapper/snap /tmp/before
	check "chunk $chunk: the live volume is another" fails cmp -s /dev/mapper/vol /tmp/before
	: > /tmp/wrong
	for i in $(seq 60); do
		skip=$((RANDOM * 3 % (sectors * 512 / block)))
		count=$((RANDOM % 40 + 1))
		cmp -s <(dd if=/dev/mapper/snap bs="$block" skip=$skip count=$count iflag=direct status=none) \
			<(dd if=/tmp/before bs="$block" skip=$skip count=$count status=none) ||
			echo "$skip $count" >> /tmp/wrong
	done
	check "chunk $chunk: pieces of it" eval '[ ! -s /tmp/wrong ] || { cat /tmp/wrong; false; }'
	dmsetup remove snap
	dmsetup remove vol
	check "chunk $chunk: it comes back" eval '
		dmsetup create vol --noudevsync --table "0 $sectors cowprotect $live $diff $chunk" &&
		wait_for settled vol && snapshot snap $live $diff $id $sectors &&
		cmp /dev/mapper/snap /tmp/before'
	dmsetup remove snap
	dmsetup remove vol
}

compare 8 "$(disk a512)" "$(disk b4k)" 512
compare 8 "$(disk c4k)" "$(disk d512)" 4096
compare 128 "$(disk a512)" "$(disk b4k)" 512
compare 128 "$(disk c4k)" "$(disk b4k)" 4096
compare 2048 "$(disk a512)" "$(disk b4k)" 512
