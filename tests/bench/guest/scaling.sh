# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# One writer and two, on two processors: sourced, not run.  Prints lines
#
#	scale DEVICES TARGET LOAD WRITERS REPETITION IOPS

# writers NUMBER RW: each has half of the volume; prints operations a second
writers()
{
	fio --name=write --filename=/dev/mapper/vol --rw="$2" --bs=4k --direct=1 --thread \
		--ioengine=libaio --iodepth=4 --numjobs="$1" --size=32m --offset_increment=128m \
		--time_based --runtime=2 --group_reporting --norandommap \
		--cpus_allowed=0,1 --cpus_allowed_policy=split \
		--output-format=terse --terse-version=3 |
		awk -F ';' '/^3;/ { print $8 + $49 }'
}

# scaling TARGET SNAPSHOTS: on chunks that are preserved, and reads
scaling()
{
	local number

	target=$1
	wanted "$kind $target scaling" || return 0
	"${target}_up" "$2" || exit 1
	for number in 0 128; do
		dd if=/dev/zero of=/dev/mapper/vol bs=1M count=32 seek=$number oflag=direct status=none
	done
	for repetition in $(seq 0 $((repetitions + 2))); do
		for number in 1 2; do
			echo "scale $kind $target again $number $repetition $(writers $number randwrite)"
			echo "scale $kind $target live-read $number $repetition $(writers $number randread)"
		done
	done
	"${target}_down" "$2"
}
