"""§7: a state replaces the log before it, and travels in the steps of Figure 13."""

import pytest

from messages.raft import (
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
)
from raft.core import propose, state_saved, step
from raft.state import Refusal
from tests.network import PAPER, Server, commands, trio

SHORT_LOG = PAPER._replace(log_trailing_entries=0, log_behind_bytes_max=0)
"""Servers that keep nothing of their log behind a saved state."""

MEMBERS = Membership(voters=(1, 2, 3, 4))
SNAPSHOT = {"last_included_index": 5, "last_included_term": 2, "membership": MEMBERS}


def test_a_first_chunk_begins_a_snapshot_and_waits_for_more():
    """Figure 13, steps 2 and 4: create it at offset 0, reply, and wait for more chunks."""
    follower = Server(3, log=(1, 1), term=2)

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"ab")

    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [2]
    assert (follower.raft.commit_index, follower.terms()) == (0, (1, 1))


def test_chunks_are_written_at_their_offset_and_in_order():
    """Figure 13, step 3: write data into the snapshot at the given offset; each once, no gaps."""
    follower = Server(3, term=2)

    for offset, data in [(0, b"ab"), (4, b"ef"), (2, b"cd"), (0, b"ab"), (2, b"cd")]:
        follower.hear(InstallSnapshot, 1, **SNAPSHOT, offset=offset, data=data)

    replies = follower.sent(InstallSnapshotReply)
    assert [reply.next_offset for reply in replies] == [2, 2, 4, 4, 4]
    assert follower.staged == b"abcd"


def test_a_snapshot_is_not_begun_in_its_middle():
    """Figure 13, step 2: a first chunk has offset 0; who missed it asks for it."""
    follower = Server(3, term=2)

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, offset=4, data=b"ef", done=True)

    assert [reply.next_offset for reply in follower.sent(InstallSnapshotReply)] == [0]
    assert follower.raft.commit_index == 0


def test_a_newer_snapshot_replaces_a_partial_one():
    """Figure 13, step 5: discard any existing or partial snapshot with a smaller index."""
    follower = Server(3, term=2)
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"old")

    newer = {**SNAPSHOT, "last_included_index": 8}
    follower.hear(InstallSnapshot, 1, **newer, data=b"new", done=True)

    assert (follower.state, follower.raft.commit_index) == (b"new", 8)


def test_a_snapshot_of_another_leader_starts_from_its_beginning():
    """Figure 13, step 2: the same index and term may be other bytes elsewhere."""
    follower = Server(3, term=2)
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"ab")

    follower.hear(InstallSnapshot, 2, term=3, **SNAPSHOT, offset=2, data=b"cd", done=True)
    state_before = follower.state
    follower.hear(InstallSnapshot, 2, term=3, **SNAPSHOT, data=b"xyz", done=True)

    assert (state_before, follower.state) == (b"", b"xyz")


def test_log_entries_behind_the_snapshot_are_kept_where_it_agrees():
    """Figure 13, step 6: if a log entry has its index and term, retain what follows it."""
    follower = Server(3, log=(1, 1, 2, 2, 2, 2, 2))

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    assert follower.terms() == (1, 1, 2, 2, 2, 2, 2)
    assert (follower.raft.commit_index, follower.state) == (5, b"11222")
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]


def test_a_snapshot_before_the_commit_index_changes_nothing():
    """§7: what it holds is committed here already; the leader is told so."""
    follower = Server(3, log=(1, 1, 1, 1, 1, 1), term=2, commit=6)

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    assert (follower.raft.commit_index, follower.state) == (6, b"111111")
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [6]


@pytest.mark.parametrize("log", [(), (1, 1), (1, 1, 1, 1, 1, 1, 1)])
def test_a_snapshot_replaces_log_state_and_membership(log):
    """Figure 13, steps 7 and 8: discard the entire log, reset the state, load the membership."""
    follower = Server(3, log=log, term=2, commit=len(log[:2]))

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    assert (follower.terms(), follower.state) == ((), b"state")
    assert follower.raft.commit_index == follower.raft.last_applied == 5
    assert follower.raft.membership == MEMBERS
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]


def test_a_server_restarts_from_the_snapshot_that_it_installed():
    """Figure 13, step 5: it is saved, and the entries behind it follow."""
    follower = Server(3, term=2)
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state-", done=True)
    place = {"prev_log_index": 5, "prev_log_term": 2}
    follower.hear(AppendEntries, 1, **place, entries=commands(2), leader_commit=6)

    follower.restart()

    assert (follower.state, follower.terms()) == (b"state-2", (2,))
    assert follower.raft.membership == MEMBERS


