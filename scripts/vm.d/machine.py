# SPDX-License-Identifier: GPL-2.0-only
"""One QEMU process: its command line, its disks, its sockets."""

import contextlib
import ctypes
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import time

from common import Failure, which

QEMU = os.environ.get("COWPROTECT_QEMU") or "qemu-system-x86_64"
PR_SET_PDEATHSIG = 1
UNPLUG_SECONDS = 60
# Cold-plugged and hot-plugged virtio disks have a root port each: a root port
# is what PCIe can plug into.
PORTS = 16

COMMAND_LINE = " ".join([
    "console=ttyS0", "loglevel=7", "printk.time=1",
    # A machine that cannot go on ends at once instead of at the time limit
    "panic=-1", "oops=panic",
    # An emulated processor is slow: what takes so long there is stuck all the same
    "sysctl.kernel.hung_task_timeout_secs=120", "sysctl.kernel.hung_task_warnings=-1",
    "watchdog_thresh=30", "workqueue.watchdog_thresh=90",
    "rcupdate.rcu_cpu_stall_timeout=90",
    # Speed of booting and of running under emulation
    "mitigations=off", "nokaslr", "no_timer_check", "random.trust_cpu=on",
    "cryptomgr.notests", "audit=0", "selinux=0", "apparmor=0",
])


def parse_size(text):
    match = re.fullmatch(r"(\d+)([KMGT]?)(?:i?B)?", text, re.I)
    if not match:
        raise Failure(f"'{text}' is not a size such as 65536, 64M or 1G")
    return int(match[1]) << 10 * " KMGT".index(match[2].upper() or " ")


class Disk:
    """What --disk NAME,KEY=VALUE,... asks for, and the file behind it"""

    KEYS = ("size", "file", "serial", "cache", "lbs", "bus", "fua", "plugged")

    def __init__(self, text):
        self.name, *pairs = text.split(",")
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,15}", self.name):
            raise Failure(f"disk name '{self.name}': up to 16 letters, digits, _ . -")
        values = dict(pair.partition("=")[::2] for pair in pairs)
        for key in values:
            if key not in self.KEYS:
                raise Failure(f"disk {self.name}: no option '{key}', only "
                              + " ".join(self.KEYS))
        self.size = parse_size(values["size"]) if "size" in values else None
        self.file = values.get("file")
        self.serial = values.get("serial", self.name)
        self.cache = self._choice(values, "cache", "on", "off")
        self.lbs = self._choice(values, "lbs", "512", "4096")
        self.bus = self._choice(values, "bus", "virtio", "scsi")
        self.fua = self._choice(values, "fua", "off", "on")
        self.present = self._choice(values, "plugged", "on", "off") == "on"
        if self.fua == "on" and self.bus != "scsi":
            raise Failure(f"disk {self.name}: only bus=scsi can have fua=on")
        self.port = None
        self.target = None

    def _choice(self, values, key, *choices):
        value = values.get(key, choices[0])
        if value not in choices:
            raise Failure(f"disk {self.name}: {key}={value} is not one of "
                          + " ".join(choices))
        return value

    def create(self, directory):
        """A sparse file, or the file that the user gave, of the size he gave"""
        if not self.file:
            if self.size is None:
                raise Failure(f"disk {self.name} needs size= or file=")
            self.file = os.path.join(directory, self.name + ".disk")
        self.file = os.path.abspath(self.file)
        if self.size is None and not os.path.exists(self.file):
            raise Failure(f"disk {self.name}: no file {self.file}; give size= to make it")
        with open(self.file, "ab") as opened:
            if self.size is not None:
                opened.truncate(self.size)

    def blockdev(self):
        # A killed QEMU loses nothing that the host's page cache has: flushes
        # need not reach the host's disk.
        return {"driver": "raw", "node-name": "disk-" + self.name,
                "cache": {"no-flush": True}, "discard": "unmap",
                "file": {"driver": "file", "filename": self.file,
                         "discard": "unmap", "cache": {"no-flush": True}}}

    def device(self):
        device = {"id": "dev-" + self.name, "drive": "disk-" + self.name,
                  "serial": self.serial, "logical_block_size": int(self.lbs),
                  "physical_block_size": 4096, "write-cache": self.cache}
        if self.bus == "scsi":
            return {"driver": "scsi-hd", "bus": "scsi.0", "scsi-id": self.target,
                    "dpofua": self.fua == "on",
                    **device}
        return {"driver": "virtio-blk-pci", "bus": f"port{self.port}",
                # The guest shall not switch the cache mode that the test chose
                "config-wce": False, "num-queues": 2, **device}


