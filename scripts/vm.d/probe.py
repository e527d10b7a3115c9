# SPDX-License-Identifier: GPL-2.0-only
"""Can KVM run this kernel here?  /dev/kvm may exist and yet hang it."""

import hashlib
import os
import subprocess
import tempfile
import time

from common import CACHE, locked, prune, say, which
from console import lines_of
from machine import QEMU, die_with_parent

PROBE_SECONDS = 6
# Nested virtualization may work most of the time
PROBES = 3


def read(path):
    with open(path) as opened:
        return opened.read()


def host_key(kernel):
    """What the answer depends on; a new boot of the host may change it"""
    cpu = [line for line in read("/proc/cpuinfo").splitlines() if "model name" in line]
    version = subprocess.run([which(QEMU), "--version"], text=True, check=False,
                             stdout=subprocess.PIPE).stdout
    words = [read("/proc/sys/kernel/random/boot_id"), *cpu[:1], *os.uname(), version,
             kernel["image"]]
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:12]


def reaches_userspace(kernel, directory):
    console = os.path.join(directory, "console")
    open(console, "w").close()
    process = subprocess.Popen(
        [which(QEMU), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
         "-machine", "q35", "-accel", "kvm", "-cpu", "host", "-smp", "2", "-m", "512M",
         "-kernel", kernel["image"], "-append", "console=ttyS0 panic=-1",
         "-serial", "file:" + console],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        deadline = time.monotonic() + PROBE_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.1)
        # Without an initramfs it gets as far as looking for a root device
        return any("VFS:" in line for line in lines_of(console))
    finally:
        process.kill()
        process.wait()


def choose(kernel):
    """'kvm' or 'tcg', found out once and remembered in the cache"""
    forced = os.environ.get("COWPROTECT_ACCEL")
    if forced:
        return forced
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    path = os.path.join(CACHE, "accel-" + host_key(kernel))
    with locked("accel"):
        if not os.path.exists(path):
            say(f"trying KVM with {kernel['release']}")
            with tempfile.TemporaryDirectory() as directory:
                works = all(reaches_userspace(kernel, directory) for _ in range(PROBES))
            with open(path + ".new", "w") as out:
                out.write("kvm" if works else "tcg")
            os.rename(path + ".new", path)
            prune("accel-*")
    return read(path)
