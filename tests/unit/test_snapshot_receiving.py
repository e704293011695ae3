"""Receiving a snapshot and installing it: what Figure 13 leaves to details."""

import pytest

from messages.raft import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Snapshot,
)
from raft import core
from tests.network import Server, commands

MARK = Snapshot(5, 1, Membership((1, 2, 3)))
CHUNK = {**MARK._asdict(), "term": 1, "data": b"ab"}


def test_a_chunk_is_acknowledged_when_it_is_staged():
    """O3: so the leader's window bounds what waits for this server's disk, too."""
    follower = Server(1, term=1)
    for offset in (0, 2):
        core.step(follower.raft, InstallSnapshot(0, 2, 1, 1, *MARK, offset, b"ab", done=False))
    duties = core.ready(follower.raft)
    assert ([chunk.offset for chunk in duties.received], duties.messages) == ([0, 2], ())

    follower.do(core.snapshot_staged, 2, 5, 2)
    follower.do(core.snapshot_staged, 2, 5, 4)

    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [2, 4]


def test_a_complete_snapshot_takes_no_more_chunks():
    """Figure 13, step 4: it is being verified; the leader hears again what is staged."""
    follower = unverified()

    follower.hear(InstallSnapshot, 2, **CHUNK, offset=2, done=True)

    (reply,) = follower.sent(InstallSnapshotReply)
    assert (reply.next_offset, core.ready(follower.raft).received) == (0, ())


@pytest.mark.parametrize("of_another", [(3, 5), (2, 4)])
def test_only_the_snapshot_that_was_received_can_be_refused(of_another):
    """D10: another leader has begun its own meanwhile, or this one a later one."""
    follower = unverified()

    follower.do(core.snapshot_refused, *of_another)

    assert follower.raft.receiving is not None
    assert follower.sent(InstallSnapshotReply) == []


def test_a_refused_snapshot_is_asked_for_again():
    """D10: also where it found no room, and before its last chunk came."""
    follower = unverified(done=False)

    follower.do(core.snapshot_refused, 2, 5)

    assert follower.raft.receiving is None
    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [0]


@pytest.mark.parametrize("report", [(2, 4, 2), (2, 6, 2), (3, 5, 2), (2, 5, 1), (2, 5, 3)], ids=str)
def test_only_all_of_the_snapshot_that_was_received_can_be_installed(report):
    """D10: a report about another one, from another leader, or of too much is of other times."""
    follower = unverified()

    follower.do(core.snapshot_staged, *report)

    assert follower.raft.last_applied == 0


def test_nothing_is_installed_before_its_last_chunk():
    """D10: a report that comes early, or late, is of another reception."""
    follower = Server(1, term=1)
    follower.do(core.snapshot_staged, 2, 5, 2)
    follower.hear(InstallSnapshot, 2, **CHUNK)

    follower.do(core.snapshot_staged, 2, 5, 2)

    assert (follower.raft.last_applied, follower.raft.log.truncated_index) == (0, 0)


def test_an_old_report_takes_nothing_back():
    """Figure 13: reports of another thread may overtake each other."""
    follower = Server(1, term=1)
    follower.hear(InstallSnapshot, 2, **CHUNK)
    follower.hear(InstallSnapshot, 2, **CHUNK, offset=2)
    follower.sent(InstallSnapshotReply)

    follower.do(core.snapshot_staged, 2, 5, 2)

    assert follower.sent(InstallSnapshotReply) == []


def test_a_refusal_of_another_snapshot_changes_nothing():
    """D10: what is being received now may be sound."""
    follower = unverified()

    follower.do(core.snapshot_refused, 2, 4)
    follower.do(core.snapshot_refused, 3, 5)

    assert (follower.raft.receiving is not None, follower.said) == (True, [])


def test_a_snapshot_that_the_log_caught_up_with_is_not_installed():
    """Figure 13, step 6: it would take entries back that are acknowledged."""
    follower = unverified()
    follower.hear(AppendEntries, 2, entries=commands(1, 1, 1, 1, 1, 1))

    follower.do(core.snapshot_staged, 2, 5, 2)

    assert (follower.raft.receiving, follower.raft.log.truncated_index) == (None, 0)
    assert len(follower.terms()) == 6


