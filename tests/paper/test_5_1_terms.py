"""§5.1: terms are Raft's clock, and what a server said in one survives its crash."""

import pytest

from messages.raft import (
    NOBODY,
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TransferLeader,
)
from raft.core import propose
from raft.election import campaign
from raft.state import Role
from tests.network import Server, commands


def test_a_follower_adopts_a_higher_term():
    """§5.1: if a server's term is smaller than another's, it takes the larger value."""
    follower = Server(1, term=1)

    follower.hear(AppendEntries, 2, term=2)

    assert follower.raft.current_term == follower.disk.hard_state.current_term == 2
    assert follower.raft.role is Role.FOLLOWER


def test_a_candidate_adopts_a_higher_term_and_follows():
    """§5.1: a candidate that discovers that its term is out of date reverts to follower."""
    candidate = Server(1, term=1)
    candidate.do(campaign)

    candidate.hear(AppendEntries, 2, term=3)

    assert candidate.raft.current_term == 3
    assert (candidate.raft.role, candidate.raft.leader_id) == (Role.FOLLOWER, 2)


def test_a_leader_adopts_a_higher_term_and_follows():
    """§5.1: a leader that discovers that its term is out of date reverts to follower."""
    leader = Server(1, term=1).lead()

    leader.hear(AppendEntries, 2, term=3)

    assert leader.raft.current_term == 3
    assert (leader.raft.role, leader.raft.leader_id) == (Role.FOLLOWER, 2)


@pytest.mark.parametrize("kind", [AppendEntriesReply, HeartbeatReply, RequestVoteReply])
def test_a_reply_carries_a_higher_term_too(kind):
    """§5.1: current terms are exchanged whenever servers communicate, in answers as well."""
    leader = Server(1, term=1).lead()

    leader.hear(kind, 2, term=5)

    assert (leader.raft.current_term, leader.raft.voted_for) == (5, NOBODY)
    assert leader.raft.role is Role.FOLLOWER


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (AppendEntries, {"prev_log_index": 2, "prev_log_term": 2, "entries": commands(2)}),
        (AppendEntries, {"prev_log_index": 2, "prev_log_term": 2, "leader_commit": 2}),
        (AppendEntriesReply, {"success": True, "match_index": 3}),
        (Heartbeat, {"leader_commit": 2}),
        (HeartbeatReply, {"read_round": 1}),
        (RequestVote, {"last_log_index": 9, "last_log_term": 9}),
        (PreVote, {"last_log_index": 9, "last_log_term": 9}),
        (RequestVoteReply, {"vote_granted": True}),
        (PreVoteReply, {"vote_granted": True}),
        (InstallSnapshot, {"last_included_index": 9, "last_included_term": 2, "done": True}),
        (TimeoutNow, {}),
        (TransferLeader, {"transferee": 3}),
        (ReadIndex, {"read_id": 1}),
        (ReadIndexReply, {"read_id": 1, "read_index": 9}),
    ],
)
@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_a_message_of_an_older_term_changes_nothing(role, kind, fields):
    """§5.1: a server that receives a request with a stale term number rejects it."""
    server = in_role(role, Server(1, log=(1, 2), term=3))
    before = remembered(server)

    server.hear(kind, 2, term=2, **fields)

    assert remembered(server) == before


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        (AppendEntries, AppendEntriesReply),
        (Heartbeat, AppendEntriesReply),
        (InstallSnapshot, AppendEntriesReply),
        (RequestVote, RequestVoteReply),
        (PreVote, PreVoteReply),
    ],
)
def test_who_leads_or_campaigns_in_an_older_term_is_told_the_term(kind, reply):
    """Figure 2: term, for the old leader or candidate to update itself."""
    server = Server(1, term=3)

    server.hear(kind, 2, term=2)

    assert [(told.target, told.term) for told in server.sent(reply)] == [(2, 3)]


@pytest.mark.parametrize("other", [{"group": 7}, {"target": 2}])
def test_a_message_for_another_server_or_group_changes_nothing(other):
    """Beyond the paper: a node runs many groups, and only the named one may raise its term."""
    server = Server(1, term=3)

    server.hear(AppendEntries, 2, **{"term": 9, **other})

    assert server.raft.current_term == 3


def test_the_term_and_the_vote_survive_a_crash():
    """Figure 2, D1 and M3: both are updated on stable storage before responding to RPCs."""
    voter = Server(1, term=1)
    voter.hear(RequestVote, 2, term=4)

    voter.restart()
    voter.hear(RequestVote, 3, term=4)

    assert (voter.raft.current_term, voter.raft.voted_for) == (4, 2)
    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True, False]


