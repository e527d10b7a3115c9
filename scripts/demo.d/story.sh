#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The demo's story, in the guest; scripts/demo prepares it and judges it.
#
# The offline tool's check, on the host, is one of these:
# plan: 34

. /guest/lib.sh
. /demo/tell.sh

live=$(disk live)
sectors=$(blockdev --getsz "$live")
table="0 $sectors cowprotect $live /dev/mapper/diff-area 8"
files=$(wc -l < /root/sums)

forget_cache()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
}

# compare DIRECTORY: each file with the list, read from the disk
compare()
{
	forget_cache
	run "cd $1; sha256sum --check /root/sums 2> /dev/null | sed -n 's/.*: //p' | sort | uniq -c" |
		tee /tmp/compared
}

# compared N: so many were as in the list, and all others were named as wrong
compared()
{
	awk -v good="$1" -v all="$files" '
		$2 == "OK" { ok = $1 }
		$2 == "FAILED" { wrong += $1 }
		END { if (ok != good || ok + wrong != all) { print ok + 0, wrong + 0; exit 1 } }
	' /tmp/compared
}

# writer FILE: append numbers, ten thousand at a time, each time with an fsync,
# until /tmp/enough is there.  /tmp/written says how many are safe.
writer()
{
	local step=10000 n=0
	rm -f /tmp/enough /tmp/written
	until [ -e /tmp/enough ]; do
		seq $((n + 1)) $((n + step)) |
			dd of="$1" oflag=append conv=notrunc,fsync bs=1M iflag=fullblock \
				status=none || return 1
		n=$((n + step))
		echo $n > /tmp/written.new
		mv /tmp/written.new /tmp/written
	done
}

written_more_than()
{
	[ "$(cat /tmp/written)" -gt "$1" ]
}

# has_numbers FILE N: it begins with 1 to N, byte for byte
has_numbers()
{
	forget_cache
	cmp -n "$(seq 1 "$2" | wc -c)" "$1" <(seq 1 "$2")
}

make_diff_area()
{
	tell "The diff disk stands behind a small linear device of its own, so that it can be
	exchanged without touching the live volume."
	run "dmsetup create diff-area --table '0 $(blockdev --getsz "$diff") linear $diff 0'"
}

first_boot()
{
	diff=$(disk diff)

	title "1. A snapshot of a filesystem in use"
	tell "$live has an ext4 filesystem with $files files, a sample of the host's own /usr.
	(It was put there before this machine was started, as that is quicker.)  A list of
	their sha256 sums is kept outside of it, in /root/sums.  $diff is an empty disk: the
	diff area, to which old data is copied before it is overwritten."
	make_diff_area
	run "dmsetup create vol --table '$table 1 format'"
	must "the live volume is there" wait_for settled vol
	run "mkdir -p /mnt /snap; mount -o noatime /dev/mapper/vol /mnt; df -h /mnt"
	tell "Each file is compared with the list (the counts are of sha256sum's verdicts):"
	compare /mnt
	must "the $files files match the list" compared "$files"

	tell "A snapshot, with the filesystem frozen for the moment that it takes:"
	run "fsfreeze -f /mnt"
	run "dmsetup message vol 0 create_snapshot monday"
	run "fsfreeze -u /mnt"
	run "dmsetup message vol 0 list"
	id=$(message vol list | cut -d ' ' -f 1)

	tell "Life goes on: a third of the files are overwritten with random bytes, a third are
	deleted, and a new file takes the place that they leave."
	run "cd /mnt; awk 'NR % 3 == 1 { print \$2 }' /root/sums | xargs shred -n 1"
	run "cd /mnt; awk 'NR % 3 == 2 { print \$2 }' /root/sums | xargs rm"
	run "head -c 24M /dev/urandom > /mnt/new; sync"
	compare /mnt
	check "of the $files files the live volume has $((files / 3)) as they were" \
		compared $((files / 3))

	tell "The snapshot is a block device of its own.  It is mounted, and every file of it is
	compared with the same list:"
	open_snapshot
	compare /snap
	check "the snapshot has all $files files as they were" compared "$files"
	check "and no other" is "$(find /snap -type f | wc -l)" "$files"
	run "umount /snap"

	protection
	power_cut
}

open_snapshot()
{
	run "dmsetup create monday --readonly --table '0 $sectors cowprotect-snap $live /dev/mapper/diff-area $id'"
	run "mount -o ro /dev/mapper/monday /snap"
}

# Which of them depends on what the disk was doing when it went
is_disk_fault()
{
	case $1 in
	cow-write-failure | io-failure | diff-area-removed) ;;
	*) echo "$1"; false ;;
	esac
}

is_blocked()
{
	state_is vol blocked && [ "$(held vol)" -gt 0 ]
}

still_waits()
{
	timeout 3 tail --pid="$1" -f /dev/null
	is $? 124
}

ends_well()
{
	wait_for fails kill -0 "$1" && wait "$1"
}

