"""The driver's duties: each handed out once, in its time, and what it reports back."""

import pytest

from messages.raft import (
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Snapshot,
)
from raft import core
from raft.election import campaign
from raft.log import ENTRY_OVERHEAD_BYTES
from raft.state import Committed, Ready, Role, SoftState
from tests.network import PAPER, Server, commands

NOTHING = Ready(None, (), None, (), (), None, ())
MARK = Snapshot(5, 1, Membership((1, 2, 3)))


def test_duties_are_handed_out_once():
    """DESIGN 1: a driver that calls twice does nothing twice."""
    raft = Server(1).lead().acknowledged(2).raft
    core.propose(raft, (b"x",))
    core.read(raft, 1)

    duties = core.ready(raft)

    assert duties.write is not None and duties.messages
    assert core.ready(raft) == NOTHING


def test_who_leads_is_told_when_it_changes():
    """Figure 2 keeps it nowhere; users like to see it."""
    raft = Server(1).raft
    campaign(raft)
    assert core.ready(raft).soft_state == SoftState(Role.CANDIDATE, 0, 1)

    core.tick(raft)
    assert core.ready(raft).soft_state is None

    core.step(raft, Heartbeat(0, 2, 1, 1, 0, 0))
    assert core.ready(raft).soft_state == SoftState(Role.FOLLOWER, 2, 1)


# Writes.


def test_one_write_at_a_time_gathers_all_that_waits():
    """DESIGN 1: what comes in during a write goes with the next one."""
    leader = Server(1).lead().acknowledged(2)
    leader.disk_held = True
    for payload in (b"a", b"b", b"c"):
        leader.do(core.propose, (payload,))
    first = leader.writing
    assert first is not None and (first.first_index, first.last_index) == (2, 2)

    leader.finish_write()

    second = leader.writing
    assert second is not None and (second.first_index, second.last_index) == (3, 4)
    assert second.number == first.number + 1


def test_only_the_write_in_flight_can_be_reported():
    """D2: counting another as durable would acknowledge what a crash loses."""
    leader = Server(1).lead().acknowledged(2)
    leader.disk_held = True
    leader.do(core.propose, (b"a",))
    write = leader.writing
    assert write is not None

    with pytest.raises(AssertionError):
        core.persisted(leader.raft, write._replace(number=write.number + 1))
    leader.finish_write()
    with pytest.raises(AssertionError):
        core.persisted(leader.raft, write)


def test_a_commit_alone_is_not_written():
    """Figure 2: commitIndex is volatile; it rides along with what must be written anyway."""
    follower = Server(1, log=(1, 1))

    follower.hear(Heartbeat, 2, leader_commit=2)
    assert (follower.raft.last_applied, follower.disk.hard_state.commit_index) == (2, 0)

    follower.hear(AppendEntries, 2, prev_log_index=2, prev_log_term=1, entries=commands(1))
    assert follower.disk.hard_state.commit_index == 2


def test_an_overwritten_part_of_a_write_does_not_become_durable():
    """D2: the write of that place returned, but it held an entry of another term."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1, 1, 1))
    after = {"prev_log_index": 1, "prev_log_term": 1}
    follower.hear(AppendEntries, 3, term=2, **after, entries=commands(2, 2))

    follower.finish_write()

    assert (follower.raft.log.stable_index, follower.terms()) == (1, (1, 2, 2))
    assert follower.writing is not None and follower.writing.first_index == 2


def test_an_answer_whose_entries_are_durable_meanwhile_needs_no_write():
    """D2: all that it promises is on the disk when the write in flight returns."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1))
    follower.hear(AppendEntries, 2, entries=commands(1))  # again: its answer waits, too

    follower.finish_write()

    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [1, 1]
    assert follower.writing is None


def test_a_cut_is_written_with_the_membership_there():
    """D11: the log on the disk starts where a state is durable; the cut is said once."""
    server = Server(1, log=(1, 1, 1), commit=3, config=PAPER._replace(log_trailing_entries=0))
    server.disk_held = True

    core.state_saved(server.raft, 2)
    write = core.ready(server.raft).write

    assert write is not None and write.entries == ()
    assert write.base == Snapshot(2, 1, Membership((1, 2, 3)))
    core.persisted(server.raft, write)
    assert core.ready(server.raft).write is None


