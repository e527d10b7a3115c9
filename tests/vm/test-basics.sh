# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A live volume, snapshots of it, what they show while it is overwritten.
#
# vm: --disk live,size=64M --disk diff,size=256M
# plan: 24

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
fill "$live" 1
before=$(sum "$live")

check "a live volume is made" live vol "$live" "$diff" 8 format
check "without snapshots its state is none" is "$(state vol)" none
check "in normal mode" is "$(mode vol)" normal
check "it shows the live device" is "$(sum /dev/mapper/vol)" "$before"
check "a snapshot is made" eval 'id1=$(message vol create_snapshot first) && [ "$id1" -ge 1 ]'
id1=$(message vol list | cut -d ' ' -f 1)
check "the state is active" is "$(state vol)" active
check "its label is listed" eval 'message vol list | grep -q " first$"'
check "it can be protected" eval 'message vol protect && is "$(mode vol)" protected'
check "noprotect ends that, and the snapshot stays" eval '
	message vol noprotect && is "$(mode vol)" normal && is "$(state vol)" active'
check "a snapshot device is made" snapshot snap1 "$live" "$diff" "$id1"
check "it shows what was there" is "$(sum /dev/mapper/snap1)" "$before"

fill /dev/mapper/vol 5000 0 8192
second=$(sum /dev/mapper/vol)
check "the live volume changes" fails is "$second" "$before"
check "the snapshot does not" is "$(sum /dev/mapper/snap1)" "$before"
check "small reads of it are right too" eval '
	[ "$(dd if=/dev/mapper/snap1 bs=512 iflag=direct count=4096 status=none | sha256sum)" = \
	  "$(numbers 1 2048 | sha256sum)" ]'
check "writes to it fail" fails dd if=/dev/zero of=/dev/mapper/snap1 bs=4k count=1 oflag=direct
check "an open snapshot is not deleted" fails message vol delete_snapshot "$id1"

id2=$(message vol create_snapshot)
check "a second snapshot is made" test "$id2" -gt "$id1"
snapshot snap2 "$live" "$diff" "$id2"
fill /dev/mapper/vol 900000 4096 16384
check "the first still shows the beginning" is "$(sum /dev/mapper/snap1)" "$before"
check "the second shows the middle" is "$(sum /dev/mapper/snap2)" "$second"
check "an id that was never given is refused" fails snapshot snap3 "$live" "$diff" 77

dmsetup remove snap1
check "a closed snapshot is deleted" message vol delete_snapshot "$id1"
check "and not listed any more" is "$(message vol list | wc -l)" 1
check "the second still shows the middle" is "$(sum /dev/mapper/snap2)" "$second"

dmsetup remove snap2
dmsetup remove vol
check "the devices are free when the volume is gone" eval '
	for d in "$live" "$diff"; do flock -n "$d" true && wipefs "$d" > /dev/null || exit 1; done
	rmmod dm_cowprotect'
