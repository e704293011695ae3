"""Reads on their way: all of a wave share one question to Raft, and wait for the index it gives."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kv.proposals import WAVE_MS_MAX
from messages.client import Reads


class Reader(NamedTuple):
    """A clerk and what it asked."""

    client: bytes
    request: Reads


class ReadQueue:
    """Reads that wait: for the next wave, for an index, or for that index to be applied."""

    def __init__(self, reads_max: int) -> None:
        self._reads_max = reads_max
        self.waiting = 0
        self._gathered: dict[bool, list[Reader]] = {}  # by whether a lease will do
        self._asked_ms = 0
        self._asked: dict[int, list[Reader]] = {}
        self._answerable: deque[tuple[int, list[Reader]]] = deque()

    def has_room(self) -> bool:
        """Whether one more may wait; beyond the bound the clerk is told to back off."""
        return self.waiting < self._reads_max

    def gather(self, reader: Reader, *, lease: bool) -> None:
        """It is asked about with the next wave."""
        self.waiting += 1
        self._gathered.setdefault(lease, []).append(reader)

    def wait(self, reader: Reader, read_index: int) -> None:
        """It needs no question: its index is known."""
        self.waiting += 1
        self._answerable.append((read_index, [reader]))

    def next_wave(self, now_ms: int) -> tuple[bool, ...]:
        """The questions of the next wave, by whether a lease will do.

        None before the last one has its answers, or takes too long.
        """
        if self._asked and now_ms - self._asked_ms < WAVE_MS_MAX:
            return ()
        return tuple(self._gathered)

    def ask(self, context: int, now_ms: int, *, lease: bool) -> None:
        """Ask about all that were gathered, under this context."""
        self._asked[context] = self._gathered.pop(lease)
        self._asked_ms = now_ms

    def found(self, context: int, read_index: int) -> None:
        """These reads may be answered from a state applied that far (R4)."""
        self._answerable.append((read_index, self._asked.pop(context)))

    def not_found(self, context: int) -> list[Reader]:
        """Leadership moved: these must ask again."""
        readers = self._asked.pop(context)
        self.waiting -= len(readers)
        return readers

    def answerable(self, applied_index: int) -> Iterator[Reader]:
        """Those that may be answered now, in the order of their rounds."""
        while self._answerable and self._answerable[0][0] <= applied_index:
            _, readers = self._answerable.popleft()
            self.waiting -= len(readers)
            yield from readers
