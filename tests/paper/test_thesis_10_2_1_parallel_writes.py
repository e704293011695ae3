"""Thesis §10.2.1: a leader writes its log while its followers write theirs, and counts what is."""

from messages.raft import AppendEntries, AppendEntriesReply, Heartbeat, RequestVote, TimeoutNow
from raft.core import propose
from raft.state import Role
from tests.network import PAPER, Server, commands


def test_a_leader_replicates_in_parallel_with_its_own_write():
    """Thesis §10.2.1: the leader can write to its disk in parallel with replicating."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.sent(AppendEntries)
    leader.disk_held = True

    leader.do(propose, [b"x"])

    assert [append.target for append in leader.sent(AppendEntries)] == [2, 3]
    assert len(leader.disk.entries) == 1


def test_a_leader_does_not_count_itself_before_its_own_write_is_durable():
    """Thesis §10.2.1, D2: one follower and a leader's memory are no majority of three."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])

    leader.acknowledged(2)
    commit_before = leader.raft.commit_index
    leader.finish_write()

    assert commit_before == 1
    assert leader.raft.commit_index == 2
    assert leader.state == b"x"


def test_a_leader_counts_itself_as_far_as_the_finished_write_reaches():
    """Thesis §10.2.1, D2: what came in behind that write is still in memory only."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])
    leader.do(propose, [b"y"])
    leader.acknowledged(2)

    leader.finish_write()

    assert leader.raft.log.last_index == 3
    assert leader.raft.commit_index == 2


def test_a_single_voter_commits_only_what_is_durable():
    """Thesis §10.2.1, D2: alone it is the majority, once its disk holds the entry."""
    leader = Server(1, voters=(1,)).lead()
    leader.disk_held = True

    leader.do(propose, [b"x"])
    commit_before = leader.raft.commit_index
    leader.finish_write()

    assert (commit_before, leader.raft.commit_index) == (1, 2)


def test_a_leader_may_commit_before_its_own_write_is_durable():
    """Thesis §10.2.1: if a majority of followers have written it, the leader may even commit."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])

    leader.acknowledged(2, 3)

    assert leader.raft.commit_index == 2
    assert leader.raft.log.stable_index == 1


def test_a_server_applies_nothing_that_its_own_disk_does_not_hold():
    """D2: else a state saved before a crash could lie ahead of the log found after it."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])

    leader.acknowledged(2, 3)
    state_before = leader.state
    leader.finish_write()

    assert (state_before, leader.state) == (b"", b"x")


def test_heartbeats_go_on_while_a_write_is_under_way():
    """Thesis §10.2.1: a slow disk does not silence a leader."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])
    leader.sent(Heartbeat)

    leader.tick(PAPER.heartbeat_ticks)

    assert [beat.target for beat in leader.sent(Heartbeat)] == [2, 3]


def test_what_waits_behind_a_write_becomes_one_write():
    """Thesis §10.2.1: batching; one write is in flight, and all that came since follows it."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    for payload in (b"x", b"y", b"z"):
        leader.do(propose, [payload])

    leader.finish_write()
    held_after_first = len(leader.disk.entries)
    leader.finish_write()

    assert (held_after_first, len(leader.disk.entries)) == (2, 4)


def test_a_finished_write_does_not_vouch_for_entries_that_replaced_its_own():
    """D2: the write of place 1 returns, but what stands there now is another leader's entry."""
    follower = Server(2, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 1, entries=commands(1, 1))
    follower.hear(AppendEntries, 3, term=2, entries=commands(2, 2))

    follower.finish_write()
    told_after_first = follower.sent(AppendEntriesReply)
    stable_after_first = follower.raft.log.stable_index
    follower.finish_write()

    assert stable_after_first == 0
    assert [reply for reply in told_after_first if reply.target == 3] == []
    (reply,) = follower.sent(AppendEntriesReply)
    assert (reply.target, reply.match_index) == (3, 2)
    assert tuple(follower.disk.entries) == commands(2, 2)


def test_an_acknowledgement_is_withdrawn_when_its_entries_are_replaced():
    """§5.3, D2: waiting for the disk it would come to promise what is no longer in the log."""
    follower = Server(2, log=(1,), term=1)
    follower.disk_held = True
    follower.hear(RequestVote, 3, term=2)  # keeps the disk busy
    follower.hear(AppendEntries, 1, term=3, prev_log_index=1, prev_log_term=1, entries=commands(3))
    follower.hear(AppendEntries, 3, term=4, prev_log_index=1, prev_log_term=1, entries=commands(4))

    follower.finish_write()
    follower.finish_write()

    promises = [reply for reply in follower.sent(AppendEntriesReply) if reply.success]
    assert [(reply.target, reply.term) for reply in promises] == [(3, 4)]


def test_a_leader_whose_disk_stands_still_hands_over():
    """M8: its heartbeats keep others quiet, so it must see for itself that it is of no use."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])

    leader.tick(PAPER.disk_stall_ticks_max - 1)
    leader.acknowledged(3)  # it is up to date, and heard from: the others are not
    asked_before = leader.sent(TimeoutNow)
    leader.tick()

    assert asked_before == []
    assert {ask.target for ask in leader.sent(TimeoutNow)} == {3}


def test_a_leader_whose_disk_stands_still_quits_if_nobody_takes_over():
    """M8: past the bound it follows, stands for no election, and leads again with its disk."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(propose, [b"x"])

    leader.tick(PAPER.disk_stall_ticks_max + PAPER.transfer_ticks_max)
    role_after_bound = leader.raft.role
    leader.tick(4 * PAPER.election_ticks_max)
    role_while_stalled = leader.raft.role
    leader.finish_write()
    leader.tick(PAPER.election_ticks_max)

    assert (role_after_bound, role_while_stalled) == (Role.FOLLOWER, Role.FOLLOWER)
    assert leader.raft.role is Role.CANDIDATE
