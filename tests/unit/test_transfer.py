"""Handing leadership over: who may take it, when it is asked to, and when that is over."""

import pytest

from messages.raft import NOBODY, Heartbeat, RequestVote, TimeoutNow, TransferLeader
from raft import core
from raft.core import Action, Change
from raft.state import Config, Proposed, Refusal, Role
from tests.network import PAPER, Server, trio


def test_a_transferee_that_holds_everything_is_asked_at_once():
    """Thesis §3.10: nothing has to be sent first."""
    leader = leader_of(2)

    assert leader.do(core.transfer_leader, 2) is None

    assert [message.target for message in leader.sent(TimeoutNow)] == [2]


def test_a_slow_transferee_is_brought_up_to_date_first():
    """Thesis §3.10: or it would lose, and cost the group an election."""
    leader = leader_of(3)
    leader.do(core.transfer_leader, 2)
    assert leader.sent(TimeoutNow) == []

    leader.acknowledged(2)

    assert [message.target for message in leader.sent(TimeoutNow)] == [2]


def test_a_lost_request_is_repeated():
    """M9: with every heartbeat until it is over, but to nobody who fell behind."""
    leader = leader_of(2)
    leader.do(core.transfer_leader, 2)
    leader.sent(TimeoutNow)

    leader.tick(PAPER.heartbeat_ticks)

    assert [message.target for message in leader.sent(TimeoutNow)] == [2]


@pytest.mark.parametrize("target", [1, 4, 9, NOBODY, -1])
def test_only_another_voter_can_take_over(target):
    """Thesis §3.10: not the leader itself, not a learner (4), nobody unknown."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2)

    assert leader.do(core.transfer_leader, target) is Refusal.NOT_A_VOTER
    assert isinstance(leader.do(core.propose, (b"x",)), Proposed)


def test_a_handover_has_a_deadline():
    """M9: a transferee that does not take over is given up, and proposals flow again."""
    leader = leader_of(3)
    leader.do(core.transfer_leader, 2)
    leader.tick(PAPER.transfer_ticks_max - 1)
    assert leader.do(core.propose, (b"x",)) is Refusal.TRANSFERRING

    leader.tick()

    assert leader.raft.transferee == NOBODY
    assert isinstance(leader.do(core.propose, (b"x",)), Proposed)


def test_asking_for_the_same_again_does_not_move_the_deadline():
    """M9: an impatient user must not keep a group from working."""
    leader = leader_of(3)
    leader.do(core.transfer_leader, 2)
    leader.tick(PAPER.transfer_ticks_max - 1)

    assert leader.do(core.transfer_leader, 2) is None
    leader.tick()

    assert leader.raft.transferee == NOBODY


def test_asking_for_another_replaces_the_wish():
    """Thesis §3.10: the last word counts, with a deadline of its own."""
    leader = leader_of(3)
    leader.do(core.transfer_leader, 2)
    leader.tick(PAPER.transfer_ticks_max - 1)

    leader.do(core.transfer_leader, 3)
    leader.tick()

    assert leader.raft.transferee == 3
    assert {message.target for message in leader.sent(TimeoutNow)} == {3}


def test_a_joint_membership_waits_for_a_handover_that_fails():
    """Thesis §3.10, §4.3: its end would make the transferee's log too short; then it is left."""
    leader = Server(1, voters=(1, 2, 3, 4)).lead().acknowledged(2, 3)
    wishes = [Change(Action.DEMOTE, 3), Change(Action.DEMOTE, 4)]
    leader.do(core.propose_membership, wishes)
    leader.do(core.transfer_leader, 2)
    leader.acknowledged(2, 3)
    assert leader.raft.membership.outgoing

    leader.tick(PAPER.transfer_ticks_max)

    assert not leader.raft.membership.outgoing


def test_a_later_term_ends_the_handover():
    """Thesis §3.10: whether it worked or somebody else was elected."""
    leader = leader_of(2)
    leader.do(core.transfer_leader, 2)

    leader.hear(RequestVote, 2, term=2, last_log_index=1, last_log_term=1, leadership_transfer=True)

    assert (leader.raft.role, leader.raft.transferee) == (Role.FOLLOWER, NOBODY)


@pytest.mark.parametrize("config", [PAPER, Config()])
def test_a_handover_needs_no_timeout(config):
    """Thesis §3.10: nor do pre_vote and check_quorum stand in its way."""
    group = trio(config)
    leader = group.elect(group.servers[1])

    leader.do(core.transfer_leader, 3)
    group.deliver()

    heir = group.servers[3].raft
    assert (heir.role, heir.current_term, heir.clock) == (Role.LEADER, 2, 0)


def test_a_follower_hands_the_wish_on():
    """Thesis §3.10: the user may have asked any server."""
    group = trio()
    group.elect(group.servers[1])
    follower = group.servers[2]

    assert follower.do(core.transfer_leader, 3) is None
    group.deliver()

    assert group.servers[3].raft.role is Role.LEADER


def test_a_wish_that_nobody_can_hear_is_refused():
    """Thesis §3.10: no leader is known."""
    assert Server(1).do(core.transfer_leader, 2) is Refusal.NOT_LEADER


def test_a_wish_that_comes_to_a_follower_is_too_late():
    """Thesis §3.10: it leads no more; a chain of servers that hand it on would never end."""
    follower = Server(1)
    follower.hear(Heartbeat, 2, term=1)

    follower.hear(TransferLeader, 3, transferee=3)

    assert follower.sent(TransferLeader) == []


def leader_of(*followers: int) -> Server:
    """A leader of three in its first term whose no-op these followers hold."""
    return Server(1).lead().acknowledged(*followers)
