# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# record.sh SEED ROUNDS WRITES mixed|rest VARIANT...: run the load on each variant and keep
# what is needed to cut its power: the log of dm-log-writes (on the disk
# log-VARIANT), the trace, the images of the snapshots.
#
# A variant is named CHUNK-fua or CHUNK-flush, CHUNK in KiB.

set -eu
TRACE=/sys/kernel/tracing
seed=$1
rounds=$2
writes=$3
snapshots=$4
shift 4

# sysfs_of DEVICE: its directory
sysfs_of()
{
	echo "/sys/dev/block/$((0x$(stat -c %t "$1"))):$((0x$(stat -c %T "$1")))"
}

slices()
{
	dmsetup create log --table \
		"0 $(blockdev --getsz "$base") log-writes $base $log"
	dmsetup create live --table "0 $LIVE_SECTORS linear /dev/mapper/log 0"
	dmsetup create diff --table "0 $DIFF_SECTORS linear /dev/mapper/log $DIFF_START"
	diff=/dev/mapper/diff
}

# dm-log-writes claims FUA whatever is under it; a loop device has none.
without_fua()
{
	diff=$(losetup --find --show --direct-io=on /dev/mapper/diff)
}

trace_on()
{
	local filter major minor
	IFS=: read -r major minor < "$(sysfs_of /dev/mapper/log)/dev"
	filter="dev == $((major << 20 | minor))"
	echo nop > $TRACE/current_tracer
	# A number for each event: one order, whatever the processor
	echo counter > $TRACE/trace_clock
	echo 49152 > $TRACE/buffer_size_kb
	for event in block_bio_queue block_bio_complete; do
		echo "$filter" > $TRACE/events/block/$event/filter
		echo 1 > $TRACE/events/block/$event/enable
	done
	echo > $TRACE/trace
	echo 1 > $TRACE/tracing_on
}

trace_off()
{
	echo 0 > $TRACE/tracing_on
	if grep -hE '^(overrun|dropped events):' $TRACE/per_cpu/cpu*/stats | grep -v ': 0$'; then
		echo "the trace's buffer was too small" >&2
		return 1
	fi
	grep -v '^#' $TRACE/trace > "$1"
}

record()
{
	local variant=$1 logged flush
	base=$(disk "base-$variant")
	log=$(disk "log-$variant")
	slices
	case $variant in
	*-flush) without_fua ;;
	esac
	flush=$(cat "$(sysfs_of "$diff")"/queue/{write_cache,fua})
	case $variant/${flush/$'\n'/ } in
	*-fua/"write back 1" | *-flush/"write back 0") ;;
	*) echo "$variant: the diff device has '$flush'" >&2; return 1 ;;
	esac
	trace_on
	load /dev/mapper/live "$diff" $((${variant%-*} * 2)) "$seed" "$rounds" "$writes" \
		/tmp/images "$snapshots"
	losetup -D
	dmsetup remove --retry live diff
	logged=$(dmsetup status log)
	case $logged in
	*disabled*) echo "dm-log-writes gave up: $logged" >&2; return 1 ;;
	esac
	dmsetup remove --retry log
	trace_off /tmp/trace
	host put /tmp/trace "trace-$variant"
	host put /tmp/images "images-$variant"
	echo "# $variant: recorded $(wc -l < /tmp/trace) events"
}

. /guest/sizes
modprobe dm-log-writes
modprobe loop
for variant; do
	record "$variant"
done
