# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# A volume "data" that dmeventd and our plugin look after, and what the journal is told
# of it.  For the tests of tests/vm, in the guest, after lib.sh.

# The plugin looks every 10 s
WAIT_LIMIT=180
listener=

# What the messages are called for ever
FAULT=ff97c384b7334d63bca2c66bedbaa98f
WELL=b748a10bb2d047b4b5a38d2ee6efd549
LOW=6ee3d86a42f14c2892c45d817221f580
EXTENDED=497dbc9a8c7e4b68acfa74536ffbc39b
FAILED=08c7f7b4c96e4b22a01d4f2a5bd2625d

# journal QUEUE: in the place of systemd's; so many messages wait while it takes none
journal()
{
	[ -z "$listener" ] || { kill -CONT "$listener"; kill "$listener"; }
	rm -f /run/systemd/journal/socket
	echo "$1" > /proc/sys/net/unix/max_dgram_qlen
	# Appended, as the file is emptied meanwhile
	listen >> /tmp/journal &
	listener=$!
	wait_for test -S /run/systemd/journal/socket
}

# told ID PATTERN: the journal's messages of this kind since it was emptied
told()
{
	awk -v id="MESSAGE_ID=$1" 'BEGIN { RS = ""; FS = "\n" }
		{ for (i = 1; i <= NF; i++) if ($i == id) print }' /tmp/journal | grep -qE -e "$2" ||
		{ cat /tmp/journal; return 1; }
}

total()
{
	cowprotect status --json data | grep -oE '"total_chunks":[0-9]+' | cut -d : -f 2
}

# Chunks that were not written before, so that each has to be preserved
at=0
write_in_background()
{
	dd if=/dev/urandom of=/dev/mapper/data bs=64k seek=$((at * 16)) count=$(($1 * 16)) \
		oflag=direct status=none &
	writer=$!
	at=$((at + $1))
}

ends_well()
{
	wait_for fails kill -0 $writer && wait $writer
}
