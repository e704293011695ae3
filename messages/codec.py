"""Messages as bytes and back: what decode returns has been checked, all else is CodecError.

A message is the msgpack array [tag, *fields]; docs/wire.md tells a peer in another language.
Bytes are trusted nowhere but after decode. What encode is given is ours, and asserted.
"""

from collections.abc import Callable
from itertools import repeat
from typing import Any, NoReturn, get_type_hints

import msgpack

from messages.raft import (
    COMMAND,
    MEMBERSHIP,
    NOOP,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TransferLeader,
)

FRAME_BYTES_MAX = 8 * 1024 * 1024
"""A longer frame is refused before it is parsed; a leader batches below it."""

ENTRY_BYTES_MAX = 2 * 1024 * 1024
"""An entry's payload, and a snapshot's chunk, are refused above this; propose must refuse first."""

ENTRIES_MAX = 4096
"""An AppendEntries with more entries is refused; a leader sends the rest in the next one."""

MEMBERS_MAX = 64
"""A membership of more servers, all four roles together, is refused."""

REMOVED_MAX = 4096
"""A membership with more tombstones is refused: a group that old gets a new group id."""

ARRAY_LEN_MAX = max(ENTRIES_MAX, REMOVED_MAX)
"""The longest array of any message."""

GROUP_MAX = 2**32 - 1
INTEGER_MAX = 2**63 - 1
"""Every other integer is at most this, so that any language's signed 64 bits can hold it."""

TAGS: dict[type, int] = {  # on wire: append, never renumber
    RequestVote: 1,
    RequestVoteReply: 2,
    PreVote: 3,
    PreVoteReply: 4,
    AppendEntries: 5,
    AppendEntriesReply: 6,
    Heartbeat: 7,
    HeartbeatReply: 8,
    ReadIndex: 9,
    ReadIndexReply: 10,
    InstallSnapshot: 11,
    InstallSnapshotReply: 12,
    TransferLeader: 13,
    TimeoutNow: 14,
}


class CodecError(Exception):
    """These bytes are no message: a peer's fault, to be counted and dropped."""


def encode(message: Message) -> bytes:
    """The frame of a message; packb rather than one shared Packer, so any thread may call it."""
    frame: bytes = msgpack.packb((TAGS[type(message)], *message))
    # What no peer would accept would be resent for ever: better to fail where it was made.
    assert len(frame) <= FRAME_BYTES_MAX
    if type(message) is AppendEntries:
        assert len(message.entries) <= ENTRIES_MAX
        if len(frame) > ENTRY_BYTES_MAX:  # else no payload is longer either
            assert max(len(entry.payload) for entry in message.entries) <= ENTRY_BYTES_MAX
    elif type(message) is InstallSnapshot:
        assert len(message.data) <= ENTRY_BYTES_MAX
    return frame


def decode(data: bytes) -> Message:
    """The message in these bytes, checked; CodecError, and nothing else, for any other bytes."""
    array = _parse(data)
    if not (type(array) is tuple and array and type(array[0]) is int and array[0] in _BY_TAG):
        raise CodecError("not an array that opens with a known tag")

    message_type, rules, check_together = _BY_TAG[array[0]]
    if len(array) != 1 + len(rules):
        raise CodecError("a field too many or too few")
    fields = [
        value if type(value) is exact and low <= value <= high else read(value)
        for value, (exact, low, high, read) in zip(array[1:], rules, strict=True)
    ]
    message: Message = tuple.__new__(message_type, fields)
    if check_together is not None:
        check_together(message)
    return message


def encode_membership(membership: Membership) -> bytes:
    """The payload of a MEMBERSHIP entry, and a membership's form on disk."""
    fault = membership_fault(membership)
    assert not fault, fault
    payload: bytes = msgpack.packb(membership)
    return payload


def decode_membership(data: bytes) -> Membership:
    """The membership in these bytes, checked; CodecError for any other bytes."""
    return _read_membership(_parse(data))


def membership_fault(membership: Membership) -> str:
    """The first reason why these servers cannot make a membership; empty if they can."""
    voters, outgoing, learners, learners_next, removed = map(set, membership)
    if any(list(ids) != sorted(set(ids)) for ids in membership):
        return "server ids ascend and do not repeat"
    if len(membership.servers()) > MEMBERS_MAX or len(removed) > REMOVED_MAX:
        return "over MEMBERS_MAX servers, or over REMOVED_MAX removed ones"
    if not voters and membership.servers():
        return "servers, but none of them votes"
    if learners & (voters | outgoing):
        return "a learner votes"
    if not learners_next <= outgoing - voters:
        return "a learner-to-be is a voter that stays, or was none"
    if removed & (voters | learners | learners_next):  # outgoing ones may have been removed
        return "a removed server takes part"
    return ""


