# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Volumes of cowprotecttab: made by name and all together, without their diff device,
# which comes later or goes and comes back, and not at all where the tab and the disks
# disagree.  And what udev does then, with its own rules and ours: the raw live device is
# hidden, the volume is looked at when reads are answered and not before.
#
# vm: --disk live,size=16M --disk diff,size=32M --disk live2,size=16M --disk diff2,size=32M --timeout 1800
# plan: 62
# tool: cowprotect udev

. /guest/lib.sh

WAIT_LIMIT=60
live=$(disk live)
diff=$(disk diff)
live2=$(disk live2)
diff2=$(disk diff2)
fs=5eed0000-0000-4000-8000-00000000000a
uuid=01234567-89ab-cdef-0123-456789abcdef
uuid2=11234567-89ab-cdef-0123-456789abcdef

# property DEVICE NAME
property()
{
	udevadm info --query=property --name="$1" | sed -n "s/^$2=//p"
}

settle()
{
	udevadm settle --timeout=60
}

property_is()
{
	settle
	is "$(property "$1" "$2")" "$3"
}

# points_to LINK DEVICE: a path below /dev
points_to()
{
	is "$(readlink -f "/dev/$1")" "$(readlink -f "$2")"
}

no_link()
{
	settle
	fails test -L "/dev/$1"
}

