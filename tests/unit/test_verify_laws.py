"""Each law of the simulated world sees a breach of it."""

import re
from collections import Counter
from random import Random

import pytest

from messages.codec import encode_membership
from messages.raft import (
    COMMAND,
    MEMBERSHIP,
    AppendEntriesReply,
    Entry,
    HardState,
    Heartbeat,
    HeartbeatReply,
    Membership,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
)
from raft import core
from raft.progress import Progress
from raft.state import Committed, Config, Role, Write
from verify.disk import Disk
from verify.history import check_step
from verify.laws import Laws
from verify.machine import State

TRIO = Membership((1, 2, 3))


def commands(*terms: int):
    """Commands, each unlike the others."""
    return tuple(Entry(term, COMMAND, b"%d" % at) for at, term in enumerate(terms, 1))


class Court:
    """Three servers at term 1, each with the same two durable entries, and the laws over them."""

    def __init__(self, members: Membership = TRIO) -> None:
        self.disks = {each: Disk(Snapshot(0, 0, members)) for each in (1, 2, 3)}
        self.laws = Laws(members, self.disks, Counter())
        self.rafts = {}
        for server, disk in self.disks.items():
            disk.hard_state = HardState(1, 1, 0)
            disk.entries += commands(1, 1)
            self.rafts[server] = core.start(0, server, Config(), Random(1), disk.load())
            self.laws.on_start(self.rafts[server])

    def elect(self, server, term=1, voters=(1, 2, 3)):
        """Let a server lead, by durable votes that the laws saw."""
        for voter in voters:
            self.disks[voter].hard_state = HardState(term, server, 0)
            vote = RequestVoteReply(0, voter, server, term, vote_granted=True)
            self.laws.on_send([vote] if voter != server else [])
        raft = self.rafts[server]
        raft.current_term, raft.role = term, Role.LEADER
        raft.log.append([Entry(term, COMMAND, b"first of %d" % term)])
        self.laws.look(raft)
        return raft

    def commit(self, server, index, holders=(1, 2, 3)):
        """Let a leader commit what its holders have on their disks."""
        raft = self.rafts[server]
        for holder in holders:
            self.disks[holder].entries[:] = raft.log.between(1, raft.log.last_index)
        raft.commit_index = index
        self.laws.look(raft)

    def write(self, server, hard_state, first_index=3, entries=(), snapshot=None, base=None):
        """Let a write become durable."""
        write = Write(1, hard_state, snapshot, base, first_index, tuple(entries), ())
        self.laws.on_write(server, write, State(snapshot[0], 0) if snapshot else None)


@pytest.fixture
def court():
    """A court of its own for every test."""
    return Court()


def breaks(law):
    """The law that a breach must be judged by."""
    return pytest.raises(AssertionError, match=re.escape(law))


def test_two_leaders_of_one_term_are_seen(court):
    """Election safety: at most one leader a term (§5.2)."""
    court.elect(1)
    court.rafts[2].role = Role.LEADER

    with breaks("election safety: S1 and S2 lead term 1"):
        court.laws.look(court.rafts[2])


def test_a_leader_without_a_majority_is_seen(court):
    """Election safety: votes are counted as they were told."""
    with breaks("election safety: elected without a majority"):
        court.elect(2, term=2, voters=(2,))


def test_a_leader_that_lacks_a_committed_entry_is_seen(court):
    """Leader completeness (§5.4)."""
    court.elect(1)
    court.commit(1, 3)

    with breaks("leader completeness: S2 leads term 2 without entry 3"):
        court.elect(2, term=2)


def test_a_leader_that_drops_entries_is_seen(court):
    """Leader append-only (Figure 3)."""
    raft = court.elect(1)
    raft.log.truncate_from(2)

    with breaks("leader append-only"):
        court.laws.look(raft)


