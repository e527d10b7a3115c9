# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A protected diff area whose live volume is gone is not deleted by accident (the second
# half of KB 940041): it is held, on a disk, a partition and a logical volume, and by
# every name; what would overwrite it is refused, and nothing of it changes.  Activation
# takes the hold over and never lets go, also if the command is killed anywhere.
#
# vm: --disk live,size=16M --disk live2,size=16M --disk live3,size=16M --disk diff,size=32M --disk whole,size=48M --disk pv,size=64M --prog lvm --prog addpart --prog strace --timeout 1500
# plan: 84
# tool: cowprotect

. /guest/lib.sh

WAIT_LIMIT=60
diff=$(disk diff)
whole=$(disk whole)
pv=$(disk pv)
part=${whole}1
lv=/dev/group/area
link=/dev/disk/by-id/virtio-area

lvm_without_udev

# The linear devices of areas: their names, and whether they are read-only
linears()
{
	dmsetup info -c --noheadings -o name,uuid,read_only --separator ' ' |
		awk '$2 ~ /^COWPROTECT-.*-diff$/ { sub(/^cowprotect-.*/, "HELD", $1); print $1, tolower($3) }' |
		sort | xargs
}

# claimed DEVICE: nobody else gets an exclusive claim.  There is no known signature on
# it, so that nothing is erased where it is not refused.
claimed()
{
	! wipefs -a "$1" > /tmp/claim 2>&1 && grep -q busy /tmp/claim
}

# refuses NAME DEVICE: all that overwrites
refuses()
{
	local name=$1 device=$2
	check "$name: wipefs -a is refused" ends 1 "[Bb]usy" wipefs -a "$device"
	check "$name: mkfs.ext4 -F is refused" ends 1 "in use|[Bb]usy" mkfs.ext4 -F "$device"
	check "$name: pvcreate -ff is refused" ends 5 "exclusively|[Bb]usy" \
		lvm pvcreate -ff -y "$device"
	check "$name: our own wipe is refused" ends 5 "give --lose 1 if it may" \
		cowprotect wipe --yes "$device"
	check "$name: our own format is refused" ends 5 "give --lose 1 if it may" \
		cowprotect format --force --live-size 16M "$device"
}

# area NAME LIVE DIFF: a protected one with a snapshot of what was there
area()
{
	fill "$2" 1
	cowprotect format --live "$2" --name "$1" --protect "$3" > /tmp/format || return
	cowprotect activate --force "$1" "$2" "$3" && cowprotect snapshot --label before "$1" &&
		fill "/dev/mapper/$1" 5000 0 4096 && cowprotect deactivate "$1"
}

# the_snapshot NAME: the sum of what it shows
the_snapshot()
{
	cowprotect open "$1" before > /dev/null && sum "/dev/mapper/$1-snap-1" &&
		cowprotect close "$1" before
}

# ---- it is held when its volume goes ----

addpart "$whole" 1 2048 $((40 * 2048))
check "a logical volume" eval 'lvm pvcreate -y "$pv" && lvm vgcreate group "$pv" &&
	lvm lvcreate -y -Zn -Wn -l 100%FREE -n area group && wait_for test -b "$lv"'
mkdir -p "$(dirname "$link")"
ln -s "$diff" "$link"
check "an area on a disk" area data "$(disk live)" "$diff"
check "an area on a partition" area two "$(disk live2)" "$part"
check "an area on a logical volume" area three "$(disk live3)" "$lv"
check "all three are held, read-only" is "$(linears)" "HELD read-only HELD read-only HELD read-only"
before=$(numbers 1 16384 | sha256sum)
for gone in live live2 live3; do
	host unplug $gone
done
sums()
{
	for each in "$diff" "$part" "$lv"; do
		sum "$each"
	done
}
held=$(sums)

refuses "disk" "$diff"
refuses "by-id name" "$link"
refuses "partition" "$part"
refuses "logical volume" "$lv"
check "whole disk: mkfs.ext4 -F is refused" ends 1 "in use|[Bb]usy" mkfs.ext4 -F "$whole"
check "whole disk: wipefs -a is refused" claimed "$whole"
check "the logical volume is not removed" ends 5 "used by another device" lvm lvremove -y group/area

