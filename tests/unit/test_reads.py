"""Reads without log entries: rounds, the way through the leader, leases, and when to give up."""

import pytest

from messages.raft import Heartbeat, HeartbeatReply, ReadIndex, ReadIndexReply
from raft import core
from raft.core import Action, Change
from raft.reads import has_lease
from raft.state import Config, ReadState, Refusal
from tests.network import PAPER, Network, Server, trio

LEASES = Config(lease_reads=True)


# A leader's rounds.


def test_one_round_serves_all_that_waited_when_it_began():
    """Thesis §6.4: heartbeats are sent once, however many ask."""
    leader = leader_that_committed()
    for context in (1, 2, 3):
        core.read(leader.raft, context)
    leader.do(core.read, 4)
    rounds = {beat.read_round for beat in leader.sent(Heartbeat)}
    assert len(rounds) == 1

    leader.hear(HeartbeatReply, 2, read_round=max(rounds))

    assert leader.reads == [ReadState(context, 1) for context in (1, 2, 3, 4)]


def test_a_read_that_comes_during_a_round_waits_for_the_next():
    """R1: heartbeats sent before the read was asked for prove nothing about it."""
    leader = leader_that_committed()
    leader.do(core.read, 1)
    leader.do(core.read, 2)
    first, second = sorted({beat.read_round for beat in leader.sent(Heartbeat)})

    leader.hear(HeartbeatReply, 2, read_round=first)
    assert leader.reads == [ReadState(1, 1)]

    leader.hear(HeartbeatReply, 3, read_round=second)
    assert leader.reads == [ReadState(1, 1), ReadState(2, 1)]


def test_a_later_round_confirms_the_earlier_ones():
    """Thesis §6.4: who follows now followed then."""
    leader = leader_that_committed()
    for context in (1, 2, 3):
        leader.do(core.read, context)
    last = max(beat.read_round for beat in leader.sent(Heartbeat))

    leader.hear(HeartbeatReply, 2, read_round=last)

    assert [found.context for found in leader.reads] == [1, 2, 3]


def test_a_read_sees_the_commit_of_when_it_was_asked():
    """Thesis §6.4: what is committed later need not be waited for."""
    leader = leader_that_committed()
    leader.do(core.read, 1)
    number = leader.sent(Heartbeat)[0].read_round
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)
    assert leader.raft.commit_index == 2

    leader.hear(HeartbeatReply, 2, read_round=number)

    assert leader.reads == [ReadState(1, 1)]


def test_reads_wait_for_the_terms_first_commit():
    """M1, §8: before it a new leader may not know all that its predecessor committed."""
    leader = Server(1, log=(1, 1)).lead()
    leader.do(core.read, 1)
    leader.hear(HeartbeatReply, 2, read_round=1)
    assert (leader.reads, leader.sent(Heartbeat)) == ([], [])

    leader.acknowledged(2)
    leader.hear(HeartbeatReply, 2, read_round=leader.raft.round_number)

    assert leader.reads == [ReadState(1, 3)]


def test_one_answer_counts_for_one_server():
    """Thesis §6.4: a majority, not as many answers; a round of another time is none."""
    leader = leader_that_committed(voters=(1, 2, 3, 4, 5))
    leader.do(core.read, 1)
    number = leader.raft.round_number

    for source, read_round in ((2, number), (2, number), (3, number + 1), (9, number)):
        leader.hear(HeartbeatReply, source, read_round=read_round)
    assert leader.reads == []

    leader.hear(HeartbeatReply, 3, read_round=number)
    assert leader.reads == [ReadState(1, 1)]


def test_a_learners_answer_confirms_nothing():
    """Thesis §4.2.1: it does not vote, so it cannot tell that nobody else was elected."""
    leader = leader_that_committed(learners=(4, 5))
    leader.do(core.read, 1)

    for learner in (4, 5):
        leader.hear(HeartbeatReply, learner, read_round=leader.raft.round_number)

    assert leader.reads == []


def test_a_leader_alone_is_its_own_majority():
    """Thesis §6.4: nobody else could have been elected; nothing is kept for later."""
    alone = Server(1, voters=(1,), config=LEASES)
    alone.tick(LEASES.election_ticks_min)
    alone.lead().do(core.read, 1)
    assert alone.reads == [ReadState(1, 1)]

    alone.tick(500)
    assert not alone.raft.rounds_sent, "O3: or it would grow as long as the server lives"
    assert has_lease(alone.raft)


def test_an_unanswered_leader_keeps_no_account_of_its_rounds():
    """O3: without check_quorum it may be cut off for ever."""
    leader = leader_that_committed()

    leader.tick(1_000)

    assert not leader.raft.rounds_sent


