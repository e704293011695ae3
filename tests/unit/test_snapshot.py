"""Cutting the log and sending snapshots: what Figure 13 leaves to details."""

import pytest

from messages.codec import encode_membership
from messages.raft import (
    MEMBERSHIP,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HeartbeatReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Snapshot,
)
from raft import core
from raft.log import ENTRY_OVERHEAD_BYTES
from raft.progress import SnapshotSending
from raft.state import Config
from tests.network import PAPER, Server, commands

SHORT_LOG = PAPER._replace(log_trailing_entries=0, log_behind_bytes_max=0, snapshot_retry_ticks=5)


# Cutting the log.


def test_the_log_is_cut_behind_a_saved_state_only():
    """D11: what no durable state holds yet is needed for a restart."""
    server = leader_behind(entries=4)
    server.do(core.state_saved, 3)

    assert (server.raft.saved_index, server.raft.log.truncated_index) == (3, 3)
    assert server.disk.base == Snapshot(3, 1, Membership((1, 2, 3)))


def test_old_news_of_a_saved_state_changes_nothing():
    """D8: the mark never falls."""
    server = leader_behind(entries=4)
    server.do(core.state_saved, 3)

    server.do(core.state_saved, 2)

    assert (server.raft.saved_index, server.raft.log.truncated_index) == (3, 3)


def test_a_state_cannot_be_saved_before_it_is_applied():
    """D3: the driver and the core disagree about what happened."""
    server = leader_behind(entries=1)

    with pytest.raises(AssertionError):
        server.do(core.state_saved, 3)


def test_some_entries_are_kept_for_those_a_little_late():
    """§7: a follower that is a little behind costs no snapshot."""
    server = leader_behind(entries=9, config=PAPER._replace(log_trailing_entries=4))

    server.save()

    assert (server.raft.last_applied, server.raft.log.truncated_index) == (10, 6)


def test_large_entries_are_kept_up_to_a_bound_in_bytes():
    """O3: ten thousand entries may be more than there is memory, with nobody late at all."""
    weight = 1 + ENTRY_OVERHEAD_BYTES
    server = leader_behind(entries=9, config=PAPER._replace(log_trailing_bytes=4 * weight))

    server.save()

    assert (server.raft.last_applied, server.raft.log.truncated_index) == (10, 6)


def test_what_a_live_follower_lacks_is_kept_however_little_trails():
    """§7: who is heard and behind has the larger bound, log_behind_bytes_max."""
    config = PAPER._replace(log_trailing_bytes=0)
    server = Server(1, config=config).lead().acknowledged(2, 3)
    for _ in range(9):
        server.do(core.propose, (b"x",))
    server.acknowledged(2)

    server.save()

    assert (server.raft.last_applied, server.raft.log.truncated_index) == (10, 1)


def test_what_a_live_follower_lacks_is_kept_up_to_a_bound():
    """O3: one slow follower must not let the log grow for ever."""
    weight = 1 + ENTRY_OVERHEAD_BYTES
    keeping = SHORT_LOG._replace(log_behind_bytes_max=8 * weight)
    server = Server(1, config=keeping).lead().acknowledged(2, 3)
    for _ in range(10):
        server.do(core.propose, (b"x",))
    server.acknowledged(2)

    server.save()
    assert server.raft.log.truncated_index == 3, "server 3 needs from 2 on; eight are kept"


def test_a_silent_follower_is_not_waited_for():
    """§7: it gets a snapshot when it comes back."""
    server = leader_behind(entries=4, config=PAPER._replace(log_trailing_entries=0))

    server.save()

    assert server.raft.log.truncated_index == 5


def test_the_log_behind_a_snapshot_on_its_way_is_kept():
    """§7: or the follower would need another snapshot after it, and another."""
    server = leader_behind(entries=4, config=PAPER._replace(log_trailing_entries=0))
    server.save()
    hear_of_third(server)
    assert sending_to_third(server).snapshot.last_included_index == 5
    server.do(core.propose, (b"x",))
    server.acknowledged(2)

    server.save()

    assert (server.raft.saved_index, server.raft.log.truncated_index) == (6, 5)


def test_a_follower_that_dies_during_its_snapshot_holds_no_log():
    """O2: it may be gone for good; if it comes back, another snapshot follows."""
    leader = sending_leader(snapshot_window_bytes=4)
    leader.tick(2 * PAPER.election_ticks_max)

    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)
    leader.save()

    assert leader.raft.log.truncated_index == 6


# Sending.