node=/dev/mapper/$(dmsetup ls | cut -f 1 | grep -m 1 '^cowprotect-')
check "what holds it is not written to" fails dd if=/dev/zero of="$node" bs=4k count=1 oflag=direct
check "not if it is told to be writable" eval '
	blockdev --setrw "$node"; fails dd if=/dev/zero of="$node" bs=4k count=1 oflag=direct'
check "nor is there a file system made" fails mkfs.ext4 -F "$node"
check "nor is it discarded" fails blkdiscard "$node"
check "nothing of the areas has changed" is "$(sums)" "$held"

# ---- it is read as before ----

check "check reads it" ends 0 "no errors" cowprotect check "$diff"
check "dump reads it" ends 0 '"label":"before"|before' cowprotect dump "$part"
check "list says that it is held" ends 0 "^data +is not active, its diff area on $diff is held" \
	cowprotect list
check "udev is told to hold it" ends 0 "^COWPROTECT_HOLD=1$" cowprotect probe "$diff"
check "with its type" ends 0 "^ID_FS_TYPE=cowprotect$" cowprotect probe "$lv"

# ---- hold and release ----

check "a second hold does nothing" eval 'ends 0 "" cowprotect hold "$diff" &&
	is "$(linears)" "HELD read-only HELD read-only HELD read-only"'
check "release tells which snapshots lose their guard" ends 0 "are not guarded any more" \
	cowprotect release "$link"
check "then nothing holds it" eval 'fails claimed "$diff" && is "$(linears)" "HELD read-only HELD read-only"'
check "what is not held is not released" ends 4 "is not held" cowprotect release "$diff"
check "unheld, wipe wants to be told all the same" ends 1 "give --lose 1 if it may" \
	cowprotect wipe --yes "$diff"
check "hold" ends 0 "" cowprotect hold "$diff"
check "it is held again" claimed "$diff"
check "what has no area is not held" ends 4 "holds no diff area" cowprotect hold "$pv"

# The disk comes back under another number while its area is held
host unplug diff
diff=$(host plug diff)
check "a disk that comes back is not held yet" fails claimed "$diff"
check "hold takes it up" ends 0 "" cowprotect hold "$diff"
check "and it is held" claimed "$diff"
check "by the same device" is "$(linears)" "HELD read-only HELD read-only HELD read-only"

# ---- a volume takes the hold over, and never lets go ----

host plug live > /dev/null
live=$(disk live)
(
	until [ -e /tmp/enough ]; do
		claimed "$diff" || cat /tmp/claim >> /tmp/unclaimed
		echo >> /tmp/tries
	done
) &
watcher=$!
for _ in 1 2 3; do
	cowprotect activate data "$live" "$diff" && cowprotect deactivate data
done > /tmp/cycles 2>&1
touch /tmp/enough
wait $watcher
check "through three activations it was never free" eval 'cat /tmp/cycles; fails test -e /tmp/unclaimed'
check "as was seen often" test "$(wc -l < /tmp/tries)" -ge 5

check "activate" ends 0 "" cowprotect activate data "$live" "$diff"
check "the volume has what held its area, and writes to it" is "$(linears)" \
	"HELD read-only HELD read-only data-diff writeable"
check "hold does nothing to a volume's" eval 'ends 0 "" cowprotect hold "$diff" &&
	is "$(linears)" "HELD read-only HELD read-only data-diff writeable"'
check "nor does release" ends 4 "belongs to an active volume" cowprotect release "$diff"
check "the snapshot is what it was" is "$(the_snapshot data)" "$before"
check "deactivate" ends 0 "" cowprotect deactivate data
check "the area is held" claimed "$diff"

volume_there()
{
	dmsetup info data > /dev/null 2>&1
}

