"""A clerk's writes: numbers without a gap, windows, and who may be told that nothing happened."""

import pytest

from kv.outcomes import NEVER, WRITTEN, Failed, Unknown, Why
from kv.writequeue import FRAME_BYTES_MAX, NOTHING_AT_ALL, SENT_MAX, Bounds, Refusal, WriteQueue
from messages.client import APPEND, VALUE_TOO_LONG, Operation
from messages.clientcodec import OPERATIONS_MAX

WINDOW = 8_192


def queue_of(count: int, value: bytes = b"v", **bounds: int) -> WriteQueue:
    """Calls named 1, 2, ... that wait, each until the time of its name; the session is open."""
    limits = Bounds(calls_max=10_000, bytes_max=10**9, window_bytes=4_194_304)
    queue = WriteQueue(limits._replace(**bounds))
    queue.restart(7, Why.SESSION_EXPIRED)
    for number in range(1, count + 1):
        assert queue.submit(number, Operation(APPEND, b"k", value), float(number))
    return queue


def sizes(queue: WriteQueue, endpoint: str = "a", window: int = WINDOW) -> list[tuple[int, int]]:
    """The first number and the count of operations of each frame that may be sent."""
    return [
        (frame.first_sequence, len(frame.operations)) for frame in queue.frames(endpoint, window)
    ]


def test_all_that_waits_leaves_in_one_frame():
    """And only once, until it is to be sent again."""
    queue = queue_of(3)

    assert sizes(queue) == [(1, 3)]
    assert sizes(queue) == []
    queue.resend()
    assert sizes(queue) == [(1, 3)]


def test_frames_are_bounded():
    """By operations, by bytes, and by the window; one large operation has a frame of its own."""
    assert sizes(queue_of(OPERATIONS_MAX + 1)) == [(1, OPERATIONS_MAX), (OPERATIONS_MAX + 1, 1)]
    assert sizes(queue_of(3, bytes(FRAME_BYTES_MAX))) == [(1, 1), (2, 1), (3, 1)]
    assert sizes(queue_of(3, bytes(1000), window_bytes=2500)) == [(1, 2)]
    assert sizes(queue_of(3, bytes(1000), window_bytes=10)) == [(1, 1)]
    assert sizes(queue_of(9), window=4) == [(1, 4)]


def test_one_answer_settles_all_before_it():
    """What was executed is done, in order; the window opens again."""
    queue = queue_of(5)
    sizes(queue, window=3)

    assert queue.on_wrote(2, ()) == [(1, WRITTEN), (2, WRITTEN)]
    assert sizes(queue, window=3) == [(4, 2)]
    assert queue.on_wrote(2, ()) == []
    assert queue.on_wrote(5, ((4, VALUE_TOO_LONG),)) == [
        (3, WRITTEN),
        (4, Failed(Why.TOO_LARGE)),
        (5, WRITTEN),
    ]
    assert (queue.live, queue.on_way) == (0, 0)


def test_an_answer_to_what_was_never_sent_is_no_answer():
    """A server cannot have executed it, whatever it says."""
    queue = queue_of(3)
    sizes(queue, window=1)

    assert queue.on_wrote(3, ()) == [(1, WRITTEN)]
    assert sizes(queue) == [(2, 2)]


def test_what_was_never_sent_is_not_done():
    """At its deadline it failed, and its number is not used."""
    queue = queue_of(2)

    assert queue.due == 1.0
    assert queue.expire(0.9, Why.UNAVAILABLE) == []
    assert queue.expire(1.0, Why.UNAVAILABLE) == [(1, Failed(Why.UNAVAILABLE))]
    assert queue.due == 2.0
    assert sizes(queue) == [(1, 1)]
    assert queue.on_wrote(1, ()) == [(2, WRITTEN)]
    assert queue.expire(2.0, Why.UNAVAILABLE) == []
    assert queue.due == NEVER


def test_what_was_sent_is_unknown_and_does_nothing_later():
    """C1: its number is sent on, with nothing in it."""
    queue = queue_of(2)
    sizes(queue)

    assert queue.expire(1.0, Why.UNAVAILABLE) == [(1, Unknown(Why.UNAVAILABLE))]
    queue.resend()
    (frame,) = queue.frames("b", WINDOW)
    assert frame.first_sequence == 1
    assert frame.operations[0] == NOTHING_AT_ALL != frame.operations[1]
    assert queue.on_wrote(2, ()) == [(2, WRITTEN)]


