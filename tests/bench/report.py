# SPDX-License-Identifier: GPL-2.0-only
"""What the guests measured: collected, compared with dm-linear, written as text,
reStructuredText, JSON and plots."""

import collections
import json
import os
import statistics
import subprocess

LOADS = {
    "first": "4 KiB random, first overwrite",
    "again": "4 KiB random, preserved already",
    "first-64k": "64 KiB sequential, first overwrite",
    "first-1m": "1 MiB sequential, first overwrite",
    "first-sync": "4 KiB first overwrite, fdatasync each",
    "live-read": "4 KiB random read",
    "live-read-64k": "64 KiB sequential read",
    "snapshot-read-new": "4 KiB random read of a snapshot, just preserved",
    "snapshot-read-run": "4 KiB random read of a snapshot, preserved, after a checkpoint",
    "snapshot-read-absent": "4 KiB random read of a snapshot, never overwritten",
    "snapshot-read-64k": "64 KiB sequential read of a snapshot",
}
# A snapshot's reads are compared with those of the device itself
BESIDE = {"snapshot-read-new": "live-read", "snapshot-read-run": "live-read",
          "snapshot-read-absent": "live-read", "snapshot-read-64k": "live-read-64k"}
DEVICES = {
    "ram": "RAM disks (processor cost)",
    "null": "null_blk, 1 ms, FUA (latency)",
    "null-flush": "null_blk, 1 ms, no FUA (latency)",
    "virtio": "virtio-blk, 512-byte logical blocks, no FUA",
    "virtio-4k": "virtio-blk, 4 KiB logical blocks, no FUA",
    "null-4k": "null_blk, 4 KiB logical blocks, FUA",
    "smp": "RAM disks, two processors",
}
TARGETS = {"linear": "dm-linear", "cowprotect": "dm-cowprotect", "snapshot": "dm-snapshot",
           "thin": "dm-thin"}


class Table:
    """Rows of words, with a heading"""

    def __init__(self, title, head):
        self.title = title
        self.rows = [head]

    def add(self, *row):
        self.rows.append([str(cell) for cell in row])

    def _widths(self):
        return [max(map(len, column)) for column in zip(*self.rows)]

    def text(self):
        widths = self._widths()
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                 for row in self.rows]
        return "\n".join([self.title, ""] + lines) + "\n"

    def rst(self):
        widths = self._widths()
        rule = " ".join("=" * width for width in widths)
        lines = [" ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
                 for row in self.rows]
        # A cell that is empty in the first column would continue the row before
        return "\n".join([f"**{self.title}**", "", rule, lines[0], rule, *lines[1:], rule]) + "\n"


def target_name(target, snapshots):
    return TARGETS[target] + ("" if target == "linear" else f" ({snapshots})")


def plain(value):
    return f"{value:.3f}" if value < 9.9995 else f"{value:.1f}"


# How many words say what was measured, by the first one of a line
KEY_WORDS = {"time": 6, "count": 8, "value": 5, "micro": 2, "here-micro": 2, "scale": 5}


def key_of(line):
    """What a line is about"""
    words = line.split()
    if not words:
        return ()
    key = words[:KEY_WORDS.get(words[0], 0)]
    # The number of operations is none of it
    return tuple(key[:6] + key[7:] if words[0] == "count" else key)


