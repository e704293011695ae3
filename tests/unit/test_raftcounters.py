"""raft/counters.py: how long writes and commits take, as a Raft actor sees it."""

import pytest

from raft.counters import RaftCounters


@pytest.fixture
def counters():
    """Of a node that has just started."""
    return RaftCounters()


def told(counters):
    """What was counted, without what is 0."""
    return {name: count for name, count in counters.counted() if count}


def test_a_turn_lasts_from_its_first_word_to_its_end(counters):
    """One in which nothing came is none."""
    counters.on_word(100)
    counters.on_word(150)
    counters.on_end(180, 0, 0)
    counters.on_end(300, 0, 0)

    assert told(counters) == {"raft_turns": 1, "raft_busy_ns": 80}


def test_a_write_lasts_until_word_of_it_comes_back(counters):
    """One of a term or a vote alone is not a put's."""
    counters.on_handed(100, 3)
    counters.on_written(900, 500)
    counters.on_handed(1_000, 0)
    counters.on_written(9_000, 5_000)

    assert told(counters) == {"writes": 1, "entries": 3, "writes_ns": 800, "syncs_ns": 500}


def test_a_commit_lasts_from_the_append_to_its_last_entry(counters):
    """What is appended meanwhile is not timed: the next one is."""
    counters.on_end(100, 7, 4)
    counters.on_end(200, 9, 6)
    counters.on_end(300, 9, 7)
    counters.on_end(400, 9, 9)
    counters.on_end(500, 11, 9)
    counters.on_end(540, 11, 11)

    assert told(counters) == {"commits": 2, "commits_ns": 200 + 40}


def test_a_commit_of_another_leader_is_not_ours(counters):
    """Who no longer leads stops the clock."""
    counters.on_end(100, 7, 4)
    counters.on_end(200, 0, 4)
    counters.on_end(300, 0, 7)

    assert told(counters) == {}
