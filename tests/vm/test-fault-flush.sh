# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The diff device takes writes but fails to make them durable: a mapped device
# sends a flush to each of its parts, and the smallest one fails it.
#
# vm: --disk live,size=8M --disk diff,size=64M,cache=on --kmod dm-flakey --timeout 900
# plan: 49

. /guest/lib.sh
. /guest/faults.sh

map_diff
last=$((sectors - 8))

break_flush()
{
	exchange diff "0 $last linear $under 0
$last 8 flakey $under $last 0 3600 1 error_writes"
}

mend_flush()
{
	exchange diff "$good"
}

break_flush
check "writes are well" dd if=/dev/zero of="$diff" bs=4k count=1 oflag=direct
check "flushes are not" fails dd if=/dev/zero of="$diff" bs=4k count=1 oflag=direct,dsync
mend_flush
protected flush cow-write-failure
normal flush cow-write-failure unmarked
stop_listening
