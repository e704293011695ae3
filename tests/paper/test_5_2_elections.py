"""§5.2: heartbeats keep a leader, silence makes candidates, one vote a term makes one leader."""

from collections import Counter

import pytest

from messages.raft import (
    NOBODY,
    NOOP,
    AppendEntries,
    Heartbeat,
    RequestVote,
    RequestVoteReply,
)
from raft.election import campaign
from raft.state import Role
from tests.network import PAPER, Server, trio


def test_a_server_starts_as_a_follower():
    """§5.2: when servers start up, they begin as followers."""
    server = Server(1, log=(1, 2), voted_for=1)

    server.tick(PAPER.election_ticks_min - 1)

    assert (server.raft.role, server.raft.leader_id) == (Role.FOLLOWER, NOBODY)


def test_a_leader_sends_heartbeats_to_all_followers():
    """§5.2: leaders send periodic heartbeats to all followers to maintain their authority."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.sent(Heartbeat)

    leader.tick(PAPER.heartbeat_ticks)
    once = leader.sent(Heartbeat)
    leader.tick(PAPER.heartbeat_ticks)

    assert [beat.target for beat in once] == [2, 3]
    assert [beat.target for beat in leader.sent(Heartbeat)] == [2, 3]


def test_a_new_leader_announces_itself_at_once():
    """Figure 2: upon election, send initial empty AppendEntries RPCs to each server."""
    candidate = Server(1)
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 2, vote_granted=True)

    assert {beat.target for beat in candidate.sent(Heartbeat)} == {2, 3}


def test_a_follower_that_hears_nothing_starts_an_election():
    """§5.2: it increments its term, votes for itself, and issues RequestVote to all others."""
    follower = Server(1, term=1)

    follower.tick(PAPER.election_ticks_max)

    assert (follower.raft.role, follower.raft.current_term) == (Role.CANDIDATE, 2)
    assert follower.raft.voted_for == 1
    assert [(ask.target, ask.term) for ask in follower.sent(RequestVote)] == [(2, 2), (3, 2)]


@pytest.mark.parametrize("kind", [Heartbeat, AppendEntries])
def test_a_follower_that_hears_its_leader_starts_no_election(kind):
    """§5.2: a server remains follower as long as it receives valid RPCs from a leader."""
    follower = Server(1, term=1)

    for _ in range(5):
        follower.tick(PAPER.election_ticks_min - 1)
        follower.hear(kind, 2)

    assert (follower.raft.role, follower.raft.current_term) == (Role.FOLLOWER, 1)


def test_a_voter_that_gave_its_vote_waits_anew_and_one_that_refused_does_not():
    """Figure 2: elapses without receiving AppendEntries or granting vote to candidate."""
    granting, refusing = Server(1, term=1), Server(2, log=(1, 1))
    for voter in (granting, refusing):
        voter.tick(PAPER.election_ticks_min - 1)

    granting.hear(RequestVote, 3, term=1)
    refusing.hear(RequestVote, 3, term=1)

    assert granting.raft.election_elapsed == 0
    assert refusing.raft.election_elapsed == PAPER.election_ticks_min - 1


def test_a_candidate_that_times_out_starts_a_new_election():
    """§5.2: each candidate will time out and start a new election by incrementing its term."""
    candidate = Server(1, term=1)
    candidate.do(campaign)
    candidate.sent(RequestVote)

    candidate.tick(PAPER.election_ticks_max)

    assert (candidate.raft.role, candidate.raft.current_term) == (Role.CANDIDATE, 3)
    assert [(ask.target, ask.term) for ask in candidate.sent(RequestVote)] == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("voters", "granted", "refused", "role"),
    [
        (1, "", "", Role.LEADER),
        (3, "23", "", Role.LEADER),
        (3, "2", "", Role.LEADER),
        (3, "2", "3", Role.LEADER),
        (3, "", "23", Role.FOLLOWER),
        (3, "", "2", Role.CANDIDATE),
        (3, "", "", Role.CANDIDATE),
        (5, "2345", "", Role.LEADER),
        (5, "234", "", Role.LEADER),
        (5, "23", "", Role.LEADER),
        (5, "23", "45", Role.LEADER),
        (5, "2", "345", Role.FOLLOWER),
        (5, "", "2345", Role.FOLLOWER),
        (5, "2", "3", Role.CANDIDATE),
        (5, "2", "", Role.CANDIDATE),
        (5, "", "", Role.CANDIDATE),
        (4, "2", "", Role.CANDIDATE),
        (4, "23", "", Role.LEADER),
    ],
)
def test_a_candidate_wins_with_the_votes_of_a_majority(voters, granted, refused, role):
    """§5.2: votes from a majority of the full cluster for the same term."""
    candidate = Server(1, voters=tuple(range(1, voters + 1)))
    candidate.do(campaign)

    for voter in map(int, refused[:1] + granted + refused[1:]):
        candidate.hear(RequestVoteReply, voter, vote_granted=str(voter) in granted)

    assert (candidate.raft.role, candidate.raft.current_term) == (role, 1)


def test_a_vote_told_twice_counts_once():
    """§5.2: a majority is one of servers, and the network may repeat what one of them said."""
    candidate = Server(1, voters=(1, 2, 3, 4, 5))
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 2, vote_granted=True)
    candidate.hear(RequestVoteReply, 2, vote_granted=True)

    assert candidate.raft.role is Role.CANDIDATE


def test_votes_of_servers_that_are_no_voters_do_not_count():
    """§5.2, thesis §4.2.1: only members of the voting majority elect."""
    candidate = Server(1, voters=(1, 2, 3), learners=(4,))
    candidate.do(campaign)

    candidate.hear(RequestVoteReply, 4, vote_granted=True)
    candidate.hear(RequestVoteReply, 9, vote_granted=True)

    assert candidate.raft.role is Role.CANDIDATE


@pytest.mark.parametrize(
    ("voted_for", "candidate", "granted"),
    [
        (NOBODY, 2, True),
        (NOBODY, 3, True),
        (2, 2, True),
        (3, 3, True),
        (2, 3, False),
        (3, 2, False),
    ],
)
def test_a_server_votes_once_a_term_first_come_first_served(voted_for, candidate, granted):
    """§5.2: each server will vote for at most one candidate in a given term."""
    voter = Server(1, term=1, voted_for=voted_for)

    voter.hear(RequestVote, candidate)

    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [granted]


@pytest.mark.parametrize("role", [Role.CANDIDATE, Role.LEADER])
def test_who_stands_for_election_or_won_it_votes_for_nobody_else_in_that_term(role):
    """§5.2, M3: a candidate voted for itself, and a restart does not make it forget."""
    server = Server(1, term=1)
    server.do(campaign)
    if role is Role.LEADER:
        server.hear(RequestVoteReply, 2, vote_granted=True)
    assert server.raft.role is role

    server.hear(RequestVote, 3, last_log_index=9, last_log_term=9)
    server.restart()
    server.hear(RequestVote, 3, last_log_index=9, last_log_term=9)

    assert [reply.vote_granted for reply in server.sent(RequestVoteReply)] == [False, False]
    assert server.raft.voted_for == 1


def test_a_follower_does_not_vote_in_a_term_whose_leader_it_knows():
    """§5.2, M3: that election is over, and every vote in it can only come late."""
    follower = Server(1, term=1)
    follower.hear(AppendEntries, 2)

    follower.hear(RequestVote, 3, last_log_index=9, last_log_term=1)

    assert [reply.vote_granted for reply in follower.sent(RequestVoteReply)] == [False]


@pytest.mark.parametrize("kind", [AppendEntries, Heartbeat])
@pytest.mark.parametrize("later", [0, 1])
def test_a_candidate_recognizes_a_leader_and_returns_to_follower(kind, later):
    """§5.2: if the leader's term is at least as large as its own, the leader is legitimate."""
    candidate = Server(1)
    candidate.do(campaign)

    candidate.hear(kind, 2, term=1 + later)

    assert (candidate.raft.role, candidate.raft.leader_id) == (Role.FOLLOWER, 2)
    assert candidate.raft.current_term == 1 + later


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE])
def test_election_timeouts_are_random_in_a_fixed_interval(role):
    """§5.2: election timeouts are chosen randomly from a fixed interval (e.g., 150-300ms)."""
    server = Server(1)
    drawn = set()

    for _ in range(600):
        if role is Role.FOLLOWER:
            server.hear(AppendEntries, 2, term=server.raft.current_term + 1)
        drawn.add(ticks_until_campaign(server))

    assert drawn == set(range(PAPER.election_ticks_min, PAPER.election_ticks_max))


