"""Whom the next wave waits for: those who were just answered, as they mostly ask again at once.

Clients that ask without a pause would else fall into two halves: the one is answered while the
other's wave is on its way, so each half waits for two waves, and there are twice as many of them.
"""

from collections.abc import Collection

from kv.worth import Worth

SLOW_OF = 20
"""One of so many, of all who are here or were just answered, is not waited for."""

ENOUGH_BYTES = 65_536
"""Or so much: what is done once for a wave is little then beside what is done for each write."""

SILENCE_MS = 1
"""Nobody came for longer: those who are missing do not ask again at once, or from far away."""

CLIENTS_PER_MS = 16
"""A machine that many clients share takes longer until they have heard: so much for so many."""

WAIT_MS_MAX = 10
"""In all, however steadily they come."""


class Company:
    """Waits only where that was worth it lately; time in ms never goes back."""

    def __init__(self) -> None:
        self._worth = Worth()
        self._missing: set[bytes] = set()
        self._missing_max = 0  # with no more of them missing it is enough
        self._patience_ms = 0
        self._is_due = False
        self._has_waited = False
        self._has_come = False
        self._began_ms = self._came_ms = 0

    def begin(self, answered: set[bytes], here: Collection[bytes], now_ms: int) -> None:
        """A wave is settled, and these were in it; those who are here have asked meanwhile."""
        self._missing = answered.difference(here)
        everyone = len(self._missing) + len(here)
        self._missing_max = everyone // SLOW_OF
        self._patience_ms = SILENCE_MS + everyone // CLIENTS_PER_MS
        self._is_due = everyone > 1 and len(self._missing) > self._missing_max
        self._is_due = self._is_due and self._worth.is_tried()
        self._has_waited = self._has_come = False
        self._began_ms = self._came_ms = now_ms

    def on_frame(self, client: bytes) -> None:
        """That client asks for something."""
        if client in self._missing:
            self._missing.remove(client)
            self._has_come = True

    def is_awaited(self, size: int, now_ms: int) -> bool:
        """Whether a wave of that size waits for more; asked until it does not."""
        if not self._is_due:
            return False
        has_enough = len(self._missing) <= self._missing_max or size >= ENOUGH_BYTES
        is_late = now_ms - self._came_ms > self._patience_ms
        self._is_due = not (has_enough or is_late or now_ms - self._began_ms >= WAIT_MS_MAX)
        if self._has_come:
            self._has_come, self._came_ms = False, now_ms
        if self._is_due:
            self._has_waited = True
        elif self._has_waited:
            self._worth.learn(was_worth_it=has_enough)
        return self._is_due
