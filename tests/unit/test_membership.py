"""Who takes part: what changes make of a membership, and when one is in force."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.codec import (
    INTEGER_MAX,
    MEMBERS_MAX,
    REMOVED_MAX,
    decode_membership,
    encode_membership,
    membership_fault,
)
from messages.raft import (
    Membership,
)
from raft import core
from raft.core import Action, Change
from raft.membership import changed, left
from raft.quorum import majority
from raft.state import Proposed, Refusal
from tests.network import PAPER, Server

TRIO = Membership((1, 2, 3))
wishes = st.lists(st.builds(Change, st.sampled_from(Action), st.integers(1, 6)), max_size=5)


# What changes make of a membership, by plain values.


@given(st.lists(wishes, min_size=1, max_size=8))
def test_changes_after_changes_keep_a_membership_legal(steps):
    """Thesis §4: whatever is asked for, every membership on the way can be written and read."""
    membership, spent = TRIO, set[int]()
    for changes in steps:
        after = changed(membership, changes)
        if isinstance(after, Refusal):
            continue
        for following in [after, left(after)] if after.outgoing else [after]:
            assert membership_fault(following) == ""
            assert decode_membership(encode_membership(following)) == following
            assert spent <= set(following.removed), "a removed server stays removed (M6)"
            membership, spent = following, set(following.removed)
        assert not spent & membership.servers()


@given(wishes, wishes)
def test_a_membership_is_joint_exactly_if_majorities_might_miss_each_other(first, second):
    """Thesis §4.1, §4.3: one voter more or less is safe in one step, anything more is not."""
    before = changed(TRIO, first)
    before = TRIO if isinstance(before, Refusal) else before
    before = left(before) if before.outgoing else before
    after = changed(before, second)
    if isinstance(after, Refusal):
        return

    differing = set(before.voters) ^ set(after.voters)
    assert bool(after.outgoing) == (len(differing) > 1)
    if after.outgoing:
        assert after.outgoing == before.voters
    else:
        everyone = {*before.voters, *after.voters}
        assert majority(before.voters) + majority(after.voters) > len(everyone), "they overlap"


@given(wishes)
def test_leaving_keeps_everyone_who_should_stay(changes):
    """Thesis §4.3: a voter that was demoted on the way becomes a learner when that is over."""
    after = changed(TRIO, changes)
    if isinstance(after, Refusal) or not after.outgoing:
        return
    final = left(after)

    assert final.voters == after.voters
    assert set(final.learners) == {*after.learners, *after.learners_next}
    gone = after.servers() - final.servers()
    assert gone <= set(after.outgoing) & set(after.removed)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([Change(Action.ADD_LEARNER, 4)], Membership((1, 2, 3), learners=(4,))),
        ([Change(Action.DEMOTE, 3)], Membership((1, 2), learners=(3,))),
        ([Change(Action.REMOVE, 3)], Membership((1, 2), removed=(3,))),
        (
            [Change(Action.ADD_LEARNER, 4), Change(Action.PROMOTE, 4), Change(Action.DEMOTE, 1)],
            Membership((2, 3, 4), (1, 2, 3), learners_next=(1,)),
        ),
        (
            [Change(Action.REMOVE, 2), Change(Action.REMOVE, 3)],
            Membership((1,), (1, 2, 3), removed=(2, 3)),
        ),
        (
            [Change(Action.DEMOTE, 3), Change(Action.PROMOTE, 3), Change(Action.REMOVE, 2)],
            Membership((1, 3), removed=(2,)),
        ),
    ],
    ids=["add", "demote", "remove", "swap", "remove two", "there and back"],
)
def test_changes_are_made_in_order(changes, expected):
    """Thesis §4: several wishes make one membership, as if each had been granted in turn."""
    assert changed(TRIO, changes) == expected


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ([], Refusal.NO_CHANGE),
        ([Change(Action.ADD_LEARNER, 1)], Refusal.NO_CHANGE),
        ([Change(Action.PROMOTE, 1)], Refusal.NO_CHANGE),
        ([Change(Action.REMOVE, 9)], Refusal.NO_CHANGE),
        ([Change(Action.ADD_LEARNER, 4), Change(Action.REMOVE, 4)], Refusal.NO_CHANGE),
        ([Change(Action.PROMOTE, 9)], Refusal.UNKNOWN_SERVER),
        ([Change(Action.DEMOTE, 9)], Refusal.UNKNOWN_SERVER),
        ([Change(Action.REMOVE, 3), Change(Action.ADD_LEARNER, 3)], Refusal.REMOVED_ID),
        ([Change(Action.DEMOTE, server) for server in (1, 2, 3)], Refusal.NO_VOTERS),
        ([Change(Action.REMOVE, server) for server in (1, 2, 3)], Refusal.NO_VOTERS),
        ([Change(Action.ADD_LEARNER, 0)], Refusal.INVALID_ID),
        ([Change(Action.REMOVE, -1)], Refusal.INVALID_ID),
        ([Change(Action.ADD_LEARNER, INTEGER_MAX + 1)], Refusal.INVALID_ID),
    ],
    ids=str,
)
def test_an_impossible_wish_is_refused_as_a_whole(changes, refusal):
    """A refusal is a value, and nothing of the other wishes happens."""
    assert changed(TRIO, changes) is refusal
    if refusal is not Refusal.NO_CHANGE:
        assert changed(TRIO, [Change(Action.ADD_LEARNER, 7), *changes]) is refusal


def test_a_membership_has_room_for_so_many():
    """O3: servers and tombstones are bounded, and the bound itself is within bounds."""
    full = Membership((1,), learners=tuple(range(2, MEMBERS_MAX + 1)))
    worn = Membership((1, 2), removed=tuple(range(10, 10 + REMOVED_MAX)))

    assert changed(full, [Change(Action.ADD_LEARNER, 1_000)]) is Refusal.TOO_MANY
    assert changed(worn, [Change(Action.REMOVE, 2)]) is Refusal.TOO_MANY
    almost = full._replace(learners=full.learners[:-1])
    assert changed(almost, [Change(Action.ADD_LEARNER, MEMBERS_MAX)]) == full


def test_a_joint_membership_counts_those_who_leave():
    """O3: while it lasts they take part; one that no server could read must not be proposed."""
    full = Membership(tuple(range(1, MEMBERS_MAX + 1)))
    swap = [Change(Action.REMOVE, 1), Change(Action.ADD_LEARNER, 1_000)]

    assert changed(full, swap) is Refusal.TOO_MANY


# When a change may be proposed.


def test_only_a_leader_takes_a_change():
    """Thesis §4.1: a follower has no log of its own to put it in."""
    assert add(Server(1), 4) is Refusal.NOT_LEADER


def test_no_change_before_the_terms_first_commit():
    """M1: else two leaders could each change what the other's majority is (Ongaro 2015)."""
    leader = Server(1).lead()

    assert add(leader, 4) is Refusal.NOT_READY
    leader.acknowledged(2)
    assert isinstance(add(leader, 4), Proposed)


