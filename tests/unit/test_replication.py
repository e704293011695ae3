"""AppendEntries and its answers, commits and heartbeats: what the paper leaves to details."""

import pytest

from messages.codec import ENTRIES_MAX
from messages.raft import (
    COMMAND,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
)
from raft import core
from raft.log import ENTRY_OVERHEAD_BYTES
from raft.progress import Sending
from raft.state import Config
from tests.network import PAPER, Network, Server, commands, trio

SHORT_LOG = PAPER._replace(log_trailing_entries=0)


# What a leader sends.


def test_all_that_came_in_during_a_turn_leaves_in_one_append():
    """DESIGN: batching falls out of the loop, one message a follower and turn."""
    leader = leader_of(2, 3)
    core.propose(leader.raft, (b"a", b"b"))
    core.propose(leader.raft, (b"c",))
    leader.tick()

    appends = leader.sent(AppendEntries)
    assert [(append.target, len(append.entries)) for append in appends] == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("bytes_max", "sizes"), [(1, [1, 1, 1, 1]), (2 * (10 + ENTRY_OVERHEAD_BYTES), [2, 2])]
)
def test_an_append_is_cut_at_its_bound(bytes_max, sizes):
    """O3: by bytes, but one entry always goes, however large."""
    leader = leader_of(2, config=PAPER._replace(append_bytes_max=bytes_max))

    leader.do(core.propose, [bytes(10)] * 4)

    appends = [append for append in leader.sent(AppendEntries) if append.target == 2]
    assert [len(append.entries) for append in appends] == sizes
    assert [append.prev_log_index for append in appends][:2] == [1, 1 + sizes[0]]


def test_an_append_holds_no_more_entries_than_a_peer_takes():
    """docs/wire.md, bounds: small entries reach ENTRIES_MAX before any limit in bytes."""
    leader = leader_of(2)

    leader.do(core.propose, [b""] * (ENTRIES_MAX + 1))

    appends = [append for append in leader.sent(AppendEntries) if append.target == 2]
    assert [len(append.entries) for append in appends] == [ENTRIES_MAX, 1]


def test_a_full_window_moves_with_the_answers():
    """O3: in flight are at most so many messages (etcd: flow control full, move forward)."""
    leader = leader_of(2, config=PAPER._replace(inflight_messages_max=2))
    for _ in range(4):
        leader.do(core.propose, (b"x",))
    assert to_second(leader) == [(1, 1), (2, 1)]

    leader.acknowledged(2, index=2)
    assert to_second(leader) == [(3, 2)], "what gathered meanwhile goes together"

    leader.acknowledged(2, index=2)
    assert to_second(leader) == [], "an old answer frees nothing"


def test_a_window_is_bounded_in_bytes_too():
    """O3: few large entries weigh as much as many small ones."""
    leader = leader_of(2, config=PAPER._replace(inflight_bytes_max=100))

    for _ in range(4):
        leader.do(core.propose, (bytes(60),))

    assert to_second(leader) == [(1, 1), (2, 1)]


def test_a_full_window_that_was_lost_is_noticed():
    """Etcd's flow control: an answered heartbeat lets one append through, without entries."""
    leader = leader_of(2, config=PAPER._replace(inflight_messages_max=1))
    leader.do(core.propose, (b"lost",))
    leader.do(core.propose, (b"waiting",))
    leader.sent(AppendEntries)

    leader.hear(HeartbeatReply, 2, read_round=1)
    assert to_second(leader) == [(2, 0)]

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=2, match_index=1, hint_term=1)
    assert to_second(leader) == [(1, 2)], "from what is known to agree"


def test_a_window_whose_rest_was_compacted_ends_in_a_snapshot():
    """§7: the follower was silent while its window was full, and the log was cut past that."""
    leader = leader_of(2, 3, config=SHORT_LOG._replace(inflight_messages_max=1, check_quorum=True))
    for _ in range(3):
        leader.do(core.propose, (b"x",))
        leader.acknowledged(2)
    for _ in range(4):
        leader.tick(PAPER.election_ticks_max // 2)
        leader.acknowledged(2)
    leader.save()
    assert leader.raft.log.truncated_index > leader.raft.progress[3].next_index

    leader.hear(HeartbeatReply, 3, read_round=1)

    assert [chunk.target for chunk in leader.sent(InstallSnapshot)] == [3]


def test_a_commit_is_told_as_soon_as_it_is_known():
    """§5.3: with the next entries, or at once if there are none; once a commit."""
    leader = leader_of(2, 3)
    leader.do(core.propose, (b"x",))
    leader.sent(Heartbeat)

    leader.acknowledged(2)
    assert [(beat.target, beat.leader_commit) for beat in leader.sent(Heartbeat)] == [(2, 2)]

    leader.acknowledged(3)
    beats = leader.sent(Heartbeat)
    assert [(beat.target, beat.leader_commit, beat.read_round) for beat in beats] == [(3, 2, 0)]


def test_a_heartbeat_names_no_commit_that_the_follower_lacks():
    """§5.3: its log might still hold something else there."""
    leader = leader_of(2)
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)

    leader.tick(PAPER.heartbeat_ticks)

    commits = {beat.target: beat.leader_commit for beat in leader.sent(Heartbeat)}
    assert commits == {2: 2, 3: 0}


