"""A server's disk at work: one write at a time, at its own pace, and what a crash makes of it."""

from collections.abc import Callable

from raft.state import Write
from verify.disk import Disk
from verify.laws import Laws
from verify.machine import State
from verify.timeline import Timeline


class Writer:
    """Takes a write, and says when it is durable."""

    def __init__(
        self,
        timeline: Timeline,
        laws: Laws,
        server_id: int,
        disk: Disk,
        on_durable: Callable[[Write], None],
    ) -> None:
        self.stalled_until = 0
        self.staged = State()  # what the next write installs if it carries a snapshot
        self._timeline = timeline
        self._laws = laws
        self._server_id = server_id
        self._disk = disk
        self._tell = on_durable
        self._writing: Write | None = None

    def start(self, write: Write) -> int:
        """Begin a write, and say how long it takes."""
        assert self._writing is None, "a second write while one is in flight"
        self._writing = write
        swarm = self._timeline.swarm
        units = swarm.write_units
        units += int(self._timeline.random.random() * swarm.write_spread_units)
        units += max(0, self.stalled_until - self._timeline.now)
        self._timeline.after(units, self._on_durable, write)
        return units

    def is_writing(self, write: Write) -> bool:
        """Whether this write is under way."""
        return self._writing is write

    def heal(self) -> None:
        """Do at last what has been waiting."""
        self.stalled_until = 0
        if self._writing is not None:
            self._timeline.after(1, self._on_durable, self._writing)

    def on_crash(self) -> None:
        """Of a write under way all is kept, or nothing, or of a snapshot only the state."""
        write, self._writing = self._writing, None
        if write is None:
            return
        chance = self._timeline.random.random()
        if chance < 0.4:
            self._store(write)
        elif chance < 0.8 and write.snapshot is not None:
            self._laws.on_write(self._server_id, write, self.staged)
            self._disk.install(write.snapshot, self.staged)
            self._timeline.facts["installs cut off"] += 1

    def _on_durable(self, write: Write) -> None:
        if self._writing is write:
            self._writing = None
            self._store(write)
            self._tell(write)

    def _store(self, write: Write) -> None:
        self._laws.on_write(self._server_id, write, self.staged)
        if write.snapshot is not None:
            self._disk.install(write.snapshot, self.staged)
        self._disk.store(write)
        self._timeline.facts["writes"] += 1
        self._timeline.facts["snapshots installed"] += write.snapshot is not None
        self._timeline.facts["logs cut"] += write.base is not None
