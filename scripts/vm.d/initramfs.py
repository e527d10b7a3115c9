# SPDX-License-Identifier: GPL-2.0-only
"""The guest's file system: host programs with their libraries, kernel modules,
and what the run adds, as cpio archives that the kernel unpacks one after the
other.  The programs' archive is made once and kept in the cache."""

import glob
import hashlib
import lzma
import os
import re
import shlex
import shutil
import stat
import subprocess
import tempfile

from common import CACHE, Failure, locked, prune, which

HERE = os.path.dirname(os.path.realpath(__file__))
GUEST = os.path.join(HERE, "guest")

PROGRAMS = """
    bash sed grep awk find xargs diff cmp
    mount umount blockdev losetup blkdiscard fsfreeze lsblk flock setsid dmesg
    findmnt mkswap swapon swapoff taskset wipefs
    mke2fs mkfs.ext4 e2fsck fsck.ext4 tune2fs dumpe2fs debugfs resize2fs
    dmsetup kmod modprobe insmod rmmod lsmod depmod
""".split()

# A module that a kernel has built in, or does not have, is passed over.
MODULES = """
    virtio_pci virtio_console configfs virtio_blk virtio_scsi sd_mod dm-mod dm-snapshot dm-thin-pool dm-log-writes
    dm-flakey dm-delay dm-dust dm-zero dm-mirror dm-integrity dm-crypt
    null_blk brd scsi_debug loop nbd ext4 libcrc32c crc32c_generic crc32c-intel
""".split()

DIRECTORIES = """
    dev proc sys run tmp root mnt etc usr usr/bin usr/sbin usr/lib usr/lib64
    usr/lib/busybox usr/lib/modules var
""".split()

LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib",
         "lib64": "usr/lib64", "var/run": "../run", "usr/bin/sh": "bash",
         "etc/mtab": "../proc/self/mounts",
         # init copies these once /dev is mounted
         "etc/dev/fd": "/proc/self/fd", "etc/dev/stdin": "/proc/self/fd/0",
         "etc/dev/stdout": "/proc/self/fd/1", "etc/dev/stderr": "/proc/self/fd/2"}

FSTAB = """\
proc /proc proc defaults 0 0
sys /sys sysfs defaults 0 0
dev /dev devtmpfs defaults 0 0
run /run tmpfs defaults 0 0
tmp /tmp tmpfs defaults 0 0
debug /sys/kernel/debug debugfs defaults,nofail 0 0
trace /sys/kernel/tracing tracefs defaults,nofail 0 0
"""


