# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# What memory the kernel has taken, in the guest: sourced, not run.
#
# MemAvailable and MemFree will not do: pages that a processor keeps for its own next
# allocations are in neither, 13 MiB of them after booting a machine of 256 MiB, and it gives
# them back over a quarter of a minute.  Slab and vmalloc together will not do
# either, as nobody counts pages that come from the page allocator directly.  So
# this is what is left of the memory, when all is taken off that is free, the page
# cache, reclaimable, or the processes'.

# What two looks at the same differ by (KiB)
MEMORY_NOISE=1024
# What devices and threads that have come and gone leave behind: slabs with few
# objects in them
MEMORY_SLABS=2048

# kernel_memory: KiB
kernel_memory()
{
	# Figures that the processors have not added to the sum yet
	cat /proc/sys/vm/stat_refresh > /dev/null 2>&1
	awk '/^MemTotal:/ { left += $2 }
	     /^(MemFree|Buffers|Cached|SReclaimable|AnonPages|PageTables):/ { left -= $2 }
	     $1 == "count:" { left -= $2 * 4 }
	     END { print left }' /proc/zoneinfo /proc/meminfo
}

# The least of some looks: what is about to be freed counts too
settled_memory()
{
	local now least
	least=$(kernel_memory)
	for _ in 1 2 3 4 5 6 7 8; do
		sleep 0.2
		now=$(kernel_memory)
		[ "$now" -ge "$least" ] || least=$now
	done
	echo "$least"
}

# Lines: slab, KiB
slabs()
{
	awk 'FNR > 2 { print $1, $15 * $6 * 4 }' /proc/slabinfo | sort
}

memory_begin()
{
	memory_before=$(settled_memory)
	slabs > /tmp/slabs
}

# memory_end WHAT: what has gone since, KiB, into "taken"
memory_end()
{
	taken=$(($(settled_memory) - memory_before))
	echo "# memory, $1: $taken KiB; slabs: $(slabs | join /tmp/slabs - |
		awk '$3 != $2 { print $3 - $2, $1 }' | sort -rn | head -n 8 | tr '\n' ' ')"
}
