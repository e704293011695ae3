"""§5.3: the leader's log is copied, checked place by place, and committed by a majority."""

import pytest

from messages.raft import AppendEntries, AppendEntriesReply, Heartbeat, HeartbeatReply
from raft.core import applied, propose
from tests.network import PAPER, Network, Server, commands, trio

FIGURE_7_LEADER = (1, 1, 1, 4, 4, 5, 5, 6, 6, 6)
FIGURE_7_FOLLOWERS = {
    "a: one entry short": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b: six entries short": (1, 1, 1, 4),
    "c: one entry of the leader's term more": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d: two entries of a later term more": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e: short, with entries of its own": (1, 1, 1, 4, 4, 4, 4),
    "f: two whole terms of its own": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


def test_a_leader_appends_a_command_and_replicates_it_in_parallel():
    """§5.3: it appends the command to its log, then issues AppendEntries to each other server."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.sent(AppendEntries)

    leader.do(propose, [b"x"])

    assert leader.raft.log.entry_at(2).payload == b"x"
    assert [
        (append.target, append.prev_log_index, append.prev_log_term, len(append.entries))
        for append in leader.sent(AppendEntries)
    ] == [(2, 1, 1, 1), (3, 1, 1, 1)]


def test_a_leader_applies_a_committed_entry_and_tells_of_the_commit():
    """§5.3: once safely replicated it is applied, and later messages carry the commit index."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose, [b"x"])
    state_before = leader.state
    leader.said.clear()

    leader.acknowledged(2)
    told = leader.sent(Heartbeat)
    leader.do(propose, [b"y"])

    assert (state_before, leader.state) == (b"", b"x")
    assert [(beat.target, beat.leader_commit) for beat in told] == [(2, 2)]
    assert {append.leader_commit for append in leader.sent(AppendEntries)} == {2}


@pytest.mark.parametrize(
    ("voters", "holders", "committed"),
    [
        (1, "", True),
        (3, "", False),
        (3, "2", True),
        (3, "23", True),
        (4, "2", False),
        (4, "23", True),
        (5, "", False),
        (5, "2", False),
        (5, "23", True),
        (5, "234", True),
        (5, "2345", True),
    ],
)
def test_an_entry_is_committed_once_a_majority_holds_it(voters, holders, committed):
    """§5.3: committed once the leader has replicated it on a majority of the servers."""
    everyone = tuple(range(1, voters + 1))
    leader = Server(1, voters=everyone).lead().acknowledged(*everyone[1:])
    leader.do(propose, [b"x"])

    leader.acknowledged(*map(int, holders))

    assert (leader.raft.commit_index == 2) is committed
    assert leader.state == (b"x" if committed else b"")


@pytest.mark.parametrize("earlier", [(), (2,), (1, 2), (1,)])
def test_committing_an_entry_commits_all_preceding_ones(earlier):
    """§5.3: this also commits all preceding entries, including those of previous leaders."""
    leader = Server(1, log=earlier, term=2).lead()
    leader.do(propose, [b"x"])

    leader.acknowledged(2)

    assert leader.raft.commit_index == len(earlier) + 2
    assert leader.state == b"".join(b"%d" % term for term in earlier) + b"x"


@pytest.mark.parametrize("commit", [0, 1, 2, 3, 4, 9])
@pytest.mark.parametrize("kind", [AppendEntries, Heartbeat])
def test_a_follower_applies_in_log_order_what_it_learns_is_committed(kind, commit):
    """§5.3: once a follower learns that an entry is committed, it applies it (in log order)."""
    follower = Server(2, log=(1, 2, 3, 4))
    place = {"prev_log_index": 4, "prev_log_term": 4} if kind is AppendEntries else {}

    follower.hear(kind, 1, leader_commit=commit, **place)

    assert follower.raft.commit_index == follower.raft.last_applied == min(commit, 4)
    assert follower.state == b"1234"[:commit]


def test_a_follower_takes_no_commit_for_entries_that_were_not_compared():
    """Figure 2, step 5: commitIndex = min(leaderCommit, index of last new entry)."""
    follower = Server(2, log=(1, 1, 1))

    follower.hear(AppendEntries, 1, term=2, prev_log_index=1, prev_log_term=1, leader_commit=3)

    assert follower.raft.commit_index == 1


def test_a_late_and_smaller_commit_index_changes_nothing():
    """Figure 2, D8: commitIndex and lastApplied increase monotonically."""
    follower = Server(2, log=(1, 1, 1), commit=2)

    follower.hear(Heartbeat, 1, leader_commit=1)
    follower.hear(AppendEntries, 1, prev_log_index=3, prev_log_term=1, leader_commit=1)

    assert follower.raft.commit_index == follower.raft.last_applied == 2


@pytest.mark.parametrize(
    ("prev_log_index", "prev_log_term", "success"),
    [(0, 0, True), (1, 1, True), (2, 2, True), (1, 2, False), (2, 1, False), (3, 3, False)],
)
def test_a_follower_refuses_what_does_not_follow_its_own_log(
    prev_log_index, prev_log_term, success
):
    """§5.3: if it has no entry with the same index and term there, it refuses the new ones."""
    follower = Server(2, log=(1, 2), term=3)

    follower.hear(AppendEntries, 1, prev_log_index=prev_log_index, prev_log_term=prev_log_term)

    (reply,) = follower.sent(AppendEntriesReply)
    assert (reply.success, reply.prev_log_index) == (success, prev_log_index)
    assert follower.terms() == (1, 2)


@pytest.mark.parametrize(
    ("prev", "sent", "log"),
    [
        ((2, 2), (3,), (1, 2, 3)),
        ((1, 1), (3, 4), (1, 3, 4)),
        ((0, 0), (1,), (1, 2)),
        ((0, 0), (3,), (3,)),
        ((0, 0), (1, 2, 3), (1, 2, 3)),
    ],
)
def test_a_follower_keeps_what_agrees_and_replaces_what_conflicts(prev, sent, log):
    """§5.3, Figure 2: delete an existing entry that conflicts, and all that follow it."""
    follower = Server(2, log=(1, 2), term=4)

    follower.hear(
        AppendEntries, 1, prev_log_index=prev[0], prev_log_term=prev[1], entries=commands(*sent)
    )

    assert follower.terms() == log
    assert tuple(follower.disk.entries) == commands(*log)


@pytest.mark.parametrize(
    "theirs", FIGURE_7_FOLLOWERS.values(), ids=[name[0] for name in FIGURE_7_FOLLOWERS]
)
def test_a_leader_brings_each_log_of_figure_7_to_its_own(theirs):
    """§5.3, Figure 7: inconsistencies are handled by forcing followers to copy its own log."""
    leader, follower, voter = Server(1, log=FIGURE_7_LEADER, term=7), Server(2, log=theirs), 3
    network = Network(leader, follower, Server(voter))

    network.elect(leader)

    assert leader.terms() == (*FIGURE_7_LEADER, 8)
    assert follower.raft.log.between(1, 11) == leader.raft.log.between(1, 11)
    assert follower.raft.commit_index == 11


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [((1, *[4] * 60), (1, *[2] * 30, *[3] * 30)), ((1, *[2] * 30, *[3] * 30), (1, *[4] * 60))],
    ids=["leader skips", "follower skips"],
)
def test_a_refusal_skips_whole_terms(ours, theirs):
    """§5.3: one AppendEntries RPC for each term with conflicting entries, not one per entry."""
    leader, follower = Server(1, log=ours, term=4), Server(2, log=theirs, term=4)

    Network(leader, follower, Server(3)).elect(leader)

    replies = follower.sent(AppendEntriesReply)
    assert {reply.prev_log_index for reply in replies if not reply.success} == {61}
    assert follower.terms() == leader.terms()


