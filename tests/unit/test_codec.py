"""The codec: every message survives its bytes, and bytes that are no message are CodecError."""

import tracemalloc
from collections.abc import Callable
from random import Random
from typing import Any, get_args, get_type_hints

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.codec import (
    ENTRIES_MAX,
    ENTRY_BYTES_MAX,
    FRAME_BYTES_MAX,
    GROUP_MAX,
    INTEGER_MAX,
    MEMBERS_MAX,
    REMOVED_MAX,
    TAGS,
    CodecError,
    decode,
    decode_membership,
    encode,
    encode_membership,
    membership_fault,
)
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

JOINT = Membership((1, 2, 3), (1, 2, 4, 5), (6,), (5,), (4, 9))
ENTRIES = (Entry(1, NOOP, b""), Entry(2, MEMBERSHIP, encode_membership(JOINT)), Entry(2, 0, b"xy"))

GOLDEN: list[tuple[Message, str]] = [
    (RequestVote(0, 1, 2, 3, 4, 2, True), "980100010203 0402c3"),
    (RequestVoteReply(0, 1, 2, 3, False), "960200010203 c2"),
    (PreVote(0, 1, 2, 3, 4, 2), "970300010203 0402"),
    (PreVoteReply(0, 1, 2, 3, True), "960400010203 c3"),
    (
        AppendEntries(GROUP_MAX, 1, 2, 3, 7, 1, 5, ENTRIES),
        """9905ceffffffff010203 070105 93 930101c400
        930202c411 9593010203 9401020405 9106 9105 920409 930200c4027879""",
    ),
    (AppendEntriesReply(0, 1, 2, 3, False, 7, 9, 2), "990600010203 c2070902"),
    (Heartbeat(0, 1, 2, 3, 5, 256), "970700010203 05cd0100"),
    (HeartbeatReply(0, 1, 2, INTEGER_MAX, 8), "9608000102cf7fffffffffffffff 08"),
    (ReadIndex(0, 1, 2, 3, 8), "960900010203 08"),
    (ReadIndexReply(0, 1, 2, 3, 8, 9), "970a00010203 0809"),
    (
        InstallSnapshot(0, 1, 2, 3, 9, 2, JOINT, 70000, b"abc", False),
        "9b0b00010203 0902 9593010203 9401020405 9106 9105 920409 ce00011170 c403616263 c2",
    ),
    (InstallSnapshotReply(0, 1, 2, 3, 9, 70003), "970c00010203 09ce00011173"),
    (TransferLeader(0, 1, 2, 3, 2), "960d00010203 02"),
    (TimeoutNow(0, 1, 2, 3), "950e00010203"),
]
MESSAGES = [message for message, _ in GOLDEN]


# What travels arrives.


@pytest.mark.parametrize(("message", "frame"), GOLDEN, ids=lambda value: type(value).__name__)
def test_a_message_has_the_bytes_it_always_had(message, frame):
    """docs/wire.md: tags and layout are for ever; a peer of last year's version must read them."""
    frame = bytes.fromhex(frame)

    assert encode(message) == frame
    assert_same(decode(frame), message)


def test_every_message_has_a_tag_of_its_own():
    """docs/wire.md: the tag alone tells the type."""
    assert set(TAGS) == set(get_args(Message))
    assert list(TAGS) == [type(message) for message in MESSAGES], "each has its golden bytes"
    assert sorted(TAGS.values()) == list(range(1, len(TAGS) + 1))


@given(st.data())
@pytest.mark.parametrize("message_type", TAGS, ids=lambda kind: kind.__name__)
def test_every_message_survives_its_bytes(message_type, data):
    """decode(encode(message)) is the message, of the same type, whatever its fields hold."""
    message = data.draw(messages(message_type))

    assert_same(decode(encode(message)), message)


@given(st.data())
def test_every_membership_survives_its_bytes(data):
    """decode_membership undoes encode_membership."""
    membership = data.draw(memberships())

    assert_same(decode_membership(encode_membership(membership)), membership)


