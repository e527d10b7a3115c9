# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# In the guest of tests/scale/run: a generated volume is activated, read, written,
# and its memory measured; then dm-snapshot's.
#
#	guest.sh "OPTION OF scale..." SNAPSHOTS READS PEER-EXCEPTIONS

. /guest/lib.sh
. /guest/requests.sh

options=$1
snapshots=$2
reads=$3
exceptions=$4

# What the limit of status may be, and what activation may take at most (KiB)
MEMORY_LIMIT=$((48 << 10))
# Pages that the kernel keeps for itself, here and there, between two looks
MEMORY_NOISE=1024
# Blocks of the diff area that a first overwrite reads: of each run of the current
# epoch, at most 8 + 8 of them, the way down and two leaves
OVERWRITE_READS=64

scale()
{
	# shellcheck disable=SC2086	# words are meant to be split
	/usr/bin/scale $options "$@"
}

at_most()
{
	[ "$1" -le "$2" ] || { echo "$1 instead of at most $2"; false; }
}

# meminfo FIELD: KiB, without what could be dropped
meminfo()
{
	awk -v field="$1:" '$1 == field { print $2 }' /proc/meminfo
}

declare -A before

# What booting, or a device that went, still holds comes back by and by
settled_memory()
{
	local free
	sync
	echo 3 > /proc/sys/vm/drop_caches
	# Gives the processors' own free pages back, too
	echo 1 > /proc/sys/vm/compact_memory
	free=$(meminfo MemAvailable)
	sleep 2
	at_most "$(meminfo MemAvailable)" $((free + 64))
}

memory_begin()
{
	local field
	WAIT_LIMIT=120 wait_for settled_memory
	for field in MemAvailable Slab VmallocUsed Percpu; do
		before[$field]=$(meminfo $field)
	done
}

# memory_end WHAT: what has gone since, KiB, into "taken"
memory_end()
{
	WAIT_LIMIT=120 wait_for settled_memory
	taken=$((before[MemAvailable] - $(meminfo MemAvailable)))
	echo "# memory, $1: $taken KiB; slab $(($(meminfo Slab) - before[Slab]))," \
		"vmalloc $(($(meminfo VmallocUsed) - before[VmallocUsed]))," \
		"percpu $(($(meminfo Percpu) - before[Percpu])) KiB of them"
}

milliseconds()
{
	local now=$EPOCHREALTIME
	echo $((${now/./} / 1000))
}

# first_overwrite SEED: diff blocks read for it, into "blocks"
first_overwrite()
{
	requests_begin
	scale --count 1 --jobs 1 --pick "$1" --round 1 overwrite /dev/mapper/vol > /dev/null || return
	requests_end
	blocks=$(($(request_bytes "$READS" "$diff") / 4096))
}

# read_snapshot ID [OPTION...]: chunks of its device against the calculation
read_snapshot()
{
	local id=$1 device=$1
	shift
	[ "$id" != new ] || device=$((snapshots + 1)) id=live
	snapshot snap "$live" "$diff" "$device" || return
	scale --count "$reads" "$@" read "$id" /dev/mapper/snap
	local status=$?
	dmsetup remove snap
	return $status
}

read_all()
{
	local id good=0
	requests_begin
	for id in $(seq "$snapshots"); do
		read_snapshot "$id" && good=$((good + 1))
	done
	requests_end
	is $good "$snapshots"
}

modprobe dm-snapshot
live=$(disk live)
diff=$(disk diff)

memory_begin
start=$(milliseconds)
check "the volume is activated" live vol "$live" "$diff" 8
echo "# activation took $(($(milliseconds) - start)) ms"
check "and has its snapshots" is "$(word vol 2) $(word vol 7) $(word vol 8) $(word vol 9)" \
	"active $snapshots 1 $snapshots"
memory_end "after activation"
limit=$(word vol 11)
limit=$((${limit#*/} >> 10))
echo "# status: $(word vol 11) bytes"
check "the limit of status is below 48 MiB" at_most $limit $MEMORY_LIMIT
check "activation takes no more than that" at_most "$taken" $((limit + MEMORY_NOISE))

first_overwrite 1
echo "# the first overwrite read $blocks blocks of the diff area"
check "a first overwrite reads at most $OVERWRITE_READS" at_most "${blocks:-none}" $OVERWRITE_READS
for seed in 2 3 4 5 6 7 8; do
	first_overwrite $seed
	echo "# another one elsewhere read $blocks"
done

start=$SECONDS
check "$reads reads from each of $snapshots snapshots are right" read_all
sed 's/^/# /' /tmp/check.out | sort | uniq -c | sort -rn | head -n 20
tenths=$(($(request_bytes "$READS" "$diff") * 10 / 4096 / (reads * snapshots)))
echo "# that took $((SECONDS - start)) s; $((tenths / 10)).$((tenths % 10)) blocks of the diff" \
	"area were read for each"
memory_end "after that"
check "nothing of it needed more memory" at_most "$taken" $((limit + MEMORY_NOISE))

check "overwrites" scale --count "$reads" --pick 9 --round 2 overwrite /dev/mapper/vol
check "a new snapshot" is "$(message vol create_snapshot)" $((snapshots + 1))
check "overwrites of the same chunks" \
	scale --count "$reads" --pick 9 --round 3 overwrite /dev/mapper/vol
check "the new snapshot has what was written before it" \
	read_snapshot new --pick 9 --round 2
check "the one before has what was there before that" \
	read_snapshot "$snapshots" --pick 9 --like live
check "so has the oldest" read_snapshot 1 --pick 9 --like live
check "and the volume is active" state_is vol active
check "the volume is removed" dmsetup remove vol

[ "$exceptions" -gt 0 ] || exit 0
memory_begin
start=$(milliseconds)
check "dm-snapshot is activated with $exceptions exceptions" dmsetup create peer --noudevsync \
	--table "0 $((exceptions * 8)) snapshot $(disk origin) $(disk cow) P 8"
check "and is valid" is "$(dmsetup status peer | cut -d ' ' -f 4 | cut -d / -f 1)" \
	$(((exceptions + exceptions / 256 + 2) * 8))
echo "# which took $(($(milliseconds) - start)) ms"
memory_end "of dm-snapshot with $exceptions exceptions"
echo "# that is $((taken * 1024 * 10 / exceptions)) tenths of a byte each, and" \
	"$((taken * 1024 / (exceptions >> 10) * 100000 / 1024 / 1024)) MiB for 100 million"
dmsetup remove peer
