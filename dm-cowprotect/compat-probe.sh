#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Usage: compat-probe.sh <header> <kernel release> <compiler> <flags>...
#
# Find out by test compiles what this kernel's interfaces look like, and write
# it to a header that compat.h includes.  Run by Kbuild with the flags of a
# module's source file.

set -u
header=$1
release=$2
shift 2

# probe NAME: define it if the function body on standard input compiles
probe()
{
	{
		echo '#include <linux/blkdev.h>'
		echo '#include <linux/bio.h>'
		echo '#include <linux/file.h>'
		echo '#include <linux/timer.h>'
		echo 'void cowp_probe(void);'
		echo 'void cowp_probe(void)'
		echo '{'
		cat
		echo '}'
	} | "$@" -Werror -Wno-unused -S -x c -o /dev/null - 2> /dev/null
}

works()
{
	name=$1
	shift
	if probe "$@"; then
		echo "#define $name 1"
	else
		echo "/* $name: no */"
	fi
}

{
	echo "/* Made by compat-probe.sh for Linux $release. */"

	# Anything at all must compile, or every answer below is worthless.
	if ! echo '	struct bio_list list; bio_list_init(&list);' | probe "$@"; then
		echo '#error "compat-probe.sh: the compiler and flags given cannot compile anything"'
	fi

	echo '	blk_mode_t mode = BLK_OPEN_READ; (void)mode;' |
		works COWP_HAVE_BLK_MODE "$@"
	echo '	struct file *file = bdev_file_open_by_dev(0, 0, NULL, NULL); fput(file);' |
		works COWP_HAVE_BDEV_FILE "$@"
	echo '	struct bdev_handle *h = bdev_open_by_dev(0, 0, NULL, NULL); bdev_release(h);' |
		works COWP_HAVE_BDEV_HANDLE "$@"
	echo '	blkdev_put(blkdev_get_by_dev(0, 0, NULL, NULL), NULL);' |
		works COWP_HAVE_HOLDER_OPS "$@"
	echo '	struct bio_list a, b; bio_list_merge_init(&a, &b);' |
		works COWP_HAVE_BIO_LIST_MERGE_INIT "$@"
} > "$header.tmp.$$" && mv "$header.tmp.$$" "$header"
