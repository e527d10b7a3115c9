# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# PostgreSQL, data and WAL on a volume each, under pgbench: both are snapshotted at one
# instant; a diff area runs low and dmeventd's plugin extends its logical volume; the
# volume group is full, the volume blocks, space is added, all goes on.  No transaction
# fails, all that were committed are there, and a server that is started on a copy of
# the snapshots recovers.
#
# vm: --disk pv,size=1408M --disk spare,size=384M,plugged=off --disk cow,size=256M --disk cow-wal,size=256M --mem 1536M --timeout 5400 --allow blocked.for.more.than
# plan: 40

. /run/vm/guest/lib.sh

# The plugin looks every 10 s, and a checkpoint of an emulated machine takes its time
# shellcheck disable=SC2034	# for lib.sh
WAIT_LIMIT=300
BIN=/usr/lib/postgresql/15/bin
CLIENTS=4
# Of each run of pgbench, and how many there are at most for something to happen
LOAD_SECONDS=60
LOADS=10
# Room runs low when so many chunks are used
LOW_AFTER=2000
# The journal's
FAULT=ff97c384b7334d63bca2c66bedbaa98f
WELL=b748a10bb2d047b4b5a38d2ee6efd549
LOW=6ee3d86a42f14c2892c45d817221f580
EXTENDED=497dbc9a8c7e4b68acfa74536ffbc39b

export LVM_SUPPRESS_FD_WARNINGS=1
cd /
port=5432
load_log=/tmp/load

sql()
{
	runuser -u postgres -- psql -X -q -A -t -p "$port" -d bench -c "$1"
}

# A transaction adds the same to a row of each of three tables, and says so in a fourth
balanced()
{
	is "$(sql "with history as (select coalesce(sum(delta), 0) as sum from pgbench_history)
		select (select count(*) from pgbench_accounts),
			(select sum(abalance) from pgbench_accounts) - sum,
			(select sum(bbalance) from pgbench_branches) - sum,
			(select sum(tbalance) from pgbench_tellers) - sum from history")" \
		"1000000|0|0|0"
}

transactions()
{
	sql 'select count(*) from pgbench_history'
}

start_load()
{
	rm -f $load_log*
	runuser -u postgres -- pgbench -n -c $CLIENTS -j 2 -T "$1" -P 10 -l --log-prefix=$load_log bench \
		> /tmp/pgbench 2>&1 &
	load=$!
}

# More transactions have ended since
load_goes_on()
{
	local before
	before=$(cat $load_log* | wc -l)
	wait_for eval "[ \$(cat $load_log* | wc -l) -gt $before ]"
}

load_ends_well()
{
	wait $load && grep -q '^number of failed transactions: 0 ' /tmp/pgbench ||
		{ cat /tmp/pgbench; return 1; }
}

# Says how the load went; those that pgbench was told were committed are counted
committed=0
take_account()
{
	local count
	count=$(sed -n 's/^number of transactions actually processed: //p' /tmp/pgbench)
	committed=$((committed + count))
	echo "# $1: $count transactions, $(sed -n 's/^number of failed transactions: //p' /tmp/pgbench) failed," \
		"the longest stall $(cat $load_log* | awk '$3 > max { max = $3 } END { print max / 1000000 }') s"
}

# told ID: the journal has this message of the volume
told()
{
	journalctl -q -o cat MESSAGE_ID="$1" COWPROTECT_VOLUME=data | grep .
}

# Of the diff area, in chunks
used() { word data 5 | cut -d / -f 1; }
total() { word data 5 | cut -d / -f 2; }

size_of_lv()
{
	lvs --noheadings --nosuffix --units b -o lv_size vg/data-diff | xargs
}

check "the boot comes to its end" wait_for booted

# ---- a database on two volumes ----

check "a volume group" vgcreate vg "$(disk pv)"
printf '%s\n' 'extend_percent = 30' 'retry_most_secs = 20' >> /etc/cowprotect/cowprotect.conf
mkdir /srv/new
for volume in data:512M:96M wal:384M:320M; do
	IFS=: read -r name size diff_size <<< "$volume"
	lvcreate -q -y -L "$size" -n "$name" vg
	lvcreate -q -y -L "$diff_size" -n "$name-diff" vg
	mkfs.ext4 -q "/dev/vg/$name"
	check "format $name" cowprotect format --name "$name" --live "/dev/vg/$name" --protect "/dev/vg/$name-diff"
	capacity=$(sed -n 's/^capacity .* \([0-9]*\) chunks$/\1/p' /tmp/check.out)
	options=
	[ "$name" != data ] || options=low_water=$((capacity - LOW_AFTER))
	check "activate $name, with nothing to be said" is "$(cowprotect activate \
		${options:+--options $options} "$name" "/dev/vg/$name" "/dev/vg/$name-diff" 2>&1)" ""
	mount "/dev/mapper/$name" /srv/new
	cp -a "/srv/$name/." /srv/new
	umount /srv/new
	mount "/dev/mapper/$name" "/srv/$name"