def test_one_index_and_term_with_two_entries_is_seen(court):
    """Log matching (§5.3)."""
    court.write(1, HardState(2, 0, 0), entries=[Entry(2, COMMAND, b"one")])

    with breaks("log matching: two entries 3 of term 2"):
        court.write(2, HardState(2, 0, 0), entries=[Entry(2, COMMAND, b"other")])


def test_one_entry_after_two_different_ones_is_seen(court):
    """Log matching: what precedes agrees as well (§5.3)."""
    court.write(1, HardState(3, 0, 0), entries=[Entry(3, COMMAND, b"same")])
    court.disks[2].entries[1] = Entry(2, COMMAND, b"differs")

    with breaks("log matching"):
        court.write(2, HardState(3, 0, 0), entries=[Entry(3, COMMAND, b"same")])


def test_a_commit_without_a_durable_majority_is_seen(court):
    """D2: the disks are counted, not what servers believe of each other."""
    court.elect(1)

    with breaks("commit: entry 3 is not durable on a majority"):
        court.commit(1, 3, holders=(1,))


def test_a_commit_by_counting_an_earlier_term_is_seen(court):
    """§5.4.2, Figure 8: only an entry of the own term is committed by counting."""
    court.elect(1, term=2)

    with breaks("commit: an entry of an earlier term was counted"):
        court.commit(1, 2)


def test_a_commit_that_falls_is_seen(court):
    """D8: the commit index never falls."""
    court.elect(1)
    court.commit(1, 3)

    with breaks("monotone: the commit index fell"):
        court.commit(1, 2)


def test_a_followers_own_commit_is_seen(court):
    """Only a leader commits; all others hear of it."""
    court.rafts[2].commit_index = 1

    with breaks("commit: S2 invented 1"):
        court.laws.look(court.rafts[2])


def test_a_commit_of_another_entry_is_seen(court):
    """State machine safety: one entry an index, for all servers (§5.4.3)."""
    court.elect(1)
    court.commit(1, 3)
    court.rafts[2].log.append([Entry(2, COMMAND, b"other")])
    court.rafts[2].commit_index = 3

    with breaks("state machine safety: S2 has another entry at 3"):
        court.laws.look(court.rafts[2])


@pytest.mark.parametrize(
    ("state", "first", "entries", "law"),
    [
        (State(0, 0), 2, commands(1, 1)[1:], "2 is not the next"),
        (State(2, 0), 2, commands(1, 1)[1:], "2 is not the next"),
        (State(0, 0), 1, [Entry(1, COMMAND, b"other")], "other entries from 1 on"),
        (State(0, 0), 1, commands(1, 1, 1, 1), "other entries from 1 on"),
    ],
)
def test_a_wrong_apply_is_seen(court, state, first, entries, law):
    """State machine safety: every committed entry, in order, each once."""
    court.elect(1)
    court.commit(1, 3)

    with breaks(f"state machine safety: {law}"):
        court.laws.on_apply(state, Committed(first, tuple(entries)))


def test_a_state_that_went_astray_is_seen(court):
    """Two states at one index are the same, however they came about."""
    court.elect(1)
    court.commit(1, 3)

    with breaks("state machine safety: another state at 2"):
        court.laws.check_state(State(2, digest=7))


def test_a_command_that_commits_twice_is_seen(court):
    """Exactly once: no copy of a command is committed beside it."""
    raft = court.elect(1)
    raft.log.append([raft.log.entry_at(1)])
    court.laws.look(raft)

    with breaks("exactly once"):
        court.commit(1, 4)


