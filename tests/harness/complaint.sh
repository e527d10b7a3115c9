# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
echo '<4>WARNING: made up by the test of the harness' > /dev/kmsg
