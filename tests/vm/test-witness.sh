# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# The host's own record: without protection a volume goes on while its diff area is out
# of reach, and the area cannot be told.  The file that says so is on a disk of its own
# before the wait can run out, is there after a power cut, and is heard at the next
# activation: the snapshots are lost, never wrong.
#
# vm: --disk live,size=8M --disk diff,size=32M --disk host,size=16M --timeout 1800
# plan: 46
# tool: cowprotect dmeventd

. /guest/lib.sh

# The plugin looks every 10 s
WAIT_LIMIT=90
map_diff
folder=/var/lib/cowprotect/witness
FAILED=08c7f7b4c96e4b22a01d4f2a5bd2625d

mkdir -p /var/lib/cowprotect /etc/cowprotect /mnt
printf 'retry_first_secs = 1\nretry_most_secs = 2\n' > /etc/cowprotect/cowprotect.conf
[ "$BOOT" -gt 1 ] || mkfs.ext4 -q "$(disk host)"
mount "$(disk host)" /var/lib/cowprotect
listen >> /tmp/journal &
wait_for test -S /run/systemd/journal/socket

broken()
{
	exchange diff "0 $sectors error"
}

mended()
{
	exchange diff "$good"
}

# activated OPTIONS [ARGUMENT...]: out: /tmp/said
activated()
{
	local options=$1
	shift
	cowprotect activate --options "$options" "$@" data "$live" /dev/mapper/diff > /tmp/said 2>&1 ||
		{ cat /tmp/said; return 1; }
}

said()
{
	grep -qE -e "$1" /tmp/said || { cat /tmp/said; return 1; }
}

