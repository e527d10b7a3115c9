# SPDX-License-Identifier: GPL-2.0-only
"""What the guests measured: their lines, collected, and the figures of them."""

import collections
import statistics

LOADS = {
    "first": "4 KiB random, first overwrite",
    "again": "4 KiB random, preserved already",
    "first-64k": "64 KiB sequential, first overwrite",
    "first-1m": "1 MiB sequential, first overwrite",
    "first-sync": "4 KiB first overwrite, fdatasync each",
    "live-read": "4 KiB random read",
    "live-read-64k": "64 KiB sequential read",
    "snapshot-read-new": "4 KiB random read of a snapshot, just preserved",
    "snapshot-read-run": "4 KiB random read of a snapshot, in a cached run",
    "snapshot-read-absent": "4 KiB random read of a snapshot, never overwritten",
    "snapshot-read-64k": "64 KiB sequential read of a snapshot",
    "snapshot-read-cold": "4 KiB random read of a snapshot, preserved, nothing cached",
}
# A snapshot's reads are compared with those of the device itself
BESIDE = {"snapshot-read-new": "live-read", "snapshot-read-run": "live-read",
          "snapshot-read-absent": "live-read", "snapshot-read-64k": "live-read-64k"}
# Bytes of an operation
SIZES = {"first": 4096, "first-64k": 65536, "first-1m": 1 << 20, "first-sync": 4096}
COUNTED = {"live-reads", "live-writes", "diff-reads", "diff-writes", "diff-fua",
           "diff-flushes", "diff-bytes", "all-bytes"}
DEVICES = {
    "ram": "RAM disks (processor cost)",
    "null": "null_blk, 1 ms, FUA (latency)",
    "null-flush": "null_blk, 1 ms, no FUA (latency)",
    "virtio": "virtio-blk, 512-byte logical blocks, no FUA",
    "virtio-4k": "virtio-blk, 4 KiB logical blocks, no FUA",
    "null-4k": "null_blk, 4 KiB logical blocks, FUA",
    "bytes": "512-byte logical blocks",
    "bytes-4k": "4 KiB logical blocks",
    "smp": "RAM disks, two processors",
}
TARGETS = {"linear": "dm-linear", "cowprotect": "dm-cowprotect", "snapshot": "dm-snapshot",
           "thin": "dm-thin"}

# How many words say what was measured, by the first one of a line
KEY_WORDS = {"time": 6, "count": 8, "value": 5, "micro": 2, "here-micro": 2, "scale": 5,
             "bytes": 3}


def key_of(line):
    """What a line is about"""
    words = line.split()
    if not words:
        return ()
    key = words[:KEY_WORDS.get(words[0], 0)]
    # The number of operations is none of it
    return tuple(key[:6] + key[7:] if words[0] == "count" else key)


class Bytes(collections.namedtuple("Bytes", "devices load depth chunks data written space"
                                            " steps merged")):
    """What preserving many chunks wrote and took"""

    @property
    def name(self):
        return f"{DEVICES[self.devices]}, {self.load}"

    @property
    def counted_beside(self):
        """The boot on such devices in which the peers were counted"""
        return self.devices.replace("bytes", "virtio")


