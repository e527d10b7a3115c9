# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The diff disk is pulled out and comes back, under whatever node: behind a
# mapped device that is exchanged, and as the volume's own device, for which its
# table is reloaded.
#
# vm: --disk live,size=8M --disk diff,size=64M --timeout 900
# plan: 95

. /guest/lib.sh
. /guest/faults.sh

live=$(disk live)

plug()
{
	under=$(host plug diff)
}

linear()
{
	echo "0 $(blockdev --getsz "$under") linear $under 0"
}

break_unplugged()
{
	host unplug diff
}

mend_unplugged()
{
	plug
	exchange diff "$(linear)"
}

break_pulled()
{
	host unplug diff
}

mend_pulled()
{
	plug
	diff=$under
	! dmsetup info vol > /dev/null 2>&1 || exchange vol "$(live_table "$live" "$diff" 8 diff_wait_secs 2)"
}

under=$(disk diff)
dmsetup create diff --noudevsync --table "$(linear)"
diff=/dev/mapper/diff
protected unplugged cow-write-failure
normal unplugged cow-write-failure unmarked
dmsetup remove diff

diff=$under
protected pulled diff-area-removed
normal pulled diff-area-removed unmarked
stop_listening
check "the module can be removed" wait_for rmmod dm_cowprotect