# What a follower does with it.


def test_a_late_short_append_erases_nothing():
    """D7: only a real conflict truncates; what follows may be acknowledged already."""
    follower = Server(1, term=1)
    follower.hear(AppendEntries, 2, entries=commands(1, 1, 1))

    follower.hear(AppendEntries, 2, entries=commands(1))

    assert follower.terms() == (1, 1, 1)
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [3, 1]


def test_appends_out_of_order_make_one_log():
    """§5.3: what leaves a gap is refused, what came already is known (etcd: reordered)."""
    follower = Server(1, term=1)
    follower.hear(AppendEntries, 2, prev_log_index=2, prev_log_term=1, entries=commands(1))
    follower.hear(AppendEntries, 2, entries=commands(1, 1))
    follower.hear(AppendEntries, 2, prev_log_index=2, prev_log_term=1, entries=commands(1))
    follower.hear(AppendEntries, 2, prev_log_index=1, prev_log_term=1, entries=commands(1))

    answers = [(reply.success, reply.match_index) for reply in follower.sent(AppendEntriesReply)]
    assert answers == [(False, 0), (True, 2), (True, 3), (True, 2)]
    assert follower.terms() == (1, 1, 1)


def test_an_append_from_before_the_commit_is_answered_with_the_commit():
    """D7: nothing at or below it can differ, so nothing there is even looked at."""
    follower = Server(1, log=(1, 1, 1), commit=3)

    follower.hear(AppendEntries, 2, term=2, prev_log_index=1, prev_log_term=9, entries=commands(2))

    (reply,) = follower.sent(AppendEntriesReply)
    assert (reply.success, reply.match_index, follower.terms()) == (True, 3, (1, 1, 1))


@pytest.mark.parametrize(("leader_commit", "commit"), [(1, 1), (2, 2), (9, 2)])
def test_a_commit_reaches_no_further_than_what_agrees(leader_commit, commit):
    """Figure 2, AppendEntries 5: entries behind the last new one may be another leader's."""
    follower = Server(1, log=(1, 1, 1))

    follower.hear(AppendEntries, 2, leader_commit=leader_commit, entries=commands(1, 1))

    assert follower.raft.commit_index == commit


def test_a_refusal_names_the_last_place_that_could_agree():
    """§5.3: it skips the follower's entries of later terms at once."""
    follower = Server(1, log=(1, 1, 4, 4, 4))

    follower.hear(AppendEntries, 2, term=6, prev_log_index=5, prev_log_term=3)

    (refusal,) = follower.sent(AppendEntriesReply)
    assert (refusal.success, refusal.prev_log_index) == (False, 5)
    assert (refusal.match_index, refusal.hint_term) == (2, 1)


