# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash disable=SC2034
#
# Requests to block devices, counted where the block layer issues them: sourced,
# not run.  /sys/block/*/stat would not do: an empty flush is a write there, and
# of FUA it says nothing.

# What the tracepoint's rwbs says
READS='^R'
WRITES='^W'			# with data
FUA_WRITES='^WF'
FLUSHES='^F'

REQUESTS_EVENT=/sys/kernel/tracing/events/block/block_rq_issue
REQUESTS_TRIGGER=hist:keys=dev,rwbs:vals=bytes
REQUESTS_FILE=/tmp/requests

requests_begin()
{
	echo "$REQUESTS_TRIGGER" > $REQUESTS_EVENT/trigger
}

# Lines: device number, rwbs, requests, bytes
requests_end()
{
	sed -n 's/^{ dev: *\([0-9]*\), rwbs: *\([^ ]*\) *} hitcount: *\([0-9]*\) *bytes: *\([0-9]*\).*/\1 \2 \3 \4/p' \
		$REQUESTS_EVENT/hist > $REQUESTS_FILE
	echo "!$REQUESTS_TRIGGER" > $REQUESTS_EVENT/trigger
}

# sum_of COLUMN RWBS DEVICE...
sum_of()
{
	local column=$1 rwbs=$2 numbers='' number dev
	shift 2
	for dev; do
		read -r number < "/sys/class/block/${dev##*/}/dev"
		numbers="$numbers $((${number%:*} << 20 | ${number#*:}))"
	done
	awk -v column="$column" -v rwbs="$rwbs" -v numbers="$numbers" '
		BEGIN { split(numbers, list); for (i in list) wanted[list[i]] }
		$1 in wanted && $2 ~ rwbs { sum += $column }
		END { printf "%.0f\n", sum }' $REQUESTS_FILE
}

# requests RWBS DEVICE...: how many there were
requests()
{
	sum_of 3 "$@"
}

# request_bytes RWBS DEVICE...: of how much
request_bytes()
{
	sum_of 4 "$@"
}
