"""§8 and thesis §6.4: reads without log entries, and never of an older state than was confirmed."""

import pytest

from messages.raft import AppendEntries, Heartbeat, ReadIndex, ReadIndexReply
from raft.core import propose, read
from raft.state import ReadState, Refusal, Role
from tests.network import PAPER, Server, trio


def test_a_read_waits_for_the_terms_first_commit():
    """§8, M1: a leader learns what is committed from the no-op entry of its own term."""
    leader = Server(1, log=(1, 1)).lead()
    leader.do(read, 7)

    leader.confirmed(2, 3)
    reads_before = list(leader.reads)
    leader.acknowledged(2)
    leader.confirmed(2)

    assert reads_before == []
    assert leader.reads == [ReadState(7, 3)]


def test_a_read_waits_until_a_majority_confirms_the_leader():
    """§8: a leader must check whether it has been deposed before it answers a read."""
    leader = Server(1).lead().acknowledged(2, 3)

    leader.do(read, 7)
    reads_before = list(leader.reads)
    leader.confirmed(3)

    assert reads_before == []
    assert leader.reads == [ReadState(7, 1)]


def test_a_read_starts_a_round_of_heartbeats_at_once():
    """Thesis §6.4: it issues a new round and does not wait for the next that is due."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.sent(Heartbeat)

    leader.do(read, 7)

    assert [(beat.target, beat.read_round) for beat in leader.sent(Heartbeat)] == [
        (2, leader.raft.round_number),
        (3, leader.raft.round_number),
    ]


def test_an_answer_to_an_earlier_round_confirms_nothing():
    """Thesis §6.4, R1: only a heartbeat sent after the read came proves that it led then."""
    leader = Server(1).lead().acknowledged(2, 3)
    earlier = leader.raft.round_number

    leader.do(read, 7)
    leader.confirmed(2, read_round=earlier)
    leader.confirmed(3, read_round=earlier)

    assert leader.reads == []


def test_an_answer_to_a_round_that_was_never_begun_confirms_nothing():
    """Thesis §6.4, R1: it cannot have been sent after the reads that come later."""
    leader = Server(1).lead().acknowledged(2, 3)

    leader.confirmed(2, read_round=leader.raft.round_number + 1)
    leader.do(read, 7)

    assert leader.reads == []


def test_a_read_that_comes_during_a_round_waits_for_the_next():
    """Thesis §6.4, R1: the answers under way may be older than the read."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(read, 7)
    first_round = leader.raft.round_number
    leader.do(read, 8)

    leader.confirmed(2, read_round=first_round)

    assert leader.reads == [ReadState(7, 1)]


def test_an_answer_to_a_later_round_confirms_the_earlier_ones():
    """Thesis §6.4: who led later led before, in the same term."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(read, 7)
    leader.do(read, 8)

    leader.confirmed(2)

    assert leader.reads == [ReadState(7, 1), ReadState(8, 1)]


def test_one_round_serves_all_reads_that_wait():
    """Thesis §6.4: the leader can amortize the cost over any number of accumulated reads."""
    leader = Server(1).lead()
    for context in (7, 8, 9):
        leader.do(read, context)
    rounds_before = leader.raft.round_number

    leader.acknowledged(2)
    leader.confirmed(2)

    assert leader.raft.round_number == rounds_before + 1
    assert [state.context for state in leader.reads] == [7, 8, 9]


def test_a_read_sees_what_was_committed_when_it_came():
    """Thesis §6.4: the commit index is saved as readIndex before the round begins."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose, [b"x"])

    leader.do(read, 7)
    leader.acknowledged(2)
    leader.confirmed(2)
    leader.do(read, 8)
    leader.confirmed(2)

    assert leader.reads == [ReadState(7, 1), ReadState(8, 2)]


def test_a_learner_confirms_no_leader():
    """Thesis §6.4, §4.2.1: a majority of voters is asked, and learners are none."""
    leader = Server(1, learners=(4, 5)).lead().acknowledged(2, 3)

    leader.do(read, 7)
    leader.confirmed(4, 5)

    assert leader.reads == []


