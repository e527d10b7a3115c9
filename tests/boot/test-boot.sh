# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Debian with our packages boots, reboots and has nothing that failed.
#
# plan: 8

. /run/vm/guest/lib.sh

check "boot $BOOT comes to its end" wait_for booted
check "no unit has failed" no_failed_units
if [ "$BOOT" -eq 1 ]; then
	check "the command is there" grep -q '^cowprotect 1\.0, ' <(cowprotect --version)
	check "so is the module" modprobe dm-cowprotect
	check "it is what dkms has built" grep -q '/updates/dkms/dm-cowprotect.ko' \
		<(modinfo -n dm-cowprotect)
	ends_by reboot
fi
check "the machine rebooted by itself" grep -q '^reboot ' <(host ended)
