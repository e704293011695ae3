"""How fast the log, the flush and a snapshot are on this disk.

    python -m bench.storage [--quick] [--directory D]

A write of the log is one synced transaction; its log is cut like a node's, so that deletions are in
the figures. The flush writes random keys into a state that holds ten times as many. The snapshot is
read, staged into another state and installed there. Disks differ, and the same disk from one hour
to the next: compare with the line on top, a bare fdatasync in the same run.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter

from messages.raft import COMMAND, Entry, HardState, Membership, Snapshot
from storage.environment import Identity, Opened, open_node
from storage.log import LogStore
from storage.snapshot import SnapshotReader, SnapshotWriter
from storage.state import StateStore

MEMBERS = Membership((1, 2, 3))
BATCHES = (1, 64, 1000)
VALUE_BYTES = 256
LOG_ENTRIES_KEPT = 10_000


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.storage", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works; trust no number")
    parser.add_argument("--directory", help="on the disk to measure; the default is often memory")
    arguments = parser.parse_args()
    writes, keys = (5, 1_000) if arguments.quick else (500, 1_000_000)

    with TemporaryDirectory(dir=arguments.directory) as directory:
        _print_times("fdatasync of 4 KiB", _syncs(Path(directory) / "file", writes))
        for batch in BATCHES:
            spent = _log_writes(Path(directory) / f"log-{batch}", batch, writes)
            _print_times(f"log write of {batch:,}", spent)
        _state(Path(directory) / "state", keys)
        _open(Path(directory) / "state")
        _snapshot(Path(directory))


def _syncs(file: Path, writes: int) -> list[float]:
    """What the disk itself takes for the smallest durable write."""
    spent = []
    with file.open("wb", buffering=0) as stream:
        for _ in range(writes):
            started = perf_counter()
            stream.write(bytes(4096))
            os.fdatasync(stream.fileno())
            spent.append(perf_counter() - started)
    return spent


def _log_writes(directory: Path, batch: int, writes: int) -> list[float]:
    node = open_node(directory, Identity("bench", 1))
    log = LogStore(node.log)
    random = Random(1)
    entries = [Entry(1, COMMAND, random.randbytes(VALUE_BYTES)) for _ in range(batch)]
    spent = []
    for first in range(1, 1 + batch * writes, batch):
        cut = first - 1 - LOG_ENTRIES_KEPT
        base = Snapshot(cut, 1, MEMBERS) if cut > 0 else None
        started = perf_counter()
        log.write(0, HardState(1, 1, first - 1), base, first, entries)
        spent.append(perf_counter() - started)
    node.close()
    return spent


def _state(directory: Path, keys: int) -> None:
    """Fill a state, then flush a tenth as many random keys over it."""
    node = open_node(directory, Identity("bench", 1))
    state = StateStore(node.state)
    random = Random(2)
    released = 0.0
    for round_, some in enumerate((keys, keys // 10), 1):
        for number in range(some) if round_ == 1 else random.sample(range(keys), some):
            state.put(b"key/%09d" % number, random.randbytes(VALUE_BYTES))
        state.freeze(b"meta", Snapshot(round_, 1, MEMBERS))
        spent = _seconds(state.flush)
        released = _seconds(state.release)
        _print(f"flush of {some:,} keys", f"{spent:.2f} s")
    _print("release of them", f"{released * 1e3:.1f} ms")
    state.close()
    node.close()


def _open(directory: Path) -> None:
    started = perf_counter()
    node = open_node(directory, Identity("bench", 1))
    state = StateStore(node.state)
    LogStore(node.log).load(0)
    _print("open", f"{(perf_counter() - started) * 1e3:.1f} ms")
    state.close()
    node.close()


def _snapshot(directory: Path) -> None:
    """Read a stream from one state, stage and install it in another."""
    source = open_node(directory / "state", Identity("bench", 1))
    target = open_node(directory / "target", Identity("bench", 2))
    sending, receiving = StateStore(source.state), StateStore(target.state)
    reader = SnapshotReader(sending, opened_at=0.0)
    writer = SnapshotWriter(receiving, reader.snapshot)
    reading = staging = 0.0
    offset, done = 0, False
    while not done:
        started = perf_counter()
        data, done = reader.chunk(offset)
        read = perf_counter()
        writer.stage(offset, data, done)
        reading += read - started
        staging += perf_counter() - read
        offset += len(data)
    raw = sum(len(key) + len(value) for key, value in sending.scan(b"", None, 1 << 62)) / 1e6
    _print(f"read a snapshot of {raw:,.0f} MB", f"{raw / reading:,.0f} MB/s")
    _print("stage it", f"{raw / staging:,.0f} MB/s")
    _print("install it", f"{_seconds(writer.install) * 1e3:.1f} ms")
    reader.close()
    _close(sending, source)
    _close(receiving, target)


def _close(state: StateStore, node: Opened) -> None:
    state.close()
    node.close()


def _seconds(action: Callable[[], object]) -> float:
    started = perf_counter()
    action()
    return perf_counter() - started


def _print_times(what: str, spent: list[float]) -> None:
    p50, p99 = median(spent) * 1e6, quantiles(spent, n=100)[-1] * 1e6
    _print(what, f"p50 {p50:,.0f} µs, p99 {p99:,.0f} µs")


def _print(what: str, result: str) -> None:
    print(f"{what:>34}  {result}", flush=True)


if __name__ == "__main__":
    main()
