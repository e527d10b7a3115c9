# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034,SC2154
#
# Many snapshots under a load that verifies itself: sourced, not run.
#
# The load writes to "top", a linear device on the live volume.  Suspending that
# one freezes the volume's content while all messages are still served, and the
# load goes on behind it; so what a snapshot must show can be summed at its
# creation.  A few snapshots more are made without, with writes under way; what
# they must show is what they showed at first.
#
# Set by the test: chunk (sectors), load_size (of a run), load_blocks (in flight, and
# written before a pause), load_pause (us).

FROZEN=32
IN_FLIGHT_EVERY=8
# Another run of the load may be reading what it wrote first
WAIT_LIMIT=120

# md5 DEVICE: of what is on the disk, in large reads
md5()
{
	local sum

	blockdev --setra 2048 "$1"
	echo 1 > /proc/sys/vm/drop_caches
	sum=$(md5sum < "$1") && echo "${sum%% *}"
}

preserved() { word vol 12; }

# ---- the load ----

# load_run SEED: blocks of many sizes at any sector, none twice in a run; each
# holds its own checksum, and at the end of a run all are read again.  A limited
# rate would do no good here: after a freeze fio makes up for the time.
load_run()
{
	fio --name=load --filename=/dev/mapper/top --rw=randwrite --direct=1 --ioengine=libaio \
		--iodepth="$load_blocks" --bssplit=512/20:3k/15:4k/15:17k/15:96k/15:256k/20 --size=64M \
		--io_size="$load_size" --thinktime="$load_pause" --thinktime_blocks="$load_blocks" \
		--randseed="$1" --verify=crc32c --verify_fatal=1 --thread --output=/tmp/load.out
}

# Runs of some seconds until load_stop
load_start()
{
	local run=0

	: > /tmp/load.go
	while [ -e /tmp/load.go ]; do
		run=$((run + 1))
		load_run $((BOOT * 1000 + run)) && echo "run $run"
	done > /tmp/load.runs 2>&1 &
	load=$!
}

load_stop()
{
	rm /tmp/load.go
	wait "$load"
}

# load_good RUNS: all were, and there were so many at least
load_good()
{
	tail -n 20 /tmp/load.runs
	[ "$(grep -c '^run' /tmp/load.runs)" -ge "$1" ] && ! grep -qv '^run' /tmp/load.runs
}

# ---- what the snapshots must show ----

remember() { echo "$1 $2" >> /tmp/sums; }

keep_sums()
{
	dd if=/tmp/sums of="$(disk keep)" bs=64k conv=sync oflag=direct,dsync status=none
}

bring_sums()
{
	dd if="$(disk keep)" bs=64k count=1 iflag=direct status=none | tr -d '\0' > /tmp/sums
}

show_wrong()
{
	local id sum

	while read -r id sum; do
		if snapshot snap "$(disk live)" "$(disk diff)" "$id"; then
			is "$(md5 /dev/mapper/snap)" "$sum" || echo "snapshot $id"
			dmsetup remove snap
		else
			echo "no snapshot $id"
		fi
	done < /tmp/sums
}

# all_show COUNT: so many there are, and each shows what it must
all_show()
{
	show_wrong > /tmp/wrong
	cat /tmp/wrong
	is "$(wc -l < /tmp/sums)" "$1" && [ ! -s /tmp/wrong ]
}

# ---- rounds ----

# overwritten CHUNKS: so many were since the last snapshot.  Asked often enough:
# the load could use the time.
overwritten()
{
	[ $(($(preserved) - base)) -ge "$1" ] || { sleep 0.15; false; }
}

frozen_snapshot()
{
	local id

	dmsetup suspend --nolockfs top || return
	echo $(($(preserved) - base)) >> /tmp/overwritten
	id=$(message vol create_snapshot "frozen$1") && remember "$id" "$(md5 /dev/mapper/vol)"
	base=$(preserved)
	dmsetup resume --noudevsync top
}

snapshot_in_flight()
{
	local id

	id=$(message vol create_snapshot "flying$1") || return
	base=$(preserved)
	snapshot snap "$(disk live)" "$(disk diff)" "$id" || return
	remember "$id" "$(md5 /dev/mapper/snap)"
	dmsetup remove snap
}

# rounds CHUNKS: of the volume.  The next snapshot comes when somewhat more than
# a quarter of them are overwritten; what is until it is there stays below a half.
rounds()
{
	local n

	base=0
	frozen_snapshot 1 || return
	for n in $(seq 2 $FROZEN); do
		wait_for overwritten $(($1 * 28 / 100)) || return
		frozen_snapshot "$n" || return
		[ $((n % IN_FLIGHT_EVERY)) -ne 0 ] || snapshot_in_flight "$n" || return
	done
}

# share_good CHUNKS: of the volume; a quarter to a half of them each time
share_good()
{
	tail -n +2 /tmp/overwritten | awk -v chunks="$1" -v rounds=$((FROZEN - 1)) '
		{ share = $1 / chunks; sum += share }
		NR == 1 || share < least { least = share }
		NR == 1 || share > most { most = share }
		END {
			printf "%d rounds, %.2f to %.2f of the chunks, on average %.2f\n",
				NR, least, most, sum / rounds
			exit !(NR == rounds && least >= .25 && most <= .5)
		}'
}

# reload OPTION...: of the suspend
reload()
{
	dmsetup reload vol --table "$(live_table "$(disk live)" "$(disk diff)" "$chunk")" &&
		dmsetup suspend "$@" vol && dmsetup resume --noudevsync vol
}

# The whole test, for chunks of $chunk sectors
load_test()
{
	local chunks=$((131072 / chunk)) all=$((FROZEN + FROZEN / IN_FLIGHT_EVERY))

	if [ "$BOOT" = 1 ]; then
		fill "$(disk live)" 1
		live vol "$(disk live)" "$(disk diff)" "$chunk" format
		dmsetup create top --noudevsync --table "0 131072 linear /dev/mapper/vol 0"
		load_start
		check "$FROZEN snapshots under load" rounds $chunks
		echo "# after $SECONDS s"
		check "a quarter to a half of the chunks is overwritten in between" share_good $chunks
		sed 's/^/# /' /tmp/check.out
		echo "# $(dmsetup status --noflush vol)"
		check "each shows what it must" all_show $all
		check "a reload" reload --nolockfs
		check "a noflush reload" reload --noflush --nolockfs
		check "suspend and resume" eval 'dmsetup suspend vol && dmsetup resume --noudevsync vol'
		load_stop
		check "the load finds all that it wrote" load_good 3
		echo "# after $SECONDS s"
		# One more, so that the power fails while chunks are preserved
		frozen_snapshot last
		keep_sums
		load_start
		check "the load goes on" wait_for overwritten $((chunks / 8))
		host powercut
	fi
	bring_sums
	check "after the power cut: the diff area is in order" cowprotect check "$(disk diff)"
	live vol "$(disk live)" "$(disk diff)" "$chunk"
	check "the volume comes back" state_is vol active
	check "each shows what it must" all_show $((all + 1))
	echo "# after $SECONDS s"
	dmsetup remove vol
	check "closed, the diff area is in order" cowprotect check "$(disk diff)"
}
