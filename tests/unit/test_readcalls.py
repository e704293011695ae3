"""A clerk's reads: asked together, answered in pieces, asked again under another id."""

from random import Random

import pytest

from kv.outcomes import NEVER, Failed, Ok, Why
from kv.readcalls import ReadCall, ReadCalls
from messages.client import LINEARIZABLE, STALE, Reads, Values
from messages.clientcodec import OPERATIONS_MAX

WINDOW = 8_192


def reads_of(*keys: bytes, level: int = LINEARIZABLE) -> ReadCalls:
    """Reads named by their keys, each until the time of its place, missing ones reading as -."""
    reads = ReadCalls(10_000)
    for place, key in enumerate(keys, 1):
        assert reads.submit(level, ReadCall(key, key, float(place), b"-"))
    return reads


def test_all_that_wait_share_a_question():
    """One for each level."""
    reads = reads_of(b"a", b"b")
    reads.submit(STALE, ReadCall(b"c", b"c", 1.0, None))

    assert reads.questions(5, WINDOW) == [
        Reads(5, LINEARIZABLE, (b"a", b"b")),
        Reads(6, STALE, (b"c",)),
    ]
    assert reads.questions(7, WINDOW) == []
    assert reads.on_values(Values(6, 1, 0, (None,))) == [(b"c", Ok(None))]
    assert reads.on_values(Values(5, 1, 0, (b"1", None))) == [(b"a", Ok(b"1")), (b"b", Ok(b"-"))]
    assert (reads.live, reads.on_way) == (0, 0)


def test_answers_come_in_pieces():
    """In any order, some twice; what lies outside of the question is not heard."""
    reads = reads_of(b"a", b"b", b"c")
    reads.questions(1, WINDOW)

    assert reads.on_values(Values(1, 1, 2, (b"3",))) == []
    assert reads.on_values(Values(1, 1, 2, (b"3", b"4", b"5"))) == []
    assert reads.on_values(Values(1, 1, 9, (b"9",))) == []
    assert reads.on_values(Values(1, 1, 0, ())) == []
    found = reads.on_values(Values(1, 1, 0, (b"1", b"2")))
    assert found == [(b"a", Ok(b"1")), (b"b", Ok(b"2")), (b"c", Ok(b"3"))]


def test_a_question_is_asked_again_under_another_id():
    """R1: an answer to the old one comes too late."""
    reads = reads_of(b"a")
    reads.questions(1, WINDOW)
    reads.ask_all_again()

    assert reads.on_values(Values(1, 1, 0, (b"1",))) == []
    assert reads.questions(2, WINDOW) == [Reads(2, LINEARIZABLE, (b"a",))]
    reads.ask_again(99)
    assert reads.questions(3, WINDOW) == []
    assert reads.on_values(Values(2, 1, 0, (b"1",))) == [(b"a", Ok(b"1"))]


def test_questions_are_bounded():
    """By keys in one, and by the window."""
    reads = reads_of(*[b"k"] * (OPERATIONS_MAX + 2))
    assert [len(question.keys) for question in reads.questions(1, 3)] == [3]
    assert reads.questions(2, 3) == []
    assert [len(question.keys) for question in reads.questions(2, WINDOW)] == [OPERATIONS_MAX - 1]


def test_a_deadline_is_kept_wherever_the_read_is():
    """Waiting or asked; an answer that comes later finds nobody."""
    reads = reads_of(b"a", b"b", b"c")
    reads.questions(1, 2)

    assert reads.expire(0.5, Why.UNAVAILABLE) == []
    assert reads.expire(1.0, Why.UNAVAILABLE) == [(b"a", Failed(Why.UNAVAILABLE))]
    assert reads.due == 2.0
    assert reads.on_values(Values(1, 1, 0, (b"1", b"2"))) == [(b"b", Ok(b"2"))]
    assert reads.expire(3.0, Why.UNAVAILABLE) == [(b"c", Failed(Why.UNAVAILABLE))]
    assert reads.questions(2, WINDOW) == []
    assert reads.due == NEVER


def test_nobody_waits_for_a_question_of_expired_reads():
    """It is forgotten, and is not asked again."""
    reads = reads_of(b"a")
    reads.questions(1, WINDOW)
    reads.expire(1.0, Why.UNAVAILABLE)

    assert reads.on_way == 0
    reads.ask_all_again()
    assert reads.questions(2, WINDOW) == []


def test_an_older_state_is_no_answer_unless_it_was_asked_for():
    """R5."""
    reads, stale = reads_of(b"a"), reads_of(b"a", level=STALE)
    for asked in (reads, stale):
        asked.questions(1, WINDOW)

    assert reads.is_older(Values(1, 9, 0, (b"1",)), applied_index=10)
    assert not reads.is_older(Values(1, 10, 0, (b"1",)), applied_index=10)
    assert not reads.is_older(Values(2, 9, 0, (b"1",)), applied_index=10)
    assert not stale.is_older(Values(1, 9, 0, (b"1",)), applied_index=10)


def test_at_the_bound_no_more_are_taken():
    """What is settled makes room."""
    reads = ReadCalls(1)
    assert reads.submit(STALE, ReadCall(1, b"k", 1.0, None))
    assert not reads.submit(STALE, ReadCall(2, b"k", 1.0, None))
    assert reads.give_up_all(Why.CLOSED) == [(1, Failed(Why.CLOSED))]
    assert reads.submit(STALE, ReadCall(2, b"k", 1.0, None))


@pytest.mark.parametrize("seed", range(20))
def test_its_counts_are_those_of_what_it_holds(seed):
    """Whatever happens to questions and reads: a count that drifts closes the window for good."""
    random = Random(seed)
    reads = ReadCalls(50)
    asked: dict[int, Reads] = {}
    for now in range(500):
        match random.randrange(6):
            case 0 | 1:
                deadline = now + random.choice((5.0, 50.0, 1_000.0))
                reads.submit(random.randrange(3), ReadCall(now, b"k", deadline, None))
            case 2:
                asked |= {found.request_id: found for found in reads.questions(10 * now, 7)}
            case 3 if asked:
                question = random.choice(list(asked.values()))
                first, count = random.randrange(4), random.randrange(9)
                reads.on_values(Values(question.request_id, 1, first, (b"v",) * count))
            case 4:
                reads.ask_again(random.choice([0, *asked]))
            case 5:
                reads.expire(now, Why.UNAVAILABLE)
        on_way = [call for question in reads._asked.values() for call in question.calls]
        waiting = [call for calls in reads._waiting.values() for call in calls]
        assert reads.on_way == len(on_way) <= 7
        assert reads.live == sum(call.token is not None for call in on_way + waiting)
        assert all(question.calls for question in reads._asked.values())

    reads.give_up_all(Why.CLOSED)
    assert (reads.live, reads.on_way) == (0, 0)
