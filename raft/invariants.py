"""What must hold after every event, in state and from one event to the next; a breach is our bug.

Going on after one would turn a bug into lost data, so they stay on in production: each function of
raft/core.py ends with check(), which costs about a microsecond.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from messages.raft import NOBODY
from raft.state import Raft, Role

Event = ParamSpec("Event")
Answer = TypeVar("Answer")


def checked(
    on_event: Callable[Concatenate[Raft, Event], Answer],
) -> Callable[Concatenate[Raft, Event], Answer]:
    """The same function, with a check behind it."""

    @wraps(on_event)
    def on_event_checked(raft: Raft, /, *args: Event.args, **named: Event.kwargs) -> Answer:
        answer = on_event(raft, *args, **named)
        check(raft)
        return answer

    return on_event_checked


def check(raft: Raft) -> None:
    """Assert the order of the marks, that none of them fell, and that the role fits."""
    log = raft.log
    assert log.truncated_index <= raft.saved_index <= raft.last_applied, "compacted past the state"
    assert raft.last_applied <= raft.handed_index <= raft.commit_index, "applied past the commit"
    assert raft.commit_index <= log.last_index, "committed past the log"
    assert log.truncated_index <= log.stable_index <= log.last_index, "durable past the log"
    assert raft.handed_index <= log.stable_index, "applied what the disk does not hold"
    _check_monotone(raft)
    _check_role(raft)


def _check_monotone(raft: Raft) -> None:
    """D8: term, commit and applied never fall; within a term a vote is never changed."""
    marks = (raft.current_term, raft.commit_index, raft.last_applied, raft.voted_for)
    if raft.checked and marks != raft.checked:
        term, commit_index, last_applied, voted_for = raft.checked
        assert raft.current_term >= term, "the term fell"
        assert raft.commit_index >= commit_index, "the commit index fell"
        assert raft.last_applied >= last_applied, "the applied index fell"
        if raft.current_term == term and voted_for != NOBODY:
            assert raft.voted_for == voted_for, "voted twice in one term"
    raft.checked = marks


def _check_role(raft: Raft) -> None:
    """A candidate votes for itself (§5.2), and only a leader keeps progress and rounds."""
    if raft.role is Role.LEADER:
        assert raft.leader_id == raft.server_id and raft.hard_state_is_durable
    else:
        assert not raft.progress and not raft.read_rounds and not raft.transferee
        assert raft.leader_id != raft.server_id
    if raft.role in (Role.CANDIDATE, Role.LEADER):
        assert raft.voted_for == raft.server_id
