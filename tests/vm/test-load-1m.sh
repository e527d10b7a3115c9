# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# 32 snapshots under a verifying load, in chunks of 1 MiB.
#
# vm: --disk live,size=64M,cache=on --disk diff,size=2G,cache=on --disk keep,size=1M
# tool: cowprotect
# vm: --prog fio --timeout 1200
# plan: 12

. /guest/lib.sh
. /guest/load.sh

chunk=2048
load_size=8M
load_blocks=4
load_pause=400000
load_test
