"""Every invariant is provoked once: an alarm that cannot ring proves nothing."""

import pytest

from messages.raft import Heartbeat, InstallSnapshot, Membership
from raft import core
from raft.invariants import check
from raft.progress import Progress
from raft.state import Raft, ReadRound, Role
from tests.network import PAPER, Server, commands


@pytest.mark.parametrize(
    ("mark", "value", "alarm"),
    [
        ("saved_index", 1, "compacted past the state"),
        ("saved_index", 4, "compacted past the state"),
        ("last_applied", 5, "applied past the commit"),
        ("handed_index", 2, "applied past the commit"),
        ("handed_index", 6, "applied past the commit"),
        ("commit_index", 3, "applied past the commit"),
        ("commit_index", 9, "committed past the log"),
    ],
)
def test_the_marks_stand_in_order(mark, value, alarm):
    """D8: truncated <= saved <= applied <= handed out <= committed <= last."""
    raft = marked()

    setattr(raft, mark, value)

    with pytest.raises(AssertionError, match=alarm):
        check(raft)


@pytest.mark.parametrize(
    ("stable", "alarm"),
    [(1, "durable past the log"), (9, "durable past the log"), (3, "the disk does not hold")],
)
def test_only_what_is_durable_is_applied(stable, alarm):
    """D2, D3: or a state could be ahead of its own log after a crash."""
    raft = marked()

    raft.log.stable_index = stable

    with pytest.raises(AssertionError, match=alarm):
        check(raft)


@pytest.mark.parametrize(
    ("fall", "alarm"),
    [
        ({"current_term": 2}, "the term fell"),
        ({"commit_index": 4}, "the commit index fell"),
        ({"last_applied": 2, "saved_index": 2}, "the applied index fell"),
        ({"voted_for": 3}, "voted twice"),
        ({"voted_for": 0}, "voted twice"),
    ],
)
def test_the_marks_never_fall(fall, alarm):
    """D8: whoever saw a higher one has acted on it."""
    raft = marked()

    for name, value in fall.items():
        setattr(raft, name, value)

    with pytest.raises(AssertionError, match=alarm):
        check(raft)


def test_a_vote_may_change_with_the_term():
    """§5.2: one vote a term; and a first vote is no change."""
    raft = marked()
    raft.current_term, raft.voted_for = 4, 3
    check(raft)
    raft.current_term, raft.voted_for = 5, 0
    check(raft)
    raft.voted_for = 2
    check(raft)


@pytest.mark.parametrize(
    "fault",
    [
        {"progress": {2: Progress(1)}},
        {"read_rounds": [ReadRound(1, 0, ())]},
        {"transferee": 2},
        {"leader_id": 1},
        {"role": Role.CANDIDATE},
        {"role": Role.LEADER, "leader_id": 1},
    ],
    ids=str,
)
def test_a_follower_keeps_nothing_of_a_leader(fault):
    """§5.2: a role that does not fit what was voted, or what is kept."""
    raft = marked()

    for name, value in fault.items():
        setattr(raft, name, value)

    with pytest.raises(AssertionError):
        check(raft)


@pytest.mark.parametrize("fault", [{"leader_id": 2}, {"durable_vote": 2}, {"durable_term": 0}])
def test_a_leader_is_one_for_itself_and_for_its_disk(fault):
    """D1: it leads by a vote that no crash can undo."""
    raft = Server(1).lead().raft
    check(raft)

    for name, value in fault.items():
        setattr(raft, name, value)

    with pytest.raises(AssertionError):
        check(raft)


@pytest.mark.parametrize("event", sorted(set(core.__all__) - {"Action", "Change", "start"}))
def test_every_event_ends_with_the_alarms(event):
    """D8: whatever a driver may call."""
    raft = marked()
    core_function = getattr(core, event)
    arguments = {
        "applied": (0,),
        "propose": ([b"x"],),
        "propose_membership": ([],),
        "read": (7,),
        "snapshot_failed": (2,),
        "snapshot_refused": (2, 9),
        "snapshot_sent": (InstallSnapshot(0, 1, 2, 3, 9, 3, Membership(), 0, b"", done=True),),
        "snapshot_staged": (2, 9, 0),
        "state_saved": (0,),
        "step": (Heartbeat(9, 2, 1, 3, 0, 0),),
        "transfer_leader": (2,),
        "unreachable": (2,),
    }
    if event == "persisted":
        arguments[event] = (core.ready(raft).write,)

    raft.last_applied = 1

    with pytest.raises(AssertionError, match="compacted past the state"):
        core_function(raft, *arguments.get(event, ()))


def marked() -> Raft:
    """A follower whose marks all differ: compacted 2, saved and applied 3, handed 4 and so on."""
    server = Server(1, log=(1, 1, 3, 3, 3), term=3, voted_for=2, commit=3)
    server.config = PAPER._replace(log_trailing_entries=1)
    raft = server.raft
    raft.config = server.config
    server.save()
    assert raft.log.truncated_index == 2
    raft.log.append(commands(3))
    raft.handed_index, raft.commit_index, raft.log.stable_index = 4, 5, 5
    check(raft)
    return raft
