# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# 32 snapshots under a verifying load, in chunks of 64 KiB.
#
# vm: --disk live,size=64M,cache=on --disk diff,size=2G,cache=on --disk keep,size=1M
# tool: cowprotect
# vm: --prog fio --timeout 1200
# plan: 12

. /guest/lib.sh
. /guest/load.sh

chunk=128
load_size=48M
load_blocks=16
load_pause=80000
load_test