def assign_addresses(disks):
    for target, disk in enumerate(disk for disk in disks if disk.bus == "scsi"):
        disk.target = target
    virtio = [disk for disk in disks if disk.bus == "virtio"]
    if len(virtio) > PORTS:
        raise Failure(f"at most {PORTS} virtio disks: use bus=scsi for the others")
    for port, disk in enumerate(virtio):
        disk.port = port


def accelerator(accel, options):
    if options.icount:
        return ["-accel", "tcg,thread=single", "-cpu", "max",
                "-icount", "shift=0,sleep=off", "-smp", "1"]
    cpus = ["-smp", str(options.cpus)]
    if accel == "kvm":
        return ["-accel", "kvm", "-cpu", "host", *cpus]
    return ["-accel", "tcg,thread=multi", "-cpu", "max,la57=off", *cpus]


def command_line(options, boot):
    words = [COMMAND_LINE, f"BOOT={boot}"]
    if options.system:
        words += ["root=LABEL=root", "ro"]
    elif any(disk.bus == "scsi" for disk in options.disk):
        # init names the targets to look at
        words.append("scsi_mod.scan=manual")
    return " ".join(words + options.param + options.append)


def base_arguments(kernel, initramfs, accel, options, console):
    return [which(QEMU), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-machine", "q35", *accelerator(accel, options), "-m", options.mem,
            "-kernel", kernel["image"], "-initrd", initramfs,
            "-chardev", f"file,id=console,path={console},append=on",
            "-serial", "chardev:console"]


