"""Exactly once: what a session has had done, and when it is forgotten (thesis §6.3).

A session's operations are numbered without a gap and executed in that order, so one number says
what was executed: a repeated one is answered and not executed again, one that runs ahead is not
executed at all. The table is part of the replicated state, and so is its clock: leaders put into
the log how much time passed, apply reads no clock (S1), a leap of somebody's clock ends nothing.
"""

from dataclasses import dataclass, field

from messages.sessions import Table

SESSIONS_MAX = 100_000
"""At the bound no further session is opened until one expires."""

SESSION_IDLE_MS = 3_600_000
"""A session unused for so long is forgotten. Not configurable: every server must agree on it."""

RESULTS_MAX = 4_096
"""Results kept for one session, those its clerk has not acknowledged; beyond it is out of order."""


@dataclass(slots=True)
class Session:
    """One clerk's place; results holds only those that say more than done."""

    used_at: int
    last_sequence: int = 0
    results: dict[int, bytes] = field(default_factory=dict)

    def acknowledge(self, below: int) -> None:
        """The clerk has the results below this number."""
        for sequence in [found for found in self.results if found < below]:
            del self.results[sequence]


class Sessions:
    """All sessions of a group, and the replicated time in milliseconds they expire by."""

    def __init__(self) -> None:
        self.clock_ms = 0
        self.opened = 0
        self._sessions: dict[int, Session] = {}
        self._swept_at = 0

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self) -> int | None:
        """A session id never used before; None at the bound."""
        if len(self._sessions) >= SESSIONS_MAX:
            return None
        self.opened += 1
        self._sessions[self.opened] = Session(self.clock_ms)
        return self.opened

    def use(self, session: int) -> Session | None:
        """The session, alive for another while; None if it expired or never was."""
        found = self._sessions.get(session)
        if found is not None:
            found.used_at = self.clock_ms
        return found

    def advance(self, elapsed_ms: int) -> None:
        """Let time pass, and forget who was idle too long; a sweep costs one look at each."""
        self.clock_ms += elapsed_ms
        if self.clock_ms - self._swept_at < SESSION_IDLE_MS // 8:
            return
        self._swept_at = self.clock_ms
        idle = self.clock_ms - SESSION_IDLE_MS
        for session in [at for at, found in self._sessions.items() if found.used_at < idle]:
            del self._sessions[session]

    def dump(self) -> Table:
        """Plain values for a snapshot, the same on every server at the same index."""
        rows = tuple(
            (at, found.used_at, found.last_sequence, tuple(sorted(found.results.items())))
            for at, found in sorted(self._sessions.items())
        )
        return self.clock_ms, self.opened, self._swept_at, rows

    @classmethod
    def load(cls, table: Table) -> "Sessions":
        """What dump gave."""
        sessions = cls()
        sessions.clock_ms, sessions.opened, sessions._swept_at, rows = table
        for at, used_at, last_sequence, results in rows:
            sessions._sessions[at] = Session(used_at, last_sequence, dict(results))
        return sessions
