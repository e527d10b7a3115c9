# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The monitor on LVM, as the guide tells to set it up: the plugin enlarges the logical
# volume of a diff area that runs low, by lvextend, before anybody waits.  When its group
# is full the volume is blocked; with another disk in the group it goes on by itself.
#
# vm: --disk live,size=48M --disk one,size=56M --disk two,size=96M --prog lvm --timeout 900
# plan: 15
# tool: cowprotect dmeventd

. /guest/lib.sh
. /guest/monitor.sh

live=$(disk live)
diff=/dev/group/area

lvm_without_udev
mkdir -p /etc/cowprotect
# As the package has it; the plugin calls it by this name
ln -s "$(command -v lvm)" "$(dirname "$(command -v lvm)")/lvextend"
cat > /etc/cowprotect/cowprotect.conf << 'END'
extend_percent = 50
retry_first_secs = 1
retry_most_secs = 4
END

lv_mib()
{
	echo $(($(blockdev --getsize64 "$diff") >> 20))
}

journal 10
check "a logical volume" eval 'lvm pvcreate -y "$(disk one)" "$(disk two)" &&
	lvm vgcreate group "$(disk one)" && lvm lvcreate -y -Zn -Wn -L 32M -n area group &&
	wait_for test -b "$diff"'
cowprotect format --live "$live" --protect "$diff" > /dev/null
check "activate" cowprotect activate --options low_water=2500 data "$live" "$diff"
cowprotect snapshot data > /dev/null
before=$(sum "$live")

had=$(total)
write_in_background 16
check "the writer ends well" ends_well
check "low room is told" wait_for told $LOW "^MESSAGE=data: room in its diff area runs low"
check "the diff area is extended" wait_for \
	told $EXTENDED "^MESSAGE=data: its diff area has grown from $had to"
check "by half of the logical volume" is "$(lv_mib)" 48
check "it has more room" [ "$(total)" -gt "$had" ]
check "no fault has been told" fails told $FAULT .

write_in_background 32
check "with a full group the volume is blocked" wait_for state_is data blocked
check "because it is full" is "$(fault data)" diff-area-full
check "that is told, and what was in vain" wait_for eval \
	'told $FAULT "the diff area is full" && told $FAILED "^MESSAGE=data: lvextend ended with status 5"'
# What else reads the volume waits with it: see the guide.
check "another disk for the group" timeout 60 lvm vgextend \
	--config 'devices/filter=["r|^/dev/mapper/data$|"]' group "$(disk two)"
check "it goes on by itself, and the writer ends well" ends_well
check "no fault is left" eval 'wait_for state_is data active && is "$(fault data)" none'
cowprotect open data 1 > /dev/null
check "the snapshot has lost nothing" is "$(sum /dev/mapper/data-snap-1)" "$before"
