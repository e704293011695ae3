"""One life of a process of several actors, each with a mailbox and turns, as actors/actor.py does.

A crash may come between any two effects that the process has on the world outside or on itself: a
fuse, when lit, counts them. While it is paused nothing happens in it, and whatever was to happen
happens when it goes on.
"""

from collections.abc import Callable
from typing import Any

from verify.timeline import Timeline

Handler = Callable[[Any], None]


class Process:
    """What the actors of one process share: that it lives, and that it runs."""

    def __init__(self, timeline: Timeline, number: int, on_crash: Callable[[], None]) -> None:
        self.timeline = timeline
        self.number = number
        self.is_alive = True
        self.is_paused = False
        self.pauses_in_turn = False
        self.fuse = 0  # so many effects until it crashes; 0: not lit
        self.actors: list[Actor] = []
        self._on_crash = on_crash
        self._deferred: list[tuple[Handler, Any]] = []

    @property
    def is_running(self) -> bool:
        """Whether it could do something now."""
        return self.is_alive and not self.is_paused

    def burns_out(self) -> bool:
        """Whether this life is over before the next effect; a lit fuse burns down by one."""
        if self.fuse:
            self.fuse -= 1
            if self.fuse == 0:
                self.crash()
        return not self.is_alive

    def after(self, units: int, action: Handler, argument: object = None) -> None:
        """Let it happen that much later, in this life, when the process runs."""
        self.timeline.after(units, self._on_time, (action, argument))

    def crash(self) -> None:
        """Nothing of this life happens any more."""
        if self.is_alive:
            self.is_alive = False
            self.timeline.note(self.number, "crashes")
            self._on_crash()

    def pause(self, *, in_turn: bool = False) -> None:
        """Stand still, now or in the middle of the next turn."""
        if in_turn:
            self.pauses_in_turn = True
        else:
            self.is_paused = True
            self.timeline.note(self.number, "pauses")

    def resume(self) -> None:
        """Go on where it stood."""
        self.pauses_in_turn = False
        if not self.is_alive or not self.is_paused:
            return
        self.timeline.note(self.number, "resumes")
        self.is_paused = False
        deferred, self._deferred = self._deferred, []
        for action, argument in deferred:
            self._on_time((action, argument))
        for actor in self.actors:
            actor.wake()

    def _on_time(self, due: tuple[Handler, Any]) -> None:
        if not self.is_alive:
            return
        if self.is_paused:
            self._deferred.append(due)
        else:
            action, argument = due
            action(argument)


class Actor:
    """A thread with one mailbox: it takes all that waits, then handles it, then sends."""

    def __init__(
        self,
        process: Process,
        tick: Callable[[], None],
        flush: Callable[[], None],
        idle_ticks: Callable[[], int] = lambda: 0,
    ) -> None:
        self._process = process
        self._tick = tick
        self._flush = flush
        self._idle_ticks = idle_ticks
        self._inbox: list[tuple[Handler, Any]] = []
        self._taken: list[tuple[Handler, Any]] = []
        self._ticks_due = 0
        self._turn_due = False
        self._last_arrival: dict[Handler, int] = {}
        process.actors.append(self)

    def tell(self, handle: Handler, mail: object, units: int) -> None:
        """Send it something that takes so long; what is handled alike came in this order."""
        now = self._process.timeline.now
        arrival = max(now + units, self._last_arrival.get(handle, 0))
        self._last_arrival[handle] = arrival
        self._process.timeline.after(arrival - now, self._on_arrival, (handle, mail))

    def put(self, handle: Handler, mail: object) -> None:
        """Something waits for the next turn, also while the process is paused."""
        self._on_arrival((handle, mail))

    def on_tick(self) -> None:
        """A unit of time has passed; it may sleep through it."""
        self._ticks_due += 1
        if self._process.is_running and self._ticks_due > self._idle_ticks():
            self._turn(None)

    def wake(self) -> None:
        """A turn is due, if there is anything to do."""
        if (self._inbox or self._ticks_due) and not self._turn_due and self._process.is_running:
            self._turn_due = True
            self._process.after(self._process.timeline.swarm.turn_units, self._turn)

    def _on_arrival(self, arrived: tuple[Handler, Any]) -> None:
        if self._process.is_alive:
            self._inbox.append(arrived)
            self.wake()

    def _turn(self, _: object) -> None:
        """Take first, then let time pass: what was taken may be older than the ticks (R2)."""
        self._turn_due = False
        self._taken += self._inbox
        self._inbox.clear()
        if self._process.pauses_in_turn:
            self._process.pauses_in_turn = False
            self._process.pause()
            self._process.after(0, self._finish_turn)
        else:
            self._finish_turn(None)

    def _finish_turn(self, _: object) -> None:
        for _each in range(self._ticks_due):
            self._tick()
        self._ticks_due = 0
        taken, self._taken = self._taken, []
        for handle, mail in taken:
            if self._process.is_alive:
                handle(mail)
        if self._process.is_alive:
            self._flush()
