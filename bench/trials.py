"""What is tried with each store: loads, what keys cost it, and how it bears the loss of nodes."""

import signal
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.systems import Load, System
from bench.tally import Line

CLIENTS = (1, 16, 64, 256, 1000)
CONNS_MAX = 100
VALUE_BYTES = 256
OTHER_VALUES = {"64B": 64, "1KiB": 1024, "16KiB": 16 * 1024}
GAP_CLIENTS = 3  # one for each node: etcd's are bound to theirs
BEFORE_KILL_S = 1.0
GAP_TRY_S = 0.2  # a try is lost on a node that hangs on a dead leader
RESTART_TRY_S = 1.0  # and on one that is about to serve, if it is cut short
AGAIN_S = 1.0  # until every client has found its way back
RECOVERY_S = 120.0


class Size(NamedTuple):
    """How much is done."""

    rounds: int
    seconds: float  # of each load
    keys: int  # that the loads use
    many_keys: int  # that a node is to hold, and to find again
    watch_s: float  # how long writes are watched, in peace, after nodes were killed


FULL = Size(rounds=3, seconds=6.0, keys=100_000, many_keys=500_000, watch_s=12.0)
QUICK = Size(rounds=1, seconds=2.0, keys=10_000, many_keys=20_000, watch_s=4.0)

LOADS = {
    **{
        f"{op}-{clients}": (op, clients, VALUE_BYTES)
        for op in ("put", "get")
        for clients in CLIENTS
    },
    **{f"put-64-{name}": ("put", 64, value_bytes) for name, value_bytes in OTHER_VALUES.items()},
}
"""Loads on a store that has the keys already, by the name of the row."""


def load_of(row: str, size: Size) -> Load:
    """The load that a row stands for."""
    op, clients, value_bytes = LOADS[row]
    conns = min(clients, CONNS_MAX)
    return Load(op, clients, conns, value_bytes, size.keys, seconds=size.seconds)


def fill_of(keys: int) -> Load:
    """The load that puts each key once."""
    clients = min(256, keys)
    return Load("put", clients, min(clients, CONNS_MAX), VALUE_BYTES, keys, total=keys)


def keys(system: System, size: Size) -> Line:
    """What many keys cost, and how soon they are back after SIGKILL of every node."""
    line = system.run(fill_of(size.many_keys))
    line |= {"memory_mb": system.resident_bytes() / 1e6, "disk_mb": system.disk_bytes() / 1e6}
    return line | {"restart_ms": _pause(system, size, RESTART_TRY_S, _restart_all)}


def gap(system: System, size: Size) -> Line:
    """How long nothing is written when the leader is killed."""
    return {"gap_ms": _pause(system, size, GAP_TRY_S, _kill_leader)}


FRESH: Mapping[str, Callable[[System, Size], Line]] = {"keys": keys, "gap": gap}
"""Trials that take a new store each time."""


def _pause(system: System, size: Size, try_s: float, hurt: Callable[[System], None]) -> float:
    """The longest time without a write, from just before until writes succeed again."""
    load = Load(
        "put",
        *(GAP_CLIENTS, GAP_CLIENTS, VALUE_BYTES, size.keys),
        seconds=RECOVERY_S,
        timeout_s=try_s if system.needs_retries else RECOVERY_S,
    )
    with system.driven(load, is_failing=True) as process:
        assert process.stdout
        process.stdout.readline()  # its clock starts
        time.sleep(BEFORE_KILL_S)
        hurt(system)
        time.sleep(size.watch_s)
        system.wait_until_ready()  # later than that, if need be
        time.sleep(AGAIN_S)
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=RECOVERY_S)
    pause_ms: float = system.line_of(told, load)["pause_ms"]
    return pause_ms


def _restart_all(system: System) -> None:
    system.kill(*system.names)
    system.start_all()


def _kill_leader(system: System) -> None:
    system.kill(system.leader())
