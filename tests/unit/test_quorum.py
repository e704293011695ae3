"""Majorities, checked against the slowest way to count them: trying every group of voters."""

from collections.abc import Collection, Mapping
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from raft.quorum import (
    INDEX_MAX,
    VoteResult,
    committed_index,
    joint_committed_index,
    joint_vote_result,
    majority,
    vote_result,
)

SERVERS = st.integers(1, 7)
VOTERS = st.frozensets(SERVERS)
MATCH = st.dictionaries(SERVERS, st.integers(0, 9))
VOTES = st.dictionaries(SERVERS, st.booleans())


def groups(voters: Collection[int]) -> list[tuple[int, ...]]:
    """Every group of voters that is more than half of them; of none, the empty one."""
    sizes = range(len(voters) // 2 + 1, len(voters) + 1) if voters else [0]
    return [group for size in sizes for group in combinations(sorted(voters), size)]


def committed_by_trying(voters: Collection[int], match: Mapping[int, int]) -> int:
    """The highest index that all of some majority hold."""
    return max(
        min((match.get(voter, 0) for voter in group), default=INDEX_MAX) for group in groups(voters)
    )


def result_by_trying(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """Won if some majority has voted so, lost if every one has a refusal in it."""
    if any(all(votes.get(voter) for voter in group) for group in groups(voters)):
        return VoteResult.WON
    if all(any(votes.get(voter) is False for voter in group) for group in groups(voters)):
        return VoteResult.LOST
    return VoteResult.PENDING


@given(VOTERS, MATCH)
def test_what_is_committed_is_held_by_a_majority_and_nothing_higher_is(voters, match):
    """§5.3: the index is the best that any majority can offer."""
    assert committed_index(voters, match) == committed_by_trying(voters, match)


@given(VOTERS, VOTES)
def test_a_ballot_is_decided_as_soon_as_no_later_vote_can_change_it(voters, votes):
    """§5.2: won by a majority, lost when none is left to win it."""
    assert vote_result(voters, votes) is result_by_trying(voters, votes)


@given(VOTERS, VOTERS, MATCH)
def test_a_joint_commit_needs_both_majorities(voters, outgoing, match):
    """§6: the highest index that each of the two sets commits by itself."""
    both = {committed_by_trying(voters, match), committed_by_trying(outgoing, match)}
    assert joint_committed_index(voters, outgoing, match) == min(both)


@given(VOTERS, VOTERS, VOTES)
def test_a_joint_ballot_needs_both_majorities(voters, outgoing, votes):
    """§6: won when both are won, lost as soon as one is lost."""
    results = [result_by_trying(voters, votes), result_by_trying(outgoing, votes)]
    expected = VoteResult.WON if results == [VoteResult.WON] * 2 else VoteResult.PENDING
    expected = VoteResult.LOST if VoteResult.LOST in results else expected
    assert joint_vote_result(voters, outgoing, votes) is expected


@given(VOTERS, MATCH)
def test_a_set_joint_with_itself_or_with_nobody_decides_alone(voters, match):
    """§6: outside a change the joint rule is the plain one."""
    alone = committed_index(voters, match)
    assert joint_committed_index(voters, voters, match) == alone
    assert joint_committed_index(voters, (), match) == alone


@given(st.frozensets(SERVERS, min_size=1), MATCH, SERVERS, st.integers(0, 9))
def test_a_commit_never_falls_when_somebody_holds_more(voters, match, server, more):
    """D8: progress of one server cannot take back what is committed."""
    later = {**match, server: max(match.get(server, 0), more)}
    assert committed_index(voters, later) >= committed_index(voters, match)


@given(st.frozensets(SERVERS, min_size=1))
def test_any_two_majorities_share_a_voter(voters):
    """§5.2: so no two candidates of a term both win, and no entry is committed twice."""
    smallest = [set(group) for group in groups(voters) if len(group) == majority(voters)]
    assert all(ours & theirs for ours in smallest for theirs in smallest)