def test_a_snapshot_is_written_alone():
    """D11: it replaces the log; entries of the old one behind it would be another history's."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1, 1))
    follower.hear(InstallSnapshot, 2, **MARK._asdict(), data=b"state", done=True)
    follower.finish_write()

    write = follower.writing
    assert write is not None
    assert (write.snapshot, write.entries, write.base) == (MARK, (), None)
    follower.finish_write()
    assert (follower.state, follower.raft.log.truncated_index) == (b"state", 5)


# Entries to apply.


def test_only_what_is_durable_here_is_applied():
    """D3: else a saved state could lie ahead of its own log after a crash."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1), leader_commit=1)
    assert (follower.raft.commit_index, follower.raft.handed_index) == (1, 0)

    follower.finish_write()

    assert (follower.raft.last_applied, follower.state) == (1, b"1")


def test_a_followers_write_comes_before_what_it_applies_but_once():
    """Its leader waits for the write; but not each turn may have one that comes first."""
    raft = Server(1, term=1).raft
    write, behind = None, []

    for index in range(6):
        core.step(raft, AppendEntries(0, 2, 1, 1, index, min(index, 1), index, commands(1)))
        if write is not None:
            core.persisted(raft, write)
        write = core.ready(raft).write
        assert write is not None
        behind.append(raft.commit_index - raft.handed_index)

    assert behind == [0, 1, 0, 1, 0, 1]


def test_entries_to_apply_are_bounded_but_never_none():
    """O3: a slow state machine is not flooded; a single large entry goes all the same."""
    bound = 2 * (1 + ENTRY_OVERHEAD_BYTES)
    config = PAPER._replace(apply_bytes_max=bound)
    raft = Server(1, term=1, config=config).raft
    entries = commands(1, 1, 1, 1, 1)
    core.step(raft, AppendEntries(0, 2, 1, 1, 0, 0, 5, entries))
    write = core.ready(raft).write
    assert write is not None
    core.persisted(raft, write)

    assert core.ready(raft).committed == Committed(1, entries[:2])
    assert core.ready(raft).committed is None, "two are not applied yet"
    core.applied(raft, 1)
    assert core.ready(raft).committed == Committed(3, entries[2:3])
    core.applied(raft, 3)
    assert core.ready(raft).committed == Committed(4, entries[3:])


def test_old_news_of_what_is_applied_changes_nothing():
    """D8: reports of another thread may overtake each other."""
    server = Server(1, log=(1, 1), commit=2)

    server.do(core.applied, 1)

    assert server.raft.last_applied == 2


def test_what_was_never_handed_out_cannot_be_applied():
    """D3: the driver applies something else than this log."""
    server = Server(1, log=(1, 1), commit=1)

    with pytest.raises(AssertionError, match="never handed out"):
        core.applied(server.raft, 2)


def test_nothing_is_applied_to_a_state_that_is_being_replaced():
    """D11: it would be lost, or worse, applied to the new one."""
    follower = Server(1, term=1)
    follower.hear(AppendEntries, 2, entries=commands(1))
    follower.disk_held = True
    follower.hear(InstallSnapshot, 2, **MARK._asdict(), data=b"state", done=True)

    follower.hear(Heartbeat, 2, leader_commit=1)
    assert (follower.raft.commit_index, follower.raft.handed_index) == (1, 0)

    follower.finish_write()
    assert (follower.raft.last_applied, follower.state) == (5, b"state")


# Messages.


def test_heartbeats_and_votes_do_not_wait_for_a_slow_disk():
    """DESIGN 1: a stalled fsync does not unseat a leader by silence."""
    leader = Server(1).lead().acknowledged(2)
    leader.disk_held = True
    leader.do(core.propose, (b"x",))
    leader.sent(Heartbeat)

    leader.tick(PAPER.heartbeat_ticks)

    assert {beat.target for beat in leader.sent(Heartbeat)} == {2, 3}


def test_entries_reach_followers_while_they_are_being_written():
    """Thesis §10.2.1: the leader writes in parallel with its followers."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True

    leader.do(core.propose, (b"x",))

    assert [append.target for append in leader.sent(AppendEntries)] == [2, 3]
    assert leader.raft.log.stable_index == 1


def test_a_restart_forgets_what_waited_for_the_disk():
    """D1, D2: neither the write nor the words about it were ever true."""
    follower = Server(1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, term=1, entries=commands(1))
    follower.hear(Heartbeat, 2, read_round=1)

    follower.restart()

    assert (follower.raft.current_term, follower.terms()) == (0, ())
    assert follower.sent(AppendEntriesReply) + follower.sent(HeartbeatReply) == []
