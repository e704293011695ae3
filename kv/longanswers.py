"""Answers of many bytes: in parts that a clerk takes, and no more than its connection carries.

A client that asks and does not listen would else fill this node with answers: the queue behind a
connection is bounded in messages only, which may be long.
"""

from collections.abc import Iterator

from messages.clientcodec import REPLY_BYTES_MAX

ANSWER_BYTES_MAX = 16_777_216
"""Of the values of one Reads; beyond it is TOO_LARGE, and the clerk asks for fewer keys."""

LONG_BYTES = 65_536
"""What is shorter is bounded by the number of messages that may wait on a connection."""

UNSENT_BYTES_MAX = 33_554_432
"""Long answers on their way to one client; what would be more is OVERLOADED."""

UNSENT_BYTES_MAX_OF_ALL = 268_435_456
"""And to all clients."""

Found = tuple[bytes | None, ...]


class Unsent:
    """The bytes of long answers that were handed out and are not known to have left."""

    def __init__(self) -> None:
        self._of_all = 0
        self._of: dict[bytes, int] = {}

    def has_room(self, client: bytes, size: int) -> bool:
        """Whether another answer may be handed out."""
        theirs = self._of.get(client, 0) + size
        return theirs <= UNSENT_BYTES_MAX and self._of_all + size <= UNSENT_BYTES_MAX_OF_ALL

    def add(self, client: bytes, size: int) -> None:
        """It was handed out."""
        self._of_all += size
        self._of[client] = self._of.get(client, 0) + size

    def left(self, client: bytes, size: int) -> None:
        """It is with the operating system, or will never be."""
        self._of_all -= size
        self._of[client] -= size
        if not self._of[client]:
            del self._of[client]


def bytes_of(values: Found) -> int:
    """The bytes of what was found."""
    return sum(len(value) for value in values if value)


def parts(values: Found) -> Iterator[tuple[int, Found]]:
    """The values in as few parts as a reply's bound allows, each with the place of its first."""
    first = size = 0
    for place, value in enumerate(values):
        length = len(value) if value else 0
        if place > first and size + length > REPLY_BYTES_MAX // 2:
            yield first, values[first:place]
            first, size = place, 0
        size += length
    yield first, values[first:]
