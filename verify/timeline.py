"""What all parts of one world share: its time, its chance, and the record of what happened."""

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import Any

from verify.swarm import Swarm
from verify.transcript import Transcript

EVENTS_MAX = 500_000
"""No world needs as many; one that does goes round in circles."""


class Timeline:
    """A queue of events, first in time first, and among equals the one that was decided first."""

    def __init__(self, random: Random, swarm: Swarm, transcript: Transcript) -> None:
        self.now = 0
        self.random = random
        self.swarm = swarm
        self.facts: Counter[str] = Counter()
        self._transcript = transcript
        self._events: list[tuple[int, int, Callable[[Any], None], Any]] = []
        self._number = 0

    def after(self, units: int, action: Callable[[Any], None], argument: object = None) -> None:
        """Let the action happen that much later."""
        self._number += 1
        assert self._number < EVENTS_MAX, "the world does not come to rest"
        heappush(self._events, (self.now + units, self._number, action, argument))

    def run(self, units: int) -> None:
        """Let that much time pass."""
        events = self._events
        end = self.now + units
        while events and events[0][0] <= end:
            self.now, _, action, argument = heappop(events)
            action(argument)
        self.now = end

    def note(self, server: int, what: str, detail: object = None) -> None:
        """Write down what happens now."""
        self._transcript.note(self.now, server, what, detail)
