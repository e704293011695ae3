"""How fast the core decides and the codec packs, without disk or network.

    python -m bench.core [--quick]

A round of the core: the leader of three servers is handed a batch, and messages go to and fro in
one process until all three have applied it; a write counts as durable at once. So the numbers are
the Python of raft/ alone. Medians of samples taken in turns, so that a busy moment hurts all alike.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from statistics import median
from time import perf_counter
from typing import TypeVar

from messages.codec import decode, encode
from messages.raft import (
    COMMAND,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    Heartbeat,
    Membership,
    Message,
    Snapshot,
)
from raft import core
from raft.election import campaign
from raft.state import Config, Proposed, Raft, Saved

PAYLOAD = bytes(256)
BATCHES = (1, 64, 1000)
SERVERS = (1, 2, 3)
CALLS_BETWEEN_LOOKS = 8  # at the clock, which would weigh as much as packing a heartbeat

Name = TypeVar("Name")

HEAD = (0, 1, 2, 7)
MESSAGES: Mapping[str, Message] = {
    "Heartbeat": Heartbeat(*HEAD, 1_000_000, 70_000),
    "AppendEntriesReply": AppendEntriesReply(
        *HEAD, success=True, match_index=1_000_000, prev_log_index=1_000_000, hint_term=0
    ),
    **{
        f"AppendEntries of {batch:,}": AppendEntries(
            *HEAD, 999_999, 7, 999_990, (Entry(7, COMMAND, PAYLOAD),) * batch
        )
        for batch in BATCHES
    },
}


class Cluster:
    """Three servers whose messages arrive and whose writes are durable at once; the first leads."""

    def __init__(self) -> None:
        birth = Snapshot(0, 0, Membership(voters=SERVERS))
        saved = Saved(HardState(0, 0, 0), birth, (), 0)
        self.servers = {
            server: core.start(0, server, Config(), Random(server), saved) for server in SERVERS
        }
        self.leader = self.servers[1]
        campaign(self.leader)
        self.settle()

    def round(self, payloads: Sequence[bytes]) -> None:
        """Commit and apply a batch everywhere, and cut the log as a node would."""
        proposed = core.propose(self.leader, payloads)
        assert isinstance(proposed, Proposed)
        self.settle()
        for raft in self.servers.values():
            assert raft.last_applied == proposed.last_index
            core.state_saved(raft, raft.last_applied)

    def settle(self) -> None:
        """Do everyone's duties until there are none left."""
        busy = True
        while busy:
            busy = False
            for raft in self.servers.values():
                busy |= self._work(raft)

    def _work(self, raft: Raft) -> bool:
        duties = core.ready(raft)
        self._carry(duties.messages)
        if duties.write:
            self._carry(duties.write.messages)
            core.persisted(raft, duties.write)
        if duties.committed:
            core.applied(raft, duties.committed.last_index)
        return bool(duties.messages or duties.write or duties.committed)

    def _carry(self, messages: Sequence[Message]) -> None:
        for message in messages:
            core.step(self.servers[message.target], message)


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.core", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="show that it works; trust no number")
    quick = parser.parse_args().quick
    samples, seconds = (1, 0.01) if quick else (9, 0.2)

    print(f"core: three servers, entries of {len(PAYLOAD)} bytes, until applied on all")
    print(f"{'batch':>24}{'entries/s':>14}{'µs a round':>14}")
    clusters = {batch: Cluster() for batch in BATCHES}
    rounds = {
        batch: partial(cluster.round, [PAYLOAD] * batch) for batch, cluster in clusters.items()
    }
    for batch, spent in _measured(rounds, samples, seconds).items():
        print(f"{batch:>24,}{batch / spent:>14,.0f}{spent * 1e6:>14,.1f}")

    print(f"\ncodec\n{'message':>24}{'bytes':>14}{'µs to encode':>14}{'µs to decode':>14}")
    frames = {name: encode(message) for name, message in MESSAGES.items()}
    packing = {name: partial(encode, message) for name, message in MESSAGES.items()}
    parsing = {name: partial(decode, frame) for name, frame in frames.items()}
    packed = _measured(packing, samples, seconds / 4)
    parsed = _measured(parsing, samples, seconds / 4)
    for name, frame in frames.items():
        times = f"{packed[name] * 1e6:>14,.2f}{parsed[name] * 1e6:>14,.2f}"
        print(f"{name:>24}{len(frame):>14,}{times}")


def _measured(
    actions: Mapping[Name, Callable[[], object]], samples: int, seconds: float
) -> dict[Name, float]:
    """The median time of one call of each, in seconds; each is sampled once a turn."""
    taken: dict[Name, list[float]] = {name: [] for name in actions}
    for _ in range(samples):
        for name, action in actions.items():
            taken[name].append(_sample(action, seconds))
    return {name: median(times) for name, times in taken.items()}


def _sample(action: Callable[[], object], seconds: float) -> float:
    """The mean time of one call, over as many as fit into these seconds."""
    calls = 0
    started = now = perf_counter()
    while now - started < seconds:
        for _ in range(CALLS_BETWEEN_LOOKS):
            action()
        calls += CALLS_BETWEEN_LOOKS
        now = perf_counter()
    return (now - started) / calls


if __name__ == "__main__":
    main()