done
check "the server starts" systemctl start postgresql@15-main
check "on the volumes" is "$(findmnt -n -o SOURCE -T "$(sql 'show data_directory')" | xargs) \
$(findmnt -n -o SOURCE -T "$(realpath /srv/data/pg/pg_wal)")" "/dev/mapper/data /dev/mapper/wal"
check "the database is balanced" balanced

# ---- a snapshot of both, and a diff area that runs low ----

start_load $LOAD_SECONDS
check "transactions are made" load_goes_on
before=$(transactions)
SECONDS=0
check "a snapshot of data and WAL" cowprotect snapshot --freeze-timeout 60 --label base data wal
echo "# the snapshot took $SECONDS s"
after=$(transactions)
chunks=$(total)
size=$(size_of_lv)
# How soon room runs low depends on the machine
good=yes
for ((i = 0; i < LOADS; i++)); do
	load_ends_well || good=
	take_account "run $i"
	[ "$(total)" -le "$chunks" ] || break
	start_load $LOAD_SECONDS
done
check "no transaction has failed" test -n "$good"
check "low room is told" told $LOW
check "the plugin has extended the logical volume" test "$(size_of_lv)" -gt "$size"
check "and the diff area" test "$(total)" -gt "$chunks"
check "that is told" told $EXTENDED
check "the volume has not been blocked" fails told $FAULT

# ---- without space ----

check "the volume group is full" lvcreate -q -y -l 100%FREE -n rest vg
start_load $((3 * LOAD_SECONDS))
check "transactions are made" load_goes_on
dd if=/dev/zero of=/srv/data/ballast bs=1M count=$((($(total) - $(used)) / 256 + 16)) oflag=direct status=none &
ballast=$!
check "the volume is blocked" wait_for state_is data blocked
SECONDS=0
check "because its diff area is full" is "$(fault data)" diff-area-full
check "that is told" wait_for told $FAULT
check "status says what to do" grep -q 'cowprotect grow data' <(cowprotect status data)
check "the other one is not" state_is wal active
check "who writes waits" kill -0 $ballast
spare=$(host plug spare)
# As the guide says: LVM is not to look at a volume that gives no answer
check "a disk is added" timeout 120 vgextend --config 'devices { filter = [ "r|/dm-uuid-COWPROTECT-|" ] }' vg "$spare"
check "the plugin brings the volume back" wait_for state_is data active
echo "# it was blocked for $SECONDS s"
check "that is told" wait_for told $WELL
check "who has waited ends well" wait $ballast
check "transactions are made again" load_goes_on
check "the load ends, no transaction has failed" load_ends_well
take_account "while the volume was blocked"
check "all that were committed are there" is "$(transactions)" "$committed"
check "and the database is balanced" balanced

# ---- a server on the snapshots ----

for name in data wal; do
	mkdir "/srv/old-$name"
	[ $name = data ] && cow=$(disk cow) || cow=$(disk cow-wal)
	check "the snapshot of $name can be written to" cowprotect open --writable "$cow" $name base
	mount "$(tail -n 1 /tmp/check.out)" "/srv/old-$name"
done
ln -sfn /srv/old-wal/pg /srv/old-data/pg/pg_wal
rm -f /srv/old-data/pg/postmaster.pid
check "a server starts on them" runuser -u postgres -- $BIN/pg_ctl -w -t 600 -D /srv/old-data/pg \
	-o "-p 5433 -c config_file=/etc/postgresql/15/main/postgresql.conf" \
	-o "-c data_directory=/srv/old-data/pg -c external_pid_file=''" -l /tmp/old.log start
check "it has recovered" grep -q 'redo done' /tmp/old.log
port=5433
count=$(transactions)
check "it has the transactions of then: $before to $after, $count" \
	test "$count" -ge "$before" -a "$count" -le "$after"
check "they add up" balanced
check "pg_amcheck finds nothing" runuser -u postgres -- $BIN/pg_amcheck -p 5433 --install-missing \
	--heapallindexed --all
