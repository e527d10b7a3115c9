# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The same I/O for every target: logs that fio replays.  Sourced, not run.
#
# A load is a word: OP-BYTES-COUNT-STRIDE-ORDER[-PASSES[-OFFSET]].  It touches
# COUNT places of STRIDE bytes each, BYTES of each at OFFSET, PASSES times, in the
# order random or sequential.  OP is read, write, or sync: a write followed by
# fdatasync.

logs=/tmp/logs
mkdir -p $logs

# make_log LOAD: by a generator with a fixed seed
make_log()
{
	local op bytes count stride order passes offset

	IFS=- read -r op bytes count stride order passes offset <<< "$1"
	awk -v op="$op" -v bytes="$bytes" -v count="$count" -v stride="$stride" -v order="$order" \
		-v passes="${passes:-1}" -v offset="${offset:-0}" '
	BEGIN {
		srand(955543)
		for (i = 0; i < count; i++)
			place[i] = i
		for (i = count - 1; order == "random" && i > 0; i--) {
			j = int(rand() * (i + 1))
			t = place[i]; place[i] = place[j]; place[j] = t
		}
		print "fio version 2 iolog\nx add\nx open"
		while (passes--)
			for (i = 0; i < count; i++) {
				printf "x %s %.0f %d\n", op == "read" ? "read" : "write",
					place[i] * stride + offset, bytes
				if (op == "sync")
					print "x datasync 0 0"
			}
		print "x close"
	}'
}

# replay LOAD DEVICE DEPTH: sets $ms
replay()
{
	[ -e "$logs/$1" ] || make_log "$1" > "$logs/$1"
	fio --name=replay --read_iolog="$logs/$1" --replay_redirect="$2" --direct=1 --thread \
		--ioengine=libaio --iodepth="$3" --clocksource=clock_gettime \
		--output=/tmp/fio.out --output-format=terse --terse-version=3 || {
		cat /tmp/fio.out >&2
		return 1
	}
	ms=$(awk -F ';' '/^3;/ { print $9 + $50 }' /tmp/fio.out)
}

# operations LOAD
operations()
{
	local op bytes count stride order passes offset

	IFS=- read -r op bytes count stride order passes offset <<< "$1"
	echo $((count * ${passes:-1}))
}
