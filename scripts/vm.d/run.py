# SPDX-License-Identifier: GPL-2.0-only
"""One run of a guest script: boots, requests of the guest, the verdict."""

import os
import subprocess
import sys
import time

import console
import initramfs
import machine
import probe
import system
from common import TREE, Failure, say

TIMED_OUT, COMPLAINED, DIED = 124, 123, 122
CONSOLE_START, CONSOLE_END = "vm: the script starts", "vm: end of the run"
CONSOLE_LINES = 120
EXCERPT_LINES = 40
EXCERPTS = 3
ENDS = {"reboot": "guest-reset", "poweroff": "guest-shutdown"}
# An emulated machine that a busy host starves may hang or panic while its kernel
# sets up clocks and interrupts.  Nothing under test has run by then.
FIRST_PROCESS = "Run /init as init process"
FIRST_PROCESS_SECONDS = 300
FAILED_BOOTS = 2
LATE_POLL_SECONDS = 0.5


def kernel_info(name):
    info = subprocess.run([os.path.join(TREE, "scripts/kdir"), "--info", name],
                          text=True, check=False, stdout=subprocess.PIPE)
    if info.returncode:
        raise Failure(f"kernel {name} cannot be set up")
    return dict(line.split("=", 1) for line in info.stdout.splitlines())


def print_output(data):
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


