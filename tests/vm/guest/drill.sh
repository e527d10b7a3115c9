# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The drill: a fault has blocked the volume "data", and somebody mends it who knows
# nothing but what "cowprotect status" says, or else the line in the kernel's log.
# For the tests of tests/vm, in the guest, after lib.sh.
#
# For each cause a test has functions break_CAUSE and repair_CAUSE.  The latter is
# what hands do: put a disk back, enlarge it, free memory, restore content.  Whatever
# else is done here was read.

WAIT_LIMIT=120
live=
# Where the diff area is
device=
cause=
writer=
# It was attached anew, or is another one
moved=
# The beginning of the "or" that is taken, and whether it is the log's
chosen=nothing
second=
# Ids of the snapshots that are to be there, and what they are to show
kept=
sums=()
CHUNK=4K
# That one write writes
kib=64
# Of the live device, that are written and summed; empty: all
live_kib=

# Behind devices that can be broken below the volume: $device on $under, and $live
drill_devices()
{
	under=$(disk diff)
	origin=$(disk live)
	sectors=$(blockdev --getsz "$under")
	live_sectors=$(blockdev --getsz "$origin")
	good="0 $sectors linear $under 0"
	good_live="0 $live_sectors linear $origin 0"
	dmsetup create space --noudevsync --table "$good"
	dmsetup create origin --noudevsync --table "$good_live"
	device=/dev/mapper/space
	live=/dev/mapper/origin
}

mend_space()
{
	exchange space "$good"
}

activate()
{
	cowprotect activate --no-monitor --options "${options:-diff_timeout_secs=2}" data "$live" \
		"$device"
}

take_snapshot()
{
	local before id
	before=$(sum /dev/mapper/data)
	id=$(cowprotect snapshot --no-freeze data | awk '{ print $2 }')
	sums[id]=$before
	kept="${kept:+$kept }$id"
}

# Two snapshots, and chunks that were preserved for each
new_volume()
{
	fill "$live" $((RANDOM + 1)) 0 "$live_kib"
	cowprotect format --force --lose all --live "$live" --chunk "$CHUNK" "$@" "$device" > /tmp/format || return
	uuid=$(awk '$1 == "uuid" { print $2 }' /tmp/format)
	activate || return
	kept=
	take_snapshot
	fill /dev/mapper/data 7000 0 128
	take_snapshot
	fill /dev/mapper/data 8000 64 128
	at=256
}

# again DEVICE: with nothing in memory, and nothing in the log
again()
{
	! dmsetup info data > /dev/null 2>&1 || cowprotect deactivate data || return
	device=$1
	activate
}

end_volume()
{
	cowprotect deactivate data
}

# To chunks that need a copy, in the background
write_next()
{
	seed=$((at * 100))
	place=$at
	at=$((at + kib))
	fill /dev/mapper/data $seed "$place" "$kib" &
	writer=$!
}

# Who reads a blocked volume waits for ever.
not_blocked()
{
	! state_is data blocked || { echo "the volume is blocked"; return 1; }
}

written()
{
	not_blocked || return
	cmp <(numbers "$seed" "$kib") <(dd if=/dev/mapper/data bs=64k skip=$((place / 64)) \
		count=$((kib / 64)) iflag=direct status=none)
}

# shows ID: its sum, by the command
shows()
{
	cowprotect open data "$1" > /dev/null || return
	sum "/dev/mapper/data-snap-$1"
	cowprotect close data "$1"
}

nothing_lost()
{
	local id
	is "$(cowprotect list data | awk '{ print $2 }' | xargs)" "$kept" || return
	for id in $kept; do
		is "$(shows "$id")" "${sums[id]}" || return
	done
}

blocked()
{
	state_is data blocked && [ "$(held data)" -gt 0 ]
}

# ---- somebody ----

# hands WHAT: what no command does
hands()
{
	case $1 in
	attach* | repair* | free* | enlarge* | grow\ the\ diff\ device | put\ back* | stop\ * | \
	restore\ it | bring\ the\ right*)
		"repair_$cause" ;;
	report*) ;;
	unmount*)
		wait "$writer"
		ended=$? ;;
	"activate it again")
		activate ;;
	*)
		echo "what to do about '$1'?"
		return 1 ;;
	esac
}

# type COMMAND: a question is answered as it says
type_it()
{
	local command answer
	command=${1//DEVICE/$device}
	echo "\$ $command"
	# shellcheck disable=SC2086	# words
	timeout 120 $command > /tmp/typed 2>&1 < /dev/null && { cat /tmp/typed; return; }
	cat /tmp/typed
	answer=$(grep -oE 'give --yes' /tmp/typed)
	# check tells of errors by its exit status.
	[[ $command == "cowprotect check "* ]] && return
	[ -n "$answer" ] || return
	# shellcheck disable=SC2086
	timeout 120 $command ${answer#give }
}

# what WHAT: one of a step
do_what()
{
	case $1 in
	cowprotect\ * | dmsetup\ *) type_it "$1" ;;
	*) hands "$1" ;;
	esac
}

