// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module: two targets and the workqueues that all volumes share.
 *
 * Whatever can outlive a table (a volume with I/O still out, a device being
 * closed) holds a reference to the module, and drops it as the last thing that
 * it does on cowp_wq; so rmmod answers -EBUSY meanwhile, and destroying the
 * workqueue waits until the code behind that last drop has been left.
 */
#include <linux/module.h>
#include "shell.h"

struct workqueue_struct *cowp_wq;
struct workqueue_struct *cowp_crc_wq;

static int __init cowp_queues_init(void)
{
	cowp_wq = alloc_workqueue("cowprotect", WQ_MEM_RECLAIM, 0);
	if (!cowp_wq)
		return -ENOMEM;
	cowp_crc_wq = alloc_workqueue("cowprotect_crc", WQ_MEM_RECLAIM | WQ_CPU_INTENSIVE, 0);
	if (!cowp_crc_wq) {
		destroy_workqueue(cowp_wq);
		return -ENOMEM;
	}
	return 0;
}

static void cowp_queues_exit(void)
{
	destroy_workqueue(cowp_crc_wq);
	destroy_workqueue(cowp_wq);
}

static int __init cowp_init(void)
{
	int r;

	r = cowp_crc_init();
	if (r)
		return r;
	r = cowp_queues_init();
	if (r)
		goto no_queues;
	r = dm_register_target(&cowp_live_target);
	if (r)
		goto no_live;
	r = dm_register_target(&cowp_snapshot_target);
	if (r)
		goto no_snapshot;
	return 0;

no_snapshot:
	dm_unregister_target(&cowp_live_target);
no_live:
	cowp_queues_exit();
no_queues:
	cowp_crc_exit();
	DMERR("cannot register the targets (error %d)", r);
	return r;
}

static void __exit cowp_exit(void)
{
	dm_unregister_target(&cowp_snapshot_target);
	dm_unregister_target(&cowp_live_target);
	cowp_queues_exit();
	cowp_crc_exit();
}

module_init(cowp_init);
module_exit(cowp_exit);

MODULE_DESCRIPTION(DM_NAME " snapshots with a protection mode");
MODULE_AUTHOR("The dm-cowprotect authors");
MODULE_LICENSE("GPL");
#ifdef COWP_VERSION
MODULE_VERSION(COWP_VERSION);
#endif
MODULE_ALIAS("dm-cowprotect");
MODULE_ALIAS("dm-cowprotect-snap");
MODULE_SOFTDEP("pre: crc32c-intel crc32c");
