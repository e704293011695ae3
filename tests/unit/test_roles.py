"""Figure 4: which roles follow which, and what a change of role leaves behind."""

import pytest

from messages.raft import NOBODY, NOOP, Heartbeat, RequestVoteReply
from raft import core, roles
from raft.election import campaign
from raft.state import Config, Raft, Role
from tests.network import PAPER, Server

WAYS = {
    Role.FOLLOWER: lambda raft: roles.become_follower(raft, raft.current_term, NOBODY),
    Role.PRE_CANDIDATE: roles.become_pre_candidate,
    Role.CANDIDATE: roles.become_candidate,
    Role.LEADER: roles.become_leader,
}
LEGAL = {
    (Role.FOLLOWER, Role.FOLLOWER),
    (Role.FOLLOWER, Role.PRE_CANDIDATE),
    (Role.FOLLOWER, Role.CANDIDATE),
    (Role.PRE_CANDIDATE, Role.FOLLOWER),
    (Role.PRE_CANDIDATE, Role.PRE_CANDIDATE),
    (Role.PRE_CANDIDATE, Role.CANDIDATE),
    (Role.CANDIDATE, Role.FOLLOWER),
    (Role.CANDIDATE, Role.PRE_CANDIDATE),
    (Role.CANDIDATE, Role.CANDIDATE),
    (Role.CANDIDATE, Role.LEADER),
    (Role.LEADER, Role.FOLLOWER),
}


@pytest.mark.parametrize("to", Role)
@pytest.mark.parametrize("origin", Role)
def test_roles_change_along_the_figure_only(origin, to):
    """Figure 4, and thesis §9.6 for the role before a campaign."""
    raft = in_role(origin)
    raft.durable_vote = raft.voted_for = raft.server_id  # what leading asks for beside the role

    if (origin, to) in LEGAL:
        WAYS[to](raft)
        assert raft.role is to
    else:
        with pytest.raises(AssertionError):
            WAYS[to](raft)
        assert raft.role is origin


def test_nobody_leads_on_a_vote_that_a_crash_could_undo():
    """D1: its own vote, and the term, are durable first."""
    candidate = Server(1)
    candidate.disk_held = True
    candidate.do(campaign)

    with pytest.raises(AssertionError):
        roles.become_leader(candidate.raft)


def test_a_term_never_falls():
    """D8: no message and no handler may lead back."""
    raft = Server(1, term=5).raft

    with pytest.raises(AssertionError):
        roles.become_follower(raft, 4, NOBODY)


def test_a_vote_is_kept_within_its_term():
    """§5.2: a candidate that follows the winner of its term has voted all the same."""
    candidate = Server(1)
    candidate.do(campaign)

    candidate.hear(Heartbeat, 2)
    assert (candidate.raft.voted_for, candidate.raft.leader_id) == (1, 2)

    candidate.hear(Heartbeat, 2, term=2)
    assert (candidate.raft.voted_for, candidate.raft.current_term) == (NOBODY, 2)


def test_a_leader_begins_its_term_with_an_entry_of_its_own():
    """§8, M1: only then can it commit what others left, and know what is committed."""
    leader = Server(1, log=(1, 1)).lead()

    assert leader.terms() == (1, 1, 2)
    assert leader.raft.log.entry_at(3).kind == NOOP


def test_a_leader_knows_nothing_of_its_followers():
    """Figure 2: nextIndex starts behind its log, matchIndex at zero; its own disk it knows."""
    leader = Server(1, log=(1, 1), learners=(4,))
    leader.disk_held = True
    leader.do(campaign)
    leader.finish_write()
    leader.hear(RequestVoteReply, 2, vote_granted=True)

    assert set(leader.raft.progress) == {1, 2, 3, 4}
    assert [progress.match_index for progress in leader.raft.progress.values()] == [2, 0, 0, 0]
    assert leader.raft.progress[2].next_index == 3


def test_a_leader_leaves_nothing_behind():
    """Figure 2: what only a leader keeps is reinitialised after an election."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(core.read, 7)
    leader.do(core.transfer_leader, 3)

    leader.hear(Heartbeat, 2, term=9)

    raft = leader.raft
    assert (raft.progress, raft.votes, raft.transferee) == ({}, {}, NOBODY)
    assert (list(raft.read_rounds), raft.readers_waiting, raft.readers_in_rounds) == ([], [], 0)


def test_timeouts_are_drawn_anew_and_differ():
    """§5.2: so that a split vote does not repeat for ever."""
    raft = Server(1).raft
    timeouts = set()

    for _ in range(200):
        roles.become_follower(raft, raft.current_term, NOBODY)
        timeouts.add(raft.election_timeout)

    assert timeouts == set(range(PAPER.election_ticks_min, PAPER.election_ticks_max))


def in_role(role: Role) -> Raft:
    """Server 1 in that role, on the way that leads there."""
    if role is Role.LEADER:
        return Server(1).lead().raft
    server = Server(1, config=Config(pre_vote=role is Role.PRE_CANDIDATE))
    if role is not Role.FOLLOWER:
        server.do(campaign)
    assert server.raft.role is role
    return server.raft
