"""On which core a node's threads run: on one, while that has time for them.

To wake a thread on the core that one runs on takes 1 us, on another one 40 to 50 us where cores are
virtual and sleep (docs/decisions/0010-one-core-while-quiet.md). The actors of a node hand work from
one to the next, so a lone get takes a third less. When its core is busy a node looks for another,
and where all are it runs on all of them, as if this file did not exist.
"""

import os
import re
import resource
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from actors.manners import TASKS, Manners, Waited, behave, may_choose, read_waited

LOOK_S = 0.25
"""How often the cores are looked at: a node that sits badly does so for two looks at most."""

SPARE_MIN, SPARE_ENOUGH = 0.25, 0.3
"""With less of all cores' time to spare than this a node is let go, and with so much bound."""

CROWDED = 0.1
"""A core with less time than this to spare is left, for all of them until the next look."""

CONTENDED, CONTENDED_MIN = 0.5, 0.02
"""Only by who waits for a core so many times as long as it runs, and for so much of the time: those
who keep it busy may look out for a word, and give way to everybody (actors/vigil.py)."""

QUIET = 0.45
"""A core with so much time to spare is one to go to."""

ROOM = 0.12
"""A node goes home when so much of that core would be left, counting half of what it uses itself:
what keeps a core busy may be the looks of others, who give way to it."""

OWN_MAX = 0.75
"""A node that uses more of a core than this needs another one beside it."""

_STAT = Path("/proc/stat")
_IDLE, _IOWAIT = 3, 4


class Spent(NamedTuple):
    """Of one core, in the same unit: time in all, and time with nothing to do."""

    total: int
    idle: int


class Seat:
    """Where this process runs; elsewhere than on Linux, or on a single core, nothing to decide."""

    def __init__(self, number: int) -> None:
        """Nodes of different numbers have different homes, as far as there are cores."""
        self.core: int | None = None
        self._number = number
        self._cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._before = read_cores(_STAT) if len(self._cores) > 1 else {}
        self._own_s, self._at = time.process_time(), time.monotonic()
        self._awake_s = 0.0
        self._written = blocks_written()
        self.is_choice = bool(self._before)
        self._waited = read_waited(TASKS)
        self._manners = Manners(self._waited, self._at) if self._waited and may_choose() else None
        self._behaves = False

    def look(self, awake_s: float) -> None:
        """Move, if that is better; what its actors took to look out, in all, was time to spare."""
        spent, at, waited = read_cores(_STAT), time.monotonic(), read_waited(TASKS)
        own_s, passed_s = time.process_time() - awake_s, at - self._at
        idle = idle_shares(self._before, spent)
        awake = (awake_s - self._awake_s) / passed_s
        ours = self._cores if self.core is None else [self.core]
        shares = {
            core: idle.get(core, 0.0) + (awake / len(ours) if core in ours else 0.0)
            for core in self._cores
        }
        core = choose(
            self.core,
            shares,
            (own_s - self._own_s) / passed_s,
            self._home(),
            contended=is_contended(self._waited, waited, passed_s),
        )
        self._before, self._own_s, self._at, self._awake_s = spent, own_s, at, awake_s
        self._waited = waited
        if core != self.core and _run_on({core} if core is not None else set(self._cores)):
            self.core = core
        self._behave(sum(shares.values()) / len(shares))

    def _behave(self, spare: float) -> None:
        if self._manners is None or self._waited is None:
            return
        self._manners.look(self._waited, spare, self._at)
        well = self._manners.has_them
        if well is not self._behaves and behave(TASKS, well=well):
            self._behaves = well

    def _home(self) -> int:
        """One of its own for a node that writes, for then all work at once: each on its disk.

        One for all where none writes: all they do is hand on what each waits for.
        """
        written, before = blocks_written(), self._written
        self._written = written
        return self._cores[self._number % len(self._cores) if written != before else -1]


def choose(
    core: int | None, idle: Mapping[int, float], own: float, home: int, *, contended: bool
) -> int | None:
    """Which core to be on from now on; None for all of them.

    `idle` is the share of its time that each core had nothing to do, `own` what we used of one,
    `home` the core to be on if there is room, and `contended` whether we wait for the one we have.
    """
    spare = sum(idle.values()) / len(idle)
    is_little = spare < (SPARE_ENOUGH if core is None else SPARE_MIN)
    if own > OWN_MAX or (is_little and (core is None or contended)):
        return None
    ours = 0.0 if core is None else own / 2  # unbound we are on all of them already
    if core != home and idle[home] - ours >= ROOM:
        return home
    if core is not None:
        return None if contended and idle[core] < CROWDED else core
    quiet = {at: share for at, share in idle.items() if share >= QUIET}
    return max(quiet, key=lambda at: quiet[at], default=None)


def is_contended(before: Waited | None, now: Waited | None, passed_s: float) -> bool:
    """Whether this process waits for cores; where that is not told it may well be."""
    if before is None or now is None:
        return True
    waited_s, ran_s = now.waited - before.waited, now.ran - before.ran
    return waited_s > CONTENDED * ran_s and waited_s > CONTENDED_MIN * passed_s


def blocks_written() -> int:
    """How much this process has had written to disks; nothing, where a disk is memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_oublock


def idle_shares(before: Mapping[int, Spent], now: Mapping[int, Spent]) -> dict[int, float]:
    """Of the time between; a core whose clock stood still had none to spare."""
    shares = {}
    for core, (total, idle) in now.items():
        if core in before and total > before[core].total:
            shares[core] = (idle - before[core].idle) / (total - before[core].total)
    return shares


def read_cores(stat: Path) -> dict[int, Spent]:
    """What each core did since the machine was started (proc(5)); nothing, if that is not told."""
    found = {}
    try:
        lines = stat.read_text().splitlines()
    except OSError:
        return {}
    for line in lines:
        if re.match(r"cpu\d+( \d+){5}", line):
            core, *numbers = (int(number) for number in line[3:].split()[:9])
            found[core] = Spent(sum(numbers), numbers[_IDLE] + numbers[_IOWAIT])
    return found


def _run_on(cores: set[int]) -> bool:
    """All threads that there are, if they can be found; later ones begin beside their makers."""
    try:
        threads = list(Path("/proc/self/task").iterdir())
    except OSError:
        return False  # no descriptor is left, say: a node does not end for that
    for thread in threads:
        with suppress(OSError):  # it has ended, or our cores were taken away: all we lose is time
            os.sched_setaffinity(int(thread.name), cores)
    return True