class Archive:
    """A cpio archive (newc) that creates parent directories as needed."""

    def __init__(self, out):
        self.out = out
        self.paths = set()
        self.inode = 0

    def _entry(self, path, mode, data):
        self.inode += 1
        name = path.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + name
        self.out.write(header + b"\0" * (-len(header) % 4))
        self.out.write(data + b"\0" * (-len(data) % 4))

    def _new(self, path):
        """The path as in the archive, or None if it is there already"""
        path = path.strip("/")
        if re.match(r"(bin|sbin|lib|lib64)(/|$)", path) and path not in LINKS:
            path = "usr/" + path
        if path in self.paths:
            return None
        parent = os.path.dirname(path)
        if parent:
            self.directory(parent)
        self.paths.add(path)
        return path

    def directory(self, path):
        path = self._new(path)
        if path:
            self._entry(path, stat.S_IFDIR | 0o755, b"")

    def link(self, path, target):
        path = self._new(path)
        if path:
            self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def data(self, path, data, mode=0o644):
        path = self._new(path)
        if path:
            self._entry(path, stat.S_IFREG | mode, data)

    def file(self, path, source):
        with open(source, "rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode & 0o777
            self.data(path, opened.read(), mode)

    def installed(self, path):
        """A file of the host under its own path, with the link that leads to it"""
        real = os.path.realpath(path)
        directory = os.path.realpath(os.path.dirname(path))
        if os.path.join(directory, os.path.basename(path)) != real:
            self.link(path, real)
        self.file(real, real)

    def tree(self, path, source):
        for directory, _, names in os.walk(source):
            inside = os.path.join(path, os.path.relpath(directory, source))
            self.directory(os.path.normpath(inside))
            for name in names:
                self.file(os.path.normpath(os.path.join(inside, name)),
                          os.path.join(directory, name))

    def end(self):
        self._entry("TRAILER!!!", 0, b"")


def coreutils():
    listing = subprocess.run(["dpkg-query", "-L", "coreutils"], text=True,
                             check=True, stdout=subprocess.PIPE).stdout
    return [path for path in listing.split()
            if "/bin/" in path and os.path.isfile(path)]


def libraries(paths):
    """What the loader finds for these programs, the loader included"""
    listing = subprocess.run(["ldd", *paths], text=True, check=False,
                             stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL).stdout
    missing = re.search(r"^\s*(\S+) => not found", listing, re.M)
    if missing:
        raise Failure(f"library {missing[1]} is not installed on this machine")
    return sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(0x", listing, re.M)))


def build_agent(directory):
    agent = os.path.join(directory, "agent")
    built = subprocess.run([which("gcc"), "-static", "-O2", "-Wall", "-Wextra", "-o", agent,
                            os.path.join(GUEST, "agent.c")],
                           check=False, text=True, stderr=subprocess.PIPE)
    if built.returncode:
        raise Failure("cannot build the guest agent (scripts/setup installs gcc):\n"
                      + built.stderr)
    return agent


def add_programs(archive, programs):
    paths = [which(program) for program in programs]
    for path in paths:
        if re.match(r"(/usr)?/s?bin/", path):
            archive.installed(path)
        else:
            archive.file("usr/bin/" + os.path.basename(path), path)
    for library in libraries(paths):
        archive.installed(library)


def write_base(out):
    archive = Archive(out)
    for directory in DIRECTORIES:
        archive.directory(directory)
    for path, target in LINKS.items():
        archive.link(path, target)
    add_programs(archive, PROGRAMS + coreutils())
    with tempfile.TemporaryDirectory() as directory:
        archive.file("usr/bin/agent", build_agent(directory))
    for name in ("host", "disk"):
        archive.file("usr/bin/" + name, os.path.join(GUEST, name))
    archive.file("init", os.path.join(GUEST, "init"))
    archive.data("etc/fstab", FSTAB.encode())
    archive.data("etc/passwd", b"root:x:0:0:root:/root:/bin/bash\n")
    archive.data("etc/group", b"root:x:0:\n")
    for path in ("/etc/mke2fs.conf", "/etc/ld.so.cache"):
        if os.path.exists(path):
            archive.file(path, path)
    # What the host's packages do not provide comes last in the guest's PATH
    busybox = which("busybox")
    archive.installed(busybox)
    listing = subprocess.run([busybox, "--list"], text=True, check=True,
                             stdout=subprocess.PIPE).stdout
    for applet in listing.split():
        archive.link("usr/lib/busybox/" + applet, os.path.realpath(busybox))
    archive.end()


def write_programs(out, programs):
    archive = Archive(out)
    add_programs(archive, programs)
    archive.end()


def fingerprint(*words):
    """A key that changes with the guest's sources and the host's packages"""
    digest = hashlib.sha256()
    packages = os.stat("/var/lib/dpkg/status")
    words += (packages.st_mtime_ns, packages.st_size)
    for path in sorted(glob.glob(GUEST + "/*")) + [os.path.join(HERE, "initramfs.py")]:
        with open(path, "rb") as opened:
            digest.update(opened.read() + b"\0")
    digest.update(repr(words).encode())
    return digest.hexdigest()[:12]


def cached(name, write):
    """The path of a file in the cache, made by write(open file) if it is absent"""
    path = os.path.join(CACHE, name)
    if not os.path.exists(path):
        with locked("initramfs"):
            if not os.path.exists(path):
                with open(path + ".new", "wb") as out:
                    write(out)
                os.rename(path + ".new", path)
                prune("initramfs-*")
    os.utime(path)
    return path


def program_archives(programs):
    """The base system, and one more archive if the run wants more programs"""
    paths = [cached(f"initramfs-base-{fingerprint()}", write_base)]
    if programs:
        files = [(path, os.stat(path).st_mtime_ns) for path in map(which, programs)]
        paths.append(cached(f"initramfs-programs-{fingerprint(files)}",
                            lambda out: write_programs(out, programs)))
    return paths


def module_paths(modules):
    """Name -> path relative to the kernel's module directory"""
    paths = {}
    with open(os.path.join(modules, "modules.dep")) as lines:
        for line in lines:
            path, needed = line.rstrip("\n").split(":")
            name = os.path.basename(path).split(".")[0].replace("-", "_")
            paths[name] = [path, *needed.split()]
    return paths


def builtin_modules(modules):
    with open(os.path.join(modules, "modules.builtin")) as lines:
        return {os.path.basename(line.strip()).split(".")[0].replace("-", "_")
                for line in lines}


def copy_module(source, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if source.endswith(".xz"):
        with lzma.open(source) as packed, open(target.removesuffix(".xz"), "wb") as out:
            shutil.copyfileobj(packed, out)
    else:
        shutil.copyfile(source, target)


def copy_modules(kernel, wanted, target):
    modules = kernel["modules"]
    paths, builtin = module_paths(modules), builtin_modules(modules)
    for name in wanted:
        key = name.replace("-", "_")
        if key not in paths and key not in builtin and name not in MODULES:
            raise Failure(f"kernel {kernel['release']} has no module '{name}'")
        for path in paths.get(key, []):
            copy_module(os.path.join(modules, path), os.path.join(target, path))
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(os.path.join(modules, name), target)


def kernel_modules(kernel, wanted):
    """A directory in the cache with these modules of the kernel, unpacked"""
    key = hashlib.sha256(repr((kernel, MODULES, wanted)).encode()).hexdigest()[:12]
    path = os.path.join(CACHE, "modules-" + key)
    if not os.path.isdir(path):
        with locked("modules"):
            shutil.rmtree(path + ".new", ignore_errors=True)
            if not os.path.isdir(path):
                os.mkdir(path + ".new")
                copy_modules(kernel, MODULES + wanted, path + ".new")
                os.rename(path + ".new", path)
                prune("modules-*")
    os.utime(path)
    return path


def check_module(kernel, path):
    if not os.path.isfile(path):
        raise Failure(f"no module {path}: build it first")
    magic = subprocess.run([which("modinfo"), "-F", "vermagic", path], text=True,
                           check=False, stdout=subprocess.PIPE).stdout.split()
    if not magic or magic[0] != kernel["release"]:
        raise Failure(f"{path} is built for {magic[0] if magic else 'no kernel'},"
                      f" the guest runs {kernel['release']}:"
                      " see scripts/build-module")


def add_modules(archive, kernel, options, directory):
    """The kernel's modules and the run's own, with depmod's tables for both"""
    target = os.path.join(directory, "lib/modules", kernel["release"])
    shutil.copytree(kernel_modules(kernel, options.kmod), target)
    os.mkdir(os.path.join(target, "extra"))
    for path in options.module + options.module_file:
        check_module(kernel, path)
        shutil.copy(path, os.path.join(target, "extra"))
    subprocess.run([which("depmod"), "-b", directory, kernel["release"]], check=True)
    archive.tree("usr/lib/modules/" + kernel["release"], target)


def shell_array(name, words):
    return f"{name}=({' '.join(shlex.quote(word) for word in words)})\n"


def conf(options, script):
    """What programs of the guest have to know, for bash"""
    return "".join([
        *(f"VM_SERIALS[{disk.name}]={shlex.quote(disk.serial)}\n"
          for disk in options.disk),
        shell_array("VM_COMMAND", [script, *options.args]),
    ])


def add_run(archive, kernel, options, directory):
    add_modules(archive, kernel, options, directory)
    archive.file("root/script", options.script)
    for item in options.file + options.dir:
        source, _, target = item.rpartition(":")
        if not source or not target.startswith("/"):
            raise Failure(f"'{item}' is not HOSTPATH:/GUESTPATH")
        if os.path.isdir(source):
            archive.tree(target, source)
        else:
            archive.file(target, source)
    names = [os.path.basename(path).split(".")[0] for path in options.module]
    drivers = {"virtio": ["virtio_blk"], "scsi": ["virtio_scsi", "sd_mod"]}
    wanted = ["virtio_pci", "virtio_console", "configfs", "dm-mod", "crc32c-intel"] + sum(
        (drivers[bus] for bus in sorted({disk.bus for disk in options.disk})), [])
    archive.data("etc/vm.conf", "".join([
        shell_array("VM_MODULES", wanted),
        shell_array("VM_DISKS", [d.name for d in options.disk if d.present]),
        shell_array("VM_SCSI_TARGETS", [str(disk.target) for disk in options.disk
                                        if disk.bus == "scsi"]),
        shell_array("VM_LOAD", names),
        conf(options, "/root/script"),
    ]).encode())


def build(kernel, options, directory):
    """Write the initramfs of this run into the directory, return its path"""
    path = os.path.join(directory, "initramfs")
    with open(path, "wb") as out:
        for part in program_archives(options.prog):
            with open(part, "rb") as opened:
                shutil.copyfileobj(opened, out)
        archive = Archive(out)
        add_run(archive, kernel, options, os.path.join(directory, "modules"))
        archive.end()
    shutil.rmtree(os.path.join(directory, "modules"))
    return path
