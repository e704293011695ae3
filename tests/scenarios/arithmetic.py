"""Commands that need no cluster: majorities, ballots, and what a change makes of a membership."""

from collections.abc import Callable, Sequence

from messages.raft import Membership
from raft.membership import Action, Change, changed, left
from raft.quorum import INDEX_MAX, joint_committed_index, joint_vote_result
from raft.state import Refusal
from tests.scenarios.wording import of_membership


def options(words: Sequence[str]) -> dict[str, str]:
    """name=value, any number of them."""
    return dict(word.split("=", 1) for word in words)


def ids(text: str) -> tuple[int, ...]:
    """1,2,3."""
    return tuple(int(part) for part in text.split(",") if part)


def changes(words: Sequence[str]) -> list[Change]:
    """`promote 4 remove 1` and so on."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return [Change(Action(action), int(server)) for action, server in pairs]


def committed(words: Sequence[str]) -> str:
    """What the majorities of voters and outgoing hold, given match=server:index."""
    given = options(words)
    match = {server: int(index) for server, index in _pairs(given.get("match", ""))}
    voters, outgoing = ids(given.get("voters", "")), ids(given.get("outgoing", ""))
    index = joint_committed_index(voters, outgoing, match)
    answer = "everything" if index == INDEX_MAX else str(index)
    return f"{' '.join(words)}: {answer}"


def ballot(words: Sequence[str]) -> str:
    """How a ballot of voters and outgoing stands, given votes=server:yes or no."""
    given = options(words)
    votes = {server: vote == "yes" for server, vote in _pairs(given.get("votes", ""))}
    voters, outgoing = ids(given.get("voters", "")), ids(given.get("outgoing", ""))
    return f"{' '.join(words)}: {joint_vote_result(voters, outgoing, votes).value}"


def change_of(words: Sequence[str]) -> str:
    """What changes make of a membership."""
    outcome = changed(_membership(words), changes([word for word in words if "=" not in word]))
    return f"refused: {outcome.value}" if isinstance(outcome, Refusal) else of_membership(outcome)


def left_from(words: Sequence[str]) -> str:
    """What a joint membership turns into."""
    return of_membership(left(_membership(words)))


COMMANDS: dict[str, Callable[[Sequence[str]], str]] = {
    "committed": committed,
    "ballot": ballot,
    "changed": change_of,
    "left": left_from,
}


def _membership(words: Sequence[str]) -> Membership:
    given = options([word for word in words if "=" in word])
    names = ("voters", "outgoing", "learners", "next", "removed")
    return Membership(*(ids(given.get(name, "")) for name in names))


def _pairs(text: str) -> list[tuple[int, str]]:
    parts = (part.split(":") for part in text.split(",") if part)
    return [(int(server), value) for server, value in parts]