def test_a_delayed_shorter_append_erases_nothing():
    """§5.3, D7: only a conflict deletes; all that the late message holds agrees already."""
    follower = Server(2, log=(1, 1, 1, 1))

    follower.hear(AppendEntries, 1, prev_log_index=1, prev_log_term=1, entries=commands(1))

    assert follower.terms() == (1, 1, 1, 1)
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [2]


def test_an_append_before_the_commit_index_is_answered_and_not_read():
    """§5.3, D7: what is committed never changes, whatever a late message says of it."""
    follower = Server(2, log=(1, 1, 1), term=2, commit=3)

    follower.hear(AppendEntries, 1, prev_log_index=1, prev_log_term=1, entries=commands(2, 2))

    (reply,) = follower.sent(AppendEntriesReply)
    assert (reply.success, reply.match_index) == (True, 3)
    assert follower.terms() == (1, 1, 1)


def test_a_late_report_of_the_state_machine_lowers_no_applied_index():
    """Figure 2, D8: lastApplied increases monotonically."""
    leader = Server(1).lead()
    leader.do(propose, [b"x"])
    leader.acknowledged(2)

    leader.do(applied, 1)

    assert leader.raft.last_applied == 2


def test_a_late_acknowledgement_lowers_no_match_index():
    """Figure 2, D8: matchIndex increases monotonically."""
    leader = Server(1).lead()
    leader.do(propose, [b"x", b"y"])
    leader.acknowledged(2)

    leader.acknowledged(2, index=1)

    assert leader.raft.progress[2].match_index == leader.raft.commit_index == 3
    assert leader.raft.progress[2].next_index == 4