@pytest.mark.parametrize(
    ("message", "law"),
    [
        (HeartbeatReply(0, 2, 1, 2, 1), "D1: told a term too early"),
        (RequestVoteReply(0, 2, 3, 1, vote_granted=True), "D1: a vote that is not durable"),
        (RequestVote(0, 2, 1, 1, 2, 1, leadership_transfer=False), "D1: a vote that is not"),
        (AppendEntriesReply(0, 2, 1, 1, True, 9, 9, 0), "D2: acknowledged before it was durable"),
        (AppendEntriesReply(0, 2, 1, 1, True, 3, 3, 0), "D2: differs"),
        (Heartbeat(0, 1, 2, 1, 3, 1), "commit: a heartbeat names what its receiver lacks"),
        (Heartbeat(0, 1, 2, 1, 4, 1), "commit: told before it happened"),
        (Heartbeat(0, 2, 1, 1, 0, 1), "election safety: another leads"),
        (ReadIndexReply(0, 1, 2, 1, 1, 9), "read safety: nobody committed that"),
    ],
)
def test_a_message_that_tells_too_much_is_seen(court, message, law):
    """D1, D2: what a message says of its sender is on the sender's disk."""
    court.elect(1)
    court.commit(1, 3, holders=(1, 3))
    court.disks[2].entries.append(Entry(0, COMMAND, b"other"))

    with breaks(law):
        court.laws.on_send([message])


def test_a_second_vote_in_a_term_is_seen(court):
    """Election safety: also when a crash made the first vote forgotten."""
    court.disks[2].hard_state = HardState(1, 3, 0)
    court.laws.on_send([RequestVoteReply(0, 2, 3, 1, vote_granted=True)])
    court.disks[2].hard_state = HardState(1, 1, 0)

    with breaks("election safety: S2 votes twice in term 1"):
        court.laws.on_send([RequestVoteReply(0, 2, 1, 1, vote_granted=True)])


@pytest.mark.parametrize(
    ("hard_state", "law"),
    [
        (HardState(0, 0, 0), "monotone: the durable term fell"),
        (HardState(1, 2, 0), "election safety: the durable vote changed"),
        (HardState(1, 1, 4), "monotone: the durable commit index fell, or was invented"),
    ],
)
def test_a_write_that_takes_something_back_is_seen(court, hard_state, law):
    """D8 across restarts: the disk never forgets a term, a vote or a commit."""
    court.elect(1)

    with breaks(law):
        court.write(1, hard_state)


def test_a_write_over_a_committed_entry_is_seen(court):
    """D7: what a server knows to be committed is never replaced."""
    court.elect(1)
    court.commit(1, 3)

    with breaks("D7: S1 drops entry 3"):
        court.write(1, HardState(2, 0, 3), entries=[Entry(2, COMMAND, b"other")])


def test_a_log_with_a_gap_is_seen(court):
    """A write continues the log that is on the disk."""
    with breaks("log matching: a gap"):
        court.write(1, HardState(1, 1, 0), first_index=5, entries=commands(1))


@pytest.mark.parametrize(
    ("base", "law"),
    [
        (Snapshot(2, 1, TRIO), "compaction: past the durable state (D11)"),
        (Snapshot(1, 2, TRIO), "compaction: 1 was committed in another term"),
        (Snapshot(1, 1, Membership((1, 2))), "compaction: other members at 1"),
    ],
)
def test_a_log_cut_at_a_wrong_place_is_seen(court, base, law):
    """D11: the log starts behind a durable state, with the term and the members there."""
    court.elect(1)
    court.commit(1, 3)
    court.disks[1].state = State(1, 0)

    with breaks(law):
        court.write(1, HardState(1, 1, 3), base=base)


@pytest.mark.parametrize(
    ("snapshot", "law"),
    [
        (Snapshot(9, 1, TRIO), "compaction: 9 is not committed"),
        (Snapshot(2, 1, Membership()), "snapshot: other members at 2"),
        (Snapshot(0, 0, TRIO), "snapshot: back"),
        (Snapshot(2, 1, TRIO), "state machine safety: another state at 2"),
    ],
)
def test_a_wrong_snapshot_is_seen(court, snapshot, law):
    """A snapshot is committed, names the members there, and is the state that all had there."""
    court.elect(1)
    court.commit(1, 3)

    with breaks(law):
        court.write(2, HardState(1, 1, 3), snapshot=snapshot)


