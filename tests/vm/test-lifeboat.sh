# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The volume that is blocked holds the system, the command included.  With no page of it
# left in memory the command from the disk waits for the very repair that it is to make;
# the one in the lifeboat makes it.  And a volume that nobody mends can be left.
#
# vm: --disk live,size=160M --disk diff,size=64M --mem 768M --timeout 1500
# plan: 25
# tool: cowprotect lifeboat

. /guest/lib.sh

WAIT_LIMIT=90
map_diff
system=/mnt/system
boat=$system/run/cowprotect/lifeboat

broken()
{
	exchange diff "0 $sectors error"
}

mended()
{
	exchange diff "$good"
}

# type LINE: for the shell in the boat.  Its own lines end in "typed N".
typed=0
type_it()
{
	typed=$((typed + 1))
	echo "$*; echo typed $typed with \$?" >&3
}

answered()
{
	wait_for grep -q "^typed $typed with 0" /tmp/screen && tail -n 30 /tmp/screen
}

blocked()
{
	state_is data blocked && [ "$(held data)" -gt 0 ]
}

# To chunks that need a copy
write_next()
{
	dd if=/dev/urandom of="$system/written" bs=64k count=8 conv=fsync,notrunc status=none &
	writer=$!
}

waits()
{
	kill -0 "$1"
}

mkdir -p $system
cowprotect format --live "$live" --protect /dev/mapper/diff > /dev/null
cowprotect activate --no-monitor data "$live" /dev/mapper/diff
mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 /dev/mapper/data
mount /dev/mapper/data $system
for folder in bin sbin lib lib64 usr etc; do
	[ ! -e /$folder ] || cp -a /$folder $system
done
for folder in dev proc sys run tmp; do
	mkdir -p $system/$folder
	mount --bind /$folder $system/$folder
done
dd if=/dev/urandom of=$system/written bs=64k count=8 conv=fsync status=none

sync -f $system/written
check "without a boat no shell is started" ends 1 "there is nothing loaded; run cowprotect-lifeboat load" \
	chroot $system cowprotect-lifeboat shell
check "load" chroot $system cowprotect-lifeboat load
check "it is in memory that is never swapped out" is "$(stat -f -c %T $boat)" ramfs
check "nobody else looks into it" is "$(stat -c %a $boat)" 700
check "twice is once" eval 'chroot $system cowprotect-lifeboat load && is "$(grep -c " $boat ramfs" /proc/mounts)" 1'
mkfifo /tmp/keys
chroot $system cowprotect-lifeboat shell < /tmp/keys > /tmp/screen 2>&1 &
boatman=$!
exec 3> /tmp/keys
type_it cowprotect status data
check "the shell there runs the command" answered

cowprotect snapshot --freeze-timeout 60 data > /dev/null
cowprotect open data 1 > /dev/null
before=$(sum /dev/mapper/data-snap-1)
broken
write_next
check "the volume is blocked" wait_for blocked
timeout 60 bash -c 'echo 3 > /proc/sys/vm/drop_caches'
chroot $system cowprotect status data > /tmp/from-disk 2>&1 &
reader=$!
type_it cowprotect status data
check "status from the boat says what to do" eval 'answered && grep -q "cowprotect clear data" /tmp/screen'
check "the command on the disk waits for the disk" waits $reader
check "and so does the writer" waits $writer
type_it cowprotect grow data
check "what cannot help is refused there, too" wait_for grep -q "^typed $typed with [1-9]" /tmp/screen
type_it "dmsetup load diff --table '$good' && dmsetup suspend --noflush --nolockfs diff && dmsetup resume --noudevsync diff"
check "what is below the volume is mended from the boat" answered
type_it cowprotect clear data
check "clear from the boat" answered
check "the volume is active" wait_for state_is data active
check "the writer ends well" eval 'wait_for fails waits $writer && wait $writer'
check "so does the command from the disk" eval 'wait_for fails waits $reader && wait $reader && grep -q "^data: " /tmp/from-disk'
check "the snapshot has lost nothing" is "$(sum /dev/mapper/data-snap-1)" "$before"
kill $boatman
exec 3>&-
check "drop, when nobody is in the boat" wait_for chroot $system cowprotect-lifeboat drop
check "its memory is free" fails grep " $boat " /proc/mounts

# ---- left as it is ----

cowprotect snapshot --freeze-timeout 60 data > /dev/null
broken
write_next
check "the volume is blocked again" wait_for blocked
check "blocked-io error" ends 0 "^data: blocked, protected" cowprotect blocked-io data error
check "what waited fails" eval 'wait_for fails waits $writer; ! wait $writer'
check "what is mounted from it can be unmounted" wait_for umount -R $system
mended
check "it is deactivated, and comes back with its snapshot" eval 'cowprotect deactivate data &&
	cowprotect activate --no-monitor data "$live" /dev/mapper/diff && state_is data active &&
	cowprotect open data 1 > /dev/null && is "$(sum /dev/mapper/data-snap-1)" "$before"'
check "the file system is mended by its journal" eval 'e2fsck -fp /dev/mapper/data; [ $? -le 1 ]'