def test_a_snapshot_counts_only_when_it_is_durable():
    """Figure 13, step 5, D2: save it, then reply."""
    follower = Server(3, term=2)
    follower.disk_held = True

    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)
    marks_before = (follower.raft.commit_index, follower.raft.last_applied)
    told_before = follower.sent(AppendEntriesReply)
    follower.finish_write()

    assert (marks_before, told_before) == ((0, 0), [])
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]


def test_a_stale_heartbeat_during_an_install_applies_nothing():
    """§7: the state that would apply it is being replaced."""
    follower = Server(3, log=(1, 1, 1), term=2)
    follower.disk_held = True
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    follower.hear(Heartbeat, 1, leader_commit=2)
    applied_before = (follower.raft.last_applied, follower.state)
    follower.finish_write()

    assert applied_before == (0, b"")
    assert (follower.raft.commit_index, follower.state) == (5, b"state")


def test_a_heartbeat_during_an_install_moves_no_commit_past_the_log():
    """§7: the commit index that a leader names is ahead of a log that lacks the entries."""
    follower = Server(3, log=(1,), term=2, commit=1)
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"sta")

    follower.hear(Heartbeat, 1, leader_commit=9)

    assert follower.raft.commit_index == follower.raft.last_applied == 1


def test_appends_wait_while_a_snapshot_is_being_installed():
    """§7: what they would add is about to be discarded, so nothing of it may be acknowledged."""
    follower = Server(3, term=2)
    follower.disk_held = True
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    follower.hear(AppendEntries, 1, entries=commands(1, 1))
    follower.finish_write()

    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [5]
    assert follower.terms() == ()


def test_a_snapshot_that_the_log_has_caught_up_with_is_dropped():
    """Figure 13, step 6: entries may arrive while the driver still verifies the snapshot."""
    follower = Server(3, term=2)
    install = InstallSnapshot(0, 1, 3, 2, 5, 2, MEMBERS, 0, b"state", True)

    step(follower.raft, install)
    follower.hear(AppendEntries, 1, entries=commands(1, 1, 2, 2, 2, 2), leader_commit=5)

    assert follower.terms() == (1, 1, 2, 2, 2, 2)
    assert follower.state == b"11222"


def test_a_second_snapshot_waits_while_one_is_being_installed():
    """§7: the newer one is taken afterwards, and both arrive."""
    follower = Server(3, term=2)
    follower.disk_held = True
    newer = {**SNAPSHOT, "last_included_index": 8}
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    follower.hear(InstallSnapshot, 1, **newer, data=b"newer", done=True)
    follower.finish_write()
    state_between = follower.state
    follower.disk_held = False
    follower.hear(InstallSnapshot, 1, **newer, data=b"newer", done=True)

    assert state_between == b"state"
    assert (follower.state, follower.raft.commit_index) == (b"newer", 8)


def test_nobody_campaigns_while_a_snapshot_is_being_installed():
    """§7: its log and membership are about to change under the votes."""
    follower = Server(3, term=2)
    follower.disk_held = True
    follower.hear(InstallSnapshot, 1, **SNAPSHOT, data=b"state", done=True)

    follower.tick(4 * PAPER.election_ticks_max)

    assert follower.raft.current_term == 2


def test_the_log_is_cut_only_where_the_state_is_durable():
    """§7, D11: entries are discarded once the snapshot completes writing, not before."""
    leader = Server(1, config=SHORT_LOG).lead().acknowledged(2, 3)
    leader.do(propose, [b"x"])
    leader.acknowledged(2, 3)

    cut_before = leader.raft.log.truncated_index
    leader.save()
    leader.restart()

    assert (cut_before, leader.raft.log.truncated_index) == (0, 2)
    assert leader.state == b"x"


def test_the_log_is_not_cut_past_the_saved_state():
    """§7, D11: what was applied since is in memory only, and comes back from the log."""
    leader = Server(1, config=SHORT_LOG).lead()
    leader.do(propose, [b"x", b"y"])
    leader.acknowledged(2, 3)

    leader.do(state_saved, 1)

    assert leader.raft.last_applied == 3
    assert leader.raft.log.truncated_index == 1


