"""The LogWriter actor: one synced transaction for all that Raft gathered while the last one ran."""

from collections.abc import Callable

from actors.actor import tell
from actors.log import Log
from actors.sockets import INPROC_LOGWRITER, Context, Socket, local_router
from messages import localcodec
from messages.local import Space, WriteLog, Written
from storage.environment import DiskFull
from storage.log import LogStore
from storage.reserve import Reserve

GROUP = 0
SLOW_NS = 100_000_000
"""A write that takes longer is told."""


def tell_if_slow(log: Log, written: Written) -> None:
    """For whoever operates the node (docs/operating.md)."""
    if written.took_ns > SLOW_NS:
        log.event("slow_disk", "warning", write_ms=written.took_ns // 1_000_000)


class LogWriterActor:
    """Writes what Raft hands over; a failed write ends it, and with it the node (D5)."""

    expects_more = False

    def __init__(
        self,
        context: Context,
        store: LogStore,
        reserve: Reserve,
        clock: Callable[[], float],
        log: Log,
    ) -> None:
        self._store = store
        self._reserve = reserve
        self._clock = clock
        self._log = log
        self._socket = local_router(context, INPROC_LOGWRITER)
        self._raft = b""
        self._unwritten: WriteLog | None = None  # held back by a full disk
        self._space_left = True

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """Raft's wishes."""
        return {self._socket: self._on_frames}

    def tick(self) -> None:
        """Look at the space that is left, try again what it held back (O1), and keep small."""
        self._tell_space(is_left=self._reserve.is_left())
        self._store.let_pages_go()
        if self._unwritten is not None:
            self._write(self._unwritten)
        else:
            self._reserve.refill()

    def flush(self) -> None:
        """Every write was answered when it was done."""

    def on_flood(self, at: Socket) -> None:
        """What its own node asks has bounds elsewhere; the rest comes in the next turn."""

    def wait_ms(self, until_tick_ms: int) -> int:
        """Until the next tick."""
        return until_tick_ms

    def is_done(self) -> bool:
        """At any time: what is not done is asked for again."""
        return True

    def close(self) -> None:
        """Close what this thread made."""
        self._socket.close()

    def _on_frames(self, frames: list[bytes]) -> None:
        self._raft = frames[0]
        for message in localcodec.decode(frames[-1]):
            self._write(message)

    def _write(self, message: WriteLog) -> None:
        began = self._clock()
        self._unwritten = None
        try:
            self._execute(message)
        except DiskFull:
            # Nothing was written, so trying again is not the retry of a sync that D5 forbids.
            self._tell_space(is_left=False)
            if self._reserve.release():
                self._write(message)
            else:
                self._unwritten = message
            return
        written = Written(message.number, int((self._clock() - began) * 1e9))
        tell_if_slow(self._log, written)
        tell(self._socket, [self._raft, localcodec.encode([written])])

    def _execute(self, message: WriteLog) -> None:
        _, hard_state, snapshot, base, first_index, entries = message
        if snapshot is not None:
            self._store.reset(GROUP, hard_state, snapshot)
        else:
            self._store.write(GROUP, hard_state, base, first_index, entries)

    def _tell_space(self, *, is_left: bool) -> None:
        if is_left != self._space_left and self._raft:
            self._space_left = is_left
            self._log.event("disk_has_space" if is_left else "disk_full", "warning")
            tell(self._socket, [self._raft, localcodec.encode([Space(is_left)])])
