"""Rules that only a planted bug showed to be unproven: what is dead, late or last to know."""

from messages.raft import AppendEntriesReply, HeartbeatReply, InstallSnapshot
from raft.core import Action, Change, propose, propose_membership
from raft.state import Config, Proposed, Refusal
from tests.network import PAPER, Network, Server

SHORT_LOG = Config(log_trailing_entries=0, log_behind_bytes_max=0)


def test_a_silent_learner_is_not_promoted():
    """Thesis §4.2.1, M5: it may have caught up once, but a dead voter delays every commit."""
    network = Network(*(Server(at, learners=(4,), config=Config()) for at in (1, 2, 3, 4)))
    leader = network.elect(network.servers[1])
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


def test_rounds_whose_answers_come_too_late_for_a_lease_are_forgotten():
    """Beyond the paper: a leader that is heard but never confirmed keeps no endless account."""
    config = Config(lease_reads=True)
    leader = Server(1, config=config)
    leader.tick(config.election_ticks_min)
    leader.lead()

    for _ in range(50):
        leader.tick(config.heartbeat_ticks)
        leader.hear(HeartbeatReply, 2, read_round=0)

    assert len(leader.raft.rounds_sent) <= 1 + config.lease_ticks() // config.heartbeat_ticks


def test_chunks_are_not_read_for_a_follower_that_is_dead():
    """Beyond the paper: it would have the same window read and sent again for ever."""
    leader = Server(1, config=SHORT_LOG).lead()
    leader.do(propose, [b"x"])
    leader.acknowledged(2)
    leader.save()
    leader.hear(AppendEntriesReply, 3, prev_log_index=0)
    first = leader.sent(InstallSnapshot)

    for _ in range(20):
        leader.tick(Config().heartbeat_ticks)
        leader.hear(HeartbeatReply, 2)
    again = leader.sent(InstallSnapshot)

    assert [chunk.target for chunk in first] == [3]
    assert len(again) <= Config().election_ticks_max // Config().snapshot_retry_ticks + 1
