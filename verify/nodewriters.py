"""The two slow actors of a simulated node: who writes the log, and who works on the state.

Both do one thing after the other, as actors/logwriter.py and actors/statewriter.py do, and what is
under way when the node crashes has happened or has not.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from messages.local import (
    ChunkRead,
    FlushState,
    InstallState,
    ReadChunk,
    SnapshotUnavailable,
    Space,
    StageChunk,
    Staged,
    StagingFailed,
    StateFlushed,
    StateInstalled,
    WriteLog,
    Written,
)
from messages.raft import Snapshot
from verify.nodelog import LogDisk, needs_space
from verify.nodestore import Staging, StateDisk, Store, as_bytes
from verify.process import Process

Answer = Callable[[Any], None]


class NodeDisk:
    """What a crash keeps of a node."""

    def __init__(self, founders: Snapshot) -> None:
        self.log = LogDisk(founders)
        self.state = StateDisk()
        self.is_full = False
        self.stalled_until = 0


class LogWriter:
    """One write at a time; a full disk holds back what has commands."""

    def __init__(self, process: Process, disk: NodeDisk, answer: Answer) -> None:
        self._process = process
        self._disk = disk
        self._answer = answer
        self._writing: WriteLog | None = None
        self._unwritten: WriteLog | None = None
        self._told_space = True

    def handle(self, messages: list[WriteLog]) -> None:
        """Raft's wishes."""
        for message in messages:
            assert self._writing is None and self._unwritten is None, "two writes in flight"
            self._begin(message)

    def write_now(self, message: WriteLog) -> Written | None:
        """Raft's own thread writes, and waits; a slow or full disk it leaves to this one."""
        assert self._writing is None and self._unwritten is None, "two writes in flight"
        is_short = message.snapshot is None and message.base is None
        is_stalled = self._disk.stalled_until > self._process.timeline.now
        if not is_short or is_stalled or (self._disk.is_full and needs_space(message)):
            return None
        self._store(message)
        self._process.timeline.facts["quick writes"] += 1
        return Written(message.number)

    def tick(self) -> None:
        """Look at the space that is left, and try again what was held back (O1)."""
        self._tell_space(is_left=not self._disk.is_full)
        if self._unwritten is not None:
            message, self._unwritten = self._unwritten, None
            self._begin(message)

    def crash(self) -> None:
        """The write under way is durable, or it is not."""
        if self._writing is not None and self._process.timeline.random.random() < 0.5:
            self._store(self._writing)

    def _begin(self, message: WriteLog) -> None:
        self._writing = message
        self._process.after(write_units(self._process, self._disk), self._finish, message)

    def _finish(self, message: WriteLog) -> None:
        if self._process.burns_out():
            return
        self._writing = None
        if self._disk.is_full and needs_space(message):
            self._unwritten = message
            self._process.timeline.facts["writes that found the disk full"] += 1
            self._tell_space(is_left=False)
            return
        self._store(message)
        self._process.timeline.note(self._process.number, "has written", message)
        self._answer(Written(message.number))

    def _store(self, message: WriteLog) -> None:
        if message.base is not None:
            durable = self._disk.state.durable.snapshot.last_included_index
            cut = message.base.last_included_index
            assert cut <= durable, f"compaction: the log is cut at {cut}, the state at {durable}"
            self._process.timeline.facts["logs cut"] += 1
        self._disk.log.write(message)
        self._process.timeline.facts["writes"] += 1

    def _tell_space(self, *, is_left: bool) -> None:
        if is_left != self._told_space:
            self._told_space = is_left
            self._answer(Space(is_left))


class Reader(NamedTuple):
    """A snapshot on its way to one follower: the bytes of the state as it was."""

    last_included_index: int
    data: bytes


