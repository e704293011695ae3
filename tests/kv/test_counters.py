"""kv/counters.py: what is counted of a put's way through a KVServer."""

import pytest

from kv.counters import ServerCounters


@pytest.fixture
def counters():
    """Of a node that has just started."""
    return ServerCounters()


def told(counters):
    """What was counted, without what is 0."""
    return {name: count for name, count in counters.counted() if count}


def hear(counters, frames, now, *, left=True):
    """A turn of so many frames, that begins now and ends 30 later; they leave or wait."""
    counters.on_first_frame(now)
    counters.heard += frames
    counters.on_flush(now + 10)
    counters.waiting = 0 if left else frames
    if left:
        counters.on_left(now + 10)
    counters.on_end(now + 30)


def commit(counters, now):
    """Word from Raft in a turn of its own: applied 5 later, answered 7 after that."""
    counters.on_word(now)
    if counters.left_at:
        counters.on_applied(now, now + 5)
    counters.on_flush(now + 6)
    counters.on_end(now + 12)


def test_a_wave_counts_once_for_each_of_its_frames(counters):
    """So the mean over frames is what their clients see."""
    hear(counters, 3, 1_000)
    commit(counters, 2_010)

    assert told(counters) == {
        "kvserver_turns": 2,
        "kvserver_busy_ns": 30 + 12,
        "frames": 3,
        "frames_decode_ns": 3 * 10,
        "frames_waved": 3,
        "frames_wave_ns": 3 * 1_000,
        "frames_apply_ns": 3 * 5,
        "frames_reply_ns": 3 * 7,
        "waves": 1,
        "waves_ns": 1_000,
    }


def test_what_comes_while_a_wave_is_on_its_way_waits_for_it(counters):
    """From the end of its own turn's reading to the turn that lets it leave."""
    hear(counters, 1, 1_000)
    hear(counters, 2, 1_500, left=False)
    counters.on_word(2_000)
    counters.on_applied(2_000, 2_005)
    counters.on_flush(2_010)
    counters.waiting = 0
    counters.on_left(2_010)
    counters.on_end(2_020)
    commit(counters, 3_010)

    found = told(counters)
    assert found["frames_gather_ns"] == 2 * 500
    assert (found["waves"], found["waves_ns"]) == (2, 990 + 1_000)
    assert found["frames_reply_ns"] == 1 * 15 + 2 * 7


def test_of_waves_one_is_timed_at_a_time(counters):
    """The second, which need not wait when the first takes long, is not."""
    hear(counters, 1, 1_000)
    hear(counters, 4, 1_200)
    commit(counters, 2_010)
    commit(counters, 2_100)

    found = told(counters)
    assert (found["waves"], found["frames_waved"], found["waves_ns"]) == (1, 1, 1_000)


def test_a_wave_that_is_refused_or_unseated_is_not_timed(counters):
    """It would count until some later wave comes back."""
    hear(counters, 1, 1_000)
    counters.abandon()
    commit(counters, 9_000)

    assert "waves" not in told(counters)


def test_a_turn_in_which_nothing_came_is_none(counters):
    """A node that idles is not busy."""
    counters.on_flush(1_000)
    counters.on_end(1_010)

    assert told(counters) == {}
