"""When a leader doubts itself, hands over or is forgotten, and who must not disturb it."""

from messages.raft import (
    NOBODY,
    AppendEntries,
    Heartbeat,
    HeartbeatReply,
    Membership,
    RequestVote,
    TimeoutNow,
)
from raft import core
from raft.core import Action, Change
from raft.election import campaign
from raft.state import Config, Refusal, Role
from tests.network import PAPER, Network, Server
from tests.unit.test_membership_in_force import entry

CAREFUL = Config()
LEASES = Config(lease_reads=True)


# A leader's doubt.


def test_a_leader_that_hears_no_majority_steps_down():
    """M2, thesis §6.2: its clients should look for the other leader there may be."""
    leader = Server(1, config=CAREFUL).lead().acknowledged(2)

    leader.tick(CAREFUL.election_ticks_max)
    assert leader.raft.leader_id == 1, "one of two others was heard in this period"

    leader.tick(CAREFUL.election_ticks_max)
    assert (leader.raft.role, leader.raft.current_term) == (Role.FOLLOWER, 1)


def test_a_leader_that_is_answered_stays():
    """M2: any answer of a majority will do."""
    leader = Server(1, config=CAREFUL).lead()

    for _ in range(10):
        leader.tick(CAREFUL.election_ticks_max // 2)
        leader.hear(HeartbeatReply, 3, read_round=1)

    assert leader.raft.role is Role.LEADER


def test_learners_do_not_keep_a_leader():
    """M2: they cannot commit anything."""
    leader = Server(1, learners=(4, 5), config=CAREFUL).lead()

    for _ in range(4):
        leader.tick(CAREFUL.election_ticks_max // 2)
        for learner in (4, 5):
            leader.hear(HeartbeatReply, learner, read_round=1)

    assert leader.raft.leader_id == NOBODY


def test_who_falls_silent_is_noticed_without_check_quorum_too():
    """O2: no log is kept, and no chunk read, for a follower that is dead."""
    leader = Server(1, config=PAPER).lead().acknowledged(2, 3)

    leader.tick(PAPER.election_ticks_max)
    leader.confirmed(2)

    assert leader.raft.progress[2].recent_active
    assert not leader.raft.progress[3].recent_active


def test_without_check_quorum_a_leader_never_doubts():
    """§5.2: the paper's leader steps down for a later term only."""
    leader = Server(1, config=PAPER).lead()

    leader.tick(10 * PAPER.election_ticks_max)

    assert leader.raft.role is Role.LEADER


def test_a_candidate_stuck_in_a_later_term_is_freed():
    """M2: the leader hears from it that it is ahead, and the group goes on in a later term."""
    config = CAREFUL._replace(pre_vote=False)
    group = Network(*(Server(server_id, config=config) for server_id in (1, 2, 3)))
    group.elect(group.servers[1])
    group.part({3}, {1, 2})
    stuck = group.servers[3]
    stuck.tick(100)
    stuck.outbox.clear()
    ahead = stuck.raft.current_term
    group.part()

    group.tick(5 * config.election_ticks_max)

    assert all(server.raft.current_term > ahead for server in group)
    assert [server.raft.role for server in group].count(Role.LEADER) == 1


def test_a_server_that_comes_back_with_pre_vote_disturbs_nobody():
    """Thesis §9.6: it could not win, so no term is raised."""
    group = Network(*(Server(server_id, config=CAREFUL) for server_id in (1, 2, 3)))
    leader = group.elect(group.servers[1])
    group.part({3}, {1, 2})
    group.tick(5 * CAREFUL.election_ticks_max)
    group.part()

    group.tick(5 * CAREFUL.election_ticks_max)

    assert leader.raft.role is Role.LEADER
    assert {server.raft.current_term for server in group} == {1}


# A leader's disk.


def test_a_leader_whose_disk_stands_still_hands_over():
    """M8: heartbeats alone keep it in office, but it can commit nothing by itself."""
    leader = Server(1, config=CAREFUL._replace(disk_stall_ticks_max=10)).lead()
    leader.acknowledged(2, 3).disk_held = True
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)
    leader.sent(TimeoutNow)

    leader.tick(10)

    assert {message.target for message in leader.sent(TimeoutNow)} == {2}, "it holds the most"
    leader.tick()
    assert leader.raft.transferee == 2, "it is not named anew with every tick"
    assert leader.raft.transfer_elapsed == 1


def test_a_leader_whose_disk_stands_still_quits_if_nobody_takes_over():
    """M8: the others elect one of themselves when it is silent."""
    config = PAPER._replace(disk_stall_ticks_max=10, transfer_ticks_max=20)
    leader = Server(1, voters=(1,), config=config).lead()
    leader.disk_held = True
    leader.do(core.propose, (b"x",))

    leader.tick(29)
    assert leader.raft.leader_id == 1

    leader.tick()
    assert (leader.raft.role, leader.raft.leader_id) == (Role.FOLLOWER, NOBODY)
    leader.tick(100)
    assert leader.raft.current_term == 1, "nor does it campaign before the write returns"


# Being told to campaign, and to forget.


def test_only_ones_own_leader_may_ask_for_a_campaign():
    """Thesis §3.10: a late or foreign TimeoutNow disturbs a working group."""
    follower = Server(1, config=CAREFUL)
    follower.hear(Heartbeat, 2, term=1)

    follower.hear(TimeoutNow, 3)
    assert follower.raft.role is Role.FOLLOWER

    follower.hear(TimeoutNow, 2)
    (request, _) = follower.sent(RequestVote)
    assert (request.term, request.leadership_transfer) == (2, True), "at once, without PreVote"


def test_a_forgotten_leader_keeps_nobody_from_voting():
    """M2: the driver saw it die; the others need not wait for the timeout."""
    follower = Server(1, config=CAREFUL)
    follower.hear(Heartbeat, 2, term=1)

    assert follower.do(core.forget_leader) is None
    follower.hear(RequestVote, 3, term=2)

    assert follower.raft.voted_for == 3


def test_only_a_follower_forgets_its_leader():
    """M2: whoever leads, or knows of nobody, has nothing to forget."""
    leader = Server(1, config=CAREFUL).lead()

    assert leader.do(core.forget_leader) is None

    assert leader.raft.role is Role.LEADER


def test_leases_forbid_to_forget():
    """R2: a leader with a lease relies on its followers' silence."""
    follower = Server(1, config=LEASES)
    follower.hear(Heartbeat, 2, term=1)

    assert follower.do(core.forget_leader) is Refusal.LEASE_READS
    assert follower.raft.leader_id == 2


def test_under_leases_nobody_votes_or_campaigns_until_silence_is_over():
    """R2: not after a restart either, since what was heard before it is forgotten."""
    restarted = Server(1, config=LEASES)
    restarted.hear(RequestVote, 2, term=1)
    restarted.do(campaign)
    assert (restarted.raft.voted_for, restarted.raft.role) == (NOBODY, Role.FOLLOWER)

    restarted.tick(LEASES.election_ticks_min)
    restarted.hear(RequestVote, 2, term=1)

    assert restarted.raft.voted_for == 2


def test_a_change_that_is_not_committed_does_not_keep_anyone_from_campaigning():
    """Thesis §4.1: only a committed one that is not applied does."""
    follower = Server(1)
    wider = Membership((1, 2, 3), learners=(4,))
    follower.hear(AppendEntries, 2, term=1, entries=(entry(1, wider),))

    follower.do(campaign)

    assert follower.raft.role is Role.CANDIDATE


def test_a_removed_leaders_group_elects_without_it():
    """Thesis §4.2.2: it is told of nothing any more, and its terms reach nobody."""
    group = Network(*(Server(server_id, config=CAREFUL) for server_id in (1, 2, 3)))
    leader = group.elect(group.servers[1])
    leader.do(core.propose_membership, [Change(Action.REMOVE, 3)])
    group.deliver()
    term = leader.raft.current_term

    group.tick(10 * CAREFUL.election_ticks_max)

    assert (leader.raft.role, leader.raft.current_term) == (Role.LEADER, term)