def disk_arguments(disks):
    arguments = []
    for disk in disks:
        if disk.bus == "virtio":
            arguments += ["-device", f"pcie-root-port,id=port{disk.port},"
                                     f"chassis={disk.port + 1},slot={disk.port + 1},"
                                     "bus=pcie.0"]
    if any(disk.bus == "scsi" for disk in disks):
        arguments += ["-device", "virtio-scsi-pci,id=scsi,num_queues=2"]
    for disk in disks:
        if disk.present:
            arguments += ["-blockdev", json.dumps(disk.blockdev()),
                          "-device", json.dumps(disk.device())]
    return arguments


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Machine:
    """A running QEMU.  Whoever waits for something calls pump until it is there;
    pump collects what arrives."""

    def __init__(self, arguments, directory):
        self.errors_path = os.path.join(directory, "qemu-errors")
        self.control = b""
        self.qmp = b""
        self.events = []
        self.open_channels = 0
        self.selector = selectors.DefaultSelector()
        self.sockets = {}
        theirs = [self._channel(name) for name in ("control", "qmp")]
        arguments = arguments + [
            "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=control,fd={theirs[0].fileno()}",
            "-device", "virtserialport,chardev=control,name=cowprotect.control",
            "-chardev", f"socket,id=qmp,fd={theirs[1].fileno()}",
            "-mon", "chardev=qmp,mode=control"]
        with open(self.errors_path, "wb") as errors:
            self.process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors,
                preexec_fn=die_with_parent,
                pass_fds=[sock.fileno() for sock in theirs])
        for sock in theirs:
            sock.close()
        self._qmp_hello()

    def _channel(self, name):
        ours, theirs = socket.socketpair()
        self.sockets[name] = ours
        self.selector.register(ours, selectors.EVENT_READ, name)
        self.open_channels += 1
        return theirs

    def pump(self, timeout):
        """Take in what has arrived, waiting for it at most so long"""
        for key, _ in self.selector.select(max(timeout, 0)):
            try:
                data = key.fileobj.recv(1 << 16)
            except ConnectionResetError:
                data = b""
            if not data:
                self.selector.unregister(key.fileobj)
                self.open_channels -= 1
            elif key.data == "control":
                self.control += data
            else:
                self.qmp += data

    def pump_until(self, ready, seconds):
        """Pump until ready() is true; False if the time or the machine ends"""
        deadline = time.monotonic() + seconds
        while not ready():
            left = deadline - time.monotonic()
            if left <= 0 or not self.open_channels:
                return ready()
            self.pump(left)
        return True

    def _qmp_messages(self):
        while b"\n" in self.qmp:
            line, self.qmp = self.qmp.split(b"\n", 1)
            yield json.loads(line)

    def _qmp_hello(self):
        if not self.pump_until(lambda: b"\n" in self.qmp, 30):
            self.kill()
            raise Failure("QEMU does not start: " + self.errors())
        self.qmp = b""
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        try:
            self.sockets["qmp"].sendall(json.dumps(request).encode())
        except BrokenPipeError:
            raise Failure("QEMU has ended: " + self.errors()) from None
        answer = []

        def answered():
            for message in self._qmp_messages():
                (self.events if "event" in message else answer).append(message)
            return answer

        if not self.pump_until(answered, 60):
            if not self.open_channels:
                raise Failure("QEMU has ended: " + self.errors())
            raise Failure(f"QEMU does not answer to {command}")
        if "error" in answer[0]:
            raise Failure(f"{command}: {answer[0]['error']['desc']}")

    def _deleted(self, device):
        def seen():
            self.events += list(self._qmp_messages())
            return any(event.get("event") == "DEVICE_DELETED" and
                       event["data"].get("device") == device for event in self.events)
        return seen

    def plug(self, disk):
        self.execute("blockdev-add", **disk.blockdev())
        self.execute("device_add", **disk.device())
        disk.present = True

    def unplug(self, disk):
        self.events.clear()
        device = "dev-" + disk.name
        self.execute("device_del", id=device)
        if not self.pump_until(self._deleted(device), UNPLUG_SECONDS):
            raise Failure(f"the guest has not let go of {disk.name} in "
                          f"{UNPLUG_SECONDS} s")
        self.execute("blockdev-del", **{"node-name": "disk-" + disk.name})
        disk.present = False

    def resize(self, disk, size):
        self.execute("block_resize", **{"node-name": "disk-" + disk.name, "size": size})

    def answer(self, status, data):
        self.sockets["control"].sendall(b"%d %d\n" % (status, len(data)) + data)

    def sysrq(self, letter):
        self.sockets["control"].sendall(b"sysrq %s\n" % letter.encode())

    def ended(self):
        return not self.open_channels

    def end_reason(self):
        """What QEMU has ended for by itself: guest-reset, guest-shutdown, or None"""
        self.events += list(self._qmp_messages())
        reasons = [event["data"]["reason"] for event in self.events
                   if event.get("event") == "SHUTDOWN"]
        return reasons[-1] if reasons else None

    def kill(self):
        """End the process at once; what its guest has sent still comes"""
        if self.ended():
            # It is about to end by itself: how is worth knowing
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        while self.open_channels:
            self.pump(1)
        for sock in self.sockets.values():
            sock.close()

    def errors(self):
        """What QEMU printed, and how it ended where that was by a signal"""
        with open(self.errors_path, errors="replace") as errors:
            text = errors.read().strip() or "(QEMU printed nothing)"
        status = self.process.poll()
        if status is None or status >= 0:
            return text
        return f"{text} (QEMU was ended by {signal.Signals(-status).name})"
