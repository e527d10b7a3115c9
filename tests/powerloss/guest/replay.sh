# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# replay.sh VARIANT:ARG...  [VARIANT:ARG...]...: cut the power of recordings, with
# the arguments for "replay" that follow a variant's name, separated by colons.

. /guest/sizes
modprobe brd rd_nr=1 rd_size=$((DEVICE_SECTORS / 2))
failed=0
for work; do
	IFS=: read -r variant args <<< "$work"
	# shellcheck disable=SC2086	# arguments are words
	replay --live "$LIVE_SECTORS" --diff "$DIFF_START" --chunk $((${variant%-*} * 2)) \
		--bytes $((DEVICE_SECTORS * 512)) ${args//:/ } \
		"/recorded/trace-$variant" "$(disk "log-$variant")" \
		"/recorded/images-$variant" /dev/ram0 > /tmp/out
	status=$?
	sed "s/^# /# $variant: /" /tmp/out
	case $status in
	0) echo "ok - power loss, $variant" ;;
	1) echo "not ok - power loss, $variant"; failed=1 ;;
	*) exit 2 ;;
	esac
done
exit $failed
