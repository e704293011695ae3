"""What a load measured: how long each operation took, counted by the microsecond, and its line."""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

Spent = Counter[int]
"""How many operations took so many microseconds."""

Line = dict[str, Any]
"""What one run of a load says of itself, as JSON."""


class Tally:
    """What one process measured so far."""

    __slots__ = ("began", "deadline", "ended", "failed", "longest_pause_s", "minute", "minutes")

    def __init__(self) -> None:
        self.began = self.ended = 0.0  # ended: at the latest success
        self.deadline = math.inf  # nothing begins after it
        self.longest_pause_s = 0.0  # without a success
        self.failed = 0
        self.minutes: list[Spent] = []  # those that are over
        self.minute: Spent = Counter()

    def start(self, now: float, seconds: float) -> None:
        """The clock starts; that it was ended before still holds."""
        self.began = self.ended = now
        self.deadline = min(self.deadline, now + seconds)

    @property
    def ops(self) -> int:
        """How many succeeded."""
        return sum(sum(spent.values()) for spent in (*self.minutes, self.minute))

    def end(self) -> None:
        """Begin nothing more."""
        self.deadline = -math.inf

    def finish(self, now: float) -> None:
        """The clock stops; a pause that lasts until now counts."""
        self.longest_pause_s = max(self.longest_pause_s, now - self.ended)

    def end_minute(self) -> None:
        """What comes is counted as another minute's."""
        self.minutes.append(self.minute)
        self.minute = Counter()


class Measured(NamedTuple):
    """What one process measured, as it is told to its parent."""

    began: float
    ended: float
    longest_pause_s: float
    failed: int
    minutes: list[Spent]
    cpu_s: float


def merged(parts: Iterable[Measured]) -> Measured:
    """All processes as one."""
    parts = list(parts)
    minutes: list[Spent] = [Counter() for _ in range(max(len(part.minutes) for part in parts))]
    for part in parts:
        for whole, spent in zip(minutes, part.minutes, strict=False):
            whole.update(spent)
    return Measured(
        min(part.began for part in parts),
        max(part.ended for part in parts),
        max(part.longest_pause_s for part in parts),
        sum(part.failed for part in parts),
        minutes,
        sum(part.cpu_s for part in parts),
    )


def line_of(measured: Measured) -> Line:
    """Throughput, latencies and, for a run of more than a minute, how they went on."""
    spent: Spent = Counter()
    for minute in measured.minutes:
        spent.update(minute)
    seconds = measured.ended - measured.began
    line: Line = {
        "ops": spent.total(),
        "failed": measured.failed,
        "seconds": seconds,
        "per_s": spent.total() / seconds if seconds else 0.0,
        **latencies(spent),
        "pause_ms": measured.longest_pause_s * 1000,
        "client_cpu_s": measured.cpu_s,
    }
    if len(measured.minutes) > 1:
        whole = measured.minutes[: int(seconds // 60)]
        line["minutes"] = [
            {"per_s": minute.total() / 60, "p99_ms": percentile_ms(minute, 0.99)}
            for minute in whole
        ]
    return line


def latencies(spent: Spent) -> dict[str, float]:
    """The usual percentiles, in milliseconds."""
    shares = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    return {name: percentile_ms(spent, share) for name, share in shares.items()}


def percentile_ms(spent: Spent, share: float) -> float:
    """So long or shorter took this share of all; 0 if there were none."""
    rest = share * (spent.total() - 1)
    for microseconds, count in sorted(spent.items()):
        rest -= count
        if rest < 0:
            return microseconds / 1000
    return 0.0
