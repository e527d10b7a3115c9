# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A sector of the live device that cannot be read: its chunk is preserved but for
# that sector, which a snapshot answers with an error.
#
# vm: --disk live,size=64M --disk diff,size=256M
# plan: 15

. /guest/lib.sh

under=$(disk live)
diff=$(disk diff)
sectors=$(blockdev --getsz "$under")
good="0 $sectors linear $under 0"
# Sector 4107 cannot be read
bad="0 4107 linear $under 0
4107 1 error
4108 $((sectors - 4108)) linear $under 4108"
dmsetup create live --noudevsync --table "$good"
live=/dev/mapper/live

exchange()
{
	dmsetup suspend live && dmsetup load live --table "$1" && dmsetup resume --noudevsync live
}

# bytes DEVICE FIRST COUNT: checksum of sectors
bytes()
{
	dd if="$1" bs=512 skip="$2" count="$3" iflag=direct status=none | sha256sum
}

for chunk in 8 16 128; do
	first=$((4107 / chunk * chunk))
	exchange "$good"
	fill "$live" "$chunk"
	before=$(bytes "$live" "$first" $((4107 - first)))
	behind=$(bytes "$live" 4108 $((first + chunk - 4108)))
	dd if=/dev/zero of="$diff" bs=1M oflag=direct status=none 2> /dev/null
	live vol "$live" "$diff" "$chunk" format
	id=$(message vol create_snapshot)
	snapshot snap "$live" "$diff" "$id"
	exchange "$bad"
	# Not that sector, as writing it fails too
	dd if=/dev/urandom of=/dev/mapper/vol bs=512 seek="$first" count=1 oflag=direct \
		conv=notrunc status=none
	exchange "$good"
	check "$chunk: the volume goes on" state_is vol active
	check "$chunk: before it the snapshot is whole" \
		is "$(bytes /dev/mapper/snap "$first" $((4107 - first)))" "$before"
	check "$chunk: the sector is an error" \
		fails dd if=/dev/mapper/snap of=/dev/null bs=512 skip=4107 count=1 iflag=direct
	check "$chunk: behind it the snapshot is whole" \
		is "$(bytes /dev/mapper/snap 4108 $((first + chunk - 4108)))" "$behind"
	check "$chunk: all is taken down" eval 'dmsetup remove snap && dmsetup remove vol'
done
