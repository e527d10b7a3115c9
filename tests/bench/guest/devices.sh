# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The devices that are compared on: sourced, not run.  devices KIND sets
#
#	live		the live volume lies on its first $volume_mib
#	diff		a diff area
#	cows		eight COW stores of dm-snapshot, the first is $diff
#	meta		dm-thin's metadata
#
# dm-thin's data lie on $live too; the rest of it holds its copies.

volume_mib=256
live_mib=352
diff_mib=160
cow_mib=48
meta_mib=16

# null_blk NAME MIB KEY=VALUE...: each request takes completion_nsec
null_blk()
{
	local dir=/sys/kernel/config/nullb/$1 setting

	mkdir "$dir"
	echo "$2" > "$dir/size"
	shift 2
	for setting in memory_backed=1 cache_size=64 irqmode=2 "$@" power=1; do
		echo "${setting#*=}" > "$dir/${setting%%=*}"
	done
}

devices_null()
{
	local n

	modprobe null_blk nr_devices=0
	null_blk live $live_mib "$@"
	null_blk diff $diff_mib "$@"
	null_blk meta $meta_mib "$@"
	for n in 2 3 4 5 6 7 8; do
		null_blk cow$n $cow_mib "$@"
	done
	live=/dev/live
	diff=/dev/diff
	meta=/dev/meta
	cows=$(echo /dev/diff /dev/cow{2..8})
}

devices_ram()
{
	modprobe brd rd_nr=10 rd_size=$((live_mib * 1024))
	live=/dev/ram0
	diff=/dev/ram1
	meta=/dev/ram2
	cows=$(echo /dev/ram1 /dev/ram{3..9})
}

devices_virtio()
{
	live=$(disk live)
	diff=$(disk diff)
	meta=$(disk meta)
	cows="$diff $(for n in 2 3 4 5 6 7 8; do disk cow$n; done)"
}

# touch_device DEVICE MIB: pages are allocated by whoever writes first
touch_device()
{
	dd if=/dev/zero of="$1" bs=1M count="$2" oflag=direct status=none
}

devices()
{
	local cow

	case $1 in
	bytes*)
		# Nothing depends on whether these were written before
		live=$(disk live)
		diff=$(disk diff)
		return
		;;
	esac
	case $1 in
	ram | smp) devices_ram ;;
	null) devices_null completion_nsec=1000000 ;;
	null-flush) devices_null completion_nsec=1000000 fua=0 ;;
	null-4k) devices_null completion_nsec=10000 blocksize=4096 ;;
	virtio*) devices_virtio ;;
	esac
	touch_device "$live" $live_mib
	touch_device "$diff" $diff_mib
	touch_device "$meta" $meta_mib
	for cow in ${cows#* }; do
		touch_device "$cow" 24
	done
}
