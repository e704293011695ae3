"""§5.4: who leads holds all that is committed, and counts copies of its own term's entries."""

import pytest

from messages.raft import RequestVote, RequestVoteReply
from raft.core import propose
from raft.election import campaign
from raft.state import Role
from tests.network import PAPER, Network, Server


@pytest.mark.parametrize("log", [(1,), (1, 2), (1, 1, 4)])
def test_a_vote_request_tells_of_the_candidates_log(log):
    """§5.4.1: the RPC includes information about the candidate's log, and goes to all others."""
    candidate = Server(1, log=log)

    candidate.tick(PAPER.election_ticks_max)

    assert [
        (ask.target, ask.term, ask.last_log_index, ask.last_log_term)
        for ask in candidate.sent(RequestVote)
    ] == [(voter, log[-1] + 1, len(log), log[-1]) for voter in (2, 3)]


@pytest.mark.parametrize(
    ("ours", "theirs", "granted"),
    [
        ((1,), (1,), True),
        ((1,), (1, 1), True),
        ((1, 1), (1,), False),
        ((1,), (2,), True),
        ((1,), (1, 2), True),
        ((1, 1), (2,), True),
        ((2,), (1,), False),
        ((2,), (1, 1), False),
        ((1, 2), (1,), False),
    ],
)
def test_a_voter_refuses_a_candidate_whose_log_is_less_up_to_date(ours, theirs, granted):
    """§5.4.1: the later last term is more up-to-date, in one term the longer log."""
    voter = Server(1, log=ours, term=2)

    voter.hear(RequestVote, 2, term=3, last_log_index=len(theirs), last_log_term=theirs[-1])

    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [granted]


def test_a_server_that_lacks_a_committed_entry_cannot_win():
    """§5.4.3: a committed entry is in the logs of the leaders of all higher-numbered terms."""
    behind = Server(3, log=(1,))
    network = Network(Server(1, log=(1, 1)), Server(2, log=(1, 1)), behind)

    behind.do(campaign)
    network.deliver()

    assert behind.raft.role is not Role.LEADER


@pytest.mark.parametrize(
    ("held", "committed"), [(1, 0), (2, 0), (3, 3)], ids=["term 1", "term 2", "term 3, its own"]
)
def test_only_entries_of_the_leaders_current_term_are_committed_by_counting(held, committed):
    """§5.4.2: Raft never commits entries from previous terms by counting replicas."""
    leader = Server(1, log=(1, 2)).lead()

    leader.acknowledged(2, 3, index=held)

    assert leader.raft.current_term == 3
    assert leader.raft.commit_index == committed


@pytest.fixture
def figure_8():
    """Figure 8 up to (c): S1 leads term 4, its entry of term 2 stands on four servers of five."""
    one_entry = PAPER._replace(append_bytes_max=1)
    s1, s2, s3, s4, s5 = servers = [
        Server(at, voters=(1, 2, 3, 4, 5), log=(1,), config=one_entry) for at in (1, 2, 3, 4, 5)
    ]
    network = Network(*servers)

    s1.do(campaign)
    network.deliver(until=lambda: s1.raft.role is Role.LEADER)
    network.part({1, 2})  # (a)
    network.deliver(until=lambda: s2.terms() == (1, 2))

    s1.restart()
    s5.do(campaign)
    network.deliver(until=lambda: s5.raft.role is Role.LEADER)  # (b)
    s5.outbox.clear()

    s5.restart()
    network.part({5})
    s1.tick(2 * PAPER.election_ticks_max)
    network.deliver(until=lambda: s3.terms() == s4.terms() == (1, 2) and not s3.outbox)  # (c)
    assert (s1.terms(), s5.terms()) == ((1, 2, 4), (1, 3))
    return network


def test_an_entry_of_an_earlier_term_on_a_majority_is_not_committed(figure_8):
    """§5.4.2, Figure 8(c): the entry from term 2 is on a majority, but it is not committed."""
    s1, *_ = figure_8

    held = [match for match in s1.raft.progress.values() if match.match_index >= 2]

    assert len(held) >= 3
    assert s1.raft.role is Role.LEADER
    assert s1.raft.commit_index < 2


def test_an_entry_of_an_earlier_term_on_a_majority_can_be_overwritten(figure_8):
    """§5.4.2, Figure 8(d): S5 could be elected and overwrite it with its own from term 3."""
    *_, s5 = figure_8
    figure_8.part({1})

    s5.do(campaign)
    s5.do(campaign)
    figure_8.deliver()

    assert s5.raft.role is Role.LEADER
    assert [server.terms()[:2] for server in figure_8] == [(1, 2)] + [(1, 3)] * 4


def test_an_entry_of_the_current_term_on_a_majority_protects_all_before_it(figure_8):
    """§5.4.2, Figure 8(e): then the entry of term 2 is committed too, and S5 cannot win."""
    s1, *_, s5 = figure_8
    figure_8.deliver()
    committed = s1.raft.commit_index
    figure_8.part({1})

    for _ in range(3):
        s5.do(campaign)
        figure_8.deliver()

    assert committed == 3
    assert s5.raft.role is not Role.LEADER
    assert [server.terms()[:3] for server in figure_8] == [(1, 2, 4)] * 4 + [(1, 3)]


def test_a_deposed_leaders_entries_give_way_and_its_commit_stands():
    """§5.4.3, State Machine Safety: no two servers apply different commands at one index."""
    leader, voter, other = network = Network(*(Server(at) for at in (1, 2, 3)))
    network.elect(leader).do(propose, [b"kept"])
    network.deliver()
    network.part({1})
    leader.do(propose, [b"lost"])
    network.elect(voter).do(propose, [b"new"])
    network.deliver()

    network.part()
    network.tick(PAPER.heartbeat_ticks)

    assert leader.state == voter.state == other.state == b"keptnew"
    assert leader.terms() == voter.terms()