def test_one_change_at_a_time():
    """M4: the next one waits until this one is committed."""
    leader = Server(1).lead().acknowledged(2)
    add(leader, 4)

    assert add(leader, 5) is Refusal.CHANGE_PENDING
    leader.acknowledged(2)
    assert isinstance(add(leader, 5), Proposed)


def test_a_joint_membership_is_a_change_until_it_is_left():
    """Thesis §4.3: it is committed, its end is not."""
    leader = Server(1, voters=(1, 2, 3, 4, 5)).lead().acknowledged(2, 3)
    two_less = [Change(Action.REMOVE, 4), Change(Action.REMOVE, 5)]
    joint = leader.do(core.propose_membership, two_less)
    assert isinstance(joint, Proposed)
    leader.acknowledged(2, 3, index=joint.last_index)
    assert leader.raft.membership == Membership((1, 2, 3), removed=(4, 5)), "being left"

    assert add(leader, 6) is Refusal.CHANGE_PENDING
    leader.acknowledged(2)
    assert isinstance(add(leader, 6), Proposed)


def test_no_change_while_leadership_is_handed_over():
    """Thesis §3.10: the log must stand still for the transferee to catch up."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(core.transfer_leader, 3)

    assert add(leader, 4) is Refusal.TRANSFERRING


def test_an_impossible_change_leaves_the_log_alone():
    """A refusal of the wish itself comes through."""
    leader = Server(1).lead().acknowledged(2)

    assert promote(leader, 9) is Refusal.UNKNOWN_SERVER
    assert leader.terms() == (1,)


def test_a_learner_is_promoted_only_when_caught_up():
    """M5: the vote of a server far behind would stall every commit."""
    leader = Server(1, learners=(4,), config=PAPER._replace(promote_lag_entries_max=2))
    leader.lead().acknowledged(2)
    assert promote(leader, 4) is Refusal.NOT_CAUGHT_UP, "nothing is known of it"

    leader.acknowledged(4)
    leader.do(core.propose, (b"1", b"2", b"3"))
    assert promote(leader, 4) is Refusal.NOT_CAUGHT_UP, "it is three entries behind"

    leader.acknowledged(4, index=2)
    assert isinstance(promote(leader, 4), Proposed)


def test_a_newcomer_cannot_vote_at_once():
    """M5: added and promoted in one wish, nothing could be known of its log."""
    leader = Server(1).lead().acknowledged(2)
    both = [Change(Action.ADD_LEARNER, 4), Change(Action.PROMOTE, 4)]

    assert leader.do(core.propose_membership, both) is Refusal.NOT_CAUGHT_UP


def test_a_leader_outside_its_own_membership_still_checks_the_others():
    """Thesis §4.2.2: a leader that removed itself promotes nobody who is not caught up."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2)
    wishes = [Change(Action.REMOVE, 1), Change(Action.PROMOTE, 4)]

    assert leader.do(core.propose_membership, wishes) is Refusal.NOT_CAUGHT_UP


def add(leader: Server, server: int) -> Proposed | Refusal:
    """Propose a new learner."""
    return leader.do(core.propose_membership, [Change(Action.ADD_LEARNER, server)])


def promote(leader: Server, server: int) -> Proposed | Refusal:
    """Propose that a learner vote."""
    return leader.do(core.propose_membership, [Change(Action.PROMOTE, server)])
