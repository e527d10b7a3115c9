# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# PostgreSQL, data and WAL on a volume each, under pgbench: both are snapshotted at one
# instant; a diff area runs low and dmeventd's plugin extends its logical volume; the
# volume group is full, the volume blocks, space is added, all goes on.  No transaction
# fails, and a server that is started on a copy of the snapshots recovers.
#
# vm: --disk data,size=768M --disk wal,size=512M --disk pv,size=960M --disk spare,size=768M,plugged=off --disk cow,size=384M --disk cow2,size=256M --mem 1536M --timeout 7200 --allow blocked.for.more.than
# plan: 31

. /run/vm/guest/lib.sh

# The plugin looks every 10 s, and a checkpoint of an emulated machine takes its time
# shellcheck disable=SC2034	# for lib.sh
WAIT_LIMIT=600
BIN=/usr/lib/postgresql/15/bin
CLIENTS=4
SECONDS_OF_LOAD=${SECONDS_OF_LOAD:-90}

sql()
{
	runuser -u postgres -- psql -X -q -A -t -p "${port:-5432}" -d bench -c "$1"
}

# What each transaction adds to one row of each table is in the history, too
balanced()
{
	is "$(sql "select (select count(*) from pgbench_accounts),
		(select sum(abalance) from pgbench_accounts) - (select coalesce(sum(delta), 0) from pgbench_history),
		(select sum(bbalance) from pgbench_branches) - (select coalesce(sum(delta), 0) from pgbench_history),
		(select sum(tbalance) from pgbench_tellers) - (select coalesce(sum(delta), 0) from pgbench_history)")" \
		"1000000|0|0|0"
}

start_load()
{
	rm -f /tmp/load*
	runuser -u postgres -- sh -c "cd /tmp && pgbench -n -c $CLIENTS -j 2 -T $1 -l --log-prefix=load bench" \
		> /tmp/pgbench.out 2>&1 &
	load=$!
}

# Ends well, without a failed transaction; says how long the longest has waited
load_ends_well()
{
	wait $load || { cat /tmp/pgbench.out; return 1; }
	grep -q '^number of failed transactions: 0 ' /tmp/pgbench.out || { cat /tmp/pgbench.out; return 1; }
}

tell_load()
{
	echo "# pgbench: $(grep -E 'actually processed|^tps' /tmp/pgbench.out | xargs)," \
		"longest stall $(cat /tmp/load* | awk '$3 > m { m = $3 } END { print m / 1000 }') ms"
}

# Transactions that pgbench was told were committed, in all its runs
committed=0
count_committed()
{
	committed=$((committed + $(sed -n 's/^number of transactions actually processed: //p' /tmp/pgbench.out)))
}

chunks()
{
	cowprotect status --json "$1" | grep -oE "\"$2\":[0-9]+" | cut -d : -f 2
}

lv_size()
{
	lvs --noheadings --nosuffix --units b -o lv_size vg/data-diff | xargs
}

# goes_on: more transactions have ended since
goes_on()
{
	local before
	before=$(cat /tmp/load* | wc -l)
	wait_for eval "[ \$(cat /tmp/load* | wc -l) -gt $before ]"
}

check "the boot comes to its end" wait_for booted

# ---- volumes ----

mkdir -p /srv/data /srv/wal /srv/old-data /srv/old-wal
vgcreate -q vg "$(disk pv)" > /dev/null
lvcreate -q -L 96M -n data-diff vg > /dev/null
lvcreate -q -L 640M -n wal-diff vg > /dev/null
printf '%s\n' 'extend_percent = 30' 'retry_most_secs = 20' >> /etc/cowprotect/cowprotect.conf
for name in data wal; do
	mkfs.ext4 -q "$(disk $name)"
	check "format $name" cowprotect format --name $name --live "$(disk $name)" --protect /dev/vg/$name-diff
	# Low as soon as six MiB are in use
	chunks=$(sed -n 's/^capacity .* \([0-9]*\) chunks$/\1/p' /tmp/check.out)
	check "activate $name" cowprotect activate --options low_water=$((chunks - 1500)) \
		$name "$(disk $name)" /dev/vg/$name-diff
	mount /dev/mapper/$name /srv/$name
