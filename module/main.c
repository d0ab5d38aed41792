// SPDX-License-Identifier: GPL-2.0-only
/*
 * dm-tidemark: changed-block tracking for replication. Load and unload.
 *
 * Unloading needs no more than this: each table and each open file of the
 * control device holds a reference to the module.
 */
#include <linux/module.h>

#include "control.h"
#include "event.h"
#include "gate.h"
#include "keep.h"
#include "preserve.h"
#include "reboot.h"
#include "target.h"
#include "view.h"

static int __init tidemark_init(void)
{
	int err;

	err = tidemark_gate_init();
	if (err)
		return err;
	err = tidemark_preserve_setup();
	if (err)
		goto err_gate;
	err = tidemark_keep_setup();
	if (err)
		goto err_preserve;
	err = tidemark_event_init();
	if (err)
		goto err_keep;
	err = tidemark_control_init();
	if (err)
		goto err_event;
	err = tidemark_target_init();
	if (err)
		goto err_control;
	err = tidemark_view_init();
	if (err)
		goto err_target;
	err = tidemark_reboot_init();
	if (err)
		goto err_view;
	return 0;

err_view:
	tidemark_view_exit();
err_target:
	tidemark_target_exit();
err_control:
	tidemark_control_exit();
err_event:
	tidemark_event_exit();
err_keep:
	tidemark_keep_teardown();
err_preserve:
	tidemark_preserve_teardown();
err_gate:
	tidemark_gate_exit();
	return err;
}

static void __exit tidemark_exit(void)
{
	tidemark_reboot_exit();
	tidemark_view_exit();
	tidemark_target_exit();
	tidemark_control_exit();
	tidemark_event_exit();
	tidemark_keep_teardown();
	tidemark_preserve_teardown();
	tidemark_gate_exit();
}

module_init(tidemark_init);
module_exit(tidemark_exit);

MODULE_DESCRIPTION("Tidemark: changed-block tracking for replication");
MODULE_AUTHOR("The Tidemark authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
