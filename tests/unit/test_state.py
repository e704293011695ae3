"""Plain values: what a server is told, what waits for its disk, and what its numbers mean."""

import pytest

from messages.codec import FRAME_BYTES_MAX
from messages.raft import (
    AppendEntries,
    HardState,
    Heartbeat,
    HeartbeatReply,
    RequestVote,
    RequestVoteReply,
)
from raft.state import Committed, Config, Write
from tests.network import Server, commands


@pytest.mark.parametrize(
    "wrong",
    [
        {"heartbeat_ticks": 0},
        {"heartbeat_ticks": 15},
        {"election_ticks_min": 30},
        {"election_ticks_max": 15},
        {"lease_drift_percent": -1},
        {"append_bytes_max": 0},
        {"append_bytes_max": FRAME_BYTES_MAX},
        {"inflight_messages_max": 0},
        {"inflight_bytes_max": 0},
        {"unapplied_bytes_max": 0},
        {"apply_bytes_max": 0},
        {"snapshot_window_bytes": 0},
        {"snapshot_retry_ticks": 0},
        {"transfer_ticks_max": 0},
        {"disk_stall_ticks_max": 0},
        {"lease_drift_percent": 100},
        {"lease_reads": True, "check_quorum": False},
    ],
    ids=str,
)
def test_numbers_that_contradict_each_other_stop_the_start(wrong):
    """§5.6: heartbeats come well within the shortest timeout; a lease needs silent voters."""
    with pytest.raises(AssertionError):
        Server(1, config=Config()._replace(**wrong))


@pytest.mark.parametrize(("drift_percent", "ticks"), [(0, 13), (10, 11), (50, 6), (99, 0)])
def test_a_lease_is_shorter_than_the_silence_it_relies_on(drift_percent, ticks):
    """R2: by two ticks that each side may just have missed, and by how far clocks drift."""
    config = Config(election_ticks_min=15, lease_drift_percent=drift_percent)

    assert config.lease_ticks() == ticks


def test_a_write_and_a_handout_know_where_they_end():
    """What the driver reports back as done."""
    write = Write(1, HardState(1, 0, 0), None, None, 5, commands(1, 1), ())

    assert write.last_index == 6
    assert Committed(5, commands(1, 1)).last_index == 6
    assert write._replace(entries=()).last_index == 4, "nothing, behind what is there"


def test_an_answer_waits_for_the_term_it_tells_of():
    """D1: after a crash this server would know nothing of that term."""
    follower = Server(1)
    follower.disk_held = True

    follower.hear(Heartbeat, 2, term=1, read_round=3)
    assert follower.sent(HeartbeatReply) == []

    follower.finish_write()
    assert [reply.read_round for reply in follower.sent(HeartbeatReply)] == [3]


def test_an_answer_of_a_durable_term_leaves_at_once():
    """DESIGN 1: a slow disk does not keep a leader from its majority."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1))
    assert follower.writing is not None

    follower.hear(Heartbeat, 2, read_round=3)

    assert [reply.read_round for reply in follower.sent(HeartbeatReply)] == [3]


def test_of_answers_that_wait_only_the_last_of_its_kind_is_kept():
    """O3: a slow disk gathers one answer of each kind to each server, not a queue."""
    follower = Server(1)
    follower.disk_held = True
    follower.hear(Heartbeat, 2, term=1)
    for number in range(5):
        follower.hear(Heartbeat, 2, read_round=number + 1)
    follower.hear(RequestVote, 3)
    assert len(follower.raft.waiting) == 2

    follower.finish_write()

    assert [reply.read_round for reply in follower.said if type(reply) is HeartbeatReply] == [5]
    assert [reply.target for reply in follower.sent(RequestVoteReply)] == [3]
