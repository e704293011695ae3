"""Rules that no sentence of the paper states, and that a planted bug could break unnoticed."""

from messages.raft import AppendEntries, AppendEntriesReply
from raft.core import Action, Change, propose, propose_membership
from raft.state import Config, Proposed, Refusal
from tests.network import PAPER, Network, Server


def test_a_leader_without_a_majority_takes_only_so_much():
    """Beyond the paper: what nobody acknowledges must not fill the leader's memory."""
    leader = Server(1, config=PAPER._replace(uncommitted_bytes_max=100)).lead()

    answers = [leader.do(propose, [bytes(30)]) for _ in range(3)]

    assert [isinstance(answer, Proposed) for answer in answers] == [True, True, False]
    assert answers[-1] is Refusal.OVERLOADED


def test_proposals_flow_again_when_what_waited_is_committed():
    """Beyond the paper: overload is a state of the moment, not of the term."""
    leader = Server(1, config=PAPER._replace(uncommitted_bytes_max=100)).lead()
    leader.do(propose, [bytes(90)])

    leader.acknowledged(2, 3)

    assert isinstance(leader.do(propose, [bytes(90)]), Proposed)


def test_a_leader_cuts_appends_at_their_limit():
    """Beyond the paper: a frame without a bound would be refused by every peer."""
    leader = Server(1, config=PAPER._replace(append_bytes_max=100)).lead().acknowledged(2, 3)

    leader.do(propose, [bytes(30)] * 4)

    sizes = [len(append.entries) for append in leader.sent(AppendEntries) if append.target == 2]
    assert sizes == [2, 2]


def test_a_silent_learner_is_not_promoted():
    """Thesis §4.2.1, M5: it may have caught up once, but a dead voter delays every commit."""
    servers = [Server(at, learners=(4,), config=Config()) for at in (1, 2, 3, 4)]
    network = Network(*servers)
    leader = network.elect(servers[0])
    promotion = [Change(Action.PROMOTE, 4)]

    network.part({1, 2, 3}, {4})
    network.tick(2 * Config().election_ticks_max)
    refused = leader.do(propose_membership, promotion)
    network.part()
    network.tick(Config().heartbeat_ticks)

    assert refused is Refusal.NOT_CAUGHT_UP
    assert isinstance(leader.do(propose_membership, promotion), Proposed)


def test_a_voter_may_lead_until_its_removal_is_committed():
    """Thesis §4.2.2: it may be the only one that holds the entry which removes it."""
    network = Network(Server(1, voters=(1, 2)), Server(2, voters=(1, 2)))
    removed, other = network
    network.elect(removed)
    network.part({1}, {2})
    removed.do(propose_membership, [Change(Action.REMOVE, 1)])
    network.deliver()
    removed.restart()

    network.part()
    network.tick(10 * PAPER.election_ticks_max)

    assert other.raft.membership.removed == (1,)
    assert other.raft.commit_index == other.raft.log.last_index


def test_nobody_is_acknowledged_by_itself():
    """D2: a message in a server's own name would count what its disk does not hold."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])
    leader.acknowledged(2)

    leader.hear(AppendEntriesReply, 1, success=True, match_index=2)

    assert leader.raft.commit_index == 1
