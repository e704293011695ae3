"""Who takes part: a membership counts from the moment it is in the log (§6, thesis §4).

An entry of kind MEMBERSHIP holds the whole membership, not the difference, so the latest one in the
log, or else the snapshot's, is all one needs to know; dropping the entry rolls it back (M4).

One voter more or less is a step of its own: the majorities before and after overlap. Anything more
goes through a joint membership, which the leader leaves as soon as it is committed.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from messages.codec import (
    INTEGER_MAX,
    MEMBERS_MAX,
    REMOVED_MAX,
    decode_membership,
    encode_membership,
)
from messages.raft import MEMBERSHIP, AppendEntriesReply, Entry, Membership, Snapshot
from raft.progress import Progress, Sending
from raft.quorum import joint_committed_index
from raft.state import Proposed, Raft, Refusal, Role, match_indexes


class Action(Enum):
    """What can be done to one server. A new one is always a learner first (M5)."""

    ADD_LEARNER = "add-learner"
    PROMOTE = "promote"
    DEMOTE = "demote"
    REMOVE = "remove"


class Change(NamedTuple):
    """One wish about one server."""

    action: Action
    server: int


def changed(membership: Membership, changes: Sequence[Change]) -> Membership | Refusal:
    """The membership after all the changes, joint if it must be; what holds already is skipped."""
    assert not membership.outgoing
    voters, learners = set(membership.voters), set(membership.learners)
    removed = set(membership.removed)
    for action, server in changes:
        refusal = _refusal(action, server, voters | learners, removed)
        if refusal:
            return refusal
        _change(action, server, voters, learners, removed)
    if (voters, learners) == (set(membership.voters), set(membership.learners)):
        return Refusal.NO_CHANGE
    if not voters:
        return Refusal.NO_VOTERS
    servers = voters | learners | set(membership.voters)
    if len(servers) > MEMBERS_MAX or len(removed) > REMOVED_MAX:
        return Refusal.TOO_MANY
    return _step_or_joint(membership, voters, learners, removed)


def left(membership: Membership) -> Membership:
    """What a joint membership turns into once it is committed."""
    assert membership.outgoing
    learners = {*membership.learners, *membership.learners_next}
    return Membership(membership.voters, (), tuple(sorted(learners)), (), membership.removed)


def propose_membership(raft: Raft, changes: Sequence[Change]) -> Proposed | Refusal:
    """Append the changed membership; refused while another one is not committed (M4)."""
    refusal = _not_now(raft)
    if refusal:
        return refusal
    membership = changed(raft.membership, changes)
    if isinstance(membership, Refusal):
        return membership
    if not all(_is_caught_up(raft, voter) for voter in membership.voters):
        return Refusal.NOT_CAUGHT_UP
    return append_own(raft, MEMBERSHIP, (encode_membership(membership),))


def leave_joint(raft: Raft) -> None:
    """A leader ends a joint membership once that is committed, whoever began it.

    Not while it hands over: the transferee, asked to campaign already, would lack that entry and
    lose. Whoever leads then, it or again this one, ends it.
    """
    if raft.transferee:
        return
    index, membership = raft.memberships[-1]
    if membership.outgoing and index <= raft.commit_index:
        append_own(raft, MEMBERSHIP, (encode_membership(left(membership)),))


def append_own(raft: Raft, kind: int, payloads: Sequence[bytes]) -> Proposed:
    """The leader puts entries of its own term behind its log (§5.3)."""
    assert raft.role is Role.LEADER
    first = raft.log.last_index + 1
    append(raft, [Entry(raft.current_term, kind, payload) for payload in payloads])
    return Proposed(raft.current_term, first, raft.log.last_index)


def append(raft: Raft, entries: Sequence[Entry]) -> None:
    """Put entries behind the log; a membership among them is in force at once."""
    first = raft.log.last_index + 1
    raft.log.append(entries)
    for offset, entry in enumerate(entries):
        if entry.kind == MEMBERSHIP:
            raft.memberships.append((first + offset, decode_membership(entry.payload)))
            _follow_membership(raft)


def truncate_from(raft: Raft, first: int) -> None:
    """Drop entries that conflict, and with them their memberships and our word about them."""
    assert first > raft.commit_index, "a committed entry never changes"
    raft.log.truncate_from(first)
    raft.writing_last = min(raft.writing_last, first - 1)
    while raft.memberships[-1][0] >= first:
        raft.memberships.pop()
    for key, message in list(raft.waiting.items()):
        if isinstance(message, AppendEntriesReply) and message.match_index >= first:
            del raft.waiting[key]  # the write it waits for no longer holds what it promises


def found_in(base: Snapshot, entries: Sequence[Entry]) -> list[tuple[int, Membership]]:
    """The memberships that a log holds, the one it starts from first."""
    first = base.last_included_index + 1
    return [(base.last_included_index, base.membership)] + [
        (index, decode_membership(entry.payload))
        for index, entry in enumerate(entries, first)
        if entry.kind == MEMBERSHIP
    ]


def membership_at(raft: Raft, index: int) -> Membership:
    """The membership that a state applied up to index has seen."""
    return next(found for at, found in reversed(raft.memberships) if at <= index)


def forget_until(raft: Raft, index: int) -> None:
    """Drop memberships that only a compacted part of the log could roll back to."""
    keep = max(at for at, _ in raft.memberships if at <= index)
    raft.memberships = [(at, found) for at, found in raft.memberships if at >= keep]


def restart_from(raft: Raft, snapshot: Snapshot) -> None:
    """A snapshot replaced the log."""
    raft.memberships = [(snapshot.last_included_index, snapshot.membership)]


def is_promotable(raft: Raft) -> bool:
    """Whether this server may campaign: a voter, in force or still as far as is committed.

    Whoever removed itself may be the only one that holds the entry which says so: it is needed
    until that is committed, and does not count its own vote (thesis §4.2.2, Figure 4.6).
    """
    in_force = raft.membership
    if raft.server_id in in_force.voters or raft.server_id in in_force.outgoing:
        return True
    committed = membership_at(raft, raft.commit_index)
    return raft.server_id in committed.voters or raft.server_id in committed.outgoing


def has_unapplied_change(raft: Raft) -> bool:
    """Whether a committed membership has not been applied here yet."""
    return any(raft.last_applied < at <= raft.commit_index for at, _ in raft.memberships)


def quorum_index(raft: Raft) -> int:
    """What a majority, or both of a joint membership, holds durably."""
    membership = raft.membership
    return joint_committed_index(membership.voters, membership.outgoing, match_indexes(raft))


def _not_now(raft: Raft) -> Refusal | None:
    if raft.role is not Role.LEADER:
        return Refusal.NOT_LEADER
    if raft.transferee:
        return Refusal.TRANSFERRING
    if raft.log.term_at(raft.commit_index) != raft.current_term:
        return Refusal.NOT_READY  # M1: the bug in single-server changes that Ongaro found in 2015
    if raft.memberships[-1][0] > raft.commit_index or raft.membership.outgoing:
        return Refusal.CHANGE_PENDING
    return None


def _is_caught_up(raft: Raft, voter: int) -> bool:
    """M5: a learner far behind, or silent, would stall every commit once its vote counted."""
    if voter in raft.membership.voters:
        return True
    progress = raft.progress.get(voter)
    if progress is None or not progress.recent_active or progress.sending is not Sending.REPLICATE:
        return False
    return raft.log.last_index - progress.match_index <= raft.config.promote_lag_entries_max


def _refusal(action: Action, server: int, known: set[int], removed: set[int]) -> Refusal | None:
    if not 0 < server <= INTEGER_MAX:
        return Refusal.INVALID_ID
    if action is Action.REMOVE:
        return None  # of an absent server nothing is left to do
    if server in removed:
        return Refusal.REMOVED_ID  # M6
    if action is not Action.ADD_LEARNER and server not in known:
        return Refusal.UNKNOWN_SERVER
    return None


def _change(
    action: Action, server: int, voters: set[int], learners: set[int], removed: set[int]
) -> None:
    if action is Action.ADD_LEARNER and server not in voters:
        learners.add(server)
    elif action is Action.PROMOTE:
        learners.discard(server)
        voters.add(server)
    elif action is Action.DEMOTE:
        voters.discard(server)
        learners.add(server)
    elif action is Action.REMOVE and server in voters | learners:
        voters.discard(server)
        learners.discard(server)
        removed.add(server)


def _step_or_joint(
    old: Membership, voters: set[int], learners: set[int], removed: set[int]
) -> Membership:
    """A demoted voter of a joint membership becomes a learner only when that is left."""
    spent = tuple(sorted(removed))
    if len(voters ^ set(old.voters)) <= 1:
        return Membership(tuple(sorted(voters)), (), tuple(sorted(learners)), (), spent)
    learners_next = learners & set(old.voters)
    return Membership(
        tuple(sorted(voters)),
        old.voters,
        tuple(sorted(learners - learners_next)),
        tuple(sorted(learners_next)),
        spent,
    )


def _follow_membership(raft: Raft) -> None:
    """The leader keeps progress of exactly those who take part, and of itself."""
    if raft.role is not Role.LEADER:
        return
    raft.lease_until = 0  # it was granted by another majority (R2)
    servers = raft.membership.servers() | {raft.server_id}
    for server in list(raft.progress):
        if server not in servers:
            del raft.progress[server]
    for server in servers:
        if server not in raft.progress:
            # A newcomer counts as heard from: the next check for a quorum must not fail for it.
            raft.progress[server] = Progress(raft.log.last_index, recent_active=True)
