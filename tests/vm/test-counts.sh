# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What 1024 overwrites of 4 KiB, in chunks that snapshots need, cost in requests
# to the devices; and what they cost under dm-snapshot, for comparison.
#
# vm: --disk live,size=64M,cache=on --disk diff1,size=256M,cache=on --disk diff4,size=256M,cache=on
# vm: --disk diff16,size=256M,cache=on --disk diff32,size=256M,cache=on --disk cow1,size=64M,cache=on
# vm: --disk cow2,size=64M,cache=on --disk cow3,size=64M,cache=on --disk cow4,size=64M,cache=on
# vm: --kmod null_blk --kmod dm-snapshot --prog fio --mem 768M --timeout 1200
# plan: 32

. /guest/lib.sh
. /guest/requests.sh

chunks=1024

# overwrite DEVICE DEPTH: random blocks, none twice
overwrite()
{
	fio --name=overwrite --filename="$1" --rw=randwrite --bs=4k --io_size=$((chunks * 4))k \
		--direct=1 --ioengine=libaio --iodepth="$2" --randseed=1 > /tmp/fio 2>&1 ||
		cat /tmp/fio
}

preserved() { word vol 12; }
batches() { word vol 13; }
diff_writes() { word vol 14; }
diff_flushes() { word vol 15; }
diff_bytes() { word vol 16; }

# Nothing was written for longer than the version with the last watermark waits
quiet()
{
	local before
	before=$(diff_writes)
	sleep 1.5
	is "$(diff_writes)" "$before"
}

at_most()
{
	[ "$1" -le "$2" ] || { echo "$1 instead of at most $2"; false; }
}

# within PERCENT A B
within()
{
	local difference=$(($2 - $3))

	[ $((${difference#-} * 100)) -le $(($3 * $1)) ] ||
		{ echo "$2 and $3 differ by more than $1 %"; false; }
}

# take_counts LIVE DIFF...: of the requests, into the variables of these names
take_counts()
{
	live_reads=$(requests "$READS" "$1")
	shift
	writes=$(requests "$WRITES" "$@")
	bytes=$(request_bytes "$WRITES" "$@")
	fua=$(requests "$FUA_WRITES" "$@")
	flushes=$(requests "$FLUSHES" "$@")
}

# measure NAME LIVE DIFF SNAPSHOTS DEPTH: into these and "batches"
measure()
{
	local name=$1 live=$2 diff=$3 snapshots=$4 depth=$5

	live vol "$live" "$diff" 8 format || return
	for _ in $(seq "$snapshots"); do
		message vol create_snapshot > /dev/null || return
	done
	wait_for quiet || return
	message vol stats_reset
	requests_begin
	overwrite /dev/mapper/vol "$depth"
	wait_for quiet || return
	requests_end
	take_counts "$live" "$diff"
	batches=$(batches)
	echo "# $name, $snapshots snapshots, $depth in flight: $live_reads live reads," \
		"$writes diff writes ($fua FUA) of $((bytes >> 10)) KiB, $flushes diff flushes," \
		"$batches batches"
	check "$name, $snapshots snapshots, $depth in flight: a copy a chunk" is "$(preserved)" $chunks
	check "the volume counts the same bytes and flushes" \
		is "$(diff_bytes) $(diff_flushes)" "$bytes $flushes"
	[ "$depth" -gt 1 ] ||
		check "and the same writes" is "$(diff_writes)" "$writes"
	dmsetup remove vol
}

# measure_dm_snapshot SNAPSHOTS: with all disks on virtio
measure_dm_snapshot()
{
	local live sectors n cows=''
	live=$(disk live)
	sectors=$(blockdev --getsz "$live")

	dmsetup create origin --noudevsync --table "0 $sectors snapshot-origin $live" || return
	for n in $(seq "$1"); do
		cows="$cows $(disk "cow$n")"
		dd if=/dev/zero of="$(disk "cow$n")" bs=4k count=1 oflag=direct status=none
		dmsetup create "cow$n" --noudevsync \
			--table "0 $sectors snapshot $live $(disk "cow$n") P 8" || return
	done
	requests_begin
	overwrite /dev/mapper/origin 1
	requests_end
	# shellcheck disable=SC2086	# words are meant to be split
	take_counts "$live" $cows
	echo "# dm-snapshot on virtio, $1 snapshots, 1 in flight: $live_reads live reads," \
		"$writes diff writes ($fua FUA) of $((bytes >> 10)) KiB, $flushes diff flushes"
	for n in $(seq "$1"); do
		dmsetup remove "cow$n"
	done
	dmsetup remove origin
}

# null_blk NAME MIB LATENCY-US: with a write cache and FUA
null_blk()
{
	local dir=/sys/kernel/config/nullb/$1

	mkdir "$dir"
	echo "$2" > "$dir/size"
	echo 1 > "$dir/memory_backed"
	echo 64 > "$dir/cache_size"
	echo 2 > "$dir/irqmode"
	echo $(($3 * 1000)) > "$dir/completion_nsec"
	echo 1 > "$dir/power"
}

same_as_one()
{
	within 2 "$live_reads" $one_live_reads && within 2 "$writes" $one_writes &&
		within 2 "$flushes" $one_flushes
}

live=$(disk live)
for snapshots in 1 4 16; do
	measure virtio "$live" "$(disk diff$snapshots)" $snapshots 1
	check "a live read a chunk" is "$live_reads" $chunks
	check "the diff writes" at_most "$writes" 2060
	check "the diff flushes" at_most "$flushes" 1040
	if [ $snapshots = 1 ]; then
		one_live_reads=$live_reads
		one_writes=$writes
		one_flushes=$flushes
	else
		check "it costs the same as with one snapshot" same_as_one
	fi
done
measure virtio "$live" "$(disk diff32)" 4 32
# A batch takes what waits when it begins: of two in a row one may be the first writer that
# came back, and the other the rest, more or less of them as the host is busy.
check "a sixteenth of a flush a chunk" at_most "$flushes" $((chunks / 16))
check "a block a batch more than the chunks have, and 64 KiB" \
	at_most "$bytes" $(((chunks + batches) * 4096 + 65536))

modprobe null_blk nr_devices=0
for depth in 1 32; do
	null_blk "live$depth" 64 100
	null_blk "diff$depth" 256 100
	measure null_blk "/dev/live$depth" "/dev/diff$depth" 4 $depth
	check "with FUA hardly a flush" at_most "$flushes" 16
done
check "a quarter of a FUA write a chunk" at_most "$fua" $((chunks / 4))

modprobe dm-snapshot
measure_dm_snapshot 1
measure_dm_snapshot 4
