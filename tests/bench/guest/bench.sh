# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Usage: bench.sh DEVICES QUICK ONLY: measure on one kind of devices.

. /guest/lib.sh
. /guest/requests.sh
. /guest/memory.sh
. /bench/devices.sh
. /bench/targets.sh
. /bench/loads.sh
. /bench/times.sh
. /bench/counts.sh
. /bench/bytes.sh
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

[ "$kind" = engine ] || devices "$kind"

case $kind in
ram | null)
	times linear 0
	for number in 1 8 64; do
		times cowprotect $number
	done
	times snapshot 1
	times snapshot 8
	times thin 1
	;;
null-flush)
	times linear 0
	times cowprotect 1
	times snapshot 1
	times thin 1
	;;
virtio | virtio-4k | null-4k)
	counts linear 0
	counts cowprotect 1
	counts cowprotect 64
	counts snapshot 1
	counts snapshot 8
	counts thin 1
	;;
bytes*)
	bytes random "write-4096-65536-4096-random" 32
	bytes sequential "write-1048576-256-1048576-sequential" 4
	;;
engine)
	micro 3
	;;
smp)
	for target in linear cowprotect snapshot thin; do
		number=$([ $target = linear ] || echo 1)
		times $target "${number:-0}"
		scaling $target "${number:-0}"
	done
	;;
esac
