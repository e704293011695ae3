"""Whether a node's threads, when they are woken, wait until whoever runs has done its turn.

Linux lets a woken thread interrupt the one that woke it. The actors of a node and libzmq's thread
wake each other all the time: a KVServer that sends thirty answers was interrupted for nearly each.
A thread under SCHED_BATCH interrupts nobody, and so each turn ends before the next one begins,
with caches of its own: 64 clients get some 5 % more (docs/decisions/0015-manners.md).

But beside a stranger that computes all the time it then waits for milliseconds, at each of a dozen
steps. So a node takes on such manners when the cores have time to spare, and forgets them for a
while when it has waited much longer than it ran.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SPARE_MIN = 0.05
"""With less of all cores' time to spare nobody can tell who would be waited for."""

WAITED_MAX = 3
"""Whoever waits for so many times as long as it runs has a stranger beside it. Its own cluster and
clients, on all cores, make it twice as long."""

WAITED_MIN_S = 0.05
"""Less than this says nothing: it is added up over several looks."""

RUDE_S_MIN, RUDE_S_MAX = 2.0, 64.0
"""So long they are forgotten, doubled each time; kept for as long as the longest, all is well."""

TASKS = Path("/proc/self/task")


class Waited(NamedTuple):
    """What all threads of this process did so far, in seconds."""

    ran: float
    waited: float  # for a core, while they could have run


class Manners:
    """When to have them; time in seconds is handed in and never goes back."""

    def __init__(self, before: Waited, now: float) -> None:
        """At first a node has none; `before` is what its threads did so far."""
        self.has_them = False
        self._before = before
        self._taken_at = now
        self._rude_s = RUDE_S_MIN
        self._rude_until = now

    def look(self, waited: Waited, spare: float, now: float) -> None:
        """Decide, with what the threads did so far and the share of all cores that was idle."""
        if not self.has_them:
            self._before = waited
            if spare >= SPARE_MIN and now >= self._rude_until:
                self.has_them, self._taken_at = True, now
            return
        if now - self._taken_at >= RUDE_S_MAX:
            self._rude_s = RUDE_S_MIN
        ran_s = waited.ran - self._before.ran
        waited_s = waited.waited - self._before.waited
        if waited_s < WAITED_MIN_S:
            return
        self._before = waited
        if waited_s > WAITED_MAX * ran_s:
            self.has_them, self._rude_until = False, now + self._rude_s
            self._rude_s = min(2 * self._rude_s, RUDE_S_MAX)


def read_waited(tasks: Path) -> Waited | None:
    """Of these threads (proc(5), schedstat); None where that is not told, or is always nothing."""
    ran = waited = 0
    try:
        for task in tasks.iterdir():
            ran_ns, waited_ns, _ = map(int, (task / "schedstat").read_text().split())
            ran, waited = ran + ran_ns, waited + waited_ns
    except (OSError, ValueError):  # also a thread that ended while we looked: the next look is soon
        return None
    return Waited(ran / 1e9, waited / 1e9) if ran else None


def may_choose() -> bool:
    """Whether this process is scheduled as any other is, and not as somebody wished it."""
    return hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER


def behave(tasks: Path, *, well: bool) -> bool:
    """All these threads, if they can be found; later ones are like their makers."""
    policy = os.SCHED_BATCH if well else os.SCHED_OTHER
    try:
        threads = list(tasks.iterdir())
    except OSError:
        return False
    for thread in threads:
        with suppress(OSError):  # it has ended, or a container forbids it: all we lose is time
            os.sched_setscheduler(int(thread.name), policy, os.sched_param(0))
    return True