def test_a_late_refusal_moves_no_next_index_back():
    """§5.3: nextIndex steps back for the append that was refused, once."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(propose, [b"x"])
    leader.acknowledged(2)
    leader.sent(AppendEntries)

    leader.hear(AppendEntriesReply, 2, success=False, prev_log_index=1)

    assert leader.raft.progress[2].next_index == 3
    assert leader.sent(AppendEntries) == []


def test_an_acknowledgement_beyond_the_leaders_log_commits_nothing():
    """§5.3: nobody can hold what was never sent."""
    leader = Server(1).lead()

    leader.acknowledged(2, index=9)

    assert leader.raft.commit_index == 0


def test_a_lost_append_is_sent_again():
    """§5.3: the leader retries AppendEntries indefinitely until all followers store all."""
    leader, slow, _ = network = trio()
    network.elect(leader)
    leader.do(propose, [b"x"])
    leader.outbox.clear()

    network.tick(20)

    assert slow.terms() == leader.terms() == (1, 1)
    assert slow.state == b"x"


def test_a_heartbeat_names_no_commit_that_its_follower_may_lack():
    """§5.3: what the follower has in that place may be another leader's entry."""
    leader = Server(1).lead().acknowledged(2)
    leader.sent(Heartbeat)

    leader.tick(PAPER.heartbeat_ticks)

    assert leader.raft.commit_index == 1
    beats = leader.sent(Heartbeat)
    assert [(beat.target, beat.leader_commit) for beat in beats] == [(2, 1), (3, 0)]


def test_a_follower_that_lacks_something_is_asked_when_it_answers():
    """§5.3: its answer to a heartbeat says that it is there, so what it lacks was lost."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(propose, [b"x"])
    leader.sent(AppendEntries)

    leader.hear(HeartbeatReply, 2, read_round=1)

    asked = [append for append in leader.sent(AppendEntries) if append.target == 2]
    assert [append.prev_log_index for append in asked] == [2]


def test_a_follower_acknowledges_only_what_is_durable():
    """Figure 2, D2: log[] is updated on stable storage before responding to RPCs."""
    follower = Server(2, term=1)
    follower.disk_held = True

    follower.hear(AppendEntries, 1, entries=commands(1))
    told_before = follower.sent(AppendEntriesReply)
    follower.finish_write()

    assert told_before == []
    assert [reply.match_index for reply in follower.sent(AppendEntriesReply)] == [1]
    assert tuple(follower.disk.entries) == commands(1)


def test_a_follower_does_not_repeat_an_acknowledgement_before_it_is_durable():
    """Figure 2, D2: the second copy of an append finds its entries in memory, not on disk."""
    follower = Server(2, term=1)
    follower.disk_held = True

    follower.hear(AppendEntries, 1, entries=commands(1))
    follower.hear(AppendEntries, 1, entries=commands(1))

    assert follower.sent(AppendEntriesReply) == []