def test_the_largest_of_everything_is_accepted():
    """docs/wire.md, bounds: each bound itself is within bounds."""
    crowd = tuple(range(INTEGER_MAX - MEMBERS_MAX + 1, INTEGER_MAX + 1))
    membership = Membership(voters=crowd, removed=tuple(range(1, REMOVED_MAX + 1)))
    many = tuple(Entry(INTEGER_MAX, COMMAND, b"") for _ in range(ENTRIES_MAX))
    big = AppendEntries(0, 1, 2, 3, 0, 0, 0, (Entry(3, COMMAND, bytes(ENTRY_BYTES_MAX)),))
    full = AppendEntries._make([GROUP_MAX, *[INTEGER_MAX] * 6, many])

    assert decode_membership(encode_membership(membership)) == membership
    assert decode(encode(big)) == big
    assert decode(encode(full)) == full


def test_equal_fields_do_not_make_equal_messages():
    """STYLE 8: two types with equal fields are ==, so only the tag keeps them apart."""
    vote: Message = RequestVoteReply(0, 1, 2, 3, True)
    prevote: Message = PreVoteReply(0, 1, 2, 3, True)

    assert tuple(vote) == tuple(prevote) and vote == prevote
    assert type(decode(encode(vote))) is RequestVoteReply
    assert type(decode(encode(prevote))) is PreVoteReply


# What is no message is refused: its frame.


def test_bytes_that_are_not_msgpack_are_refused():
    """docs/wire.md, frame: the one byte that opens nothing, and every frame cut short."""
    frames = [encode(message) for message in MESSAGES]

    refused(b"\xc1", "not msgpack")
    for frame in frames:
        for length in range(len(frame)):
            refused(frame[:length], "not msgpack")


def test_trailing_bytes_are_refused():
    """docs/wire.md, frame: one frame is one message and nothing else."""
    frame = encode(TimeoutNow(0, 1, 2, 3))

    refused(frame + b"\x00", "not msgpack")
    refused(frame + frame, "not msgpack")


def test_an_overlong_frame_is_refused_unparsed():
    """docs/wire.md, bounds: FRAME_BYTES_MAX is asked before anything is parsed."""
    at_the_bound = bytes(FRAME_BYTES_MAX)

    refused(at_the_bound, "not msgpack")
    refused(at_the_bound + b"\x00", "over FRAME_BYTES_MAX")


def test_a_frame_that_is_no_tagged_array_is_refused():
    """docs/wire.md, frame: an array whose first element is an integer, and that integer exactly."""
    fields = (0, 1, 2, 3, 4, 2, True)

    for value in (5, None, b"", [], [True, *fields], [1.0, *fields], [[1], *fields], [b"1"]):
        refused(msgpack.packb(value), "known tag")


@pytest.mark.parametrize("tag", [-1, 0, max(TAGS.values()) + 1, 2**64 - 1])
def test_an_unknown_tag_is_refused(tag):
    """docs/wire.md, tags: a message of a later version is dropped, not guessed at."""
    refused(frame_of(tag, 0, 1, 2, 3), "known tag")


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_field_too_many_or_too_few_is_refused(message):
    """docs/wire.md, frame: a new field is a new tag."""
    array = [TAGS[type(message)], *message]

    refused(frame_of(*array[:-1]), "too many or too few")
    refused(frame_of(*array, 0), "too many or too few")


# What is no message is refused: its fields.


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_field_of_another_type_is_refused(message):
    """docs/wire.md, types: exactly; True is no integer and 1 no boolean."""
    strangers = [1, True, 1.0, "1", b"1", None, [], [1], [[]], {}, {1: 2}, msgpack.Timestamp(1)]

    for place, (name, kind) in enumerate(get_type_hints(type(message)).items()):
        legal = () if kind not in {int, bool, bytes} else (kind,)
        for stranger in strangers:
            is_legal = type(stranger) in legal or (name == "entries" and stranger == [])
            if not is_legal:
                refused(frame_with(message, place, stranger))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_an_integer_out_of_range_is_refused(message):
    """docs/wire.md, bounds: servers from 1, groups within 32 bits, the rest within signed 64."""
    for place, (name, kind) in enumerate(get_type_hints(type(message)).items()):
        beyond = (GROUP_MAX if name == "group" else INTEGER_MAX) + 1
        nobody = [0] if name in {"source", "target", "transferee"} else []
        for value in [-1, -(2**63), beyond, 2**64 - 1, *nobody] if kind is int else []:
            refused(frame_with(message, place, value), f"^{name} ")


