# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Disks, programs, files and modules as the command line asked for them.

check()
{
	local name=$1
	shift
	if "$@" > /dev/null; then echo "ok - $name"; else echo "not ok - $name"; fi
}

queue()
{
	cat "/sys/block/$(basename "$(disk "$1")")/queue/$2"
}

is()
{
	[ "$1" = "$2" ] || { echo "'$1' instead of '$2'" >&2; false; }
}

check "a disk has its size" is "$(blockdev --getsize64 "$(disk a)")" 67108864
check "a disk has a volatile cache" is "$(queue a write_cache)" "write back"
check "a disk has no volatile cache" is "$(queue b write_cache)" "write through"
check "a disk has 4096-byte blocks" is "$(queue b logical_block_size)" 4096
check "a disk has 512-byte blocks" is "$(queue a logical_block_size)" 512
check "a virtio disk has no FUA" is "$(queue a fua)" 0
check "a SCSI disk has FUA" is "$(queue c fua)" 1
check "a disk has its serial" grep -qx other "/sys/block/$(basename "$(disk d)")/serial"
check "an absent disk is not found" eval '! disk nothing 2>&1'
check "one CPU was asked for" is "$(nproc)" 1
check "a file was copied" grep -q "GNU GENERAL PUBLIC LICENSE" /root/copying
check "a pipe that is closed ends its writer" eval 'yes | head -n 1
	[ "${PIPESTATUS[0]}" -eq 141 ]'
check "a program was added" eval 'echo x | xxd'
for program in fsfreeze e2fsck losetup blkdiscard sha256sum insmod cmp flock; do
	check "there is $program" type "$program"
done
for target in snapshot thin-pool log-writes flakey delay; do
	check "there is dm-$target" modprobe "dm-$target"
done
for module in null_blk brd scsi_debug loop nbd; do
	check "there is $module" modprobe -n "$module"
done
check "configfs is mounted" grep -q " /sys/kernel/config configfs" /proc/mounts
check "the parameters reach the command line" grep -q log_buf_len /proc/cmdline

node=$(disk a)
size=$(blockdev --getsz "$node")
dmsetup create lin --table "0 $size linear $node 0"
check "a file system works on dm-linear" eval '
	mkfs.ext4 -q /dev/mapper/lin && mount /dev/mapper/lin /mnt &&
	echo x > /mnt/x && umount /mnt && e2fsck -fn /dev/mapper/lin 2>&1'
printf last
exit 7
