# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Wrong table lines, messages and calls of the tool: each is refused with a text
# that says what is wrong, and leaves nothing behind.
#
# vm: --disk live,size=16M --disk diff,size=64M --disk other,size=64M --disk foreign,size=64M --disk small,size=2M --disk tiny,size=8M
# tool: cowprotect
# plan: 100

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
other=$(disk other)
foreign=$(disk foreign)
small=$(disk small)
tiny=$(disk tiny)
sectors=$(blockdev --getsz "$live")
: > /tmp/texts

# refused TEXT COMMAND...: it fails, and the log or its own output has the text
refused()
{
	local text=$1
	shift
	dmesg --clear
	echo "$text" >> /tmp/texts
	if "$@" > /tmp/said 2>&1; then
		echo "carried out: $*"
		return 1
	fi
	dmesg >> /tmp/said
	grep -qF -- "$text" /tmp/said || {
		cat /tmp/said
		return 1
	}
}

not_made()
{
	refused "$1" dmsetup create bad --noudevsync --table "$2" && ! dmsetup info bad
}

# line TEXT TABLE: of a device that is not there then
line()
{
	check "table: $1" not_made "$1" "$2"
}

# words TEXT WORD...: of a live target of the right size
words()
{
	local text=$1
	shift
	line "$text" "0 $sectors cowprotect $*"
}

# snap TEXT WORD...: likewise a snapshot
snap()
{
	local text=$1
	shift
	line "$text" "0 $sectors cowprotect-snap $*"
}

# tell TEXT WORD...: a message to the volume
tell()
{
	local text=$1
	shift
	check "message: $text" refused "$text" timeout 90 dmsetup message vol 0 "$@"
}

# tool TEXT WORD...: a call of the offline tool
tool()
{
	local text=$1
	shift
	check "tool: $text" refused "$text" cowprotect "$@"
}

dd if=/dev/urandom of="$foreign" bs=1M count=4 oflag=direct status=none

# ---- table lines of a live volume ----

ours="$live $diff"
words "Expected <live dev> <diff dev | -> <chunk sectors>" "$ours"
words "Chunk size: expected a power of two from 8 (4 KiB) to 2048 (1 MiB) sectors" "$ours" 24
words "Chunk size: expected a power of two" "$ours" 4
words "Chunk size: expected a power of two" "$ours" 4096
words "Chunk size: expected a power of two" "$ours" eight
words "Chunk size: expected a power of two" "$ours" -8
words "Number of option words: it must be the number of words that follow it" "$ours" 8 2 protect
words "Number of option words: it must be the number" "$ours" 8 protect
words "Unknown option: the log lists those that are known" "$ours" 8 1 nonsense
words "unknown option 'nonsense': these are known" "$ours" 8 1 nonsense
words "An option is given twice: give each once" "$ours" 8 4 low_water 5 low_water 6
words "An option is given twice: give each once" "$ours" 8 2 discard_freed discard_freed
words "The last option lacks its value: count it in the number of words" "$ours" 8 1 low_water
words "protect and noprotect: give one of them, once" "$ours" 8 2 protect noprotect
words "format excludes protect: send the message protect afterwards" "$ours" 8 2 protect format
words "format excludes given_up: a new area has no snapshots to give up" "$ours" 8 2 format given_up
words "uuid: expected 8-4-4-4-12 hexadecimal digits" "$ours" 8 2 uuid 1234
words "uuid: all zeros is no uuid" "$ours" 8 2 uuid 00000000-0000-0000-0000-000000000000
words "diff_wait_secs: expected seconds from 0 to 604800" "$ours" 8 2 diff_wait_secs 604801
words "grow_wait_secs: expected seconds from 0 to 604800" "$ours" 8 2 grow_wait_secs soon
words "diff_timeout_secs: expected seconds from 1 to 604800, or 0 for no time-out" "$ours" 8 2 diff_timeout_secs -1
words "low_water: expected a number of chunks" "$ours" 8 2 low_water 5%
words "cache_kib: expected KiB from 64 to 1048576" "$ours" 8 2 cache_kib 63
words "cache_kib: more than this machine's memory: give less" "$ours 8 2 cache_kib 1048576"
words "Cannot open the live device: it must exist and not be in use" "/dev/nothing $diff 8"
words "Live and diff device are the same: name two" "$live $live 8"
words "Diff device holds something else: name the right one, or wipe it" "$live $foreign 8"
words "Diff device holds something else: name the right one" "$live $foreign 8 1 format"
mkswap "$foreign" > /dev/null
swapon "$foreign"
words "Diff device is in use by something else: name this volume's" "$live $foreign 8"
words "Cannot open the live device: it must exist and not be in use" "$foreign $diff 8"
swapoff "$foreign"
words "Diff device is too small: take a larger one, or smaller chunks" "$live $small 8 1 format"
words "Diff device is too small: take a larger one, or smaller chunks" "$live $other 2048 1 format"
words "Diff device is too small" "$live $tiny 8 1 format"
line "must appear alone in table" \
	"0 $sectors cowprotect $live $diff 8
$sectors 8 linear $other 0"
check "a small diff device is told before the area is made" eval '
	cmp -n $((2 << 20)) /dev/zero "$small"'

# ---- of one with an area ----

live vol "$live" "$diff" 8 format low_water 100000
id=$(message vol create_snapshot first)
words "The volume is active with another chunk size: give that one" "$ours" 16
words "Diff device belongs to another live volume: name this one's" "$other $diff 8"
line "Live volume would be smaller than its snapshots: delete them" \
	"0 $((sectors - 8)) cowprotect $live $diff 8"
