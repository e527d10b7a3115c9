# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A power cut, then a reboot, each in the middle of something.

check()
{
	local name=$1
	shift
	if "$@" > /dev/null; then echo "ok - $name"; else echo "not ok - $name"; fi
}

node=$(disk a)
case $BOOT in
1)
	mkfs.ext4 -q "$node"
	mount "$node" /mnt
	echo durable > /mnt/durable
	sync
	echo 3600 > /proc/sys/vm/dirty_writeback_centisecs
	echo volatile > /mnt/volatile
	echo x > /tmp/x
	host put /tmp/x first-boot
	for ((i = 0; i < 1000; i++)); do
		echo "line before the cut"
	done
	host powercut
	echo "not ok - nothing runs after a power cut"
	;;
2)
	mount "$node" /mnt
	check "what was synced survives a power cut" grep -q durable /mnt/durable
	check "what was not is lost" eval '! grep -q volatile /mnt/volatile 2>&1'
	check "a file from before the cut is there" host get first-boot
	echo clean > /mnt/clean
	host reboot
	echo "not ok - nothing runs after a reboot"
	;;
3)
	check "a reboot unmounts" eval '! dumpe2fs -h "$node" 2>&1 | grep -q needs_recovery'
	mount "$node" /mnt
	check "a reboot syncs" grep -q clean /mnt/clean
	;;
esac
