// SPDX-License-Identifier: GPL-2.0-only
/* What libblkid knows of a device that is going to be overwritten. */
#include <blkid/blkid.h>

#include "signature.h"

bool signature_found(const struct area *a)
{
	blkid_probe pr = blkid_new_probe();
	const char *type = NULL;
	int ret;

	if (!pr || blkid_probe_set_device(pr, a->fd, 0, 0)) {
		tool_error(a->path, "cannot be probed for signatures: %s; see the kernel log",
			   strerror(errno));
		blkid_free_probe(pr);
		return true;
	}
	blkid_probe_enable_superblocks(pr, 1);
	blkid_probe_set_superblocks_flags(pr, BLKID_SUBLKS_TYPE);
	blkid_probe_enable_partitions(pr, 1);
	ret = blkid_do_safeprobe(pr);
	if (ret == 0 && blkid_probe_lookup_value(pr, "TYPE", &type, NULL) &&
	    blkid_probe_lookup_value(pr, "PTTYPE", &type, NULL))
		type = "unknown";
	if (ret == 0)
		tool_error(a->path, "holds a signature of type %s; give --force to overwrite it",
			   type);
	else if (ret == -2)
		tool_error(a->path,
			   "holds more than one signature; give --force to overwrite it");
	else if (ret < 0)
		tool_error(a->path, "cannot be probed for signatures: %s; see the kernel log",
			   strerror(errno));
	blkid_free_probe(pr);
	return ret != 1;
}