class StateWriter:
    """Flushes what is frozen, reads chunks for others, stages and installs what comes."""

    def __init__(
        self, process: Process, disk: NodeDisk, store: Store, chunk_bytes: int, answer: Answer
    ) -> None:
        self._process = process
        self._disk = disk
        self._store = store
        self._chunk_bytes = chunk_bytes
        self._answer = answer
        self._jobs: deque[Any] = deque()
        self._doing: Any = None
        self._unflushed = False
        self._readers: dict[int, Reader] = {}
        self._staging: Staging | None = None

    def handle(self, messages: list[Any]) -> None:
        """The KVServer's wishes, some of them handed on from Raft."""
        self._jobs += messages
        self._go_on()

    def tick(self) -> None:
        """Try again what a full disk held back."""
        if self._unflushed:
            self._unflushed = False
            self._jobs.append(FlushState())
            self._go_on()

    def abort(self) -> None:
        """What is being read is too old, and what is staged is lost."""
        self._readers.clear()
        self._staging = None if self._staging and not self._staging.arrived else self._staging

    def crash(self) -> None:
        """What was under way has happened, or it has not."""
        if self._process.timeline.random.random() < 0.5:
            if isinstance(self._doing, FlushState) and not self._disk.is_full:
                self._store.flush()
            elif isinstance(self._doing, InstallState):
                self._install(self._doing)

    def _go_on(self) -> None:
        if self._doing is None and self._jobs:
            self._doing = self._jobs.popleft()
            self._process.after(self._units(self._doing), self._finish)

    def _units(self, job: object) -> int:
        """How long it takes."""
        swarm = self._process.timeline.swarm
        if isinstance(job, FlushState):
            return swarm.save_units
        if isinstance(job, InstallState):
            return write_units(self._process, self._disk)
        return swarm.stage_units if isinstance(job, StageChunk) else 1

    def _finish(self, _: object) -> None:
        if self._process.burns_out():
            return
        job, self._doing = self._doing, None
        WORK[type(job)](self, job)
        if self._process.is_alive:
            self._go_on()

    def _on_flush(self, _: FlushState) -> None:
        if self._disk.is_full:
            self._unflushed = True
            return
        self._store.flush()
        self._process.timeline.facts["flushes"] += 1
        self._answer(StateFlushed())

    def _on_read_chunk(self, message: ReadChunk) -> None:
        """The first chunk opens the latest state; what is wanted may be another one."""
        chunk = message.chunk
        index, offset = chunk.last_included_index, chunk.offset
        reader = self._readers.get(chunk.target)
        if reader is None or reader.last_included_index != index:
            durable = self._disk.state.durable
            reader = Reader(durable.snapshot.last_included_index, as_bytes(durable))
            self._readers[chunk.target] = reader
        if reader.last_included_index != index or offset >= len(reader.data):
            del self._readers[chunk.target]
            self._process.timeline.facts["snapshots given up"] += 1
            self._answer(SnapshotUnavailable(chunk.target))
            return
        end = min(offset + self._chunk_bytes, len(reader.data))
        data, done = reader.data[offset:end], end == len(reader.data)
        self._process.timeline.facts["chunks sent"] += 1
        self._answer(ChunkRead(chunk._replace(data=data, done=done)))

    def _on_stage_chunk(self, message: StageChunk) -> None:
        chunk = message.chunk
        snapshot = Snapshot(*chunk[4:7])
        if self._staging is None or self._staging.snapshot != snapshot:
            self._staging = Staging(snapshot)
        if self._disk.is_full or not self._staging.stage(chunk):
            self._process.timeline.facts["snapshots refused"] += 1
            self._answer(StagingFailed(chunk.source, chunk.last_included_index))
        else:
            end = chunk.offset + len(chunk.data)
            self._answer(Staged(chunk.source, chunk.last_included_index, end))

    def _on_install(self, message: InstallState) -> None:
        self._install(message)
        timeline = self._process.timeline
        timeline.facts["snapshots installed"] += 1
        if timeline.random.random() < timeline.swarm.crash_installing:
            timeline.facts["installs cut off"] += 1
            self._process.crash()
        self._answer(StateInstalled(message.snapshot.last_included_index))

    def _install(self, message: InstallState) -> None:
        staging = self._staging
        assert staging is not None and staging.snapshot == message.snapshot
        assert staging.arrived is not None, "installs what has not arrived"
        self._disk.state.install(staging.arrived)


WORK: dict[type, Callable[[StateWriter, Any], None]] = {
    FlushState: StateWriter._on_flush,  # noqa: SLF001 - a table of its own class
    ReadChunk: StateWriter._on_read_chunk,  # noqa: SLF001
    StageChunk: StateWriter._on_stage_chunk,  # noqa: SLF001
    InstallState: StateWriter._on_install,  # noqa: SLF001
}


def write_units(process: Process, disk: NodeDisk) -> int:
    """How long a synced transaction takes."""
    swarm, timeline = process.timeline.swarm, process.timeline
    units = swarm.write_units + int(timeline.random.random() * swarm.write_spread_units)
    return units + max(0, disk.stalled_until - timeline.now)
