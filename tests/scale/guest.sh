# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# In the guest of tests/scale/run: a generated volume is activated, read, written,
# merged, and its memory measured; then dm-snapshot's.
#
#	guest.sh "OPTION OF scale..." RECORDS SNAPSHOTS READS PEER-EXCEPTIONS

. /guest/lib.sh
. /guest/memory.sh
. /guest/requests.sh

options=$1
records=$2
snapshots=$3
reads=$4
exceptions=$5

# What the limit of status may be (KiB)
MEMORY_LIMIT=$((48 << 10))
# Blocks of the diff area that an activation reads: a few, and the manifest's body, which
# has one for 256 segments; a segment has 4050 records, and there are some spare ones
ACTIVATION_READS=$((32 + records / 800000))
# Blocks of the diff area that a first overwrite reads: of each of the seven runs of
# the current epoch the way down, two blocks at most, and the leaves of one page of
# preserved bits, most of which are in the longest run
OVERWRITE_READS=32
# Reads of each snapshot that find out whether all is as it was
FEW=20

scale()
{
	# shellcheck disable=SC2086	# words are meant to be split
	/usr/bin/scale $options "$@"
}

at_most()
{
	[ "$1" -le "$2" ] || { echo "$1 instead of at most $2"; false; }
}

within()
{
	[ $((($2 - $3) * ($2 - $3))) -le $(($1 * $1)) ] || { echo "$2 instead of $3"; false; }
}

milliseconds()
{
	local now=$EPOCHREALTIME
	echo $((${now/./} / 1000))
}

