# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Sectors of the live device that cannot be read, until they are overwritten: a
# device with checksums, below which the data was changed.
#
# vm: --disk live,size=8M --disk diff,size=64M --kmod dm-integrity --timeout 900
# plan: 32

. /guest/lib.sh
. /guest/faults.sh

raw=$(disk live)
diff=$(disk diff)
under=$diff
live=/dev/mapper/live
modprobe dm-integrity
dmsetup create live --noudevsync --table "0 1 integrity $raw 0 - D 1 internal_hash:crc32c"
dmsetup remove live
sectors=$(dd if="$raw" bs=8 skip=2 count=1 status=none | od -An -tu8 | tr -d ' ')
dmsetup create live --noudevsync --table "0 $sectors integrity $raw 0 - D 1 internal_hash:crc32c"
sectors=$((sectors / 8 * 8))

one_sector()
{
	dd if="$1" bs=512 skip="$2" count=1 iflag=direct status=none
}

unreadable()
{
	fails one_sector "$1" "$2"
}

# spoil SECTOR: its second number is found in one place of the raw disk only
spoil()
{
	local number place
	number=$(one_sector "$live" "$1" | sed -n 2p)
	place=$(dd if="$raw" bs=1M iflag=direct status=none | grep -abo "^$number\$" | cut -d : -f 1)
	[ "$(echo "$place" | wc -w)" = 1 ] || return
	dd if=/dev/urandom of="$raw" bs=512 seek=$((place / 512)) count=1 oflag=direct \
		conv=notrunc status=none
	unreadable "$live" "$1"
}

# write_sector SECTOR: by a write of its own
write_sector()
{
	numbers 77777 1 | head -c 512 | dd of=/dev/mapper/vol bs=512 seek="$1" oflag=direct \
		conv=notrunc status=none
}

# only_bad SECTOR: the snapshot shows everything but this sector as it was
only_bad()
{
	local bad=$1 shown=0
	snapshot snap "$live" "$diff" "$id" $sectors || return
	unreadable /dev/mapper/snap "$bad" &&
		cmp <(dd if=/dev/mapper/snap bs=512 count="$bad" iflag=direct status=none) \
			<(head -c $((bad * 512)) /tmp/before) &&
		cmp <(dd if=/dev/mapper/snap bs=512 skip=$((bad + 1)) iflag=direct status=none) \
			<(tail -c +$(((bad + 1) * 512 + 1)) /tmp/before) || shown=1
	dmsetup remove snap
	return $shown
}

comes_up()
{
	dmsetup create vol --noudevsync \
		--table "0 $sectors cowprotect $live $diff 8 $# $*" && wait_for settled vol
}

# story SECTOR: of a fresh volume, one sector of which cannot be read
fresh()
{
	bad=$1
	blank "$diff"
	numbers 1000001 $((sectors / 2)) > /tmp/before
	dd if=/tmp/before of="$live" bs=64k oflag=direct status=none
	comes_up format || return
	[ "$2" = normal ] || message vol protect
	id=$(message vol create_snapshot)
	spoil "$bad"
}

name="unreadable, normal"
check "$name: a sector cannot be read" fresh 5003 normal
listen
message vol blocked_io error
check "$name: the volume fails its read" unreadable /dev/mapper/vol "$bad"
check "$name: so does the snapshot" only_bad "$bad"
check "$name: the sector beside it is overwritten" write_sector $((bad + 1))
check "$name: without a fault" eval 'is "$(state vol) $(fault vol)" "active none"'
check "$name: the snapshot lacks the sector, nothing else" only_bad "$bad"
check "$name: the volume cannot read it yet" unreadable /dev/mapper/vol "$bad"
check "$name: overwriting it cures the volume" eval '
	write_sector "$bad" && one_sector /dev/mapper/vol "$bad" > /dev/null'
check "$name: the snapshot lacks it still" only_bad "$bad"
end_volume
check "$name: and after a restart" eval 'comes_up && only_bad "$bad"'
message vol reset
end_volume

name="unreadable, protected, held"
check "$name: a sector cannot be read" fresh 9001 protected
listen
write_sector "$bad" &
writer=$!
check "$name: the volume blocks" wait_for blocked_with_io
check "$name: the fault is cow-read-failure" is "$(fault vol)" cow-read-failure
check "$name: event, uevent and log say so" told blocked cow-read-failure \
	"blocked, I/O is held, the snapshots are safe; fault cow-read-failure \\(error -84\\): repair the live device and send clear, or send clear accept_unreadable"
check "$name: a noflush suspend and resume do not wait" suspend_does_not_wait
check "$name: what was held is held again" wait_for blocked_with_io
message vol clear
check "$name: clear with the cause still there does not let the write go" eval '
	wait_for blocked_with_io && kill -0 $writer'

name="unreadable, protected, failed"
message vol blocked_io error
check "$name: what was held fails" eval 'wait_for fails kill -0 $writer; fails wait $writer'
check "$name: a read fails" read_fails
message vol blocked_io hold
message vol clear
write_sector "$bad" &
writer=$!
wait_for blocked_with_io

name="unreadable, protected, accepted"
check "$name: clear accept_unreadable is carried out" message vol clear accept_unreadable
check "$name: the writer ends well" eval 'wait_for fails kill -0 $writer; wait $writer'
check "$name: no fault is left" eval 'is "$(state vol) $(fault vol)" "active none"'
check "$name: the volume is cured" eval 'one_sector /dev/mapper/vol "$bad" > /dev/null'
check "$name: the snapshot lacks the sector, nothing else" only_bad "$bad"
check "$name: protection is on" is "$(mode vol)" protected
end_volume
check "$name: likewise after a restart" eval 'comes_up && only_bad "$bad"'

name="unreadable, protected, taken away"
message vol clear
spoil 3001
write_sector 3001 &
writer=$!
check "$name: the next one blocks again" wait_for blocked_with_io
check "$name: remove --force does not wait" eval '
	timeout 30 dmsetup remove --force --noudevsync vol ||
	! dmsetup table vol 2> /dev/null | grep -q cowprotect'
check "$name: the writer ends with an error" eval 'wait_for fails kill -0 $writer; fails wait $writer'
wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
check "$name: the module can be removed" wait_for rmmod dm_cowprotect
modprobe dm_cowprotect
check "$name: the volume comes back" eval 'comes_up && state_is vol active'
end_volume
stop_listening
check "the module can be removed" wait_for rmmod dm_cowprotect