@pytest.mark.parametrize(
    "stranger",
    ["80", "8101c0", "a0", "a161", "d40500", "c70005", "d6ff00000000", "c7ff05", "ca00000000"],
)
def test_maps_strings_extensions_and_floats_are_refused_anywhere(stranger):
    """docs/wire.md, types: integers, booleans, bin and arrays are all there is."""
    stranger = bytes.fromhex(stranger)

    refused(stranger)
    refused(b"\x95\x0e\x00\x01\x02" + stranger)
    refused(b"\x99\x05\x00\x01\x02\x03\x07\x01\x05\x91\x93\x01\x00" + stranger)
    refused(b"\x95\x90\x90\x90\x90\x91" + stranger)


def test_an_empty_chunk_is_refused_unless_it_is_the_whole():
    """Figure 13: one that carries nothing is acknowledged as the one before it was."""
    chunk = InstallSnapshot(0, 1, 2, 3, 9, 2, JOINT, 0, b"", done=True)

    assert decode(encode(chunk)) == chunk
    refused(encode(chunk._replace(done=False)), "empty chunk")
    refused(encode(chunk._replace(offset=7)), "empty chunk")


def test_a_snapshot_of_a_group_without_voters_is_refused():
    """Thesis §4: installing it would leave a server that agrees with itself about everything."""
    nobody = InstallSnapshot(0, 1, 2, 3, 9, 2, Membership(), 0, b"x", done=True)

    refused(encode(nobody), "nobody votes")


def test_a_snapshot_later_than_its_leader_is_refused():
    """§5.3: behind it no entry of that leader would fit, since terms never fall."""
    chunk = InstallSnapshot(0, 1, 2, 3, 9, 3, JOINT, 0, b"x", done=True)

    assert decode(encode(chunk)) == chunk
    refused(encode(chunk._replace(last_included_term=4)), "later than its leader's")


def test_an_oversized_chunk_is_refused():
    """docs/wire.md, bounds: ENTRY_BYTES_MAX bounds a chunk as well."""
    chunk = InstallSnapshot(0, 1, 2, 3, 9, 2, JOINT, 0, bytes(ENTRY_BYTES_MAX + 1), done=True)

    refused(msgpack.packb((TAGS[InstallSnapshot], *chunk)), "bounds")


@pytest.mark.parametrize(
    "message",
    [
        AppendEntries(0, 1, 2, 3, 4, 2, 1, (Entry(3, COMMAND, bytes(ENTRY_BYTES_MAX + 1)),)),
        InstallSnapshot(0, 1, 2, 3, 9, 2, JOINT, 0, bytes(ENTRY_BYTES_MAX + 1), done=True),
    ],
    ids=["entry", "chunk"],
)
def test_what_no_peer_would_accept_is_not_encoded(message):
    """It would be refused and sent again for ever: better to fail where it was made."""
    with pytest.raises(AssertionError):
        encode(message)


# What is no message is refused: its entries.


@pytest.mark.parametrize(
    "entry",
    [
        *(5, None, b"abc", "abc", [], [2, COMMAND], [2, COMMAND, b"", 0], {2: 0}),
        *([True, COMMAND, b""], [2.0, COMMAND, b""], [b"2", COMMAND, b""], [None, COMMAND, b""]),
        *([2, False, b""], [2, None, b""], [2, 0.0, b""], [2, [0], b""]),
        *([2, COMMAND, "xy"], [2, COMMAND, None], [2, COMMAND, [1]], [2, COMMAND, 0]),
    ],
    ids=repr,
)
def test_an_entry_of_another_shape_is_refused(entry):
    """docs/wire.md, entries: [integer, integer, bin], exactly."""
    refused(append([2, COMMAND, b""], entry, [2, COMMAND, b""]))


@pytest.mark.parametrize("term", [-1, 0, 2**63])
def test_an_entry_of_no_term_is_refused(term):
    """§5.1: terms begin at 1."""
    refused(append([term, COMMAND, b""]), "term is out of range")


def test_an_entry_later_than_its_leader_is_refused():
    """§5.3: a leader appends entries of its own term, so it can hold none of a later one."""
    last_entry = [4, COMMAND, b""]

    assert decode(append(last_entry, term=4))
    refused(append([2, COMMAND, b""], last_entry, term=3), "later than its leader's")


def test_entries_whose_terms_fall_are_refused():
    """§5.3: a log only ever grows by the term of its leader of the time."""
    refused(append([2, COMMAND, b""], [1, COMMAND, b""]), "falls")


