# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the tests of tests/vm, in the guest: sourced, not run.

# check NAME COMMAND...: one line of the result
check()
{
	local name=$1
	shift
	if "$@" > /tmp/check.out 2>&1; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		sed 's/^/#	/' /tmp/check.out
	fi
}

# ends STATUS PATTERN COMMAND...: exit status and a line of what it says
ends()
{
	local want=$1 pattern=$2 status
	shift 2
	"$@" > /tmp/out 2>&1 < /dev/null
	status=$?
	cat /tmp/out
	[ $status -eq "$want" ] || { echo "exit status $status instead of $want"; return 1; }
	[ -z "$pattern" ] || grep -qE -e "$pattern" /tmp/out || { echo "no '$pattern'"; return 1; }
}

is()
{
	[ "$1" = "$2" ] || { echo "'$1' instead of '$2'"; false; }
}

fails()
{
	! "$@"
}

# Sets $live and $diff: the latter is a linear device on $under, of $sectors, with
# the table $good, so that it can be broken and mended below the volume
map_diff()
{
	live=$(disk live)
	under=$(disk diff)
	sectors=$(blockdev --getsz "$under")
	good="0 $sectors linear $under 0"
	dmsetup create diff --noudevsync --table "$good"
	diff=/dev/mapper/diff
}

# Where the segments begin, in sectors: from the root of $under
first_segment()
{
	dd if="$under" bs=4k count=1 iflag=direct status=none |
		od -An -j 88 -N 8 -tu8 | awk '{ print $1 * 8 }'
}

# live_table LIVE DIFF CHUNK [OPTION...]: a table line for all of the device
live_table()
{
	local live=$1 diff=$2 chunk=$3
	shift 3
	echo "0 $(blockdev --getsz "$live") cowprotect $live $diff $chunk $# $*"
}

# word NAME N: the Nth word of the INFO line
word()
{
	dmsetup status --noflush "$1" | cut -d ' ' -f "$((3 + $2))"
}

mode() { word "$1" 1; }
state() { word "$1" 2; }
fault() { word "$1" 3; }
held() { word "$1" 10; }

# wait_for WHAT...: up to 20 s, or WAIT_LIMIT, for a command to succeed
wait_for()
{
	local limit=${WAIT_LIMIT:-20}
	local end=$((SECONDS + limit))
	until "$@" > /tmp/wait.out 2>&1; do
		[ $SECONDS -lt $end ] || {
			cat /tmp/wait.out
			echo "not within $limit s: $*"
			return 1
		}
		sleep 0.05
	done
}

state_is()
{
	[ "$(state "$1")" = "$2" ]
}

settled()
{
	! state_is "$1" recovering
}

# live NAME LIVE DIFF CHUNK [OPTION...]: make a live volume, wait for recovery
live()
{
	local name=$1
	shift
	dmsetup create "$name" --noudevsync --table "$(live_table "$@")" &&
		wait_for settled "$name"
}

# snapshot NAME LIVE DIFF ID [SECTORS]: make the device of a snapshot
snapshot()
{
	dmsetup create "$1" --readonly --noudevsync \
		--table "0 ${5:-$(blockdev --getsz "$2")} cowprotect-snap $2 $3 $4"
}

message()
{
	local name=$1
	shift
	dmsetup message "$name" 0 "$@"
}

sum()
{
	dd if="$1" bs=1M iflag=direct status=none | sha256sum
}

# fill DEVICE SEED [SKIP-KIB [KIB]]: content that differs everywhere
fill()
{
	local kib=${4:-$(($(blockdev --getsize64 "$1") / 1024 - ${3:-0}))}
	numbers "$2" "$kib" |
		dd of="$1" bs=64k seek="$(((${3:-0}) * 1024))" oflag=seek_bytes,direct \
			iflag=fullblock conv=notrunc status=none
}

# Numbers, so that a wrong place shows; not compressible to nothing
numbers()
{
	seq "$1" 1000000000 2> /dev/null | head -c "$(($2 * 1024))"
}

# Of a volume "vol" that a fault may block

blocked_with_io()
{
	state_is vol blocked && [ "$(held vol)" -gt 0 ]
}

# write_in_background SEED SKIP-KIB KIB: a write that ends when it is let go
write_in_background()
{
	fill /dev/mapper/vol "$1" "$2" "$3" &
	# shellcheck disable=SC2034	# for the test
	writer=$!
}

# exchange DEVICE TABLE: another table for a mapped device, whatever its I/O does
exchange()
{
	dmsetup load "$1" --table "$2" &&
		timeout 20 dmsetup suspend --noflush --nolockfs "$1" &&
		timeout 20 dmsetup resume --noudevsync "$1"
}

# No udev runs here, and lvm must not wait for it
lvm_without_udev()
{
	export LVM_SUPPRESS_FD_WARNINGS=1
	mkdir -p /etc/lvm /run/lock/lvm
	cat > /etc/lvm/lvm.conf << 'END'
devices { use_devicesfile = 0 obtain_device_list_from_udev = 0 scan_lvs = 1 }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
global { event_activation = 0 }
END
}

# blank DEVICE: so that it can be formatted
blank()
{
	dd if=/dev/zero of="$1" bs=1M count=4 oflag=direct status=none &&
		dd if=/dev/zero of="$1" bs=1M seek="$(($(blockdev --getsize64 "$1") - (1 << 20)))" \
			count=1 oflag=direct,seek_bytes status=none
}
