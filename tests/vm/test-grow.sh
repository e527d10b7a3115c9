# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The live volume grows, and the diff area: snapshots keep the size that they
# were taken at, the new part is preserved for those that come after, and a
# power cut changes nothing of that.
#
# vm: --disk live,size=32M,cache=on --disk diff,size=64M,cache=on
# plan: 20

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
small=$((32 << 11))
large=$((48 << 11))

size() { blockdev --getsz "/dev/mapper/$1"; }

# by a reload, as LVM does it
grow_live()
{
	dmsetup load vol --table "$(live_table "$live" "$diff" 8)" &&
		dmsetup suspend "$@" vol && dmsetup resume --noudevsync vol
}

open_both()
{
	snapshot old "$live" "$diff" 1 $small && snapshot new "$live" "$diff" 2 $large
}

total() { word vol 5 | cut -d / -f 2; }

if [ "$BOOT" = 1 ]; then
	fill "$live" 1
	sum "$live" > /tmp/old
	live vol "$live" "$diff" 8 format
	message vol protect
	message vol create_snapshot old > /dev/null
	fill /dev/mapper/vol 5000 0 2048

	host resize live 48M
	check "the live device has grown" is "$(blockdev --getsz "$live")" $large
	check "a table of the new size is taken" grow_live
	check "the volume has it" is "$(size vol)" $large
	check "it is active" is "$(state vol)" active
	fill /dev/mapper/vol 6000 $((32 << 10)) 4096
	check "the new part can be written" is "$(dd if=/dev/mapper/vol bs=1M skip=32 count=4 \
		iflag=direct status=none | sha256sum)" "$(numbers 6000 4096 | sha256sum)"
	sum /dev/mapper/vol > /tmp/new
	message vol create_snapshot new > /dev/null
	fill /dev/mapper/vol 7000 $((30 << 10)) 8192
	check "both snapshots are opened" open_both
	check "the older one has its size" is "$(size old)" $small
	check "and its content" is "$(sum /dev/mapper/old)" "$(cat /tmp/old)"
	check "the newer one shows the larger volume" is "$(sum /dev/mapper/new)" "$(cat /tmp/new)"
	check "the older one cannot be had larger" fails snapshot larger "$live" "$diff" 1 $large
	check "the list names both sizes" is "$(message vol list | cut -d ' ' -f 4 | xargs)" \
		"$small $large"

	before=$(total)
	host resize diff 128M
	check "grow takes the diff device's new size up" message vol grow
	check "there is room for twice as much" test "$(total)" -gt $((before * 2))
	check "a live volume smaller than a snapshot is refused" fails \
		dmsetup load vol --table "0 $small cowprotect $live $diff 8"
	host put /tmp/old old
	host put /tmp/new new
	fill /dev/mapper/vol 8000 $((40 << 10)) 4096 &
	host powercut
fi

host get old > /tmp/old
host get new > /tmp/new
check "after a power cut the volume comes back" eval '
	live vol "$live" "$diff" 8 && state_is vol active'
check "protected, as it was" is "$(mode vol)" protected
check "with both snapshots" open_both
check "the older one shows the same" is "$(sum /dev/mapper/old)" "$(cat /tmp/old)"
check "the newer one, too" is "$(sum /dev/mapper/new)" "$(cat /tmp/new)"
check "and all of the diff area" test "$(total)" -gt 20000
