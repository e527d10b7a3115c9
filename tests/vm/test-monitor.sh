# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# dmeventd with our plugin, which nobody helps once the volume is active: it enlarges
# a diff area that runs low and one that is full, tells a fault, runs the hook, and
# goes on by itself when the cause is gone; also when it was restarted meanwhile, and
# when the journal waits for the volume.
#
# vm: --disk live,size=64M --disk diff,size=160M --timeout 900
# plan: 36
# tool: cowprotect dmeventd

. /guest/lib.sh
. /guest/monitor.sh

live=$(disk live)
diff=$(disk diff)

# Something that can be enlarged, as a logical volume: of a number of MiB
space()
{
	echo "0 $(($1 * 2048)) linear $diff 0"
}

cat > /tmp/extend << 'END'
#!/bin/bash
[ ! -e /tmp/no-space ] || exit 3
size=$(($(blockdev --getsz "$COWPROTECT_DIFF") + 32 * 2048))
name=${COWPROTECT_DIFF##*/}
table=$(dmsetup table "$name" | awk -v size=$size '{ $2 = size; print }')
dmsetup load "$name" --table "$table" && dmsetup suspend --noflush --nolockfs "$name" &&
	dmsetup resume --noudevsync "$name"
END
cat > /tmp/hook << 'END'
#!/bin/bash
env | grep ^COWPROTECT_ | sort | xargs >> /tmp/hooked
[ ! -e /tmp/fail ] || exit 7
# What cannot be killed before the volume goes on
[ ! -e /tmp/hang ] || exec dd if=/dev/zero of=/dev/mapper/data bs=4k count=1 seek=16000 oflag=direct
END
chmod +x /tmp/extend /tmp/hook
mkdir -p /etc/cowprotect
cat > /etc/cowprotect/cowprotect.conf << 'END'
extend_command = /tmp/extend
command_secs = 20
retry_first_secs = 1
retry_most_secs = 4
[volume data]
fault_command = /tmp/hook
END

check "the journal's socket is there" journal 10
dmsetup create space --noudevsync --table "$(space 32)"
cowprotect format --live "$live" --protect /dev/mapper/space > /dev/null
check "activate" cowprotect activate --options low_water=2500 data "$live" /dev/mapper/space
daemon=$(pidof dmeventd)
check "dmeventd has the plugin" wait_for \
	grep -q libdevmapper-event-cowprotect "/proc/$daemon/maps"
check "what it needs stays in memory" grep -qE '^VmLck:\s+[1-9][0-9]{3,} kB' "/proc/$daemon/status"
cowprotect snapshot data > /dev/null
before=$(sum "$live")

# ---- room ----

had=$(total)
write_in_background 24
check "the writer ends well" ends_well
check "low room is told" wait_for told $LOW "^MESSAGE=data: room in its diff area runs low"
check "the diff area is extended" wait_for \
	told $EXTENDED "^MESSAGE=data: its diff area has grown from $had to"
check "it has more room" [ "$(total)" -gt "$had" ]
check "no fault has been told" eval '! told $FAULT . > /dev/null && [ ! -e /tmp/hooked ]'

: > /tmp/journal
touch /tmp/no-space
write_in_background 40
check "without space the volume is blocked" wait_for state_is data blocked
check "because it is full" is "$(fault data)" diff-area-full
check "that is told, with the remedy" wait_for \
	told $FAULT "^MESSAGE=data: the diff area is full .*cowprotect grow data"
check "so is that it could not be extended" wait_for \
	told $FAILED "^MESSAGE=data: extend_command ended with status 3"
check "the hook is run" wait_for grep -qx \
	"COWPROTECT_DIFF=/dev/mapper/space COWPROTECT_FAULT=diff-area-full COWPROTECT_STATE=blocked COWPROTECT_VOLUME=data" \
	/tmp/hooked
rm /tmp/no-space
check "with space it goes on by itself" wait_for state_is data active
check "the writer ends well after that" ends_well
check "that is told" wait_for told $WELL "^MESSAGE=data: "

# ---- a fault ----

at=0
: > /tmp/journal
: > /tmp/hooked
dmesg --clear
cowprotect snapshot data > /dev/null
touch /tmp/hang
good=$(dmsetup table space)
set -- $good
exchange space "0 $2 error"
write_in_background 1
check "without its device the volume is blocked" wait_for state_is data blocked
word=$(fault data)
check "the fault is told" wait_for told $FAULT "^COWPROTECT_FAULT=$word$"
check "with the command that mends it" told $FAULT "^MESSAGE=.*cowprotect clear data"
check "the hook is run for it" wait_for grep -q "COWPROTECT_FAULT=$word " /tmp/hooked
check "it waits for the volume, and is left behind" wait_for \
	told $FAILED "^MESSAGE=data: fault_command was killed.*has not ended yet"
check "clear is tried in vain" wait_for eval 'dmesg | grep -q "cowprotect: data: clear refused"'
check "nothing is released" eval 'kill -0 $writer && state_is data blocked'
# What clear found may be another one.
check "no fault is told twice" is "$(grep -A 6 "^MESSAGE_ID=$FAULT" /tmp/journal |
	grep ^COWPROTECT_FAULT | sort | uniq -d)" ""
check "dmeventd is restarted" eval 'dmeventd -R && wait_for eval "[ \"\$(pidof dmeventd)\" != $daemon ]"'
exchange space "$good"
check "when the cause is gone it goes on by itself" wait_for state_is data active
check "the writer ends well too" ends_well

# ---- a journal that takes nothing, as it waits for the volume itself ----

rm /tmp/hang
touch /tmp/fail
wait_for told $WELL "^MESSAGE=data: "
journal 0
kill -STOP "$listener"
dmesg --clear
exchange space "0 $2 error"
write_in_background 1
# The first message is the one that the queue has room for.
check "what the journal does not take is in the kernel's log" wait_for eval \
	'dmesg | grep -q "cowprotect: data: fault_command ended with status 7"'
check "the volume is blocked" wait_for state_is data blocked
exchange space "$good"
check "when the cause is gone it goes on all the same" wait_for state_is data active
check "the writer ends well" ends_well
journal 10

# ---- the end ----

cowprotect open data 1 > /dev/null
check "no snapshot has lost anything" is "$(sum /dev/mapper/data-snap-1)" "$before"
echo 'extend_percent = ten' > /etc/cowprotect/cowprotect.conf
check "a wrong configuration is told" wait_for told $FAILED \
	"^MESSAGE=data: /etc/cowprotect/cowprotect.conf:1: extend_percent: 'ten' is not a number"
check "deactivate" cowprotect deactivate data
check "dmeventd lets the module go" wait_for rmmod dm_cowprotect
