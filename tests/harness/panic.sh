# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
echo 1 > /proc/sys/kernel/sysrq
echo c > /proc/sysrq-trigger
