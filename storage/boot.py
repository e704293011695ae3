"""What a node starts from: its log and its state, checked against each other (D10)."""

from typing import NamedTuple

from messages.raft import NOBODY, Entry, HardState, Snapshot
from storage.environment import StorageRefused
from storage.log import Loaded, LogStore
from storage.state import StateStore


class Booted(NamedTuple):
    """What raft.core.start asks for, as raft.state.Saved."""

    hard_state: HardState
    base: Snapshot
    entries: tuple[Entry, ...]
    last_applied: int


def load_saved(log: LogStore, state: StateStore, group: int) -> Booted:
    """Log and state as they were left; StorageRefused if they cannot be of one node.

    One disagreement is no fault: a crash between a snapshot's two steps, state first, then log.
    The second step is done here. A state that was flushed never lies ahead of its log, because
    only durable entries are applied; so then the log is an older copy, or a part of it is lost.
    """
    loaded = log.load(group)
    snapshot = state.last_included
    if not _holds(loaded, snapshot):
        known = max(loaded.base.last_included_index, loaded.hard_state.commit_index)
        if not (state.installed and snapshot.last_included_index > known):
            raise StorageRefused(
                f"the log of group {group} does not go with the state, which stands at "
                f"index {snapshot.last_included_index}: one of them is of another time; "
                "restore the whole directory, or replace the node by a new one with another id"
            )
        hard_state = _hard_state_behind(loaded.hard_state, snapshot)
        log.reset(group, hard_state, snapshot)
        loaded = Loaded(hard_state, snapshot, ())
    _check(loaded, group)
    return Booted(*loaded, snapshot.last_included_index)


def _holds(loaded: Loaded, snapshot: Snapshot) -> bool:
    """Whether the state's last entry is in the log, or is what the log starts behind."""
    index, term, _ = snapshot
    first = loaded.base.last_included_index + 1
    if index == first - 1:
        return term == loaded.base.last_included_term
    return (
        first <= index < first + len(loaded.entries) and loaded.entries[index - first].term == term
    )


def _hard_state_behind(hard_state: HardState, snapshot: Snapshot) -> HardState:
    """The snapshot's term was seen, although the write that says so is lost; no vote was given.

    Had this server voted in that term, the vote would be durable and so would the term (D1).
    """
    index, term, _ = snapshot
    if term > hard_state.current_term:
        return HardState(term, NOBODY, index)
    return hard_state._replace(commit_index=index)


def _check(loaded: Loaded, group: int) -> None:
    hard_state, base, entries = loaded
    last_index = base.last_included_index + len(entries)
    last_term = entries[-1].term if entries else base.last_included_term
    if hard_state.commit_index > last_index or hard_state.current_term < last_term:
        raise StorageRefused(
            f"the log of group {group} ends at index {last_index} in term {last_term}, but more "
            "was written to it: restore the whole directory, or replace the node by a new one "
            "with another id"
        )
