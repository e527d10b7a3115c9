# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# In the guest: the commands of the operator's guide on LVM and on snapshots every
# night, as they stand there but for the disk's name and the sizes, which are MiB here.

. /guest/lib.sh

# block HEADING N: the Nth literal block of the section
block()
{
	awk -v heading="$1" -v want="$2" '
		{ lines[NR] = $0 }
		END {
			for (i = 1; i <= NR; i++) {
				if (lines[i + 1] ~ /^===/) inside = lines[i] == heading
				if (!inside) continue
				if (lines[i] ~ /^   /) {
					if (!last) n++
					if (n == want) print substr(lines[i], 4)
				}
				last = lines[i] ~ /^   /
			}
		}' /operation.rst |
		sed "s,/dev/sdb,$disk,; s/\([0-9]\)G/\1M/; s/--size 40M/--size 24M/;
			s/--size 8M/--size 32M/; s/--size 1M/--size 8M/; s/+2M/+24M/; s/200000/2000/"
}

# follow HEADING N WHAT: run a block here
follow()
{
	block "$1" "$2" > /tmp/block
	check "$3" eval '[ -s /tmp/block ] && cat /tmp/block && bash -e /tmp/block'
}

contents()
{
	(cd "$1" && find . -path ./lost+found -prune -o -type f -print0 | sort -z |
		xargs -0 sha256sum | sha256sum)
}

disk=$(disk space)
for command in pvcreate vgcreate lvcreate lvextend lvremove; do
	ln -s "$(command -v lvm)" /usr/bin/$command
done
# There is no udev here.
mkdir -p /etc/lvm
cat > /etc/lvm/lvm.conf << 'END'
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
devices { obtain_device_list_from_udev = 0 use_devicesfile = 0 }
global { event_activation = 0 use_lvmpolld = 0 use_lvmlockd = 0 locking_type = 1 }
END

first="A first volume in ten minutes"
night="Snapshots every night"
follow "$first" 1 "logical volumes are made"
follow "$first" 2 "the volume is made of them"
check "it is protected" is "$(mode data) $(state data)" "protected none"
cp /usr/bin/bash /srv/data
sync
before=$(contents /srv/data)
follow "$first" 3 "a snapshot is made, opened, closed"
rm /srv/data/bash
cp /usr/bin/mount /srv/data
sync
follow "$first" 4 "it can be written on"
total=$(word data 5)
follow "$first" 5 "the diff area is enlarged"
check "there is more room" test "$(cut -d / -f 2 <<< "$(word data 5)")" -gt "${total#*/}"
follow "$night" 1 "the night's commands"
check "the label has the date" grep -qE "  night-20[0-9]{6}$" <(cowprotect list data)
cowprotect open data first > /dev/null
mkdir -p /srv/old
mount -o ro /dev/mapper/data-snap-1 /srv/old
check "the first snapshot shows what was there" is "$(contents /srv/old)" "$before"
umount /srv/old
cowprotect close data first
check "no more than are to be kept" eval '
	for n in $(seq 15); do cowprotect snapshot --no-freeze data > /dev/null || return; done
	block "$night" 1 | sed -n 2p > /tmp/block; bash -e /tmp/block &&
	is "$(cowprotect list data | wc -l)" 14'
follow "$first" 6 "the volume is taken down"
check "the module can be removed" wait_for rmmod dm_cowprotect
