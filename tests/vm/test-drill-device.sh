# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Who follows what "cowprotect status" or the kernel's log says brings a blocked
# volume back, without losing anything: what devices can do to it.
#
# vm: --disk live,size=4M --disk diff,size=32M --kmod dm-flakey --timeout 1500
# plan: 72
# tool: cowprotect

. /guest/lib.sh
. /guest/drill.sh

drill_devices

break_write()
{
	exchange space "0 $sectors flakey $under 0 0 3600 1 error_writes"
}

repair_write() { mend_space; }

break_silent()
{
	dmsetup suspend --noflush --nolockfs space
}

repair_silent()
{
	dmsetup resume --noudevsync space
}

break_read()
{
	local bad=$((at * 2))
	exchange origin "0 $bad linear $origin 0
$bad 8 error
$((bad + 8)) $((live_sectors - bad - 8)) linear $origin $((bad + 8))"
}

repair_read()
{
	exchange origin "$good_live"
}

# It comes back as another device
break_pulled()
{
	again "$under"
	host unplug diff
}

repair_pulled()
{
	under=$(host plug diff)
	device=$under
	moved=1
}

# Likewise, without a device of ours between
break_removed()
{
	local table
	again "$under"
	table=$(dmsetup table data)
	# shellcheck disable=SC2086
	set -- $table
	exchange data "${table/ $4 $5 / $4 $under }"
	wait_for settled data
	dmsetup remove data-diff
	host unplug diff
}

repair_removed() { repair_pulled; }

new_volume --protect
check "a volume" is "$(state data)" active
drill write cow-write-failure
drill silent timeout
drill read cow-read-failure
cowprotect deactivate --release data
dmsetup remove space
# Which one depends on what is under way when it goes
drill pulled "(cow-write-failure|io-failure|diff-area-removed)"
drill removed diff-area-removed
check "deactivate" cowprotect deactivate data
