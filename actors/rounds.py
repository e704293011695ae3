"""The rounds of an event loop: all frames that its AsyncClerks have at a moment leave together.

A frame wakes libzmq's thread, which costs more than the frame; those right behind it find that
thread awake. One timer serves all clerks (decision 0006).
"""

import time
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

from actors.lines import Lines
from kv.outcomes import NEVER, Settled

TIMER_S_MIN = 0.001
"""Timers are no finer than this."""


class Part:
    """One clerk's part in the rounds of its loop."""

    def __init__(
        self, rounds: "Rounds", lines: Lines, tell: Callable[[list[Settled]], None]
    ) -> None:
        self.is_called = False  # to the next round
        self.lines = lines
        self.tell = tell
        self._rounds = rounds

    def call(self) -> None:
        """There is something for the next round."""
        self._rounds.call(self)

    def hear(self, descriptors: Iterable[int] | None) -> None:
        """Take what came; whoever is woken by it may speak in the same round as we do."""
        self.tell(self.lines.hear(descriptors))
        self._rounds.call_after_tasks(self)


class Rounds:
    """Of one event loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._called: dict[Part, None] = {}  # in this order, each once
        self._heard: dict[Part, None] = {}
        self._is_scheduled = False
        self._waiting: dict[Part, float] = {}  # when each is due
        self._timer: TimerHandle | None = None
        self._timer_at = NEVER

    def call(self, part: Part) -> None:
        """It comes in the next round, once."""
        part.is_called = True
        self._called[part] = None
        if not self._heard:  # else the round comes after those who heard
            self._schedule()

    def call_after_tasks(self, part: Part) -> None:
        """As call, once the tasks that are woken by now have run: they may have more to send."""
        part.is_called = True
        if not self._heard:
            self._loop.call_soon(self._call_heard)
        self._heard[part] = None

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._go_round)

    def _call_heard(self) -> None:
        """One alone goes at once; of several the last may have woken tasks that come behind us."""
        heard, self._heard = self._heard, {}
        self._called |= heard
        if len(heard) == 1:
            self._go_round()
        else:
            self._schedule()

    def _go_round(self) -> None:
        called, self._called = self._called, {}
        self._is_scheduled = False
        for part in called:
            part.is_called = False  # of all first: a fault in one must not keep others out for good
        for part in called:
            if settled := part.lines.decide():
                part.tell(settled)
        for part in called:
            part.lines.speak()
        for part in called:
            if part.lines.listen():
                part.hear(())  # what nobody else would tell of
            due = part.lines.due()
            if due == NEVER:
                self._waiting.pop(part, None)
                continue
            self._waiting[part] = due
            if due < self._timer_at:
                self._set_timer(due)

    def _set_timer(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = due
        wait_s = max(TIMER_S_MIN, due - time.monotonic())
        self._timer = self._loop.call_later(wait_s, self._on_timer)

    def _on_timer(self) -> None:
        """Most were put off since it was set: that is cheaper than setting it each time."""
        self._timer, self._timer_at = None, NEVER
        now = time.monotonic()
        for part in [part for part, due in self._waiting.items() if due <= now]:
            del self._waiting[part]
            part.hear(None)
        if self._waiting:
            self._set_timer(min(self._waiting.values()))


_rounds: WeakValueDictionary[AbstractEventLoop, Rounds] = WeakValueDictionary()


def rounds_of(loop: AbstractEventLoop) -> Rounds:
    """The rounds of a loop; they last as long as a clerk holds them."""
    rounds = _rounds.get(loop)
    if rounds is None:
        rounds = _rounds[loop] = Rounds(loop)
    return rounds
