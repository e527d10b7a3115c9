# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# Times, in a machine that counts instructions: sourced, not run.  Prints lines
#
#	time DEVICES TARGET SNAPSHOTS LOAD DEPTH REPETITION OPERATIONS MS
#	value DEVICES TARGET SNAPSHOTS WHAT VALUE UNIT

# timed NAME LOAD DEVICE DEPTH: one line of the result
timed()
{
	replay "$2" "$3" "$4" || exit 1
	echo "time $kind $target $snapshots $1 $4 $repetition $(operations "$2") $ms"
}

# What an operation costs differs by orders of magnitude, and the clock is one of
# milliseconds: dm-linear must go over the same places many times.  dm-thin has room
# for so many copies only, and dm-snapshot copies once for each snapshot.
choose_sizes()
{
	local many=4096 again=4

	case $target:$snapshots in
	thin:* | snapshot:8) many=1024 ;;
	esac
	[ -z "$quick" ] || many=1024
	one=$many
	deep=$many
	passes_deep=$again
	[ $many -eq 4096 ] || passes_deep=$((4 * again))
	passes_one=$passes_deep
	case $kind:$target in
	ram:linear | ram:cowprotect)
		# Their differences are of 1 %
		[ $many -ne 4096 ] || passes_one=$((4 * again))
		;;
	null*)
		# Long enough already
		one=512
		passes_one=1
		;;
	esac
	sequential=$((many / 4))
	sequential_passes=1
	[ "$target" != linear ] || sequential_passes=8
}

fresh()
{
	"${target}_up" "$snapshots" || {
		echo "$target with $snapshots snapshots cannot be set up" >&2
		exit 1
	}
}

gone()
{
	"${target}_down" "$snapshots"
}

K64=65536
MIB=1048576

# Chunks that were copied just now, chunks in a run of the index, and chunks that
# were never overwritten
snapshot_reads()
{
	local n=$1 depth=$2 passes=$3

	[ "$target" != linear ] || return
	timed snapshot-read-new "read-4096-$n-$K64-random-$passes" /dev/mapper/snap "$depth"
	timed snapshot-read-absent "read-4096-$n-$K64-random-$passes-32768" /dev/mapper/snap "$depth"
	[ "$target" = cowprotect ] || return
	message vol checkpoint
	replay "read-4096-$n-$K64-random" /dev/mapper/snap "$depth"
	timed snapshot-read-run "read-4096-$n-$K64-random-$passes" /dev/mapper/snap "$depth"
}

# small DEPTH OPERATIONS PASSES
small()
{
	local first=1

	[ "$target" != linear ] || first=$3
	fresh
	timed first "write-4096-$2-$K64-random-$first" /dev/mapper/vol "$1"
	if [ "$snapshots" -le 1 ]; then
		timed again "write-4096-$2-$K64-random-$3" /dev/mapper/vol "$1"
		timed live-read "read-4096-$2-$K64-random-$3" /dev/mapper/vol "$1"
		snapshot_reads "$2" "$1" "$3"
	fi
	gone
}

large()
{
	fresh
	timed first-64k "write-$K64-$sequential-$K64-sequential-$sequential_passes" /dev/mapper/vol 4
	if [ "$snapshots" -le 1 ]; then
		timed live-read-64k "read-$K64-$sequential-$K64-sequential-4" /dev/mapper/vol 4
		[ "$target" = linear ] ||
			timed snapshot-read-64k "read-$K64-$sequential-$K64-sequential-4" /dev/mapper/snap 4
	fi
	gone
	fresh
	timed first-1m "write-$MIB-$((sequential / 16))-$MIB-sequential-$sequential_passes" \
		/dev/mapper/vol 4
	gone
}

synced()
{
	fresh
	timed first-sync "sync-4096-$((one / 2))-$K64-random" /dev/mapper/vol 1
	gone
}

# us COMMAND...: how long it takes, in microseconds
us()
{
	local from=${EPOCHREALTIME/./}

	"$@" > /dev/null || return
	echo $((${EPOCHREALTIME/./} - from))
}

# value WHAT VALUE UNIT: one line of the result
value()
{
	echo "value $kind $target $snapshots $*"
}

# What memory has gone with so many chunks preserved
memory_taken()
{
	[ "$target" != linear ] || return
	# What comes with the first device stays
	fresh
	gone
	memory_begin
	fresh
	replay "write-4096-$deep-$K64-random" /dev/mapper/vol 32 || exit 1
	memory_end "$target with $snapshots snapshots"
	value "memory-$deep-chunks" "$taken" KiB
	[ "$target" != cowprotect ] ||
		value memory-stated $(($(word vol 11 | cut -d / -f 1) >> 10)) KiB
	gone
}

# How long it takes until so many chunks are found again
activation()
{
	[ "$target" != linear ] || return
	fresh
	replay "write-4096-$deep-$K64-random" /dev/mapper/vol 32 || exit 1
	gone
	value "activation-$deep-chunks" "$(us "${target}_again" "$snapshots")" us
	gone
}

is_written_to()
{
	local minor
	minor=$(dmsetup info -c --noheadings -o minor vol)
	[ "$(awk '{ print $5 }' "/sys/block/dm-$minor/stat")" -gt 100 ]
}

# A snapshot every 20 ms under random overwrites, 32 in flight: as the command has it
creation_under_load()
{
	local n writer many=100

	case $target in
	linear) return ;;
	# As many stores are there, and room in the pool
	snapshot) many=$((8 - snapshots)) ;;
	thin) many=5 ;;
	esac
	[ -z "$quick" ] || many=$((many > 20 ? 20 : many))
	[ $many -gt 0 ] || return
	fresh
	fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bs=4k --direct=1 --thread \
		--ioengine=libaio --iodepth=32 --randseed=1 --time_based --runtime=1000 \
		> /dev/null 2>&1 &
	writer=$!
	wait_for is_written_to || exit 1
	for n in $(seq $many); do
		value create-under-load "$(us "${target}_create" $((snapshots + n)))" us
		sleep 0.02
	done
	kill $writer
	wait $writer
	"${target}_uncreate" $many
	gone
}

# part NAME COMMAND...: if it is wanted
part()
{
	local name=$1
	shift
	if wanted "$kind $target $snapshots $name"; then
		"$@"
	fi
}

# times TARGET SNAPSHOTS
times()
{
	target=$1
	snapshots=$2
	choose_sizes
	for repetition in $(seq 0 "$repetitions"); do
		part small-1 small 1 $one $passes_one
		part small-32 small 32 $deep $passes_deep
		part large large
		[ "$kind" = smp ] || part sync synced
	done
	case $kind in
	ram)
		part memory memory_taken
		;;
	null)
		part activation activation
		part create creation_under_load
		;;
	esac
}