def test_entries_earlier_than_the_place_they_follow_are_refused():
    """§5.3: where both logs agree at prev_log_index, appending them would let the terms fall."""
    slice_of_log = AppendEntries(0, 1, 2, 3, 7, 2, 5, (Entry(2, COMMAND, b""),))

    assert decode(encode(slice_of_log)) == slice_of_log
    refused(encode(slice_of_log._replace(prev_log_term=3)), "earlier term")


@pytest.mark.parametrize("kind", [-1, 3, 2**63])
def test_an_entry_of_an_unknown_kind_is_refused(kind):
    """docs/wire.md, entries: a kind that cannot be applied must not be acknowledged."""
    refused(append([2, kind, b""]), "unknown kind")


def test_an_oversized_entry_is_refused():
    """docs/wire.md, bounds: a payload is at most ENTRY_BYTES_MAX."""
    refused(append([2, COMMAND, bytes(ENTRY_BYTES_MAX + 1)]), "bounds")


def test_too_many_entries_are_refused():
    """docs/wire.md, bounds: at most ENTRIES_MAX entries travel together."""
    refused(append(*[[2, COMMAND, b""]] * (ENTRIES_MAX + 1)), "bounds")


def test_a_noop_with_a_payload_is_refused():
    """Thesis §6.4: the entry that opens a term says nothing."""
    refused(append([2, NOOP, b"x"]), "no-op")


@pytest.mark.parametrize(
    "payload", [b"", b"x", b"\x95\x90\x90\x90\x90", b"\x80", encode_membership(Membership())]
)
def test_a_membership_entry_that_holds_none_is_refused(payload):
    """§6: a membership is used as soon as it is appended, so it must be one before that."""
    refused(append([2, MEMBERSHIP, payload]))


# What is no membership is refused.


@pytest.mark.parametrize(
    "value",
    [
        *(5, None, b"12345", [], [[1]], [[1], [], [], []], [[1], [], [], [], [], []]),
        *([[1], [], [], [], None], [[1], [], [], [], b""], [[1], [], [], [], {}]),
        *([[0], [], [], [], []], [[-1], [], [], [], []], [[2**63], [], [], [], []]),
        *([[True], [], [], [], []], [[1.0], [], [], [], []], [[[1]], [], [], [], []]),
    ],
    ids=repr,
)
def test_a_membership_of_another_shape_is_refused(value):
    """docs/wire.md, membership: five arrays of server ids."""
    with pytest.raises(CodecError):
        decode_membership(msgpack.packb(value))


@pytest.mark.parametrize(
    ("membership", "fault"),
    [
        (Membership((2, 1)), "ascend"),
        (Membership((1, 1)), "ascend"),
        (Membership((1,), removed=(9, 8)), "ascend"),
        (Membership(tuple(range(1, MEMBERS_MAX + 2))), "MEMBERS_MAX"),
        (Membership((1,), learners=tuple(range(2, MEMBERS_MAX + 2))), "MEMBERS_MAX"),
        (Membership(learners=(1,)), "none of them votes"),
        (Membership(outgoing=(1,)), "none of them votes"),
        (Membership((1, 2), learners=(2,)), "a learner votes"),
        (Membership((1,), outgoing=(1, 2), learners=(2,)), "a learner votes"),
        (Membership((1,), learners_next=(2,)), "learner-to-be"),
        (Membership((1, 2), outgoing=(1, 2), learners_next=(2,)), "learner-to-be"),
        (Membership((1, 2), removed=(2,)), "removed server"),
        (Membership((1,), learners=(2,), removed=(2,)), "removed server"),
        (Membership((1,), (1, 2), learners_next=(2,), removed=(2,)), "removed server"),
    ],
    ids=repr,
)
def test_an_illegal_membership_is_refused(membership, fault):
    """Thesis §4.3 and docs/wire.md, membership: who may be what at the same time."""
    snapshot = InstallSnapshot(0, 1, 2, 3, 9, 2, membership, 0, b"", done=True)

    assert fault in membership_fault(membership)
    refused(encode(snapshot), fault)
    refused(append([2, MEMBERSHIP, msgpack.packb(membership)]), fault)


def test_too_many_tombstones_are_refused():
    """docs/wire.md, bounds: at most REMOVED_MAX servers were ever removed."""
    membership = Membership((REMOVED_MAX + 2,), removed=tuple(range(1, REMOVED_MAX + 2)))

    assert "REMOVED_MAX" in membership_fault(membership)
    with pytest.raises(CodecError, match="bounds"):
        decode_membership(msgpack.packb(membership))


