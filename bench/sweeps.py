"""What is varied, one thing at a time, and what a cluster does at each point."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.ours import Kvorum
from bench.systems import Load, System
from bench.tally import Line
from bench.trials import fill_of

CLIENTS, CONNS, VALUE_BYTES, KEYS, NODES = 256, 100, 256, 100_000, 3
"""What holds while something else is varied."""

OPS = ("put", "get")
PAYLOAD_BYTES_MAX = 200_000_000  # as many keys, or fewer: large values must not fill the disk
MINUTE_S = 60.0


class Point(NamedTuple):
    """What was measured with one value of what is varied."""

    x: float
    put: Line
    get: Line
    memory_mb: float  # of the largest node
    disk_mb: float  # of all nodes


class Range(NamedTuple):
    """How far things are varied, and how long each point takes."""

    keys: Sequence[int]
    values: Sequence[int]
    nodes: Sequence[int]
    clients: Sequence[int]
    conns: Sequence[int]
    hours: float
    seconds: float  # of each load


FULL = Range(
    keys=(1_000, 10_000, 100_000, 1_000_000, 5_000_000),
    values=(16, 64, 256, 1024, 4096, 16_384, 65_536, 262_144),
    nodes=(1, 3, 5, 7),
    clients=(1, 4, 16, 64, 256, 1000, 4000),
    conns=(1, 4, 16, 64, 256, 1000),
    hours=1.0,
    seconds=10.0,
)
QUICK = Range(
    keys=(1_000, 10_000),
    values=(64, 4096),
    nodes=(1, 3),
    clients=(1, 64),
    conns=(1, 16),
    hours=0.001,
    seconds=1.0,
)


def by_keys(varied: Range) -> Iterator[Point]:
    """How much the cluster holds."""
    with Kvorum(NODES) as system:
        for keys in varied.keys:
            system.run(fill_of(keys))
            yield _point(keys, system, _load(varied, keys=keys))


def by_value_bytes(varied: Range) -> Iterator[Point]:
    """How large each value is."""
    with Kvorum(NODES) as system:
        for value_bytes in varied.values:
            keys = max(1, min(KEYS, PAYLOAD_BYTES_MAX // value_bytes))
            load = _load(varied, keys=keys, value_bytes=value_bytes)
            yield _point(value_bytes, system, load)


def by_nodes(varied: Range) -> Iterator[Point]:
    """How many nodes the cluster has."""
    for nodes in varied.nodes:
        with Kvorum(nodes) as system:
            yield _point(nodes, system, _load(varied))


def by_clients(varied: Range) -> Iterator[Point]:
    """How many operations are outstanding."""
    with Kvorum(NODES) as system:
        for clients in varied.clients:
            load = _load(varied, clients=clients, conns=min(clients, CONNS))
            yield _point(clients, system, load)


def by_conns(varied: Range) -> Iterator[Point]:
    """Over how many connections as many clients are spread."""
    clients = max(CLIENTS, *varied.conns)
    with Kvorum(NODES) as system:
        for conns in varied.conns:
            yield _point(conns, system, _load(varied, clients=clients, conns=conns))


def by_hours(varied: Range) -> Iterator[Point]:
    """How long the cluster has been at work."""
    count = max(1, round(varied.hours * 3600 / MINUTE_S))
    seconds = varied.hours * 3600 / count / len(OPS)
    with Kvorum(NODES) as system:
        for number in range(1, count + 1):
            load = _load(varied)._replace(seconds=seconds)
            yield _point(varied.hours * number / count, system, load)


class Sweep(NamedTuple):
    """One thing that is varied."""

    points: Callable[[Range], Iterator[Point]]
    label: str
    is_logarithmic: bool


SWEEPS: Mapping[str, Sweep] = {
    "keys": Sweep(by_keys, "keys", is_logarithmic=True),
    "values": Sweep(by_value_bytes, "bytes of a value", is_logarithmic=True),
    "nodes": Sweep(by_nodes, "nodes", is_logarithmic=False),
    "clients": Sweep(by_clients, "clients", is_logarithmic=True),
    "conns": Sweep(by_conns, "connections", is_logarithmic=True),
    "uptime": Sweep(by_hours, "hours of uptime", is_logarithmic=False),
}


def _load(
    varied: Range,
    clients: int = CLIENTS,
    conns: int = CONNS,
    value_bytes: int = VALUE_BYTES,
    keys: int = KEYS,
) -> Load:
    return Load(OPS[0], clients, conns, value_bytes, keys, seconds=varied.seconds)


def _point(x: float, system: System, load: Load) -> Point:
    lines = {op: system.run(load._replace(op=op)) for op in OPS}
    memory_mb, disk_mb = system.resident_bytes() / 1e6, system.disk_bytes() / 1e6
    return Point(x, lines["put"], lines["get"], memory_mb, disk_mb)