# concerns WHEN: is it so?
concerns()
{
	case $1 in
	"if it was attached anew" | "if another device took its place") [ -n "$moved" ] ;;
	or\ *) [[ $1 == "$chosen"* ]] ;;
	*)
		echo "is it so that '$1'?"
		return 1 ;;
	esac
}

known_when()
{
	[[ $1 == "or "* || $1 == "if it was attached anew" ||
		$1 == "if another device took its place" ]]
}

take_step()
{
	local step=$1 when what
	if [[ $step == *": "* ]]; then
		when=${step%%: *}
		step=${step#*: }
		known_when "$when" || { echo "when is '$when'?"; return 1; }
		concerns "$when" || return 0
	fi
	while read -r what; do
		do_what "$what" || return
	done <<< "${step//, /$'\n'}"
}

# Each step of the status, in its order
follow_status()
{
	local step
	cowprotect status data > /tmp/status || return
	cat /tmp/status
	sed -n 's/^  [0-9]*\. //p' /tmp/status > /tmp/steps
	[ -s /tmp/steps ] || return
	while read -r step <&3; do
		echo "> $step"
		# What goes on for a moment meets the fault again.
		! [[ $step == "$chosen"* ]] || wait_for blocked || return
		# Where something else is to come the first choice may be in vain.
		take_step "$step" || [ "$chosen" != nothing ] || return
		# What was chosen has mended it
		! [[ $step == "$chosen"* ]] || [ "$(fault data)" != none ] || return 0
	done 3< /tmp/steps
}

# The dm-linear that the command made below the volume
exchange_below()
{
	exchange data-diff "0 $(blockdev --getsz "$device") linear $device 0"
}

# reload: what "reload the table with it" means, with and without such a device
reload()
{
	local table
	! dmsetup info data-diff > /dev/null 2>&1 || { exchange_below; return; }
	table=$(dmsetup table data) || return
	# shellcheck disable=SC2086
	set -- $table
	exchange data "${table/ $4 $5 / $4 $device }" && wait_for settled data
}

# message WORDS: "send clear", as the guide explains it
sent()
{
	echo "\$ dmsetup message data 0 $1"
	timeout 90 dmsetup message data 0 "$1"
}

log_step()
{
	case $1 in
	send\ *) sent "${1#send }" ;;
	reload\ the\ table*) reload ;;
	grow\ the\ diff\ device) hands "$1" && reload ;;
	run\ cowprotect\ check*) cowprotect check "$device" || true ;;
	# The oldest, of the line that "dmsetup status" prints
	delete\ snapshots) sent "delete_snapshot $(word data 8)" ;;
	*)
		hands "$1" || return
		# A disk under another name is below another device.
		[ -z "$moved" ] || reload ;;
	esac
}

log_line()
{
	dmesg | grep "cowprotect: data: .*fault " | tail -n 1
}

# The newest line of the log, without what stands there as another choice, or with
# that alone
follow_log()
{
	local line step
	line=$(log_line)
	echo "$line"
	! state_is data blocked || grep -q "cowprotect status data tells more" <<< "$line" || return
	[ -z "$second" ] || line=$(sed -E 's/(error [^:]*\): )[^;]*, or /\1/' <<< "$line")
	line=${line##*error *): }
	line=$(sed -E 's/ \(cowprotect status .*//; s/, or [^;]*//; s/, then |; then |; |, | and /\n/g' <<< "$line")
	while read -r step <&3; do
		echo "> $step"
		log_step "$step" || return
	done 3<<< "$line"
}

# ---- a story ----

said()
{
	local what=$1
	shift
	check "$cause, $how: $what" "$@"
}

goes_on()
{
	said "the writer ends well" eval 'wait_for fails kill -0 $writer && wait $writer'
	said "no fault is left" eval 'wait_for state_is data active && is "$(fault data)" none'
	said "what it wrote is there" written
	said "no snapshot has lost anything" nothing_lost
}

# Behind what has cost the snapshots
new_beginning()
{
	local id before
	not_blocked || return
	cowprotect snapshot --no-freeze data > /dev/null || return
	id=$(word data 9)
	before=$(sum /dev/mapper/data)
	write_next
	wait "$writer" && is "$(shows "$id")" "$before"
}

# drill CAUSE WORD: by the status, and by the log.  14 checks
drill()
{
	cause=$1
	for how in status log; do
		dmesg --clear
		"break_$cause" > /dev/null 2>&1
		write_next
		said "the volume is blocked" wait_for blocked
		said "by $2" eval "cowprotect status data | tee /tmp/status | grep -qE '^data: blocked, protected, $2\$' || { cat /tmp/status; log_line; false; }"
		said "who follows it mends it" "follow_$how"
		goes_on
	done
}