@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE])
def test_in_most_cases_only_a_single_server_times_out(role):
    """§5.2: randomized timeouts spread servers out, so that split votes are rare."""
    servers = [Server(server_id, voters=(1, 2, 3, 4, 5)) for server_id in (1, 2, 3, 4, 5)]
    collisions = 0

    for _ in range(300):
        if role is Role.FOLLOWER:
            for server in servers:
                server.hear(AppendEntries, 9, term=server.raft.current_term + 1)
        timeouts = Counter(ticks_until_campaign(server) for server in servers)
        collisions += timeouts[min(timeouts)] > 1

    assert collisions < 0.3 * 300


def test_split_votes_are_resolved():
    """§5.2: randomized election timeouts ensure that split votes are resolved quickly."""
    network = trio()
    for server in network:
        server.do(campaign)
    network.deliver()
    split = [server.raft.role for server in network]

    network.tick(4 * PAPER.election_ticks_max)

    assert Role.LEADER not in split
    assert sorted(server.raft.role.value for server in network) == ["follower"] * 2 + ["leader"]


def test_a_term_begins_with_an_empty_entry_of_its_leader():
    """§8, M1: each leader commits a blank no-op entry at the start of its term."""
    leader = Server(1, log=(1, 1)).lead()

    leader.acknowledged(2)

    assert leader.terms() == (1, 1, 2)
    assert leader.raft.log.entry_at(3).kind == NOOP
    assert leader.raft.commit_index == 3


def ticks_until_campaign(server):
    """How long this server waited before its next campaign."""
    term = server.raft.current_term
    for ticks in range(1, PAPER.election_ticks_max + 1):
        server.tick()
        if server.raft.current_term > term:
            return ticks
    raise AssertionError("it never stood for election")