def test_a_deposed_leader_answers_no_read_that_waited():
    """§8: a more recent leader may have committed what this one does not know."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(read, 7)

    leader.hear(AppendEntries, 2, term=5)

    assert leader.reads == [ReadState(7, None)]


def test_a_read_that_was_given_up_is_not_answered_later():
    """§8, R1: leading again proves nothing about the time between."""
    leader = Server(1).lead()
    leader.do(read, 7)
    leader.hear(AppendEntries, 2, term=5)

    leader.lead().acknowledged(2, 3).confirmed(2, 3)

    assert leader.reads == [ReadState(7, None)]


def test_a_single_voter_reads_at_once():
    """Thesis §6.4: it is a majority itself."""
    leader = Server(1, voters=(1,)).lead()

    leader.do(read, 7)

    assert leader.reads == [ReadState(7, 1)]


def test_a_restarted_server_reads_nothing_before_it_knows_what_is_committed():
    """§8, R3: its log may be ahead of its commit index, and a read must see all of it."""
    server = Server(1, voters=(1,)).lead()
    server.do(propose, [b"x"])
    server.restart()

    while_following = server.do(read, 7)
    server.lead()
    server.do(read, 8)

    assert while_following is Refusal.NOT_LEADER
    assert server.reads == [ReadState(8, 3)]
    assert server.state == b"x"


def test_a_follower_asks_its_leader_which_index_its_reads_must_see():
    """Thesis §6.4, R4: then it waits for its state to advance at least as far."""
    leader, follower, _ = network = trio()
    network.elect(leader)
    network.part({1, 3})
    leader.do(propose, [b"x"])
    network.deliver()
    network.part()

    follower.do(read, 7)
    state_when_asked = follower.state
    network.deliver()

    assert state_when_asked == b""
    assert follower.reads == [ReadState(7, 2)]


def test_a_followers_reads_wait_for_a_majority_too():
    """Thesis §6.4, R4: the leader answers it no sooner than it would answer itself."""
    leader = Server(1).lead().acknowledged(2, 3)

    leader.hear(ReadIndex, 2, read_id=99)
    answered_before = leader.sent(ReadIndexReply)
    leader.confirmed(3)

    assert answered_before == []
    (reply,) = leader.sent(ReadIndexReply)
    assert (reply.target, reply.read_id, reply.read_index) == (2, 99, 1)


def test_a_followers_reads_are_asked_about_together():
    """Thesis §6.4: one question for all that wait, and its answer is theirs."""
    follower = Server(2, term=1)
    follower.hear(Heartbeat, 1)

    read(follower.raft, 7)
    read(follower.raft, 8)
    follower.do(read, 9)

    (asked,) = follower.sent(ReadIndex)
    follower.hear(ReadIndexReply, 1, read_id=asked.read_id, read_index=0)
    assert [state.context for state in follower.reads] == [7, 8, 9]


def test_a_read_asked_about_again_has_another_id():
    """R1: the late answer to the first question is older than the second read."""
    follower = Server(2, term=1)
    follower.hear(Heartbeat, 1)
    follower.do(read, 7)
    (first,) = follower.sent(ReadIndex)
    expire(follower)

    follower.do(read, 8)
    follower.hear(ReadIndexReply, 1, read_id=first.read_id, read_index=0)

    assert follower.reads == [ReadState(7, None)]


def test_a_read_id_is_not_used_again_after_a_crash():
    """R1: an answer to a question from before the crash may still be under way."""
    follower = Server(2, term=1)
    follower.hear(Heartbeat, 1)
    follower.do(read, 7)
    (first,) = follower.sent(ReadIndex)
    follower.restart()
    follower.hear(Heartbeat, 1)

    follower.do(read, 8)
    follower.hear(ReadIndexReply, 1, read_id=first.read_id, read_index=0)

    assert follower.reads == []


def test_a_read_answered_twice_counts_once():
    """R1: the network may repeat an answer."""
    follower = Server(2, term=1)
    follower.hear(Heartbeat, 1)
    follower.do(read, 7)
    (asked,) = follower.sent(ReadIndex)

    for _ in range(2):
        follower.hear(ReadIndexReply, 1, read_id=asked.read_id, read_index=0)

    assert follower.reads == [ReadState(7, 0)]


@pytest.mark.parametrize("kind", [Heartbeat, AppendEntries])
def test_a_follower_gives_up_its_reads_when_leadership_moves(kind):
    """Thesis §6.4: the old leader may answer late, the new one was never asked."""
    follower = Server(2, term=1)
    follower.hear(Heartbeat, 1)
    follower.do(read, 7)

    follower.hear(kind, 3, term=2)

    assert follower.reads == [ReadState(7, None)]


def test_a_cut_off_leader_answers_no_reads():
    """§8: it would miss what the majority behind another leader has written since."""
    old, new, other = network = trio()
    network.elect(old)
    network.part({1})
    network.elect(new).do(propose, [b"x"])
    network.deliver()

    old.do(read, 7)
    network.deliver()

    assert (old.raft.role, other.state) == (Role.LEADER, b"x")
    assert old.reads == []


def expire(server):
    """Let a question grow too old, though its leader is heard all the time."""
    for _ in range(PAPER.election_ticks_max):
        server.tick()
        server.hear(Heartbeat, 1)
