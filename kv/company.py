"""For whom the next wave waits: those who were just answered, as they mostly ask again at once.

Clients that ask without a pause would else fall into two halves: the one half is answered while the
other's wave is on its way, so each waits for two waves, and there are twice as many of them.
"""

from collections.abc import Collection

from kv.worth import Worth

SLOW_OF = 20
"""One of so many is not waited for: of fewer all are."""

FEW_OF = 8
"""If no more than one of so many is missing, the wave leaves with the first ms without any."""

CLIENTS_PER_MS = 16
"""A machine that many clients share takes longer until they have heard: so much for so many."""

WAIT_MS_MAX = 10
"""In all, however steadily they come."""

ENOUGH_BYTES = 65_536
"""A wave of so much waits for nobody: what is done once for it is little beside the rest."""

SLOW_MAX = 4_096
"""Clients known to be slow; at the bound all are forgotten, and tried again."""


class Company:
    """Waits only for whom that was worth it lately; time in ms never goes back.

    A client is known once it was in one of the two waves before, so nobody waits for who asks once.
    Who kept a wave waiting in vain is not waited for the next time, then two times, up to 64.
    """

    def __init__(self) -> None:
        self._known: tuple[set[bytes], set[bytes]] = (set(), set())  # of the last two waves
        self._slow: dict[bytes, Worth] = {}
        self._missing: set[bytes] = set()
        self._everyone = 0
        self._is_due = False
        self._has_come = False
        self._began_ms = self._came_ms = 0

    def begin(self, answered: set[bytes], here: Collection[bytes], now_ms: int) -> None:
        """A wave is settled, and these were in it; those who are here have asked meanwhile."""
        last, before = self._known
        self._known = answered, last
        self._is_due = False
        if len(answered) + len(here) == 1:
            return  # one alone, as most often where it matters
        found = answered.intersection(last | before).difference(here)
        self._missing = {client for client in found if self._is_quick(client)}
        self._everyone = len(self._missing) + len(here)
        self._is_due = bool(self._missing) and self._everyone > 1
        self._has_come = False
        self._began_ms = self._came_ms = now_ms

    def on_frame(self, client: bytes) -> None:
        """That client asks for something."""
        if client in self._missing:
            self._missing.remove(client)
            self._slow.pop(client, None)
            self._has_come = True

    def keeps_waiting(self, size: int, now_ms: int) -> bool:
        """Whether a wave of that size waits for more; to be asked until it does not."""
        if not self._is_due:
            return False
        missing, silent_ms = len(self._missing), now_ms - self._came_ms
        patience_ms = self._everyone // CLIENTS_PER_MS
        if self._has_come and silent_ms <= patience_ms + 1:  # else this is after a pause
            self._came_ms, silent_ms = now_ms, 0
        self._has_come = False
        if missing * FEW_OF <= self._everyone:
            patience_ms = 0
        if missing * SLOW_OF <= self._everyone or size >= ENOUGH_BYTES:
            self._is_due = False
        elif silent_ms > patience_ms or now_ms - self._began_ms >= WAIT_MS_MAX:
            self._is_due = False
            self._on_vain()
        if not self._is_due:
            self._missing = set()  # who comes now comes too late
        return self._is_due

    def _is_quick(self, client: bytes) -> bool:
        return client not in self._slow or self._slow[client].is_tried()

    def _on_vain(self) -> None:
        """Those who are missing are slow."""
        if len(self._slow) + len(self._missing) > SLOW_MAX:
            self._slow.clear()
        for client in self._missing:
            self._slow.setdefault(client, Worth()).learn(was_worth_it=False)
