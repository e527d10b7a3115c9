# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# A write to a suspended device never ends, and cannot be killed.
modprobe brd rd_nr=1 rd_size=4096
dmsetup create stuck --table "0 8192 linear /dev/ram0 0"
dmsetup suspend stuck
dd if=/dev/zero of=/dev/mapper/stuck bs=4k count=1 oflag=direct
