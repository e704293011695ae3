"""One line an event on stderr, for people or as JSON; what repeats is told once a minute."""

import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

LEVELS = {"debug": 0, "info": 1, "warning": 2, "error": 3}

WORDS_PERIOD_S = 60.0
"""Counts of refused input are told no more often than this."""


def stamp() -> str:
    """Now, as every line of a log has it: text that sorts as time does."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Log:
    """The log of one node; every actor may write, a line is one write."""

    def __init__(self, node: str, level: str, form: str) -> None:
        """Lines of `level` and above, in the form "human" or "json"."""
        self._node = node
        self._level = LEVELS[level]
        self._form = form
        self._told: dict[str, tuple[float, int]] = {}

    def event(self, name: str, level: str = "info", **facts: object) -> None:
        """Something happened; a fact that nobody knows is None: null in JSON, else left out."""
        if LEVELS[level] < self._level:
            return
        if self._form == "json":
            head = {"time": stamp(), "level": level, "node": self._node, "event": name}
            line = json.dumps(head | facts, default=str)
        else:
            words = " ".join(f"{key}={value}" for key, value in facts.items() if value is not None)
            line = f"{stamp()} {level:<7} {self._node} {name.replace('_', ' ')} {words}".rstrip()
            line = line.replace(
                "\n", "\n    "
            )  # a trace: what is indented belongs to the line above
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    def now_and_then(self, name: str, counts: Mapping[str, int]) -> None:
        """Tell counts that grew, once a minute: a flood must not become a flood of lines."""
        total = sum(counts.values())
        told_at, told = self._told.get(name, (-WORDS_PERIOD_S, 0))
        if total > told and time.monotonic() - told_at >= WORDS_PERIOD_S:
            self._told[name] = (time.monotonic(), total)
            self.event(name, "warning", new=total - told, **{key: counts[key] for key in counts})
