# SPDX-License-Identifier: GPL-2.0-only
"""The results as text, reStructuredText, JSON and plots."""

import json
import os
import statistics
import subprocess

import goals
from results import DEVICES, LOADS, TARGETS

NOTHING = "-"


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
        return "\n".join([f"**{self.title}**", "", rule, lines[0], rule, *lines[1:], rule]) + "\n"


def target_name(target, snapshots):
    return TARGETS[target] + ("" if target == "linear" else f" ({snapshots})")


def plain(value):
    """Three digits behind the point of what is small"""
    if value is None:
        return NOTHING
    return f"{value:.3f}" if value < 99.9995 else f"{value:.0f}"


def goal_table(results):
    table = Table("What is to be reached", ["figure", "dm-cowprotect", "goal", "dm-snapshot",
                                            "dm-thin", "reached"])
    for goal in goals.goals(results):
        bound = f"{'at most' if goal.most else 'at least'} {goal.bound:g}"
        table.add(goal.what, plain(goal.figure), bound, *map(plain, goal.peers),
                  "yes" if goal.reached else "NO")
    return table


def slower_table(results):
    table = Table("Where dm-snapshot is faster", ["devices", "snapshots", "load", "in flight",
                                                  "dm-cowprotect, us", "dm-snapshot, us"])
    for devices, number, load, depth, mine, peer in goals.slower_than_snapshot(results):
        table.add(DEVICES[devices], number, LOADS[load], depth, f"{mine:.2f}", f"{peer:.2f}")
    return table


def time_tables(results):
    for devices in DEVICES:
        columns = results.columns(results.times, devices)
        table = Table(f"{DEVICES[devices]}: speed as a part of dm-linear's",
                      ["load", "in flight", "dm-linear, us"]
                      + [target_name(*column) for column in columns if column[1]])
        for load, depth in results.loads(results.times, devices):
            table.add(LOADS[load], depth, plain(results.linear_us(devices, load, depth)),
                      *(plain(results.ratio(devices, *column, load, depth))
                        for column in columns if column[1]))
        yield table


def count_tables(results):
    words = ("live-reads", "live-writes", "diff-reads", "diff-writes", "diff-fua",
             "diff-flushes", "diff-bytes", "all-bytes")
    for devices in DEVICES:
        table = Table(f"{DEVICES[devices]}: requests an operation, and bytes written",
                      ["load", "in flight", "target", "live reads", "live writes", "diff reads",
                       "diff writes", "of them FUA", "diff flushes", "diff bytes", "all bytes"])
        for load, depth in results.loads(results.counts, devices):
            for column in results.columns(results.counts, devices):
                count = results.count(devices, *column, load, depth)
                if count:
                    table.add(LOADS[load], depth, target_name(*column),
                              *(plain(count[what]) for what in words[:6]),
                              *(f"{count[what]:.0f}" for what in words[6:]))
        yield table


def bytes_table(results):
    table = Table("All chunks of a volume in each of ten epochs, merges included",
                  ["devices", "load", "chunks preserved", "records merged", "in steps",
                   "written / data", "space / data"])
    for line in results.bytes:
        table.add(DEVICES[line.devices], line.load, line.chunks, line.merged, line.steps,
                  f"{line.written / line.data:.4f}", f"{line.space / line.data:.4f}")
    return table


def value_table(results):
    table = Table("Memory, activation, creation",
                  ["devices", "target", "what", "measured", "median", "99th percentile", "unit"])
    for (devices, target, number, what, unit), values in results.values.items():
        table.add(devices, target_name(target, number), what, len(values),
                  f"{statistics.median(values):.0f}",
                  f"{results.percentile(devices, target, number, what):.0f}", unit)
    return table


def micro_table(results):
    table = Table("The engine alone, in userspace",
                  ["where", "operation", "operations a second", "instructions an operation"])
    for (where, what), figures in results.micros.items():
        rate, instructions = sorted(figures[1:] or figures)[-1]
        counted = where == "micro"
        table.add("instruction-counted machine" if counted else "this machine", what,
                  NOTHING if counted else f"{rate:.0f}", instructions)
    return table


