"""A put's stages from what nodes counted meanwhile: their means, which add up to the put's."""

from collections.abc import Mapping
from typing import NamedTuple

STAGES = {
    "clerk": "CPU of the clients' process",
    "decode": "its frame, and what else came in that turn, is read",
    "wave before": "it waits until what came before is settled, and who was in that is back",
    "propose": "from the KVServer to Raft, and the commit's way back",
    "log write": "the leader's own: to the LogWriter, synced, and back",
    "replicate": "what a majority takes longer than that",
    "apply": "the wave is executed",
    "reply": "until the wave's last answer has left",
    "network and waiting": "the rest: sockets, for a core, for the clerk's other calls",
}
"""In the order a put goes through them, and what happens there."""

Counts = Mapping[str, int]
"""What a node's counters grew by."""


class Stage(NamedTuple):
    """One of STAGES, and what it takes of a put."""

    name: str
    us: float


class NodeShare(NamedTuple):
    """What a node did for each put; busy is in a turn, be it at work or waiting for a core."""

    name: str
    kvserver_us: float
    raft_us: float
    puts_per_write: float
    write_ms: float  # as Raft waits for it
    sync_ms: float  # of which the disk takes


class Profile(NamedTuple):
    """Where the time of a put went under some load."""

    clients: int
    per_s: float
    mean_us: float
    stages: list[Stage]
    leader: str
    nodes: list[NodeShare]


def stages_of(leader: Counts, clerk_us: float, mean_us: float) -> list[Stage]:
    """The stages of a put whose leader counted this; the last one is what is left of the mean.

    The KVServer weighs a wave by its frames, Raft does not: of a put's wave it takes the same share
    as of all waves.
    """
    wave_us = _us(leader, "frames_wave_ns", "frames_waved")
    whole = _us(leader, "waves_ns", "waves")
    commit = wave_us * min(1.0, _ratio(_us(leader, "commits_ns", "commits"), whole))
    write = wave_us * min(1.0, _ratio(_us(leader, "writes_ns", "writes"), whole))
    found = {
        "clerk": clerk_us,
        "decode": _us(leader, "frames_decode_ns", "frames"),
        "wave before": _us(leader, "frames_gather_ns", "frames"),
        "propose": wave_us - max(commit, write),
        "log write": write,
        "replicate": max(0.0, commit - write),
        "apply": _us(leader, "frames_apply_ns", "frames_waved"),
        "reply": _us(leader, "frames_reply_ns", "frames_waved"),
    }
    found["network and waiting"] = mean_us - sum(found.values())
    return [Stage(name, found[name]) for name in STAGES]


def share_of(name: str, counts: Counts, puts: int) -> NodeShare:
    """What a node that counted this did for each of so many puts."""
    return NodeShare(
        name,
        kvserver_us=_ratio(counts["kvserver_busy_ns"], puts) / 1e3,
        raft_us=_ratio(counts["raft_busy_ns"], puts) / 1e3,
        puts_per_write=_ratio(puts, counts["writes"]),
        write_ms=_us(counts, "writes_ns", "writes") / 1e3,
        sync_ms=_us(counts, "syncs_ns", "writes") / 1e3,
    )


def _us(counts: Counts, spent_ns: str, of: str) -> float:
    return _ratio(counts[spent_ns], counts[of]) / 1e3


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