def test_an_acknowledgement_waits_for_the_disk():
    """D2: what a crash would lose does not count; what is durable already is told at once."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1))
    assert follower.sent(AppendEntriesReply) == []

    follower.finish_write()
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [1]

    follower.hear(AppendEntries, 2, entries=commands(1))
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [1]


def test_a_heartbeat_commits_only_what_is_there():
    """§5.3: the rest of it has not arrived."""
    follower = Server(1, log=(1, 1))

    follower.hear(Heartbeat, 2, leader_commit=9)

    assert follower.raft.commit_index == 2
    assert follower.sent(HeartbeatReply) == [], "round 0 asks for no answer"


# What a leader does with the answers.


def test_an_old_refusal_does_not_break_the_pipeline():
    """§5.3: it was given before what is acknowledged since."""
    leader = leader_of(2)
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=2, match_index=0)

    assert leader.raft.progress[2].sending is Sending.REPLICATE


def test_a_refusal_of_another_probe_is_too_late():
    """§5.3: only the answer to the probe that is out says where to go on."""
    leader = Server(1, log=(1, 1, 1)).lead()
    before = leader.raft.progress[2].next_index

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=1, match_index=0)

    assert leader.raft.progress[2].next_index == before


def test_probing_never_goes_back_behind_what_is_known():
    """D8: an absurd hint costs at most one exchange."""
    leader = leader_of(2)
    leader.do(core.propose, (b"x",))
    leader.acknowledged(2)
    leader.do(core.unreachable, 2)

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=2, match_index=0, hint_term=0)

    assert leader.raft.progress[2].next_index == 3


def test_an_answer_beyond_the_log_is_nobodys():
    """D8: counting it would commit what was never sent."""
    leader = leader_of(2, 3)

    leader.hear(AppendEntriesReply, 2, success=True, match_index=99)

    assert (leader.raft.progress[2].match_index, leader.raft.commit_index) == (1, 1)


def test_a_follower_that_lacks_nothing_is_left_alone():
    """§5.3: an answered heartbeat causes no append when there is nothing to ask."""
    leader = leader_of(2, 3)
    leader.sent(AppendEntries)

    leader.hear(HeartbeatReply, 2, read_round=1)

    assert leader.sent(AppendEntries) == []


def test_a_lost_probe_is_repeated_after_a_heartbeat():
    """§5.3: a follower that answers but lacks something is asked again."""
    leader = Server(1, log=(1,)).lead()
    assert leader.raft.progress[2].is_paused(64, 10_000)

    leader.hear(HeartbeatReply, 2, read_round=1)

    assert len(to_second(leader)) == 1


def test_a_follower_whose_conflict_lies_below_the_log_needs_a_snapshot():
    """§7: even where the leader's log begins, the terms differ."""
    leader = Server(1, log=(2, 2, 2), commit=3, config=SHORT_LOG)
    leader.save()
    leader.lead().acknowledged(3)

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=3, match_index=3, hint_term=1)

    assert [chunk.target for chunk in leader.sent(InstallSnapshot)] == [2]


def test_an_entry_can_be_committed_before_the_leaders_own_disk_has_it():
    """Thesis §10.2.1: its write runs beside its followers', who may be faster."""
    leader = leader_of(2, 3)
    leader.disk_held = True
    leader.do(core.propose, (b"x",))

    leader.acknowledged(2, 3)
    assert (leader.raft.commit_index, leader.raft.last_applied) == (2, 1), "not applied yet (D3)"

    leader.finish_write()
    assert leader.raft.last_applied == 2


def test_an_own_write_that_was_overwritten_counts_for_nothing():
    """D2: it is durable, but no longer what the log holds (etcd: self-ack after a term change)."""
    server = Server(1, voters=(1, 2, 3))
    server.lead().disk_held = True
    server.do(core.propose, (b"mine",))
    server.hear(AppendEntries, 2, term=2, entries=commands(2, 2))

    server.finish_write()

    assert server.raft.log.stable_index == 0
    server.finish_write()
    assert (server.raft.log.stable_index, server.terms()) == (2, (2, 2))


def test_a_group_agrees_after_all_kinds_of_conflicts():
    """Figure 7: a leader's log wins, wherever the others diverge."""
    leader_log = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
    others = [(1, 1, 1, 4), (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6), (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3)]
    group = Network(
        Server(1, voters=(1, 2, 3, 4), log=leader_log, term=7, config=PAPER),
        *(Server(at, voters=(1, 2, 3, 4), log=log) for at, log in enumerate(others, 2)),
    )
    group.elect(group.servers[1])
    group.tick(2 * PAPER.heartbeat_ticks)

    assert {server.terms() for server in group} == {(*leader_log, 8)}
    assert {server.raft.commit_index for server in group} == {11}


@pytest.mark.parametrize("config", [PAPER, Config()])
def test_commands_reach_everyone_in_order(config):
    """§5.3: whatever batches they came in."""
    group = trio(config)
    leader = group.elect(group.servers[1])

    for batch in (b"abc", b"", b"d", b"ef"):
        leader.do(core.propose, [bytes([letter]) for letter in batch])
        group.deliver()

    assert {server.state for server in group} == {b"abcdef"}
    assert leader.raft.log.entry_at(2) == Entry(1, COMMAND, b"a")


def leader_of(*followers: int, config: Config = PAPER) -> Server:
    """A leader of three in its first term whose no-op these followers hold."""
    leader = Server(1, config=config).lead().acknowledged(*followers)
    leader.said.clear()
    return leader


def to_second(leader: Server) -> list[tuple[int, int]]:
    """Where each append that has left for server 2 begins, and how many entries it has."""
    appends = [append for append in leader.sent(AppendEntries) if append.target == 2]
    return [(append.prev_log_index, len(append.entries)) for append in appends]
