# SPDX-License-Identifier: GPL-2.0-only
"""What the parts of scripts/vm share: the cache, its locks, its errors."""

import contextlib
import fcntl
import glob
import os
import shutil
import sys
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CACHE = os.path.abspath(os.environ.get("COWPROTECT_CACHE") or
                        os.path.join(TREE, ".cache"))
KEEP_SECONDS = 14 * 24 * 3600


class Failure(Exception):
    """An error for the user: says what is wrong and how to mend it."""


def say(text):
    print("vm: " + text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(name):
    """One at a time among all trees that share the cache"""
    os.makedirs(os.path.join(CACHE, "lock"), exist_ok=True)
    with open(os.path.join(CACHE, "lock", name), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def which(program):
    """The path of a program; the guest's kind of order, then the user's"""
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin:" +
                        os.environ.get("PATH", ""))
    if not path:
        raise Failure(f"no program '{program}' on this machine: run scripts/setup"
                      " or install it")
    return os.path.abspath(path)


def prune(pattern):
    """Remove entries of the cache that no run has used for two weeks"""
    for path in glob.glob(os.path.join(CACHE, pattern)):
        if os.stat(path).st_mtime < time.time() - KEEP_SECONDS:
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                os.unlink(path)