def test_reads_are_bounded():
    """O3: whatever waits, and wherever; at the bound the driver tells its clients."""
    leader = leader_that_committed(config=PAPER._replace(reads_max=2))
    assert leader.do(core.read, 1) is None
    leader.hear(ReadIndex, 2, read_id=7)

    assert leader.do(core.read, 2) is Refusal.OVERLOADED
    leader.hear(ReadIndex, 3, read_id=8)
    leader.hear(HeartbeatReply, 2, read_round=leader.raft.round_number)

    assert leader.reads == [ReadState(1, 1)]
    assert [(reply.target, reply.read_id) for reply in leader.sent(ReadIndexReply)] == [(2, 7)]
    assert leader.do(core.read, 2) is None


def test_a_deposed_leader_gives_up_its_reads():
    """R1: it may not answer from what it believed; whoever asks again asks the next leader."""
    leader = leader_that_committed()
    leader.do(core.read, 1)
    leader.hear(ReadIndex, 2, read_id=7)
    leader.do(core.read, 3)

    leader.hear(Heartbeat, 3, term=2)

    assert leader.reads == [ReadState(1, None), ReadState(3, None)]
    assert leader.sent(ReadIndexReply) == []


def test_a_new_leader_gives_up_what_waited_for_its_first_commit():
    """R1: also reads that no round has begun for."""
    leader = Server(1).lead()
    leader.do(core.read, 1)

    leader.hear(Heartbeat, 3, term=2)

    assert leader.reads == [ReadState(1, None)]


# A follower's way.


def test_a_follower_asks_once_for_all_that_wait():
    """Thesis §6.4: it asks the leader for the index, and serves from its own state."""
    follower = follower_of(2)
    core.read(follower.raft, 1)
    follower.do(core.read, 2)
    (question,) = follower.sent(ReadIndex)
    assert question.target == 2

    follower.hear(ReadIndexReply, 2, read_id=question.read_id, read_index=9)

    assert follower.reads == [ReadState(1, 9), ReadState(2, 9)]


def test_each_attempt_has_an_id_of_its_own():
    """R1: a late answer to an attempt given up must not answer the next (etcd #20418)."""
    follower = follower_of(2)
    follower.do(core.read, 1)
    (first,) = follower.sent(ReadIndex)
    follower.tick(PAPER.election_ticks_min - 1)
    follower.hear(Heartbeat, 2)
    follower.tick(PAPER.election_ticks_min - 1)
    follower.hear(Heartbeat, 2)
    follower.tick(2)
    assert follower.reads == [ReadState(1, None)], "overdue"

    follower.do(core.read, 1)
    (second,) = follower.sent(ReadIndex)
    assert second.read_id != first.read_id
    follower.hear(ReadIndexReply, 2, read_id=first.read_id, read_index=9)

    assert follower.reads == [ReadState(1, None)]


def test_an_answer_is_used_once():
    """R1: a repeated one has nothing left to answer."""
    follower = follower_of(2)
    follower.do(core.read, 1)
    (question,) = follower.sent(ReadIndex)

    for _ in range(2):
        follower.hear(ReadIndexReply, 2, read_id=question.read_id, read_index=9)

    assert follower.reads == [ReadState(1, 9)]


def test_a_follower_that_hears_another_leader_gives_up():
    """R1: the new one was not asked, the old one may be deposed."""
    follower = follower_of(2)
    follower.do(core.read, 1)

    follower.hear(Heartbeat, 3, term=2)

    assert follower.reads == [ReadState(1, None)]


def test_a_question_waits_for_the_term_but_its_reads_go_on_gathering():
    """D1: it tells of the term; of questions that wait only the last would be kept."""
    follower = Server(1)
    follower.disk_held = True
    follower.hear(Heartbeat, 2, term=1)
    follower.do(core.read, 1)
    follower.do(core.read, 2)
    assert follower.sent(ReadIndex) == []

    follower.finish_write()
    (question,) = follower.sent(ReadIndex)
    follower.hear(ReadIndexReply, 2, read_id=question.read_id, read_index=9)

    assert follower.reads == [ReadState(1, 9), ReadState(2, 9)]


def test_reads_that_wait_for_the_term_are_given_up_with_it():
    """R1: they were never asked about, and now nobody knows whom to ask."""
    follower = Server(1)
    follower.disk_held = True
    follower.hear(Heartbeat, 2, term=1)
    follower.do(core.read, 1)

    follower.hear(Heartbeat, 3, term=2)

    assert follower.reads == [ReadState(1, None)]


def test_nobody_reads_where_no_leader_is_known():
    """Thesis §6.4: nobody could be asked."""
    assert Server(1).do(core.read, 1) is Refusal.NOT_LEADER