done
chown postgres: /srv/data /srv/wal

# ---- the server ----

check "a cluster" pg_createcluster 15 main -d /srv/data/pg -- -X /srv/wal/pg --data-checksums
cat >> /etc/postgresql/15/main/postgresql.conf << 'END'
shared_buffers = 128MB
max_wal_size = 192MB
checkpoint_timeout = 60s
END
check "the server starts" systemctl start postgresql@15-main
runuser -u postgres -- createdb bench
check "pgbench's tables, scale 10" runuser -u postgres -- pgbench -q -i -s 10 bench
check "they are balanced" balanced

# ---- a snapshot of both, and a diff area that runs low ----

start_load "$SECONDS_OF_LOAD"
check "transactions are made" goes_on
check "a snapshot of data and WAL" cowprotect snapshot --freeze-timeout 120 --label base data wal
size=$(lv_size)
total=$(chunks data total_chunks)
check "the plugin extends the logical volume" wait_for eval "[ \$(lv_size) -gt $size ]"
check "the diff area has grown" wait_for eval "[ \$(chunks data total_chunks) -gt $total ]"
check "the journal tells it" wait_for grep -q . \
	<(journalctl -q MESSAGE_ID=497dbc9a8c7e4b68acfa74536ffbc39b COWPROTECT_VOLUME=data)
check "journalctl -x explains it" grep -q "cowprotect" \
	<(journalctl -q -x MESSAGE_ID=497dbc9a8c7e4b68acfa74536ffbc39b)
check "no transaction fails" load_ends_well
tell_load
count_committed

# ---- without space ----

start_load $((SECONDS_OF_LOAD + 120))
check "transactions are made" goes_on
lvcreate -q -l 100%FREE -n rest vg > /dev/null
sql "update pgbench_accounts set filler = 'x'" &
update=$!
check "with the volume group full the volume is blocked" wait_for state_is data blocked
check "because its diff area is full" is "$(fault data)" diff-area-full
check "status says what to do" grep -q 'cowprotect grow data' <(cowprotect status data)
check "the journal tells it" wait_for grep -q . \
	<(journalctl -q MESSAGE_ID=ff97c384b7334d63bca2c66bedbaa98f COWPROTECT_VOLUME=data)
spare=$(host plug spare)
check "space is added" vgextend -q vg "$spare"
check "by the plugin or by us the volume goes on" wait_for eval 'state_is data active ||
	{ lvextend -q -L +256M vg/data-diff; cowprotect grow data; cowprotect clear data; state_is data active; }'
check "the update ends well" wait $update
check "no transaction fails" load_ends_well
tell_load
count_committed
check "all that was committed is there" is "$(sql 'select count(*) from pgbench_history')" "$committed"
check "and adds up" balanced

# ---- a server on the snapshots ----

check "the snapshots can be written to" eval 'cowprotect open --writable "$(disk cow)" data base &&
	cowprotect open --writable "$(disk cow2)" wal base'
mount "/dev/mapper/$(dmsetup ls | grep -o '^data-rw-[0-9]*')" /srv/old-data
mount "/dev/mapper/$(dmsetup ls | grep -o '^wal-rw-[0-9]*')" /srv/old-wal
ln -sfn /srv/old-wal/pg /srv/old-data/pg/pg_wal
rm -f /srv/old-data/pg/postmaster.pid
check "a server on them recovers" runuser -u postgres -- $BIN/pg_ctl -w -t 600 -D /srv/old-data/pg -o \
	"-p 5433 -c config_file=/etc/postgresql/15/main/postgresql.conf -c data_directory=/srv/old-data/pg -c external_pid_file=''" \
	-l /tmp/old.log start
port=5433
check "it adds up, too" balanced
check "pg_amcheck finds nothing" runuser -u postgres -- $BIN/pg_amcheck -p 5433 --install-missing \
	--heapallindexed --all
