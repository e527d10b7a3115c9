# SPDX-License-Identifier: GPL-2.0-only
"""What dm-cowprotect is to reach, and whether it does: speeds as a part of
dm-linear's on the same devices, bytes, and times."""

# Devices, load, requests in flight: at least
SPEEDS = [
    ("null", "first", 1, .32),
    ("null", "first", 32, .28),
    ("null", "first-64k", 4, .28),
    ("null", "first-sync", 1, .48),
    ("null-flush", "first", 1, .24),
    ("null-flush", "first", 32, .20),
    ("null-flush", "first-64k", 4, .20),
    ("null-flush", "first-sync", 1, .37),
    ("ram", "first", 1, .33),
    ("ram", "first", 32, .50),
    ("ram", "first-64k", 4, .33),
    ("ram", "again", 1, .98),
    ("ram", "live-read", 1, .99),
    ("ram", "snapshot-read-new", 1, .80),
    ("ram", "snapshot-read-run", 1, .50),
    ("ram", "snapshot-read-absent", 1, .50),
]
FIRSTS = [("first", 1), ("first", 32), ("first-64k", 4), ("first-1m", 4), ("first-sync", 1)]
# Time with 64 snapshots, as a part of that with one: at most
MANY_SNAPSHOTS = 1.03
# Written and taken in the diff area for each byte preserved: at most
WRITTEN, SPACE = 1.05, 1.02
# A creation under load, 99th percentile, us: at most
CREATION = 15000
# Gain by a second processor, as a part of dm-linear's: the emulation's noise is larger
SCALING = .80
# What dm-snapshot must be faster by to count: where instructions are counted, and elsewhere
NOISE, SMP_NOISE = 1.01, 2


class Goal:
    """A figure, its bound, and the peers' figures"""

    def __init__(self, what, figure, bound, most=False, peers=(None, None)):
        self.what, self.figure, self.bound, self.most = what, figure, bound, most
        self.peers = peers
        # What is printed is what is compared
        rounded = round(figure, 3)
        self.reached = rounded <= bound if most else rounded >= bound

    def json(self):
        return {"what": self.what, "figure": self.figure,
                "at_most" if self.most else "at_least": self.bound,
                "dm-snapshot": self.peers[0], "dm-thin": self.peers[1],
                "reached": self.reached}


def speeds(results):
    for devices, load, depth, bound in SPEEDS:
        mine, *peers = (results.ratio(devices, target, 1, load, depth)
                        for target in ("cowprotect", "snapshot", "thin"))
        if mine:
            yield Goal(results.name(devices, load, depth), mine, bound, peers=peers)


def many_snapshots(results):
    for devices in ("null", "ram"):
        for load, depth in FIRSTS:
            one, many = (results.us(devices, "cowprotect", n, load, depth) for n in (1, 64))
            if one and many:
                yield Goal(f"{results.name(devices, load, depth)}: time with 64 snapshots by"
                           " that with 1", many / one, MANY_SNAPSHOTS, most=True)


def diff_bytes(results):
    for line in results.bytes:
        load = {"random": ("first", 32), "sequential": ("first-1m", 4)}[line.load]
        peers = [results.written(line.counted_beside, target, *load)
                 for target in ("snapshot", "thin")]
        yield Goal(f"{line.name}: written to the diff area for each byte preserved",
                   line.written / line.data, WRITTEN, most=True, peers=peers)
        yield Goal(f"{line.name}: space used for each byte preserved",
                   line.space / line.data, SPACE, most=True)


def creations(results):
    for number in (1, 64):
        mine, *peers = (results.percentile("null", target, number, "create-under-load")
                        for target in ("cowprotect", "snapshot", "thin"))
        if mine:
            yield Goal(f"null_blk: snapshot creation under load, from {number}, 99th percentile,"
                       " us", mine, CREATION, most=True, peers=peers)


def memory(results):
    for number in (1, 8, 64):
        taken, stated = (results.first_value("ram", "cowprotect", number, what)
                         for what in ("memory-4096-chunks", "memory-stated"))
        if taken and stated:
            yield Goal(f"memory taken, KiB, with {number} snapshots (at most: what the status"
                       " says, and 2 MiB of slabs)", taken, stated + 2048, most=True)


def scaling(results):
    for load in ("again", "live-read"):
        gains = [results.gain("smp", target, load)
                 for target in ("cowprotect", "linear", "snapshot", "thin")]
        if gains[0] and gains[1]:
            yield Goal(f"{results.load_name(load)}: gain by a second processor, by dm-linear's",
                       gains[0] / gains[1], SCALING,
                       peers=[gain and gain / gains[1] for gain in gains[2:]])


def goals(results):
    """All whose figures were measured"""
    return [goal for part in (speeds, many_snapshots, diff_bytes, creations, memory, scaling)
            for goal in part(results)]


def slower_than_snapshot(results):
    """Times in which dm-snapshot with as many snapshots is better"""
    for (devices, target, number, load, depth) in results.times:
        if target != "cowprotect":
            continue
        mine, peer = (results.us(devices, t, number, load, depth)
                      for t in ("cowprotect", "snapshot"))
        noise = SMP_NOISE if devices == "smp" else NOISE
        if mine and peer and mine > peer * noise:
            yield devices, number, load, depth, mine, peer
