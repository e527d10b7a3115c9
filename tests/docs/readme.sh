# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# In the guest: the commands of the README's section "Use it", as they stand
# there but for the names of the disks.  Its indented blocks are, in order:
# the build, set-up, a snapshot, a disk that came back, the end.

. /guest/lib.sh

# block N: the Nth indented block of the section
block()
{
	awk -v want="$1" '
		/^## / { inside = $0 == "## Use it" }
		!inside { next }
		/^\t/ { if (!last) n++; if (n == want) print substr($0, 2) }
		{ last = /^\t/ }' /README.md |
		sed "s,/dev/sdb1,$live,; s,/dev/sdc,$diff,; s,/dev/sdd,$back,"
}

# follow N WHAT: run a block here, as its variables are used by the next ones
follow()
{
	block "$1" > /tmp/block
	[ -s /tmp/block ] || { echo "not ok - $2: the README has no block $1"; return; }
	set -e -o pipefail
	trap 'echo "not ok - $what: $BASH_COMMAND"' ERR
	what=$2
	# shellcheck disable=SC1091	# made above
	. /tmp/block > /tmp/block.out
	trap - ERR
	set +e +o pipefail
	echo "ok - $2"
}

blocked()
{
	state_is data blocked
}

live=$(disk live)
diff=$(disk diff)
back=none
mkfs.ext4 -q "$live"
mount "$live" /mnt
mkdir /mnt/files
cp -r /usr/bin /mnt/files/
umount /mnt

follow 2 "the README's set-up works"
check "the volume is protected and has no snapshot" is "$(mode data) $(state data)" "protected none"
before=$(cd /mnt/data/files && find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)

follow 3 "a snapshot is made and mounted as the README says"
check "list and status tell of it" eval '
	grep -q " before-upgrade (open as data-snap-1)$" /tmp/block.out &&
	grep -q "^data: active, protected$" /tmp/block.out'

# The disk goes under a writer, and comes back under another name
dd if=/dev/urandom of=/mnt/data/files/new bs=64k count=64 oflag=direct status=none
host unplug diff
dd if=/dev/urandom of=/mnt/data/files/new bs=64k count=128 oflag=direct status=none &
writer=$!
check "without its disk the volume is blocked" wait_for blocked
back=$(host plug diff)
check "it comes back under another name" fails is "$back" "$diff"
follow 4 "the disk is exchanged as the README says"
check "the writer ends well" wait $writer
check "the volume is active" wait_for state_is data active
rm -rf /mnt/data/files/bin
sync
echo 3 > /proc/sys/vm/drop_caches
check "the snapshot shows the files as they were" is "$(cd /mnt/old/files &&
	find . -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)" "$before"

diff=$back
follow 5 "the volume is taken apart as the README says"
check "the live device is a file system as before" fsck.ext4 -fn "$live"
check "the diff area is clean" cowprotect check "$back"
check "the module can be removed" wait_for rmmod dm_cowprotect
