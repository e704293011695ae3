"""The log files of the nodes and the launcher: kept within a bound, shown, followed."""

import json
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import itemgetter
from pathlib import Path

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
STAMP_ENDS_MAX = 40
"""Where in a line its time stands, in either form of the log."""


def log_of(data: Path, name: str) -> Path:
    """What a node, or the launcher, has told."""
    return data / f"{name}.log"


def bound_log(log: Path, bytes_max: int) -> None:
    """Begin anew when it is full, and keep the one before; whoever appends to it does not notice.

    A line that is written between the copy and the cut is lost.
    """
    if log.exists() and log.stat().st_size > bytes_max:
        shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


class Tail:
    """A log file that somebody reads while it grows."""

    def __init__(self, log: Path, lines: int) -> None:
        """From so many lines before its end."""
        self._log = log
        self._position = _start_of_last(log, lines)
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        """The whole lines since the last look; a file that begins anew is read from there."""
        try:
            with self._log.open("rb") as log:
                if log.seek(0, os.SEEK_END) < self._position:
                    self._position, self._rest = 0, b""
                log.seek(self._position)
                *lines, self._rest = (self._rest + log.read()).split(b"\n")
                self._position = log.tell()
        except FileNotFoundError:
            return
        for line in lines:
            yield line.decode(errors="replace")


def merged(tails: Mapping[str, Tail]) -> list[tuple[str, str]]:
    """The new lines of all, each with the name of its log, in the order they were told.

    A line without a time, as those of a trace are, stays behind the one before it.
    """
    told = []
    for name, tail in tails.items():
        told_at = ""
        for line in tail.new_lines():
            if found := STAMP.search(line, 0, STAMP_ENDS_MAX):
                told_at = found.group()
            told.append((told_at, name, line))
    return [(name, line) for _, name, line in sorted(told, key=itemgetter(0))]


def last_reason(log: Path) -> str:
    """What the last line gives as its reason, in either form of the log, or else the line."""
    lines = [line.strip() for line in Tail(log, 3).new_lines() if line.strip()]
    if not lines:
        return ""
    with suppress(ValueError, TypeError, KeyError):
        return str(json.loads(lines[-1])["reason"])
    return lines[-1].rpartition(" reason=")[2]


def _start_of_last(log: Path, lines: int) -> int:
    """Where the last so many lines begin."""
    try:
        content = log.read_bytes()
    except FileNotFoundError:
        return 0
    at = len(content)
    for _ in range(lines + 1):
        at = content.rfind(b"\n", 0, at)
        if at < 0:
            return 0
    return at + 1
