"""raft/driver.py: one group's Raft among the actors of its node, and the promises it keeps."""

from random import Random

import pytest

from messages.local import (
    Applied,
    AskMarks,
    AskRead,
    ChunkRead,
    Committed,
    Handover,
    InstallState,
    Marks,
    ProposalRefused,
    Propose,
    Proposed,
    ReadAt,
    ReadChunk,
    RoleIs,
    SnapshotUnavailable,
    Space,
    StageChunk,
    Staged,
    StagingFailed,
    StateInstalled,
    StateSaved,
    Written,
)
from messages.raft import (
    COMMAND,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    PreVoteReply,
    ReadIndexReply,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)
from raft.core import start
from raft.counters import RaftCounters
from raft.driver import HELD_BYTES_MAX, Driver
from raft.progress import Sending
from raft.state import Config, Role, Saved

CONFIG = Config(log_trailing_entries=0)
THREE = Membership((1, 2, 3))
NOTHING_COUNTED = RaftCounters().counted()


def driver(voters=(1,), entries=(), applied=0):
    """A server's driver, started from a disk that holds these entries."""
    base = Snapshot(0, 0, Membership(voters))
    saved = Saved(HardState(1 if entries else 0, 0, applied), base, entries, applied)
    return Driver(start(0, 1, CONFIG, Random(1), saved))


def written(found):
    """Let every write become durable, and its consequences too: what was said meanwhile."""
    said = found.turn()
    while True:
        for write in said.to_writer:
            found.on_local(Written(write.number))
        more = found.turn()
        said = type(said)(*(old + new for old, new in zip(said, more, strict=True)))
        if not more.to_writer:
            return said
        said.to_writer[:] = more.to_writer


@pytest.fixture
def leader():
    """The leader of a group of its own."""
    found = driver()
    while found.raft.role is not Role.LEADER:
        found.tick()
        written(found)
    return found


@pytest.fixture
def follower():
    """A follower of server 2, in term 1."""
    found = driver((1, 2, 3))
    found.on_peer(AppendEntries(0, 2, 1, 1, 0, 0, 0, (Entry(1, COMMAND, b"x"),)))
    written(found)
    return found


def test_a_proposal_is_placed_written_and_then_committed(leader):
    """Mission row 7: Start, log, commit, apply channel."""
    leader.on_local(Propose(7, b"batch"))

    said = written(leader)

    assert Proposed(7, 1, 2) in said.to_server
    assert Committed(2, (Entry(1, COMMAND, b"batch"),)) in said.to_server


def test_a_leader_waits_for_followers_only_once_it_has_written_itself(leader, follower):
    """Then their answer is near, and its thread stays awake for it (decision 0016)."""
    group = leader.raft
    group.memberships[-1] = (0, Membership((1, 2)))
    leader.on_local(Propose(7, b"batch"))
    (write,) = leader.turn().to_writer
    assert not leader.awaits_followers

    leader.on_local(Written(write.number))
    assert leader.awaits_followers and not follower.awaits_followers

    group.commit_index = group.log.last_index
    assert not leader.awaits_followers


def test_a_proposal_that_is_not_taken_up_says_why(follower):
    """C1: it is not in the log."""
    follower.on_local(Propose(7, b"batch"))

    assert follower.turn().to_server == [ProposalRefused(7, "NOT_LEADER")]


def test_a_full_disk_takes_no_proposals_and_goes_on_leading(leader):
    """O1: and when there is space again, proposals are taken again."""
    leader.on_local(Space(is_left=False))
    leader.on_local(Propose(7, b"batch"))
    leader.on_local(Space(is_left=True))
    leader.on_local(Propose(8, b"batch"))

    assert leader.turn().to_server == [
        Space(is_left=False),
        ProposalRefused(7, "DISK_FULL"),
        Space(is_left=True),
        Proposed(8, 1, 2),
    ]


def test_a_place_in_the_log_is_told_with_the_next_word_or_tick(leader):
    """A word of its own would wake the KVServer once more for every write."""
    leader.on_local(Propose(7, b"batch"))
    assert (leader.turn().to_server, leader.idle_ticks()) == ([], 0)
    leader.tick()
    assert leader.turn().to_server == [Proposed(7, 1, 2)]

    leader.on_local(Propose(8, b"batch"))
    assert leader.turn().to_server == []
    leader.on_local(AskMarks())
    assert leader.turn().to_server == [Proposed(8, 1, 3), Marks(1, 3, 0, NOTHING_COUNTED)]


