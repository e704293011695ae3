"""Which links and which messages on their way a command means."""

from collections.abc import Collection, Sequence
from itertools import product

from messages.raft import Message


def links(words: Sequence[str], servers: Collection[int]) -> set[tuple[int, int]]:
    """S1->S2 is one way, S1 is every way to and from it, * is any server."""
    ways = [way for word in words for way in _ways(word)]
    return {pair for pair in product(servers, servers) if any(_fits(way, *pair) for way in ways)}


def messages(words: Sequence[str], flight: Sequence[Message]) -> list[Message]:
    """Those on these links and of these kinds; a number: the first of them, last: the last one."""
    ways = [word for word in words if "->" in word] or ["*->*"]
    kinds = {word for word in words if word[0].isupper() and "->" not in word}
    chosen = [
        message
        for message in flight
        if any(_fits(way, message.source, message.target) for way in ways)
        and (not kinds or type(message).__name__ in kinds)
    ]
    count = next((int(word) for word in words if word.isdigit()), len(chosen))
    return chosen[-1:] if "last" in words else chosen[:count]


def _ways(word: str) -> list[str]:
    return [word] if "->" in word else [f"{word}->*", f"*->{word}"]


def _fits(way: str, source: int, target: int) -> bool:
    ends = zip(way.split("->"), (source, target), strict=True)
    return all(end in ("*", f"S{number}") for end, number in ends)
