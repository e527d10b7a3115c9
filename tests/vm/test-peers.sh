# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What dm-snapshot gets wrong, shown right.  The same is done to both; what
# dm-snapshot makes of it is printed, not judged.
#
# vm: --disk live,size=8M --disk diff,size=64M --disk origin,size=8M --disk cow,size=16M --kmod dm-flakey --kmod dm-snapshot --timeout 900
# plan: 27

. /guest/lib.sh
. /guest/faults.sh

map_diff

origin=$(disk origin)
raw_cow=$(disk cow)
origin_sectors=$(blockdev --getsz "$origin")
cow_sectors=$(blockdev --getsz "$raw_cow")
cow=/dev/mapper/cow
dmsetup create cow --noudevsync --table "0 $cow_sectors linear $raw_cow 0"

peer()
{
	echo "# dm-snapshot: $*"
}

peer_snapshot()
{
	dmsetup create peer --noudevsync --table "0 $origin_sectors snapshot $origin $cow P 8" &&
		dmsetup create peer-origin --noudevsync \
			--table "0 $origin_sectors snapshot-origin $origin"
}

peer_remove()
{
	dmsetup remove peer
	dmsetup remove peer-origin
}

peer_state()
{
	dmsetup status peer | cut -d ' ' -f 4
}

peer_shows()
{
	if [ "$(sum /dev/mapper/peer 2> /dev/null)" = "$peer_before" ]; then
		echo "the right content"
	else
		echo "WRONG content"
	fi
}

peer_new()
{
	fill "$origin" 1
	peer_before=$(sum "$origin")
	dd if=/dev/zero of="$raw_cow" bs=1M count=1 oflag=direct status=none
	peer_snapshot
	fill /dev/mapper/peer-origin 7000 0 256
}

name="write errors, healing while active"
cause=errors
peer_new
exchange cow "0 $cow_sectors flakey $raw_cow 0 0 3600 1 error_writes"
fill /dev/mapper/peer-origin 9000 1024 64
peer "$name: its status is '$(peer_state)'"
exchange cow "0 $cow_sectors linear $raw_cow 0"
fill /dev/mapper/peer-origin 9000 2048 64
peer_remove
peer_snapshot
peer "$name: activated again its status is '$(peer_state)', with $(peer_shows)"
peer_remove

new_volume normal
listen
exchange diff "0 $sectors flakey $under 0 0 3600 1 error_writes"
write_next
check "$name: the write ends within the wait" eval 'wait_for fails kill -0 $writer; wait $writer && written'
check "$name: the snapshots are lost" state_is vol lost
check "$name: which cannot be marked yet" is "$(mark)" unmarked
check "$name: event, uevent and log say so" told lost cow-write-failure \
	"snapshots given up \\(not yet marked\\), fault cow-write-failure"
listen
exchange diff "$good"
check "$name: the mark is written when the device takes it" wait_for eval '[ "$(mark)" = marked ]'
check "$name: which is said" told lost cow-write-failure "snapshots given up, fault cow-write-failure"
end_volume
check "$name: after a restart the snapshots are lost" eval 'activate && state_is vol lost'
check "$name: none can be activated" fails snapshot snap "$live" "$diff" "$id"
end_volume

# Healing at the very end: there is no time for another attempt but the last one
name="write errors, healing before the removal"
new_volume normal
exchange diff "0 $sectors flakey $under 0 0 3600 1 error_writes"
write_next
wait $writer
wait_for state_is vol lost
exchange diff "$good"
dmsetup remove vol
check "$name: after a restart the snapshots are lost" eval 'activate && state_is vol lost'
end_volume

# ---- the first MiB of an area in use is zeroed ----

zero_first()
{
	dd if="$under" of=/tmp/first bs=1M count=1 iflag=direct status=none
	dd if=/dev/zero of="$under" bs=1M count=1 oflag=direct status=none
}

restore_first()
{
	dd if=/tmp/first of="$under" bs=1M count=1 oflag=direct status=none
}

generation()
{
	dd if="$under" bs=4k skip="$1" count=1 iflag=direct status=none |
		od -An -j 64 -N 8 -tu8 | tr -d ' '
}

newest_slot()
{
	[ "$(generation 512)" -gt "$(generation 0)" ]
	echo $(($? == 0))
}

# close_with SLOT: close the volume so that its newest manifest is in that slot
close_with()
{
	dmsetup remove vol
	[ "$(newest_slot)" = "$1" ] && return
	activate
	message vol checkpoint
	dmsetup remove vol
	is "$(newest_slot)" "$1"
}

peer_new
peer_remove
dd if=/dev/zero of="$raw_cow" bs=1M count=1 oflag=direct status=none
peer_snapshot
peer "first MiB zeroed: its status is '$(peer_state)', with $(peer_shows)"
peer_remove

new_volume protected
name="first MiB zeroed, newest manifest in the other slot"
check "$name: so it is" close_with 1
zero_first
check "$name: the volume is activated" eval 'activate && state_is vol active'
check "$name: protected" is "$(mode vol)" protected
check "$name: the snapshot has lost nothing" safe

name="first MiB zeroed, newest manifest in it"
check "$name: so it is" close_with 0
zero_first
activate
check "$name: the volume blocks" state_is vol blocked
check "$name: the fault is metadata-corruption" is "$(fault vol)" metadata-corruption
write_next
check "$name: a write is held" wait_for blocked_with_io
check "$name: clear does not take the older manifest" eval '
	fails message vol clear && wait_for blocked_with_io && kill -0 $writer'
restore_first
check "$name: restored, clear is carried out" message vol clear
check "$name: the writer ends well" wait $writer
check "$name: the snapshot has lost nothing" safe
end_volume

# ---- all of it is zeroed ----

name="all zeroed"
dd if=/dev/zero of="$under" bs=1M oflag=direct status=none 2> /dev/null
live vol "$live" "$diff" 8 protect
check "$name: with protect the volume blocks" state_is vol blocked
check "$name: the fault is metadata-corruption" is "$(fault vol)" metadata-corruption
check "$name: clear makes no new area" fails message vol clear
check "$name: nothing was written" cmp -n $((64 << 20)) /dev/zero "$under"
end_volume
check "$name: format is refused with protect" fails \
	dmsetup create vol --noudevsync --table "$(live_table "$live" "$diff" 8 protect format)"
stop_listening
dmsetup remove diff
dmsetup remove cow
check "the module can be removed" wait_for rmmod dm_cowprotect
