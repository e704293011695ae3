"""How an actor that expects a word looks out for it for a moment before it sleeps.

Whoever was just answered mostly asks again at once. A virtual core that has nothing to do sleeps as
well, is awake again 40 us after it is told to be, and its caches are cold then. So who expects a
word stays awake for a moment, as long as that is mostly worth it (docs/decisions/0016).
"""

import os
import time
from collections.abc import Callable
from typing import Any

from kv.worth import Worth

MOMENT_S = 0.000_25
"""So long; a lone client takes half of it to hear an answer and to ask again."""

Look = Callable[[], list[Any]]


class Vigil:
    """Looks out only where that was worth it lately; time in seconds never goes back."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        give_way: Callable[[], None] = os.sched_yield,
        spent: Callable[[], float] = time.thread_time,
    ) -> None:
        """`give_way` lets others have the core: what is to come may be on its way through them."""
        self.awake_s = 0.0  # so much of a core it took; read by whoever looks at the cores
        self._clock = clock
        self._give_way = give_way
        self._spent = spent
        self._worth = Worth()

    def keep(self, look: Look) -> list[Any]:
        """What `look` finds within a moment; nothing, if it finds nothing or is not worth it."""
        if not self._worth.is_tried():
            return []
        until, began_s = self._clock() + MOMENT_S, self._spent()
        found: list[Any] = []
        while not found and self._clock() < until:
            self._give_way()
            found = look()
        self.awake_s += self._spent() - began_s
        # In vain, too, where somebody else had the core for longer.
        self._worth.learn(was_worth_it=bool(found) and self._clock() < until)
        return found
