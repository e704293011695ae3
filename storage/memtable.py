"""Keys and values in memory until they are flushed: a dict, and its order when someone scans."""

from bisect import bisect_left
from collections.abc import Iterator

KEY_OVERHEAD_BYTES = 128
"""What a key weighs beside its bytes and its value's; empty values must not be free."""


class Memtable:
    """The latest values by key; None stands for a key that was deleted."""

    __slots__ = ("_fresh", "_sorted", "bytes", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes | None] = {}
        self.bytes = 0
        self._sorted: list[bytes] = []
        self._fresh: list[bytes] = []  # keys that came since the last scan

    def put(self, key: bytes, value: bytes | None) -> None:
        """Set the value, or that there is none."""
        if key in self.values:
            self.bytes -= len(self.values[key] or b"")
        else:
            self.bytes += KEY_OVERHEAD_BYTES + len(key)
            self._fresh.append(key)
        self.bytes += len(value or b"")
        self.values[key] = value

    def range(self, first: bytes, last: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
        """What lies from first up to last, in order; sorting is paid for here, not by each put."""
        if self._fresh:
            self._sorted += self._fresh
            self._sorted.sort()  # nearly sorted already, which Python's sort is quick with
            self._fresh.clear()
        for place in range(bisect_left(self._sorted, first), len(self._sorted)):
            key = self._sorted[place]
            if last is not None and key >= last:
                return
            yield key, self.values[key]
