"""messages/envelope.py: one frame between two nodes, and what does not pass for one (D12)."""

import zlib
from random import Random

import msgpack
import pytest

from messages.codec import ENTRIES_MAX, FRAME_BYTES_MAX, CodecError
from messages.envelope import CRC_BYTES, ENVELOPE_BYTES_MAX, VERSION, opened, seal, unseal
from messages.raft import COMMAND, AppendEntries, Entry, Heartbeat

HEARTBEAT = Heartbeat(0, 1, 2, 3, 4, 5)


def sealed(array):
    """A frame around anything, with its right checksum."""
    body = msgpack.packb(array)
    return zlib.crc32(body).to_bytes(CRC_BYTES, "big") + body


def test_what_is_sealed_is_opened():
    """The messages of a turn arrive in their order, under the names of their nodes."""
    messages = [HEARTBEAT._replace(read_round=number) for number in range(5)]

    (frame,) = seal("kvorum", 1, 2, messages)

    envelope = unseal(frame)
    assert (envelope.cluster, envelope.source, envelope.target) == ("kvorum", 1, 2)
    assert opened(envelope) == messages


def test_a_turn_without_messages_is_no_frame():
    """Nothing to say is not said."""
    assert list(seal("kvorum", 1, 2, [])) == []


def test_many_or_large_messages_take_several_frames():
    """No frame grows past what a peer takes, and the order is kept."""
    large = Entry(1, COMMAND, bytes(1_500_000))
    appends = [AppendEntries(0, 1, 2, 3, at, 1, 0, (large, large)) for at in range(8)]
    many = [HEARTBEAT] * (ENTRIES_MAX + 1)

    frames = list(seal("kvorum", 1, 2, [*appends, *many]))

    assert len(frames) > 3
    assert all(len(frame) <= ENVELOPE_BYTES_MAX for frame in frames)
    assert [at for frame in frames for at in opened(unseal(frame))] == [*appends, *many]


GOOD = [VERSION, "kvorum", 1, 2, []]
REFUSED = {
    "nothing": b"",
    "not msgpack": zlib.crc32(b"\xc1").to_bytes(CRC_BYTES, "big") + b"\xc1",
    "another checksum": bytes(CRC_BYTES) + msgpack.packb(GOOD),
    "over its bound": bytes(ENVELOPE_BYTES_MAX + 1),
    "no array": sealed(5),
    "a field too few": sealed(GOOD[:4]),
    "another version": sealed([VERSION + 1, *GOOD[1:]]),
    "a cluster that is no text": sealed([VERSION, b"kvorum", 1, 2, []]),
    "messages that are none": sealed([*GOOD[:4], 5]),
    "a sender that is none": sealed([VERSION, "kvorum", "1", 2, []]),
    "a receiver that is none": sealed([VERSION, "kvorum", 1, None, []]),
    "a message that is text": sealed([*GOOD[:4], ["x"]]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_envelope_is_refused(name):
    """C5: one error for all of it."""
    with pytest.raises(CodecError):
        unseal(REFUSED[name])


def test_a_flipped_bit_anywhere_is_refused():
    """A term that a flipped bit made huge would outlive the frame by far."""
    (frame,) = seal("kvorum", 1, 2, [HEARTBEAT])
    random = Random(1)

    for _ in range(500):
        place, bit = random.randrange(len(frame)), 1 << random.randrange(8)
        damaged = frame[:place] + bytes([frame[place] ^ bit]) + frame[place + 1 :]
        with pytest.raises(CodecError):
            unseal(damaged)


def test_a_message_under_another_name_is_refused():
    """Who speaks is who the envelope says, in each of its messages."""
    (frame,) = seal("kvorum", 7, 2, [HEARTBEAT])

    with pytest.raises(CodecError, match="another name"):
        opened(unseal(frame))


def test_a_message_in_it_is_checked():
    """The envelope's own bytes are right, a message's are not."""
    with pytest.raises(CodecError):
        opened(unseal(sealed([*GOOD[:4], [b"\xc1"]])))
    assert FRAME_BYTES_MAX < ENVELOPE_BYTES_MAX