def test_a_vote_is_not_told_before_it_is_durable():
    """Figure 2, D1: a vote that a crash could take back could be given twice."""
    voter = Server(1, term=1)
    voter.disk_held = True

    voter.hear(RequestVote, 2, term=2)
    told_before = voter.sent(RequestVoteReply)
    voter.finish_write()

    assert told_before == []
    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True]
    assert voter.disk.hard_state.voted_for == 2


def test_a_vote_waits_for_the_write_that_holds_it_and_not_for_an_earlier_one():
    """Figure 2, D1: a write that was under way when the vote was given does not hold it."""
    voter = Server(1, term=1)
    voter.disk_held = True
    voter.hear(AppendEntries, 3, entries=commands(1))
    voter.hear(RequestVote, 2, term=2, last_log_index=1, last_log_term=1)

    voter.finish_write()
    told_after_first = voter.sent(RequestVoteReply)
    voter.finish_write()

    assert told_after_first == []
    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True]


@pytest.mark.parametrize(
    ("kind", "reply", "fields"),
    [
        (AppendEntries, AppendEntriesReply, {}),
        (Heartbeat, HeartbeatReply, {"read_round": 1}),
        (PreVote, PreVoteReply, {}),
        (InstallSnapshot, AppendEntriesReply, {}),
    ],
)
def test_no_answer_tells_of_a_term_that_is_not_durable(kind, reply, fields):
    """Figure 2, D1: currentTerm is updated on stable storage before responding to RPCs."""
    follower = Server(1, term=1)
    follower.disk_held = True

    follower.hear(kind, 2, term=2, **fields)
    told_before = follower.sent(reply)
    follower.finish_write()

    assert told_before == []
    assert [told.term for told in follower.sent(reply)] == [2]


def test_a_candidate_asks_for_votes_only_when_its_own_is_durable():
    """Figure 2, D1: else a crash could let it vote for another candidate of the same term."""
    candidate = Server(1, term=1)
    candidate.disk_held = True

    candidate.do(campaign)
    asked_before = candidate.sent(RequestVote)
    candidate.finish_write()

    assert asked_before == []
    assert [asked.target for asked in candidate.sent(RequestVote)] == [2, 3]


def test_a_candidates_own_vote_counts_only_when_it_is_durable():
    """§5.2, D1: two votes of three elect nobody while one of them is in memory only."""
    candidate = Server(1, term=1)
    candidate.disk_held = True
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 2, vote_granted=True)
    role_before = candidate.raft.role
    candidate.finish_write()

    assert role_before is Role.CANDIDATE
    assert candidate.raft.role is Role.LEADER


def test_a_candidates_own_vote_waits_for_the_write_that_holds_it():
    """§5.2, D1: a write that was under way when it became candidate does not hold the vote."""
    candidate = Server(1, term=1)
    candidate.disk_held = True
    candidate.hear(AppendEntries, 2, entries=commands(1))
    candidate.do(campaign)
    candidate.hear(RequestVoteReply, 3, vote_granted=True)

    candidate.finish_write()
    role_after_first = candidate.raft.role
    candidate.finish_write()

    assert role_after_first is Role.CANDIDATE
    assert candidate.raft.role is Role.LEADER


def test_nobody_leads_before_its_own_vote_is_durable():
    """§5.2, D1: even the votes of all others make no leader whose own vote a crash undoes."""
    candidate = Server(1, term=1)
    candidate.disk_held = True
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 2, vote_granted=True)
    candidate.hear(RequestVoteReply, 3, vote_granted=True)
    refused = candidate.do(propose, [b"x"])
    candidate.finish_write()

    assert refused is not None
    assert candidate.raft.role is Role.LEADER


def in_role(role, server):
    """The server after it came to this role in its term."""
    if role is not Role.FOLLOWER:
        server.do(campaign)
    if role is Role.LEADER:
        server.hear(RequestVoteReply, 2, vote_granted=True)
    assert server.raft.role is role
    return server


def remembered(server):
    """What a message could have changed."""
    raft = server.raft
    matches = {peer: progress.match_index for peer, progress in raft.progress.items()}
    marks = (raft.current_term, raft.voted_for, raft.commit_index, server.terms())
    waits = (raft.election_elapsed, raft.receiving, raft.readers_waiting, raft.transferee)
    return raft.role, raft.leader_id, marks, matches, dict(raft.votes), waits
