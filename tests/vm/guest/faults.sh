# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What a fault of the diff area does to a volume, told once for all causes: in
# protected mode (what is affected waits, fails, is taken away) and in normal
# mode.  For the tests of tests/vm, in the guest, after lib.sh.
#
# A test sets $live and $under, the devices, and has for each cause the functions
# break_CAUSE and mend_CAUSE; $diff is the volume's diff device, which they may
# exchange.

live=
under=
diff=
cause=
name=
writer=
reader=
# Who finds a cause that persists: clear itself, or the next write
found_by="clear"

# said NAME COMMAND...: a check of the story that is being told
said()
{
	local what=$1
	shift
	check "$name: $what" "$@"
}

# What a cause needs before it can do harm, if anything
prepare()
{
	[ "$(type -t "prepare_$cause")" != function ] || "prepare_$cause"
}

# Who listens is told by the kernel: userspace has no udev here
listen()
{
	[ -e /tmp/uevents ] || {
		: > /tmp/uevents
		busybox uevent "$(command -v busybox)" env >> /tmp/uevents &
		listener=$!
	}
	: > /tmp/uevents
	dmesg --clear
	events=$(dmsetup info -c --noheadings -o events vol 2> /dev/null || echo 0)
}

stop_listening()
{
	kill "$listener"
	rm /tmp/uevents
}

# told STATE FAULT LOG-REGEX: by a dm event, a uevent and a line in the log
told()
{
	[ "$(dmsetup info -c --noheadings -o events vol)" -gt "$events" ] || {
		echo "no dm event"
		return 1
	}
	wait_for eval "grep -A 1 'DM_COWPROTECT_STATE=$1' /tmp/uevents |
		grep -q 'DM_COWPROTECT_FAULT=$2'" || {
		grep COWPROTECT /tmp/uevents
		return 1
	}
	wait_for eval "dmesg | grep -qE 'cowprotect: vol: $3'" || {
		dmesg | grep cowprotect
		return 1
	}
}

# Content of the volume before the story, chunks that were not written since
new_volume()
{
	blank "$under"
	fill "$live" $((RANDOM + 1))
	before=$(sum "$live")
	live vol "$live" "$diff" 8 format diff_wait_secs 2 || return
	[ "$1" = normal ] || message vol protect
	id=$(message vol create_snapshot)
	fill /dev/mapper/vol 7000 0 256
	at=256
}

activate()
{
	live vol "$live" "$diff" 8 diff_wait_secs 2
}

end_volume()
{
	dmsetup remove vol
}

# write_next: to chunks that need a copy, in the background
write_next()
{
	seed=$((at * 100))
	place=$at
	at=$((at + 64))
	write_in_background $seed $place 64
}

written()
{
	cmp -n 65536 <(numbers $seed 64) <(dd if=/dev/mapper/vol bs=4k skip=$((place / 4)) \
		count=16 iflag=direct status=none)
}

read_fails()
{
	fails dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct
}

# The snapshot shows what was there before the story
safe()
{
	local shown
	snapshot snap "$live" "$diff" "$id" || return
	shown=$(sum /dev/mapper/snap)
	dmsetup remove snap
	is "$shown" "$before"
}

# What only a write can find, the write finds again: that alone is not let go
clear_is_in_vain()
{
	timeout 90 dmsetup message vol 0 clear
	[ $? -ne 124 ] && wait_for blocked_with_io && kill -0 $writer &&
		{ [ "$found_by" = write ] || kill -0 $reader; }
}

suspend_does_not_wait()
{
	timeout 20 dmsetup suspend --noflush --nolockfs vol &&
		timeout 20 dmsetup resume --noudevsync vol
}

mended()
{
	"mend_$cause" && timeout 90 dmsetup message vol 0 clear
}

# What a fault in protected mode says; $word is the fault's
blocked_and_said()
{
	said "the fault is $word" is "$(fault vol)" "$word"
	said "event, uevent and log say so" told blocked "$word" \
		"blocked, I/O is held, the snapshots are safe; fault $word \\(error -?[0-9]+\\): .*send clear"
}