# status_memory: sets $used and $limit, KiB
status_memory()
{
	used=$(word vol 11)
	limit=$((${used#*/} >> 10))
	used=$((${used%/*} >> 10))
}

# memory_is_counted WHAT KIB: the volume "vol" holds so much, as the status says
memory_is_counted()
{
	echo "# status: $used/$limit KiB"
	check "$1: the limit is below 48 MiB" at_most $limit $MEMORY_LIMIT
	check "$1: no more than that" at_most "$2" $limit
	check "$1: and what the status says" within "$MEMORY_NOISE" "$2" $used
}

# memory_is_bounded WHAT: the same, of what the kernel has taken since memory_begin
# for whatever was done with it
memory_is_bounded()
{
	status_memory
	memory_end "$1"
	check "$1: the status' use is within its limit" at_most $used $limit
	check "$1: nor has more been taken, but for slabs" at_most "$taken" $((limit + MEMORY_SLABS))
}

# Blocks of the diff area read since requests_begin
diff_blocks()
{
	requests_end
	echo $(($(request_bytes "$READS" "$diff") / 4096))
}

# first_overwrite SEED: what is read for it
first_overwrite()
{
	requests_begin
	scale --count 1 --jobs 1 --pick "$1" --round 1 overwrite /dev/mapper/vol > /dev/null &&
		diff_blocks
}

# with_devices TARGET "NAME..." COMMAND...: run it while there are devices on a target,
# with the names at the end of their tables
with_devices()
{
	local target=$1 names=$2 name tables='' status
	shift 2
	for name in $names; do
		tables+="dev$name,,,ro,0 $(blockdev --getsz "$live") $target $name;"
	done
	dmsetup create --noudevsync --concise "${tables%;}" || return
	"$@"
	status=$?
	# Each waits for others, so they wait together
	# shellcheck disable=SC2086	# words are meant to be split
	printf 'dev%s\n' $names | xargs -P 16 -n 4 dmsetup remove
	return $status
}

# read_snapshots "ID..." OPTION...: chunks of their devices against the calculation
read_snapshots()
{
	local ids=$1 id words=()
	shift
	for id in $ids; do
		words+=("$id" "/dev/mapper/dev$id")
	done
	with_devices "cowprotect-snap $live $diff" "$ids" scale "$@" read "${words[@]}"
}

MERGES=/sys/kernel/tracing/events/cowprotect/cowprotect_merge
merges_begin()
{
	echo hist:keys=common_pid:vals=records,dropped > $MERGES/trigger
}

# Sets $merged and $dropped
merges_end()
{
	read -r steps merged dropped < <(sed 's/[{}:,]/ /g' $MERGES/hist | awk '
		/common_pid .* hitcount/ {
			for (i = 1; i < NF; i++)
				sum[$i] += $(i + 1)
		}
		END { print sum["hitcount"] + 0, sum["records"] + 0, sum["dropped"] + 0 }')
	echo !hist:keys=common_pid:vals=records,dropped > $MERGES/trigger
	echo "# $1: $merged records were merged in $steps steps, $dropped of them dropped"
}

# Idle for longer than a merge waits for
diff_is_quiet()
{
	local before
	before=$(cat "/sys/block/${diff#/dev/}/stat")
	sleep 4
	[ "$(cat "/sys/block/${diff#/dev/}/stat")" = "$before" ]
}

merging_ends()
{
	WAIT_LIMIT=3600 wait_for diff_is_quiet
}

modprobe dm-snapshot
live=$(disk live)
diff=$(disk diff)

# So many devices leave something behind in the kernel, the first time
with_devices "linear $diff" "$(seq "$snapshots")" true
memory_begin
requests_begin
start=$(milliseconds)
check "the volume is activated" live vol "$live" "$diff" 8
echo "# activation took $(($(milliseconds) - start)) ms"
blocks=$(diff_blocks)
echo "# and read $blocks blocks of the diff area"
check "it reads at most $ACTIVATION_READS" at_most "${blocks:-none}" $ACTIVATION_READS
check "and has its snapshots" is "$(word vol 2) $(word vol 7) $(word vol 8) $(word vol 9)" \
	"active $snapshots 1 $snapshots"
status_memory
memory_end "activation"
memory_is_counted "activation" "$taken"

most=$(first_overwrite 1)
echo "# the first overwrite read $most blocks of the diff area"
for seed in 2 3 4 5 6 7 8; do
	blocks=$(first_overwrite $seed)
	echo "# another one elsewhere read $blocks"
	[ "$blocks" -le "$most" ] || most=$blocks
done
check "a first overwrite reads at most $OVERWRITE_READS" at_most "${most:-none}" $OVERWRITE_READS

start=$SECONDS
requests_begin
check "$reads reads from each of $snapshots snapshots are right" \
	read_snapshots "$(seq "$snapshots")" --count "$reads"
sed 's/^/# /' /tmp/check.out
tenths=$(($(diff_blocks) * 10 / (reads * snapshots)))
echo "# that took $((SECONDS - start)) s; $((tenths / 10)).$((tenths % 10)) blocks of the diff" \
	"area were read for each"
memory_is_bounded "after the reads"

merges_begin
check "overwrites" scale --count "$reads" --pick 9 --round 2 overwrite /dev/mapper/vol
check "a new snapshot" is "$(message vol create_snapshot)" $((snapshots + 1))
check "overwrites of the same chunks" \
	scale --count "$reads" --pick 9 --round 3 overwrite /dev/mapper/vol
check "the new snapshot has what was written before it" \
	read_snapshots $((snapshots + 1)) --count "$reads" --pick 9 --round 2
check "the one before has what was there before that, and so has the oldest" \
	read_snapshots "1 $snapshots" --count "$reads" --pick 9 --like live
merges_end "the end of an epoch"

# The oldest one's records alone are dropped in any case; those of another one where
# the next older snapshot has a record of its own
oldest=1
middle=$((snapshots / 2))
merges_begin
start=$SECONDS
before=$(word vol 5)
check "the oldest snapshot is deleted" message vol delete_snapshot $oldest
check "one in the middle is deleted" message vol delete_snapshot $middle
check "merging comes to its end" merging_ends
echo "# which took $((SECONDS - start)) s; chunks used $before, then $(word vol 5)"
merges_end "the deletions"
check "it dropped what the oldest one had" at_most $((records / snapshots)) "$dropped"
check "the other snapshots are as they were" read_snapshots \
	"$(seq "$snapshots" | grep -vwE "$oldest|$middle")" --count $FEW --pick 10
memory_is_bounded "after merging"
check "the volume is active" state_is vol active
status_memory
memory_begin
check "and is removed" dmsetup remove vol
memory_end "removal"
memory_is_counted "given back at its removal" $((-taken))

[ "$exceptions" -gt 0 ] || exit 0
memory_begin
start=$(milliseconds)
check "dm-snapshot is activated with $exceptions exceptions" dmsetup create peer --noudevsync \
	--table "0 $((exceptions * 8)) snapshot $(disk origin) $(disk cow) P 8"
check "and is valid" is "$(dmsetup status peer | cut -d ' ' -f 4 | cut -d / -f 1)" \
	$(((exceptions + exceptions / 256 + 2) * 8))
echo "# which took $(($(milliseconds) - start)) ms"
memory_end "of dm-snapshot with $exceptions exceptions"
tenths=$((taken * 1024 * 10 / exceptions))
echo "# that is $((tenths / 10)).$((tenths % 10)) bytes each, and" \
	"$((tenths * 10000000 >> 20)) MiB for 100 million"
dmsetup remove peer
