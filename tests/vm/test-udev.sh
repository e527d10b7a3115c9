# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# What udev knows of diff areas, with its own rules for block devices and ours: a type, a
# link, and whom to have hold them.  There is no systemd: what it would start for a
# device is started here.
#
# vm: --disk live,size=16M --disk diff,size=32M --disk other,size=64M --timeout 900
# plan: 34
# tool: cowprotect udev

. /guest/lib.sh

WAIT_LIMIT=60
live=$(disk live)
diff=$(disk diff)
other=$(disk other)

# property DEVICE NAME
property()
{
	udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"
}

settle()
{
	udevadm settle --timeout=60
}

# type_is DEVICE TYPE: for all that ask udev
type_is()
{
	settle && is "$(lsblk -dno FSTYPE "$1")" "$2"
}

# points_to UUID DEVICE
points_to()
{
	is "$(readlink -f "/dev/disk/by-uuid/$1")" "$2"
}

number()
{
	lsblk -dno MAJ:MIN "$1" | xargs
}

# wanted DEVICE: the unit that systemd would start to hold it
wanted()
{
	case $(property "$1" TAGS) in
	*:systemd:*) property "$1" SYSTEMD_WANTS | tr ' ' '\n' | grep '^cowprotect-hold@' ;;
	esac
}

# started UNIT: what it does
started()
{
	local unit=$1 instance command
	instance=${unit#*@}
	command=$(sed -n 's/^ExecStart=//p' "/units/${unit%%@*}@.service")
	command=${command//%i/${instance%.service}}
	echo "$command"
	mkdir -p /dev/block
	$command
}

linears()
{
	dmsetup info -c --noheadings -o name,uuid,read_only --separator ' ' |
		awk '$2 ~ /^COWPROTECT-.*-diff$/ { sub(/^cowprotect-.*/, "HELD", $1); print $1, tolower($3) }' |
		sort | xargs
}

# It makes the nodes here
unset DM_DISABLE_UDEV
mkdir -p /run/udev
systemd-udevd --daemon || exit 1
udevadm trigger --action=add && settle
check "udev runs" test -L "/dev/disk/by-id/virtio-diff"
check "an empty disk has no type" type_is "$diff" ""

uuid=01234567-89ab-cdef-0123-456789abcdef
cowprotect format --live "$live" --name data --uuid $uuid "$diff" > /dev/null
check "a diff area has a type" type_is "$diff" cowprotect
check "a version" is "$(property "$diff" ID_FS_VERSION)" 1
check "a link" wait_for points_to $uuid "$diff"
check "and says whose it is" is "$(property "$diff" COWPROTECT_NAME)" data
check "without snapshots and protection it need not be held" is "$(wanted "$diff")" ""

cowprotect format --force --live "$live" --name data --protect --uuid $uuid "$diff" > /dev/null
settle
unit="cowprotect-hold@$(number "$diff").service"
check "a protected one is to be held" is "$(wanted "$diff")" "$unit"
check "which is done" started "$unit"
check "it is held" is "$(linears)" "HELD read-only"
settle
check "what holds it has no type" type_is "/dev/mapper/$(dmsetup ls | grep -o '^cowprotect-[0-9a-f]*')" ""
udevadm trigger --action=change && settle
check "the link goes on to show the device" wait_for points_to $uuid "$diff"
check "once more is no error" started "$unit"

check "activate by the uuid" cowprotect activate --force data "$live" "UUID=$uuid"
check "the volume has what held its area" is "$(linears)" "data-diff writeable"
check "the diff device keeps its type" type_is "$diff" cowprotect
check "the link goes on to show it" wait_for points_to $uuid "$diff"
check "to hold it is no error" started "$unit"
check "and changes nothing" is "$(linears)" "data-diff writeable"
check "a snapshot" cowprotect snapshot data
check "deactivate" cowprotect deactivate data
check "it is held" is "$(linears)" "HELD read-only"

# Both legs come at the same moment: udev has the area held while the volume is activated
for _ in 1 2 3 4; do
	cowprotect release "$diff"
	(started "$unit" || echo failed) &
	cowprotect activate --no-monitor data "$live" "$diff" || echo failed
	wait $!
	cowprotect deactivate --release data || echo failed
done > /tmp/race 2>&1
check "held and activated at once, four times" eval 'cat /tmp/race; fails grep -v "are not guarded\|hold /dev\|  1  \|is not held" /tmp/race'
check "release tells udev nothing wrong" type_is "$diff" cowprotect

# ---- an area on a logical volume, and what is none ----

dmsetup create lv --table "0 $((32 << 11)) linear $other $((8 << 11))"
cowprotect format --live "$live" --protect /dev/mapper/lv > /tmp/format
lv=$(readlink -f /dev/mapper/lv)
check "an area on a logical volume has a type" type_is "$lv" cowprotect
check "the disk below it has none" type_is "$other" ""
check "the link shows the logical volume" wait_for points_to "$(awk '$1 == "uuid" { print $2 }' /tmp/format)" "$lv"
unit="cowprotect-hold@$(number "$lv").service"
check "which is to be held" is "$(wanted "$lv")" "$unit"
check "and is" eval 'started "$unit" && fails dmsetup remove lv'
cowprotect wipe --yes "$lv"
check "wiped, it has no type" type_is "$lv" ""
mkfs.ext4 -qF "$lv"
check "a file system has its own" type_is "$lv" ext4

mkdir -p /run/udev/rules.d
echo "KERNEL==\"${diff##*/}\", ENV{DM_MULTIPATH_DEVICE_PATH}=\"1\"" > /run/udev/rules.d/59-path.rules
udevadm control --reload
udevadm trigger --action=change && settle
check "a path of a multipath device is left to that" eval 'is "$(wanted "$diff")" "" && fails points_to $uuid "$diff"'
rm /run/udev/rules.d/59-path.rules
udevadm control --reload
udevadm trigger --action=change && settle
check "without that it is found again" wait_for points_to $uuid "$diff"
check "udev ends" udevadm control --exit