def scale_table(results):
    table = Table("Two processors: operations a second (noisy: below twice, a difference means"
                  " nothing)", ["target", "load", "one thread", "two threads", "gain"])
    for devices, target, load, writers in results.scales:
        gain = results.gain(devices, target, load)
        if writers == 1 and gain:
            table.add(TARGETS[target], LOADS[load],
                      *(f"{statistics.median(results.scales[devices, target, load, n]):.0f}"
                        for n in (1, 2)), plain(gain))
    return table


def tables(results):
    """All that have rows"""
    every = [goal_table(results), slower_table(results), *time_tables(results),
             *count_tables(results), bytes_table(results), value_table(results),
             scale_table(results), micro_table(results)]
    return [table for table in every if len(table.rows) > 1]


# Under the bars there is little room
LABELS = {
    "first": "first overwrite", "again": "again", "first-64k": "first, 64 KiB",
    "first-1m": "first, 1 MiB", "first-sync": "first, fdatasync", "live-read": "read",
    "live-read-64k": "read, 64 KiB", "snapshot-read-new": "snapshot, new",
    "snapshot-read-run": "snapshot, in a run", "snapshot-read-absent": "snapshot, absent",
    "snapshot-read-64k": "snapshot, 64 KiB",
}


def plot(results, devices, path):
    columns = [column for column in results.columns(results.times, devices) if column[1]]
    rows = [[load] + [results.ratio(devices, *column, *load) for column in columns]
            for load in results.loads(results.times, devices)]
    rows = [row for row in rows if any(row[1:])]
    if not rows:
        return
    data = "\n".join(f'"{LABELS[load]}, {depth}" ' + " ".join(str(ratio or 0) for ratio in ratios)
                     for (load, depth), *ratios in rows)
    bars = ", ".join(f"$data using {2 + i}{':xtic(1)' if not i else ''} "
                     f"title '{target_name(*column)}'" for i, column in enumerate(columns))
    subprocess.run(["gnuplot"], check=True, text=True, input=f"""
$data << EOD
{data}
EOD
set terminal svg noenhanced size 1000,480 background rgb 'white'
set output '{path}'
set title '{DEVICES[devices]}'
set ylabel "speed, dm-linear = 1"
set xlabel "load, in flight"
set yrange [0:1.1]
set grid y
set key outside
set style data histogram
set style histogram cluster gap 1
set style fill solid .8
set xtics rotate by -35
plot {bars}
""")


def write(results, directory):
    """results.txt, .json and .rst, and a plot for each kind of devices"""
    os.makedirs(directory, exist_ok=True)
    found = tables(results)
    text = "\n".join(table.text() for table in found)
    print(text)
    with open(os.path.join(directory, "results.txt"), "w") as out:
        out.write(text)
    with open(os.path.join(directory, "results.rst"), "w") as out:
        out.write(".. SPDX-License-Identifier: GPL-2.0-only\n\n")
        out.write(".. Written by tests/bench/run\n\n")
        out.write("\n".join(table.rst() for table in found))
    with open(os.path.join(directory, "results.json"), "w") as out:
        json.dump({"goals": [goal.json() for goal in goals.goals(results)], **results.json()},
                  out, indent=1)
        out.write("\n")
    for devices in {key[0] for key in results.times} - {"smp"}:
        plot(results, devices, os.path.join(directory, devices + ".svg"))


# Between these lines of a document stands what publish() writes
BEGIN, END = ".. Written by tests/bench/run --publish:\n", ".. So far.\n"


def publish(results, directory, document):
    """The same into a directory, and the tables of what is reached into a document"""
    write(results, directory)
    os.unlink(os.path.join(directory, "results.txt"))
    with open(document) as opened:
        before, rest = opened.read().split(BEGIN)
    after = rest.split(END)[1]
    chosen = goal_table(results), bytes_table(results), slower_table(results)
    text = "\n".join(table.rst() for table in chosen if len(table.rows) > 1)
    with open(document, "w") as out:
        out.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
