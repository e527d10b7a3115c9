# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# For the tests of tests/boot, in the guest: sourced, not run.

. /run/vm/vm/lib.sh

# An emulated machine on a busy host
WAIT_LIMIT=${WAIT_LIMIT:-120}

# booted: systemd has carried out all that the boot is to do, well or not
booted()
{
	case $(systemctl is-system-running) in
	running | degraded) ;;
	*) systemctl list-jobs; false ;;
	esac
}

no_failed_units()
{
	is "$(systemctl --failed --plain --no-legend --full)" "" || {
		systemctl --failed --plain --no-legend | cut -d ' ' -f 1 | xargs -r systemctl status --no-pager
		false
	}
}

# ends_by reboot|poweroff [SECONDS]: the machine does; the test goes on in the next boot
ends_by()
{
	host expect "$1" "${2:-300}"
	systemctl --no-block "$1"
	sleep infinity
}