def test_nothing_moves_while_a_snapshot_is_being_installed():
    """D11: what comes in between is asked again afterwards."""
    follower = unverified()
    follower.hear(AppendEntries, 2, entries=commands(1, 1), leader_commit=1)
    follower.disk_held = True
    follower.do(core.snapshot_staged, 2, 5, 2)
    follower.sent(AppendEntriesReply)

    follower.hear(AppendEntries, 2, entries=commands(1, 1, 1), leader_commit=2)
    follower.hear(InstallSnapshot, 2, **{**CHUNK, "last_included_index": 9})
    follower.do(core.snapshot_staged, 2, 5, 2)
    follower.do(core.snapshot_refused, 2, 5)
    assert (follower.said, follower.raft.last_applied) == ([], 1)

    follower.finish_write()
    assert (follower.raft.last_applied, follower.raft.commit_index) == (5, 5)
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]


def test_an_install_without_a_leader_is_acknowledged_to_nobody():
    """§7: whoever leads next will ask where this server stands."""
    follower = unverified()
    follower.disk_held = True
    follower.do(core.snapshot_staged, 2, 5, 2)
    follower.do(core.forget_leader)

    follower.finish_write()

    assert (follower.raft.last_applied, follower.sent(AppendEntriesReply)) == (5, [])


def test_a_damaged_snapshot_is_asked_for_from_its_first_byte():
    """D10: and never installed."""
    follower = Server(1, term=1)
    follower.staged_is_sound = False

    follower.hear(InstallSnapshot, 2, **CHUNK, done=True)

    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [0]
    assert (follower.raft.receiving, follower.raft.last_applied) == (None, 0)


def test_another_leader_sends_the_same_snapshot_from_its_first_byte():
    """Figure 13: its bytes may be cut or packed in another way."""
    follower = Server(1, term=1)
    follower.hear(InstallSnapshot, 2, **CHUNK)
    follower.hear(InstallSnapshot, 3, **{**CHUNK, "term": 2}, offset=2)
    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [2, 0]

    follower.hear(InstallSnapshot, 3, **{**CHUNK, "term": 2})

    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [2]


def test_a_late_chunk_of_an_older_snapshot_does_not_begin_it_again():
    """Figure 13: it would throw away all that has arrived since."""
    follower = Server(1, term=1)
    follower.hear(InstallSnapshot, 2, **CHUNK)

    follower.hear(InstallSnapshot, 2, **{**CHUNK, "last_included_index": 4})

    assert follower.raft.receiving is not None
    assert follower.raft.receiving.snapshot.last_included_index == 5


def test_a_snapshot_of_what_is_there_already_is_acknowledged():
    """Figure 13, step 6: the entries behind it stay; a partial later one goes on."""
    follower = Server(1, log=(1, 1, 1, 1, 1, 1))
    follower.hear(InstallSnapshot, 2, **{**CHUNK, "last_included_index": 9})

    follower.hear(InstallSnapshot, 2, **CHUNK)

    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]
    assert (follower.raft.commit_index, len(follower.terms())) == (5, 6)
    assert follower.raft.receiving is not None


def test_a_partial_snapshot_that_the_commit_has_passed_is_dropped():
    """Figure 13, step 5: nobody will finish it."""
    follower = Server(1, term=1)
    follower.hear(InstallSnapshot, 2, **CHUNK)
    follower.hear(AppendEntries, 2, entries=commands(1, 1, 1, 1, 1))

    follower.hear(InstallSnapshot, 2, **CHUNK, offset=2)

    assert follower.raft.receiving is None


def unverified(*, done: bool = True) -> Server:
    """A follower that has all of a snapshot at 5, while its driver still stages and verifies it."""
    follower = Server(1, term=1)
    core.step(follower.raft, InstallSnapshot(0, 2, 1, 1, *MARK, 0, b"ab", done))
    duties = core.ready(follower.raft)
    assert duties.received[-1].done is done
    follower.staged = b"ab"
    return follower