held_story()
{
	name="$cause, protected, held"
	prepare
	listen
	"break_$cause"
	message vol blocked_io hold
	write_next
	said "the volume blocks" wait_for blocked_with_io
	blocked_and_said
	dd if=/dev/mapper/vol of=/dev/null bs=4k count=1 iflag=direct status=none &
	reader=$!
	said "a read is held too" wait_for eval '[ "$(held vol)" -ge 2 ]'
	said "clear with the cause still there releases nothing" clear_is_in_vain
	said "a noflush suspend and resume do not wait" suspend_does_not_wait
	said "what was held is held again" wait_for blocked_with_io
	said "after the repair clear is carried out" mended
	said "the writer ends well" wait $writer
	said "so does the reader" wait $reader
	said "no fault is left" eval 'wait_for state_is vol active && is "$(fault vol)" none'
	said "what it wrote is there" written
	said "the snapshot has lost nothing" safe
}

failed_story()
{
	name="$cause, protected, failed"
	prepare
	listen
	"break_$cause"
	message vol blocked_io error
	write_next
	said "the write fails" eval 'wait_for fails kill -0 $writer; fails wait $writer'
	said "the volume is blocked" state_is vol blocked
	blocked_and_said
	said "a read fails too" read_fails
	said "after the repair clear is carried out" mended
	said "a write is carried out" eval 'write_next; wait $writer && written'
	said "the snapshot has lost nothing" safe
}

removed_story()
{
	name="$cause, protected, taken away"
	prepare
	"break_$cause"
	message vol blocked_io hold
	write_next
	wait_for blocked_with_io
	said "remove --force does not wait" eval '
		timeout 30 dmsetup remove --force --noudevsync vol ||
		! dmsetup table vol 2> /dev/null | grep -q cowprotect'
	said "the writer ends with an error" eval 'wait_for fails kill -0 $writer; ! wait $writer'
	wait_for eval '! dmsetup info vol > /dev/null 2>&1 || dmsetup remove vol'
	said "the module can be removed" wait_for rmmod dm_cowprotect
	modprobe dm_cowprotect
	"mend_$cause"
	said "after the repair the volume comes back" eval 'activate && state_is vol active'
	said "protected" is "$(mode vol)" protected
	said "the snapshot has lost nothing" safe
}

# protected CAUSE FAULT-WORD: 27 checks
protected()
{
	cause=$1
	word=$2
	new_volume protected
	held_story
	failed_story
	removed_story
	end_volume
}

mark() { word vol 17; }

# given_up_story hold|error: without protection nothing is ever failed
given_up_story()
{
	name="$cause, normal, $1"
	snapshot snap "$live" "$diff" "$id"
	prepare
	listen
	"break_$cause"
	message vol blocked_io "$1"
	write_next
	said "the write ends within the wait" eval 'wait_for fails kill -0 $writer; wait $writer'
	said "the snapshots are lost" wait_for state_is vol lost
	said "the fault is $word" is "$(fault vol)" "$word"
	said "event, uevent and log say so" told lost "$word" \
		"snapshots given up( \\(not yet marked\\))?, fault $word \\(error -?[0-9]+\\): send reset"
	said "the mark is $mark_word" is "$(mark)" "$mark_word"
	said "what was written is there" written
	said "reading the snapshot fails" lost_snapshot
	"mend_$cause"
	said "after the repair the mark is written" wait_for eval '[ "$(mark)" = marked ]'
	end_volume
	said "they are lost after a restart too" eval 'activate && state_is vol lost && is "$(mark)" marked'
	said "reset is a new beginning" eval '
		message vol reset && wait_for state_is vol none && before=$(sum /dev/mapper/vol) &&
		id=$(message vol create_snapshot) && fill /dev/mapper/vol 4321 0 256 && safe'
}

lost_snapshot()
{
	fails dd if=/dev/mapper/snap of=/dev/null bs=4k count=1 iflag=direct &&
		dmsetup remove snap
}

# normal CAUSE FAULT-WORD marked|unmarked: 20 checks; whether the mark can be
# written while the cause stands
normal()
{
	cause=$1
	word=$2
	mark_word=$3
	new_volume normal
	given_up_story hold
	given_up_story error
	end_volume
}