def test_a_commit_is_told_with_the_next_append_or_tick():
    """A heartbeat of its own would cost each follower two turns for a write of a lone client."""
    group, term = driver((1, 2, 3)), 0
    while group.raft.role is not Role.LEADER:
        group.tick()
        written(group)
        term = group.raft.current_term
        group.on_peer(PreVoteReply(0, 2, 1, term, vote_granted=True))
        group.on_peer(RequestVoteReply(0, 2, 1, term, vote_granted=True))
        written(group)

    group.on_peer(AppendEntriesReply(0, 2, 1, term, True, 1, 0, 0))
    assert (group.turn().to_peers, group.raft.commit_index) == ([], 1)
    group.tick()
    assert [(told.target, told.leader_commit) for told in group.turn().to_peers] == [(2, 1)]

    group.on_local(Propose(1, b"x"))
    written(group)
    group.on_peer(AppendEntriesReply(0, 2, 1, term, True, 2, 1, 0))
    assert (group.turn().to_peers, group.raft.commit_index) == ([], 2)
    group.on_local(Propose(2, b"y"))
    assert [(type(sent), sent.leader_commit) for sent in group.turn().to_peers] == [
        (AppendEntries, 2)
    ]
    group.tick()
    assert group.turn().to_peers == []


def test_a_follower_applies_at_once_what_was_committed_in_a_while(follower):
    """Nobody there waits for it: a word of its own would wake the KVServer for every write."""
    append(follower, 2, 1)
    append(follower, 3, 2)
    assert (follower.turn().to_server, follower.raft.handed_index) == ([], 2)
    for left in (4, 3, 2, 1):
        assert follower.idle_ticks() == left
        follower.tick()
        assert follower.turn().to_server == []

    follower.tick()

    assert follower.turn().to_server == [
        Committed(1, (Entry(1, COMMAND, b"x"),)),
        Committed(2, (Entry(1, COMMAND, b"x"),)),
    ]


def test_a_follower_applies_at_once_what_a_read_there_must_see(follower):
    """R4: from the index that the leader gave on nothing is held back, until that is applied."""
    append(follower, 2, 0)
    append(follower, 3, 1)
    follower.on_local(AskRead(5, lease=False))
    (asked,) = follower.turn().to_peers
    follower.on_peer(ReadIndexReply(0, 2, 1, 1, asked.read_id, 3))
    first = Committed(1, (Entry(1, COMMAND, b"x"),))
    assert follower.turn().to_server == [first, ReadAt(5, 3)]

    said = [append(follower, 4, 2), append(follower, 5, 3), append(follower, 6, 4)]

    assert [len(to_server) for to_server in said] == [1, 1, 0]


def test_a_follower_applies_at_once_what_is_much(follower):
    """At the bound of what may be unapplied nothing more would be handed out until the beat."""
    payload = bytes(HELD_BYTES_MAX)
    follower.on_peer(AppendEntries(0, 2, 1, 1, 1, 1, 1, (Entry(1, COMMAND, payload),)))
    assert written(follower).to_server == []

    said = append(follower, 3, 2)

    assert [word.first_index for word in said] == [1, 2]


def append(follower, index, commit_index):
    """The leader's next entry is written, and so much of the log committed; what KVServer hears."""
    entries = (Entry(1, COMMAND, b"x"),)
    follower.on_peer(AppendEntries(0, 2, 1, 1, index - 1, 1, commit_index, entries))
    return written(follower).to_server


def test_what_a_write_held_back_need_not_wait_for_the_turn(follower):
    """D2: it is durable; the leader waits for this word, and nobody for the rest."""
    follower.on_peer(AppendEntries(0, 2, 1, 1, 1, 1, 0, (Entry(1, COMMAND, b"x"),)))
    (write,) = follower.turn().to_writer
    assert follower.take_promised() == []

    follower.on_local(Written(write.number))

    assert follower.take_promised() == [AppendEntriesReply(0, 1, 2, 1, True, 2, 2, 0)]
    assert follower.turn().to_peers == []


def test_what_a_leader_says_is_never_taken_out_of_its_turn(leader):
    """Appends that are held back for a peer come before what is said to it now."""
    leader.on_local(Propose(7, b"batch"))
    (write,) = leader.turn().to_writer
    leader.on_local(ChunkRead(InstallSnapshot(0, 1, 2, 1, 1, 1, Membership((1,)), 0, b"x", True)))
    leader.on_local(Written(write.number))

    assert leader.take_promised() == []


def test_what_is_saved_was_applied(leader):
    """Word of the one may come before word of the other."""
    leader.on_local(Propose(7, b"batch"))
    written(leader)

    leader.on_local(StateSaved(2))

    assert (leader.raft.last_applied, leader.raft.saved_index) == (2, 2)


def test_a_role_is_told_when_it_changes(leader):
    """KVServers refuse or let in by it."""
    fresh = driver()

    assert fresh.turn().to_server == [RoleIs("follower", 0, 0)]
    assert fresh.turn().to_server == []
    assert leader.raft.leader_id == 1


