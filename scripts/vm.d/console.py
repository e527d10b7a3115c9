# SPDX-License-Identifier: GPL-2.0-only
"""What on the kernel's console says that the kernel has found a bug."""

import re

COMPLAINTS = re.compile(r"""
      \bBUG: | \bOops\b | \bWARNING: | Kernel\ panic | kernel\ BUG\ at
    | general\ protection\ fault | divide\ error | unable\ to\ handle
    | KASAN: | UBSAN: | KCSAN: | KFENCE: | KMSAN: | ODEBUG:
    | INFO:\ task\ .*\ blocked\ for\ more | INFO:\ trying\ to\ register
    | INFO:\ rcu | rcu:\ INFO:\ .*stall | rcu_preempt\ kthread
    | soft\ lockup | hard\ LOCKUP | workqueue\ lockup
    | DEBUG_LOCKS_WARN_ON | suspicious\ RCU | INFO:\ possible | INFO:\ lockdep
    | scheduling\ while\ atomic | sleeping\ function\ called
    | list_add\ corruption | list_del\ corruption | refcount_t:
    | Bad\ page | bad:\ scheduling | unreferenced\ object
    | Out\ of\ memory: | Memory\ cgroup\ out\ of\ memory
    | ^vm:\ cannot
""", re.X)

# The kernel's clock, the first thing on each line
STAMP = re.compile(r"^\[ *\d+\.\d+\](\[[^\]]*\])? ")


def lines_of(path):
    with open(path, errors="replace") as log:
        return [line.rstrip("\r\n") for line in log]


def complaints(path, allowed):
    """The lines of the log that report a bug and that nobody allowed"""
    allowed = [re.compile(pattern) for pattern in allowed]
    texts = [STAMP.sub("", line) for line in lines_of(path)]
    return [text for text in texts if COMPLAINTS.search(text)
            and not any(pattern.search(text) for pattern in allowed)]
