# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The life of a volume through the command alone: format, activate, snapshots of
# one and of two mounted volumes, open, write to a writable one, fault, status,
# repair, grow, delete, deactivate, check, wipe.  And what must not happen: a file
# system that stays frozen, half a set, anything changed by what was refused.
#
# vm: --disk live,size=32M --disk diff,size=64M --disk live2,size=24M --disk diff2,size=32M --disk cow,size=16M --timeout 1200
# plan: 112
# tool: cowprotect
# json: status list

. /guest/lib.sh

WAIT_LIMIT=60
live=$(disk live)
diff=$(disk diff)
live2=$(disk live2)
diff2=$(disk diff2)
cow=$(disk cow)
out=/tmp/out

devices()
{
	dmsetup ls | cut -f 1 | grep -v '^above$' | sed 's/^cowprotect-.*/HELD/' | sort | xargs
}

# can_write FILE: its file system is not frozen
can_write()
{
	timeout 60 bash -c "echo x > '$1' && sync -f '$1'"
}

contents()
{
	(cd "$1" && find . -path ./lost+found -prune -o -type f -print0 | sort -z |
		xargs -0 sha256sum | sha256sum)
}

# field NAME [FILE]: of a JSON document, without a parser: "name":value
field()
{
	grep -oh "\"$1\":[^,}]*" "${2:--}" | head -n 1 | cut -d : -f 2-
}

mkdir -p /mnt/data /mnt/more /mnt/old
for device in "$live" "$live2"; do
	mkfs.ext4 -q "$device"
	mount "$device" /mnt/data
	cp /usr/bin/bash /usr/bin/mount /mnt/data
	umount /mnt/data
done

# ---- format ----

check "format prints the uuid" ends 0 '^uuid +[0-9a-f-]{36}$' \
	cowprotect format --live "$live" --name data --protect "$diff"
uuid=$(awk '$1 == "uuid" { print $2 }' $out)
check "dump shows which live volume it is for" ends 0 '^identity: .*"name":"data".*"kind":"filesystem"' \
	cowprotect dump "$diff"
check "and that is its file system" ends 0 "$(blkid -p -s UUID -o value "$live" 2> /dev/null ||
	dumpe2fs -h "$live" 2> /dev/null | awk '/UUID/ { print $3 }')" cowprotect dump "$diff"
check "a fresh area is sound" ends 0 "no errors" cowprotect check "$diff"
check "an area is not formatted again" ends 4 "holds a diff area" \
	cowprotect format --live "$live" "$diff"
check "nor is a file system" ends 4 "signature of type ext4" \
	cowprotect format --live "$live" "$live2"
check "format of the second area" ends 0 "^uuid" \
	cowprotect format --live "$live2" --protect "$diff2"

# ---- activate ----

check "another live device is refused" ends 4 "$live: is not the live device that $diff2 is for" \
	cowprotect activate more "$live" "$diff2"
check "a smaller live device is refused" ends 4 "are of a volume with 65536" \
	cowprotect activate data "$live2" "$diff"
check "another uuid is refused" ends 4 "not that of --uuid" \
	cowprotect activate --uuid "01234567-89ab-cdef-0123-456789abcdef" data "$live" "$diff"
check "a diff device without an area is refused" ends 4 "holds no diff area" \
	cowprotect activate data "$live" "$cow"
check "nothing was made by what was refused" is "$(devices)" "No devices found"
check "activate" ends 0 "" cowprotect activate --options low_water=64 data "$live" "$diff"
check "there are the volume and its diff device" is "$(devices)" "data data-diff"
check "their uuids have the prefix" is \
	"$(dmsetup info -c --noheadings -o uuid --sort name | xargs)" \
	"COWPROTECT-${uuid//-/}-live COWPROTECT-${uuid//-/}-diff"
check "the table has the area's uuid" ends 0 "cowprotect .* 8 4 uuid $uuid low_water 64" \
	dmsetup table data
