# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Snapshots are read, made and deleted while the live volume is overwritten from
# several sides.
#
# vm: --disk live,size=32M --disk diff,size=512M --cpus 4 --mem 768M --timeout 900
# plan: 7

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
fill "$live" 1
live vol "$live" "$diff" 8 format

# Writers that stop when the file goes
: > /tmp/go
writer()
{
	local n=$1
	RANDOM=$n
	while [ -e /tmp/go ]; do
		fill /dev/mapper/vol $RANDOM $((RANDOM % 8000 * 4)) $((RANDOM % 16 * 4 + 4))
	done
}

# the writers are at work: so many chunks more are preserved
copies_since()
{
	[ "$(word vol 12)" -ge $(($1 + $2)) ]
}

# A writer that is stopped does not bury its last dd
writing()
{
	cat /proc/[0-9]*/stat 2> /dev/null | grep -q '^[0-9]* (dd) [^Z]'
}

frozen_snapshot()
{
	# no write is under way between the two: the content is known
	kill -STOP $writers
	wait_for fails writing
	id=$(message vol create_snapshot) || return
	dd if=/dev/mapper/vol of="/tmp/content.$id" bs=1M iflag=direct status=none
	kill -CONT $writers
}

copies=0
writers=
for n in 1 2 3; do
	writer $n &
	writers="$writers $!"
done

ids=
for round in 1 2 3 4 5; do
	# before the first snapshot nothing is copied
	[ "$round" = 1 ] || wait_for copies_since "$copies" 20
	copies=$(word vol 12)
	frozen_snapshot || echo "not ok - round $round: create_snapshot"
	ids="$ids $id"
	snapshot "snap$id" "$live" "$diff" "$id"
	wrong=
	for id in $ids; do
		cmp "/dev/mapper/snap$id" "/tmp/content.$id" || wrong="$wrong $id"
	done
	check "round $round: all snapshots show what they showed" is "$wrong" ""
	if [ $round = 3 ]; then
		first=${ids# }
		first=${first%% *}
		dmsetup remove "snap$first"
		message vol delete_snapshot "$first" || echo "not ok - delete_snapshot"
		ids=${ids# "$first"}
	fi
done
rm /tmp/go
wait
wrong=
for id in $ids; do
	cmp "/dev/mapper/snap$id" "/tmp/content.$id" || wrong="$wrong $id"
done
check "afterwards too" is "$wrong" ""
for id in $ids; do
	dmsetup remove "snap$id"
done
dmsetup remove vol
check "all can be removed" wait_for rmmod dm_cowprotect