# new_volume OPTIONS [ARGUMENT...]: of format; with a snapshot, whose sum is $before
new_volume()
{
	local options=$1
	shift
	blank "$under"
	area=$(cowprotect format --force --lose all --live "$live" "$@" /dev/mapper/diff |
		awk '$1 == "uuid" { print $2 }')
	area=${area//-/}
	activated "$options" || return
	fill /dev/mapper/data $((RANDOM + 1)) 0 512
	before=$(sum /dev/mapper/data)
	cowprotect snapshot --no-freeze data > /dev/null
	at=0
}

write_next()
{
	fill /dev/mapper/data $((at * 10 + 9000)) $at 64 &
	writer=$!
	at=$((at + 64))
}

# stands STATE: durable, as far as can be seen from here
stands()
{
	[ -e "$folder/$area" ] || { ls -la $folder; return 1; }
	grep -qx "state $1" "$folder/$area" || { cat "$folder/$area"; return 1; }
}

gone()
{
	fails test -e "$folder/$area"
}

mark() { word data 17; }

lost_and_marked()
{
	is "$(state data) $(mark)" "lost marked"
}

# No snapshot shows anything: a wrong one would
nothing_shown()
{
	fails cowprotect open data 1 && fails test -e /dev/mapper/data-snap-1
}

# told PATTERN: the journal, of what the plugin has failed to do
told()
{
	grep -qE "^MESSAGE=data: $1" /tmp/journal || { cat /tmp/journal; return 1; }
}

# taken_away: as if nobody had had the time for anything else
taken_away()
{
	timeout 60 dmsetup remove --force --noudevsync data
	wait_for eval '! dmsetup info data > /dev/null 2>&1 || dmsetup remove data'
	wait_for eval 'cowprotect list > /dev/null; ! dmsetup info data-diff > /dev/null 2>&1 || dmsetup remove data-diff'
}

new_beginning()
{
	cowprotect reset --yes data > /dev/null && wait_for state_is data none && gone &&
		cowprotect deactivate data && activated noprotect && fails said witness &&
		cowprotect snapshot --no-freeze data > /dev/null && is "$(state data)" active
}

if [ "$BOOT" -eq 2 ]; then
	# ---- after the power cut ----
	area=$(ls $folder)
	check "after a power cut the witness is there" stands lost
	check "activate" activated noprotect
	check "it says that the snapshots were given up, and where that stands" \
		said "^cowprotect: data: its snapshots were given up .*$folder/$area"
	check "the area is told before anything else" lost_and_marked
	check "no snapshot shows what was overwritten" nothing_shown
	check "the witness goes, as the area has the word now" wait_for gone
	check "reset is a new beginning, and the next activation hears of nothing" new_beginning
	cowprotect deactivate data

	# ---- the folder ----
	: > /tmp/journal
	echo 'witness = /mnt/in/here' >> /etc/cowprotect/cowprotect.conf
	new_volume noprotect,diff_wait_secs=20
	check "a folder elsewhere is no reason to complain" fails told "/etc/cowprotect"
	mkfs.ext4 -q /dev/mapper/data
	mount /dev/mapper/data /mnt
	check "one on the volume itself is told of, with the mend" wait_for told \
		"/etc/cowprotect/cowprotect.conf: witness: /mnt/in/here: it is on the volume itself; set witness = DIRECTORY"
	broken
	dd if=/dev/urandom of=/mnt/file bs=64k count=4 conv=fsync status=none &
	writer=$!
	check "what cannot be written is told" wait_for told \
		"that its snapshots may be given up cannot be written to /mnt/in/here: it is on the volume itself.*given_up"
	check "it is not looked for there either: the volume goes on after its wait" wait_for state_is data lost
	wait "$writer"
	check "nothing was written there" fails test -e /mnt/in
	mended
	wait_for eval '[ "$(mark)" = marked ]'
	umount /mnt
	cowprotect deactivate data

	printf 'retry_first_secs = 1\nwitness = here\n' > /etc/cowprotect/cowprotect.conf
	check "a wrong configuration: nobody knows whether there is a witness" ends 1 \
		"^cowprotect: data: where its witness is cannot be known: /etc/cowprotect/cowprotect.conf:2: witness: 'here' does not begin with /" \
		cowprotect activate data "$live" /dev/mapper/diff
	check "the volume is not there" fails dmsetup info data
	check "whoever gives the word needs none" activated noprotect,given_up
	cowprotect deactivate data
	rm /etc/cowprotect/cowprotect.conf
	exit 0
fi

# ---- it comes in time ----

new_volume noprotect
check "without a fault there is no witness" gone
cowprotect deactivate data
cowprotect activate --options noprotect,diff_wait_secs=600 --uuid "$(sed -E 's/(.{8})(.{4})(.{4})(.{4})/\1-\2-\3-\4-/' <<< "$area")" \
	--chunk 4K data "$live" - > /dev/null 2>&1
check "without its diff area the volume waits" state_is data waiting
check "the witness is written, though nobody writes to the volume" wait_for stands waiting
check "it names the volume, for people" grep -qx "volume data" "$folder/$area"
daemon=$(pidof dmeventd)
check "dmeventd is restarted" eval 'dmeventd -R && wait_for eval "[ \"\$(pidof dmeventd)\" != $daemon ]"'
write_next
check "a write waits" wait_for eval '[ "$(held data)" -gt 0 ]'
check "the witness stands" stands waiting
exchange data "$(dmsetup table data | sed 's,^\(.*\) - ,\1 /dev/mapper/diff ,')"
check "when the area comes the volume is active" wait_for state_is data active
check "the plugin takes the witness away" wait_for gone
check "the writer ends well" wait $writer
check "the snapshot has lost nothing" eval 'cowprotect open data 1 > /dev/null &&
	is "$(sum /dev/mapper/data-snap-1)" "$before" && cowprotect close data 1'
cowprotect deactivate data
check "the next activation hears of nothing" eval 'activated noprotect && is "$(state data)" active'
cowprotect deactivate data

# ---- too late, and taken away before the area is told ----

new_volume noprotect,diff_wait_secs=600
broken
write_next
check "when the diff device fails the witness is there" wait_for stands waiting
check "before the wait has run out" eval 'state_is data waiting && kill -0 $writer'
exchange data "$(dmsetup table data | sed 's/diff_wait_secs 600/diff_wait_secs 2/')"
check "after the wait the write goes" eval 'wait_for fails kill -0 $writer && wait $writer'
check "the snapshots are lost, and the area does not say so" is "$(state data) $(mark)" "lost unmarked"
check "the witness says it" wait_for stands lost
taken_away
mended
check "another activation, of the same boot, is told" eval 'activated noprotect &&
	said "data: its snapshots were given up" && lost_and_marked && nothing_shown'
check "the witness goes, as the area has the word now" wait_for gone
cowprotect deactivate data

new_volume noprotect,diff_wait_secs=2
broken
write_next
check "lost again, and witnessed" eval 'wait_for stands lost && wait $writer'
mended
check "when the area is back it is told, and the plugin takes the witness away" wait_for eval 'lost_and_marked && gone'
cowprotect deactivate data

# ---- nobody looked ----

: > /tmp/journal
new_volume noprotect
cowprotect deactivate data
printf 'volume data\nstate waiting\nactivation -\n' > "$folder/$area"
echo 'witness = /tmp/nowhere' >> /etc/cowprotect/cowprotect.conf
activated noprotect
sed -i /witness/d /etc/cowprotect/cowprotect.conf
check "a witness that nobody heard is told of" wait_for told \
	"$folder/$area says that its snapshots may have been given up before it was activated"
check "and stays" stands waiting
cowprotect deactivate data
check "cowprotect activate hears it" eval 'activated noprotect && lost_and_marked && wait_for gone'
cowprotect deactivate data

# ---- protected ----

new_volume diff_wait_secs=600 --protect
cowprotect deactivate data
printf 'volume data\nstate waiting\nactivation -\n' > "$folder/$area"
check "a protected area, and the word of a wait: the operator decides" ends 1 \
	"its diff area is protected, yet $folder/$area says .* give --options given_up, else remove that file" \
	cowprotect activate data "$live" /dev/mapper/diff
rm "$folder/$area"
activated diff_wait_secs=600 --no-monitor
broken
write_next
wait_for state_is data blocked
check "protected, a fault needs no witness" gone
check "who forces a reset has it written first" eval 'cowprotect reset --force --yes data > /tmp/reset
	stands lost && is "$(state data) $(mark)" "lost unmarked"'
wait $writer
taken_away
mended
check "the next activation is told" eval 'activated diff_wait_secs=600 --no-monitor && lost_and_marked'
check "the command takes the witness away where nobody else does" gone
cowprotect deactivate data

# ---- nobody watches ----

new_volume noprotect
cowprotect deactivate data
check "without dmeventd the command says what nobody does" eval 'activated noprotect --no-monitor &&
	said "without protection and without dmeventd nobody writes down"'
cowprotect deactivate data

new_volume noprotect,diff_wait_secs=5
broken
write_next
wait_for eval '[ "$(mark)" = unmarked ]'
check "for the power cut" wait_for stands lost
host powercut
