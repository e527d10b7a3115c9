# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Reads of a snapshot whose data comes from the diff device with a byte changed:
# none gets through.  If only the first read of it is wrong, the second one answers.
#
# kernel: 6.12 debug
# vm: --disk live,size=16M --disk diff,size=128M
# plan: 24

. /guest/lib.sh

# Bio flags, as dm-flakey wants them: reads through the page cache have that one,
# and those that a volume makes by itself have not
readahead=$((1 << 19))
any=0

# damage FLAGS: the 32nd byte of each read of the diff device with these flags
damage()
{
	exchange diff "0 $sectors flakey $under 0 0 1 5 corrupt_bio_byte 32 r 255 $1"
}

mend()
{
	exchange diff "$good"
}

forget()
{
	echo 3 > /proc/sys/vm/drop_caches
}

# cached KIB: the snapshot by the page cache, so many KiB at a time
cached()
{
	blockdev --setra $(($1 * 2)) /dev/mapper/snap
	forget
	sha256sum < /dev/mapper/snap
}

wrong_sum_told()
{
	dmesg | grep -q "snapshot $id: wrong checksum near chunk"
}

# read_block BYTES SKIP: one piece, past the page cache
read_block()
{
	dd if=/dev/mapper/snap of=/dev/null bs="$1" skip="$2" count=1 iflag=direct
}

map_diff
for chunk in 8 128; do
	fill "$live" 1
	before=$(sha256sum < "$live")
	blank "$diff"
	live vol "$live" "$diff" "$chunk" format
	id=$(message vol create_snapshot)
	snapshot snap "$live" "$diff" "$id"
	# In part: the rest is read from the live device
	fill /dev/mapper/vol 500000 1024 8192
	dmesg --clear

	damage "$readahead"
	check "$chunk: the diff device reads what was never written" \
		fails cmp "$diff" "$under"
	check "$chunk: small reads are right at the second try" is "$(cached 4)" "$before"
	check "$chunk: so are large ones" is "$(cached 128)" "$before"
	check "$chunk: which is worth no message" fails wrong_sum_told

	damage "$any"
	check "$chunk: always wrong: a small read fails" fails read_block 4k 300
	check "$chunk: and says why" wrong_sum_told
	check "$chunk: a large read fails" fails read_block 128k 10
	check "$chunk: a part of a chunk fails" fails read_block 512 2400
	check "$chunk: what was not preserved is there" read_block 64k 10

	mend
	check "$chunk: mended, all of it is right" is "$(cached 128)" "$before"
	check "$chunk: all is taken down" eval 'dmsetup remove snap && dmsetup remove vol'
	forget
done
dmsetup remove diff
check "the diff device is free" flock -n "$under" true
check "the module can be removed" wait_for rmmod dm_cowprotect
