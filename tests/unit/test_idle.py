"""raft/idle.py: which ticks can be slept through. verify/server.py asks it before each tick."""

import pytest

from messages.raft import Heartbeat, ReadIndex, ReadIndexReply
from raft import core, snapshot
from raft.idle import idle_ticks
from raft.state import Config, Role
from tests.network import PAPER, Server

QUORUM = PAPER._replace(check_quorum=True)


def leader(config: Config = PAPER) -> Server:
    """A leader whose followers hold all that it holds."""
    return Server(1, config=config).lead().acknowledged(2, 3)


def ticked(raft, ticks):
    """So many ticks later."""
    for _ in range(ticks):
        core.tick(raft)
    return raft


def test_a_leader_sleeps_until_its_beat():
    """It has nothing to say before."""
    raft = leader().raft
    ticked(raft, 5 - raft.heartbeat_elapsed)

    assert idle_ticks(raft) == 4
    assert idle_ticks(ticked(raft, 3)) == 1
    assert idle_ticks(ticked(raft, 1)) == 0
    assert idle_ticks(ticked(raft, 1)) == 4


def test_a_leader_does_not_sleep_through_its_doubts():
    """§6.2 of the thesis: by then a majority must have answered."""
    raft = leader(QUORUM._replace(heartbeat_ticks=14)).raft
    raft.heartbeat_elapsed = 0
    raft.election_elapsed = raft.config.election_ticks_max - 3

    assert idle_ticks(raft) == 2


def test_a_follower_sleeps_until_it_would_campaign():
    """§5.2: and any word of its leader puts that off."""
    server = Server(1)
    raft = server.raft
    core.step(raft, Heartbeat(0, 2, 1, 0, 0, 0))
    assert idle_ticks(raft) == raft.election_timeout - 1

    ticked(raft, raft.election_timeout - 1)
    assert (idle_ticks(raft), raft.role) == (0, Role.FOLLOWER)
    assert ticked(raft, 1).role is not Role.FOLLOWER


def propose(raft):
    """An entry that is not committed yet."""
    core.propose(raft, (b"x",))


def read(raft):
    """A round that nobody has answered yet."""
    core.read(raft, 1)


def begin_round(raft):
    """The same, under way."""
    core.read(raft, 1)
    core.ready(raft)


def hand_over(raft):
    """To one that is not up to date: else it would be told at once."""
    core.propose(raft, (b"x",))
    raft.commit_index = raft.log.last_index
    core.transfer_leader(raft, 2)


def send_snapshot(raft):
    """Chunks are sent again after a silence."""
    raft.progress[2].become_snapshot(snapshot.base(raft))


@pytest.mark.parametrize("wait", [propose, read, begin_round, hand_over, send_snapshot])
def test_a_leader_that_waits_for_somebody_does_not_sleep(wait):
    """A tick may be what it waits for."""
    raft = leader().raft
    ticked(raft, 5 - raft.heartbeat_elapsed)
    assert idle_ticks(raft) > 0

    wait(raft)

    assert idle_ticks(raft) == 0


def test_a_follower_whose_reads_wait_for_its_leader_does_not_sleep():
    """They are given up after a while, and asked again."""
    raft = Server(1).raft
    core.step(raft, Heartbeat(0, 2, 1, 0, 0, 0))
    core.read(raft, 1)
    assert idle_ticks(raft) == 0
    (asked,) = [said for said in core.ready(raft).messages if isinstance(said, ReadIndex)]
    assert idle_ticks(raft) == 0

    core.step(raft, ReadIndexReply(0, 2, 1, 0, asked.read_id, 0))
    core.ready(raft)

    assert idle_ticks(raft) > 0


def test_whoever_waits_for_the_disk_does_not_sleep():
    """M8: ticks tell how long it has been."""
    server = Server(1)
    server.disk_held = True
    core.step(server.raft, Heartbeat(0, 2, 1, 5, 0, 0))
    assert core.ready(server.raft).write is not None

    assert idle_ticks(server.raft) == 0


def test_whoever_campaigns_does_not_sleep():
    """§5.2: until the timeout it may win."""
    raft = Server(1).raft
    ticked(raft, raft.election_timeout)

    assert (raft.role, idle_ticks(raft)) == (Role.CANDIDATE, 0)
