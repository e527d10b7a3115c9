# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The root file system on a volume: the system of the first disk is put on one, boots from
# it, is snapshotted, and boots again; by its uuid it is never mounted from the raw device.
#
# vm: --disk live,size=3G --disk diff,size=1G --timeout 7200
# plan: 19

. /run/vm/guest/lib.sh

root=/mnt
fs=5eed0000-0000-4000-8000-000000000002

boat=/run/cowprotect/lifeboat
boat_unit=cowprotect-lifeboat@tty8.service

root_is_the_volume()
{
	is "$(findmnt -no SOURCE /)" /dev/mapper/system
}

case $BOOT in
1)
	check "boot 1 comes to its end" wait_for booted
	mkfs.ext4 -q -U $fs "$(disk live)"
	cowprotect format --live "$(disk live)" --protect "$(disk diff)" > /root/format
	uuid=$(sed -n 's/^uuid *//p' /root/format)
	echo "system ID=virtio-live ID=virtio-diff uuid=$uuid" > /etc/cowprotecttab
	udevadm trigger --subsystem-match=block && udevadm settle
	check "the volume" cowprotect activate system
	mount /dev/mapper/system $root
	# What is on the disk itself, below what is mounted there
	mkdir /run/disk
	mount --bind / /run/disk
	check "the system fits on it" cp -a /run/disk/. $root/
	umount /run/disk
	sed -i "s|^LABEL=root|UUID=$fs|" $root/etc/fstab
	for folder in proc sys dev run; do
		mount --bind /$folder $root/$folder
	done
	# As the new root, so that the hook sees what is mounted there
	check "its initramfs" chroot $root update-initramfs -u
	check "it has what it needs" eval '[ "$(lsinitramfs "$(realpath $root/initrd.img)" |
		grep -cE "sbin/cowprotect$|dm-cowprotect.ko|61-cowprotect-live.rules|etc/cowprotecttab|conf/cowprotect-root|local-top/cowprotect$|local-block/cowprotect$")" -eq 7 ]'
	host put $root/initrd.img initrd
	host initrd initrd
	host append "root=UUID=$fs"
	umount -R $root
	cowprotect deactivate --release system
	ends_by reboot 600
	;;
2)
	check "it boots from the volume" wait_for booted
	check "that is what is mounted" root_is_the_volume
	check "no unit has failed" no_failed_units
	check "a snapshot of the running system" cowprotect snapshot --label before system
	sha256sum /etc/hostname > /root/hostname-sum
	echo changed > /etc/hostname
	ends_by reboot 900
	;;
3)
	check "it boots once more" wait_for booted
	check "from the volume" root_is_the_volume
	check "what was written is there" is "$(cat /etc/hostname)" changed
	cowprotect open system before > /dev/null
	mkdir -p /run/old
	check "the snapshot can be mounted" mount -o ro,noload /dev/mapper/system-snap-1 /run/old
	check "and has what was there" is "$(sha256sum < /run/old/etc/hostname)" \
		"$(sed 's/ .*/  -/' /root/hostname-sum)"
	umount /run/old
	check "it is active" state_is system active
	check "a lifeboat can be had" systemctl start $boat_unit
	check "with a shell whose root is in memory" wait_for eval \
		'is "$(readlink "/proc/$(systemctl show -P MainPID $boat_unit)/root")" $boat'
	check "it ends" systemctl stop $boat_unit
	check "and leaves nothing" fails mountpoint -q $boat
	;;
esac