def test_the_entry_before_the_log_can_still_be_compared():
    """§7: last included index and term support the AppendEntries consistency check."""
    leader = Server(1, config=SHORT_LOG).lead().acknowledged(2, 3)
    leader.save()

    leader.do(propose, [b"x"])

    (append, _) = leader.sent(AppendEntries)[-2:]
    assert (append.prev_log_index, append.prev_log_term) == (1, 1)


def test_the_log_is_kept_for_a_follower_that_is_a_little_late():
    """§7: sending a snapshot instead of a few entries would waste both sides' time."""
    leader = Server(1, config=PAPER._replace(log_trailing_entries=0)).lead().acknowledged(2, 3)
    leader.do(propose, [b"x", b"y"])
    leader.acknowledged(2)

    leader.save()

    assert leader.raft.log.truncated_index == leader.raft.progress[3].match_index == 1


@pytest.fixture
def network():
    """A leader whose log no longer reaches back to what its last follower lacks."""
    leader, _, late = network = trio(SHORT_LOG)
    network.elect(leader)
    network.part({3})
    leader.do(propose, [b"a", b"b", b"c", b"d", b"e"])
    network.deliver()
    leader.save()
    leader.chunk_bytes = 2
    network.part()
    assert late.terms() == (1,)
    return network


def test_a_leader_sends_its_snapshot_when_the_next_entry_is_discarded(network):
    """§7: when it has already discarded the next log entry that it needs to send a follower."""
    leader, _, late = network

    network.tick(PAPER.heartbeat_ticks)

    assert [(chunk.offset, chunk.done) for chunk in leader.sent(InstallSnapshot)] == [
        (0, False),
        (2, False),
        (4, True),
    ]
    assert (late.state, late.raft.log.truncated_index) == (b"abcde", 6)


def test_entries_follow_an_installed_snapshot(network):
    """§7: then AppendEntries bring the follower up to date and keep it there."""
    leader, _, late = network

    leader.do(propose, [b"f"])
    network.tick(PAPER.heartbeat_ticks)
    leader.do(propose, [b"g"])
    network.deliver()
    network.tick(PAPER.heartbeat_ticks)

    assert late.state == leader.state == b"abcdefg"
    assert late.terms() == (1, 1)


def test_a_lost_chunk_is_sent_again(network):
    """§5.3, §7: if followers crash or packets are lost, the leader retries indefinitely."""
    leader, _, late = network
    leader.tick(PAPER.heartbeat_ticks)
    network.deliver(until=lambda: any(chunk.target == 3 for chunk in chunks(leader)))
    leader.outbox.clear()

    network.tick(SHORT_LOG.snapshot_retry_ticks + PAPER.heartbeat_ticks)

    assert late.state == b"abcde"


def test_a_follower_that_crashed_during_a_snapshot_starts_over(network):
    """§7, Figure 13: what was staged is gone, so it names offset 0 and the leader goes back."""
    leader, _, late = network
    leader.tick(PAPER.heartbeat_ticks)
    network.deliver(until=lambda: late.staged == b"ab")

    late.restart()
    network.tick(2 * SHORT_LOG.snapshot_retry_ticks)

    assert late.state == b"abcde"


def test_a_snapshot_that_does_not_verify_is_fetched_again(network):
    """§7, D10: a damaged one is never installed."""
    leader, _, late = network
    late.staged_is_sound = False
    leader.tick(PAPER.heartbeat_ticks)
    network.deliver(until=lambda: late.staged == b"abcde")
    commit_while_damaged = late.raft.commit_index

    late.staged_is_sound = True
    network.tick(2 * SHORT_LOG.snapshot_retry_ticks)

    assert commit_while_damaged == 1
    assert late.state == b"abcde"


def test_a_snapshot_that_is_gone_is_replaced_by_a_newer_one(network):
    """§7: the leader's state has been saved anew before all of the older one was sent."""
    leader, _, late = network
    leader.tick(PAPER.heartbeat_ticks)
    network.deliver(until=lambda: late.staged == b"ab")
    refused = leader.do(propose, [b"f"])
    leader.acknowledged(2)

    leader.save()
    network.tick(2 * SHORT_LOG.snapshot_retry_ticks)

    assert not isinstance(refused, Refusal)
    assert late.state == leader.state == b"abcdef"


def chunks(server):
    """The chunks that this server has just sent."""
    return [message for message in server.outbox if isinstance(message, InstallSnapshot)]
