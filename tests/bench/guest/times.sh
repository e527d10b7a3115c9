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

# What an operation costs differs by orders of magnitude.  The peers copy more, and
# the stores of dm-snapshot are small; dm-linear must run long enough for a
# clock of milliseconds.
choose_sizes()
{
	local many=1024 again=4

	[ "$target" = linear ] || [ "$target" = cowprotect ] && many=4096
	[ "$kind" = ram ] && again=16
	[ -z "$quick" ] || many=$((many / 4))
	one=$many
	[ "$kind" = ram ] || one=$((many > 512 ? 512 : many))
	deep=$many
	passes_one=1
	passes_deep=$again
	[ "$kind" = ram ] && passes_one=$again
	first_passes_one=1
	first_passes_deep=1
	sequential=$((many / 4))
	sequential_passes=1
	if [ "$target" = linear ]; then
		first_passes_one=$passes_one
		first_passes_deep=$passes_deep
		sequential_passes=8
	fi
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

# small DEPTH OPERATIONS PASSES PASSES-OF-THE-FIRST
small()
{
	fresh
	timed first "write-4096-$2-$K64-random-$4" /dev/mapper/vol "$1"
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

	"$@" || return
	echo $((${EPOCHREALTIME/./} - from))
}

free_kib()
{
	sync
	echo 3 > /proc/sys/vm/drop_caches
	awk '/^MemFree/ { print $2 }' /proc/meminfo
}

# What is taken from the system with so many chunks preserved, and how long it
# takes until they are found again
memory_and_activation()
{
	local before

	[ "$target" != linear ] || return
	before=$(free_kib)
	fresh
	replay "write-4096-$deep-$K64-random" /dev/mapper/vol 32
	echo "value $kind $target $snapshots memory-$deep-chunks $((before - $(free_kib))) KiB"
	[ "$target" != cowprotect ] ||
		echo "value $kind $target $snapshots memory-stated $(($(word vol 11 | cut -d / -f 1) >> 10)) KiB"
	gone
	echo "value $kind $target $snapshots activation-$deep-chunks $(us "${target}_again" "$snapshots") us"
	gone
}

# A snapshot every 20 ms under random overwrites, 32 in flight
creation_under_load()
{
	local n writer many=100

	[ "$target" = cowprotect ] || return
	[ -z "$quick" ] || many=20
	fresh
	fio --name=load --filename=/dev/mapper/vol --rw=randwrite --bs=4k --direct=1 --thread \
		--ioengine=libaio --iodepth=32 --randseed=1 --time_based --runtime=1000 \
		> /dev/null 2>&1 &
	writer=$!
	wait_for eval '[ "$(word vol 12)" -gt 100 ]'
	for n in $(seq $many); do
		echo "value $kind $target $snapshots create-under-load $(us message vol create_snapshot \
			2>&1 | tail -n 1) us"
		sleep 0.02
	done
	kill $writer
	wait $writer
	gone
}

# times TARGET SNAPSHOTS
times()
{
	target=$1
	snapshots=$2
	choose_sizes
	for repetition in $(seq 0 $repetitions); do
		wanted "$kind $target $snapshots small-1" && small 1 $one $passes_one $first_passes_one
		wanted "$kind $target $snapshots small-32" && small 32 $deep $passes_deep $first_passes_deep
		wanted "$kind $target $snapshots large" && large
		wanted "$kind $target $snapshots sync" && synced
	done
	wanted "$kind $target $snapshots memory" && memory_and_activation
	[ "$kind" = null ] && wanted "$kind $target $snapshots create" && creation_under_load
}
