# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Our packages are upgraded, removed and purged while a volume is active, mounted,
# protected and written to: nothing stops, no snapshot is lost, nothing is left.
# (That they install shows in the system itself: apt has installed them there.)  What
# dkms builds of the new version is in an archive: see test-packages.prepare.
#
# vm: --disk live,size=128M --disk diff,size=256M --timeout 5400
# plan: 43
# packages: 9.0

. /run/vm/guest/lib.sh

# shellcheck disable=SC2034	# for lib.sh
WAIT_LIMIT=300
live=$(disk live)
diff=$(disk diff)
mnt=/mnt

apt()
{
	DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@"
}

contents()
{
	(cd "$mnt/old" && find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum)
}

# Writes that reach the disk, one after the other, until it is told to end
write_on()
{
	local n=0
	while [ -e /run/write ]; do
		dd if=/dev/urandom of="$mnt/new$((n % 40))" bs=64k count=8 conv=fsync status=none || exit 1
		n=$((n + 1))
		echo $n > /run/written
		sleep 0.5
	done
}

start_writing()
{
	touch /run/write
	echo 0 > /run/written
	write_on &
	writer=$!
}

goes_on()
{
	local before
	before=$(cat /run/written)
	wait_for eval "[ \$(cat /run/written) -gt $before ]"
}

stop_writing()
{
	rm /run/write
	wait $writer
}

snapshot_is_whole()
{
	is "$(sum /dev/mapper/data-snap-1)" "$(cat /root/snapshot-sum)"
}

state_and_mode()
{
	is "$(state data) $(mode data)" "active protected"
}

# dmeventd has our plugin, and that one which is on the disk
watched()
{
	grep -q 'libdevmapper-event-cowprotect\.so$' "/proc/$(pidof dmeventd)/maps"
}

running_version()
{
	cat /sys/module/dm_cowprotect/version
}

# What is called after us on the root file system
ours()
{
	find / -xdev \( -path /proc -o -path /run -o -path /var/log \) -prune -o \
		-iname '*cowprotect*' -print
}

check "boot $BOOT comes to its end" wait_for booted
check "no unit has failed" no_failed_units
case $BOOT in
1)
	mkfs.ext4 -q "$live"
	check "format" cowprotect format --live "$live" --protect "$diff"
	check "activate, with nothing to be said" is "$(cowprotect activate data "$live" "$diff" 2>&1)" ""
	mount /dev/mapper/data $mnt
	cp -a /usr/sbin $mnt/old
	check "snapshot" cowprotect snapshot --label before data
	check "open" cowprotect open data before
	sum /dev/mapper/data-snap-1 > /root/snapshot-sum
	contents > /root/contents
	check "dmeventd watches it, with our plugin" wait_for watched

	start_writing
	SECONDS=0
	check "apt upgrades" apt install /run/vm/debs/9.0/*.deb
	echo "# the upgrade took $SECONDS s, $(cat /run/written) writes"
	rm -r /usr/share/dm-cowprotect-dkms
	check "the command is the new one" grep -q '^cowprotect 9\.0,' <(cowprotect --version)
	check "so is the module on the disk" is "$(modinfo -F version dm-cowprotect)" 9.0
	check "the old one runs on" is "$(running_version)" 1.0
	check "dkms has the new one alone" is "$(dkms status | sed 's/,.*//')" dm-cowprotect/9.0
	check "nothing of the old one is left" fails ls -d /usr/src/dm-cowprotect-1.0 \
		/var/lib/dkms/dm-cowprotect/1.0
	check "the writer goes on" goes_on
	check "the volume is active and protected" state_and_mode
	check "the snapshot is whole" snapshot_is_whole
	check "the new command works with the old module" cowprotect snapshot --label after data
	check "dmeventd goes on with the old plugin" fails watched
	check "restarted it takes up the new one" eval 'dmeventd -R && wait_for watched'
	check "the writer ends well" stop_writing
	ends_by reboot
	;;
2)
	check "activate" cowprotect activate data "$live" "$diff"
	check "the new module runs" is "$(running_version)" 9.0
	mount /dev/mapper/data $mnt
	cowprotect open data before > /dev/null
	check "the snapshot is whole" snapshot_is_whole
	check "there are both snapshots" is "$(message data list | wc -l)" 2

	start_writing
	echo 'retry_clear = yes' >> /etc/cowprotect/cowprotect.conf
	check "apt removes" apt remove cowprotect dm-cowprotect-dkms
	check "what the administrator changed is kept" grep -q '^retry_clear' \
		/etc/cowprotect/cowprotect.conf
	check "the command is gone" fails bash -c 'command -v cowprotect'
	check "apt purges" apt purge cowprotect dm-cowprotect-dkms
	check "nothing is left" is "$(ours)" ""
	check "nor is a module, in the initramfs neither" fails grep -q cowprotect \
		<(modinfo -n dm-cowprotect 2> /dev/null; lsinitramfs /initrd.img)
	check "nor is a unit, or a text in the journal's catalog" fails grep -qi cowprotect \
		<(systemctl list-unit-files; journalctl --list-catalog)
	check "the writer goes on" goes_on
	check "the volume is active and protected" state_and_mode
	check "the snapshot is whole" snapshot_is_whole
	check "the writer ends well" stop_writing
	ends_by reboot
	;;
3)
	check "the machine has rebooted by itself" grep -q '^reboot ' <(host ended)
	check "there is no module" fails modprobe dm-cowprotect
	check "the live device is sound" fsck.ext4 -fn "$live"
	mount -o ro "$live" $mnt
	check "its files are what they were" is "$(contents)" "$(cat /root/contents)"
	;;
esac