def test_a_server_on_its_way_out_may_be_removed_already():
    """Thesis §4.3: until the joint membership is left, its old majority still counts."""
    membership = Membership(voters=(1, 2), outgoing=(1, 2, 3), removed=(3,))

    assert not membership_fault(membership)


def test_encoding_what_no_peer_accepts_is_our_bug():
    """STYLE 20: our own faults are asserted where they are made, not found by the peer."""
    crowded = tuple(Entry(2, COMMAND, b"") for _ in range(ENTRIES_MAX + 1))
    heavy = tuple(Entry(2, COMMAND, bytes(ENTRY_BYTES_MAX)) for _ in range(4))

    for entries in (crowded, heavy):
        with pytest.raises(AssertionError):
            encode(AppendEntries(0, 1, 2, 3, 0, 0, 0, entries))
    with pytest.raises(AssertionError, match="a learner votes"):
        encode_membership(Membership((1,), learners=(1,)))


# However hostile.


@pytest.mark.parametrize("opening", ["", "95", "95 0e", "99 05 00 01 02 03 00 00 00"])
@pytest.mark.parametrize("announced", ["dd", "df", "c6", "db", "c9"])
def test_a_huge_announced_length_allocates_nothing(opening, announced):
    """docs/wire.md, bounds: a few bytes that promise 4 GiB must not cost even 64 KiB."""
    promise = bytes.fromhex(opening + announced + "ffffffff" + "00")

    assert bytes_to_refuse(promise) < 64 * 1024


@pytest.mark.parametrize("opening", ["dc1000", "91", "99050001020300000091"])
@pytest.mark.parametrize("depth", [1_000, 1_024, 100_000])
def test_deep_nesting_is_refused_within_bounds(opening, depth):
    """docs/wire.md, bounds: 1024 levels are parsed at most, and each announces at most 4096."""
    nest = bytes.fromhex(opening) * depth

    assert bytes_to_refuse(nest) < 40 * 1024 * 1024


def test_a_frame_of_empty_maps_or_extensions_is_refused_at_the_first():
    """docs/wire.md, types: a megabyte of what is never allowed must not become 70 first."""
    for stranger in (b"\x80", b"\xc7\x00\x05"):
        block = b"\xdc\x10\x00" + stranger * 4096
        frame = b"\xdc\x01\x00" + block * 256

        cost = bytes_to_refuse(frame)

        assert cost < 2 * len(frame)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_are_refused_or_are_messages(seed):
    """Whatever a cosmic ray or a rogue does to a frame: CodecError, or a message like any other."""
    random = Random(seed)
    frames = [encode(message) for message in MESSAGES]

    survivors = sum(is_message(mutated(random, random.choice(frames))) for _ in range(5_000))

    assert 500 < survivors < 4_500, "the mutations should fall on both sides of the checks"


@pytest.mark.parametrize("seed", range(4))
def test_random_bytes_are_refused_or_are_messages(seed):
    """Noise, and noise behind a true opening, where the checks of fields are reached."""
    random = Random(seed)

    for _ in range(2_500):
        frame = encode(random.choice(MESSAGES))
        opening = frame[: random.choice([0, 0, 2, 6, len(frame)])]
        is_message(opening + random.randbytes(random.randrange(40)))


@pytest.mark.parametrize("seed", range(4))
def test_mutated_memberships_are_refused_or_are_memberships(seed):
    """What is read back from disk is checked like what a peer sent."""
    random = Random(seed)

    for _ in range(2_500):
        try:
            membership = decode_membership(mutated(random, encode_membership(JOINT)))
        except CodecError:
            continue
        assert_same(decode_membership(encode_membership(membership)), membership)


# The vocabulary of the tests above.


def assert_same(found: object, expected: object) -> None:
    """Equal, and of one type all through: equality alone does not tell NamedTuples apart."""
    assert found == expected
    assert repr(found) == repr(expected)


def refused(data: bytes, reason: str | None = None) -> None:
    """Decoding this is a CodecError, for that reason."""
    with pytest.raises(CodecError, match=reason):
        decode(data)


def is_message(data: bytes) -> bool:
    """Whether these bytes are a message; if so it survives being encoded again."""
    try:
        message = decode(data)
    except CodecError:
        return False
    assert_same(decode(encode(message)), message)
    return True