def test_a_snapshot_waits_until_its_follower_is_heard():
    """§7: a dead server costs nothing but its probes."""
    leader = leader_behind(entries=4)
    leader.save()
    leader.tick(10)
    assert leader.sent(InstallSnapshot) == []

    hear_of_third(leader)

    assert len(leader.sent(InstallSnapshot)) == 1


def test_chunks_fill_a_window_and_wait_for_answers():
    """O3: bytes on their way to one follower are bounded."""
    leader = sending_leader(snapshot_window_bytes=4)
    assert offsets(leader) == [0, 2]

    answer(leader, 2)
    assert offsets(leader) == [4]
    answer(leader, 2)
    assert offsets(leader) == []


def test_an_answer_that_went_missing_is_not_waited_for_for_ever():
    """Figure 13: after a silence the leader goes on from where the follower last stood."""
    leader = sending_leader(snapshot_window_bytes=4)
    answer(leader, 2)
    leader.sent(InstallSnapshot)

    leader.tick(SHORT_LOG.snapshot_retry_ticks)

    assert offsets(leader) == [2, 4]


def test_without_news_a_snapshot_is_sent_again_ever_more_seldom():
    """O3: a slow network still carries what was sent before; as much again would choke it."""
    leader = sending_leader(snapshot_window_bytes=2)
    leader.sent(InstallSnapshot)

    sent_at = []
    for tick in range(150):
        leader.tick()
        leader.hear(HeartbeatReply, 3, read_round=1)
        sent_at += [tick + 1 for _ in offsets(leader)]
    answer(leader, 2)
    leader.sent(InstallSnapshot)
    leader.tick(SHORT_LOG.snapshot_retry_ticks)

    assert sent_at == [5, 15, 35, 75]
    assert offsets(leader) == [2], "patience ends with news"


def test_a_follower_that_has_all_and_does_not_say_that_it_is_installed_gets_it_again():
    """Figure 13: it may have crashed; while it installs, or if it has, it takes no chunk."""
    leader = sending_leader(snapshot_window_bytes=100)
    answer(leader, 10)
    leader.sent(InstallSnapshot)

    leader.tick(SHORT_LOG.snapshot_retry_ticks)

    assert offsets(leader) == [0, 2, 4, 6, 8]


def test_a_follower_that_starts_over_is_followed_after_a_silence():
    """Figure 13: it restarted, and what was staged is gone."""
    leader = sending_leader(snapshot_window_bytes=4)
    answer(leader, 4)
    answer(leader, 0)
    assert offsets(leader) == [0, 2, 4, 6]

    leader.tick(SHORT_LOG.snapshot_retry_ticks)

    assert offsets(leader) == [0, 2]


def test_late_answers_cause_no_storm():
    """Figure 13: going back at once would send a whole window again for each of them."""
    leader = sending_leader(snapshot_window_bytes=4)
    answer(leader, 4)
    leader.sent(InstallSnapshot)

    for _ in range(100):
        answer(leader, 2)

    assert offsets(leader) == []


def test_going_back_too_far_is_made_good():
    """Figure 13: the follower names one offset only, even if that is ahead of what is sent."""
    leader = sending_leader(snapshot_window_bytes=4)
    answer(leader, 4)
    answer(leader, 0)
    leader.tick(SHORT_LOG.snapshot_retry_ticks)
    leader.sent(InstallSnapshot)

    for _ in range(2):
        answer(leader, 8)
        leader.tick(SHORT_LOG.snapshot_retry_ticks)

    assert min(offsets(leader)) == 8


def test_an_answer_about_another_snapshot_means_nothing():
    """Figure 13: offsets of one say nothing about the other."""
    leader = sending_leader(snapshot_window_bytes=4)
    leader.sent(InstallSnapshot)

    answer(leader, 2, index=4)
    leader.hear(InstallSnapshotReply, 2, last_included_index=5, next_offset=2)

    assert offsets(leader) == []
    assert sending_to_third(leader).acked_offset == 0


@pytest.mark.parametrize(
    "other",
    [
        {"target": 2},
        {"target": 9},
        {"term": 0},
        {"last_included_index": 4},
        {"offset": 2},
    ],
    ids=str,
)
def test_a_report_of_another_chunk_moves_nothing(other):
    """Figure 13: the driver may report a chunk that was asked for in other times."""
    leader = sending_leader(snapshot_window_bytes=4)
    install = sending_to_third(leader)
    install.resume()
    (wanted,) = core.ready(leader.raft).wanted

    core.snapshot_sent(leader.raft, wanted._replace(data=b"ab", **other))
    assert (install.sent_offset, install.wanted) == (0, True)

    core.snapshot_sent(leader.raft, wanted._replace(data=b"ab"))
    assert (install.sent_offset, install.wanted) == (2, False)