# killed_anywhere READY UNDO COMMAND...: at each of its calls of device-mapper and block
# devices in turn, until it gets to its end.  READY tells whether it can be called again
# as things are; if not, UNDO is called before.
killed_anywhere()
{
	local ready=$1 undo=$2 n=0 status
	shift 2
	while n=$((n + 1)); do
		strace -o /dev/null -e trace=ioctl -e "inject=ioctl:signal=KILL:when=$n" \
			"$@" > /tmp/killed 2>&1 < /dev/null
		status=$?
		claimed "$diff" || { echo "call $n: not claimed"; cat /tmp/killed; return 1; }
		[ $status -eq 137 ] || break
		kills=$((kills + 1))
		$ready || $undo || { echo "call $n: cannot be undone"; return 1; }
	done
	[ $status -eq 0 ] || { echo "call $n: status $status"; cat /tmp/killed; return 1; }
}
kills=0
check "activate, killed anywhere: claim or volume, never nothing" \
	killed_anywhere "fails volume_there" "cowprotect deactivate data" \
	cowprotect activate --no-monitor data "$live" "$diff"
check "the volume is there" is "$(linears)" "HELD read-only HELD read-only data-diff writeable"
check "deactivate, killed anywhere: likewise" \
	killed_anywhere volume_there "cowprotect activate --no-monitor data $live $diff" \
	cowprotect deactivate data
check "the area is held" is "$(linears)" "HELD read-only HELD read-only HELD read-only"
echo "# killed $kills times"
check "it was killed often" test $kills -ge 20

check "an activation that fails holds on" eval '
	ends 4 "is not the live device" cowprotect activate data "$pv" "$diff" ||
	ends 5 "cannot open the live device" cowprotect activate data "$pv" "$diff"; claimed "$diff"'
check "a volume that waits takes over what holds its area" eval '
	cowprotect activate --force --chunk 4K --uuid "$(cowprotect probe "$diff" |
		sed -n s/^ID_FS_UUID=//p)" data "$live" - &&
	is "$(linears)" "HELD read-only HELD read-only HELD read-only" &&
	ends 0 "^data: active" cowprotect replace-diff data "$diff" &&
	is "$(linears)" "HELD read-only HELD read-only data-diff writeable"'
check "the snapshot is what it was" is "$(the_snapshot data)" "$before"
cowprotect deactivate data

# ---- what is not worth it ----

check "without protection and snapshots" eval '
	cowprotect activate data "$live" "$diff" && cowprotect delete data 1 &&
	cowprotect protect data off && cowprotect deactivate data'
check "it is not held" fails claimed "$diff"
check "nor is udev told to" fails grep HOLD <(cowprotect probe "$diff")
check "and wiped after a question" ends 0 "has no snapshot" cowprotect wipe --yes "$diff"

# ---- wiping and formatting on purpose ----

check "wipe names what dies" ends 5 "^ +1 .*before" cowprotect wipe --lose 7 "$part"
check "it is held as before" claimed "$part"
check "wipe of what may die" ends 0 "these snapshots die" cowprotect wipe --lose 1 "$part"
check "then nothing holds it" fails claimed "$part"
check "and there is no area" ends 4 "holds no diff area" cowprotect probe "$part"
check "format of what may die" ends 0 "^uuid" \
	cowprotect format --force --lose all --protect --live-size 16M "$lv"
check "the new one is protected, and held" is "$(linears)" "HELD read-only"
check "it is sound" ends 0 "no errors" cowprotect check "$lv"

# A damaged one: its mode and snapshots cannot be known
for block in 0 1 512; do
	dd if=/dev/urandom of="$lv" bs=4k seek=$block count=1 oflag=direct conv=notrunc status=none
done
check "a damaged area stays held" claimed "$lv"
check "its loss must be allowed" ends 5 "give --lose all" cowprotect wipe --yes "$lv"
check "then it is wiped" ends 0 "all of them die" cowprotect wipe --lose all "$lv"
check "no device is left" is "$(linears)" ""
check "the module can be removed" wait_for rmmod dm_cowprotect
