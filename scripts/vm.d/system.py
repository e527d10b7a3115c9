# SPDX-License-Identifier: GPL-2.0-only
"""A machine with a system on a disk of its own (--system): what it boots from, and
the files of the test, which it asks for when its agent runs."""

import io
import os
import subprocess
import tarfile

from common import Failure
from initramfs import conf
from machine import Disk

# In the guest; the agent's first program unpacks the files there
DIRECTORY = "/run/vm"


def load(options, directory):
    """Kernel and initramfs; the root disk becomes the machine's first one"""
    given = options.system
    for name in ("disk", "vmlinuz", "initrd", "release"):
        if not os.path.exists(os.path.join(given, name)):
            raise Failure(f"no {name} in {given}: make it by tests/boot/image")
    if options.module or options.module_file or options.kmod or options.prog:
        raise Failure("--system has its own modules and programs: see tests/boot/image")
    root = Disk("root")
    root.file = os.path.join(directory, "root.disk")
    # The holes stay holes
    if subprocess.run(["cp", os.path.join(given, "disk"), root.file], check=False).returncode:
        raise Failure(f"no copy of the disk of {given} in {directory}")
    options.disk.insert(0, root)
    with open(os.path.join(given, "release")) as release:
        kernel = {"release": release.read().strip(),
                  "image": os.path.join(given, "vmlinuz")}
    return kernel, os.path.join(given, "initrd")


def files(options):
    """An archive of the script, --file, --dir and what "disk" has to know"""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.add(options.script, "script")
        for item in options.file + options.dir:
            source, _, target = item.rpartition(":")
            if not source or not target.startswith(DIRECTORY + "/"):
                raise Failure(f"'{item}' is not HOSTPATH:{DIRECTORY}/...")
            archive.add(source, target[len(DIRECTORY) + 1:])
        text = conf(options, os.path.join(DIRECTORY, "script")).encode()
        entry = tarfile.TarInfo("vm.conf")
        entry.size = len(text)
        archive.addfile(entry, io.BytesIO(text))
    return out.getvalue()