def test_a_refusal_of_the_only_transmission_clears_it():
    """Nobody executed it, so it is not done when it is given up."""
    queue = queue_of(2)
    sizes(queue)

    assert [call.token for call in queue.on_refused("a", 1, is_certain=True).cleared] == [1, 2]
    assert queue.give_up_all(Why.DISK_FULL) == [
        (1, Failed(Why.DISK_FULL)),
        (2, Failed(Why.DISK_FULL)),
    ]


@pytest.mark.parametrize("endpoint", ["a", "b"])
def test_a_refusal_of_one_of_two_transmissions_clears_nothing(endpoint):
    """The other may be executed, on the same server or on another."""
    queue = queue_of(1)
    sizes(queue)
    queue.resend()
    sizes(queue, endpoint)
    queue.on_refused("a", 1, is_certain=True)

    assert queue.give_up_all(Why.OVERLOADED) == [(1, Unknown(Why.OVERLOADED))]


def test_a_refusal_of_a_transmission_that_is_answered_in_part_clears_nothing():
    """It may belong to one that is not remembered any more."""
    queue = queue_of(1)
    sizes(queue)
    queue.submit(2, Operation(APPEND, b"k", b"v"), 2.0)
    queue.resend()
    assert sizes(queue) == [(1, 2)]
    queue.on_wrote(1, ())

    assert queue.on_refused("a", 1, is_certain=True).cleared == []
    assert queue.give_up_all(Why.OVERLOADED) == [(2, Unknown(Why.OVERLOADED))]


def test_a_refusal_is_news_only_of_what_was_sent_last():
    """Each transmission is refused once, and the oldest first; what is lost is not waited for."""
    queue = queue_of(1)
    sizes(queue)
    queue.send_all_again()
    sizes(queue)
    news = [queue.on_refused("a", 1, is_certain=False).is_news for _ in range(3)]
    assert news == [False, True, False]

    for _ in range(2):
        queue.send_all_again()
        queue.write_off("a")
        sizes(queue)
    assert queue.on_refused("a", 1, is_certain=False).is_news
    assert not queue.on_refused("b", 1, is_certain=False).is_news


def test_transmissions_remembered_are_bounded():
    """Where nobody answers for long; a refusal that may be of a forgotten one clears nothing."""
    queue = queue_of(1)
    for _ in range(SENT_MAX + 5):
        queue.resend()
        sizes(queue)

    assert len(queue._transmissions) == SENT_MAX
    assert queue.on_refused("a", 1, is_certain=True) == Refusal([], is_news=True)


def test_another_session_begins_anew():
    """What may have been executed in the old one is unknown, the rest is numbered again."""
    queue = queue_of(3)
    sizes(queue, window=1)

    assert queue.restart(8, Why.SESSION_EXPIRED) == [(1, Unknown(Why.SESSION_EXPIRED))]
    (frame,) = queue.frames("a", WINDOW)
    assert (frame.session, frame.first_sequence, frame.acknowledged_below) == (8, 1, 1)
    assert len(frame.operations) == 2


def test_at_the_bounds_no_more_is_taken():
    """Of calls, and of bytes; what is settled makes room."""
    queue = queue_of(2, bytes(10), calls_max=2)
    assert not queue.submit(3, Operation(APPEND, b"k", b""), 3.0)
    queue = queue_of(2, bytes(9), bytes_max=25)
    assert not queue.submit(3, Operation(APPEND, b"k", bytes(9)), 3.0)
    sizes(queue)
    queue.on_wrote(1, ())
    assert queue.submit(3, Operation(APPEND, b"k", bytes(9)), 3.0)
    queue.give_up_all(Why.CLOSED)
    assert queue._bytes == 10  # number 2 was sent and keeps its place


def test_from_a_number_on_is_sent_again():
    """What lies before it is on its way."""
    queue = queue_of(5)
    sizes(queue)
    queue.resend(3)
    assert sizes(queue) == [(3, 3)]
    queue.resend(99)
    assert sizes(queue) == []
