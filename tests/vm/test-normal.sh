# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Without protection the live volume goes on and a loss is said; discards, zeros
# and other writes that are none.
#
# vm: --disk diff,size=256M --kmod scsi_debug --kmod sd_mod --mem 768M
# plan: 20

. /guest/lib.sh

modprobe sd_mod
# The guests scan no SCSI bus by themselves
echo sync > /sys/module/scsi_mod/parameters/scan
modprobe scsi_debug dev_size_mb=64 lbpu=1 lbpws=1 physblk_exp=3
wait_for eval 'grep -q scsi_debug /sys/block/sd*/device/model'
live=/dev/$(basename "$(dirname "$(dirname "$(grep -l scsi_debug /sys/block/sd*/device/model)")")")
under=$(disk diff)
good="0 $(blockdev --getsz "$under") linear $under 0"
dmsetup create diff --noudevsync --table "$good"
diff=/dev/mapper/diff

fill "$live" 1
before=$(sum "$live")
live vol "$live" "$diff" 8 format
check "discards are not taken without discard_passdown" fails blkdiscard /dev/mapper/vol
dmsetup remove vol
live vol "$live" "$diff" 8 discard_passdown diff_wait_secs 2
id=$(message vol create_snapshot)
snapshot snap "$live" "$diff" "$id"

used() { word vol 5 | cut -d / -f 1; }

before_discard=$(used)
check "a discard is taken" blkdiscard /dev/mapper/vol
check "it copies nothing" is "$(used)" "$before_discard"
check "the snapshot keeps its content" is "$(sum /dev/mapper/snap)" "$before"
fill /dev/mapper/vol 5000 1024 1024
check "a discard of what is preserved and what is not" blkdiscard -o $((512 << 10)) -l $((2 << 20)) /dev/mapper/vol
check "what is preserved is discarded" eval '
	cmp -n $((1 << 20)) /dev/zero <(dd if=/dev/mapper/vol bs=1M skip=1 count=1 iflag=direct status=none)'
check "the snapshot keeps its content" is "$(sum /dev/mapper/snap)" "$before"
check "zeros are written" blkdiscard -z -o $((8 << 20)) -l $((16 << 20)) /dev/mapper/vol
check "they are there" eval '
	cmp -n $((16 << 20)) /dev/zero <(dd if=/dev/mapper/vol bs=1M skip=8 count=16 iflag=direct status=none)'
check "the snapshot keeps its content" is "$(sum /dev/mapper/snap)" "$before"

dmsetup load diff --table "0 $(blockdev --getsz "$under") error"
dmsetup suspend --noflush diff
dmsetup resume --noudevsync diff
check "with a failed diff area a write ends within the wait" timeout 60 dd if=/dev/zero \
	of=/dev/mapper/vol bs=4k seek=10000 count=1 oflag=direct
check "the snapshots are lost" wait_for state_is vol lost
check "an event line says so" eval 'dmesg | grep -q "snapshots given up"'
check "reading the lost snapshot is an error" fails dd if=/dev/mapper/snap of=/dev/null bs=4k count=1 iflag=direct
dmsetup remove snap
dmsetup load diff --table "$good"
dmsetup suspend --noflush diff
dmsetup resume --noudevsync diff
dmsetup remove vol
check "to close it marks the loss" fails eval 'dmesg | grep "not closed cleanly"'
live vol "$live" "$diff" 8
check "it is lost when it comes back" wait_for state_is vol lost
dmsetup remove vol
check "to close a lost volume is no failure" fails eval 'dmesg | grep "not closed cleanly"'
live vol "$live" "$diff" 8
check "it stays lost" wait_for state_is vol lost
check "after a repair reset makes a new beginning" eval '
	wait_for message vol reset && wait_for state_is vol none'
check "and a snapshot can be made" message vol create_snapshot
