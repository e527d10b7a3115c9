# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2154
#
# What is written to the diff area, and what room it takes, when there are so many
# chunks that the index is merged: sourced, not run.  Prints lines
#
#	bytes DEVICES LOAD DEPTH CHUNKS DATA WRITTEN SPACE STEPS MERGED
#
# DATA of the chunks preserved, WRITTEN and SPACE in bytes; the merges' steps, and
# the records that they went through.

MERGES=/sys/kernel/tracing/events/cowprotect/cowprotect_merge
MERGES_TRIGGER=hist:keys=common_pid:vals=records
# What comes of it in 4 KiB chunks is eight runs of the index, and some more
epochs=10

# Sets $steps and $merged
merges_end()
{
	read -r steps merged < <(sed 's/[{}:,]/ /g' $MERGES/hist | awk '
		/common_pid .* hitcount/ {
			for (i = 1; i < NF; i++)
				sum[$i] += $(i + 1)
		}
		END { print sum["hitcount"] + 0, sum["records"] + 0 }')
	echo "!$MERGES_TRIGGER" > $MERGES/trigger
}

# Idle for longer than a merge waits for
diff_is_quiet()
{
	local before
	before=$(cat "/sys/block/${diff#/dev/}/stat")
	sleep 3
	[ "$(cat "/sys/block/${diff#/dev/}/stat")" = "$before" ]
}

# All that is not free in the area that was closed
space()
{
	cowprotect dump "$diff" | awk '
		$1 == "segment_blocks:" { size = $2 }
		$1 == "first_segment:" { first = $2 }
		/^  segment .* kind "(log|run|moved)"/ { used++ }
		END { printf "%.0f\n", (first + used * size) * 4096 }'
}

# bytes NAME LOAD DEPTH: all chunks of the volume in each epoch
bytes()
{
	local name=$1 load=$2 depth=$3 chunks merged steps

	wanted "$kind cowprotect $name" || return 0
	cowprotect_up 1 || exit 1
	requests_begin
	echo "$MERGES_TRIGGER" > $MERGES/trigger
	for n in $(seq $epochs); do
		[ "$n" -eq 1 ] || message vol create_snapshot > /dev/null || exit 1
		replay "$load" /dev/mapper/vol "$depth" || exit 1
	done
	WAIT_LIMIT=600 wait_for diff_is_quiet || exit 1
	chunks=$(word vol 12)
	cowprotect_down
	requests_end
	merges_end
	[ "$merged" -gt 0 ] || {
		echo "with $chunks chunks nothing was merged: there must be more" >&2
		exit 1
	}
	echo "bytes $kind $name $depth $chunks $((chunks * 4096))" \
		"$(request_bytes "$WRITES" "$diff") $(space) $steps $merged"
}
