"""The arithmetic of majorities: what is committed, who is elected; plain functions, plain values.

A joint decision needs both majorities (thesis §4.3). An empty set of voters has no say: it agrees
to everything, so that one set alone decides while no change is under way.
"""

from collections.abc import Collection, Mapping
from enum import Enum

INDEX_MAX = 2**63 - 1
"""What a set without voters has committed: no bound of its own."""


class VoteResult(Enum):
    """How a ballot stands."""

    WON = "won"
    LOST = "lost"
    PENDING = "pending"


def majority(voters: Collection[int]) -> int:
    """The smallest number of voters of which any two such groups share one."""
    return len(voters) // 2 + 1


def committed_index(voters: Collection[int], match: Mapping[int, int]) -> int:
    """The highest index that a majority of voters holds; who is missing in match holds nothing."""
    if not voters:
        return INDEX_MAX
    held = sorted([match.get(voter, 0) for voter in voters], reverse=True)
    return held[majority(voters) - 1]


def vote_result(voters: Collection[int], votes: Mapping[int, bool]) -> VoteResult:
    """Won by a majority, lost when none can be reached any more, else pending."""
    granted = sum(1 for voter in voters if votes.get(voter) is True)
    refused = sum(1 for voter in voters if votes.get(voter) is False)
    if not voters or granted >= majority(voters):
        return VoteResult.WON
    if granted + (len(voters) - granted - refused) < majority(voters):
        return VoteResult.LOST
    return VoteResult.PENDING


def joint_committed_index(
    voters: Collection[int], outgoing: Collection[int], match: Mapping[int, int]
) -> int:
    """The highest index that both majorities hold."""
    if not outgoing:  # nearly always, and three times for each write
        return committed_index(voters, match)
    return min(committed_index(voters, match), committed_index(outgoing, match))


def joint_vote_result(
    voters: Collection[int], outgoing: Collection[int], votes: Mapping[int, bool]
) -> VoteResult:
    """Won when both majorities are won, lost as soon as one is lost."""
    results = {vote_result(voters, votes), vote_result(outgoing, votes)}
    if VoteResult.LOST in results:
        return VoteResult.LOST
    return VoteResult.PENDING if VoteResult.PENDING in results else VoteResult.WON