class Results:
    """The lines of all boots"""

    def __init__(self):
        self.times = collections.defaultdict(list)   # (devices, target, n, load, depth): [us]
        self.counts = collections.defaultdict(dict)  # likewise: {what: value}
        self.values = collections.defaultdict(list)  # (devices, target, n, what, unit): [value]
        self.micros = collections.defaultdict(list)  # (where, what): [(rate, instructions)]
        self.scales = collections.defaultdict(list)  # (devices, target, load, writers): [iops]

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

    def _us(self, *key):
        return statistics.mean(self.times[key]) if key in self.times else None

    def ratio(self, devices, target, number, load, depth):
        """dm-linear's time by the target's, None if either was not measured"""
        mine = self._us(devices, target, number, load, depth)
        linear = self._us(devices, "linear", 0, BESIDE.get(load, load), depth)
        return linear / mine if mine and linear else None

    def _columns(self, table, devices):
        order = list(TARGETS)
        return sorted({key[1:3] for key in table if key[0] == devices},
                      key=lambda column: (order.index(column[0]), column[1]))

    def _loads(self, table, devices):
        order = list(LOADS)
        return sorted({key[3:5] for key in table if key[0] == devices},
                      key=lambda load: (order.index(load[0]), load[1]))

    def time_tables(self):
        for devices in DEVICES:
            columns = self._columns(self.times, devices)
            if not columns:
                continue
            table = Table(f"{DEVICES[devices]}: speed as a part of dm-linear's",
                          ["load", "in flight", "dm-linear, us"]
                          + [target_name(*column) for column in columns if column[1]])
            for load, depth in self._loads(self.times, devices):
                linear = self._us(devices, "linear", 0, BESIDE.get(load, load), depth)
                ratios = [self.ratio(devices, *column, load, depth)
                          for column in columns if column[1]]
                table.add(LOADS[load], depth, f"{linear:.2f}" if linear else "-",
                          *("-" if ratio is None else plain(ratio) for ratio in ratios))
            yield table

    def count_tables(self):
        for devices in DEVICES:
            columns = self._columns(self.counts, devices)
            if not columns:
                continue
            table = Table(f"{DEVICES[devices]}: requests an operation, and bytes written",
                          ["load", "in flight", "target", "live reads", "live writes", "diff reads",
                           "diff writes", "of them FUA", "diff flushes", "diff bytes",
                           "all bytes"])
            for load, depth in self._loads(self.counts, devices):
                for column in columns:
                    count = self.counts.get((devices, *column, load, depth))
                    if count:
                        table.add(LOADS[load], depth, target_name(*column),
                                  *(plain(count[what]) for what in
                                    ("live-reads", "live-writes", "diff-reads", "diff-writes",
                                     "diff-fua", "diff-flushes")),
                                  *(f"{count[what]:.0f}" for what in ("diff-bytes", "all-bytes")))
            yield table

    def value_tables(self):
        table = Table("Memory, activation, creation", ["devices", "target", "what", "median",
                                                       "99th percentile", "unit"])
        for (devices, target, number, what, unit), values in self.values.items():
            values = sorted(values)
            last = values[min(len(values) - 1, len(values) * 99 // 100)]
            table.add(devices, target_name(target, number), what,
                      f"{statistics.median(values):.0f}",
                      f"{last:.0f}" if len(values) > 1 else "-", unit)
        if len(table.rows) > 1:
            yield table

    def micro_tables(self):
        table = Table("The engine alone, in userspace", ["where", "operation",
                                                         "operations a second",
                                                         "instructions an operation"])
        for (where, what), figures in self.micros.items():
            rate, instructions = sorted(figures[1:] or figures)[-1]
            counted = where == "micro"
            table.add("instruction-counted machine" if counted else "this machine", what,
                      "-" if counted else f"{rate:.0f}", instructions)
        if len(table.rows) > 1:
            yield table

    def scale_tables(self):
        if not self.scales:
            return
        table = Table("Two processors: operations a second (noisy: below twice, a difference "
                      "means nothing)", ["target", "load", "one thread", "two threads", "gain"])
        for devices, target, load, writers in self.scales:
            if writers == 1:
                one, two = (statistics.median(self.scales[devices, target, load, n])
                            for n in (1, 2))
                table.add(TARGETS[target], LOADS[load], f"{one:.0f}", f"{two:.0f}",
                          plain(two / one))
        yield table

    def tables(self):
        return [*self.time_tables(), *self.count_tables(), *self.value_tables(),
                *self.scale_tables(), *self.micro_tables()]

    def json(self):
        return {
            "times": [{"devices": d, "target": t, "snapshots": n, "load": l, "depth": q,
                       "us": us, "ratio": self.ratio(d, t, n, l, q)}
                      for (d, t, n, l, q), us in self.times.items()],
            "counts": [{"devices": d, "target": t, "snapshots": n, "load": l, "depth": q,
                        "per_operation": count}
                       for (d, t, n, l, q), count in self.counts.items()],
            "values": [{"devices": d, "target": t, "snapshots": n, "what": w, "unit": u,
                        "values": values}
                       for (d, t, n, w, u), values in self.values.items()],
            "engine": [{"where": "counted" if w == "micro" else "here", "operation": what,
                        "rate": rate, "instructions": n}
                       for (w, what), figures in self.micros.items() for rate, n in figures],
            "scaling": [{"devices": d, "target": t, "load": l, "threads": n, "iops": iops}
                        for (d, t, l, n), iops in self.scales.items()],
        }

    def _plot(self, devices, path):
        columns = [column for column in self._columns(self.times, devices) if column[1]]
        rows = [[load] + [self.ratio(devices, *column, *load) for column in columns]
                for load in self._loads(self.times, devices)]
        rows = [row for row in rows if any(row[1:])]
        if not rows:
            return
        data = "\n".join(" ".join([f'"{load} {depth}"'] + [str(ratio or 0) for ratio in ratios])
                         for (load, depth), *ratios in rows)
        bars = ", ".join(f"$data using {2 + i}{':xtic(1)' if not i else ''} "
                         f"title '{target_name(*column)}'" for i, column in enumerate(columns))
        subprocess.run(["gnuplot"], check=True, text=True, input=f"""
$data << EOD
{data}
EOD
set terminal svg size 1000,480 background rgb 'white'
set output '{path}'
set title '{DEVICES[devices]}'
set ylabel "speed, dm-linear = 1"
set yrange [0:1.1]
set grid y
set key outside
set style data histogram
set style histogram cluster gap 1
set style fill solid .8
set xtics rotate by -35
plot {bars}
""")

    def write(self, directory, published=False):
        """results.txt, .json and .rst, and a plot for each kind of devices"""
        os.makedirs(directory, exist_ok=True)
        tables = self.tables()
        if not published:
            with open(os.path.join(directory, "results.txt"), "w") as out:
                out.write("\n".join(table.text() for table in tables))
            print("\n".join(table.text() for table in tables))
        with open(os.path.join(directory, "results.rst"), "w") as out:
            out.write(".. SPDX-License-Identifier: GPL-2.0-only\n\n")
            out.write("\n".join(table.rst() for table in tables))
        with open(os.path.join(directory, "results.json"), "w") as out:
            json.dump(self.json(), out, indent=1)
            out.write("\n")
        for devices in {key[0] for key in self.times}:
            self._plot(devices, os.path.join(directory, devices + ".svg"))