def test_a_snapshot_that_cannot_be_read_any_more_is_begun_anew():
    """§7: the driver has saved another state meanwhile; what is known is asked again."""
    leader = sending_leader(snapshot_window_bytes=4)
    leader.sent(InstallSnapshot)

    leader.do(core.snapshot_failed, 3)

    assert offsets(leader) == [0, 2]


def test_a_failure_that_concerns_nobody_changes_nothing():
    """§7: nothing is sent to server 2, nothing received from it, and nobody knows 9."""
    leader = sending_leader(snapshot_window_bytes=4)
    leader.sent(InstallSnapshot)
    before = [progress.sending for progress in leader.raft.progress.values()]

    for peer in (2, 9):
        leader.do(core.snapshot_failed, peer)

    assert [progress.sending for progress in leader.raft.progress.values()] == before
    assert offsets(leader) == []


def test_a_snapshot_that_was_installed_is_followed_by_entries():
    """§7: the leader goes on behind it."""
    leader = sending_leader(snapshot_window_bytes=100)
    leader.do(core.propose, (b"more",))
    leader.sent(AppendEntries)

    leader.hear(AppendEntriesReply, 3, success=True, match_index=5)

    appends = [append for append in leader.sent(AppendEntries) if append.target == 3]
    assert [(append.prev_log_index, len(append.entries)) for append in appends] == [(5, 1)]


def test_a_snapshot_that_the_log_was_cut_past_is_followed_by_another():
    """§7: a follower is not left with one that no entry follows any more."""
    leader = sending_leader(snapshot_window_bytes=100)
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)
    leader.save()
    assert leader.raft.log.truncated_index == 6

    leader.hear(AppendEntriesReply, 3, success=True, match_index=5)

    assert sending_to_third(leader).snapshot.last_included_index == 6


def test_a_state_that_holds_no_voters_is_not_sent():
    """§6: a server that joined empty learned its voters from an entry behind that state."""
    wider = Entry(1, MEMBERSHIP, encode_membership(Membership((1, 2, 3))))
    heir = Server(1, voters=(), term=1, config=SHORT_LOG)
    heir.hear(AppendEntries, 2, entries=(*commands(1, 1), wider), leader_commit=2)
    heir.save()
    heir.lead()

    hear_of_third(heir)
    assert (heir.raft.log.truncated_index, heir.sent(InstallSnapshot)) == (2, [])

    heir.acknowledged(2)
    heir.save()
    assert [chunk.membership.voters for chunk in heir.sent(InstallSnapshot)] == [(1, 2, 3)]


def leader_behind(*, entries: int, config: Config = SHORT_LOG) -> Server:
    """A leader of three whose entries server 2 holds, while server 3 was never heard."""
    leader = Server(1, config=config).lead().acknowledged(2)
    for _ in range(entries):
        leader.do(core.propose, (b"x",))
    return leader.acknowledged(2)


def sending_leader(snapshot_window_bytes: int) -> Server:
    """A leader that sends server 3 a snapshot at 5 of ten bytes, in chunks of two."""
    config = SHORT_LOG._replace(snapshot_window_bytes=snapshot_window_bytes)
    leader = Server(1, config=config).lead().acknowledged(2)
    leader.chunk_bytes = 2
    leader.do(core.propose, (b"abc", b"def", b"ghi", b"j"))
    leader.acknowledged(2)
    leader.save()
    hear_of_third(leader)
    return leader


def hear_of_third(leader: Server) -> None:
    """Server 3 answers a heartbeat, and the probe that it is far behind."""
    leader.hear(HeartbeatReply, 3, read_round=1)
    near = leader.raft.progress[3].next_index - 1
    leader.hear(AppendEntriesReply, 3, success=False, prev_log_index=near)


def sending_to_third(leader: Server) -> SnapshotSending:
    """How far the snapshot for server 3 is."""
    install = leader.raft.progress[3].install
    assert install is not None
    return install


def answer(leader: Server, next_offset: int, index: int = 5) -> None:
    """Server 3 says how much has arrived of the snapshot at this index."""
    leader.hear(InstallSnapshotReply, 3, last_included_index=index, next_offset=next_offset)


def offsets(leader: Server) -> list[int]:
    """Where the chunks begin that have left since last asked."""
    return [chunk.offset for chunk in leader.sent(InstallSnapshot)]