check "tables that were refused change nothing" eval 'state_is vol active && is "$(dmsetup ls | wc -l)" 1'

# ---- messages ----

tell "vol: unknown message 'frobnicate': these are known" frobnicate
tell "vol: create_snapshot [<label>]" frobnicate
tell "wrong number of words: expected create_snapshot [<label>]" create_snapshot a b
tell "wrong number of words: expected delete_snapshot <id>" delete_snapshot
tell "wrong number of words: expected list [<from id>]" list 1 2
tell "wrong number of words: expected protect" protect yes
tell "wrong number of words: expected noprotect" noprotect please
tell "wrong number of words: expected grow" grow 10
tell "wrong number of words: expected checkpoint" checkpoint now
tell "wrong number of words: expected stats_reset" stats_reset all
tell "wrong number of words: expected blocked_io hold|error" blocked_io
tell "blocked_io: unknown word 'drop', expected hold or error" blocked_io drop
tell "clear: unknown word 'all', expected accept_unreadable, or nothing" clear all
tell "reset: unknown word 'please', expected force, or nothing" reset please
tell "delete_snapshot: 'first' is no snapshot id: send list" delete_snapshot first
tell "list: '1x' is no snapshot id: send list" list 1x
tell "delete_snapshot refused (error -2): there is no such snapshot: send list" delete_snapshot 77
tell "create_snapshot: a label has up to 63 letters and no white space" create_snapshot \
	0123456789012345678901234567890123456789012345678901234567890123
tell "create_snapshot: a label has up to 63 letters and no white space" 'create_snapshot a\ b'
snapshot snap "$live" "$diff" "$id"
tell "delete_snapshot: tables (active or inactive) name $id: remove them" delete_snapshot "$id"
dmsetup remove snap
check "messages that were refused change nothing" is "$(message vol list | cut -d ' ' -f 1)" "$id"

# ---- snapshots ----

snap "Expected three words: <live dev> <diff dev> <snapshot id>" "$ours"
snap "Expected three words: <live dev> <diff dev> <snapshot id>" "$ours" 1 2
snap "Snapshot id: expected a number that list shows" "$ours" first
snap "Snapshot id: expected a number that list shows" "$ours" 0
snap "There is no such snapshot: send list to the live volume" "$ours" 77
snap "Cannot open the live device: name the raw one under the volume" "/dev/nothing $diff $id"
snap "Diff device is not the live volume's: name the one in its table" "$live $other $id"
snap "Live volume is not active: activate it first" "$other $diff $id"
line "Snapshot is shorter than this table: give it the size that list shows" \
	"0 $((sectors + 8)) cowprotect-snap $live $diff $id"
line "A snapshot begins at sector 0 of its device: give start 0" \
	"0 8 linear $other 0
8 $sectors cowprotect-snap $live $diff $id"

# ---- in states in which they cannot be carried out ----

dmsetup remove vol
words "Diff area has another chunk size: give the one that it was formatted with" "$ours" 16
line "Live volume is smaller than its snapshots: give it its recorded size" \
	"0 $((sectors - 8)) cowprotect $live $diff 8"
words "Diff area has another uuid: name the one that belongs to this volume" "$ours" 8 2 \
	uuid 11111111-2222-3333-4444-555555555555
snap "Live volume is not active: activate it first" "$ours" "$id"
live vol "$live" - 8 protect
wait_for state_is vol blocked
tell "create_snapshot refused (error -5): a fault stands: see the status line, repair, send clear" create_snapshot
tell "clear refused (error -19): the diff device is not there" clear
tell "noprotect: the snapshots would be given up: send clear, or reset" noprotect
tell "reset: no durable mark, nothing released: repair, or send reset force" reset
dmsetup remove vol
live vol "$live" "$diff" 8 given_up
tell "create_snapshot refused (error -61): the snapshots were given up: send reset" create_snapshot
tell "clear refused (error -61)" clear
dmsetup remove vol
dmsetup create vol --noudevsync --notable
dmsetup load vol --table "$(live_table "$live" "$diff" 8)"
check "a table that was never resumed goes without a trace" dmsetup remove vol

# ---- the offline tool ----

tool "no action given"
tool "'fromat' is no action" fromat "$diff"
tool "DIFFDEV is missing" format --live-size 1G
tool "size of the live volume is missing" format "$other"
tool "exclude each other" format --live "$live" --live-size 1G "$other"
tool "is one argument too many" check "$diff" "$other"
tool "unknown or ambiguous option '--frobnicate'" format --frobnicate "$other"
tool "--chunk: '12K' is not a power of two from 4K to 1M" format --chunk 12K --live-size 1G "$other"
tool "'1000' is not a multiple of 512" format --live-size 1000 "$other"
tool "'123' is not a uuid" format --uuid 123 --live-size 1G "$other"
tool "'9-3' ends before it begins" dump --records 9-3 "$diff"
tool "is the live device too" format --live "$other" "$other"
tool "cannot" check /dev/nothing
check "the other device is as empty as it was" cmp -n $((64 << 20)) /dev/zero "$other"

calls=$(wc -l < /tmp/texts)
texts=$(sort -u /tmp/texts | wc -l)
echo "# $calls wrong calls, $texts texts"
check "at least 40 wrong calls" test "$calls" -ge 40
check "with at least 30 texts" test "$texts" -ge 30
live vol "$live" "$diff" 8
check "the volume is as it was" state_is vol lost
dmsetup remove vol
check "no device is left" is "$(dmsetup ls)" "No devices found"
check "the module can be removed" wait_for rmmod dm_cowprotect