check "a second time is refused" ends 5 "there is such a device already" \
	cowprotect activate data "$live" "$diff"
check "the devices are in use" ends 5 "cannot open the live device" \
	cowprotect activate data2 "$live" "$diff"
check "an active area is not formatted" ends 5 "cannot open the diff device" \
	cowprotect format --force --live "$live" "$diff"
check "nor wiped" ends 5 "cannot open the diff device" cowprotect wipe --yes "$diff"
check "activate the other" ends 0 "" cowprotect activate more "$live2" "$diff2"
check "status tells both" ends 0 "^more: none .*, protected" cowprotect status
mount /dev/mapper/data /mnt/data
# A device that is stacked on the volume, as a logical volume would be
dmsetup create above --noudevsync --table "0 $(blockdev --getsz /dev/mapper/more) linear /dev/mapper/more 0"
mount /dev/mapper/above /mnt/more

# ---- snapshots ----

before=$(contents /mnt/data)
check "a snapshot" ends 0 "^data 1$" cowprotect snapshot --freeze-timeout 60 --label monday data
check "its file system goes on" can_write /mnt/data/new
check "a label with a blank is refused" ends 1 "has a blank" cowprotect snapshot --label "a b" data
check "a volume twice is refused" ends 1 "is named twice" cowprotect snapshot data more data
check "an unknown volume is refused" ends 4 "no such active volume" cowprotect snapshot data none
check "nothing was made by what was refused" is "$(message data list | wc -l)" 1
check "list tells of it" ends 0 "^data +1 .* 32 MiB  monday" cowprotect list data
rm /mnt/data/bash
cp /usr/bin/awk /mnt/data/ 2> /dev/null || cp /bin/sh /mnt/data/awk

check "open by label" ends 0 "^/dev/mapper/data-snap-1$" cowprotect open data monday
check "a second time is refused" ends 5 "open already" cowprotect open data 1
mount -o ro,noload /dev/mapper/data-snap-1 /mnt/old
check "the snapshot shows what was there" is "$(contents /mnt/old)" "$before"
check "one that is mounted is not closed" ends 5 "data-snap-1: is in use" cowprotect close data 1
check "an open one is not deleted" ends 5 "cowprotect close data 1" cowprotect delete data 1
umount /mnt/old
snapshot_sum=$(sum /dev/mapper/data-snap-1)

mkfs.ext4 -q "$cow"
check "a store with a file system is refused" ends 4 "signature of type ext4" \
	cowprotect open --writable "$cow" data 1
check "nothing was made by what was refused" is "$(devices)" "data data-diff data-snap-1 more more-diff"
check "with --force it is taken" ends 0 "^/dev/mapper/data-rw-1$" \
	cowprotect open --force --writable "$cow" data 1
mount /dev/mapper/data-rw-1 /mnt/old
check "the snapshot on it can be written to" can_write /mnt/old/changed
umount /mnt/old
check "list tells where it is open" ends 0 "open as data-rw-1" cowprotect list data
cowprotect list --json > /tmp/list.json
host put /tmp/list.json
check "close takes both devices" ends 0 "" cowprotect close data monday
check "they are gone" is "$(devices)" "data data-diff more more-diff"
cowprotect open data 1 > /dev/null
check "the snapshot did not change" is "$(sum /dev/mapper/data-snap-1)" "$snapshot_sum"
cowprotect close data 1
check "what is not open is not closed" ends 4 "is not open" cowprotect close data 1

# ---- a set ----

check "a set of two volumes" ends 0 "^more 1$" cowprotect snapshot --freeze-timeout 60 --label set data more
check "both go on" eval 'can_write /mnt/data/new && can_write /mnt/more/new'

# The second volume's creation fails: the first one's snapshot goes again
table=$(dmsetup table more-diff)
exchange more-diff "0 $(blockdev --getsz "$diff2") error"
check "a set of which one fails" ends 1 "^cowprotect: more: create_snapshot: a fault stands" \
	cowprotect snapshot --no-freeze data more
