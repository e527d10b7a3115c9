# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A volume of cowprotecttab with ext4 in fstab: mounted at the boot; its diff disk comes
# 20 seconds late, and the mount waits and succeeds; it never comes, and the machine
# boots all the same, with the volume blocked, then without protection lost; reboot and
# power-off while it is blocked come to their end, also in the midst of its activation.
#
# vm: --disk live,size=64M --disk diff,size=128M --timeout 7200
# plan: 35

. /run/vm/guest/lib.sh

mnt=/mnt/data

# configured TAB-OPTIONS FSTAB-OPTIONS: the volume and what mounts it
configured()
{
	echo "data ID=virtio-live ID=virtio-diff uuid=$(cat /root/uuid)$1" > /etc/cowprotecttab
	sed -i '/cowprotect-test/d' /etc/fstab
	echo "/dev/mapper/data $mnt ext4 defaults$2 0 2 # cowprotect-test" >> /etc/fstab
	systemctl daemon-reload
}

contents()
{
	(cd "$1" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
}

mounted()
{
	is "$(findmnt -no SOURCE $mnt)" /dev/mapper/data
}

# What the console and the journal have of this boot
said()
{
	journalctl -b -o cat -u cowprotect@data.service | grep -q "$1"
}

snapshot_is_whole()
{
	cowprotect open data before > /dev/null
	is "$(sum /dev/mapper/data-snap-1)" "$(cat /root/snapshot-sum)"
	local status=$?
	cowprotect close data before
	return $status
}

blocked()
{
	state_is data blocked
}

# Its unit is not yet active, and udev has seen the volume
activating()
{
	blocked && udevadm settle &&
		is "$(systemctl show -P ActiveState cowprotect@data.service)" activating
}

case $BOOT in
1)
	check "boot 1 comes to its end" wait_for booted
	mkdir -p $mnt
	mkfs.ext4 -q -L files "$(disk live)"
	cowprotect format --live "$(disk live)" --protect "$(disk diff)" |
		sed -n 's/^uuid *//p' > /root/uuid
	configured "" ""
	udevadm trigger --subsystem-match=block && udevadm settle
	# udev starts the volume, which has that link
	check "the raw device is hidden" fails is "$(readlink -f /dev/disk/by-label/files)" \
		"$(readlink -f "$(disk live)")"
	check "the mount brings the volume" systemctl start mnt-data.mount
	check "it is mounted" mounted
	check "by its unit" systemctl -q is-active cowprotect@data.service
	check "its label is the volume's" wait_for eval 'is "$(readlink -f /dev/disk/by-label/files)" "$(readlink -f /dev/mapper/data)"'
	cp -a /usr/sbin $mnt/
	check "a snapshot" cowprotect snapshot --label before data
	cowprotect open data before > /dev/null
	sum /dev/mapper/data-snap-1 > /root/snapshot-sum
	cowprotect close data before
	rm -r $mnt/sbin
	cp -a /usr/bin/systemctl $mnt/
	contents $mnt > /root/contents
	host late diff 20 "the diff device is not there"
	ends_by reboot 600
	;;
2)
	check "the diff disk comes late: the boot comes to its end" wait_for booted
	check "no unit has failed" no_failed_units
	check "it is mounted" mounted
	check "it had to wait" said "the diff device is not there"
	check "it goes on" eval 'is "$(state data) $(mode data)" "active protected"'
	check "its files are there" is "$(contents $mnt)" "$(cat /root/contents)"
	check "the snapshot is whole" snapshot_is_whole
	configured ",nofail" ",nofail,x-systemd.device-timeout=30s"
	systemctl stop mnt-data.mount cowprotect@data.service
	check "the unit takes the volume down" fails dmsetup info data
	check "and brings it back" systemctl start mnt-data.mount
	host unplug diff
	dd if=/dev/zero of=$mnt/more bs=1M count=8 conv=fsync status=none &
	check "the diff disk goes, and the mounted volume is blocked" wait_for blocked
	ends_by reboot 600
	;;
3)
	echo "# $(host ended)"
	check "the machine has rebooted while it was mounted" grep -q '^reboot ' <(host ended)
	check "the diff disk never comes: the machine boots" wait_for booted
	check "the volume is blocked" blocked
	check "for that reason" is "$(fault data)" diff-area-missing
	check "it is not mounted" fails mounted
	check "what to do is said" said "cowprotect replace-diff data"
	dd if=/dev/mapper/data of=/dev/null bs=4k count=1 iflag=direct status=none &
	check "somebody waits for it" wait_for eval '[ "$(held data)" -gt 0 ]'
	ends_by reboot 900
	;;
4)
	echo "# $(host ended)"
	check "the machine has rebooted while it was blocked" grep -q '^reboot ' <(host ended)
	check "and boots" wait_for booted
	check "the volume is blocked" blocked
	# Once more, with an activation that does not end
	systemctl stop cowprotect-shutdown@data.service cowprotect@data.service
	mkdir -p /run/systemd/system/cowprotect@data.service.d
	printf '[Service]\nExecStartPost=sleep infinity\n' \
		> /run/systemd/system/cowprotect@data.service.d/endless.conf
	systemctl daemon-reload
	systemctl --no-block start cowprotect@data.service
	check "it is activated anew, which goes on" wait_for activating
	dd if=/dev/mapper/data of=/dev/null bs=4k count=1 iflag=direct status=none &
	check "somebody waits for it" wait_for eval '[ "$(held data)" -gt 0 ]'
	configured ",nofail,noprotect,diff_wait_secs=20" ",nofail,x-systemd.mount-timeout=10min"
	ends_by poweroff 900
	;;
5)
	echo "# $(host ended)"
	check "the machine was switched off while it was blocked" grep -q '^poweroff ' <(host ended)
	check "without protection the machine boots" wait_for booted
	check "the volume is mounted" wait_for mounted
	check "a write goes on" timeout 300 sh -c "echo x > $mnt/new && sync -f $mnt/new"
	check "the snapshots are lost, which it says" wait_for state_is data lost
	host plug diff
	check "the disk comes, and the loss is marked" wait_for eval 'is "$(word data 17)" marked'
	;;
esac
