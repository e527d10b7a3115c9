# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The power fails under load: each snapshot shows afterwards what it showed.
#
# vm: --disk live,size=32M,cache=on --disk diff,size=512M,cache=on --disk keep,size=256M --timeout 900
# plan: 12

. /guest/lib.sh

live=$(disk live)
diff=$(disk diff)
keep=$(disk keep)
rounds=4

# What a snapshot must show is kept on a disk of its own, 32 MiB a snapshot
keep_content()
{
	dd if=/dev/mapper/vol of="$keep" bs=1M seek=$(($1 * 32)) oflag=direct,dsync iflag=direct \
		status=none
}

shows()
{
	cmp -n $((32 << 20)) "/dev/mapper/snap$1" <(dd if="$keep" bs=1M skip=$(($2 * 32)) count=32 \
		status=none)
}

if [ "$BOOT" = 1 ]; then
	fill "$live" 1
	live vol "$live" "$diff" 8 format
else
	check "boot $BOOT: the volume comes back" eval '
		live vol "$live" "$diff" 8 && state_is vol active'
	n=0
	wrong=
	for id in $(message vol list | cut -d ' ' -f 1); do
		snapshot "snap$id" "$live" "$diff" "$id" || wrong="$wrong $id"
		shows "$id" $n || wrong="$wrong $id"
		n=$((n + 1))
	done
	check "boot $BOOT: $n snapshots show what they showed" eval '
		is "$wrong" "" && is $n $((BOOT - 1))'
fi
if [ "$BOOT" -gt $rounds ]; then
	exit 0
fi

message vol create_snapshot "round$BOOT" > /dev/null
keep_content $((BOOT - 1))
for n in 1 2 3; do
	(
		RANDOM=$((BOOT * 10 + n))
		while :; do
			fill /dev/mapper/vol $RANDOM $((RANDOM % 8000 * 4)) $((RANDOM % 16 * 4 + 4))
		done
	) &
done

# The power fails while old content is being copied, not before and not after
copied()
{
	dmsetup status vol
	[ "$(word vol 12)" -ge "$1" ] && is "$(jobs -rp | wc -l)" 3
}
check "boot $BOOT: three writers have chunks copied" wait_for copied $((BOOT * 25))
host powercut