protection()
{
	local writer reader seen victim node status

	title "2. The diff disk is pulled out"
	tell "A snapshot is usually given up when an old chunk cannot be copied before it is
	overwritten.  With protection on the live volume waits instead, for somebody to repair."
	run "dmsetup message vol 0 protect"
	run "dmsetup status vol"
	tell "The words after the target's name: mode, state, fault, error number, used/total chunks
	of the diff area, low water, number of snapshots, oldest, newest, I/Os that are held;
	then memory and counters."
	check "the volume is protected" is "$(mode vol) $(state vol)" "protected active"

	tell "A program writes: it appends numbers to /mnt/numbers, ten thousand at a time, each
	time with an fsync.  While it runs, the diff disk $diff is pulled out."
	writer /mnt/numbers &
	writer=$!
	must "the writer is at work" wait_for written_more_than 100000
	host unplug diff
	check "the diff disk is gone" fails disk diff
	must "the volume is blocked and holds I/O" wait_for is_blocked
	run "dmsetup status vol"
	check "the fault word tells of a disk that fails" is_disk_fault "$(fault vol)"
	tell "The kernel's log says what to do:"
	run "dmesg | grep 'cowprotect: vol: blocked' | tail -n 1 | tee /tmp/log"
	check "it names the cause and the remedy" grep -q "fault $(fault vol) .* send clear" /tmp/log

	tell "Reads wait too, as nobody shall work on with half a volume.  One is tried, in the
	background, of a file that nobody has changed:"
	victim=$(awk 'NR % 3 == 0 { print $2; exit }' /root/sums)
	seen=$(held vol)
	printf '\n    $ dd if=/mnt/%s iflag=direct bs=128k of=/tmp/read &\n' "${victim#./}"
	dd if="/mnt/$victim" iflag=direct bs=128k of=/tmp/read status=none &
	reader=$!
	check "one more I/O is held" wait_for eval '[ $(held vol) -gt '"$seen"' ]'
	check "after three seconds the read has not ended" still_waits $reader
	check "the writer has not either" kill -0 $writer
	seen=$(cat /tmp/written)
	run "dmsetup status vol"
	tell "Sending clear before the repair is refused:"
	printf '\n    $ dmsetup message vol 0 clear\n'
	message vol clear > /tmp/clear 2>&1
	status=$?
	sed 's/^/    /' /tmp/clear
	check "clear fails" fails is $status 0
	check "the volume is still blocked" wait_for is_blocked
	check "nothing was released" eval 'kill -0 '"$reader"' && is "$(cat /tmp/written)" '"$seen"

	tell "The disk is plugged in again, and comes back under another node.  The linear device
	gets it; the live volume's own table is not touched."
	node=$(host plug diff)
	check "$diff came back as $node" eval '[ -b "$node" ] && [ "$node" != "$diff" ]'
	diff=$node
	run "dmsetup load diff-area --table '0 $(blockdev --getsz "$diff") linear $diff 0'"
	run "dmsetup suspend --noflush diff-area && dmsetup resume diff-area"
	run "dmsetup message vol 0 clear"
	must "the volume is active" wait_for state_is vol active
	run "dmsetup status vol"
	check "the read ends with status 0" ends_well $reader
	check "with the right bytes" is "$(sha256sum < /tmp/read | cut -d ' ' -f 1)" \
		"$(awk -v name="$victim" '$2 == name { print $1 }' /root/sums)"
	check "the writer goes on" wait_for written_more_than $((seen + 100000))
	touch /tmp/enough
	check "it ends with status 0" ends_well $writer
	seen=$(cat /tmp/written)
	check "the numbers 1 to $seen are in its file, byte for byte" eval '
		has_numbers /mnt/numbers '"$seen"' && is "$(wc -c < /mnt/numbers)" "$(seq 1 '"$seen"' | wc -c)"'
	run "mount -o ro /dev/mapper/monday /snap"
	compare /snap
	check "the snapshot still has all $files files as they were" compared "$files"
}

power_cut()
{
	title "3. The power fails"
	tell "The writer starts on another file, and in the middle of it the power is cut: the
	machine is killed at once, and started again on the same disks.  (What it has told its
	disks to write stays written here; that a disk may lose its cache is a matter for the
	tests.)"
	writer /mnt/more-numbers &
	must "the writer is at work again" wait_for written_more_than 100000
	cp /tmp/written /tmp/acknowledged
	host put /tmp/acknowledged
	host powercut
}

second_boot()
{
	local safe
	safe=$(host get acknowledged)
	id=1
	diff=$(disk diff)

	tell "The machine is up again.  The table line has no word 'format' now; that the
	volume is protected stands in the diff area."
	make_diff_area
	run "dmsetup create vol --table '$table'"
	must "the volume is active after its recovery" eval 'wait_for settled vol && state_is vol active'
	run "dmsetup status vol"
	check "it is still protected" is "$(mode vol)" protected
	run "dmsetup message vol 0 list"
	run "mkdir -p /mnt /snap"
	open_snapshot
	compare /snap
	check "the snapshot still has all $files files as they were" compared "$files"
	check "and no other" is "$(find /snap -type f | wc -l)" "$files"
	run "mount -o noatime /dev/mapper/vol /mnt"
	check "the $safe numbers that the writer had been told are safe are there" \
		has_numbers /mnt/more-numbers "$safe"
	compare /mnt
	check "the live volume's files are as they were before the cut" compared $((files / 3))

	title "4. The end"
	tell "Everything is closed, the machine shut down.  Then the offline tool, on the host, reads
	the file that was the diff disk: each of its structures, and the checksums of all copies."
	run "umount /snap && umount /mnt"
	run "dmsetup remove monday && dmsetup remove vol && dmsetup remove diff-area"
	run "rmmod dm_cowprotect"
	check "nothing is left behind" fails grep -q cowprotect /proc/modules
}

case $BOOT in
1) first_boot ;;
2) second_boot ;;
esac
