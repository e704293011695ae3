"""What the actors of one node say to one another; they trust each other, so nothing is checked.

KVServer -> Raft       Propose AskRead AskMarks Applied StateSaved Handover
                       ChunkRead SnapshotUnavailable Staged StagingFailed StateInstalled
Raft -> KVServer       Proposed ProposalRefused Committed ReadAt RoleIs Marks Space
                       ReadChunk StageChunk InstallState
Raft -> LogWriter      WriteLog
LogWriter -> Raft      Written Space
"""

from typing import NamedTuple

from messages.client import Counted
from messages.raft import Entry, HardState, InstallSnapshot, Snapshot


class Propose(NamedTuple):
    """Put this payload into the log; answered by Proposed or ProposalRefused of that number."""

    number: int
    payload: bytes


class Proposed(NamedTuple):
    """It lies at index, unless a later term overwrites it."""

    number: int
    term: int
    index_in_log: int


class ProposalRefused(NamedTuple):
    """It is not in the log: not the leader, or no room (Refusal.name)."""

    number: int
    refusal: str


class Committed(NamedTuple):
    """Apply these, the first of them at first_index, and say Applied."""

    first_index: int
    entries: tuple[Entry, ...]


class Applied(NamedTuple):
    """The state machine has applied up to here."""

    applied_index: int


class StateSaved(NamedTuple):
    """The state machine is durable up to here."""

    saved_index: int


class AskRead(NamedTuple):
    """Find an index for the reads of this context; answered by ReadAt."""

    context: int
    lease: bool


class ReadAt(NamedTuple):
    """Answer the reads of context from a state applied that far; None: they must ask again."""

    context: int
    read_index: int | None


class RoleIs(NamedTuple):
    """What this node is now, and whom it follows (0: nobody)."""

    role: str
    leader_id: int
    term: int


class AskMarks(NamedTuple):
    """How far is the log?"""


class Marks(NamedTuple):
    """The marks of this node's log, for status, and what its actors counted (raft/counters.py)."""

    commit_index: int
    last_index: int
    truncated_index: int
    counted: Counted = ()


class Handover(NamedTuple):
    """A user's wish that this server lead; 0: any that is fit."""

    target: int


class ReadChunk(NamedTuple):
    """Fill in data and done of this chunk: ChunkRead, or SnapshotUnavailable for its target."""

    chunk: InstallSnapshot


class ChunkRead(NamedTuple):
    """The chunk with its bytes."""

    chunk: InstallSnapshot


class SnapshotUnavailable(NamedTuple):
    """No snapshot of exactly that index can be read here (any more)."""

    peer: int


class StageChunk(NamedTuple):
    """Put aside this chunk of a snapshot from the leader, the last one: verify all; say Staged."""

    chunk: InstallSnapshot


class Staged(NamedTuple):
    """All bytes of that snapshot before next_offset are here; if there are no more: verified."""

    source: int
    last_included_index: int
    next_offset: int


class StagingFailed(NamedTuple):
    """What came of that snapshot does not verify, or finds no room; it is thrown away."""

    source: int
    last_included_index: int


class InstallState(NamedTuple):
    """Replace the state by the staged snapshot, durably; then StateInstalled."""

    snapshot: Snapshot


class StateInstalled(NamedTuple):
    """The state is that of the snapshot, and will be after a crash."""

    last_included_index: int


class WriteLog(NamedTuple):
    """One synced transaction, then Written; see raft.state.Write for the order inside."""

    number: int
    hard_state: HardState
    snapshot: Snapshot | None
    base: Snapshot | None
    first_index: int
    entries: tuple[Entry, ...]


class Written(NamedTuple):
    """The write of that number is durable, and how long that took."""

    number: int
    took_ns: int = 0


class Space(NamedTuple):
    """Whether the disk has room for more than what is needed to survive."""

    is_left: bool


class FlushState(NamedTuple):
    """Make the frozen memtable durable; then StateFlushed."""


class StateFlushed(NamedTuple):
    """The frozen memtable is durable."""


ToRaft = (
    Propose
    | AskRead
    | AskMarks
    | Applied
    | StateSaved
    | Handover
    | ChunkRead
    | SnapshotUnavailable
    | Staged
    | StagingFailed
    | StateInstalled
    | Written
    | Space
)
ToServer = (
    Proposed
    | ProposalRefused
    | Committed
    | ReadAt
    | RoleIs
    | Marks
    | Space
    | ReadChunk
    | StageChunk
    | InstallState
)
