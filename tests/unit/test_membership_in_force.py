"""When a membership counts, when it is rolled back, and what a leader does about it."""

from messages.codec import encode_membership
from messages.raft import (
    MEMBERSHIP,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    Membership,
    Snapshot,
)
from raft import core
from raft.core import Action, Change
from raft.membership import found_in
from raft.state import Config, Proposed, Role
from tests.network import PAPER, Network, Server, commands

TRIO = Membership((1, 2, 3))


# When a membership is in force.


def test_a_change_counts_as_soon_as_it_is_in_the_log():
    """§6: a server uses the latest membership in its log, committed or not."""
    leader = Server(1).lead().acknowledged(2)
    leader.sent(AppendEntries)

    propose(leader, (Action.ADD_LEARNER, 4))

    assert leader.raft.membership.learners == (4,)
    assert 4 in {append.target for append in leader.sent(AppendEntries)}


def test_a_truncated_change_is_rolled_back():
    """M4: with the entry goes the membership."""
    follower = Server(1, term=1)
    wider = Membership((1, 2, 3), learners=(4,))
    follower.hear(AppendEntries, 2, entries=(entry(1, wider), entry(1, TRIO), entry(1, wider)))
    assert follower.raft.membership == wider

    follower.hear(AppendEntries, 3, term=2, entries=commands(2))

    assert follower.raft.memberships == [(0, TRIO)]


def test_what_a_truncated_entry_was_promised_is_taken_back():
    """D2, D7: an answer that waits for the disk must not speak of what was overwritten since."""
    follower = Server(1, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=commands(1))
    follower.hear(AppendEntries, 2, prev_log_index=1, prev_log_term=1, entries=commands(1, 1))

    after = {"prev_log_index": 1, "prev_log_term": 1}
    follower.hear(AppendEntries, 3, term=2, **after, entries=commands(2, 2))
    finish_writes(follower)

    replies = follower.sent(AppendEntriesReply)
    assert [(reply.target, reply.match_index) for reply in replies] == [(2, 1), (3, 3)]


def test_only_the_promises_of_the_conflict_are_taken_back():
    """D7: what was acknowledged before it still stands, whichever leader it was told."""
    follower = Server(1, voters=(1, 2, 3, 4, 5))
    follower.disk_held = True
    follower.hear(Heartbeat, 2, term=1)  # the disk is busy with the term from here on
    follower.hear(AppendEntries, 2, entries=commands(1))
    after = {"prev_log_index": 1, "prev_log_term": 1}
    follower.hear(AppendEntries, 3, term=2, **after, entries=commands(2))

    follower.hear(AppendEntries, 4, term=3, **after, entries=commands(3))
    finish_writes(follower)

    replies = follower.sent(AppendEntriesReply)
    assert [(reply.target, reply.match_index) for reply in replies] == [(2, 1), (4, 2)]


def test_a_log_is_read_for_its_memberships():
    """§6: after a restart the latest one in the log counts, else the snapshot's."""
    behind = Snapshot(4, 1, TRIO)
    wider = Membership((1, 2, 3), learners=(4,))

    assert found_in(behind, []) == [(4, TRIO)]
    entries = [*commands(1), entry(1, wider)]
    assert found_in(behind, entries) == [(4, TRIO), (6, wider)]


def test_compaction_keeps_the_membership_that_is_still_needed():
    """M4: a later one that is not committed may yet be rolled back to it."""
    leader = Server(1, config=PAPER._replace(log_trailing_entries=0)).lead().acknowledged(2)
    propose(leader, (Action.ADD_LEARNER, 4))
    leader.acknowledged(2, 3, 4)
    propose(leader, (Action.REMOVE, 3))

    leader.save()

    assert leader.raft.log.truncated_index == 2
    four, less = (
        Membership((1, 2, 3), learners=(4,)),
        Membership((1, 2), learners=(4,), removed=(3,)),
    )
    assert leader.raft.memberships == [(2, four), (3, less)]
    assert leader.disk.base == Snapshot(2, 1, four)


# What a leader does about it.


