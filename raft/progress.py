"""One server's progress as its leader sees it: what it has, what is on its way, what may be sent.

PROBE      one append at a time until we know where the logs agree
REPLICATE  a pipeline of appends, bounded in messages and bytes
SNAPSHOT   what it needs is compacted away: chunks, bounded in bytes, no appends
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from messages.raft import Snapshot

PATIENCE_MAX = 16
"""A snapshot is sent again after at most so many times snapshot_retry_ticks without news."""


class Sending(Enum):
    """The three ways a leader talks to a follower."""

    PROBE = "probe"
    REPLICATE = "replicate"
    SNAPSHOT = "snapshot"


REPLICATE = Sending.REPLICATE
"""As in state.py: found through its class it takes 60 ns."""


@dataclass(slots=True)
class SnapshotSending:
    """How far one snapshot has come to one follower; acked_offset <= sent_offset."""

    snapshot: Snapshot
    next_offset: int = 0  # where the follower stands, by its last answer; it may have been late
    acked_offset: int = 0
    sent_offset: int = 0
    wanted: bool = False  # the driver was asked for the chunk at sent_offset
    all_sent: bool = False
    total_bytes: int = 0  # of all chunks, once the last one was sent
    idle_ticks: int = 0  # since something of it was acknowledged
    patience: int = 1  # how many times snapshot_retry_ticks they may be

    def on_acknowledged(self, next_offset: int) -> None:
        """All bytes before next_offset have arrived."""
        self.acked_offset = next_offset
        self.idle_ticks = 0
        self.patience = 1

    def resume(self) -> None:
        """Send from where the follower stands, whatever was sent before, and be more patient.

        A slow network still carries what was sent: as much again each time would choke it. Who has
        all of it and does not say that it is installed may have crashed: it is sent from the start.
        """
        if self.next_offset == self.total_bytes:
            self.next_offset = 0
        self.acked_offset = self.sent_offset = self.next_offset
        self.wanted = self.all_sent = False
        self.idle_ticks = 0
        self.patience = min(2 * self.patience, PATIENCE_MAX)


@dataclass(slots=True)
class Progress:
    """matchIndex and nextIndex of Figure 2, and the flow control around them."""

    next_index: int
    match_index: int = 0
    sending: Sending = Sending.PROBE
    probe_due: bool = True  # an append must go out even if there is nothing new in it
    recent_active: bool = False  # heard from since the last check for a quorum
    commit_sent: int = 0
    read_round: int = 0  # the latest round it has answered (raft/reads.py)
    inflight: deque[tuple[int, int]] = field(default_factory=deque)  # (last index, bytes)
    inflight_bytes: int = 0
    install: SnapshotSending | None = None

    def become_probe(self) -> None:
        """Go back to what is known to agree, and ask."""
        self.next_index = self.match_index + 1
        self._become(Sending.PROBE)
        self.probe_due = True

    def become_replicate(self) -> None:
        """The logs agree at match_index: stream what follows."""
        self.next_index = self.match_index + 1
        self._become(Sending.REPLICATE)

    def become_snapshot(self, snapshot: Snapshot) -> None:
        """Appends stop until the follower has the snapshot or it failed."""
        self._become(Sending.SNAPSHOT)
        self.install = SnapshotSending(snapshot)

    def is_paused(self, messages_max: int, bytes_max: int) -> bool:
        """Whether no further append may be sent now."""
        if self.sending is REPLICATE:
            return len(self.inflight) >= messages_max or self.inflight_bytes >= bytes_max
        return self.sending is Sending.SNAPSHOT or not self.probe_due

    def on_sent(self, last: int, size: int) -> None:
        """An append up to last is on its way."""
        self.probe_due = False
        if self.sending is REPLICATE and last >= self.next_index:
            self.next_index = last + 1
            self.inflight.append((last, size))
            self.inflight_bytes += size

    def on_match(self, index: int) -> bool:
        """All up to index is durable there; says whether that is news."""
        while self.inflight and self.inflight[0][0] <= index:
            self.inflight_bytes -= self.inflight.popleft()[1]
        self.next_index = max(self.next_index, index + 1)
        if index <= self.match_index:
            return False
        self.match_index = index
        return True

    def _become(self, sending: Sending) -> None:
        self.sending = sending
        self.probe_due = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.install = None
