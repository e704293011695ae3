"""What happened in a world, one readable line an event; normally only the end of it is kept."""

from collections import deque
from hashlib import sha256
from typing import NamedTuple

from messages.raft import Entry, Membership

TICK = 1000
"""Units of simulated time in one tick of an exact clock."""


class Note(NamedTuple):
    """One event; server 0 is the world itself."""

    now: int
    server: int
    what: str
    detail: object

    def __str__(self) -> str:
        """The line that a reader sees."""
        who = f"S{self.server}" if self.server else "--"
        return f"{self.now / TICK:9.3f} {who:>4}  {self.what} {describe(self.detail)}".rstrip()


class Transcript:
    """The last notes of a run, or all of them; live ones are printed as they come."""

    def __init__(self, *, keep: int | None = 60, live: bool = False) -> None:
        self._notes: deque[tuple[int, int, str, object]] = deque(maxlen=keep)
        self._live = live

    def note(self, now: int, server: int, what: str, detail: object = None) -> None:
        """Write down one event; it is put into words only when somebody reads it."""
        self._notes.append((now, server, what, detail))
        if self._live:
            print(Note(now, server, what, detail))

    def lines(self) -> list[str]:
        """What is kept, oldest first."""
        return [str(Note(*note)) for note in self._notes]

    def digest(self) -> str:
        """Equal for equal transcripts: two runs of a seed have the same."""
        return sha256("\n".join(self.lines()).encode()).hexdigest()[:16]


def describe(detail: object) -> str:
    """A value in few words: messages and writes by their fields, bytes by their number."""
    if detail is None:
        return ""
    if isinstance(detail, bytes):
        return f"{len(detail)}B"
    if isinstance(detail, Membership):
        parts = zip("vojnx", detail, strict=True)  # x: removed
        return "(" + " ".join(f"{key}{list(ids)}" for key, ids in parts if ids) + ")"
    if isinstance(detail, Entry):
        return f"@{detail.term}"
    fields = getattr(detail, "_fields", None)
    if fields is not None:
        named = zip(fields, detail, strict=True)  # type: ignore[call-overload] # it is a NamedTuple
        shown = [f"{name}={describe(value)}" for name, value in named if name != "group"]
        return f"{type(detail).__name__}({' '.join(shown)})"
    if isinstance(detail, tuple | list):
        return "[" + " ".join(map(describe, detail)) + "]"
    return str(detail)
