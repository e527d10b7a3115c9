# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Usage: bench.sh DEVICES QUICK ONLY: measure on one kind of devices.

. /guest/lib.sh
. /guest/requests.sh
. /bench/devices.sh
. /bench/targets.sh
. /bench/loads.sh
. /bench/times.sh
. /bench/counts.sh
. /bench/scaling.sh

kind=$1
quick=$2
only=$3
repetitions=2
[ -z "$quick" ] || repetitions=1

wanted()
{
	[[ $1 =~ $only ]]
}

# The checksum as the module's soft dependency has it
modprobe crc32c-intel
[ "$kind" = engine ] || devices "$kind"

case $kind in
ram | null | null-flush)
	times linear 0
	for number in 1 8 64; do
		times cowprotect $number
	done
	for number in 1 8; do
		times snapshot $number
	done
	times thin 1
	[ "$kind" = ram ] && times thin 8
	;;
virtio | virtio-4k | null-4k)
	counts linear 0
	counts cowprotect 1
	counts cowprotect 64
	counts snapshot 1
	counts snapshot 8
	counts thin 1
	;;
engine)
	micro 3
	;;
smp)
	scaling linear 0
	scaling cowprotect 1
	scaling snapshot 1
	scaling thin 1
	;;
esac