class Run:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.console = os.path.join(directory, "console")
        self.boot = 0
        # How the machine is about to end by itself, by when, and how it did last
        self.expected = None
        self.ended = b""
        # Disks that come so many seconds after a text on this boot's console, and on
        # the next one's: name -> [seconds, text, when it was seen]
        self.late = {}
        self.late_next = {}
        self.failed_boots = 0
        self.status = None
        self.machine = None

    def execute(self):
        """Run the script to its end; the exit status of the whole"""
        if self.options.system:
            self.kernel, self.initramfs = system.load(self.options, self.directory)
        else:
            self.kernel = kernel_info(self.options.kernel)
        self.disks = {disk.name: disk for disk in self.options.disk}
        if len(self.disks) != len(self.options.disk):
            raise Failure("two disks have the same name")
        for disk in self.options.disk:
            disk.create(self.directory)
        machine.assign_addresses(self.options.disk)
        if not self.options.system:
            self.initramfs = initramfs.build(self.kernel, self.options, self.directory)
        self.accel = self.options.accel or probe.choose(self.kernel)
        self.deadline = time.monotonic() + self.options.timeout
        try:
            self.power_on()
            verdict = self.serve()
        finally:
            if self.machine:
                self.power_off()
            self.save_console()
        return self.judge(verdict)

    def power_on(self):
        self.boot += 1
        with open(self.console, "a") as log:
            self.boot_console = log.tell()
            log.write(f"----- boot {self.boot} -----\n")
        self.started = time.monotonic()
        self.first_process_by = self.started + FIRST_PROCESS_SECONDS
        self.late, self.late_next = self.late_next, {}
        for name in self.late:
            self.disks[name].present = False
        arguments = machine.base_arguments(
            self.kernel, self.initramfs, self.accel, self.options, self.console)
        arguments += ["-append", machine.command_line(self.options, self.boot)]
        arguments += machine.disk_arguments(self.options.disk)
        self.machine = machine.Machine(arguments, self.directory)

    def power_off(self):
        """At once; what the script has printed is not lost"""
        self.machine.kill()
        while self.request_ready():
            verb, _, payload = self.next_request()
            if verb == "out":
                print_output(payload)

    def serve(self):
        """Carry out what the guest asks for until the script ends: None, or what
        ended the machine before it"""
        while self.status is None:
            if not self.machine.pump_until(self.request_ready, self.patience()):
                if self.plugs_late() or self.has_ended_well() or self.boots_at_last():
                    continue
                if self.time_left() > 0:
                    return DIED
                self.report_stuck()
                return TIMED_OUT
            verb, args, payload = self.next_request()
            if verb == "start":
                self.report_start()
            elif verb == "exit":
                self.status = int(args[0])
            elif verb == "out":
                print_output(payload)
            elif verb == "powercut":
                self.power_off()
                self.power_on()
            else:
                self.answer(verb, args, payload)
        self.await_console_end()
        return None

    def time_left(self):
        return self.deadline - time.monotonic()

    def patience(self):
        """How long to wait for the guest: at first only for its kernel"""
        until = [self.deadline]
        if self.late:
            until.append(time.monotonic() + LATE_POLL_SECONDS)
        if self.first_process_by:
            until.append(self.first_process_by)
        if self.expected:
            until.append(self.expected[1])
        return min(until) - time.monotonic()

    def plugs_late(self):
        """Plug in what comes late and is due.  True if that was all to wait for"""
        now = time.monotonic()
        if not self.late or self.machine.ended() or self.time_left() <= 0:
            return False
        printed = self.printed()
        if self.first_process_by:
            if FIRST_PROCESS not in printed:
                return now < self.first_process_by
            self.first_process_by = None
        for name, (seconds, text, seen) in list(self.late.items()):
            if seen is None and text in printed:
                self.late[name][2] = seen = now
            if seen is not None and now >= seen + seconds:
                say(f"plugging {name} in")
                self.machine.plug(self.disk(name, present=False))
                del self.late[name]
        return True

    def printed(self):
        """On the console in this boot"""
        with open(self.console, errors="replace") as log:
            log.seek(self.boot_console)
            return log.read()

    def has_ended_well(self):
        """The machine was about to end, and has: then it is booted again.  If it is
        too late for that, or it has ended otherwise, the run is over"""
        if not self.expected or not self.machine.ended():
            if self.expected and time.monotonic() > self.expected[1]:
                say(f"no {self.expected[0]} in time")
                self.deadline = time.monotonic()
            return False
        kind, _, start = self.expected
        reason = self.machine.end_reason()
        if reason != ENDS[kind]:
            say(f"the end was to be a {kind}, and was: {reason}")
            return False
        self.expected = None
        self.ended = b"%s %d\n" % (kind.encode(), time.monotonic() - start)
        self.power_off()
        self.power_on()
        return True

    def boots_at_last(self):
        """Nothing came, or the machine ended.  True if there is reason to wait: the
        kernel has got to its first process, or is started once more"""
        if not self.first_process_by or self.time_left() <= 0:
            return False
        printed = self.printed()
        if FIRST_PROCESS in printed:
            self.first_process_by = None
            return not self.machine.ended()
        if self.failed_boots == FAILED_BOOTS:
            return False
        self.failed_boots += 1
        self.machine.kill()
        self.print_lines(f"boot {self.boot} does not get to the first process: once more",
                         printed.splitlines()[-EXCERPT_LINES:])
        os.truncate(self.console, self.boot_console)
        if self.accel == "kvm":
            self.accel = "tcg"
        self.boot -= 1
        self.power_on()
        return True

    def report_start(self):
        self.first_process_by = None
        seconds = time.monotonic() - self.started
        say(f"{self.kernel['release']}, {self.accel}, boot {self.boot}: "
            f"the script starts after {seconds:.1f} s")

    def report_stuck(self):
        """Have the kernel print what its CPUs do and the tasks that wait, and wait
        until it has: the console is quiet for two seconds, or for 30 s at most"""
        for letter in "lw":
            self.machine.sysrq(letter)
        size, deadline = None, time.monotonic() + 30
        while size != os.path.getsize(self.console) and time.monotonic() < deadline:
            size = os.path.getsize(self.console)
            self.machine.pump_until(lambda: False, 2)

    def await_console_end(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and not self.machine.ended():
            with open(self.console, "rb") as log:
                log.seek(max(0, os.path.getsize(self.console) - 65536))
                if CONSOLE_END.encode() in log.read():
                    return
            self.machine.pump(0.02)

    def request_ready(self):
        line, found, rest = self.machine.control.partition(b"\n")
        if not found:
            return False
        args, payload = map(int, line.split())
        return len(rest) >= args + payload

    def next_request(self):
        line, _, rest = self.machine.control.partition(b"\n")
        args, payload = map(int, line.split())
        words = rest[:args].decode(errors="replace").split("\0")[:-1]
        self.machine.control = rest[args + payload:]
        return words[0], words[1:], rest[args:args + payload]

    def answer(self, verb, args, payload):
        verbs = {"plug": self.plug, "unplug": self.unplug, "resize": self.resize,
                 "put": self.put, "get": self.get, "files": self.files,
                 "expect": self.expect, "ended": lambda: self.ended,
                 "append": self.append, "initrd": self.use_initrd,
                 "late": self.plug_late}
        try:
            if verb not in verbs:
                raise Failure(f"no such request '{verb}' (see host without arguments)")
            text = verbs[verb](*args, *([payload] if verb == "put" else []))
            self.machine.answer(0, text or b"")
        except (Failure, OSError) as error:
            self.machine.answer(1, f"host {verb}: {error}\n".encode())
        except TypeError:
            self.machine.answer(2, f"host {verb}: wrong number of arguments\n".encode())

    def disk(self, name, present):
        disk = self.disks.get(name)
        if not disk:
            raise Failure(f"no disk '{name}'")
        if disk.present != present:
            raise Failure(f"{name} is {'not ' if present else ''}plugged in")
        return disk

    def plug(self, name, path=None):
        disk = self.disk(name, present=False)
        if path:
            disk.file = os.path.abspath(path)
        self.machine.plug(disk)

    def unplug(self, name):
        self.machine.unplug(self.disk(name, present=True))

    def plug_late(self, name, seconds, text):
        if name not in self.disks:
            raise Failure(f"no disk '{name}'")
        self.late_next[name] = [float(seconds), text, None]

    def resize(self, name, size):
        disk = self.disk(name, present=True)
        size = machine.parse_size(size)
        self.machine.resize(disk, size)
        return b"%d\n" % size

    def files(self):
        return system.files(self.options)

    def expect(self, kind, seconds):
        if kind not in ENDS:
            raise Failure(f"'{kind}' is not one of " + " ".join(ENDS))
        now = time.monotonic()
        self.expected = kind, now + float(seconds), now

    def append(self, *words):
        self.options.append = list(words)

    def use_initrd(self, name):
        self.initramfs = self.put_path(name)

    def put_path(self, name):
        if not self.options.out:
            raise Failure("run scripts/vm with --out DIRECTORY to keep files")
        if "/" in name or name in ("", ".", ".."):
            raise Failure(f"'{name}' is not a plain file name")
        os.makedirs(self.options.out, exist_ok=True)
        return os.path.join(self.options.out, name)

    def put(self, name, payload):
        with open(self.put_path(name), "wb") as out:
            out.write(payload)

    def get(self, name):
        with open(self.put_path(name), "rb") as opened:
            return opened.read()

    def save_console(self):
        if self.options.console and os.path.exists(self.console):
            with open(self.console, "rb") as log, open(self.options.console, "wb") as out:
                out.write(log.read())

    def judge(self, verdict):
        found = console.complaints(self.console, self.options.allow)
        if verdict == TIMED_OUT:
            say(f"FAILED: no end after {self.options.timeout} s")
        elif verdict == DIED:
            say("FAILED: the machine ended before the script: "
                + self.machine.errors())
        if found:
            say("FAILED: the kernel complains (--allow REGEX for what is meant to be):")
        for line in found:
            say("    " + line)
        status = verdict or self.status or (COMPLAINED if found else 0)
        if status:
            self.print_console(found)
        return status

    def print_console(self, found):
        lines = console.lines_of(self.console)
        for text in found[:EXCERPTS]:
            at = next(n for n, line in enumerate(lines) if line.endswith(text))
            self.print_lines(f"console at '{text[:60]}'", lines[at:at + EXCERPT_LINES])
        start = max((n for n, line in enumerate(lines) if CONSOLE_START in line),
                    default=0)
        self.print_lines("console of the last boot", lines[start:][-CONSOLE_LINES:])

    @staticmethod
    def print_lines(title, lines):
        print(f"----- {title} -----", *lines, "-----", sep="\n", file=sys.stderr,
              flush=True)