def test_a_reply_leaves_when_its_write_is_durable():
    """D1, D2: the write and the messages that wait for it stay together."""
    found = driver((1, 2, 3))
    found.on_peer(AppendEntries(0, 2, 1, 1, 0, 0, 0, (Entry(1, COMMAND, b"x"),)))
    said = found.turn()

    assert said.to_peers == []
    found.on_local(Written(said.to_writer[0].number))
    (reply,) = found.turn().to_peers
    assert isinstance(reply, AppendEntriesReply) and reply.success


def test_a_write_that_was_never_handed_out_is_our_bug(leader):
    """One is in flight at most, and the LogWriter answers each once."""
    with pytest.raises(AssertionError):
        leader.on_local(Written(99))


def test_a_read_gets_its_index_or_must_be_asked_again(leader):
    """R1: where nobody leads, no index can be found."""
    lonely = driver((1, 2, 3))
    leader.on_local(AskRead(5, lease=False))
    lonely.on_local(AskRead(6, lease=True))

    assert ReadAt(5, 1) in written(leader).to_server
    assert ReadAt(6, None) in lonely.turn().to_server


def test_marks_tell_how_far_the_log_is(leader):
    """For status."""
    leader.on_local(AskMarks())

    assert leader.turn().to_server == [Marks(1, 1, 0, NOTHING_COUNTED)]


def test_what_is_applied_and_saved_lets_the_log_be_cut(leader):
    """D11: no further than the state is durable."""
    leader.on_local(Applied(1))
    leader.on_local(StateSaved(1))

    (write,) = leader.turn().to_writer

    assert write.base == Snapshot(1, 1, Membership((1,)))


def test_a_handover_asks_whoever_is_fit(follower):
    """Mission row 18; without anybody it changes nothing."""
    found = driver((1, 2, 3))
    leads(found)
    found.on_local(Handover(0))
    said = written(found)
    follower.on_local(Handover(0))

    assert any(isinstance(message, TimeoutNow) for message in said.to_peers)
    assert follower.turn().to_peers == []


def test_a_chunk_is_read_sent_and_counted():
    """Mission row 13: what the leader's log no longer holds goes as a snapshot."""
    found = cut_leader()
    (wanted,) = [at for at in written(found).to_server if isinstance(at, ReadChunk)]

    chunk = wanted.chunk._replace(data=b"bytes", done=True)
    found.on_local(ChunkRead(chunk))

    assert chunk in found.turn().to_peers
    assert found.raft.progress[2].install.all_sent


def test_a_snapshot_that_cannot_be_read_is_given_up():
    """The follower is asked where it stands, and gets the next one."""
    found = cut_leader()
    written(found)

    found.on_local(SnapshotUnavailable(2))

    assert found.raft.progress[2].sending is Sending.PROBE


CHUNK = InstallSnapshot(0, 2, 1, 1, 9, 1, THREE, 0, b"bytes", done=True)


def test_a_state_is_installed_before_the_log_starts_behind_it(follower):
    """A crash between the two leaves the later state with the older log, which boot mends."""
    follower.on_peer(CHUNK)
    said = follower.turn()
    assert said.to_server == [StageChunk(CHUNK)]
    assert said.to_peers == []  # acknowledged when it is staged, no sooner

    follower.on_local(Staged(2, 9, 5))
    said = follower.turn()
    assert [type(at) for at in said.to_peers] == [InstallSnapshotReply]
    assert said.to_server == [InstallState(Snapshot(9, 1, THREE))]
    assert said.to_writer == []

    follower.on_local(StateInstalled(9))
    (write,) = follower.turn().to_writer
    assert write.snapshot == Snapshot(9, 1, THREE)
    follower.on_local(Written(write.number))
    assert follower.raft.last_applied == 9


def test_a_snapshot_that_does_not_verify_is_never_installed(follower):
    """D10: the leader is asked to begin again."""
    follower.on_peer(CHUNK)
    follower.turn()

    follower.on_local(StagingFailed(2, 9))

    (reply,) = follower.turn().to_peers
    assert reply.next_offset == 0
    assert follower.raft.receiving is None


def leads(found):
    """Let it win an election with the vote of server 2, who then holds all that it holds."""
    while found.raft.role is not Role.CANDIDATE:
        found.tick()
        found.on_peer(PreVoteReply(0, 2, 1, found.raft.current_term, vote_granted=True))
    written(found)
    found.on_peer(RequestVoteReply(0, 2, 1, found.raft.current_term, vote_granted=True))
    written(found)
    last = found.raft.log.last_index
    found.on_peer(AppendEntriesReply(0, 2, 1, found.raft.current_term, True, last, last, 0))
    written(found)


def cut_leader():
    """A leader whose log was cut behind what server 2, back from a crash, holds."""
    found = driver((1, 2), entries=(Entry(1, COMMAND, b"x"),), applied=1)
    found.on_local(StateSaved(1))
    leads(found)
    found.on_local(Applied(2))
    found.on_local(StateSaved(2))
    found.raft.progress[2].match_index = 0
    found.raft.progress[2].become_probe()
    found.raft.progress[2].recent_active = True
    return found
