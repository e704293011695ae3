"""What a value of a configuration may be, and the sentence that refuses any other."""

import difflib
import json
import re
from collections.abc import Collection

SHOWN_MAX = 60
"""Of a value that is refused: whoever wrote it knows it by its beginning."""

WORD = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
"""A name: it becomes a directory, and a word in a table."""


class ConfigError(Exception):
    """What the user wrote is not possible; one sentence says what, where, and what is allowed."""


def integer(what: str, value: object, low: int, high: int) -> int:
    """The value, if it is a whole number within bounds; true and false are none."""
    if type(value) is int and low <= value <= high:
        return value
    raise ConfigError(f"{what} is {shown(value)}: it must be a whole number from {low} to {high}")


def seconds(what: str, value: float) -> float:
    """The value, if one can wait for so long."""
    if 0 < value < float("inf"):
        return value
    raise ConfigError(f"{what} is {value:g}: it must be a number of seconds above 0")


def boolean(what: str, value: object) -> bool:
    """The value, if it is a truth."""
    if isinstance(value, bool):
        return value
    raise ConfigError(f"{what} is {shown(value)}: it must be true or false")


def text(what: str, value: object, pattern: str, allowed: str) -> str:
    """The value, if it is text that looks like this; allowed says so in words."""
    if isinstance(value, str) and re.fullmatch(pattern, value):
        return value
    raise ConfigError(f"{what} is {shown(value)}: it must be {allowed}")


def choice(what: str, value: object, choices: Collection[str]) -> str:
    """The value, if it is one of these."""
    if isinstance(value, str) and value in choices:
        return value
    raise ConfigError(f"{what} is {shown(value)}: it must be one of {', '.join(choices)}")


def known(key: object, keys: Collection[str]) -> str:
    """The key, if there is such a one."""
    if isinstance(key, str) and key in keys:
        return key
    near = difflib.get_close_matches(str(key), keys, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the keys are {', '.join(keys)}"
    raise ConfigError(f"{key} is not a key here: {hint}")


def shown(value: object) -> str:
    """A value as its file has it, and not all of it if it is long."""
    words = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return words if len(words) <= SHOWN_MAX else f"{words[:SHOWN_MAX]}..."
