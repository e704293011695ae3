"""messages/clientcodec.py: what a clerk and a server say, and what neither takes for it."""

from random import Random

import msgpack
import pytest

from messages.client import (
    APPEND,
    KEY_BYTES_LIMIT,
    NOTHING,
    PUT,
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
from messages.clientcodec import (
    OPERATIONS_MAX,
    REPLY_BYTES_MAX,
    REQUEST_BYTES_MAX,
    TAGS,
    decode_reply,
    decode_request,
    encode,
)
from messages.codec import INTEGER_MAX, CodecError

REQUESTS: list[ClientRequest] = [
    Hello(1, 1),
    OpenSession(2),
    Writes(3, 4, 2, (Operation(PUT, b"k", b"v"), Operation(APPEND, b"l", b""))),
    Writes(3, 6, 2, (Operation(NOTHING, b"", b""),)),
    Reads(5, 0, (b"k", b"l")),
    AskStatus(6),
    AskCounters(7),
]
REPLIES: list[ClientReply] = [
    Welcome(1, 1, "kvorum", 2, "127.0.0.1:7101", 500, 1_000),
    SessionOpened(2, 9),
    Wrote(3, 5, 77, ((4, b"too long"),)),
    Values(5, 77, 0, (b"v", None)),
    Status(6, "kvorum", 1, "node1", "leader", 1, 3, 4, 4, 4, 0, 9, 4711),
    Refused(3, 4, 1, ""),
    Counters(7, (("frames", 5), ("waves", 0))),
]
GOLDEN = [
    (REQUESTS[2], "95030304029293 01c4016bc40176 9302c4016cc400"),
    (REQUESTS[4], "9404050092c4016bc4016c"),
    (REPLIES[2], "95430305 4d919204c408746f6f206c6f6e67"),
    (REPLIES[3], "9544054d0092c40176c0"),
    (REPLIES[5], "9546030401a0"),
    (REPLIES[6], "93470792 92a66672616d657305 92a5776176657300"),
]


@pytest.mark.parametrize("message", REQUESTS, ids=lambda found: type(found).__name__)
def test_a_request_survives_its_bytes(message):
    """Type and fields are the same behind the wire, and in the log."""
    assert repr(decode_request(encode(message))) == repr(message)


@pytest.mark.parametrize("message", REPLIES, ids=lambda found: type(found).__name__)
def test_a_reply_survives_its_bytes(message):
    """Type and fields are the same behind the wire."""
    assert repr(decode_reply(encode(message))) == repr(message)


@pytest.mark.parametrize(("message", "frame"), GOLDEN, ids=lambda found: type(found).__name__)
def test_a_message_has_the_bytes_it_always_had(message, frame):
    """Tags and layout are what clerks in other languages, and logs on disk, rely on."""
    assert encode(message) == bytes.fromhex(frame)


def test_every_message_has_a_tag_of_its_own():
    """A tag is never used for two."""
    assert len(set(TAGS.values())) == len(TAGS) == len({type(at) for at in [*REQUESTS, *REPLIES]})


@pytest.mark.parametrize("message", [*REQUESTS, *REPLIES], ids=lambda found: type(found).__name__)
def test_a_message_for_the_other_side_is_refused(message):
    """A server takes no replies, a clerk no requests."""
    decode = decode_reply if message in REQUESTS else decode_request

    with pytest.raises(CodecError, match="belongs"):
        decode(encode(message))


OPERATION = [PUT, b"k", b"v"]
NOT_REQUESTS = {
    "nothing": b"",
    "not msgpack": b"\xc1",
    "no array": msgpack.packb(5),
    "an empty array": msgpack.packb([]),
    "an unknown tag": msgpack.packb([99, 1]),
    "a truth value for a tag": msgpack.packb([True, 1, 1]),
    "a field too few": msgpack.packb([1, 1]),
    "a field too many": msgpack.packb([1, 1, 1, 1]),
    "a map": msgpack.packb([2, {}]),
    "an extension": msgpack.packb([2, msgpack.ExtType(1, b"")]),
    "a truth value for an integer": msgpack.packb([2, True]),
    "a negative number": msgpack.packb([2, -1]),
    "a number over 63 bits": msgpack.packb([2, INTEGER_MAX + 1]),
    "operations that are none": msgpack.packb([3, 1, 1, 1, 5]),
    "no operations": msgpack.packb([3, 1, 1, 1, []]),
    "an operation that is none": msgpack.packb([3, 1, 1, 1, [5]]),
    "a short operation": msgpack.packb([3, 1, 1, 1, [OPERATION[:2]]]),
    "an unknown kind": msgpack.packb([3, 1, 1, 1, [[3, b"k", b"v"]]]),
    "a kind that is none": msgpack.packb([3, 1, 1, 1, [[b"", b"k", b"v"]]]),
    "a key that is text": msgpack.packb([3, 1, 1, 1, [[PUT, "k", b"v"]]]),
    "a value that is text": msgpack.packb([3, 1, 1, 1, [[PUT, b"k", "v"]]]),
    "an empty key": msgpack.packb([3, 1, 1, 1, [[PUT, b"", b"v"]]]),
    "a key for nothing": msgpack.packb([3, 1, 1, 1, [[NOTHING, b"k", b""]]]),
    "a long key": msgpack.packb([3, 1, 1, 1, [[PUT, b"k" * (KEY_BYTES_LIMIT + 1), b"v"]]]),
    "too many operations": msgpack.packb([3, 1, 1, 1, [OPERATION] * (OPERATIONS_MAX + 1)]),
    "keys that are none": msgpack.packb([4, 1, 0, 5]),
    "no keys": msgpack.packb([4, 1, 0, []]),
    "a key that is a number": msgpack.packb([4, 1, 0, [5]]),
    "a key that is empty": msgpack.packb([4, 1, 0, [b""]]),
    "a frame over its bound": encode(REQUESTS[0]) + bytes(REQUEST_BYTES_MAX),
    "trailing bytes": encode(REQUESTS[0]) + b"\x00",
}


@pytest.mark.parametrize("name", NOT_REQUESTS)
def test_what_is_no_request_is_refused(name):
    """C5: one error for all of it, nothing else escapes."""
    with pytest.raises(CodecError):
        decode_request(NOT_REQUESTS[name])


NOT_REPLIES = {
    "a text that is none": msgpack.packb([65, 1, 1, 5, 2, "", 1, 1]),
    "a long text": msgpack.packb([65, 1, 1, "x" * 2_000, 2, "", 1, 1]),
    "values that are none": msgpack.packb([68, 1, 1, 0, 5]),
    "a value that is a number": msgpack.packb([68, 1, 1, 0, [5]]),
    "results that are none": msgpack.packb([67, 1, 1, 1, 5]),
    "a result that is none": msgpack.packb([67, 1, 1, 1, [5]]),
    "a short result": msgpack.packb([67, 1, 1, 1, [[5]]]),
    "a result of text": msgpack.packb([67, 1, 1, 1, [[5, "x"]]]),
    "a result of no number": msgpack.packb([67, 1, 1, 1, [[-1, b"x"]]]),
    "counters that are none": msgpack.packb([71, 1, 5]),
    "a counter that is none": msgpack.packb([71, 1, [5]]),
    "a short counter": msgpack.packb([71, 1, [["frames"]]]),
    "a counter without a name": msgpack.packb([71, 1, [[5, 5]]]),
    "a counter of no number": msgpack.packb([71, 1, [["frames", -1]]]),
    "a reply over its bound": bytes(REPLY_BYTES_MAX + 1),
}


@pytest.mark.parametrize("name", NOT_REPLIES)
def test_what_is_no_reply_is_refused(name):
    """C5: a hostile server cannot crash a clerk either."""
    with pytest.raises(CodecError):
        decode_reply(NOT_REPLIES[name])


@pytest.mark.parametrize("seed", range(4))
def test_mutated_frames_are_refused_or_are_messages(seed):
    """Flipped, cut and grown frames: CodecError, or something that survives its own bytes."""
    random = Random(seed)
    for _ in range(3_000):
        frame = bytearray(encode(random.choice([*REQUESTS, *REPLIES])))
        for _ in range(random.randint(1, 3)):
            frame[random.randrange(len(frame))] = random.randrange(256)
        data = bytes(frame[: random.randint(1, len(frame))])
        for decode in (decode_request, decode_reply):
            try:
                message = decode(data)
            except CodecError:
                continue
            assert decode(encode(message)) == message