@pytest.mark.parametrize("read_index", [2, 9])
def test_a_read_that_is_not_linearizable_is_seen(court, read_index):
    """§6.4: it sees all that was committed when it was asked, and nothing that never was."""
    court.elect(1)
    court.commit(1, 3)

    with breaks("read safety"):
        court.laws.on_read(read_index, floor=3)


JOINT = Membership((1, 2, 4), (1, 2, 3), (), (3,))


@pytest.mark.parametrize(
    ("old", "new", "law"),
    [
        (TRIO, Membership((1, 2)), "a server went, and its id may be used again"),
        (TRIO, Membership((1, 2, 3, 4)), "a newcomer votes without being a learner"),
        (Membership((1,), removed=(2,)), Membership((1,)), "a removed server's id was forgotten"),
        (
            Membership((1,), removed=(2,)),
            Membership((1,), learners=(2,), removed=(2,)),
            "a removed server came back",
        ),
        (TRIO, Membership((1,), (), (2, 3)), "two voters changed without a joint one"),
        (TRIO, Membership((1,), (1, 2), (), (2, 3)), "a joint one without the old majority"),
        (JOINT, JOINT._replace(learners=(5,)), "joint after joint"),
        (JOINT, Membership((1, 2, 3, 4)), "leaving a joint one changed its voters"),
        (JOINT, Membership((1, 2, 4), removed=(3,)), "leaving a joint one changed learners"),
    ],
)
def test_an_illegal_change_of_members_is_seen(old, new, law):
    """Thesis §4: one voter at a time or jointly, learners first, ids never used again."""
    with breaks(f"membership: {law}"):
        check_step(old, new)


@pytest.mark.parametrize(
    ("commit", "last_index", "law"),
    [(0, 2, "before the last one"), (2, 2, "too early in a term"), (3, 1005, "too early (M5)")],
)
def test_a_change_of_members_at_a_wrong_time_is_seen(commit, last_index, law):
    """M1, M4, M5: after the term's first commit and the last change, with learners caught up."""
    court = Court(Membership((1, 2), learners=(3,)))
    raft = court.elect(1, term=2, voters=(1, 2))
    raft.commit_index = commit
    before = court.laws.log_end(raft)._replace(
        last_index=last_index, membership_index=2 if law == "before the last one" else 0
    )
    payload = encode_membership(Membership((1, 2, 3)))
    raft.log.append([Entry(2, MEMBERSHIP, payload)])
    court.disks[3].hard_state = HardState(2, 0, 0)
    if commit == 3:
        court.commit(1, 3)
    court.laws._scan(raft, court.laws._seen[1])

    with breaks(law):
        court.laws.on_change(raft, before)


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        (lambda raft: raft.contexts_waiting.extend(range(9)), "bounds: reads"),
        (lambda raft: raft.waiting.update(dict.fromkeys(range(99))), "bounds: messages"),
        (lambda raft: raft.rounds_sent.extend([(1, 1)] * 99), "bounds: rounds"),
        (lambda raft: raft.progress[2].inflight.extend([(1, 1)] * 99), "bounds: inflight"),
        (lambda raft: setattr(raft.progress[2], "inflight_bytes", 2**40), "bounds: inflight b"),
    ],
)
def test_a_queue_without_a_bound_is_seen(court, spoil, law):
    """Everything that waits has a bound."""
    raft = court.rafts[1]
    raft.config = raft.config._replace(reads_max=8)
    raft.progress[2] = Progress(1)
    spoil(raft)

    with breaks(law):
        court.laws.check_bounds(raft)


def test_a_restart_that_remembers_wrongly_is_seen(court):
    """A server starts with the term, the vote and the state that its disk holds."""
    court.rafts[1].voted_for = 2

    with breaks("restart: another vote"):
        court.laws.on_start(court.rafts[1])
