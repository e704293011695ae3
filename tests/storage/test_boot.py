"""The start of a node: its log and its state agree, or are brought to agree, or are refused."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from messages.raft import HardState, Membership, Snapshot
from storage.boot import Booted, load_saved
from storage.environment import StorageRefused, open_node
from storage.log import LogStore
from storage.snapshot import SnapshotReader, SnapshotWriter
from storage.state import StateStore
from tests.storage.fakes import IDENTITY, MEMBERS, entries_of, place


class Node(NamedTuple):
    log: LogStore
    state: StateStore


@pytest.fixture
def node(directory: Path) -> Iterator[Node]:
    """A node's stores, empty."""
    opened = open_node(directory / "node", IDENTITY)
    yield Node(LogStore(opened.log), StateStore(opened.state))
    opened.close()


def test_a_new_node_starts_from_nothing(node):
    """A server that joins has no term, no log, no state, and does not know the members."""
    nothing = Snapshot(0, 0, Membership())

    assert load_saved(node.log, node.state, 0) == Booted(HardState(0, 0, 0), nothing, (), 0)


def test_a_founding_member_starts_from_the_first_membership(node):
    """Before its first start the voters are written as the base at index 0."""
    node.log.write(0, HardState(0, 0, 0), place(0, 0), 1, ())

    assert load_saved(node.log, node.state, 0).base == Snapshot(0, 0, MEMBERS)


def test_a_state_inside_the_log_is_where_replay_begins(node):
    """DESIGN 3: entries behind the applied index are applied again, the others are not."""
    node.log.write(0, HardState(1, 1, 3), place(1), 2, entries_of(1, b"b", b"c", b"d"))
    flush(node.state, 3)

    booted = load_saved(node.log, node.state, 0)

    expected = tuple(entries_of(1, b"b", b"c", b"d"))
    assert booted == Booted(HardState(1, 1, 3), place(1), expected, 3)


@pytest.mark.parametrize("last", [0, 3, 5, 9], ids=["empty", "behind", "up to", "beyond"])
def test_a_crash_between_state_and_log_is_repaired(node, directory, last):
    """D10: the snapshot's state is there, the log has not heard of it: it starts behind it."""
    node.log.write(0, HardState(2, 1, 0), place(0, 0), 1, entries_of(1, *[b"x"] * last))
    install(node.state, directory, place(5, 2))

    booted = load_saved(node.log, node.state, 0)

    assert booted == Booted(HardState(2, 1, 5), place(5, 2), (), 5)
    assert load_saved(node.log, node.state, 0) == booted, "repairing it is durable"


def test_a_repaired_log_has_seen_the_snapshots_term(node, directory):
    """The write that would have raised the term is lost with the log's half; no vote was given."""
    node.log.write(0, HardState(2, 1, 0), place(0, 0), 1, entries_of(1, b"a"))
    install(node.state, directory, place(5, 4))

    assert load_saved(node.log, node.state, 0).hard_state == HardState(4, 0, 5)


def test_an_installed_state_inside_the_log_needs_no_repair(node, directory):
    """The log holds the very entry that the snapshot ends with: it goes on as it is."""
    node.log.write(0, HardState(2, 1, 0), place(0, 0), 1, entries_of(1, *[b"x"] * 9))
    install(node.state, directory, place(5, 1))

    booted = load_saved(node.log, node.state, 0)

    assert (booted.last_applied, len(booted.entries)) == (5, 9)


def test_a_log_older_than_its_state_is_refused(node):
    """D12: a flushed state never lies ahead of its log; with an old copy it might vote twice."""
    node.log.write(0, HardState(1, 1, 1), place(0, 0), 1, entries_of(1, b"a"))
    flush(node.state, 5)

    with pytest.raises(StorageRefused, match="of another time"):
        load_saved(node.log, node.state, 0)


def test_an_empty_log_beside_a_state_is_refused(node):
    """D12: the log of a member is gone."""
    flush(node.state, 5)

    with pytest.raises(StorageRefused, match="of another time"):
        load_saved(node.log, node.state, 0)


def test_a_state_older_than_the_log_is_refused(node):
    """D10: the entries between them were cut, so they can never be applied."""
    node.log.write(0, HardState(1, 1, 0), place(0, 0), 1, entries_of(1, *[b"x"] * 9))
    node.log.write(0, HardState(1, 1, 9), place(6), 10, ())
    flush(node.state, 5)

    with pytest.raises(StorageRefused, match="of another time"):
        load_saved(node.log, node.state, 0)


def test_an_installed_state_never_undoes_what_was_committed(node, directory):
    """An old copy of an installed state, beside a log that has committed beyond it."""
    node.log.write(0, HardState(2, 1, 9), place(0, 0), 1, entries_of(1, *[b"x"] * 9))
    install(node.state, directory, place(5, 2))

    with pytest.raises(StorageRefused, match="of another time"):
        load_saved(node.log, node.state, 0)


def test_a_state_of_another_term_is_refused(node):
    """Log and state disagree about the entry at the same index: they are of two nodes."""
    node.log.write(0, HardState(3, 1, 0), place(0, 0), 1, entries_of(3, b"a", b"b"))
    flush(node.state, 2)

    with pytest.raises(StorageRefused, match="of another time"):
        load_saved(node.log, node.state, 0)


def test_a_log_that_lost_its_end_is_refused(node):
    """D6: it committed further than it reaches."""
    node.log.write(0, HardState(1, 1, 5), place(0, 0), 1, entries_of(1, b"a"))

    with pytest.raises(StorageRefused, match="ends at index 1"):
        load_saved(node.log, node.state, 0)


def flush(state: StateStore, index: int) -> None:
    """Let the state stand at this index, as if entries up to there had been applied."""
    state.freeze(b"", place(index))
    state.flush()
    state.release()


def install(state: StateStore, directory: Path, snapshot: Snapshot) -> None:
    """Let the state be a snapshot that came from elsewhere; the log does not hear of it."""
    opened = open_node(directory / "elsewhere", IDENTITY)
    source = StateStore(opened.state)
    source.freeze(b"", snapshot)
    source.flush()
    source.release()
    reader = SnapshotReader(source, 0.0)
    writer = SnapshotWriter(state, snapshot)
    offset, done = 0, False
    while not done:
        data, done = reader.chunk(offset)
        writer.stage(offset, data, done)
        offset += len(data)
    writer.install()
    state.adopt()
    reader.close()
    source.close()
    opened.close()
