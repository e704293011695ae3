"""A clerk's and a server's messages as bytes and back: msgpack arrays [tag, *fields].

As in codec.py: what decode returns has been checked, anything else is CodecError. A frame of Writes
goes into the log as it came, so apply decodes it again, on every server with the same result.
"""

from collections.abc import Callable
from itertools import repeat
from typing import cast, get_type_hints

import msgpack

from messages.client import (
    APPEND,
    KEY_BYTES_LIMIT,
    NOTHING,
    VALUE_BYTES_LIMIT,
    AskCounters,
    AskStatus,
    ClientReply,
    ClientRequest,
    Counters,
    Hello,
    OpenSession,
    Operation,
    Reads,
    Refused,
    SessionOpened,
    Status,
    Values,
    Welcome,
    Writes,
    Wrote,
)
from messages.codec import ENTRY_BYTES_MAX, INTEGER_MAX, CodecError

REQUEST_BYTES_MAX = ENTRY_BYTES_MAX - 8_192
"""A longer request is refused: with what a batch adds it must fit into one entry."""

REPLY_BYTES_MAX = 4 * 1024 * 1024
"""A longer reply is refused by the clerk; the server splits values to stay below half of it."""

OPERATIONS_MAX = 4_096
"""Operations or keys in one frame, results in one reply."""

TEXT_BYTES_MAX = 1_024

TAGS: dict[type, int] = {  # on wire and in the log: append, never renumber
    Hello: 1,
    OpenSession: 2,
    Writes: 3,
    Reads: 4,
    AskStatus: 5,
    AskCounters: 6,
    Welcome: 65,
    SessionOpened: 66,
    Wrote: 67,
    Values: 68,
    Status: 69,
    Refused: 70,
    Counters: 71,
}
_FIRST_REPLY = 65


def encode(message: ClientRequest | ClientReply) -> bytes:
    """The frame of a message."""
    return cast("bytes", msgpack.packb((TAGS[type(message)], *message)))


def decode_request(data: bytes) -> ClientRequest:
    """What a clerk asks, checked."""
    message = _decode(data, REQUEST_BYTES_MAX)
    if TAGS[type(message)] >= _FIRST_REPLY:
        raise CodecError("a reply where a request belongs")
    return cast("ClientRequest", message)


def decode_reply(data: bytes) -> ClientReply:
    """What a server answers, checked."""
    message = _decode(data, REPLY_BYTES_MAX)
    if TAGS[type(message)] < _FIRST_REPLY:
        raise CodecError("a request where a reply belongs")
    return cast("ClientReply", message)


def _decode(data: bytes, bytes_max: int) -> ClientRequest | ClientReply:
    if len(data) > bytes_max:
        raise CodecError("a frame over its bound")
    try:
        array = msgpack.unpackb(
            data,
            use_list=False,
            max_array_len=OPERATIONS_MAX,
            max_bin_len=max(VALUE_BYTES_LIMIT, KEY_BYTES_LIMIT),
            max_str_len=TEXT_BYTES_MAX,
            max_map_len=0,
            max_ext_len=0,
            object_pairs_hook=_refuse,
            ext_hook=_refuse,
        )
    except ValueError as error:
        raise CodecError("not msgpack, or not within bounds") from error
    if not (type(array) is tuple and array and type(array[0]) is int and array[0] in _BY_TAG):
        raise CodecError("not an array that opens with a known tag")
    message_type, readers = _BY_TAG[array[0]]
    if len(array) != 1 + len(readers):
        raise CodecError("a field too many or too few")
    return message_type(*[read(value) for read, value in zip(readers, array[1:], strict=True)])


def _refuse(*_: object) -> object:
    raise CodecError("a map or an extension")


def _read_integer(value: object) -> int:
    if type(value) is int and 0 <= value <= INTEGER_MAX:
        return value
    raise CodecError("not an integer within its range")


def _read_text(value: object) -> str:
    if type(value) is str:
        return value
    raise CodecError("not a text")


def _read_operations(value: object) -> tuple[Operation, ...]:
    """At least one; NOTHING has neither key nor value, all others have a key."""
    if type(value) is not tuple or not value:
        raise CodecError("operations are not an array of some")
    for raw in value:
        if type(raw) is not tuple or len(raw) != 3:
            raise CodecError("an operation is not [kind, key, value]")
        kind, key, data = raw
        if type(kind) is not int or not NOTHING <= kind <= APPEND:
            raise CodecError("an unknown kind of operation")
        if type(key) is not bytes or type(data) is not bytes:
            raise CodecError("an operation is not [integer, bin, bin]")
        if not (len(key) > 0) == (kind != NOTHING) or len(key) > KEY_BYTES_LIMIT:
            raise CodecError("an empty key, or one over KEY_BYTES_LIMIT")
    return tuple(map(tuple.__new__, repeat(Operation), value))  # as in codec.py


def _read_keys(value: object) -> tuple[bytes, ...]:
    if type(value) is not tuple or not value:
        raise CodecError("keys are not an array of some")
    for key in value:
        if type(key) is not bytes or not 0 < len(key) <= KEY_BYTES_LIMIT:
            raise CodecError("a key is not bin, is empty, or is over KEY_BYTES_LIMIT")
    return value


def _read_values(value: object) -> tuple[bytes | None, ...]:
    if type(value) is not tuple:
        raise CodecError("values are not an array")
    if not all(found is None or type(found) is bytes for found in value):
        raise CodecError("a value is neither bin nor nil")
    return value


def _read_results(value: object) -> tuple[tuple[int, bytes], ...]:
    if type(value) is not tuple:
        raise CodecError("results are not an array")
    for raw in value:
        if type(raw) is not tuple or len(raw) != 2 or type(raw[1]) is not bytes:
            raise CodecError("a result is not [sequence, bin]")
        _read_integer(raw[0])
    return value


def _read_counted(value: object) -> tuple[tuple[str, int], ...]:
    if type(value) is not tuple:
        raise CodecError("counters are not an array")
    for raw in value:
        if type(raw) is not tuple or len(raw) != 2:
            raise CodecError("a counter is not [text, integer]")
        _read_text(raw[0])
        _read_integer(raw[1])
    return value


_READERS: dict[object, Callable[[object], object]] = {
    int: _read_integer,
    str: _read_text,
    tuple[Operation, ...]: _read_operations,
    tuple[bytes, ...]: _read_keys,
    tuple[bytes | None, ...]: _read_values,
    tuple[tuple[int, bytes], ...]: _read_results,
    tuple[tuple[str, int], ...]: _read_counted,
}

_Reader = Callable[[object], object]

_BY_TAG: dict[int, tuple[Callable[..., ClientRequest | ClientReply], tuple[_Reader, ...]]] = {
    tag: (message_type, tuple(_READERS[kind] for kind in get_type_hints(message_type).values()))
    for message_type, tag in TAGS.items()
}
