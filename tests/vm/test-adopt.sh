# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Live targets come and go while snapshot devices stay; diff devices arrive late
# and are exchanged by a reload; what can never be right is refused.
#
# vm: --disk live,size=64M --disk diff,size=256M --disk other,size=256M --disk foreign,size=64M
# plan: 34

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
other=$(disk other)
foreign=$(disk foreign)
sectors=$(blockdev --getsz "$live")

fill "$live" 1
before=$(sum "$live")
live vol "$live" "$diff" 8 format
id=$(message vol create_snapshot)
snapshot snap "$live" "$diff" "$id"
fill /dev/mapper/vol 5000 0 4096
after=$(sum /dev/mapper/vol)

check "the live device is removed below an open snapshot" dmsetup remove vol
check "the snapshot goes on" is "$(sum /dev/mapper/snap)" "$before"
check "its status says so" is "$(dmsetup status snap)" "0 $sectors cowprotect-snap active"
check "a new live target adopts the volume" live vol "$live" "$diff" 8
check "which is active" is "$(state vol)" active
check "with its content" is "$(sum /dev/mapper/vol)" "$after"
fill /dev/mapper/vol 9000 2048 8192
check "the snapshot that stayed open shows the same" is "$(sum /dev/mapper/snap)" "$before"
check "again and again" eval '
	for _ in 1 2 3; do
		dmsetup remove vol && live vol "$live" "$diff" 8 && state_is vol active || exit 1
	done
	is "$(sum /dev/mapper/snap)" "$before"'
dmsetup remove vol
dmsetup remove snap

# refused TEXT TABLE: for this reason, and for no other
refused()
{
	dmesg --clear
	fails dmsetup create bad --noudevsync --table "$2" &&
		{ dmesg | grep -qF "$1" || { dmesg; false; }; }
}
check "without a live volume no snapshot is opened" refused "Live volume is not active" \
	"0 $sectors cowprotect-snap $live $diff $id"

dd if=/dev/urandom of="$foreign" bs=1M count=4 oflag=direct status=none
live vol "$live" "$diff" 8
uuid=$(dmsetup message vol 0 list > /dev/null; hexdump -s 8 -n 16 -e '16/1 "%02x"' "$diff" |
	sed 's/\(.\{8\}\)\(.\{4\}\)\(.\{4\}\)\(.\{4\}\)/\1-\2-\3-\4-/')
dmsetup remove vol
check "another chunk size is refused" refused "another chunk size" \
	"$(live_table "$live" "$diff" 16)"
check "a foreign diff device is refused" refused "holds something else" \
	"$(live_table "$live" "$foreign" 8)"
check "also with format" refused "holds something else" "$(live_table "$live" "$foreign" 8 format)"
check "the same device twice is refused" refused "are the same" "$(live_table "$live" "$live" 8)"
check "a smaller live volume is refused" refused "smaller than its snapshots" \
	"0 $((sectors - 8)) cowprotect $live $diff 8"
check "another uuid is refused" refused "another uuid" \
	"$(live_table "$live" "$diff" 8 uuid 11111111-2222-3333-4444-555555555555)"
check "a chunk that is no power of two is refused" refused "expected a power of two" \
	"$(live_table "$live" "$diff" 24)"
check "an unknown option is refused" refused "unknown option 'nonsense'" \
	"$(live_table "$live" "$diff" 8 nonsense)"
check "protect with format is refused" refused "format excludes protect" \
	"$(live_table "$live" "$other" 8 format protect)"
check "a wrong number of words is refused" refused "Number of option words" \
	"0 $sectors cowprotect $live $diff 8 2 protect"
check "the right uuid is taken" live vol "$live" "$diff" 8 uuid "$uuid"
check "the diff area of another volume is refused" refused "another live volume" \
	"$(live_table "$other" "$diff" 8)"
check "the table is answered as loaded" eval '
	dmsetup table vol | grep -q " cowprotect [0-9:]* [0-9:]* 8 2 uuid $uuid\$"'
dmsetup remove vol

# Both constructors see a diff device that nobody has yet
both_loaded()
{
	dmsetup create first --notable && dmsetup create second --notable &&
		dmsetup load first --table "$(live_table "$live" "$diff" 8)" &&
		dmsetup load second --table "$(live_table "$other" "$diff" 8)" &&
		dmsetup resume --noudevsync first && wait_for settled first
}
check "two volumes are loaded with one diff area" both_loaded
dmesg --clear
check "the second is not resumed" fails dmsetup resume --noudevsync second
check "the log says why" eval 'dmesg | grep -q "cowprotect: .*: diff device belongs to another live volume"'
check "the first is active" is "$(state first)" active
dmsetup remove second
dmsetup remove first

# Late: the volume comes up without its diff area
live vol "$live" - 8 protect
check "without its diff area a protected volume is blocked" wait_for state_is vol blocked
dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct status=none &
reader=$!
holds_some()
{
	fails is "$(held vol)" 0
}
check "it holds reads" eval 'wait_for holds_some && kill -0 $reader'
dmsetup load vol --table "$(live_table "$live" "$diff" 8 protect)"
check "a noflush reload brings the diff area" eval '
	timeout 20 dmsetup suspend --noflush --nolockfs vol && timeout 20 dmsetup resume --noudevsync vol'
check "the volume becomes active" wait_for state_is vol active
check "the reader ends" wait $reader
check "protected" is "$(mode vol)" protected
check "nothing was lost" eval '
	snapshot snap "$live" "$diff" "$id" && is "$(sum /dev/mapper/snap)" "$before"'
dmsetup remove snap
dmsetup remove vol
check "the module can be removed" wait_for rmmod dm_cowprotect
