# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The drill, as in test-drill-device.sh, of what is read from the diff area: not at
# all, not there, or wrong.
#
# vm: --disk live,size=4M --disk diff,size=32M --timeout 1500
# plan: 72
# tool: cowprotect

. /guest/lib.sh
. /guest/drill.sh

drill_devices

# The index, when nothing of it is in memory
break_index()
{
	local first
	again "$device"
	first=$(first_segment)
	exchange space "0 $first linear $under 0
$first $((sectors - first)) error"
}

repair_index() { mend_space; }

# The blocks that activate looks at are well, what is behind them is not
break_recovery()
{
	end_volume
	exchange space "0 16 linear $under 0
16 4080 error
4096 16 linear $under 4096
4112 $((sectors - 4112)) error"
	activate
}

repair_recovery() { mend_space; }

break_missing()
{
	end_volume
	cowprotect activate --no-monitor --uuid "$uuid" --chunk $CHUNK data "$live" -
}

repair_missing() { :; }

# blocks_of FIRST COUNT: to and from a file, so that they can be put back
keep()
{
	dd if="$device" of="/tmp/kept.$1" bs=4k skip="$1" count="$2" iflag=direct status=none &&
		dd if=/dev/urandom of="$device" bs=4k seek="$1" count="$2" oflag=direct status=none
}

put_back()
{
	dd if="/tmp/kept.$1" of="$device" bs=4k seek="$1" oflag=direct status=none
}

break_damage()
{
	again "$device"
	first=$(($(first_segment) / 8))
	keep "$first" $((sectors / 8 - first))
}

repair_damage()
{
	put_back "$first"
}

# Both manifests
break_manifest()
{
	end_volume
	keep 2 510
	keep 514 510
	activate
}

repair_manifest()
{
	put_back 2
	put_back 514
}

new_volume --protect
check "a volume" is "$(state data)" active
drill index io-failure
drill recovery io-failure-during-online
drill missing diff-area-missing
drill damage metadata-corruption
drill manifest metadata-corruption
check "deactivate" cowprotect deactivate data