def test_a_leader_leaves_a_joint_membership_by_itself():
    """Thesis §4.3: as soon as it is committed, by both majorities."""
    leader = Server(1, voters=(1, 2, 3), learners=(4, 5)).lead().acknowledged(2, 3, 4, 5)
    propose(leader, (Action.PROMOTE, 4), (Action.PROMOTE, 5), (Action.DEMOTE, 3))
    joint = leader.raft.membership
    assert joint == Membership((1, 2, 4, 5), (1, 2, 3), learners_next=(3,))

    leader.acknowledged(4, 5, index=2)
    assert leader.raft.membership == joint, "three of the new, one of the old"

    leader.acknowledged(2, index=2)
    assert leader.raft.membership == Membership((1, 2, 4, 5), learners=(3,))


def test_a_new_leader_leaves_what_another_began():
    """Thesis §4.3: the leader that proposed it may be gone."""
    joint = Membership((1, 2), (1, 3, 4))
    heir = Server(1, voters=(1, 3, 4))
    heir.hear(AppendEntries, 3, term=1, entries=(entry(1, joint),))
    heir.lead()

    heir.acknowledged(2, 3)

    assert heir.raft.membership == Membership((1, 2))


def test_a_leader_follows_exactly_those_who_take_part():
    """§6: progress comes with a membership, and goes with it."""
    leader = Server(1).lead().acknowledged(2, 3)
    propose(leader, (Action.ADD_LEARNER, 4))
    assert set(leader.raft.progress) == {1, 2, 3, 4}
    leader.acknowledged(2)

    propose(leader, (Action.REMOVE, 3))

    assert set(leader.raft.progress) == {1, 2, 4}
    known = leader.raft.progress[2].match_index
    leader.hear(AppendEntriesReply, 3, success=True, match_index=3)
    assert (set(leader.raft.progress), known) == ({1, 2, 4}, 2), "its answers count no more"


def test_a_newcomer_counts_as_heard_of_until_the_next_check():
    """M2: adding a server that is still starting must not depose the leader that added it."""
    leader = Server(1, voters=(1,), config=Config()).lead()
    propose(leader, (Action.ADD_LEARNER, 4))
    leader.acknowledged(4)
    propose(leader, (Action.PROMOTE, 4))

    leader.tick(Config().election_ticks_max)

    assert leader.raft.role is Role.LEADER


def test_a_leader_that_removed_itself_leads_until_that_is_committed():
    """Thesis §4.2.2: it does not count itself, and steps down afterwards."""
    leader = Server(1).lead().acknowledged(2, 3)
    propose(leader, (Action.REMOVE, 1))
    leader.acknowledged(2)
    assert leader.raft.commit_index == 1, "two of two others are needed"

    leader.acknowledged(3)

    assert (leader.raft.role, leader.raft.commit_index) == (Role.FOLLOWER, 2)
    leader.tick(100)
    assert leader.raft.role is Role.FOLLOWER, "nor does it campaign again"


def test_a_group_goes_on_when_its_leader_removed_itself():
    """Thesis §4.2.2: it tells the others of the commit, and one of them takes over at once."""
    group = Network(*(Server(server_id, config=Config()) for server_id in (1, 2, 3)))
    leader = group.elect(group.servers[1])

    propose(leader, (Action.REMOVE, 1))
    group.deliver()

    heirs = [server for server in group if server.raft.role is Role.LEADER]
    assert [heir.server_id for heir in heirs] in ([2], [3])
    assert {server.raft.commit_index for server in group} >= {2}


def test_a_single_server_removes_the_last_other():
    """Thesis §4.1: it is then a majority by itself."""
    leader = Server(1, voters=(1, 2)).lead().acknowledged(2)
    propose(leader, (Action.REMOVE, 2))

    assert leader.raft.commit_index == 2, "its own disk is enough"
    assert leader.raft.membership == Membership((1,), removed=(2,))


def propose(leader: Server, *changes: tuple[Action, int]) -> None:
    """Propose a change that is granted."""
    granted = leader.do(core.propose_membership, [Change(*change) for change in changes])
    assert isinstance(granted, Proposed)


def entry(term: int, membership: Membership) -> Entry:
    """The entry that brings a membership into force."""
    return Entry(term, MEMBERSHIP, encode_membership(membership))


def finish_writes(server: Server) -> None:
    """Let a held disk make durable whatever it is given."""
    while server.writing:
        server.finish_write()
