"""What is drawn for one seed of whole nodes, beside what verify/swarm.py draws of every world."""

from random import Random
from typing import NamedTuple

from verify.swarm import STRIKES, Swarm, draw, units_until

__all__ = ["NODE_STRIKES", "Plan", "calmed_plan", "draw_nodes", "units_until"]

NODE_STRIKES = {
    "disk_full": (40, 120),
    "handover": (15, 50),
    "cut_clerk": (10, 40),
    "pause_clerk": (30, 80),
    "restart_clerk": (30, 100),
    "status": (5, 20),
}
"""What whole nodes and their clerks can meet, and how many ticks may lie between two strikes."""

HASTE = 30_000
"""How many times too fast a hasty clock runs: sessions that are idle for an hour expire."""


CHUNK_BYTES_MIN = 100
"""Whole nodes have states of kilobytes; chunks that overtake each other are sent again, and in
smaller ones a state would not arrive within a world's time."""


class Plan(NamedTuple):
    """One seed's configuration of what the cores' world knows nothing of."""

    local_codec: bool  # actors speak in bytes
    envelopes: bool  # nodes speak in sealed frames
    torn: float  # chance that such a frame arrives damaged
    hop_units: int  # from one actor of a node to another
    quick_writes: float  # chance that Raft's own thread does a short one
    haste: int  # of the clocks that sessions expire by
    flush_keys: int
    flush_ticks: int
    pending_bytes_max: int
    client_frames_max: int
    reads_max: int
    clerks: int
    readers: float  # chance that a clerk only reads: it stays with whoever answers, leader or not
    keys: int
    calls_max: int  # of all clerks together
    burst_max: int  # calls at a time
    wish_ticks: int  # between two bursts of one clerk
    deadlines_s: tuple[float, ...]
    reads: float  # chance that a call is a read
    appends: float  # chance that a write is an append
    padding: int  # longest; a value is that much longer than its token
    notices: float  # chance that a clerk hears of a node that is not there
    duplicate: float  # of frames between clerks and nodes


def draw_nodes(random: Random) -> tuple[Swarm, Plan]:
    """The configuration of one seed."""
    swarm = draw(random)
    swarm = swarm._replace(
        voters=random.choice((1, 3, 3, 3, 3, 3, 5)),
        learners=0,
        strikes=_some(random, STRIKES | NODE_STRIKES),
        wishes={},
        chunk_bytes=max(swarm.chunk_bytes, CHUNK_BYTES_MIN),
    )
    if swarm.voters == 1:
        lonely = ("cut_link", "cut_one_way", "partition", "isolate_leader", "depose")
        strikes = {kind: mean for kind, mean in swarm.strikes.items() if kind not in lonely}
        swarm = swarm._replace(strikes=strikes)
    return swarm, _draw_plan(random)


def _draw_plan(random: Random) -> Plan:
    choice = random.choice
    return Plan(
        local_codec=random.random() < 0.2,
        envelopes=random.random() < 0.2,
        torn=choice((0.0, 0.0, 0.01, 0.1)),
        hop_units=choice((1, 5, 50, 500)),
        quick_writes=choice((0.0, 0.5, 1.0)),
        haste=choice((1, 1, 1, HASTE)),
        flush_keys=choice((1, 3, 1000)),
        flush_ticks=choice((2, 10, 50)),
        pending_bytes_max=choice((150, 1_000, 67_108_864)),
        client_frames_max=choice((1, 3, 4_096)),
        reads_max=choice((1, 4, 65_536)),
        clerks=choice((1, 2, 3, 4)),
        readers=choice((0.0, 0.5)),
        keys=choice((1, 1, 2, 4)),
        calls_max=choice((100, 200, 300)),
        burst_max=choice((1, 3, 10)),
        wish_ticks=choice((1, 3, 10)),
        deadlines_s=choice(((5.0,), (0.02, 0.3), (0.3, 1.0), (0.05, 1.0, 5.0))),
        reads=choice((0.2, 0.5, 0.8)),
        appends=choice((0.3, 0.8, 1.0)),
        padding=choice((0, 0, 20, 200)),
        notices=choice((0.0, 0.5, 1.0)),
        duplicate=choice((0.0, 0.0, 0.0, 0.1)),
    )


def _some(random: Random, kinds: dict[str, tuple[int, ...]]) -> dict[str, int]:
    """Some of the kinds, each with its mean ticks between two."""
    return {kind: random.choice(ticks) for kind, ticks in kinds.items() if random.random() < 0.4}


def calmed_plan(plan: Plan) -> Plan:
    """The same without faults, and with calls that have time to be answered."""
    return plan._replace(
        torn=0.0, hop_units=5, haste=1, notices=1.0, duplicate=0.0, deadlines_s=(60.0,)
    )
