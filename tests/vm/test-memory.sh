# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The memory bound against the machine's own figures: a large volume, a snapshot
# device, growth to sixteen times the segments, removal.
#
# vm: --mem 256M --disk live,size=2T --disk diff,size=512G
# plan: 17

. /guest/lib.sh

used() { word vol 11 | cut -d / -f 1; }
limit() { word vol 11 | cut -d / -f 2; }

# KiB that nobody has: MemFree, and the pages that each processor keeps at hand
# in lists of its own, some MiB in all, which MemFree leaves out
nobody_has()
{
	awk '$1 == "MemFree:" { kib += $2 } $1 == "count:" { kib += 4 * $2 } END { print kib }' \
		/proc/meminfo /proc/zoneinfo
}

# The same when what can be given back has been: what is freed after a grace period
# or by a worker comes late, so the most of two seconds without a new most is taken
free_kib()
{
	local now most=0 same=0 cache
	while [ $same -lt 10 ]; do
		sync
		echo 3 > /proc/sys/vm/drop_caches
		for cache in /sys/kernel/slab/*/shrink; do
			echo 1 > "$cache"
		done
		now=$(nobody_has)
		same=$((same + 1))
		[ "$now" -le "$most" ] || {
			[ "$now" -le $((most + 64)) ] || same=0
			most=$now
		}
		sleep 0.2
	done
	echo "$most"
}

below() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; false; }; }

# The machine's figure is that of a whole kernel: runs differ by some 200 KiB
swing=256

# taken NAME DEVICES: what the machine has less is what the status says, or less;
# without what device-mapper takes for any device
taken()
{
	local kib
	kib=$((before - $(free_kib) - $2 * device_kib))
	check "$1: the machine has given no more than the bound" below $kib $(($(limit) / 1024 + swing))
	check "$1: and about what the status says" below $(($(used) / 1024)) $((kib + kib / 2))
	echo "#	$kib KiB taken, status $(($(used) / 1024))/$(($(limit) / 1024)) KiB"
	check "$1: the use is within the bound" below "$(used)" "$(limit)"
}

live=$(disk live)
diff=$(disk diff)

# Once for what stays: the module's and device-mapper's own
live vol "$live" "$diff" 8 format
dmsetup remove vol
before=$(free_kib)
dmsetup create any --noudevsync --table "0 $(blockdev --getsz "$live") linear $live 0"
device_kib=$((before - $(free_kib)))
dmsetup remove any
echo "#	$device_kib KiB for a device of device-mapper"
check "a cache above all memory is refused" fails dmsetup create vol --noudevsync \
	--table "$(live_table "$live" "$diff" 8 cache_kib 1048576)"

live vol "$live" "$diff" 8
taken "a volume of 2 TiB" 1
check "the default limit is kept" below "$(limit)" $((32 << 20))
was=$(limit)
message vol create_snapshot > /dev/null
dd if=/dev/urandom of=/dev/mapper/vol bs=1M count=64 oflag=direct status=none
check "copies take nothing" is "$(limit)" "$was"
alone=$(used)
snapshot snap "$live" "$diff" 1
check "a snapshot device has its buffers" test "$(used)" -gt "$alone"
dd if=/dev/mapper/snap of=/dev/null bs=1M count=64 iflag=direct status=none
taken "with a snapshot device" 2
dmsetup remove snap

host resize diff 8T > /dev/null
has_grown()
{
	[ "$(blockdev --getsize64 "$diff")" -eq $((8 << 40)) ]
}
wait_for has_grown
check "the diff area grows" message vol grow
check "and the bound with it" test "$(limit)" -gt $((was + (14 << 20)))
taken "an area of half a million segments" 1

dmsetup remove vol
check "and all is given back" below $((before - $(free_kib))) 2048
live vol "$live" "$diff" 8
check "the next activation has the large area's bound" test "$(limit)" -gt $((was + (14 << 20)))
dmsetup remove vol
