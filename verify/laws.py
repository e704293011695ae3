"""The laws of Raft (Figure 3), and what must be durable before it counts or is told.

They see each server's record after every event, each message before it leaves, each write before it
is durable, and all disks; they keep what they saw, and believe no server about another.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from messages.codec import ENTRY_BYTES_MAX, decode_membership
from messages.codec import TAGS as KINDS
from messages.raft import (
    MEMBERSHIP,
    NOBODY,
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    InstallSnapshot,
    Membership,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raft.quorum import majority
from raft.state import Committed, Raft, Role, Write
from verify.disk import Disk
from verify.history import History
from verify.machine import State


class Seen:
    """What the laws saw of one server in its present life."""

    __slots__ = ("commit_index", "led_term", "membership", "membership_index", "scanned_index")

    def __init__(self, commit_index: int) -> None:
        self.commit_index = commit_index
        self.led_term = 0
        self.scanned_index = 0  # of a leader's log, which only grows
        self.membership_index = 0  # the last membership up to there, which is in force
        self.membership = Membership()


class LogEnd(NamedTuple):
    """Where a leader's log ended before a change of membership."""

    last_index: int
    membership_index: int
    membership: Membership


class Laws:
    """All that was ever seen of one world; a law that is broken is an AssertionError."""

    def __init__(self, membership: Membership, disks: dict[int, Disk], facts: Counter[str]) -> None:
        self.history = History(membership, facts)
        self._disks = disks
        self._facts = facts
        self._seen: dict[int, Seen] = {}
        self._leaders: dict[int, Raft] = {}  # by term
        self._votes: dict[tuple[int, int], int] = {}  # whom a server told its vote, by term
        self._transfers: set[tuple[int, int]] = set()  # (term, candidate): the leader wished so
        self._known: dict[tuple[int, int], tuple[int, Entry]] = {}  # (index, term): what precedes
        self._checks: dict[type, Callable[[Any, Disk], None]] = {
            RequestVote: self._on_request_vote,
            RequestVoteReply: self._on_request_vote_reply,
            AppendEntries: self._on_append_entries,
            AppendEntriesReply: self._on_append_entries_reply,
            Heartbeat: self._on_heartbeat,
            InstallSnapshot: self._on_leader,
            TimeoutNow: self._on_leader,
            ReadIndexReply: self._on_read_index_reply,
        }

    # A server's record

    def on_start(self, raft: Raft) -> None:
        """A server starts: as its disk remembers, and with no commit of its own invention."""
        disk = self._disks[raft.server_id]
        assert raft.current_term == disk.hard_state.current_term, "restart: another term"
        assert raft.voted_for == disk.hard_state.voted_for, "restart: another vote"
        assert raft.last_applied == disk.state.last_applied, "restart: another state"
        self._seen[raft.server_id] = Seen(raft.commit_index)
        self._check_committed(raft)

    def look(self, raft: Raft) -> None:
        """After every event: whoever leads may, and whatever is committed is."""
        seen = self._seen[raft.server_id]
        if raft.commit_index != seen.commit_index:
            self._on_commit(raft, seen)
        if raft.role is Role.LEADER:
            if seen.led_term != raft.current_term:
                self._on_new_leader(raft, seen)
            if raft.log.last_index != seen.scanned_index:
                self._scan(raft, seen)

    def on_change(self, raft: Raft, before: LogEnd) -> None:
        """A leader took up a change: its log up to there had to be ready for it (M1, M4, M5)."""
        commit, old, term = raft.commit_index, before.membership, raft.current_term
        ready = before.membership_index <= commit and not old.outgoing
        assert ready, "membership: a change before the last one was committed and left (M4)"
        assert raft.log.term_at(commit) == term, "membership: a change too early in a term (M1)"
        for learner in set(self._seen[raft.server_id].membership.voters) - set(old.voters):
            disk = self._disks[learner]
            lag = before.last_index - disk.last_index
            caught_up = lag <= raft.config.promote_lag_entries_max
            # Once it knows a later term it may have dropped what it had told this leader it holds.
            assert caught_up or disk.hard_state.current_term > term, "membership: too early (M5)"

    def check_bounds(self, raft: Raft) -> None:
        """Nothing waits without a bound."""
        config = raft.config
        servers = len(self._disks)
        waiting = [*raft.forwarded.values()]
        reads = sum(len(asked.contexts) for asked in waiting) + len(raft.contexts_waiting)
        reads += len(raft.readers_waiting) + sum(len(each.readers) for each in raft.read_rounds)
        assert reads <= config.reads_max, "bounds: reads"
        assert len(raft.waiting) <= len(KINDS) * servers, "bounds: messages for a slow disk"
        rounds_max = config.reads_max + 2 * config.election_ticks_max
        assert len(raft.rounds_sent) <= rounds_max, "bounds: rounds"
        for progress in raft.progress.values():
            assert len(progress.inflight) <= config.inflight_messages_max, "bounds: inflight"
            excess = progress.inflight_bytes - config.inflight_bytes_max
            assert excess <= config.append_bytes_max + ENTRY_BYTES_MAX, "bounds: inflight bytes"

    def log_end(self, raft: Raft) -> LogEnd:
        """Where a server's log ends, and the last membership in it if it leads."""
        seen = self._seen[raft.server_id]
        return LogEnd(raft.log.last_index, seen.membership_index, seen.membership)

    def _on_new_leader(self, raft: Raft, seen: Seen) -> None:
        """Election safety, a majority's votes, and leader completeness (§5.2, §5.4)."""
        term, server = raft.current_term, raft.server_id
        other = self._leaders.setdefault(term, raft)
        assert other is raft, f"election safety: S{other.server_id} and S{server} lead term {term}"
        seen.led_term = term
        first = raft.log.truncated_index
        seen.membership_index, seen.membership = self.history.membership_at(first)
        seen.scanned_index = first
        self._scan(raft, seen, raft.log.last_index - 1)  # its own first entry is not of old terms
        self._check_majorities(
            seen.membership,
            lambda voter: self._has_voted(voter, term, server),
            "election safety: elected without a majority",
        )
        last = self.history.last_before(term)  # its votes may have been late: later terms may be on
        complete = raft.log.truncated_index >= last
        complete = complete or raft.log.term_at(last) == self.history.terms[last]
        assert complete, f"leader completeness: S{server} leads term {term} without entry {last}"
        self._facts["leaders"] += 1
        self._facts["transfers won"] += (term, server) in self._transfers

    def _has_voted(self, voter: int, term: int, candidate: int) -> bool:
        own = voter == candidate and self._disks[voter].hard_state[:2] == (term, candidate)
        return own or self._votes.get((term, voter)) == candidate

    def _scan(self, raft: Raft, seen: Seen, last: int | None = None) -> None:
        """Read what a leader put behind its log; it never takes anything away (Figure 3)."""
        last = raft.log.last_index if last is None else last
        first = seen.scanned_index + 1
        assert first <= last + 1, "leader append-only: the log became shorter"
        entries = raft.log.between(first, last)
        self._check_matching(first, raft.log.term_at(first - 1), entries)
        for at, entry in enumerate(entries, first):
            if entry.kind == MEMBERSHIP:
                seen.membership_index, seen.membership = at, decode_membership(entry.payload)
        seen.scanned_index = last

    def _check_matching(self, first: int, prev_term: int | None, entries: Sequence[Entry]) -> None:
        """Log matching: an index and a term name one entry, and with it all before it (§5.3)."""
        known = self._known
        assert prev_term is not None, "log matching: a gap"
        for at, entry in enumerate(entries, first):
            found = known.setdefault((at, entry.term), (prev_term, entry))
            same = found[0] == prev_term and (found[1] is entry or found[1] == entry)
            assert same, f"log matching: two entries {at} of term {entry.term}, or before it"
            prev_term = entry.term

    def _on_commit(self, raft: Raft, seen: Seen) -> None:
        """A leader commits by counting; everyone else learns of what was committed already."""
        index = raft.commit_index
        assert index >= seen.commit_index, "monotone: the commit index fell"
        if seen.led_term == raft.current_term and index > self.history.last_index:
            self._check_counted(raft, seen)
            for at in range(self.history.last_index + 1, index + 1):
                self.history.extend(raft.log.entry_at(at), raft.current_term)
            self._facts["leaders that left office"] += raft.role is not Role.LEADER
        seen.commit_index = index
        self._check_committed(raft)

    def _check_counted(self, raft: Raft, seen: Seen) -> None:
        """§5.4.2: an entry of its own term, durable on a majority; disks are asked, not servers."""
        index, term = raft.commit_index, raft.current_term
        assert raft.log.term_at(index) == term, "commit: an entry of an earlier term was counted"
        self._check_majorities(
            seen.membership,
            lambda voter: self._disks[voter].holds(index, term),
            f"commit: entry {index} is not durable on a majority",
        )

    def _check_majorities(
        self, membership: Membership, agrees: Callable[[int], bool], law: str
    ) -> None:
        for voters in (membership.voters, membership.outgoing):
            assert not voters or sum(map(agrees, voters)) >= majority(voters), law

    def _check_committed(self, raft: Raft) -> None:
        index = raft.commit_index
        assert index <= self.history.last_index, f"commit: S{raft.server_id} invented {index}"
        term = raft.log.term_at(index)
        assert term is None or term == self.history.terms[index], (
            f"state machine safety: S{raft.server_id} has another entry at {index}"
        )

    # What it applies and answers

    def on_apply(self, state: State, committed: Committed) -> None:
        """State machine safety: in order, no gap, nothing twice, the same everywhere (§5.4.3)."""
        first, entries = committed
        assert first == state.last_applied + 1, f"state machine safety: {first} is not the next"
        theirs = self.history.entries[first : first + len(entries)]
        assert theirs == list(entries), f"state machine safety: other entries from {first} on"

    def check_state(self, state: State) -> None:
        """Assert that a state is what the history makes of its index."""
        same = self.history.digests[state.last_applied] == state.digest
        assert same, f"state machine safety: another state at {state.last_applied}"

    def on_read(self, read_index: int, floor: int) -> None:
        """A read sees all that was committed anywhere when it was asked (linearizable, §6.4)."""
        assert read_index >= floor, f"read safety: {read_index}, but {floor} was committed before"
        assert read_index <= self.history.last_index, "read safety: an index nobody committed"

    # What it writes

    def on_write(self, server: int, write: Write, installed: State | None) -> None:
        """A write is about to be durable: it takes nothing back."""
        disk = self._disks[server]
        old, new = disk.hard_state, write.hard_state
        assert new.current_term >= old.current_term, "monotone: the durable term fell"
        if new.current_term == old.current_term and old.voted_for != NOBODY:
            assert new.voted_for == old.voted_for, "election safety: the durable vote changed"
        assert old.commit_index <= new.commit_index <= self.history.last_index, (
            "monotone: the durable commit index fell, or was invented"
        )
        if write.snapshot is not None:
            assert installed is not None
            assert write.snapshot.last_included_index > disk.state.last_applied, "snapshot: back"
            assert installed.last_applied == write.snapshot.last_included_index
            self.history.check_snapshot(write.snapshot)
            self.check_state(installed)
        elif write.entries:
            self._on_entries(server, disk, write)
        if write.base is not None:
            index = write.base.last_included_index
            assert index <= disk.state.last_applied, "compaction: past the durable state (D11)"
            self.history.check_base(write.base)

    def _on_entries(self, server: int, disk: Disk, write: Write) -> None:
        """D7: entries follow without a gap, and replace none that this server knew committed."""
        first, entries = write.first_index, write.entries
        self._check_matching(first, disk.term_at(first - 1), entries)
        if first > disk.last_index:
            return
        kept = max(self._seen[server].commit_index, disk.hard_state.commit_index)
        for at in range(first, disk.last_index + 1):
            term = disk.term_at(at)
            again = at <= write.last_index and entries[at - first].term == term
            legal = again or at > kept or term != self.history.terms[at]
            assert legal, f"D7: S{server} drops entry {at}, which it knew committed"
            self._facts["conflicting entries"] += not again

    # What it tells

    def on_send(self, messages: Sequence[Message]) -> None:
        """D1, D2: what a message tells of its sender is on the sender's disk."""
        for message in messages:
            kind = type(message)
            if kind is PreVote or kind is PreVoteReply:
                continue  # they tell of wishes
            disk = self._disks[message.source]
            assert message.term <= disk.hard_state.current_term, (
                f"D1: told a term too early: {message}"
            )
            check = self._checks.get(kind)
            if check:
                check(message, disk)

    def _on_request_vote(self, message: RequestVote, disk: Disk) -> None:
        self._on_vote(message, disk, message.source)
        if message.leadership_transfer:
            self._transfers.add((message.term, message.source))

    def _on_request_vote_reply(self, message: RequestVoteReply, disk: Disk) -> None:
        if message.vote_granted:
            self._on_vote(message, disk, message.target)

    def _on_vote(self, message: Message, disk: Disk, candidate: int) -> None:
        """A vote told is a vote kept; a later term on disk is as good, none is given before it."""
        term = message.term
        kept = disk.hard_state[:2] == (term, candidate) or disk.hard_state.current_term > term
        assert kept, f"D1: a vote that is not durable: {message}"
        told = self._votes.setdefault((term, message.source), candidate)
        assert told == candidate, f"election safety: S{message.source} votes twice in term {term}"

    def _on_leader(self, message: Message, _: Disk) -> None:
        leader = self._leaders.get(message.term)
        assert leader is not None, f"election safety: nobody leads that term: {message}"
        assert leader.server_id == message.source, f"election safety: another leads: {message}"

    def _on_append_entries(self, message: AppendEntries, disk: Disk) -> None:
        self._on_leader(message, disk)
        assert message.leader_commit <= self.history.last_index, "commit: told before it happened"

    def _on_append_entries_reply(self, message: AppendEntriesReply, disk: Disk) -> None:
        """What it acknowledges is durable, and is what the leader of that term has there."""
        if not message.success:
            return
        index = message.match_index
        assert index <= disk.last_index, f"D2: acknowledged before it was durable: {message}"
        leader = self._leaders.get(message.term)
        assert leader is not None, f"D2: nobody led that term: {message}"
        if leader.role is Role.LEADER and leader.current_term == message.term:
            ours, theirs = disk.term_at(index), leader.log.term_at(index)
            assert ours is None or theirs is None or ours == theirs, f"D2: differs: {message}"

    def _on_heartbeat(self, message: Heartbeat, disk: Disk) -> None:
        """It names no commit that its receiver does not hold: it may have any log."""
        self._on_leader(message, disk)
        index = message.leader_commit
        assert index <= self.history.last_index, "commit: told before it happened"
        held = self._disks[message.target].holds(index, self.history.terms[index])
        assert held, f"commit: a heartbeat names what its receiver lacks: {message}"

    def _on_read_index_reply(self, message: ReadIndexReply, _: Disk) -> None:
        assert message.read_index <= self.history.last_index, "read safety: nobody committed that"


def known_duties(raft: Raft) -> object:
    """What a server would do or say in its next turn, as far as a tick can change it."""
    sending = [(each.sending, each.probe_due) for each in raft.progress.values()]
    words = [*raft.outbox, *raft.waiting.values()]
    return raft.role, raft.leader_id, raft.current_term, sending, words, list(raft.reads_good)