def bytes_to_refuse(data: bytes) -> int:
    """The most memory that refusing these bytes held at any moment."""
    tracemalloc.start()
    try:
        refused(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def frame_of(*array: object) -> bytes:
    """The frame of this array, message or not."""
    return bytes(msgpack.packb(array, datetime=False))


def frame_with(message: Message, place: int, value: object) -> bytes:
    """The message's frame, but with another value in that place."""
    return frame_of(TAGS[type(message)], *message[:place], value, *message[place + 1 :])


def append(*entries: object, term: int = 3) -> bytes:
    """The frame of an AppendEntries with these entries, entries or not."""
    return frame_of(TAGS[AppendEntries], 0, 1, 2, term, 0, 0, 0, entries)


def mutated(random: Random, frame: bytes) -> bytes:
    """The frame after one or two accidents."""
    for _ in range(random.randint(1, 2)):
        place = random.randrange(len(frame))
        before, byte, after = frame[:place], frame[place], frame[place + 1 :]
        accidents = (
            bytes([byte ^ 1 << random.randrange(8)]),
            random.randbytes(1),
            random.choice(TOKENS),
            random.choice(TOKENS) + bytes([byte]),
            random.randbytes(random.randrange(4)) + bytes([byte]),
            b"",
        )
        frame = before + random.choice(accidents) + after[random.choice((0, 0, 0, 1)) :]
    return frame


TOKENS = [
    *(bytes([opening]) for opening in range(0x80, 0x100)),
    *map(bytes.fromhex, ("c400", "c40178", "c600000000", "c6ffffffff", "cc80", "cd0100")),
    *map(bytes.fromhex, ("cf7fffffffffffffff", "cf8000000000000000", "d3ffffffffffffffff")),
    *map(bytes.fromhex, ("d40000", "d6ff00000000", "dc0000", "dcffff", "ddffffffff", "de0000")),
    *map(bytes.fromhex, ("9101", "9301c400", "93010000", "a178", "ca00000000", "ce00010000")),
]
"""What msgpack is made of: the openings of every type, and the edges of every range."""

ids = st.integers(1, INTEGER_MAX) | st.integers(1, 9)
numbers = st.integers(0, INTEGER_MAX)


@st.composite
def memberships(draw: st.DrawFn) -> Membership:
    """A legal membership: each server draws the roles it has."""
    roles = [
        ("voters",),
        ("voters", "outgoing"),
        ("outgoing",),
        ("outgoing", "learners_next"),
        ("outgoing", "removed"),
        ("learners",),
        ("removed",),
    ]
    first, *others = draw(st.lists(ids, min_size=1, max_size=12, unique=True))
    role_of = {first: ("voters",)} | {other: draw(st.sampled_from(roles)) for other in others}
    return Membership(
        *(
            tuple(sorted(server for server, has in role_of.items() if role in has))
            for role in Membership._fields
        )
    )


@st.composite
def entry_slices(draw: st.DrawFn, prev_log_term: int, term: int) -> tuple[Entry, ...]:
    """A slice of a log that follows an entry of one term, in the log of a leader of another."""
    terms = draw(st.lists(st.integers(max(1, prev_log_term), term), max_size=6)) if term else []
    payloads = {
        COMMAND: st.binary(max_size=300),
        NOOP: st.just(b""),
        MEMBERSHIP: memberships().map(encode_membership),
    }
    kinds = [draw(st.sampled_from(sorted(payloads))) for _ in terms]
    return tuple(
        Entry(term, kind, draw(payloads[kind]))
        for term, kind in zip(sorted(terms), kinds, strict=True)
    )


@st.composite
def messages(draw: st.DrawFn, message_type: Callable[..., Message]) -> Message:
    """Any message of this type that a server could send."""
    strategies: dict[Any, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("source", "target", "transferee"), ids),
        "group": st.integers(0, GROUP_MAX),
        int: numbers,
        bool: st.booleans(),
        bytes: st.binary(min_size=1, max_size=300),
        Membership: memberships(),
    }
    fields: dict[str, Any] = {}
    for name, kind in get_type_hints(message_type).items():
        if name == "entries":
            fields[name] = draw(entry_slices(fields["prev_log_term"], fields["term"]))
        elif name in {"prev_log_term", "last_included_term"}:
            fields[name] = draw(st.integers(0, fields["term"]))
        else:
            fields[name] = draw(strategies[name if name in strategies else kind])
    return message_type(**fields)
