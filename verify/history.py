"""What was ever committed, by whomever: one list for the whole world, and no entry leaves it."""

from bisect import bisect_left
from collections import Counter

from messages.codec import decode_membership
from messages.raft import COMMAND, MEMBERSHIP, Entry, Membership, Snapshot
from verify.machine import digest_after


class History:
    """The committed entries, the digest and the membership at each, in the order of the log."""

    def __init__(self, membership: Membership, facts: Counter[str]) -> None:
        self.entries: list[Entry | None] = [None]  # nothing is at index 0
        self.terms = [0]
        self.committed_in = [0]  # the term of the leader that counted; it never falls
        self.digests = [0]
        self.memberships = [(0, membership)]
        self.last_index = 0
        self.payloads: set[bytes] = set()
        self._facts = facts

    def extend(self, entry: Entry, leader_term: int) -> None:
        """One entry more is committed; a command only once, a membership only by a legal step."""
        assert leader_term >= self.committed_in[-1], "commit: by a leader of the past"
        self.last_index += 1
        if entry.kind == COMMAND:
            assert entry.payload not in self.payloads, f"exactly once: {entry.payload!r} again"
            self.payloads.add(entry.payload)
        elif entry.kind == MEMBERSHIP:
            membership = decode_membership(entry.payload)
            check_step(self.memberships[-1][1], membership)
            self._count_step(self.memberships[-1][1], membership)
            self.memberships.append((self.last_index, membership))
        self.entries.append(entry)
        self.terms.append(entry.term)
        self.committed_in.append(leader_term)
        self.digests.append(digest_after(self.digests[-1], entry))

    def last_before(self, term: int) -> int:
        """The last entry that was committed in an earlier term: a leader of this one holds it."""
        return bisect_left(self.committed_in, term) - 1

    def membership_at(self, index: int) -> tuple[int, Membership]:
        """The last committed membership up to index, and where it stands."""
        return next(found for found in reversed(self.memberships) if found[0] <= index)

    def check_base(self, base: Snapshot) -> None:
        """Assert that a log may start behind this: committed, with the term and members there.

        The founders are in no log: who joined later and has seen no membership yet knows of none.
        """
        self._check_place(base)
        at, membership = self.membership_at(base.last_included_index)
        known = membership == base.membership or (at == 0 and base.membership == Membership())
        assert known, f"compaction: other members at {base.last_included_index}"

    def check_snapshot(self, snapshot: Snapshot) -> None:
        """Assert that this may replace a log, the members it names among it."""
        self._check_place(snapshot)
        _, membership = self.membership_at(snapshot.last_included_index)
        known = membership == snapshot.membership
        assert known, f"snapshot: other members at {snapshot.last_included_index}"

    def _check_place(self, snapshot: Snapshot) -> None:
        index, term, _ = snapshot
        assert index <= self.last_index, f"compaction: {index} is not committed"
        assert self.terms[index] == term, f"compaction: {index} was committed in another term"

    def _count_step(self, old: Membership, new: Membership) -> None:
        self._facts["memberships"] += 1
        if new.outgoing:
            self._facts["joint memberships"] += 1
        if old.outgoing:
            self._facts["joint memberships left"] += 1
        if set(new.voters) & set(old.learners):
            self._facts["promotions"] += 1
        if (set(new.learners) | set(new.learners_next)) & set(old.voters):
            self._facts["demotions"] += 1


def check_step(old: Membership, new: Membership) -> None:
    """Assert that one committed membership may follow another (thesis §4)."""
    gone = old.servers() - new.servers()
    assert set(old.removed) <= set(new.removed), "membership: a removed server's id was forgotten"
    assert gone <= set(new.removed), "membership: a server went, and its id may be used again"
    assert not new.servers() & set(old.removed), "membership: a removed server came back"
    assert set(new.voters) <= old.servers(), "membership: a newcomer votes without being a learner"
    if old.outgoing:
        learners = set(old.learners) | set(old.learners_next)
        assert not new.outgoing, "membership: joint after joint"
        assert new.voters == old.voters, "membership: leaving a joint one changed its voters"
        assert set(new.learners) == learners, "membership: leaving a joint one changed learners"
    elif new.outgoing:
        assert new.outgoing == old.voters, "membership: a joint one without the old majority"
    else:
        changed = set(new.voters) ^ set(old.voters)
        assert len(changed) <= 1, "membership: two voters changed without a joint one"