# started PREFIX DEVICE: what systemd would start for it
started()
{
	local unit command
	settle
	unit=$(property "$2" SYSTEMD_WANTS | tr ' ' '\n' | grep "^$1@")
	command=$(sed -n 's/^ExecStart=//p' "/units/$1@.service")
	[ -n "$unit" ] && [ -n "$command" ] || return
	unit=${unit#*@}
	${command//%i/${unit%.service}}
}

# Somebody waits for the volume
waited_for()
{
	state_is data blocked && [ "$(held data)" -gt 0 ]
}

volumes()
{
	dmsetup ls | cut -f 1 | grep -v '^cowprotect-' | sort | xargs
}

tab()
{
	printf '%s\n' "$@" > /etc/cowprotecttab
	udevadm trigger --action=change && settle
}

# at_once ROUNDS: udev, systemd and an operator activate it at the same moment
at_once()
{
	local round process pids
	for ((round = 1; round <= $1; round++)); do
		pids=()
		for process in 1 2 3 4; do
			cowprotect activate data &
			pids+=($!)
		done
		for process in "${pids[@]}"; do
			wait "$process" || return
		done
		is "$(volumes), $(state data), $(dmsetup table data-diff | cut -d ' ' -f 3)" \
			"data data-diff, active, linear" || return
		cowprotect deactivate data || return
	done
}

# down_in_turn: nothing is taken from under a process that works on a volume
down_in_turn()
{
	local turn=/run/cowprotect/data.lock process status
	exec 9>> $turn && flock 9 || return
	cowprotect deactivate --all 9>&- &
	process=$!
	wait_for eval "readlink /proc/$process/fd/* | grep -x $turn" &&
		is "$(dmsetup ls | cut -f 1 | grep -x "data.*" | sort | xargs)" "data data-diff"
	status=$?
	exec 9>&-
	wait $process && return $status
}

# A process which has hung keeps another one waiting, but not for ever
hung()
{
	wait $waits
	is "$? $(cat /tmp/hung)" "5 cowprotect: hung: another cowprotect works on it,\
 and has not ended for a minute; lslocks says which process has /run/cowprotect/hung.lock"
}

# That takes a minute: beside all else
mkdir -p /run/cowprotect
flock /run/cowprotect/hung.lock sleep 10000 &
wait_for fails flock --nonblock /run/cowprotect/hung.lock true || exit 1
cowprotect deactivate hung > /tmp/hung 2>&1 &
waits=$!

mkfs.ext4 -q -U $fs -L files "$live"
mkdir -p /run/udev /dev/block
unset DM_DISABLE_UDEV
systemd-udevd --daemon || exit 1
udevadm trigger --action=add && settle
check "without a tab a live device is like any other" points_to "disk/by-uuid/$fs" "$live"
check "nothing is to be made" ends 0 "" cowprotect activate --all

# ---- the raw live device is hidden ----

cowprotect format --live "$live" --name data --protect --uuid $uuid "$diff" > /dev/null
cowprotect format --live "$live2" --protect --chunk 64K --uuid $uuid2 "$diff2" > /dev/null
data="data UUID=$fs ID=virtio-diff uuid=$uuid"
more="more ID=virtio-live2 ID=virtio-diff2 uuid=$uuid2,chunk=64K,noauto,low_water=64"
tab "# volumes" "$data" "$more"
check "its file system's uuid is not found" no_link "disk/by-uuid/$fs"
check "nor its label" no_link "disk/by-label/files"
check "it has these links elsewhere" points_to "cowprotect/by-uuid/$fs" "$live"
check "both of them" points_to cowprotect/by-label/files "$live"
check "and one by the volume's name" points_to cowprotect/live/data "$live"
check "others stay" points_to disk/by-id/virtio-live "$live"
check "it has no type that anybody mounts" property_is "$live" ID_FS_TYPE cowprotect_live
check "nor a uuid" property_is "$live" ID_FS_UUID ""
check "systemd does not take it for ready" property_is "$live" SYSTEMD_READY 0
check "nor does udisks look at it" property_is "$live" UDISKS_IGNORE 1
check "its volume is to be made" property_is "$live" COWPROTECT_START data
check "with noauto it is not" property_is "$live2" COWPROTECT_START ""
check "but hidden" property_is "$live2" SYSTEMD_READY 0
check "a diff device is not hidden" points_to "disk/by-uuid/$uuid" "$diff"

# ---- made ----

check "what is not in the tab" ends 4 "^cowprotect: none: /etc/cowprotecttab has no such volume" \
	cowprotect activate none
check "all" ends 0 "" cowprotect activate --all
check "but noauto" is "$(volumes)" "data data-diff"
check "the volume has the file system's uuid now" wait_for points_to "disk/by-uuid/$fs" /dev/mapper/data
check "it is ready" property_is /dev/mapper/data SYSTEMD_READY 1
check "the raw device is as hidden as before" points_to "cowprotect/by-uuid/$fs" "$live"
number=$(dmsetup info -c --noheadings -o minor,events data)
check "once more is no error" ends 0 "" cowprotect activate data
check "and changes nothing" is "$(dmsetup info -c --noheadings -o minor,events data)" "$number"
check "noauto, by its name" ends 0 "" cowprotect activate more
check "with the line's options" ends 0 " 128 4 uuid $uuid2 low_water 64$" dmsetup table more
check "a snapshot" ends 0 "" cowprotect snapshot --label before data
sum /dev/mapper/data > /tmp/before
check "down with all, in their turn" down_in_turn
check "nothing is left" is "$(volumes)" ""
check "the raw device is hidden" no_link "disk/by-uuid/$fs"
check "several activate it at once" at_once 5

# ---- the diff device comes later ----

host unplug diff
check "without its diff device" ends 0 "the diff device is not there" cowprotect activate data
check "it waits" is "$(state data) $(fault data)" "blocked diff-area-missing"
check "nobody looks at it" property_is /dev/mapper/data SYSTEMD_READY 0
check "not for its uuid" no_link "disk/by-uuid/$fs"
check "once more says the same" ends 0 "the diff device is not there" cowprotect activate data
fill /dev/mapper/data 7 8192 1024 &
writer=$!
check "a writer waits" wait_for waited_for
diff=$(host plug diff)
settle
check "the diff area is given to it when it comes" ends 0 "" started cowprotect-attach "$diff"
check "the volume goes on" wait_for state_is data active
check "so does the writer" wait $writer
check "now it is looked at" wait_for points_to "disk/by-uuid/$fs" /dev/mapper/data
check "the area is not held beside it" ends 0 "" started cowprotect-hold "$diff"
cowprotect open data before > /dev/null
check "no snapshot is lost" is "$(sum /dev/mapper/data-snap-1)" "$(cat /tmp/before)"
cowprotect close data before
check "given once more nothing changes" eval 'started cowprotect-attach "$diff" && state_is data active'

# It goes, and comes back as another device
host unplug diff
fill /dev/mapper/data 9 12288 1024 &
writer=$!
check "it goes: the volume is blocked" wait_for waited_for
settle
check "what was known of it stays" points_to "disk/by-uuid/$fs" /dev/mapper/data
check "it stays ready" property_is /dev/mapper/data SYSTEMD_READY 1
diff=$(host plug diff)
settle
check "back, it is given to it by the tab" ends 0 "cowprotect clear data" cowprotect activate data
check "clear" ends 0 "" cowprotect clear data
check "the writer ends" wait $writer

cowprotect replace-diff data - > /dev/null
check "one that was taken away is not given back" eval '
	cowprotect attach "$diff" && dmsetup table data-diff | grep error'
check "but by hand" ends 0 "" cowprotect replace-diff data "$diff"
cowprotect clear data
cowprotect deactivate --all

# ---- what is refused, and made all the same ----

host unplug live
check "no live device" ends 4 "^cowprotect: /etc/cowprotecttab:2: volume data is not as this line says" \
	cowprotect activate data
host plug live > /dev/null
tab "data UUID=$fs ID=virtio-diff uuid=$uuid2" "more ID=virtio-live2 ID=virtio-diff2 uuid=$uuid"
check "swapped diff devices" ends 4 "is the diff area $uuid, not that of uuid=" \
	cowprotect activate data
check "all of them" eval 'ends 4 "tab:2: volume more" cowprotect activate --all && is "$(volumes)" ""'
tab "$data" "more ID=virtio-live2 ID=virtio-diff2 uuid=$uuid2"
check "another chunk, although the rest is made" eval '
	ends 4 "has chunks of 64K; say so in the options: chunk=64K" cowprotect activate --all &&
	is "$(volumes)" "data data-diff"'
cowprotect deactivate data
tab "data UUID=$fs ID=virtio-diff uuid=$uuid,protcet" "$more"
check "a wrong line" ends 1 "tab:1: 'protcet' is no option of a volume" cowprotect activate --all
check "its live device is hidden all the same" no_link "disk/by-uuid/$fs"

for block in 0 1 512; do
	dd if=/dev/urandom of="$diff2" bs=4k seek=$block count=1 oflag=direct conv=notrunc status=none
done
check "a damaged diff area is the volume's fault" eval '
	ends 0 "1. cowprotect check" cowprotect activate more &&
	is "$(state more) $(fault more)" "blocked metadata-corruption"'
cowprotect deactivate --release --all
rm /etc/cowprotecttab
udevadm trigger --action=change
check "without the tab nothing is hidden" wait_for points_to "disk/by-uuid/$fs" "$(disk live)"
check "udev ends" udevadm control --exit
check "what one process works on is busy for another" hung
