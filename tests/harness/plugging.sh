# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Disks go, come back under another node, and change their size.

check()
{
	local name=$1
	shift
	if "$@" > /dev/null; then echo "ok - $name"; else echo "not ok - $name"; fi
}

check "a disk is absent at boot when told so" eval '! disk c 2>&1'
check "it can be plugged in" host plug c
check "and is there" disk c

old=$(disk a)
echo content > "$old"
sync
host unplug a
check "a disk that was unplugged is gone" eval '! disk a 2>&1'
check "its node too" [ ! -b "$old" ]

# Whoever holds the node keeps the number: the disk comes back under another
host plug a > /dev/null
exec 3< "$(disk b)"
held=$(disk b)
host unplug b
host plug b > /dev/null
check "a disk whose node is held comes back under another" [ "$(disk b)" != "$held" ]
check "content survives being unplugged" eval '[ "$(head -n 1 "$(disk a)")" = content ]'

host resize a 96M
check "a disk grows" [ "$(blockdev --getsize64 "$(disk a)")" = 100663296 ]
host resize s 128M
check "a SCSI disk grows" [ "$(blockdev --getsize64 "$(disk s)")" = 134217728 ]
host unplug s
check "a SCSI disk is unplugged" eval '! disk s 2>&1'
check "a SCSI disk is plugged in" host plug s

check "unplugging nothing is an error" eval '! host unplug nothing 2>&1'
check "plugging in twice is an error" eval '! host plug a 2>&1'
echo "from the guest" > /tmp/file
host put /tmp/file result
check "the guest gets a file back" eval '[ "$(host get result)" = "from the guest" ]'

# A disk under load that is taken away gives errors, not a stuck machine
dd if=/dev/zero of="$(disk c)" bs=4k oflag=direct 2> /dev/null &
writer=$!
host unplug c
wait $writer
check "writes to a disk that is unplugged fail" [ $? -ne 0 ]