class Results:
    """The lines of all boots"""

    def __init__(self):
        self.times = collections.defaultdict(list)   # (devices, target, n, load, depth): [us]
        self.counts = collections.defaultdict(dict)  # likewise: {what: an operation's}
        self.values = collections.defaultdict(list)  # (devices, target, n, what, unit): [value]
        self.micros = collections.defaultdict(list)  # (where, what): [(rate, instructions)]
        self.scales = collections.defaultdict(list)  # (devices, target, load, writers): [iops]
        self.bytes = []

    def add(self, line):
        words = line.split()
        kind = words[0] if words else ""
        if kind == "time":
            devices, target, number, load, depth, repetition, operations, ms = words[1:]
            if int(repetition):
                self.times[devices, target, int(number), load, int(depth)].append(
                    1000 * int(ms) / int(operations))
        elif kind == "count":
            devices, target, number, load, depth, operations, what, value = words[1:]
            self.counts[devices, target, int(number), load, int(depth)][what] = \
                int(value) / int(operations)
        elif kind == "value":
            devices, target, number, what, value, unit = words[1:]
            self.values[devices, target, int(number), what, unit].append(float(value))
        elif kind in ("micro", "here-micro"):
            # An instruction takes a nanosecond in the machine that counts them
            what, rate, instructions = words[1], float(words[2]), words[3]
            if kind == "micro":
                instructions = f"{1e9 / rate:.0f}"
            self.micros[kind, what].append((rate, instructions))
        elif kind == "scale":
            devices, target, load, writers, repetition, iops = words[1:]
            if int(repetition):
                self.scales[devices, target, load, int(writers)].append(float(iops))
        elif kind == "bytes":
            self.bytes.append(Bytes(*words[1:3], *map(int, words[3:])))

    def us(self, *key):
        """The time of an operation, None if it was not measured, as all below"""
        return statistics.mean(self.times[key]) if key in self.times else None

    def linear_us(self, devices, load, depth):
        return self.us(devices, "linear", 0, BESIDE.get(load, load), depth)

    def ratio(self, devices, target, number, load, depth):
        """dm-linear's time by the target's"""
        mine = self.us(devices, target, number, load, depth)
        linear = self.linear_us(devices, load, depth)
        return linear / mine if mine and linear else None

    def count(self, *key):
        """Requests and bytes of an operation, if all of them are known"""
        count = self.counts.get(key, {})
        return count if COUNTED.issubset(count) else None

    def written(self, devices, target, load, depth):
        """Bytes to stores and metadata, and copies on the live device, by bytes overwritten"""
        count = self.count(devices, target, 1, load, depth)
        return (count["all-bytes"] / SIZES[load] - 1) if count else None

    def _values(self, devices, target, number, what):
        for key, values in self.values.items():
            if key[:4] == (devices, target, number, what):
                return sorted(values)
        return None

    def first_value(self, *key):
        values = self._values(*key)
        return values[0] if values else None

    def percentile(self, *key):
        """The 99th; with few values the highest"""
        values = self._values(*key)
        return values[max(0, -(-len(values) * 99 // 100) - 1)] if values else None

    def gain(self, devices, target, load):
        """Two writers' operations a second by one's"""
        one, two = (self.scales.get((devices, target, load, n)) for n in (1, 2))
        return statistics.median(two) / statistics.median(one) if one and two else None

    @staticmethod
    def load_name(load):
        return LOADS[load]

    @staticmethod
    def name(devices, load, depth):
        return f"{DEVICES[devices].split(' (')[0]}: {LOADS[load]}, {depth} in flight"

    def columns(self, table, devices):
        """The targets and numbers of snapshots that a table has on these devices"""
        order = list(TARGETS)
        return sorted({key[1:3] for key in table if key[0] == devices},
                      key=lambda column: (order.index(column[0]), column[1]))

    def loads(self, table, devices):
        """Likewise, the loads"""
        order = list(LOADS)
        return sorted({key[3:5] for key in table if key[0] == devices},
                      key=lambda load: (order.index(load[0]), load[1]))

    def json(self):
        return {
            "times": [{"devices": d, "target": t, "snapshots": n, "load": l, "depth": q,
                       "us": us, "ratio": self.ratio(d, t, n, l, q)}
                      for (d, t, n, l, q), us in self.times.items()],
            "counts": [{"devices": d, "target": t, "snapshots": n, "load": l, "depth": q,
                        "per_operation": count}
                       for (d, t, n, l, q), count in self.counts.items()],
            "bytes": [line._asdict() for line in self.bytes],
            "values": [{"devices": d, "target": t, "snapshots": n, "what": w, "unit": u,
                        "values": values}
                       for (d, t, n, w, u), values in self.values.items()],
            "engine": [{"where": "counted" if w == "micro" else "here", "operation": what,
                        "rate": rate, "instructions": n}
                       for (w, what), figures in self.micros.items() for rate, n in figures],
            "scaling": [{"devices": d, "target": t, "load": l, "threads": n, "iops": iops}
                        for (d, t, l, n), iops in self.scales.items()],
        }
