# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The drill, as in test-drill-device.sh, where there is no memory for the tables of the
# area when it arrives.
#
# vm: --mem 256M --disk live,size=2T --disk diff,size=512G --timeout 1500
# plan: 16
# tool: cowprotect

. /guest/lib.sh
. /guest/drill.sh

live=$(disk live)
device=$(disk diff)
live_kib=4096

# The beginning of it
sum()
{
	dd if="$1" bs=1M count=4 iflag=direct status=none | sha256sum
}

available()
{
	awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo
}

# All but a few MiB are taken while the area is not there.
break_memory()
{
	cowprotect deactivate data
	cowprotect activate --no-monitor --uuid "$uuid" --chunk $CHUNK data "$live" - 2> /dev/null
	while [ "$(available)" -gt 12288 ]; do
		head -c 1M /dev/zero >> /mnt/hog/file || break
	done
	cowprotect replace-diff data "$device"
}

repair_memory()
{
	rm /mnt/hog/file
}

mkdir -p /mnt/hog
mount -t tmpfs -o size=100% none /mnt/hog
new_volume --protect
host resize diff 8T > /dev/null
has_grown()
{
	[ "$(blockdev --getsize64 "$device")" -eq $((8 << 40)) ]
}
wait_for has_grown
check "an area of half a million segments" cowprotect grow data
drill memory memory-allocation-failure
check "deactivate" cowprotect deactivate data