def test_whoever_does_not_lead_answers_no_question():
    """R1: the follower gives up by itself and asks another one."""
    follower = follower_of(2)

    follower.hear(ReadIndex, 3, read_id=7)

    assert follower.sent(ReadIndexReply) == []


def test_a_read_through_a_follower_sees_every_commit_before_it():
    """R4, thesis §6.4: the index comes from the leader."""
    group = trio()
    leader = group.elect(group.servers[1])
    leader.do(core.propose, (b"x",))
    group.deliver()
    reader = group.servers[3]

    reader.do(core.read, 1)
    group.deliver()

    assert reader.reads == [ReadState(1, leader.raft.commit_index)]


# Leases.


def test_a_lease_answers_without_a_round():
    """Thesis §6.4.1: for a while after a heartbeat that a majority answered."""
    leader = leader_with_lease()

    leader.do(core.read, 1, lease=True)
    assert (leader.reads, leader.sent(Heartbeat)) == ([ReadState(1, 1)], [])


@pytest.mark.parametrize("config", [PAPER, Config()])
def test_a_lease_is_an_opt_in(config):
    """R2: clocks are trusted only where the user says so."""
    leader = leader_that_committed(config=config)
    leader.hear(HeartbeatReply, 2, read_round=leader.raft.round_number)

    leader.do(core.read, 1, lease=True)

    assert (leader.reads, len(leader.sent(Heartbeat))) == ([], 2)


def test_a_lease_ends_by_the_clock_since_the_heartbeat_was_sent():
    """R2: not since its answer came, and less what the clocks may drift."""
    leader = leader_with_lease()
    leader.tick(LEASES.lease_ticks() - 1)
    assert has_lease(leader.raft)

    leader.tick()
    assert not has_lease(leader.raft)


def test_an_answer_to_an_expired_round_grants_nothing():
    """R2: however late it comes, the voters' silence counts from when it was sent."""
    leader = leader_with_lease()
    leader.tick(LEASES.lease_ticks() - 1)
    late = leader.raft.round_number
    leader.tick(LEASES.lease_ticks())

    leader.hear(HeartbeatReply, 2, read_round=late)

    assert not has_lease(leader.raft)


def test_no_lease_before_the_terms_first_commit():
    """M1: a lease says that nobody else leads, not what is committed."""
    leader = patient_leader()
    leader.hear(HeartbeatReply, 2, read_round=1)
    assert leader.raft.lease_until > leader.raft.clock

    assert not has_lease(leader.raft)


def test_a_handover_ends_leases_for_the_term():
    """R2: whoever was told to campaign does not wait for anyone's silence."""
    leader = leader_with_lease()

    leader.do(core.transfer_leader, 2)
    leader.tick(LEASES.transfer_ticks_max // 2)
    leader.hear(HeartbeatReply, 2, read_round=leader.raft.round_number)

    assert not has_lease(leader.raft)


def test_a_new_membership_ends_a_lease():
    """R2: it was granted by another majority."""
    leader = leader_with_lease()

    leader.do(core.propose_membership, [Change(Action.ADD_LEARNER, 4)])

    assert not has_lease(leader.raft)


def test_leases_hold_in_a_group_that_works():
    """R2: every heartbeat renews them."""
    group = Network(*(Server(server_id, config=LEASES) for server_id in (1, 2, 3)))
    for server in group:
        server.tick(LEASES.election_ticks_min - 1)
    group.tick(LEASES.election_ticks_max)
    (leader,) = [server for server in group if server.raft.progress]

    for _ in range(50):
        group.tick()
        assert has_lease(leader.raft)


def leader_that_committed(
    *, voters: tuple[int, ...] = (1, 2, 3), learners: tuple[int, ...] = (), config: Config = PAPER
) -> Server:
    """A leader whose no-op is committed, with nothing said yet."""
    leader = Server(1, voters=voters, learners=learners, config=config).lead()
    leader.acknowledged(*voters[1:])
    leader.said.clear()
    return leader


def patient_leader() -> Server:
    """A leader under leases: it was silent for the time that it had to be."""
    leader = Server(1, config=LEASES)
    leader.tick(LEASES.election_ticks_min)
    return leader.lead()


def leader_with_lease() -> Server:
    """A leader whose last heartbeat is answered by a majority in the tick that it was sent."""
    leader = patient_leader().acknowledged(2)
    leader.hear(HeartbeatReply, 2, read_round=leader.raft.round_number)
    assert has_lease(leader.raft)
    leader.said.clear()
    return leader


def follower_of(leader: int) -> Server:
    """A follower that has heard its leader."""
    follower = Server(1)
    follower.hear(Heartbeat, leader, term=1)
    return follower