check "is undone" is "$(message data list | wc -l)" 2
exchange more-diff "$table"
check "clear mends the other" ends 0 "^more: active, protected" cowprotect clear more

# A freeze that hangs: the volume below a file system with dirty data is suspended
dirty()
{
	dd if=/dev/urandom of=/mnt/more/dirty bs=64k count=8 status=none
}
dirty
dmsetup suspend --noflush --nolockfs more
check "a freeze that hangs ends the command" ends 1 "/mnt/more: was not frozen within 15 s" \
	timeout 300 cowprotect snapshot --freeze-timeout 15 data more
check "the others go on at once" can_write /mnt/data/new
dmsetup resume --noudevsync more
check "and that one when it can" wait_for can_write /mnt/more/new
check "no snapshot was made" is "$(message data list | wc -l)" 2

# A command that is killed.  A child of it that polls has frozen its file system.
frozen()
{
	local status
	for status in $(grep -ls "^PPid:[[:space:]]*$command\$" /proc/[0-9]*/status); do
		! grep -q poll "${status%status}wchan" || return 0
	done
	return 1
}

pending()
{
	grep '^ShdPnd' "/proc/$1/status"
}

dirty
dmsetup suspend --noflush --nolockfs more
cowprotect snapshot --freeze-timeout 60 data more > /tmp/killed 2>&1 &
command=$!
check "while the command waits the other is frozen" wait_for frozen
kill -TERM $command
check "a signal does not end it before its end" is "$(pending $command)" "ShdPnd:	0000000000004000"
kill -KILL $command
wait $command 2> /dev/null
check "killed: its file systems are thawed" wait_for can_write /mnt/data/new
dmsetup resume --noudevsync more
check "that one too, when it can" wait_for can_write /mnt/more/new

# ---- fault ----

touch /tmp/watched
cowprotect status --watch data > /tmp/watched 2>&1 &
watcher=$!
check "watch begins with what is" wait_for grep -q "^data: active, protected" /tmp/watched
# Which one depends on what is under way when it goes
gone="(diff-area-removed|cow-write-failure)"
host unplug diff
dd if=/dev/urandom of=/mnt/data/late bs=64k count=16 oflag=direct status=none &
writer=$!
check "without its diff device the volume is blocked" wait_for state_is data blocked
check "watch tells it" wait_for \
	grep -qE "^data: blocked, protected, $gone$" /tmp/watched
check "status tells the command to type" ends 0 "cowprotect replace-diff data DEVICE" \
	cowprotect status data
check "the command does" ends 0 "^  3\. cowprotect clear data" cowprotect status data
cowprotect status --json > /tmp/status.json
host put /tmp/status.json
check "so does JSON" ends 0 "^\"$gone\"$" field fault /tmp/status.json
check "protect off is refused" ends 1 "would be given up" cowprotect protect data off
check "reset asks, and there is no terminal" ends 1 "give --yes" cowprotect reset data
check "it says what would die" ends 1 "^data +1 .*monday" cowprotect reset data
check "a snapshot is refused" ends 1 "is blocked" cowprotect snapshot data
check "deactivate is refused" ends 5 "data: is in use" cowprotect deactivate data
check "clear is refused" ends 1 "^cowprotect: data: clear: " cowprotect clear data
check "another volume's area is refused" ends 5 "cannot open" \
	cowprotect replace-diff data "$diff2"
check "a device without an area is refused" ends 4 "holds no sound diff area" \
	cowprotect replace-diff data "$cow"
check "all of that released nothing" eval 'kill -0 $writer && state_is data blocked'
diff=$(host plug diff)
check "replace-diff" ends 0 "^data: blocked" cowprotect replace-diff data "$diff"
check "clear" ends 0 "^data: active, protected$" cowprotect clear data
check "the writer ends well" wait $writer
check "watch tells that too" wait_for eval '[ "$(grep -c "^data: active, protected$" /tmp/watched)" -ge 2 ]'
kill $watcher

