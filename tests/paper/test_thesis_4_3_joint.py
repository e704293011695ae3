"""Thesis §4.3: several servers at once, through a membership that needs both majorities."""

import pytest

from messages.codec import encode_membership
from messages.raft import MEMBERSHIP, AppendEntries, Entry, Membership, RequestVoteReply
from raft.core import Action, Change, propose, propose_membership, read
from raft.election import campaign
from raft.state import Refusal, Role
from tests.network import Network, Server

JOINT = Membership(voters=(1, 4, 5), outgoing=(1, 2, 3), removed=(2, 3))
NEW = Membership(voters=(1, 4, 5), removed=(2, 3))
REPLACE_2_AND_3 = [
    Change(Action.PROMOTE, 4),
    Change(Action.PROMOTE, 5),
    Change(Action.REMOVE, 2),
    Change(Action.REMOVE, 3),
]


@pytest.fixture
def leader():
    """It leads 1, 2, 3 with the learners 4, 5, and has just begun to replace 2 and 3 by them."""
    leader = Server(1, learners=(4, 5)).lead().acknowledged(2, 3, 4, 5)
    leader.do(propose_membership, REPLACE_2_AND_3)
    return leader


def test_several_changes_at_once_go_through_a_joint_membership(leader):
    """§6: the cluster first switches to a transitional configuration, joint consensus."""
    assert leader.raft.membership == JOINT
    assert leader.raft.membership.servers() == {1, 2, 3, 4, 5}


def test_a_single_change_needs_no_joint_membership():
    """Thesis §4.1: any majority before overlaps with any majority after."""
    leader = Server(1).lead().acknowledged(2, 3)

    leader.do(propose_membership, [Change(Action.REMOVE, 3)])

    assert leader.raft.membership == Membership(voters=(1, 2), removed=(3,))


@pytest.mark.parametrize(
    ("holders", "committed"),
    [((2,), False), ((2, 3), False), ((4,), False), ((4, 5), False), ((2, 4), True)],
)
def test_a_joint_commit_needs_both_majorities(leader, holders, committed):
    """§6: agreement requires separate majorities from both the old and new configurations."""
    leader.acknowledged(*holders, index=2)

    assert (leader.raft.commit_index == 2) is committed


@pytest.mark.parametrize(
    ("granted", "role"),
    [
        ((2, 3), Role.CANDIDATE),
        ((4, 5), Role.CANDIDATE),
        ((2,), Role.CANDIDATE),
        ((2, 5), Role.LEADER),
    ],
)
def test_a_joint_election_needs_both_majorities(granted, role):
    """§6: so does election; neither side alone can make a leader."""
    candidate = joint_server()
    candidate.do(campaign)

    for voter in granted:
        candidate.hear(RequestVoteReply, voter, vote_granted=True)

    assert candidate.raft.role is role


def test_a_joint_election_is_lost_with_either_majority():
    """§6: a candidate that one side refuses cannot win any more."""
    candidate = joint_server()
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 4, vote_granted=False)
    candidate.hear(RequestVoteReply, 5, vote_granted=False)

    assert candidate.raft.role is Role.FOLLOWER


@pytest.mark.parametrize(("answering", "good"), [((2, 3), False), ((4, 5), False), ((3, 4), True)])
def test_a_joint_read_needs_both_majorities(leader, answering, good):
    """§6, thesis §6.4: either side alone may have another leader."""
    leader.do(read, 7)

    for voter in answering:
        leader.confirmed(voter)

    assert [state.context for state in leader.reads] == ([7] if good else [])


def test_a_leader_leaves_a_joint_membership_once_it_is_committed(leader):
    """§6: once C_old,new has been committed, it is safe for the leader to create C_new."""
    joint_until_commit = leader.raft.membership

    leader.acknowledged(2, 4)

    assert joint_until_commit == JOINT
    assert leader.raft.membership == NEW
    assert leader.raft.commit_index == 2


def test_a_joint_membership_is_not_left_for_a_commit_before_it():
    """§6: only when C_old,new itself is committed can neither side decide alone."""
    leader = Server(1, learners=(4, 5)).lead().acknowledged(2, 3, 4, 5)
    leader.do(propose, [b"x"])
    leader.do(propose_membership, REPLACE_2_AND_3)

    leader.acknowledged(2, 4, index=2)

    assert leader.raft.commit_index == 2
    assert leader.raft.membership == JOINT


def test_the_outgoing_majority_has_no_say_once_the_joint_membership_is_left(leader):
    """§6: C_new is committed under the rules of C_new."""
    leader.acknowledged(2, 4)

    leader.acknowledged(4)

    assert leader.raft.commit_index == 3


def test_no_further_change_begins_while_a_membership_is_joint(leader):
    """Thesis §4.3, M4: one change at a time, and it has two steps."""
    while_joint = leader.do(propose_membership, [Change(Action.ADD_LEARNER, 6)])
    leader.acknowledged(2, 4)
    while_leaving = leader.do(propose_membership, [Change(Action.ADD_LEARNER, 6)])

    assert while_joint is while_leaving is Refusal.CHANGE_PENDING


def test_a_new_leader_leaves_the_joint_membership_that_another_began():
    """§6: whoever leads next finds C_old,new in its log, and carries on."""
    leader = joint_server().lead()
    commit_before = leader.raft.commit_index

    leader.acknowledged(3, 5)

    assert commit_before == 0
    assert leader.raft.membership == NEW


def test_a_demoted_voter_keeps_its_vote_until_the_joint_membership_is_left():
    """Thesis §4.3: it still counts in the old majority, and is a learner after it."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2, 3, 4)
    leader.do(propose_membership, [Change(Action.DEMOTE, 3), Change(Action.PROMOTE, 4)])
    joint = leader.raft.membership

    leader.acknowledged(2, 3, 4)

    assert joint == Membership(voters=(1, 2, 4), outgoing=(1, 2, 3), learners_next=(3,))
    assert leader.raft.membership == Membership(voters=(1, 2, 4), learners=(3,))


def test_a_whole_cluster_can_be_replaced_at_once():
    """§6: the leader is not part of C_new, manages it until that is committed, and steps down."""
    old, new = (1, 2, 3), (4, 5, 6)
    network = Network(
        *(Server(at, learners=new) for at in old),
        *(Server(at, voters=old, learners=new) for at in new),
    )
    leader, *_, newcomer = network
    network.elect(leader).do(propose, [b"a"])
    network.deliver()

    promotions = [Change(Action.PROMOTE, at) for at in new]
    leader.do(propose_membership, promotions + [Change(Action.REMOVE, at) for at in old])
    network.deliver()

    assert leader.raft.role is Role.FOLLOWER
    assert newcomer.raft.membership == Membership(voters=new, removed=old)
    assert newcomer.raft.leader_id in new
    assert newcomer.state == b"a"


def joint_server():
    """A server that took an uncommitted joint membership from a leader of term 1."""
    server = Server(1)
    payload = encode_membership(JOINT)
    server.hear(AppendEntries, 2, term=1, entries=[Entry(1, MEMBERSHIP, payload)])
    return server