def _parse(data: bytes) -> object:
    """What msgpack finds, arrays as tuples; announced lengths are bounded before allocation.

    The worst, measured: 3 kB of nested announcements cost 32 MiB for a moment (1024 levels of
    4096 pointers), and a full frame of arrays that each hold one small integer 350 MiB.
    """
    if len(data) > FRAME_BYTES_MAX:
        raise CodecError("over FRAME_BYTES_MAX")
    try:
        return msgpack.unpackb(
            data,
            use_list=False,
            raw=False,
            max_array_len=ARRAY_LEN_MAX,
            max_bin_len=ENTRY_BYTES_MAX,
            max_str_len=0,
            max_map_len=0,
            max_ext_len=0,
            object_pairs_hook=_refuse,  # or a megabyte of empty maps would cost 70
            ext_hook=_refuse,
        )
    except ValueError as error:
        raise CodecError("not msgpack, or not within bounds") from error


def _refuse(*_: object) -> NoReturn:
    raise CodecError("a map or an extension")


def _check_append(message: AppendEntries) -> None:
    """What the terms say about each other."""
    if message.entries and message.entries[-1].term > message.term:  # they ascend
        raise CodecError("an entry of a term later than its leader's")
    if message.entries and message.entries[0].term < message.prev_log_term:
        raise CodecError("an entry of an earlier term than the one before it")


def _check_chunk(message: InstallSnapshot) -> None:
    """What one field says about another."""
    if not message.data and (message.offset or not message.done):
        raise CodecError("an empty chunk that is not the whole snapshot")
    if not message.membership.voters:
        raise CodecError("a snapshot of a group in which nobody votes")
    if message.last_included_term > message.term:
        raise CodecError("a snapshot of a term later than its leader's")


def _read_entries(value: object) -> tuple[Entry, ...]:
    """A slice of a log: its terms begin at 1 and never fall (§5.3)."""
    if type(value) is not tuple or len(value) > ENTRIES_MAX:
        raise CodecError("entries are not an array within ENTRIES_MAX")
    term_min = 1
    for raw in value:
        if type(raw) is not tuple or len(raw) != 3:
            raise CodecError("an entry is not [term, kind, payload]")
        term, kind, payload = raw
        if type(term) is not int or type(kind) is not int or type(payload) is not bytes:
            raise CodecError("an entry is not [integer, integer, bin]")
        if not term_min <= term <= INTEGER_MAX:
            raise CodecError("an entry's term is out of range, or falls")
        if kind != COMMAND:
            _check_payload(kind, payload)
        term_min = term
    # Not Entry(*raw): this takes half the time, and entries are most of what is ever decoded.
    return tuple(map(tuple.__new__, repeat(Entry), value))


def _check_payload(kind: int, payload: bytes) -> None:
    """Only a command's payload is opaque."""
    if kind == MEMBERSHIP:
        if not decode_membership(payload).voters:
            raise CodecError("a membership in which nobody votes")
    elif kind != NOOP or payload:
        raise CodecError("an unknown kind of entry, or a no-op with a payload")


def _read_membership(value: object) -> Membership:
    if type(value) is not tuple or len(value) != len(Membership._fields):
        raise CodecError("a membership is not five arrays")
    membership = Membership(*map(_read_server_ids, value))
    if fault := membership_fault(membership):
        raise CodecError(fault)
    return membership


def _read_server_ids(value: object) -> tuple[int, ...]:
    if type(value) is not tuple:
        raise CodecError("server ids are not an array")
    if not all(type(item) is int and 1 <= item <= INTEGER_MAX for item in value):
        raise CodecError("a server id is not an integer from 1 to INTEGER_MAX")
    return value


def _read_data(value: object) -> bytes:
    if type(value) is not bytes:
        raise CodecError("data is not bin")
    return value


_COMPOSITE: dict[object, Callable[[object], object]] = {
    bytes: _read_data,
    Membership: _read_membership,
    tuple[Entry, ...]: _read_entries,
}

_Rule = tuple[type[int] | None, int, int, Callable[[object], object]]
"""An integer's exact type (True is none) and range, and who reads or refuses all other values."""


def _rule(name: str, annotation: object) -> _Rule:
    """What a field's name, or else its type, asks of its value."""

    def refuse(_: object) -> NoReturn:
        raise CodecError(f"{name} is of another type, or out of range")

    low = 1 if name in {"source", "target", "transferee"} else 0
    high = GROUP_MAX if name == "group" else INTEGER_MAX
    if annotation is int or annotation is bool:
        return annotation, low, high, refuse
    return None, 0, 0, _COMPOSITE[annotation]


def _rules(message_type: type) -> tuple[_Rule, ...]:
    return tuple(_rule(*field) for field in get_type_hints(message_type).items())


_CHECKS: dict[type, Callable[[Any], None]] = {
    AppendEntries: _check_append,
    InstallSnapshot: _check_chunk,
}

_BY_TAG = {
    tag: (message_type, _rules(message_type), _CHECKS.get(message_type))
    for message_type, tag in TAGS.items()
}