check "a diff device is not exchanged without need" ends 5 "take that one away first" \
	cowprotect replace-diff more "$diff"
check "it can be taken away" ends 0 "^more: " cowprotect replace-diff more -
check "then there is none" ends 0 " error" dmsetup table more-diff
check "and be given back" ends 0 "^more: " cowprotect replace-diff more "$diff2"
check "clear" ends 0 "^more: active, protected$" cowprotect clear more
check "its file system goes on" can_write /mnt/more/new

# ---- grow, protect, delete ----

total=$(cowprotect status --json data | field total_chunks)
host resize diff 96M
check "grow" ends 0 "^data: active" cowprotect grow data
check "there is more room" [ "$(cowprotect status --json data | field total_chunks)" -gt "$total" ]
check "protect off" ends 0 "^data: active, not protected" cowprotect protect data off
check "protect on" ends 0 "^data: active, protected" cowprotect protect data on
check "a snapshot that there is not" ends 4 "there is no such snapshot" cowprotect delete data 1 77
check "nothing was deleted by what was refused" is "$(message data list | wc -l)" 2
cowprotect snapshot --freeze-timeout 60 data > /dev/null
cowprotect snapshot --freeze-timeout 60 --label last data > /dev/null
check "delete --oldest" ends 0 "^data 1$" cowprotect delete --oldest data
check "delete by label" ends 0 "^data [0-9]+$" cowprotect delete data set
check "delete --keep 1" ends 0 "^data [0-9]+$" cowprotect delete --keep 1 data
check "the last one is left" ends 0 " last$" eval '[ $(cowprotect list data | wc -l) = 1 ] && cowprotect list data'

# ---- the end ----

cowprotect open data last > /dev/null
check "a volume that is in use is not taken down" ends 5 "data: is in use" cowprotect deactivate data
check "nor is anything of it" grep -q data-snap- <(devices)
umount /mnt/data /mnt/more
check "nor one with a device on it" ends 5 "more: is in use" cowprotect deactivate more
dmsetup remove --noudevsync above
check "deactivate --all" ends 0 "" cowprotect deactivate --all
check "only what holds the diff areas is left" is "$(devices)" "HELD HELD"
check "unless they are let go" ends 0 "" cowprotect deactivate --all --release
check "then no device is left" is "$(devices)" "No devices found"
dmsetup create data-diff --noudevsync --uuid "COWPROTECT-${uuid//-/}-diff" \
	--table "0 $(blockdev --getsz "$diff") linear $diff 0"
check "what an activation that was cut short left is taken down" ends 0 "" cowprotect deactivate data
check "and holds the area" is "$(devices)" "HELD"
check "the area is sound" ends 0 "no errors" cowprotect check "$diff"
check "the live device is a file system as before" fsck.ext4 -fn "$live"

check "a volume without its diff device" ends 0 "^data: blocked, .*, diff-area-missing" \
	cowprotect activate --uuid "$uuid" --chunk 4K data "$live" -
check "gets it by replace-diff" ends 0 "^data: active, protected" cowprotect replace-diff data "$diff"
check "with its snapshot" ends 0 " last$" cowprotect list data
check "deactivate by name" ends 0 "" cowprotect deactivate data
check "wipe wants to be told what dies" ends 5 "give --lose [0-9]+ if it may" \
	cowprotect wipe --yes "$diff"
check "it says so itself" ends 5 "  last$" cowprotect wipe "$diff"
check "nothing was wiped" ends 0 "no errors" cowprotect check "$diff"
check "wipe --lose" ends 0 "these snapshots die" cowprotect wipe --lose all "$diff"
check "it is no diff area any more" ends 8 "is no diff area|is blank" cowprotect check "$diff"
check "the module can be removed" wait_for rmmod dm_cowprotect
